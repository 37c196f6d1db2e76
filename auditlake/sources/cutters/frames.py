"""Messages of syslog that say how long they are (RFC 6587): such a stream needs no line ends between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from auditlake.sources.batches import BATCH_RECORDS, broken, damages, make_batch
from auditlake.sources.model import Batch, Chunks, Damage
from auditlake.sources.split import split_lines

_HEAD = re.compile(rb"([1-9][0-9]{0,6}) <[0-9]{1,3}>")
"""What a message begins with: how many bytes follow the space, and its priority."""
_LONGEST_HEAD = 13
_BETWEEN = re.compile(rb"[\r\n]*+")
_NEWLINE = 0x0A


@dataclass(frozen=True, slots=True)
class _Begun:
    """A stream of which some was read already."""

    read: bytes
    rest: Iterator[bytes]
    stream: Chunks

    @property
    def damage(self) -> Damage | None:
        """Why some bytes are missing."""
        return self.stream.damage

    def __iter__(self) -> Iterator[bytes]:
        """Yield its bytes from the first on."""
        if self.read:
            yield self.read
        yield from self.rest


def split_messages(stream: Chunks, max_record: int) -> Iterator[Batch]:
    """Cut a stream into messages that say how long they are, if it begins with one that does; else into lines.

    The first must end where it says: before another, or at the end. Line ends in a message belong to it, those behind
    it do not. From where no message begins, or where one is cut off, the rest is cut into lines.
    """
    chunks, data, ended = iter(stream), b"", False
    number, line, at = 0, 1, 0
    while not ended:
        chunk = next(chunks, None)
        ended = chunk is None
        data += chunk or b""
        spans, read, over = _messages(data, max_record, ended=ended)
        if chunk == b"":  # something is missing behind it
            chunks, over = chain([b""], chunks), True
        if number == 0 and len(spans) < 2 and not (ended and spans and not over):
            spans, read = [], 0  # nothing shows yet that it consists of such messages
        for batch in _batches(data, spans, (number, line, at), max_record):
            yield batch
            number += len(batch) + len(batch.rejected)
        line, at, data = line + data.count(b"\n", 0, read), at + read, data[read:]
        if over:
            for batch in split_lines(_Begun(data, chunks, stream), max_record, plain=True):
                yield _moved(batch, number, line - 1, at)
            return
    yield from broken(damages(stream), number, line, at)


def _messages(data: bytes, max_record: int, *, ended: bool) -> tuple[list[tuple[int, int]], int, bool]:
    """Return where the whole messages begin and end, how far they reach, and whether no other can follow."""
    spans: list[tuple[int, int]] = []
    at = 0
    while True:
        if (gap := _BETWEEN.match(data, at)) is not None:
            at = gap.end()
        if (head := _HEAD.match(data, at)) is None:
            left = len(data) - at
            return spans, at, left >= _LONGEST_HEAD or (ended and left > 0)
        stop = head.end(1) + 1 + int(head[1])
        if stop > len(data):
            return spans, at, ended or int(head[1]) > max_record
        spans.append((at, stop))
        at = stop


def _batches(
    data: bytes, spans: list[tuple[int, int]], before: tuple[int, int, int], max_record: int
) -> Iterator[Batch]:
    """Yield batches of messages, given how many records, which line and which offset there were before."""
    number, line, at = before
    whole = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(whole == _NEWLINE) if spans else whole
    for i in range(0, len(spans), BATCH_RECORDS):
        some = spans[i : i + BATCH_RECORDS]
        starts = np.array([start for start, _ in some], np.int64)
        lengths = np.array([len(data[start:stop].rstrip(b"\r\n")) for start, stop in some], np.int64)
        lines = line + np.searchsorted(newlines, starts).astype(np.int64)
        numbers = number + i + np.arange(len(some), dtype=np.int64)
        yield make_batch(whole, starts, lengths, lines, numbers, at, max_record, gaps=True, plain=True)


def _moved(batch: Batch, number: int, line: int, at: int) -> Batch:
    """Return a batch with its places as they are behind so many records, lines and bytes."""
    rejected = tuple(
        replace(each, record=each.record + number, line=each.line + line, offset=each.offset + at)
        for each in batch.rejected
    )
    return replace(
        batch,
        records=batch.records + number,
        lines=batch.lines + line,
        offsets=batch.offsets + at,
        rejected=rejected,
    )
