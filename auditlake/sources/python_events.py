"""Events made in Python as inputs: AuditEvents and mappings as lines of JSON, tables as streams of Arrow, all in files.

Each becomes what the same record in a file would become, so it is written to a file and read like one: a caller's
generator may give more than memory holds, and a record can be read again. A mapping that is no JSON object becomes a
line that is no UTF-8 either: it carries the reason, which :func:`with_reasons` puts back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import NoneType
from typing import IO, Any, Literal, Protocol, TypeAlias, cast
from uuid import UUID

import numpy as np
import orjson
import pyarrow as pa

from auditlake.errors import EventError
from auditlake.events.event import WHOLE_NUMBERS, AuditEvent, is_plain
from auditlake.events.times import print_instant, utc
from auditlake.sources.model import KEPT, NOT_A_ROW, TOO_DEEP, Batch, InputFile, Rejected
from auditlake.sources.refused import cut
from auditlake.sources.rows import Refused, Writer, shown_row
from auditlake.sources.values import values


class ArrowTable(Protocol):
    """A table that gives its rows to Arrow: of Polars, pandas, pyarrow, DuckDB or a lake, or a record batch reader."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as a stream of Arrow's C interface."""


Record: TypeAlias = AuditEvent | Mapping[str, Any]
"""One event."""
Made: TypeAlias = Record | ArrowTable | Iterable[Record]
"""What :meth:`auditlake.AuditLake.ingest` takes besides paths."""

_MARK = b"\xff"
"""Begins a line that holds a refused record, and ends its reason; no text in UTF-8 has this byte."""
_ROWS = 16 * 1024
_AS_IS = frozenset((str, bool, float, bytes, NoneType))
_AS_TEXT = (Decimal, date, time, timedelta, UUID, IPv4Address, IPv6Address)


@dataclass(frozen=True, slots=True)
class PythonInput(InputFile):
    """A file of events made in Python."""

    format: Literal["lines", "arrow"] = "lines"
    """How it is read, unless a source recognises its lines as something else."""
    is_own: bool = False
    """Whether each record was an AuditEvent, so that no source needs to be asked whether it knows them."""


class _UnfitError(Exception):
    """A value that JSON cannot say; its arguments are the place and the reason."""


def write_inputs(made: Iterable[object], spool: Path) -> list[PythonInput]:
    """Write events made in Python to files in a folder: one file of all records, and one for each table.

    Raises:
        EventError: An argument is neither an event nor a table nor several events, or a table cannot be read.
    """
    arguments = [(each, _table(each)) for each in made]
    records = [each for each, table in arguments if table is None]
    files = []
    if records:
        with _file(spool, ".jsonl") as file:
            is_own = True
            for record in (record for each in records for record in _each(each)):
                is_own = is_own and isinstance(record, AuditEvent)
                file.write(_line_of(record) + b"\n")
            files.append(PythonInput("python", Path(file.name), is_own=is_own))
    for table in (table for _, table in arguments if table is not None):
        name = f"python {len(files) + 1}" if files else "python"
        with _file(spool, ".arrow") as file:
            kind = _write_table(table, file)
            files.append(PythonInput(name, Path(file.name), format=kind))
    return files


def with_reasons(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Give the records that were refused as they were written down their own reasons."""
    for batch in batches:
        yield replace(batch, rejected=tuple(map(_unmarked, batch.rejected))) if batch.rejected else batch


def shown_line(record: Mapping[Any, Any]) -> bytes:
    """Return a mapping as a line of JSON; what JSON cannot say stands in it as Python shows it."""
    line = _line(record)
    return shown_row(record, _described).replace(b"\n", b" ") if line.startswith(_MARK) else line


def _file(spool: Path, suffix: str) -> IO[bytes]:
    return NamedTemporaryFile(dir=spool, prefix="events-", suffix=suffix, delete=False)


# Records


def _each(argument: object) -> Iterable[object]:
    """Return the events of an argument."""
    is_one = isinstance(argument, AuditEvent | Mapping | str | bytes) or not isinstance(argument, Iterable)
    return (argument,) if is_one else cast("Iterable[object]", argument)


def _line_of(record: object) -> bytes:
    if isinstance(record, AuditEvent):
        return record.to_json().encode()
    if isinstance(record, Mapping):
        return _line(record)
    message = (
        "expected a path, an AuditEvent, a mapping of its fields, several of these, or a table of Polars, "
        f"pandas or Arrow, got {type(record).__name__}"
    )
    raise EventError(message, hint="give each path as an argument of its own")


def _line(record: Mapping[Any, Any]) -> bytes:
    """Return a mapping as JSON, as a row of a Parquet file would be; or the line that says why it is refused."""
    try:
        row = {_key(key): _value(value, key) for key, value in record.items()}
        for key, value in row.items():
            if isinstance(value, datetime):
                row[key] = _instant(value)
        written = Writer().json_of(row)
    except _UnfitError as error:
        place, detail = error.args
        written = Refused(
            NOT_A_ROW, f"{place}: {detail}"[:KEPT], shown_row(record, _described), place.partition(".")[0]
        )
    except RecursionError:
        written = Refused(TOO_DEEP, "", shown_row(record, _described))
    except Exception as error:  # noqa: BLE001 - keys and values may be of any class of the caller
        written = Refused(NOT_A_ROW, f"{type(error).__name__}: {error}"[:KEPT], shown_row(record, _described))
    return written if isinstance(written, bytes) else _marked(written)


def _key(key: object, place: str = "the event") -> str:
    if not isinstance(key, str):
        raise _UnfitError(place, f"expected text as a key, got {key!r:.60}")
    return str(key)


def _value(value: Any, place: str) -> Any:
    """Return a value as JSON has it, numbers digit for digit, or as the writer of rows takes it.

    Raises:
        _UnfitError: There is no such value.
    """
    kind = type(value)
    if kind in _AS_IS or (kind is dict and is_plain(value)):
        return value
    if isinstance(value, Enum):
        return _value(value.value, place)
    if isinstance(value, int):
        return int(value) if int(value) in WHOLE_NUMBERS else orjson.Fragment(_digits(value, place))
    if isinstance(value, Mapping):
        return {_key(key, place): _value(each, f"{place}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_value(each, place) for each in value]
    if _is_missing(value):
        return None
    if isinstance(value, datetime):
        if getattr(value, "nanosecond", 0):
            return value.isoformat()
        return value if kind is datetime else datetime.combine(value.date(), value.timetz())  # as Python's own
    if isinstance(value, np.generic | np.ndarray):
        return f"{value}Z" if isinstance(value, np.datetime64) else _value(value.tolist(), place)
    if isinstance(value, _AS_TEXT):
        return str(value)
    for base in (str, float, bytes):
        if isinstance(value, base):
            return base(value)  # type: ignore[arg-type]
    raise _UnfitError(place, f"expected what JSON can say, got {kind.__name__}")


def _digits(number: int, place: str) -> str:
    try:
        return str(number)
    except ValueError as error:
        raise _UnfitError(place, str(error)) from error


def _is_missing(value: Any) -> bool:
    """Say whether pandas or NumPy marks a missing value with it; neither is imported for that."""
    return type(value).__name__ in {"NAType", "NaTType"} or (isinstance(value, np.datetime64) and bool(np.isnat(value)))


def _instant(value: datetime) -> str:
    try:
        return print_instant(utc(value))
    except OverflowError:
        return value.isoformat()


def _described(value: object) -> str:
    try:
        return value.isoformat() if isinstance(value, date | time) else repr(value)
    except Exception:  # noqa: BLE001 - it is the caller's class
        return f"<{type(value).__name__}>"


# Refused records


def _marked(refused: Refused) -> bytes:
    data = refused.data.replace(b"\n", b" ")
    # JSON in UTF-8 cannot have halves of surrogate pairs.
    texts = (
        cut(each).encode("utf-8", "backslashreplace").decode()
        for each in (refused.detail, refused.field, refused.value)
    )
    why = [refused.reason, *texts, len(data)]
    return b"".join((_MARK, orjson.dumps([*why, sha256(data).hexdigest()]), _MARK, data[:KEPT]))


def _unmarked(rejected: Rejected) -> Rejected:
    if not rejected.data.startswith(_MARK):
        return rejected
    why, _, data = rejected.data[1:].partition(_MARK)
    reason, detail, field, value, length, digest = orjson.loads(why)
    return replace(
        rejected, reason=reason, detail=detail, field=field, value=value, length=length, data=data,
        sha256=digest if len(data) < length else None,
    )  # fmt: skip


# Tables


def _table(argument: Any) -> ArrowTable | Iterator[dict[str, Any]] | None:
    """Return an argument that is a table as one for Arrow, or row by row where Arrow would change values; else None."""
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(argument, pandas.DataFrame):
        return _pandas_table(argument, pandas)
    if polars is not None and isinstance(argument, polars.DataFrame) and polars.Object in argument.dtypes:
        rows: Iterator[dict[str, Any]] = argument.iter_rows(named=True)
        return rows
    is_table = hasattr(argument, "__arrow_c_stream__") and not isinstance(argument, type | Mapping)
    return argument if is_table else None


def _write_table(table: ArrowTable | Iterator[dict[str, Any]], file: IO[bytes]) -> Literal["lines", "arrow"]:
    with _convertible(table):
        if not hasattr(table, "__arrow_c_stream__"):
            file.writelines(_line(row) + b"\n" for row in table)
            return "lines"
        with pa.RecordBatchReader.from_stream(table) as reader, pa.ipc.new_stream(file, reader.schema) as writer:
            for batch in reader:
                for start in range(0, batch.num_rows, _ROWS):
                    writer.write_batch(batch.slice(start, _ROWS))
    return "arrow"


@contextmanager
def _convertible(table: Any) -> Iterator[None]:
    """Raise an EventError where Arrow has no type for something in a table."""
    try:
        yield
    except (pa.ArrowException, TypeError, ValueError) as error:
        message = f"a {type(table).__name__} cannot be read as a table: {str(error).partition(chr(10))[0][:200]}"
        raise EventError(message, hint="cast its columns to types that Arrow has, or give its rows as dicts") from error


def _pandas_table(frame: Any, pandas: Any) -> ArrowTable | Iterator[dict[str, Any]]:
    """Return a frame without the index that only counts its rows; row by row where a column has Python's objects."""
    if named := [name for name in frame.index.names if name is not None]:
        frame = frame.reset_index(level=named)
    if not frame.columns.is_unique:
        raise EventError(f"column {frame.columns[frame.columns.duplicated()][0]} is there twice")
    objects = {
        name
        for name, kind in frame.dtypes.items()
        if str(kind) == "object" and pandas.api.types.infer_dtype(frame[name], skipna=True) not in {"string", "empty"}
    }
    if not objects:
        with _convertible(frame):
            table: ArrowTable = pa.Table.from_pandas(frame, preserve_index=False)
        return table
    return _pandas_rows(frame, objects, pandas)


def _pandas_rows(frame: Any, objects: set[Any], pandas: Any) -> Iterator[dict[str, Any]]:
    """Give each row; a column of objects as they are, so that no dict gets the keys of another."""
    for start in range(0, len(frame), _ROWS):
        part = frame.iloc[start : start + _ROWS]
        columns = [
            [None if pandas.api.types.is_scalar(each) and pandas.isna(each) else each for each in part[name]]
            if name in objects
            else values(pa.array(part[name], from_pandas=True))[0]
            for name in part.columns
        ]
        for row in zip(*columns, strict=True):
            yield dict(zip(map(str, part.columns), row, strict=True))
