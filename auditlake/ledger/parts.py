"""The parts of a lake as the ledger recorded them, and what became of each since."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.ledger.book import parse_entry, tiles
from auditlake.ledger.entry import Taken
from auditlake.ledger.kept import PartState, rows_of, unpack
from auditlake.ledger.leaves import Key, Part
from auditlake.ledger.merkle import HASH_SIZE
from auditlake.ledger.sidecars import GONE, read_kept, unpack_leaves

_ROOTS = re.compile(rb'"roots":\[((?:\[-?\d+,\d+,"[0-9a-f]{64}"\],?)+)\]')
_BATCH = re.compile(rb"\[(-?\d+),")
_TAKING = re.compile(rb'"kind":"(?:delete|erase|remap)"')


@dataclass(frozen=True, slots=True)
class RecordedPart:
    """A part, and what entries said of it later."""

    part: Part
    takings: tuple[Taken, ...] = ()
    """In the order in which it happened."""
    is_remapped: bool = False
    """Whether events of it may have other types now than when it was appended."""

    @property
    def left(self) -> int | None:
        """How many of its events are there, changed or not; None where an earlier version did not say how many went."""
        if any(not each.kept for each in self.takings):
            return 0
        known = all(each.retention_class is not None for each in self.takings)
        return self.part.rows - sum(each.gone for each in self.takings) if known else None


@dataclass(frozen=True, slots=True)
class RecordedParts:
    """What the ledger has recorded of some batches."""

    parts: Mapping[Key, RecordedPart]
    marks: Sequence[tuple[str, frozenset[Key]]] = ()
    """The files of marks, each with the parts that it is about."""

    def of(self, batch: int, day: date) -> list[RecordedPart]:
        """Return the parts of a batch on a day of which something is left."""
        return [each for key, each in self.parts.items() if key[:2] == (batch, day) and each.left != 0]


def recorded_parts(layout: Layout, size: int, batches: Collection[int]) -> RecordedParts:
    """Return the parts of some batches.

    Args:
        layout: The lake.
        size: How many entries of its ledger count.
        batches: Which.
    """
    parts: dict[Key, RecordedPart] = {}
    marks: list[tuple[str, frozenset[Key]]] = []
    wanted = frozenset(batches)
    for data in tiles(layout).entries(0, size) if wanted else ():
        roots = _ROOTS.search(data)
        if roots and wanted.intersection(map(int, _BATCH.findall(roots[1]))):
            entry = parse_entry(layout, data)
            parts |= {part.key: RecordedPart(part) for part in entry.parts if part.batch in wanted}
            marks += marked(entry.parts, entry.details.get("marks"))
        elif _TAKING.search(data):
            entry = parse_entry(layout, data)
            for each in entry.taken:
                key = (each.batch, each.day, each.retention_class or "")
                if (known := parts.get(key)) is not None:
                    remapped = known.is_remapped or entry.kind == "remap"
                    parts[key] = RecordedPart(known.part, (*known.takings, each), remapped)
    return RecordedParts(parts, marks)


def marked(parts: Sequence[Part], said: Any) -> Iterator[tuple[str, frozenset[Key]]]:
    """Yield the files of the marks of an entry's parts, each with the parts that it is about.

    Args:
        parts: What it appended.
        said: What its details say of marks.
    """
    if isinstance(said, str):
        yield said, frozenset(part.key for part in parts)
    taken: Counter[str] = Counter()
    for name, number, digest in said if isinstance(said, list) else ():
        of_class = [part.key for part in parts if part.retention_class == name]
        yield digest, frozenset(of_class[taken[name] : taken[name] + number])
        taken[name] += number


def state_of(layout: Layout, recorded: RecordedPart, seqs: Iterable[int]) -> PartState:
    """Return what became of a part so far.

    Args:
        layout: The lake.
        recorded: The part.
        seqs: The numbers of its events that are there: what earlier versions kept has numbers instead of places.

    Raises:
        LedgerError: What was kept is damaged.
    """
    part, takings = recorded.part, recorded.takings
    if not takings:
        return PartState(part.rows)
    if takings[-1].retention_class is not None:
        return unpack(_read(layout, takings[-1]), part.rows)
    return _by_seq(part, [_read(layout, each) for each in takings], seqs)


def _by_seq(part: Part, files: Sequence[bytes], seqs: Iterable[int]) -> PartState:
    import numpy as np

    replaced: dict[int, tuple[bytes, bytes]] = {}
    for data in files:
        for each in unpack_leaves(data):
            replaced[each.seq] = (replaced.get(each.seq, (each.original,))[0], each.present)
    places = {seq: place for place, seq in enumerate(sorted({*seqs, *replaced}))}
    if len(places) != part.rows:
        message = (
            f"batch {part.batch} has {len(places)} events of {part.day} that are there or were taken, not {part.rows}"
        )
        raise LedgerError(message, hint="auditlake verify says what is wrong; nothing was changed")
    gone = {places[seq]: original for seq, (original, present) in replaced.items() if present == GONE}
    changed = {places[seq]: pair for seq, pair in replaced.items() if pair[1] != GONE}
    return PartState(part.rows).without(np.array([*gone], np.int64), rows_of([*gone.values()], HASH_SIZE), changed)


def _read(layout: Layout, taken: Taken) -> bytes:
    if (data := read_kept(layout, "kept", taken.kept)) is None:
        message = f"the file ledger/kept/{taken.kept} is damaged or gone"
        raise LedgerError(message, hint="restore it from a backup: without it no more can go of its part")
    return data
