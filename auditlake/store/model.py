"""What the store's other modules hand each other: files, snapshots, changes. Plain data, no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from auditlake.errors import MovedError

if TYPE_CHECKING:
    from auditlake.ledger.entry import Taken
    from auditlake.ledger.leaves import Part
    from auditlake.store.files import Files


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of one UTC day that is part of a snapshot, or about to be."""

    path: str
    """Below ``events/``; its name is made of the SHA-256 of its bytes."""
    day: date
    size: int
    """Bytes."""
    rows: int
    first: datetime | None
    """The earliest timestamp in it."""
    last: datetime | None
    types: tuple[tuple[str, int], ...] | None = None
    """The event types in it, sorted, with how many events each has; None where that was not asked, or is not known."""

    def may_hold(self, types: Collection[str]) -> bool:
        """Return whether there may be events of any of these types in it."""
        return self.types is None or any(name in types for name, _ in self.types)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the lake: exactly these files."""

    version: int
    files: Sequence[DataFile]
    """Sorted by path; those of a snapshot that was read are :class:`~auditlake.store.files.Files`."""
    transactions: Mapping[str, int] = field(default_factory=dict)
    """How far the applications that were asked for have come; one that never committed is not in it."""

    @property
    def rows(self) -> int:
        """How many events it holds."""
        return self.table.rows

    @property
    def table(self) -> Files:
        """Its files, without a Python object for each."""
        from auditlake.store.files import Files

        return Files.of(self.files)

    @property
    def inputs_digest(self) -> str:
        """``sha256:`` over the sorted paths, each followed by a newline; names are made of content, so this is too."""
        listed = "".join(f"{path}\n" for path in self.table.paths)
        return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()

    def after(self, change: Change) -> Snapshot:
        """Return the snapshot that a commit on top of this one makes."""
        files = self.table.without([file.path for file in change.removes]).and_also(change.adds)
        return Snapshot(self.version + 1, files, {**self.transactions, **change.transactions})

    @property
    def evidence(self) -> dict[str, int | str]:
        """What a report says about it."""
        digest = self.inputs_digest
        return {"snapshot": self.version, "files": len(self.files), "rows": self.rows, "inputs_digest": digest}


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit does."""

    adds: tuple[DataFile, ...]
    removes: tuple[DataFile, ...]
    metadata: Mapping[str, Any]
    """What is recorded about it: its kind, batch, inputs, counts."""
    data_change: bool = True
    """False for compaction only: the same rows in other files."""
    transactions: Mapping[str, int] = field(default_factory=dict)
    """How far applications have come with it, each further than the snapshot that it is planned on says."""
    taken: tuple[Taken, ...] = ()
    """What of the batches before it deletes or changes, for the ledger."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else the ledger is to say of it; whole numbers only."""
    classes: Mapping[str, str] = field(default_factory=dict)
    """Of what is appended: the retention class of each event type; without any, a part is all of a day."""
    parts: tuple[tuple[Part, bytes], ...] = ()
    """Of what is appended: the parts of the days that were hashed as they were written, each with its marks; those of
    other days are made of the files."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Applications that move on with a commit which brings what lies between."""

    since: Mapping[str, int]
    """How far they had come when that was chosen; one that never committed is not in it."""
    to: Mapping[str, int]
    """How far they come."""

    def check(self, snapshot: Snapshot) -> None:
        """Refuse a snapshot that has what lies between already.

        Raises:
            MovedError: An application has come to another place meanwhile.
        """
        for name in self.to:
            if (now := snapshot.transactions.get(name)) != (known := self.since.get(name)):
                message = f"{name} has come to {now} in version {snapshot.version}, not to {known} as was planned on"
                raise MovedError(message, hint="nothing was landed; run it again")


STAY = Advance({}, {})
"""No application moves on."""
