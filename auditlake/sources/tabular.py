"""Tables as records: each row of Parquet or Arrow becomes a JSON object, under the names of its columns.

A row has no bytes of its own, so the JSON text counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from auditlake.engine.statements import statement
from auditlake.errors import SourceError, UnrecognisedInputError
from auditlake.events.schema import CANONICAL_FIELDS
from auditlake.sources.fields import fields_of, row_texts
from auditlake.sources.model import (
    MAX_RECORD,
    TOO_LONG,
    Batch,
    Ints,
    Rejected,
    empty_batch,
    reject,
)
from auditlake.sources.rows import Refused, Writer
from auditlake.sources.stream import Stream
from auditlake.sources.values import values

REQUIRED = ("event_type", "timestamp")
"""The columns without which a table holds no events."""
CODECS = frozenset({"UNCOMPRESSED", "SNAPPY", "ZSTD", "GZIP"})
"""The Parquet compressions that are read."""

_FAULTS = (pa.ArrowException, duckdb.Error, OSError, ValueError, TypeError, LookupError, MemoryError, OverflowError)
"""Whatever is raised by a damaged Parquet file is the file's fault."""
MANY = 64
"""From how many rows on their texts are made of whole columns."""
_PIECE = 4 * 1024 * 1024
_QUOTE, _NEWLINE = 0x22, 0x0A
_ROWS = 16 * 1024
_ROW_LINES = 64 * 1024  # over how many lines a CSV row may stretch
_TEXT = 64 * 1024 * 1024  # about how much JSON a batch has: every row of CSV has the names of all columns in it


def check_columns(name: str, columns: Sequence[str], required: Sequence[str] = REQUIRED) -> None:
    """Refuse a table that lacks a column or names one twice.

    Raises:
        UnrecognisedInputError: It lacks one.
        SourceError: It names one twice.
    """
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
    return [json.loads(text) for text in texts if isinstance(text, bytes)] or found


def read_arrow(stream: Stream, max_record: int = MAX_RECORD) -> Iterator[Batch]:
    """Read the rows of a stream of Arrow, as those of a Parquet file; it is read through first, for the digest.

    Raises:
        SourceError: It lacks a column.
    """
    for _ in stream:
        pass
    number = 0
    with stream.file() as file, pa.ipc.open_stream(file) as reader:
        check_columns(stream.input.name, reader.schema.names)
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
    check_columns(name, parquet.schema_arrow.names, required)
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
    fields = fields_of(dict(zip(table.schema.names, table.columns, strict=True)), table.num_rows, max_record)
    if fields is None:
        return _row_by_row(table, number, max_record)
    records: Ints = np.arange(number, number + table.num_rows)
    none = np.full(table.num_rows, -1, np.int64)
    return Batch(records, records + 1, none, none, partial(_texts_at, table), fields=fields)


def _texts_at(table: pa.RecordBatch, places: Sequence[int]) -> pa.LargeStringArray:
    """Return the JSON texts of some rows, none of which is refused."""
    some = table.take(pa.array(places, pa.int64()))
    if len(some) < MANY:
        return _one_by_one(some)
    texts = row_texts(dict(zip(some.schema.names, some.columns, strict=True)))
    if not texts.null_count:
        return texts
    untold = np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))
    return compute.replace_with_mask(texts, texts.is_null(), _one_by_one(some.take(pa.array(untold))))


def _one_by_one(table: pa.RecordBatch) -> pa.LargeStringArray:
    texts = [Writer().json_of(row) for row, _ in _rows(table)]
    return pa.array(texts, pa.large_binary()).cast(pa.large_string())


def _row_by_row(table: pa.RecordBatch, number: int, max_record: int) -> Batch:
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
