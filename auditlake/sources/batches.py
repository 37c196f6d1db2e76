"""Batches of the records in a stretch of bytes, without those that no later parser may read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from auditlake.sources.model import (
    MAX_DEPTH,
    NOT_JSON,
    NOT_UTF8,
    TOO_DEEP,
    TOO_LONG,
    Batch,
    Bytes,
    Chunks,
    Damage,
    Ints,
    Rejected,
    empty_batch,
    reject,
)
from auditlake.sources.strictjson import WINDOW, nesting

BATCH_RECORDS = 256 * 1024
"""About how many records a batch has at most: it bounds what the columns and the rejected ones take."""

BOM = b"\xef\xbb\xbf"
_BOMS = re.compile(rb"(?:\xef\xbb\xbf)*+")


def unmarked(text: bytes) -> bytes:
    """Return text without the byte order marks that it begins with."""
    return text[match.end() :] if (match := _BOMS.match(text)) else text


def chunks_at(stream: Chunks) -> Iterator[tuple[int, bytes]]:
    """Yield the stream's chunks with their offsets, without a byte order mark at the beginning.

    An empty one says that something is missing between its neighbours.
    """
    at, head = 0, b""
    for chunk in stream:
        if not chunk:
            if head:
                yield 0, head
                at, head = len(head), b""
            yield at, chunk
            continue
        if at == 0 and len(head := head + chunk) < len(BOM):
            continue
        if head:
            at = len(BOM) if head.startswith(BOM) else 0
            chunk, head = head[at:], b""
        if chunk:
            yield at, chunk
            at += len(chunk)
    if head:
        yield 0, head


def places(data: Bytes, byte: int) -> Ints:
    """Return where a byte occurs; read in windows, since fresh memory costs more than the comparison."""
    windows = [np.flatnonzero(data[i : i + WINDOW] == byte) + i for i in range(0, len(data), WINDOW)]
    return np.concatenate(windows) if windows else np.empty(0, np.int64)


def damages(stream: Chunks) -> Iterator[Damage]:
    """Yield what is wrong with a stream that was read, with the bytes that this cost."""
    if (damage := stream.damage) is not None:
        yield damage
        yield from damage.further()


def broken(some: Iterable[Damage], number: int, line: int, end: int) -> Iterator[Batch]:
    """Yield the records that stand for what could not be read, each with its bytes."""
    for record, each in enumerate(some, number):
        yield empty_batch((Rejected(record, line, end, len(each.data), each.reason, each.detail, each.data),))


def make_batch(
    data: Bytes,
    starts: Ints,
    lengths: Ints,
    lines: Ints,
    numbers: Ints,
    at: int,
    max_record: int,
    *,
    gaps: bool = False,
    plain: bool = False,
) -> Batch:
    """Make a batch of records that lie in ``data``, without those that nothing may parse.

    Args:
        data: The bytes.
        starts: Where each record starts in them, ascending.
        lengths: How long each is.
        lines: The line of each.
        numbers: The running number of each.
        at: The offset of ``data`` in the stream.
        max_record: The longest record in bytes.
        gaps: Whether there may be more than white space between two records.
        plain: Whether they are no JSON: then each text is its bytes and nothing behind them.
    """
    if not len(starts):
        return empty_batch(())
    spans = _texts(data, np.stack((starts, starts + lengths), axis=1).ravel())
    refused = _refused(data, starts, lengths, spans, max_record, plain=plain)
    rejected = []
    for i, why in sorted(refused.items()):
        raw = data[starts[i] : starts[i] + lengths[i]].tobytes()
        rejected.append(reject(int(numbers[i]), int(lines[i]), at + int(starts[i]), *why, raw, max_record))
    if not (refused or gaps or plain):
        text = _texts(data, np.append(starts, len(data)))
        return Batch(numbers, lines, at + starts, lengths, text)
    keep = np.ones(len(starts), np.bool_)
    keep[list(refused)] = False
    text = spans.take(pa.array(np.flatnonzero(keep) * 2))
    return Batch(numbers[keep], lines[keep], at + starts[keep], lengths[keep], text, tuple(rejected))


def _texts(data: Bytes, bounds: Ints) -> Any:
    """Return the stretches between neighbouring bounds as a text array over the very bytes."""
    return pa.LargeStringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(data))


def _refused(
    data: Bytes, starts: Ints, lengths: Ints, spans: Any, max_record: int, *, plain: bool
) -> dict[int, tuple[str, str]]:
    """Return which records may not go on, each with reason and detail."""
    refused: dict[int, tuple[str, str]] = {}
    for i, levels in () if plain else _too_deep(data, starts, lengths):
        why = f"{levels} levels, at most {MAX_DEPTH} are allowed"
        refused[i] = (TOO_DEEP, why) if levels else (NOT_JSON, "a bracket is not closed")
    try:
        spans.validate(full=True)
    except pa.ArrowInvalid:
        for i, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            try:
                data[start : start + length].tobytes().decode()
            except UnicodeDecodeError as error:
                refused[i] = (
                    (NOT_UTF8, f"at byte {error.start}") if plain else (NOT_JSON, f"{NOT_UTF8} at byte {error.start}")
                )
    for i in np.flatnonzero(lengths > max_record).tolist():
        refused[i] = (TOO_LONG, f"{lengths[i]} bytes, at most {max_record} are allowed")
    return refused


def _too_deep(data: Bytes, starts: Ints, lengths: Ints) -> Iterator[tuple[int, int]]:
    """Yield the records nested too deeply and how deep they are; 0 where brackets are not even closed."""
    if lengths.max() <= MAX_DEPTH:
        return
    # Only a record with many opening brackets can be deep, and only those are looked at closely.
    bounds = np.stack((starts, starts + lengths), axis=1).ravel()
    before = np.empty_like(bounds)
    total = 0
    for start in range(0, len(data), WINDOW):
        opening = np.flatnonzero((data[start : start + WINDOW] & 0xDF) == 0x5B)  # "[" and "{" differ in one bit
        low, high = np.searchsorted(bounds, (start, start + WINDOW))
        before[low:high] = total + np.searchsorted(opening, bounds[low:high] - start)
        total += len(opening)
    before[np.searchsorted(bounds, len(data)) :] = total
    for i in np.flatnonzero(np.diff(before)[::2] > MAX_DEPTH).tolist():
        levels, closed = nesting(data[starts[i] : starts[i] + lengths[i]].data)
        if levels > MAX_DEPTH:
            yield i, levels if closed else 0
