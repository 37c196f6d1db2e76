"""Rows of CSV as records: each becomes a JSON object, under the names of its columns.

The original bytes are kept: the row as it stood in the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from auditlake.display.formula_guard import unguarded
from auditlake.errors import SourceError
from auditlake.sources.batches import BOM, broken, chunks_at, damages, places, unmarked
from auditlake.sources.model import (
    MAX_RECORD,
    NOT_CSV,
    NOT_UTF8,
    TOO_LONG,
    WRONG_FIELDS,
    Batch,
    Ints,
    Pending,
    Rejected,
    reject,
)
from auditlake.sources.regular_rows import LEAST, RegularRows
from auditlake.sources.rows import EXPORTED, RefusedError, delimiter, event, quoted_empty
from auditlake.sources.stream import Stream
from auditlake.sources.tabular import check_columns

_PIECE = 4 * 1024 * 1024
_QUOTE, _NEWLINE = 0x22, 0x0A
_ROWS = 16 * 1024
_ROW_LINES = 64 * 1024  # over how many lines a CSV row may stretch
_TEXT = 64 * 1024 * 1024  # about how much JSON a batch has: every row of CSV has the names of all columns in it


@dataclass(frozen=True, slots=True)
class TableForm:
    """What the mapping of a source says of its CSV.

    Args:
        columns: The columns; none: the first line names them.
        delimiter: What separates them; empty: what the first line has most of.
        preamble: How many lines stand before the first.
    """

    columns: tuple[str, ...] = ()
    delimiter: str = ""
    preamble: int = 0


def split_csv(stream: Stream, max_record: int = MAX_RECORD, form: TableForm | None = None) -> Iterator[Batch]:
    r"""Cut a CSV stream into rows; the first is the header.

    Rows end with ``\n`` or ``\r\n`` outside quotes. The separator is the one that the header uses. An empty field is
    null. Rejected are rows that are too long, not UTF-8, malformed, or have more or fewer fields than the header.

    Args:
        stream: What to read.
        max_record: The longest row in bytes.
        form: What it looks like; None for a table of events, which has their columns. Other columns may be dotted, and
            are fields of fields then.

    Raises:
        SourceError: The header lacks a column or names one twice.
    """
    rows = _Rows(stream.input.name, max_record, form)
    end = 0
    for at, chunk in chunks_at(stream):
        for start in range(0, len(chunk), _PIECE):
            yield from rows.feed(at + start, chunk[start : start + _PIECE])
        end = at + len(chunk)
    yield from rows.finish(end)
    yield from broken(damages(stream), rows.number, rows.line, end)


@dataclass(slots=True)
class _CutRows:
    """What the rows of a piece became."""

    places: list[tuple[int, int, int, int]] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    originals: list[bytes] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    size: int = 0
    """Bytes of the texts."""


class _Rows:
    """The state between two pieces of a CSV file: the header, and lines that are not a row yet.

    A line with an even number of quotes is a row. One with an odd number begins a row that goes on to the next such
    line, if that makes a row: otherwise the quote was never closed, the line alone is rejected, and those after it are
    rows again. So one torn row does not swallow the rest of the file.
    """

    def __init__(self, name: str, max_record: int, form: TableForm | None) -> None:
        self.number = 0
        self.line = 1
        self._name = name
        self._max = max_record
        self._form = form
        self._preamble = form.preamble if form else 0
        self._header: list[str] | None = None
        self._nested: list[tuple[str, ...]] = []
        self._head = b""
        self._most_lines = _ROW_LINES
        self._exported = False
        self._dialect: dict[str, Any] = {}
        self._regular: RegularRows | None = None
        self._pending = Pending(0, 1, max_record)  # a line without its end
        # The csv module refuses fields of more than 128 KiB unless told otherwise, for the whole process.
        csv.field_size_limit(max(csv.field_size_limit(), max_record))
        self._open: list[tuple[bytes, int, int]] = []  # lines since a quote was opened, with offset and number
        self._size = 0
        self._cut = _CutRows()

    def feed(self, at: int, piece: bytes) -> Iterator[Batch]:
        """Take the next piece."""
        start = 0
        first = piece.find(b"\n") + 1
        if self._regular is not None and first and not self._pending.over:
            at = self._pending.offset if len(self._pending) else at
            piece = self._pending.take() + piece  # so that the row between two pieces is one of its neighbours
            first = piece.find(b"\n") + 1
        if not len(self._pending):
            self._pending = Pending(at, self.line, self._max)
        if not first:
            self._pending.append(piece)
            return
        if len(self._pending):
            self._pending.append(memoryview(piece)[: first - 1])
            self._end_of_line()
            start = first
        ends = places(np.frombuffer(piece, np.uint8)[start:], _NEWLINE) + start
        bounds = np.append(start, ends + 1)
        yield from self._lines(piece, at, bounds)
        self._pending = Pending(at + int(bounds[-1]), self.line, self._max)
        self._pending.append(memoryview(piece)[int(bounds[-1]) :])
        yield from self._flush()

    def _lines(self, piece: bytes, at: int, bounds: Ints) -> Iterator[Batch]:
        """Take whole lines: neighbours that are regular rows together, all others one by one."""
        quotes = np.searchsorted(places(np.frombuffer(piece, np.uint8), _QUOTE), bounds)
        odd, begins = (np.diff(quotes) % 2).tolist(), bounds.tolist()
        first, last, runs = 0, len(odd), list[int]()
        while first < last:
            if self._regular is not None and not runs and last - first >= LEAST:
                runs = [*range(first), *(first + self._regular.ends(piece, bounds[first:])).tolist()]
            end = runs[first] if runs and not self._open else first
            if self._regular is not None and end - first >= LEAST:
                yield from self._flush()
                run = bounds[first : end + 1]
                if (batch := self._regular.batch(piece, run, at, self.number, self.line, self._head)) is not None:
                    yield batch
                    self.number, self.line, first = self.number + len(batch), self.line + len(batch), end
                    continue
            for each in range(first, max(end, first + 1)):
                self._take(piece[begins[each] : begins[each + 1] - 1], at + begins[each], odd[each])
                if self._cut.size > _TEXT:
                    yield from self._flush()
            first = max(end, first + 1)

    def finish(self, end: int) -> Iterator[Batch]:
        """End the stream: the last row need not be terminated."""
        if len(self._pending):
            self._end_of_line()
        while self._open:
            self._give_up()
        if self._header is None and end and not (self._form and self._form.columns):
            raise SourceError(f"{self._name} has no header", hint="The first line must name the columns.")
        yield from self._flush()

    def _flush(self) -> Iterator[Batch]:
        """Give out what there is."""
        cut, self._cut = self._cut, _CutRows()
        if cut.places or cut.rejected:
            numbers, lines, offsets, lengths = np.array(cut.places, np.int64).reshape(-1, 4).T.copy()
            text, rejected = pa.array(cut.texts, pa.large_binary()).cast(pa.large_string()), tuple(cut.rejected)
            yield Batch(numbers, lines, offsets, lengths, text, rejected, tuple(cut.originals), self._head)

    def _end_of_line(self) -> None:
        if self._pending.over:
            while self._open:
                self._give_up()
            self._cut.rejected.append(self._pending.rejected(self.number, TOO_LONG, ""))
            self.number, self.line = self.number + 1, self.line + 1
        else:
            row = self._pending.take()
            self._take(row, self._pending.offset, row.count(b'"') % 2)

    def _take(self, row: bytes, offset: int, odd: int) -> None:
        """Take the next line."""
        line, self.line = self.line, self.line + 1
        if not (self._open or self._exported) and row.startswith(BOM):  # no export has marks: that is data
            row, marked = unmarked(row), len(row)
            offset += marked - len(row)
        if self._preamble:
            self._preamble -= 1
            return
        if self._header is None and row.strip() and self._form and self._form.columns:
            self._dialect = {"delimiter": self._form.delimiter or delimiter(row.decode("utf-8", "replace"))}
            self._set_columns(self._form.columns)
        if self._header is None and row.strip():
            self._header = self._columns(row.removesuffix(b"\r"))
            self._head = row.removesuffix(b"\r") + b"\n"
            self._most_lines = min(_ROW_LINES, _TEXT // len(self._head))
        elif not (odd or self._open):
            self._row(row, offset, line)
        else:
            self._open.append((row, offset, line))
            self._size += len(row) + 1
            if odd and len(self._open) > 1:
                self._join()
            elif self._size > self._max or len(self._open) > self._most_lines:
                self._give_up()

    def _join(self) -> None:
        """Join the lines between two quotes to one row, if that is what they make."""
        _, offset, line = self._open[0]
        row = b"\n".join(text for text, _, _ in self._open)
        try:
            self._values(row.removesuffix(b"\r"))
        except RefusedError:
            self._give_up()
        else:
            self._open, self._size = [], 0
            self._row(row, offset, line)

    def _give_up(self) -> None:
        """Reject the first open line: the quote in it is not closed."""
        (row, offset, line), *others = self._open
        row = row.removesuffix(b"\r")
        self._open, self._size = [], 0
        self._cut.rejected.append(reject(self.number, line, offset, NOT_CSV, "a quote is not closed", row, self._max))
        self.number += 1
        for i, (text, place, at_line) in enumerate(others):
            if text.count(b'"') % 2:
                self._open = others[i:]
                self._size = sum(len(text) + 1 for text, _, _ in self._open)
                return
            self._row(text, place, at_line)

    def _row(self, row: bytes, offset: int, line: int) -> None:
        row = row.removesuffix(b"\r")
        if not row:
            return
        try:
            text = orjson.dumps(self._record(self._values(row)))
        except RefusedError as error:
            reason, detail = error.args
            self._cut.rejected.append(reject(self.number, line, offset, reason, detail, row, self._max))
        else:
            self._cut.places.append((self.number, line, offset, len(row)))
            self._cut.texts.append(text)
            self._cut.size += len(text)
            self._cut.originals.append(row)
        self.number += 1

    def _record(self, values: dict[str, str | None]) -> dict[str, Any]:
        if self._form is None:
            return event(values)
        record: dict[str, Any] = {}
        for (*around, last), value in zip(self._nested, values.values(), strict=True):
            inner = record
            for step in around:
                inner = inner.setdefault(step, {})
            inner[last] = value
        return record

    def _values(self, row: bytes) -> dict[str, str | None]:
        if len(row) > self._max:
            raise RefusedError(TOO_LONG, f"{len(row)} bytes, at most {self._max} are allowed")
        fields = self._fields(row)
        header = self._header or []
        if len(fields) != len(header):
            raise RefusedError(WRONG_FIELDS, f"{len(header)} expected, got {len(fields)}")
        if not self._exported:
            return {name: field or None for name, field in zip(header, fields, strict=True)}
        # What a lake exported: an apostrophe guards what a spreadsheet would run, and "" may be an empty text.
        empty = quoted_empty(row, self._dialect["delimiter"]) if b'""' in row else ()
        return {
            name: unguarded(field) if field or i in empty else None
            for i, (name, field) in enumerate(zip(header, fields, strict=True))
        }

    def _fields(self, row: bytes) -> list[str]:
        try:
            # A reader for each row: one that met a malformed row would draw the next into it.
            return next(csv.reader((row.decode(),), strict=True, **self._dialect), [])
        except UnicodeDecodeError as error:
            raise RefusedError(NOT_UTF8, f"at byte {error.start}") from error
        except csv.Error as error:
            raise RefusedError(NOT_CSV, str(error)) from error

    def _columns(self, row: bytes) -> list[str]:
        given = self._form.delimiter if self._form else ""
        self._dialect = {"delimiter": given or delimiter(row.decode("utf-8", "replace"))}
        try:
            columns = [column.strip() for column in self._fields(row)]
        except RefusedError as error:
            message = f"{self._name}: the header cannot be read: {error.args[0]}, {error.args[1]}"
            raise SourceError(message, hint="The first line must name the columns.") from error
        if self._form is not None:
            return self._set_columns(columns)
        check_columns(self._name, columns)
        self._exported = set(columns) >= EXPORTED
        if RegularRows.fit(columns):
            apart = self._dialect["delimiter"]
            self._regular = RegularRows(columns, apart, self._max, exported=self._exported)
        return columns

    def _set_columns(self, columns: Sequence[str]) -> list[str]:
        """Take the columns of a table that is none of events; one without a name is called by its number."""
        self._header = [column or f"column_{number}" for number, column in enumerate(columns, 1)]
        check_columns(self._name, self._header, ())
        self._nested = list(_places(self._header))
        self._most_lines = min(_ROW_LINES, _TEXT // (sum(map(len, self._header)) + 1))
        return self._header


def _places(columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield where the value of each column stands in a record; a dotted one below another column stays whole."""
    taken = {tuple(column.split(".")) for column in columns}
    for column in columns:
        steps = tuple(column.split("."))
        blocked = any(steps[:n] in taken for n in range(1, len(steps))) or "" in steps
        yield (column,) if blocked else steps
