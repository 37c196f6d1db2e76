"""Lines that were joined: several objects on one line, and byte order marks before lines."""

from __future__ import annotations

import re

import numpy as np

from auditlake.sources.batches import BOM, unmarked
from auditlake.sources.model import Bytes, Ints
from auditlake.sources.strictjson import WINDOW, Scanner

_OPEN_OBJECT, _CLOSE_OBJECT = 0x7B, 0x7D
_BETWEEN = (0x20, 0x09, BOM[0])  # what may begin that which stands between two objects: white space, a byte order mark
_NEXT_OBJECT = re.compile(rb"(?:[ \t\r]|\xef\xbb\xbf)*+\{")
_SIDE_BY_SIDE = re.compile(rb"\}" + _NEXT_OBJECT.pattern)
_WHITE = b" \t\r\n"


def unmark(data: Bytes, starts: Ints, lengths: Ints, max_record: int) -> bool:
    """Leave out, in place, the byte order marks that lines begin with where files were put together; were there any?"""
    marked = False
    for i in np.flatnonzero((data[starts] == BOM[0]) & (lengths <= max_record)).tolist():
        start = stop = int(starts[i])
        while data[stop : stop + 3].tobytes() == BOM:
            stop += 3
        if stop > start:
            marked = True
            text = data[stop : int(starts[i] + lengths[i])].tobytes()
            blank = len(text) - len(text.lstrip(_WHITE)) if not text.strip(_WHITE) else 0
            starts[i], lengths[i] = stop, len(text) - blank
    return marked


def find_touching(data: Bytes) -> Ints:
    """Return where an object may end with another after it on the same line."""
    windows = []
    for start in range(0, len(data) - 1, WINDOW):
        window = data[start : start + WINDOW + 1]
        following = window[1:]
        # Text is compared far quicker than places are collected, and there are hardly ever any.
        near = following == _OPEN_OBJECT
        for byte in _BETWEEN:
            near |= following == byte
        near &= window[:-1] == _CLOSE_OBJECT
        if near.any():
            windows.append(np.flatnonzero(near) + start)
    return np.concatenate(windows) if windows else np.empty(0, np.int64)


def cut_touching(
    data: Bytes, touching: Ints, starts: Ints, lengths: Ints, lines: Ints, max_record: int
) -> tuple[Ints, Ints, Ints]:
    """Return the same lines, those cut that hold several objects side by side: each of these is a record.

    A line over the limit is not: of one that came in several chunks only the beginning would be there.
    """
    cut: dict[int, list[tuple[int, int]]] = {}
    for i in np.unique(np.searchsorted(starts, touching, "right") - 1).tolist():
        start, length = int(starts[i]), int(lengths[i])
        if length <= max_record and len(parts := _objects(data[start : start + length])) > 1:
            cut[i] = [(start + begin, stop - begin) for begin, stop in parts]
    if not cut:
        return starts, lengths, lines
    times = np.ones(len(starts), np.int64)
    times[list(cut)] = [len(parts) for parts in cut.values()]
    firsts = np.cumsum(times) - times
    starts, lengths, lines = (np.repeat(column, times) for column in (starts, lengths, lines))
    for i, parts in cut.items():
        starts[firsts[i] : firsts[i] + len(parts)], lengths[firsts[i] : firsts[i] + len(parts)] = zip(
            *parts, strict=True
        )
    return starts, lengths, lines


def _objects(line: Bytes) -> list[tuple[int, int]]:
    """Return where the objects that stand side by side on a line begin and end; anything else is one piece."""
    tokens = Scanner().feed(line)
    text = line.tobytes()
    parts, begin = [], 0
    for stop in (tokens.at[(tokens.depth == 0) & (tokens.kind == _CLOSE_OBJECT)] + 1).tolist():
        if following := _NEXT_OBJECT.match(text, stop):
            parts.append((begin, stop))
            begin = following.end() - 1
    # White space after a line of one record always was a part of it; after several it belongs to none.
    return [*parts, (begin, len(text.rstrip(_WHITE)) if parts else len(text))]


def records_of(line: bytes) -> list[bytes]:
    """Return the records of one line, as :func:`~auditlake.sources.split.split_lines` cuts it."""
    line = unmarked(line)
    if not _SIDE_BY_SIDE.search(line):
        return [line]
    return [line[begin:stop] for begin, stop in _objects(np.frombuffer(line, np.uint8))]
