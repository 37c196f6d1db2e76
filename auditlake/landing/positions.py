"""How far the table has come in each slot of the landing, and what lies behind that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.events.schema import CANONICAL, SELF
from auditlake.landing.segments import OWN, START, Piece, Position, application, pieces, slots
from auditlake.sources.in_memory import MemoryLines
from auditlake.storage.hosts import read_as_host
from auditlake.store.deltalog import EXACT
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import read_snapshot

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Committed:
    """The newest snapshot, and how far it has come in each slot."""

    snapshot: Snapshot
    """With the transactions of the slots that were asked for, and what an ingest needs to know."""
    positions: Mapping[int, Position]
    """By slot; one of which nothing was ever committed is not in it."""


def read_committed(layout: Layout, asked: Iterable[int]) -> Committed:
    """Return how far the table has come in these slots."""
    slots_asked = {*asked}

    def read(host: int | None) -> Committed:
        names = {slot: application(slot, host) for slot in slots_asked}
        snapshot = read_snapshot(layout, applications={*names.values(), EXACT})
        reached = snapshot.transactions
        positions = {slot: Position.unpack(reached[name]) for slot, name in names.items() if name in reached}
        return Committed(snapshot, positions)

    return read_as_host(layout, read)


def read_unflushed(layout: Layout) -> tuple[Snapshot, list[MemoryLines]]:
    """Return the newest snapshot and the lines of the landing that it lacks: together, everything exactly once."""
    committed, left = unflushed(layout)
    return committed.snapshot, [held(piece, line=1) for piece in left]


def unflushed(layout: Layout) -> tuple[Committed, list[Piece]]:
    """Return how far the table has come, and the pieces of the landing that lie behind that.

    The bytes are read before the snapshot that counts. So a line that a flush takes away meanwhile is in the snapshot,
    and one that it brings in is cut off here.
    """
    asked = slots(layout)
    before = read_committed(layout, asked)
    behind = list(pieces(layout, before.positions))
    slots_behind = {piece.segment.slot for piece in behind}
    moved = layout.commit(before.snapshot.version + 1).exists()
    after = read_committed(layout, slots_behind | set(asked)) if moved or not slots_behind <= set(asked) else before
    return after, [rest for piece in behind if (rest := _behind(piece, after.positions)) is not None]


def _behind(piece: Piece, positions: Mapping[int, Position]) -> Piece | None:
    """Return what of a piece lies behind a position, which is between two lines; None if nothing does."""
    known = positions.get(piece.segment.slot, START)
    if piece.end <= known:
        return None
    if known.number < piece.segment.number or known.offset <= piece.offset:
        return piece
    return Piece(piece.segment, known.offset, piece.data[known.offset - piece.offset :], piece.torn)


def held(piece: Piece, *, line: int) -> MemoryLines:
    """Return a piece as an input of an ingest, whose first line has this number in its segment."""
    segment = piece.segment
    name = f"landing/{segment.slot:02d}/{segment.path.name}"
    source = SELF if segment.slot >= OWN else CANONICAL
    return MemoryLines(name, piece.offset, line, piece.data, piece.torn, source)


def numbered(ordered: Iterable[Piece]) -> Iterator[tuple[Piece, int]]:
    """Yield pieces in order, each with the number that its first line has in its segment."""
    path, end, line = None, 0, 1
    for piece in ordered:
        if piece.segment.path != path or piece.offset != end:
            line = 1 + _newlines(piece.segment.path, piece.offset)
        yield piece, line
        path, end, line = piece.segment.path, piece.end.offset, line + piece.data.count(b"\n")


def _newlines(path: Path, before: int) -> int:
    """Count the lines that end before a place in a file, as far as it is still there."""
    count = 0
    with suppress(FileNotFoundError), open_file(path, within=path.parent) as file:
        while before > 0 and (block := file.read(min(before, _BLOCK))):
            count += block.count(b"\n")
            before -= len(block)
    return count
