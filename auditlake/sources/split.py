"""Streams cut into records: one per line, or the values of JSON documents.

Whatever the input, each of its bytes ends up in a record, in a rejected record, or is white space or a document's own
brackets and commas; memory holds a few chunks and the longest record, and no more.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from auditlake.sources.batches import BATCH_RECORDS, BOM, broken, chunks_at, damages, make_batch, places
from auditlake.sources.model import (
    MAX_RECORD,
    NOT_JSON,
    Batch,
    Bytes,
    Chunks,
    Ints,
    Pending,
    Rejected,
    empty_batch,
)
from auditlake.sources.split_lines import cut_touching, find_touching, unmark
from auditlake.sources.strictjson import WINDOW, Scanner, Tokens, why_not_json

_NEWLINE = 0x0A
_OPEN_ARRAY = 0x5B
_WHITE = b" \t\r\n"
_BLANK = np.isin(np.arange(256), list(b" \t\r\n"))


def split_lines(stream: Chunks, max_record: int = MAX_RECORD, *, plain: bool = False) -> Iterator[Batch]:
    r"""Cut a stream into lines, each a record, or several where objects stand side by side; blank lines are none.

    Lines end with ``\n`` or ``\r\n``; the last may lack it. Byte order marks before a line are skipped. Rejected are
    those that are too long, not UTF-8 or nested too deeply; whether a line is JSON is left to the caller.

    Args:
        stream: What to read.
        max_record: The longest record in bytes.
        plain: Whether the lines are no JSON: brackets mean nothing then, and a line is one record.
    """
    number, line, end = 0, 1, 0
    pending = Pending(0, 1, max_record)
    for at, chunk in chunks_at(stream):
        end = at + len(chunk)
        last = chunk.rfind(b"\n")
        if not len(pending):
            pending.offset = at
        if last < 0:
            pending.append(chunk)
            continue
        start = 0
        if len(pending):
            # What began in an earlier chunk is a batch by itself, so that the rest need not be copied.
            start = chunk.index(b"\n") + 1
            pending.append(memoryview(chunk)[: start - 1])
            batch = _line(pending, line, number, max_record, plain=plain)
            line, number = line + 1, number + len(batch) + len(batch.rejected)
            yield batch
        for part, ends in _parts(memoryview(chunk)[start : last + 1]):
            batch = _lines(part, ends, at + start, line, number, max_record, plain=plain)
            start, line, number = start + len(part), line + len(ends), number + len(batch) + len(batch.rejected)
            yield batch
        pending = Pending(end - (len(chunk) - last - 1), line, max_record)
        pending.append(memoryview(chunk)[last + 1 :])
    if len(pending):
        batch = _line(pending, line, number, max_record, plain=plain)
        number += len(batch) + len(batch.rejected)
        yield batch
    yield from broken(damages(stream), number, line, end)


def _line(pending: Pending, line: int, number: int, max_record: int, *, plain: bool) -> Batch:
    """Return the batch of one line that was collected, without its terminator."""
    if pending.over:
        return empty_batch((pending.rejected(number, "", ""),))
    data = np.frombuffer(pending.take() + b"\n", np.uint8)
    return _lines(data, np.array([len(data) - 1]), pending.offset, line, number, max_record, plain=plain)


def _parts(body: memoryview) -> Iterator[tuple[Bytes, Ints]]:
    """Yield whole lines and where they end, in parts so small that the columns take no more than the bytes."""
    data = np.frombuffer(body, np.uint8)
    ends = places(data, _NEWLINE)
    start = 0
    for i in range(0, len(ends), BATCH_RECORDS):
        some = ends[i : i + BATCH_RECORDS]
        stop = int(some[-1]) + 1
        yield data[start:stop], some - start
        start = stop


def _lines(data: Bytes, ends: Ints, at: int, line: int, number: int, max_record: int, *, plain: bool) -> Batch:
    """Return the batch of some whole lines."""
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts
    lengths -= (lengths > 0) & (data[ends - 1] == 0x0D)
    full = lengths > 0
    if _BLANK[data[starts]][full].any():
        full &= np.logical_or.reduceat(~_BLANK[data], starts)
    lines = line + np.arange(len(ends), dtype=np.int64)
    if not full.all():
        starts, lengths, lines = starts[full], lengths[full], lines[full]
    gaps = unmark(data, starts, lengths, max_record)
    if gaps:
        full = lengths > 0
        starts, lengths, lines = starts[full], lengths[full], lines[full]
    if not plain and len(touching := find_touching(data)):
        whole = len(starts)
        starts, lengths, lines = cut_touching(data, touching, starts, lengths, lines, max_record)
        gaps |= len(starts) > whole
    numbers = number + np.arange(len(starts), dtype=np.int64)
    return make_batch(data, starts, lengths, lines, numbers, at, max_record, gaps=gaps, plain=plain)


def split_documents(
    stream: Chunks, max_record: int = MAX_RECORD, wrappers: Sequence[str] = ("Records", "Events")
) -> Iterator[Batch]:
    """Cut a stream into the values of JSON documents, however they are laid out.

    The elements of an array at the top are records, and so are those of an array that an object at the top has under
    one of the wrapper keys; every other value at the top is a record itself. Several values may follow one another,
    with or without anything between them, and each may begin with byte order marks. What is rejected, apart from
    records as in :func:`split_lines`: missing values, what stands around the records and is not JSON, what is not
    closed, and a document that is empty.

    Args:
        stream: What to read.
        max_record: The longest record in bytes; also how much may stand around a wrapper's records.
        wrappers: The wrapper keys.
    """
    documents, whole, end = _Documents(max_record, wrappers), True, 0
    for at, chunk in chunks_at(stream):
        if chunk:
            yield from documents.feed(at, chunk)
        else:
            # What is open here may never be closed, and what comes may be in the middle of anything.
            yield from documents.finish(whole=False)
            documents, whole = _Documents(max_record, wrappers, documents), False
        end = at + len(chunk)
    yield from documents.finish(whole=whole and not stream.damage)
    yield from broken(damages(stream), documents.number, documents.line, end)


_SOLID = re.compile(rb"[^ \t\r\n]")
# A value outside brackets, or garbage: what stands together without white space, except in strings.
_RUN = re.compile(rb'(?:"(?:[^"\\]|\\.)*+\\?"?|[^ \t\r\n"]++)++', re.DOTALL)


class _Window:
    """A window's tokens, and where to find those that matter at the top and in the arrays of records."""

    def __init__(self, tokens: Tokens, start: int) -> None:
        depth = tokens.depth
        comma = tokens.kind == 0x2C
        self.pos = tokens.at + start
        self.kind = tokens.kind
        opening = (self.kind & 0xDF) == _OPEN_ARRAY
        self.tops = np.flatnonzero(opening & (depth == 1)).tolist()
        self.arrays = np.flatnonzero((self.kind == _OPEN_ARRAY) & (depth == 2)).tolist()
        # By how deep an array of records is: what closes it, and the commas in it.
        self.ends = {1: np.flatnonzero(depth == 0).tolist(), 2: np.flatnonzero(depth <= 1).tolist()}
        self.commas = {base: np.flatnonzero(comma & (depth == base)) for base in (1, 2)}

    def end(self, base: int, i: int) -> int:
        """Return the first token from i on that closes what is open at depth ``base``; their number if none does."""
        ends = self.ends[base]
        k = bisect_left(ends, i)
        return int(ends[k]) if k < len(ends) else len(self.pos)


class _Documents:
    """The state between two chunks: where in a document we are, and the beginning of what is not complete."""

    def __init__(self, max_record: int, wrappers: Sequence[str], before: _Documents | None = None) -> None:
        self.number: int = before.number if before else 0
        """How many records there were, with those that were rejected."""
        self.line: int = before.line if before else 1
        """The line that comes next; of what was finished."""
        self._max = max_record
        keys = b"|".join(re.escape(key.encode()) for key in wrappers)
        self._wrapper = re.compile(rb'[{,]\s*"(?:' + keys + rb')"\s*:\s*\Z') if wrappers else None
        self._scanner = Scanner()
        self._state = "top"  # or "value": in a record at the top; or "elements": in an array of records
        self._base = 0  # how deep that array is: 1 at the top, 2 in a wrapper
        self._comma = False  # whether a comma stands before the element that comes
        self._opened = (0, 1)  # offset and line of that array
        self._pending = self._fresh(0, self.line)
        self._outer: Pending | None = None  # what stands around a wrapper's records, so far
        self._seen = False  # whether there was anything at all
        self._text = b""
        self._data: Bytes = np.empty(0, np.uint8)
        self._at = 0  # the offset of the text in the stream
        self._cur = 0  # where in the text what is not complete starts
        self._line = (0, self.line)  # a place in the text and its line
        self._spans: list[Ints] = []  # start, length, line and number of records in the text
        self._single: list[tuple[int, int, int]] = []  # start, stop and number of the latest, found one by one
        self._count = 0
        self._rejected: list[Rejected] = []

    def feed(self, at: int, chunk: bytes) -> Iterator[Batch]:
        """Take the next chunk."""
        front = b""
        if len(self._pending) and not self._pending.over and self._outer is not self._pending:
            self._line = (0, self._pending.line)
            front = self._pending.take()
        self._load(at - len(front), front + chunk if front else chunk)
        for start in range(len(front), len(self._text), WINDOW):
            stop = min(start + WINDOW, len(self._text))
            self._window(_Window(self._scanner.feed(self._data[start:stop]), start), stop)
            if self._count + len(self._rejected) > BATCH_RECORDS:
                yield from self._flush()
        yield from self._flush()
        self._keep()

    def finish(self, *, whole: bool) -> Iterator[Batch]:
        """End the stream; where it is not whole, what comes next is missing."""
        pending, closed = self._pending, self._scanner.depth == self._base and not self._scanner.in_string
        why = "a string is not closed" if self._scanner.in_string else "a bracket is not closed"
        self.line = self._line[1]
        if pending.over or (len(pending) and (self._state == "value" or (self._state == "elements" and not closed))):
            self._reject(pending.rejected(self.number, NOT_JSON, why))
        elif len(pending):
            self._line = (0, pending.line)
            self._load(pending.offset, pending.take())
            self._gap(len(self._text), final=True)
        elif whole and not (self._seen or self._state == "elements"):
            self._reject(Rejected(0, 1, 0, 0, NOT_JSON, "empty", b""))
        if self._state == "elements" and closed:
            array = self._outer or self._fresh(*self._opened)
            if self._outer is None:
                array.append(b"[")
            self._reject(array.rejected(self.number, NOT_JSON, "the array is not closed"))
        yield from self._flush()

    def _load(self, at: int, text: bytes) -> None:
        self._text, self._data, self._at, self._cur = text, np.frombuffer(text, np.uint8), at, 0

    def _keep(self) -> None:
        """Put aside what is not complete at the end of a chunk."""
        if not len(self._pending):
            if self._state != "value":
                solid = _SOLID.search(self._text, self._cur)
                self._cur = solid.start() if solid else len(self._text)
            self._pending = self._fresh(self._at + self._cur, self._line_at(self._cur))
        self._pending.append(memoryview(self._text)[self._cur :])
        self._line = (0, self._line_at(len(self._text)))

    def _window(self, window: _Window, stop: int) -> None:
        i = 0
        while i < len(window.pos):
            if self._state == "elements":
                i = self._elements(window, i)
            elif self._state == "value":
                i = self._value(window, i)
            else:
                k = bisect_left(window.tops, i)
                if k == len(window.tops):
                    break
                i = window.tops[k]
                self._open(int(window.pos[i]), int(window.kind[i]))
                i += 1
        if self._state == "top" and not self._scanner.in_string:
            self._gap(stop, final=False)
        self._fold()

    def _open(self, p: int, kind: int) -> None:
        """Note that a bracket opens at the top."""
        self._gap(p, final=True)
        self._cur, self._state, self._seen = p, "value", True
        if kind == _OPEN_ARRAY:
            self._enter(p, 1)

    def _enter(self, p: int, base: int) -> None:
        """Note that an array opens whose elements are the records."""
        self._state, self._base, self._comma, self._cur = "elements", base, False, p + 1
        self._opened = (self._at + p, self._line_at(p))

    def _value(self, window: _Window, i: int) -> int:
        """Go on in a value at the top until it ends or the array of a wrapper opens; gives the token to go on with."""
        end = window.end(1, i)
        for k in range(bisect_left(window.arrays, i), bisect_left(window.arrays, end)):
            p = int(window.pos[window.arrays[k]])
            if self._is_wrapper(p):
                # What came before is set aside.
                if not len(self._pending):
                    self._pending = self._fresh(self._at + self._cur, self._line_at(self._cur))
                self._pending.append(memoryview(self._text)[self._cur : p + 1])
                self._outer, self._pending = self._pending, self._fresh(0, 1)
                self._enter(p, 2)
                return int(window.arrays[k]) + 1
        if end < len(window.pos):
            self._close(int(window.pos[end]) + 1)
        return end + 1

    def _is_wrapper(self, p: int) -> bool:
        if self._wrapper is None:
            return False
        before = self._text[max(self._cur, p - 256) : p]
        if p - self._cur < 256:
            before = (self._pending.tail() + before)[-256:]
        return self._wrapper.search(before) is not None

    def _close(self, end: int) -> None:
        """Note that a value at the top ends."""
        pending = self._pending
        if len(pending):
            pending.append(memoryview(self._text)[self._cur : end])
            why = None if pending.over else why_not_json(whole := pending.take())
            if why:
                pending.append(whole)
            if why or pending.over:
                self._reject(pending.rejected(self.number, NOT_JSON, f"around the records: {why}"))
        else:
            self._record(self._cur, end)
        self._outer, self._pending = None, self._fresh(0, 1)
        self._state, self._base, self._cur = "top", 0, end

    def _gap(self, stop: int, *, final: bool) -> None:
        """Read what stands outside brackets: white space, values without brackets, garbage."""
        if self._pending.over:
            # Its beginning is gone, so where it ends can no longer be told from white space in strings.
            if final:
                self._pass_long(stop)
                self._cur, self._seen = stop, True
            return
        for run in _RUN.finditer(self._text, self._cur, stop):
            self._cur = run.start()
            if run.end() == stop and not final:
                return
            while self._text.startswith(BOM, self._cur, run.end()):
                self._cur += len(BOM)
            if self._cur < run.end():
                self._record(self._cur, run.end())
                self._seen = True
            self._cur = run.end()
        self._cur = stop

    def _pass_long(self, stop: int) -> None:
        """Note that a record over the limit ends."""
        self._pending.append(memoryview(self._text)[self._cur : stop])
        self._reject(self._pending.rejected(self.number, "", ""))
        self._pending = self._fresh(0, 1)

    def _elements(self, window: _Window, i: int) -> int:
        """Cut the records of an array as far as this window goes; return the token to go on with."""
        close = window.end(self._base, i)
        closed = close < len(window.pos)
        low, high = np.searchsorted(window.commas[self._base], (i, close))
        stops = window.pos[window.commas[self._base][low:high]]
        if closed:
            stops = np.append(stops, window.pos[close])
        if not len(stops):
            return close
        starts = np.empty_like(stops)
        starts[0], starts[1:] = self._cur, stops[:-1] + 1
        self._cur = int(stops[-1]) + 1
        if self._pending.over:
            self._cur, after = int(starts[0]), self._cur
            self._pass_long(int(stops[0]))
            self._cur, starts, stops = after, starts[1:], stops[1:]
        elif closed and len(stops) == 1 and not self._comma:
            empty = not _SOLID.search(self._text, int(starts[0]), int(stops[0]))
            starts, stops = (starts[1:], stops[1:]) if empty else (starts, stops)
        self._comma = True
        if len(stops):
            self._span(starts, stops)
        if closed:
            self._leave(int(window.pos[close]), int(window.kind[close]))
        return close + 1

    def _leave(self, p: int, kind: int) -> None:
        """Note that the array of records ends."""
        if self._base == 2:
            # The bracket belongs to what stands around the records, and is judged with it.
            self._state, self._base, self._cur = "value", 0, p
            self._pending = self._outer or self._pending
            return
        if kind != 0x5D:
            place = (self.number, self._line_at(p), self._at + p)
            self._reject(Rejected(*place, 1, NOT_JSON, "it closes an array", self._text[p : p + 1]))
        self._state, self._base = "top", 0

    def _span(self, starts: Ints, stops: Ints) -> None:
        """Take the elements of an array."""
        self._trim(starts, stops)
        numbers = self.number + np.arange(len(starts), dtype=np.int64)
        lines = self._lines_at(starts)
        full = starts < stops
        for i in np.flatnonzero(~full).tolist():
            mark = self._text[stops[i] : stops[i] + 1]
            why = "a value is missing before the comma" if mark == b"," else "a value is missing after the last comma"
            place = (int(numbers[i]), int(lines[i]), self._at + int(stops[i]))
            self._rejected.append(Rejected(*place, 1, NOT_JSON, why, mark))
        self._spans.append(np.stack((starts, stops - starts, lines, numbers))[:, full])
        self.number += len(starts)
        self._count += len(starts)

    def _trim(self, starts: Ints, stops: Ints) -> None:
        """Leave out the white space around records, in place: a byte of all of them at a time, then what has much."""
        for edge, other, step in ((starts, stops, 1), (stops, starts, -1)):
            look = 0 if step == 1 else -1
            left = np.flatnonzero(starts < stops)
            for _ in range(64):
                left = left[_BLANK[self._data[edge[left] + look]]]
                edge[left] += step
                left = left[edge[left] != other[left]]
                if not len(left):
                    break
            for i in left.tolist():
                text = self._text[starts[i] : stops[i]]
                edge[i] += step * (len(text) - len(text.lstrip(_WHITE) if step == 1 else text.rstrip(_WHITE)))

    def _record(self, start: int, stop: int) -> None:
        self._single.append((start, stop, self.number))
        self.number += 1
        self._count += 1

    def _reject(self, rejected: Rejected) -> None:
        self._rejected.append(rejected)
        self.number += 1

    def _fresh(self, offset: int, line: int) -> Pending:
        return Pending(offset, line, self._max, _WHITE)

    def _line_at(self, place: int) -> int:
        """Return the line of a place in the text; places are asked for in ascending order."""
        self._fold()
        known, line = self._line
        if place > known:
            line += int(np.count_nonzero(self._data[known:place] == _NEWLINE))
            self._line = (place, line)
        return line

    def _lines_at(self, places: Ints) -> Ints:
        first, last = int(places[0]), int(places[-1])
        line = self._line_at(first)
        newlines = np.flatnonzero(self._data[first:last] == _NEWLINE)
        self._line = (last, line + len(newlines))
        return line + np.searchsorted(newlines, places - first)

    def _fold(self) -> None:
        """Put the records found one by one to the others."""
        if self._single:
            starts, stops, numbers = np.array(self._single, np.int64).T
            self._single = []
            self._spans.append(np.stack((starts, stops - starts, self._lines_at(starts), numbers)))

    def _flush(self) -> Iterator[Batch]:
        """Give out what there is."""
        self._fold()
        if self._spans or self._rejected:
            columns = np.concatenate([*self._spans, np.empty((4, 0), np.int64)], axis=1)
            starts, lengths, lines, numbers = columns
            batch = make_batch(self._data, starts, lengths, lines, numbers, self._at, self._max, gaps=True)
            rejected = sorted((*batch.rejected, *self._rejected), key=lambda item: item.record)
            yield replace(batch, rejected=tuple(rejected))
        self._spans, self._rejected, self._count = [], [], 0
