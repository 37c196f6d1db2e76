"""What a commit of retention says about itself: the one place where it is put together, for whoever reads commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from auditlake.events.times import print_instant
from auditlake.machine import login_name

Kind = Literal["hold", "retention", "erase"]


@dataclass(frozen=True, slots=True)
class Record:
    """What happened."""

    kind: Kind
    at: datetime
    operator: str
    """Who did it, as the system knows them or as they said."""
    said: str
    """What the version did, to follow "version 7": for messages about snapshots that cannot be read any more."""
    terms: Mapping[str, Any]
    """What policies, holds and lake.toml demanded; see :mod:`auditlake.retention.terms`."""
    hold: Mapping[str, Any] | None = None
    """Of a hold: its id, and whether it was added or released."""
    weaker: Mapping[str, Any] | None = None
    """Where weaker terms were accepted: what had become weaker, and the reason given."""
    certificate: Mapping[str, Any] = field(default_factory=dict)
    """What the certificate says, whole: its files are made of it, now or by the next who comes this way."""

    quarantine: Mapping[str, str] = field(default_factory=dict)
    """The quarantine files that go, each with the name of what takes its place, if anything does: all others stay."""
    pseudonym_key: str | None = None
    """The digest of the key, if this or an earlier commit put pseudonyms into events."""

    def metadata(self) -> dict[str, Any]:
        """As the Delta log keeps it."""
        said = {"kind": self.kind, "at": print_instant(self.at), "operator": self.operator, "said": self.said,
                "terms": dict(self.terms)}  # fmt: skip
        more = {"hold": self.hold, "weaker": self.weaker, "certificate": self.certificate,
                "quarantine_after": self.quarantine}  # fmt: skip
        return said | self._key() | {name: dict(value) for name, value in more.items() if value}

    def details(self) -> dict[str, Any]:
        """As the ledger keeps it, beside the certificate's digest: the commit is what it covers, and has the rest."""
        more = {"hold": self.hold, "weaker": self.weaker, "quarantine": self.quarantine}
        return {"operator": self.operator} | self._key() | {name: dict(value) for name, value in more.items() if value}

    def _key(self) -> dict[str, Any]:
        return {"pseudonym_key": self.pseudonym_key} if self.pseudonym_key else {}


def operator_or_user(operator: str | None) -> str:
    """Who acts: as they said, or as the system knows them."""
    return operator or login_name()
