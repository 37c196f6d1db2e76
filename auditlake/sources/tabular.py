"""Tables as records: each row of a CSV or Parquet file becomes a JSON object, under the names of its columns.

The original bytes are kept: the row of a CSV file as it stood there; Parquet has none, so the JSON text counts.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from auditlake.display.formula_guard import unguarded
from auditlake.engine.statements import statement
from auditlake.errors import SourceError, UnrecognisedInputError
from auditlake.events.schema import CANONICAL_FIELDS
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
    empty_batch,
    reject,
)
from auditlake.sources.rows import EXPORTED, Refused, RefusedError, Writer, delimiter, event, quoted_empty
from auditlake.sources.stream import Stream
from auditlake.sources.values import values

REQUIRED = ("event_type", "timestamp")
"""The columns without which a table holds no events."""
CODECS = frozenset({"UNCOMPRESSED", "SNAPPY", "ZSTD", "GZIP"})
"""The Parquet compressions that are read."""

_FAULTS = (pa.ArrowException, duckdb.Error, OSError, ValueError, TypeError, LookupError, MemoryError, OverflowError)
"""Whatever is raised by a damaged Parquet file is the file's fault."""
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
        quotes = np.searchsorted(places(np.frombuffer(piece, np.uint8), _QUOTE), np.append(start, ends))
        for end, odd in zip(ends.tolist(), (np.diff(quotes) % 2).tolist(), strict=True):
            self._take(piece[start:end], at + start, odd)
            start = end + 1
            if self._cut.size > _TEXT:
                yield from self._flush()
        self._pending = Pending(at + start, self.line, self._max)
        self._pending.append(memoryview(piece)[start:])
        yield from self._flush()

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
        _check_columns(self._name, columns)
        self._exported = set(columns) >= EXPORTED
        return columns

    def _set_columns(self, columns: Sequence[str]) -> list[str]:
        """Take the columns of a table that is none of events; one without a name is called by its number."""
        self._header = [column or f"column_{number}" for number, column in enumerate(columns, 1)]
        _check_columns(self._name, self._header, ())
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


def _check_columns(name: str, columns: Sequence[str], required: Sequence[str] = REQUIRED) -> None:
    missing = [column for column in required if column not in columns]
    if missing:
        why = f"no column {' and no column '.join(missing)}"
        # Others are not named: they may be the first line of anything.
        known = ", ".join(column for column in CANONICAL_FIELDS if column in columns)
        message = f"{name}: {why}; of an event's columns it has {known or 'none'}"
        raise UnrecognisedInputError(message, why=why, hint="Rename the columns to those of an event.")
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise SourceError(f"{name}: column {twice[0]} is there twice", hint="Which one counts cannot be told.")


def read_parquet(stream: Stream, max_record: int = MAX_RECORD, required: Sequence[str] = REQUIRED) -> Iterator[Batch]:
    """Read a Parquet file's rows. The stream is read through first, for the digest.

    Timestamps become RFC 3339 text in UTC with all their digits, six at least; those without a zone are UTC.

    Args:
        stream: The file.
        max_record: The longest row, as JSON text, in bytes.
        required: The columns that it must have.

    Raises:
        SourceError: It lacks a column, or is compressed in a way that is not read.
        InputChangedError: It changed while it was read.
    """
    for _ in stream:
        pass
    name = stream.input.name
    if stream.compression != "none":
        why = f"Parquet inside {stream.compression}"
        raise UnrecognisedInputError(f"{name} is {why}", why=why, hint="Unpack it first.")
    number = 0
    with stream.file() as file:
        for table in _tables(name, file, stream.size, required):
            if isinstance(table, _Unread):
                for rejected in table.pieces(file, number):
                    number += 1
                    yield empty_batch((rejected,))
                continue
            batch = _parquet_batch(table, number, max_record)
            number += table.num_rows
            yield batch
    stream.verify()


def first_rows(path: Path, many: int) -> list[dict[str, Any]]:
    """Return the first rows of a Parquet file as what their JSON says; its columns, if it has no row or is damaged."""
    found: list[dict[str, Any]] = []
    try:
        parquet = pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
        found = [dict.fromkeys(parquet.schema_arrow.names)]
        batch = next(parquet.iter_batches(batch_size=many, use_threads=False), None)
    except _FAULTS:
        return found
    texts = [Writer().json_of(row) for row, _ in _rows(batch)] if batch is not None else []
    return [orjson.loads(text) for text in texts if isinstance(text, bytes)] or found


def read_arrow(stream: Stream, max_record: int = MAX_RECORD) -> Iterator[Batch]:
    """Read the rows of a stream of Arrow, as those of a Parquet file; it is read through first, for the digest.

    Raises:
        SourceError: It lacks a column.
    """
    for _ in stream:
        pass
    number = 0
    with stream.file() as file, pa.ipc.open_stream(file) as reader:
        _check_columns(stream.input.name, reader.schema.names)
        for table in reader:
            yield _parquet_batch(table, number, max_record)
            number += table.num_rows
    stream.verify()


@dataclass(frozen=True, slots=True)
class _Unread:
    """A stretch of a Parquet file that is damaged: a row group, or the whole."""

    detail: str
    start: int
    stop: int

    def pieces(self, file: IO[bytes], number: int) -> Iterator[Rejected]:
        """Yield its bytes, as records that were rejected."""
        for i, at in enumerate(range(self.start, max(self.stop, self.start + 1), _PIECE)):
            data = os.pread(file.fileno(), min(_PIECE, self.stop - at), at)
            yield Rejected(number + i, number + i + 1, -1, len(data), "corrupt Parquet", self.detail, data)


def _tables(name: str, file: IO[bytes], size: int, required: Sequence[str]) -> Iterator[pa.RecordBatch | _Unread]:
    try:
        codecs = _codecs(file)
        # INT96 has room for every year, nanoseconds since 1970 for few: those would wrap.
        parquet = pq.ParquetFile(file, coerce_int96_timestamp_unit="us")
    except _FAULTS as error:
        yield _Unread(f"not a Parquet file that can be read: {_why(error)}", 0, size)
        return
    if codecs - CODECS:
        unknown, known = ", ".join(sorted(codecs - CODECS)), ", ".join(sorted(CODECS))
        message = f"{name} is compressed with {unknown}; what can be read is {known}"
        raise SourceError(message, hint="Write it again, for example with zstd.")
    _check_columns(name, parquet.schema_arrow.names, required)
    for group in range(parquet.num_row_groups):
        batches = parquet.iter_batches(batch_size=_ROWS, row_groups=[group], use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    break
                batch.validate(full=False)
            except _FAULTS as error:
                yield _Unread(f"row group {group} cannot be read on: {_why(error)}", *_stretch(file, group, size))
                break
            yield batch


def _stretch(file: IO[bytes], group: int, size: int) -> tuple[int, int]:
    """Return where a row group lies; the whole file if that is unknown."""
    with suppress(duckdb.Error):
        start, stop = _asked(file, "stretch", row_group=group)[0]
        if start is not None and 0 <= start < stop <= size:
            return start, stop
    return 0, size


def _codecs(file: IO[bytes]) -> set[str]:
    """Return the compressions in use, as far as the file says so.

    DuckDB also reads the statistics of each column, and gives up where a time among them is beyond its own range: that
    is no damage. What pyarrow cannot unpack is then found as the rows are read.
    """
    try:
        return {str(codec) for (codec,) in _asked(file, "codecs")}
    except duckdb.ConversionException:
        return set()


def _asked(file: IO[bytes], name: str, **more: object) -> list[tuple[Any, ...]]:
    """Ask about the metadata of a file.

    pyarrow ends the process where a column's metadata is damaged (26.0.1: ``metadata.row_group(0).column(0)``), while
    it reads the data of such a file with an error; DuckDB takes damage for its own, and is then of no use any more: so
    it is one for this question alone.
    """
    with duckdb.connect(config={"threads": 1}) as alone:
        part = statement("sources/parquet.sql", name)
        return alone.execute(part.text, {"file": f"/dev/fd/{file.fileno()}", **more}).fetchall()


def _why(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _parquet_batch(table: pa.RecordBatch, number: int, max_record: int) -> Batch:
    texts: list[bytes] = []
    kept: list[int] = []
    rejected: list[Rejected] = []
    earlier: dict[int, bytes] = {}
    for i, (row, before) in enumerate(_rows(table)):
        writer = Writer()
        text = writer.json_of(row)
        if isinstance(text, bytes) and len(text) > max_record:
            text = Refused(TOO_LONG, f"{len(text)} bytes as JSON, at most {max_record} are allowed", text)
        if isinstance(text, Refused):
            why = reject(number + i, number + i + 1, -1, text.reason, text.detail, text.data, max_record)
            rejected.append(replace(why, field=text.field, value=text.value))
            continue
        if (writer.decoded or before) and (was := Writer(decodes=False).json_of({**row, **before})) != text:
            earlier |= {len(texts): was} if isinstance(was, bytes) else {}
        texts.append(text)
        kept.append(number + i)
    records: Ints = np.array(kept, np.int64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    column = pa.array(texts, pa.large_binary()).cast(pa.large_string())
    return Batch(
        records, records + 1, np.full(len(texts), -1, np.int64), lengths, column, tuple(rejected), earlier=earlier
    )


def _rows(table: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each row, and what of it an earlier version read in another way."""
    names = table.schema.names
    columns: list[list[Any]] = []
    before: dict[str, list[Any]] = {}
    for name, column in zip(names, table.columns, strict=True):
        present, otherwise = values(column)
        columns.append(present)
        before |= {name: otherwise} if otherwise is not None else {}
    for i, row in enumerate(zip(*columns, strict=True)):
        now = dict(zip(names, row, strict=True))
        yield now, {name: column[i] for name, column in before.items() if column[i] != now[name]}
