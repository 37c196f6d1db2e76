"""Blanking of what the table has already, in segments that a process still writes to and that must stay.

No reader needs it any more. Lines keep their ends and their places, so that lines keep their numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from auditlake.disk.files import descriptor_of
from auditlake.disk.layout import Layout
from auditlake.landing.positions import read_committed
from auditlake.landing.segments import START, Position, Segment, segments

_CHUNK = 1024 * 1024
_BLANK = bytes(byte if byte == ord("\n") else ord(" ") for byte in range(256))


@dataclass(frozen=True, slots=True)
class Copied:
    """An open segment of which the table has the beginning."""

    segment: Segment
    blank_to: int
    """Where what may be blanked ends, in bytes."""
    copied_to: int
    """Where what the table has ends, in bytes."""


def copied(layout: Layout, read: Mapping[int, Position] | None) -> Iterator[Copied]:
    """Yield the open segments of which the table has something.

    Args:
        layout: The lake.
        read: How far a process that follows the landing has read each slot; None if none does.
    """
    growing = [segment for segment in segments(layout) if segment.open and segment.size]
    positions = read_committed(layout, {segment.slot for segment in growing}).positions if growing else {}
    for segment in growing:
        until = _until(segment, positions.get(segment.slot, START))
        if until:
            followed = until if read is None else _until(segment, read.get(segment.slot, START))
            yield Copied(segment, min(until, followed), until)


def _until(segment: Segment, position: Position) -> int:
    """Return how many of a segment's bytes lie before a position."""
    if position.number != segment.number:
        return segment.size if position.number > segment.number else 0
    return min(position.offset, segment.size)


def blank(layout: Layout, read: Mapping[int, Position] | None) -> None:
    """Blank what the table has of open segments, durably. The table's log is durable already."""
    for each in copied(layout, read):
        with suppress(FileNotFoundError):  # its writer is done with it, and a flush has removed it
            _blank(each)


def _blank(each: Copied) -> None:
    descriptor = descriptor_of(each.segment.path, within=each.segment.path.parents[1], flags=os.O_RDWR)
    try:
        changed = False
        for start in range(0, each.blank_to, _CHUNK):
            data = os.pread(descriptor, min(_CHUNK, each.blank_to - start), start)
            if (blanked := data.translate(_BLANK)) != data:
                os.pwrite(descriptor, blanked, start)
                changed = True
        if changed:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
