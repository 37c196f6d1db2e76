"""Values out of DuckDB through Arrow: exactly as they are, as exact text, or refused; never another value.

Arrow has no place for some of DuckDB's types, and DuckDB hands them over as something else: a UHUGEINT wraps, a time
loses its zone, a BIT or BIGNUM becomes bytes. Columns of these are cast to text first. Others have values that Arrow or
Python takes for something else: a number of more than 38 digits, infinity, 24:00. Those are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

from auditlake.engine.sql_text import identifier
from auditlake.errors import QueryError
from auditlake.events.times import EPOCH

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

HINT = "cast it to varchar in the query"
"""What to do about a value that is refused."""

_AS_IS = frozenset({
    "boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "hugeint",
    "float", "double", "decimal", "varchar", "uuid", "enum", "blob", "null", "date", "time", "timestamp", "timestamp_s",
    "timestamp_ms", "timestamp_ns", "timestamp with time zone", "timestamptz_ns",
})  # fmt: skip
"""The types that Arrow has; all others become text, new types of DuckDB among them."""
_DIGITS = 10**38
_AT_ONCE = 10_000
_DAY = 86_400_000_000
_FOREVER = {32: (1 << 31) - 1, 64: (1 << 63) - 1}
"""What DuckDB counts infinity as, and with a minus its opposite, by the bits of the type."""


def exact(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return the relation, with the columns that Arrow would change as text."""
    kinds = [_exact_kind(kind) for kind in relation.types]
    if not any(kinds):
        return relation
    return relation.project(
        ", ".join(
            f"{f'cast(#{i} as {kind})' if kind else f'#{i}'} as {identifier(name)}"
            for i, (kind, name) in enumerate(zip(kinds, relation.columns, strict=True), 1)
        )
    )


def _exact_kind(kind: Any) -> str | None:
    """Return the type to cast to, so that Arrow has it; None if it has it already."""
    if kind.id in _AS_IS:
        return None
    if kind.id not in {"list", "array", "struct", "map", "tuple"}:
        return "varchar"
    children = dict(kind.children)
    size = children.pop("size", None) if kind.id == "array" else None
    if not any(_exact_kind(child) for name, child in kind.children if name != "size" or kind.id != "array"):
        return None
    if kind.id == "tuple":
        return "varchar"
    named = {name: _exact_kind(child) or str(child) for name, child in children.items()}
    if kind.id == "struct":
        return f"struct({', '.join(f'{identifier(name)} {child}' for name, child in named.items())})"
    if kind.id == "map":
        return f"map({', '.join(named.values())})"
    (inner,) = named.values()
    return f"{inner}[{size or ''}]"


def inexact(table: pa.Table | pa.RecordBatch) -> str | None:
    """Say which column has a value that would be taken for another one, and what it is; None if none has."""
    import pyarrow as pa

    for name, column in zip(table.schema.names, table.columns, strict=True):
        for array in column.chunks if isinstance(column, pa.ChunkedArray) else (column,):
            if why := next(_inexact(array), None):
                return f"the column {name[:80]!r} has {why}; {HINT}"
    return None


def refuse_inexact(table: Any) -> Any:
    """Return the table unless a value of it would be taken for another one.

    Raises:
        QueryError: It has a value that would be taken for another one.
    """
    if why := inexact(table):
        raise QueryError(f"the answer cannot be given as it is: {why}")
    return table


def _inexact(array: Any) -> Iterator[str]:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_map(kind):
        yield from _inexact(array.keys)
        yield from _inexact(array.items)
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            yield from _inexact(child)
    elif pa.types.is_nested(kind):
        yield from _inexact(array.flatten())
    elif pa.types.is_decimal128(kind) and kind.scale == 0 and kind.precision == 38:
        least, most = _range(array)
        if least <= -_DIGITS or most >= _DIGITS:
            yield "a number of more than 38 digits"
    elif pa.types.is_time64(kind):
        if _range(array.view(pa.int64()))[1] >= _DAY:
            yield "the time 24:00:00"
    elif pa.types.is_timestamp(kind) or pa.types.is_date32(kind):
        least, most = _range(array.view(pa.int32() if kind.bit_width == 32 else pa.int64()))
        if max(-least, most) >= _FOREVER[kind.bit_width]:
            yield "infinity for a time"


def _range(array: Any) -> tuple[Any, Any]:
    """Return the least and the greatest value; zeros if there is none."""
    import pyarrow.compute as pc

    ends = pc.min_max(array)
    return ends["min"].as_py() or 0, ends["max"].as_py() or 0


def table_rows(table: Any) -> list[tuple[Any, ...]]:
    """Return the rows of an Arrow table or batch as tuples; instants are aware, in UTC.

    Raises:
        OverflowError: Python has no such value, as for a date of the year 10000.
        pyarrow.ArrowException: The same.
    """
    columns = [values(column) for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


class ArrowRows(Sequence[tuple[Any, ...]]):
    """The rows of an Arrow table as :func:`table_rows` gives them, each made when it is looked at.

    Args:
        table: The table.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, place: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, place: slice) -> list[tuple[Any, ...]]: ...
    def __getitem__(self, place: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        """Return one row, or some."""
        if isinstance(place, slice):
            begin, end, step = place.indices(len(self))
            return table_rows(self.table.slice(begin, max(end - begin, 0)))[::step] if step > 0 else list(self)[place]
        at = range(len(self))[place]
        (row,) = table_rows(self.table.slice(at, 1))
        return row

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for begin in range(0, len(self), _AT_ONCE):
            yield from table_rows(self.table.slice(begin, _AT_ONCE))


def values(column: Any) -> list[Any]:
    """Return the values of an Arrow column; instants are aware, in UTC. Arrow's own way to these is far slower, and
    imports pandas where it is installed.

    Raises:
        OverflowError: Python has no such value.
        pyarrow.ArrowException: The same.
    """
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        try:
            listed: list[Any] = column.to_pylist()
        except ValueError as error:  # as for nanoseconds within a list
            raise OverflowError(str(error)) from error
        return listed
    micros = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if value is None else EPOCH + timedelta(microseconds=value) for value in micros]


def python_rows(table: Any) -> list[tuple[Any, ...]]:
    """Return the rows of an Arrow table as :func:`table_rows` gives them.

    Raises:
        QueryError: Python has no such value.
    """
    import pyarrow as pa

    try:
        return table_rows(table)
    except (OverflowError, pa.ArrowException) as error:
        message = f"the answer has a value that Python has not: {error}"
        raise QueryError(message, hint=f"{HINT}, or take .arrow()") from error


def polars_frame(table: Any) -> pl.DataFrame:
    """Return an Arrow table as a Polars frame, without copying where Polars can use Arrow's memory."""
    import polars  # noqa: ICN001 - slow to import

    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame)
    return frame


def pandas_frame(table: Any, **options: Any) -> pd.DataFrame:
    """Return an Arrow table as a pandas frame; needs pandas installed.

    Raises:
        QueryError: It is not installed, or has no such value.
    """
    import pyarrow as pa

    try:
        frame: pd.DataFrame = table.to_pandas(**options)
    except ImportError as error:
        raise QueryError("pandas is not installed", hint="pip install pandas, or use .pl() or .arrow()") from error
    except (ValueError, OverflowError, pa.ArrowException) as error:
        message = f"the answer has a value that pandas has not: {' '.join(str(error).split())}"
        raise QueryError(message, hint=f"{HINT}, or take .arrow()") from error
    return frame
