"""Which rows of a part are not those that were appended, by the marks that the ledger keeps of each.

An entry that appends names a file ``LAKE/ledger/marks/<SHA-256 of its bytes>``: the first two bytes of the leaf of
every event, part after part as the entry lists them, in the order of ``seq``. That is enough to say where rows differ,
and no proof needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.ledger.leaves import MARK, Part
from auditlake.verify.rows import Replaced, file_leaves
from auditlake.verify.tree import LedgerEntry

_MOST = 5
"""How many rows are named one by one."""


def marks_path(layout: Layout, digest: str) -> Path:
    """Where the file lies."""
    return layout.ledger / "marks" / Path(digest).name


@dataclass(frozen=True, slots=True)
class _Row:
    seq: int
    leaf: bytes
    """As it was appended, as far as the ledger tells what became of it."""
    file: str
    """Empty for one that the ledger took."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a lake, to be looked at where something is wrong with them."""

    layout: Layout
    entries: Sequence[LedgerEntry]
    days: Mapping[date, Sequence[tuple[Path, int]]]
    """The files of each day, with about how many rows they have."""

    def explained(self, part: Part, replaced: Replaced) -> str:
        """Which rows of a part were changed, added or removed, and in which files; empty if that cannot be said.

        Args:
            part: As it was appended.
            replaced: The events of the part that were rightly removed or changed.
        """
        rows = _as_appended(self._found(part.batch, part.day), replaced)
        if twice := [row for row, after in pairwise(rows) if row.seq == after.seq]:
            return f"{_named(twice)} {_is(twice)} there twice"
        if (marks := _marks(self.layout, part, self.entries)) is None:
            return ""
        present = [row.leaf[:MARK] for row in rows]
        if len(present) == len(marks):
            other = [row for row, mark in zip(rows, marks, strict=True) if row.leaf[:MARK] != mark]
            return f"{_named(other)} {_is(other)} not what was appended" if other else ""
        first = _common(present, marks, min(len(present), len(marks)))
        return _told(
            rows, first, _common(present[::-1], marks[::-1], min(len(present), len(marks)) - first), len(marks)
        )

    def listed(self, batch: int, day: date) -> str:
        """Return the rows of a part that should not be there."""
        return _named(self._found(batch, day))

    def _found(self, batch: int, day: date) -> list[_Row]:
        """Return the rows of a part, by seq, in whatever files they are."""
        rows = [
            _Row(seq, leaf, file.relative_to(self.layout.root).as_posix())
            for files in self.days.values()
            for file, _ in files
            for seq, leaf in file_leaves(file, batch, day)
        ]
        return sorted(rows, key=lambda row: row.seq)


def _common(present: Sequence[bytes], marks: Sequence[bytes], most: int) -> int:
    """How many marks agree from the beginning."""
    return next((n for n in range(most) if present[n] != marks[n]), most)


def _told(rows: Sequence[_Row], first: int, last: int, expected: int) -> str:
    """Describe what lies between the rows that agree: ``first`` from the beginning, ``last`` from the end."""
    there, gone = rows[first : len(rows) - last], expected - last - first
    if not gone:
        return f"{_named(there)} {_is(there)} added"
    before = f"after row {rows[first - 1].seq}" if first else "at the beginning"
    what = f"{gone} row{'s' * (gone > 1)} {before}"
    if there:
        return f"{_named(there)} {_is(there)} in the place of {what}"
    return f"{what} {'is' if gone == 1 else 'are'} gone"


def _named(rows: Sequence[_Row]) -> str:
    numbers = ", ".join(str(row.seq) for row in rows[:_MOST]) + (
        f" and {len(rows) - _MOST} more" if rows[_MOST:] else ""
    )
    files = sorted({row.file for row in rows if row.file})
    return f"row{'s' * (len(rows) > 1)} {numbers}" + (f" of {files[0]}" if files else "")


def _is(rows: Sequence[_Row]) -> str:
    return "is" if len(rows) == 1 else "are"


def _as_appended(rows: Sequence[_Row], replaced: Replaced) -> list[_Row]:
    """Return the rows as they were before the ledger took some of them, where they are what it says became of them."""
    before = []
    for row in rows:
        original, present = replaced.get(row.seq, (row.leaf, row.leaf))
        before.append(_Row(row.seq, original if row.leaf == present else row.leaf, row.file))
    there = {row.seq for row in rows}
    taken = [(seq, original) for seq, (original, present) in replaced.items() if present is None and seq not in there]
    return sorted([*before, *(_Row(seq, original, "") for seq, original in taken)], key=lambda row: row.seq)


def _marks(layout: Layout, part: Part, entries: Sequence[LedgerEntry]) -> list[bytes] | None:
    for entry in entries:
        if part in entry.parts and isinstance(digest := entry.fields["details"].get("marks"), str):
            begin = MARK * sum(each.rows for each in entry.parts[: entry.parts.index(part)])
            try:
                data = read_file(marks_path(layout, digest), within=layout.root)
            except OSError:
                return None
            if sha256(data).hexdigest() != digest:
                return None
            return [data[at : at + MARK] for at in range(begin, begin + MARK * part.rows, MARK)]
    return None
