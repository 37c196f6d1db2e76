"""Which rows of a part are not those that were appended, by the marks that the ledger keeps of each.

An entry that appends names files ``LAKE/ledger/marks/<SHA-256 of its bytes>``: the first two bytes of the leaf of every
event, part after part as the entry lists those of a class, each in the order of its leaves. That is enough to say where
rows differ, and no proof needs it. Earlier versions had one file for all parts of an entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as _replaced
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.ledger.leaves import MARK, Key, Part
from auditlake.verify.kept_hashes import KeptHashes
from auditlake.verify.rows import Replaced, file_leaves
from auditlake.verify.tree import LedgerEntry
from auditlake.verify.withdrawals import Taking

_MOST = 5
"""How many rows are named one by one."""


def marks_path(layout: Layout, digest: str) -> Path:
    """Where the file lies."""
    return layout.ledger / "marks" / Path(digest).name


@dataclass(frozen=True, slots=True)
class _Row:
    event_type: str
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

    def explained(self, part: Part, taking: Taking) -> str:
        """Which rows of a part were changed, added or removed, and in which files; empty if that cannot be said.

        Args:
            part: As it was appended.
            taking: What was rightly removed or changed of it.
        """
        found = self._found(part.batch, part.day)
        rows = [row for row in found if row.event_type in dict(part.types)] if part.types else _by_seq(found)
        marks = _marks(self.layout, part, self.entries)
        if taking.kept is not None:
            elsewhere = {row.leaf for row in found} - {row.leaf for row in rows}
            marks = _expected(taking.kept, marks, elsewhere) if marks is not None else None
        else:
            rows = _as_appended(rows, taking.replaced) if taking.replaced else rows
        if twice := [row for row, after in pairwise(_by_seq(rows)) if row.seq == after.seq]:
            return f"{_named(twice)} {_is(twice)} there twice"
        if marks is None:
            return ""
        present = [row.leaf[:MARK] for row in rows]
        if len(present) == len(marks):
            other = [row for row, mark in zip(rows, marks, strict=True) if row.leaf[:MARK] != mark]
            return f"{_named(other)} {_is(other)} not what was appended" if other else ""
        first = _common(present, marks, min(len(present), len(marks)))
        return _told(
            rows, first, _common(present[::-1], marks[::-1], min(len(present), len(marks)) - first), len(marks)
        )

    def listed(self, batch: int, day: date, expected: Mapping[Key, Part]) -> str:
        """Return the rows of a batch on a day that should not be there: none of its parts has such events."""
        parts = [part for key, part in expected.items() if key[:2] == (batch, day)]
        known = {name for part in parts for name, _ in part.types}
        return _named(_by_seq([row for row in self._found(batch, day) if row.event_type not in known]))

    def _found(self, batch: int, day: date) -> list[_Row]:
        """Return the rows of a batch on a day, by type and seq, in whatever files they are."""
        rows = [
            _Row(event_type, seq, leaf, file.relative_to(self.layout.root).as_posix())
            for files in self.days.values()
            for file, _ in files
            for event_type, seq, leaf in file_leaves(file, batch, day)
        ]
        return sorted(rows, key=lambda row: (row.event_type, row.seq))


def _expected(kept: KeptHashes, marks: Sequence[bytes], elsewhere: Collection[bytes]) -> list[bytes]:
    """Return the marks of the rows that a part is to have now, those aside that became events of another part."""
    now = {place: marks[place] for place in kept.staying.tolist()}
    now |= {place: leaf[:MARK] for place, (_, leaf) in kept.changed.items() if leaf not in elsewhere}
    return [mark for _, mark in sorted(now.items())]


def _by_seq(rows: Sequence[_Row]) -> list[_Row]:
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
        before.append(_replaced(row, leaf=original if row.leaf == present else row.leaf))
    there = {row.seq for row in rows}
    taken = [(seq, original) for seq, (original, present) in replaced.items() if present is None and seq not in there]
    return _by_seq([*before, *(_Row("", seq, original, "") for seq, original in taken)])


def marked(entry: LedgerEntry) -> Iterator[tuple[str, list[Part]]]:
    """Yield the files of marks of an entry, each with the parts that it is about."""
    said = entry.fields["details"].get("marks")
    if isinstance(said, str):
        yield said, list(entry.parts)
    taken: Counter[str] = Counter()
    for row in said if isinstance(said, list) else ():
        if isinstance(row, list) and list(map(type, row)) == [str, int, str]:
            name, number, digest = row
            of_class = [part for part in entry.parts if part.retention_class == name]
            yield digest, of_class[taken[name] : taken[name] + number]
            taken[name] += number


def marks_needed(entries: Sequence[LedgerEntry]) -> Iterator[tuple[LedgerEntry, str, int]]:
    """Yield the files of marks that are to be there, each with its entry and bytes: one goes with its last part."""
    gone = {
        (int(batch), date.fromisoformat(day), more[0] if more else "")
        for entry in entries for batch, day, _, kept, *more in entry.fields["taken"] if not kept
    }  # fmt: skip
    for entry in entries:
        for digest, parts in marked(entry):
            if not all(part.key in gone for part in parts):
                yield entry, digest, MARK * sum(part.rows for part in parts)


def _marks(layout: Layout, part: Part, entries: Sequence[LedgerEntry]) -> list[bytes] | None:
    files = (each for entry in entries if part in entry.parts for each in marked(entry) if part in each[1])
    for digest, parts in files:
        begin = MARK * sum(each.rows for each in parts[: parts.index(part)])
        try:
            data = read_file(marks_path(layout, digest), within=layout.root)
        except OSError:
            return None
        if sha256(data).hexdigest() != digest:
            return None
        return [data[at : at + MARK] for at in range(begin, begin + MARK * part.rows, MARK)]
    return None
