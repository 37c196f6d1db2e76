"""What a commit of retention says about itself: its metadata in the Delta log, and its details in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from auditlake.events.times import print_instant
from auditlake.machine import login_name

Kind = Literal["hold", "retention", "erase", "remap"]


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """What a hold, a deletion, an erasure or a remap did."""

    kind: Kind
    at: datetime
    operator: str
    """Who did it, as the system knows them or as the caller named them."""
    summary: str
    """What the version did, to follow "version 7": for messages about snapshots that cannot be read any more."""
    terms: Mapping[str, Any]
    """What policies, holds and lake.toml demanded; see :mod:`auditlake.retention.terms`."""
    hold: Mapping[str, Any] | None = None
    """Of a hold: its id, and whether it was added or released."""
    weaker: Mapping[str, Any] | None = None
    """Where weaker terms were accepted: what had become weaker, and the reason given."""
    certificate: Mapping[str, Any] = field(default_factory=dict)
    """What the certificate says, whole: its files are made of it, now or by the next writer."""
    quarantine: Mapping[str, str] = field(default_factory=dict)
    """The quarantine files that go, each with the name of the file that replaces it, if any: all others stay."""
    superseded: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The files of the ledger that nothing needs any more, by folder: they go too."""
    took: Mapping[str, int] = field(default_factory=dict)
    """Of files that were written anew: how many bytes they had, and the microseconds that it took."""
    pseudonym_key: str | None = None
    """The digest of the key, if this or an earlier commit put pseudonyms into events."""

    def metadata(self) -> dict[str, Any]:
        """Return what the Delta log keeps."""
        always = {"kind": self.kind, "at": print_instant(self.at), "operator": self.operator, "said": self.summary,
                  "terms": dict(self.terms)}  # fmt: skip
        more = {"hold": self.hold, "weaker": self.weaker, "certificate": self.certificate,
                "quarantine_after": self.quarantine, "took": self.took,
                "superseded": {folder: list(names) for folder, names in self.superseded.items() if names}}  # fmt: skip
        return always | self._key() | {name: dict(value) for name, value in more.items() if value}

    def details(self) -> dict[str, Any]:
        """Return what the ledger keeps; it covers the commit, which has the rest."""
        more = {"hold": self.hold, "weaker": self.weaker, "quarantine": self.quarantine}
        return {"operator": self.operator} | self._key() | {name: dict(value) for name, value in more.items() if value}

    def _key(self) -> dict[str, Any]:
        return {"pseudonym_key": self.pseudonym_key} if self.pseudonym_key else {}


def operator_or_user(operator: str | None) -> str:
    """Return who acts: the operator that the caller named, or the user of this process."""
    return operator or login_name()
