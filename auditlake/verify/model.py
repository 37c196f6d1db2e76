"""What a verification found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

Verdict = Literal["verified", "remapped", "deleted", "erased", "MISSING", "CHANGED"]
"""What became of the events of a part or batch; the last two are wrong."""
BAD = frozenset({"MISSING", "CHANGED"})
_ORDER: tuple[Verdict, ...] = ("verified", "remapped", "deleted", "erased", "MISSING", "CHANGED")


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """What became of the events of one batch on one day, of one retention class where the part has one."""

    batch: int
    day: date
    rows: int
    """As many as were appended."""
    verdict: Verdict
    detail: str = ""
    """Under which policy, when, and by which certificate; or which file is wrong, and how."""
    retention_class: str = ""
    """How long such events were kept when they came; empty for all of a day, as earlier versions appended them."""


@dataclass(frozen=True, slots=True)
class BatchVerdict:
    """What became of a batch: the worst of its parts."""

    batch: int
    rows: int
    verdict: Verdict
    parts: tuple[PartVerdict, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong."""

    where: str
    """A file below the lake, or a version or an entry."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found; ``ok`` is the answer, the rest says why."""

    lake: str
    origin: str
    """Which tree the checkpoint is of."""
    size: int
    """Entries that the checkpoint counts."""
    root: str
    """Hexadecimal."""
    version: int
    """The newest version that the checkpoint covers."""
    signed_by: str
    """The public key that the checkpoint was checked with; empty if the lake is unsigned."""
    full: bool
    """Whether every row was hashed, or the files only."""
    batches: tuple[BatchVerdict, ...]
    problems: tuple[Problem, ...]
    """What is wrong."""
    notices: tuple[Problem, ...]
    """What is worth knowing and not wrong."""
    anchored: int
    """Entries that the older checkpoint counts that was given, or the newest time stamp covers; 0 without one."""
    unanchored_since: str
    """Since when only this lake vouches for its history, RFC 3339; empty if that covers the newest checkpoint."""
    unanchored_seconds: int = 0
    """How long ago that was."""
    stamped_at: str = ""
    """When the newest time stamp was made, by its authority's clock; empty if there is none."""
    stamped: int = 0
    """Entries that it covers."""
    stamp_trusted: bool = False
    """Whether it was checked against certificates that were given; only then it anchors anything."""
    damaged_days: tuple[date, ...] | None = None
    """The UTC days that hold what is wrong in the table, in order; None where no row was to be read, all were, or these
    days alone do not tell it: what is wrong is the ledger or the log, or rows lie among those of another day."""

    @property
    def rows(self) -> int:
        """Events in the ledger, whatever became of them."""
        return sum(batch.rows for batch in self.batches)

    @property
    def unanchored(self) -> int:
        """Entries that only this lake vouches for."""
        return max(self.size - self.anchored, 0)

    @property
    def wrong(self) -> int:
        """How many things are wrong: problems, and batches that miss events or have changed ones."""
        return len(self.problems) + sum(batch.verdict in BAD for batch in self.batches)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


def worst(parts: tuple[PartVerdict, ...]) -> Verdict:
    """Return the verdict of a batch."""
    return max((part.verdict for part in parts), key=_ORDER.index)
