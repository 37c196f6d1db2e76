"""What lies in the landing: slots, the segments in them, and the lines that the table does not hold yet.

A slot is a folder with one writer at a time, who holds the flock on the ``lock`` in it for as long as it lives. A
segment is a file of canonical JSON lines to which its writer only appends. Only the newest segment of a held slot may
still grow: a writer that claims a slot begins a new one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from auditlake.disk.files import descriptor_of, kind_of, open_file
from auditlake.disk.layout import Layout
from auditlake.disk.links import LOCK, SEGMENT, SLOT
from auditlake.errors import LakeFormatError
from auditlake.storage.hosts import spelled

OFFSET_BITS = 36
"""A segment is shorter than 64 GiB, so that a position is one integer of 63 bits."""

OWN = 1000
"""The slots from here on hold what auditlake says about itself: nothing that comes from outside gets into them."""

_CHUNK = 8 * 1024 * 1024
"""About how many bytes of lines a piece has, so that what a reader holds at once is bounded."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a slot: everything of the slot before it. The positions of a slot only grow."""

    number: int
    """Of the segment; the first one has 1."""
    offset: int
    """Bytes from the start of that segment."""

    @property
    def packed(self) -> int:
        """The position as one integer, which sorts as the position does."""
        return self.number << OFFSET_BITS | self.offset

    @staticmethod
    def unpack(packed: int) -> Position:
        """Return the position of an integer that :attr:`packed` gave."""
        return Position(packed >> OFFSET_BITS, packed & ((1 << OFFSET_BITS) - 1))


START = Position(0, 0)
"""Before everything."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it was found."""

    slot: int
    number: int
    path: Path
    size: int
    """Bytes; what an open one has got since is not in it."""
    open: bool
    """Whether it may still grow: the newest of a slot that a writer holds."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a segment."""

    segment: Segment
    offset: int
    """Where it begins."""
    data: bytes
    """Whole lines, each with its newline."""
    torn: bytes
    """What follows ``data`` where the segment ends without a newline and will never get one; else empty."""

    @property
    def end(self) -> Position:
        """Behind the piece, the torn line included."""
        return Position(self.segment.number, self.offset + len(self.data) + len(self.torn))


def application(slot: int, host: int | None = 0) -> str:
    """Return the Delta application whose transaction version is the slot's committed position.

    Args:
        slot: The slot.
        host: The number of its host, as :func:`auditlake.storage.hosts.spelled` takes it.
    """
    return f"auditlake.landing.{spelled(host)}{slot:02d}"


def slots(layout: Layout) -> list[int]:
    """Return the slots there are, in order.

    Raises:
        LakeFormatError: What has the name of a slot is no folder.
    """
    # What copies a lake may leave out empty folders.
    with suppress(FileNotFoundError), os.scandir(layout.landing) as entries:
        matches = [entry for entry in entries if SLOT.match(entry.name)]
        for path in (Path(entry.path) for entry in matches if not entry.is_dir(follow_symlinks=False)):
            with suppress(FileNotFoundError):
                raise _refusal(path, f"this is {kind_of(path.lstat().st_mode)}, expected a folder")
        return sorted(int(entry.name) for entry in matches)
    return []


def _refusal(path: Path, why: str) -> LakeFormatError:
    hint = "live events may be missing: put the file itself in its place, or move what lies there out of the lake"
    return LakeFormatError(f"{path}: {why}", hint=hint)


def numbers(layout: Layout, slot: int) -> list[int]:
    """Return the numbers of a slot's segments, in order."""
    names = os.listdir(layout.slot(slot))  # noqa: PTH208 - a slot can have thousands, and paths are slow
    return sorted(int(match[1]) for match in map(SEGMENT.match, names) if match)


def segments(layout: Layout) -> tuple[Segment, ...]:
    """Return every segment, by slot and number.

    Raises:
        LakeFormatError: What has the name of a slot, a segment or a lock is of another kind, such as a link.
    """
    return tuple(segment for slot in slots(layout) for segment in _segments_of(layout, slot))


def _segments_of(layout: Layout, slot: int) -> Iterator[Segment]:
    # In this order: what is listed before the slot is free never grows again, for the next writer begins a new
    # segment; and its size, looked up after that, is final.
    present = numbers(layout, slot)
    held = bool(present) and _held(layout, slot)
    for number in present:
        path = layout.segment(slot, number)
        with suppress(FileNotFoundError):  # a flush has brought it into the table and removed it
            if not S_ISREG((status := path.lstat()).st_mode):
                raise _refusal(path, f"this is {kind_of(status.st_mode)}, expected a regular file")
            yield Segment(slot, number, path, status.st_size, held and number == present[-1])


def _held(layout: Layout, slot: int) -> bool:
    """Return whether a writer holds the slot; a claim that meets this look, which is shared and short, tries again."""
    try:
        descriptor = descriptor_of(layout.slot(slot) / LOCK, within=layout.root)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    except OSError as error:
        raise _refusal(layout.slot(slot) / LOCK, error.strerror or f"{error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def pieces(layout: Layout, since: Mapping[int, Position]) -> Iterator[Piece]:
    """Yield what lies behind the positions, by slot and place; everything of a slot without a position.

    An open segment ends with its last newline: what follows is being written. A piece without lines is one of a torn
    line alone.

    Raises:
        LakeFormatError: As :func:`segments` does.
    """
    for segment in segments(layout):
        known = since.get(segment.slot, START)
        if segment.number >= known.number:
            yield from _pieces_of(segment, known.offset if segment.number == known.number else 0)


def _pieces_of(segment: Segment, offset: int) -> Iterator[Piece]:
    if offset >= segment.size:
        return
    try:
        file = open_file(segment.path, within=segment.path.parents[1])
    except FileNotFoundError:
        return
    except OSError as error:  # among them what was put in its place since
        raise _refusal(segment.path, error.strerror or f"{error}") from error
    rest = b""
    with file:
        file.seek(offset)
        # An abandoned segment may have been cut back since, so its end can come early.
        while (room := segment.size - offset - len(rest)) > 0 and (chunk := file.read(min(room, _CHUNK))):
            lines, newline, tail = chunk.rpartition(b"\n")
            if not newline:
                rest += chunk
                continue
            yield (piece := Piece(segment, offset, rest + lines + newline, b""))
            offset, rest = piece.end.offset, tail
    if rest and not segment.open:
        yield Piece(segment, offset, b"", rest)
