"""Values out of Arrow: rows as tuples of Python values, without DuckDB."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def table_rows(table: Any) -> list[tuple[Any, ...]]:
    """The rows of an Arrow table or batch as tuples; instants are aware, in UTC."""
    columns = [_values(column) for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    micros = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if value is None else EPOCH + timedelta(microseconds=value) for value in micros]
