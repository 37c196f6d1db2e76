"""Values of any type as cells of CSV and as JSON: whole columns where Arrow or the engine can, else one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from auditlake.display.text import visible
from auditlake.engine.arrow_rows import python_rows
from auditlake.events.times import print_instant

if TYPE_CHECKING:
    import pyarrow as pa

    Convert = Callable[[pa.Array], pa.Array]


def plain_value(value: Any) -> Any:
    """Return a value as JSON has it: instants, dates, decimals, bytes and numbers that JSON lacks as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return print_instant(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return str(value)


def cell_text(value: Any) -> str:
    """Return a value as the text of a cell."""
    spelled = plain_value(value)
    return spelled if isinstance(spelled, str) else json.dumps(spelled, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of the few types that the engine makes lines of."""

    schema: pa.Schema
    ready: frozenset[str]
    """The columns whose texts are cells, or JSON, already."""
    batches: Iterator[pa.RecordBatch]


def columns_for(reader: pa.RecordBatchReader, names: Sequence[str], *, form: str, on_terminal: bool = False) -> Columns:
    """Return rows as the engine makes lines of them.

    Args:
        reader: The rows.
        names: The names that the columns get, each another.
        form: ``csv`` or ``json``.
        on_terminal: Whether to spell out in texts what a terminal would act on.
    """
    import pyarrow as pa

    plans = [_plan(kind, form) for kind in reader.schema.types]
    if on_terminal:
        shown = (pa.string(), lambda column: _one_by_one(column, visible), False)
        plans = [
            shown if pa.types.is_string(kind) else plan for kind, plan in zip(reader.schema.types, plans, strict=True)
        ]
    schema = pa.schema([pa.field(name, kind) for name, (kind, _, _) in zip(names, plans, strict=True)])
    ready = frozenset(name for name, (_, _, is_ready) in zip(names, plans, strict=True) if is_ready)

    def converted() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = [convert(column) for column, (_, convert, _) in zip(batch.columns, plans, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return Columns(schema, ready, converted())


def _plan(kind: pa.DataType, form: str) -> tuple[pa.DataType, Convert, bool]:
    """Return what a column becomes, how, and whether it is ready then."""
    import pyarrow as pa
    from pyarrow import types

    def cast_to(target: pa.DataType) -> Convert:
        return lambda column: column.cast(target)

    if types.is_string(kind) or types.is_boolean(kind) or types.is_integer(kind) or types.is_float64(kind):
        return kind, lambda column: column, False
    if types.is_floating(kind):
        return pa.float64(), cast_to(pa.float64()), False
    if types.is_timestamp(kind):
        return (target := pa.timestamp("us", kind.tz)), lambda column: _of_python(column, target), False
    if types.is_date32(kind):
        return kind, lambda column: _of_python(column, kind), False
    if types.is_decimal(kind):  # Arrow spells them as Python does
        return pa.string(), cast_to(pa.string()), form == "csv"
    if types.is_dictionary(kind) or types.is_null(kind):
        return pa.string(), cast_to(pa.string()), False
    spell = cell_text if form == "csv" else lambda value: json.dumps(plain_value(value))
    return pa.string(), lambda column: _one_by_one(column, spell), form == "json"


def _of_python(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return days or instants, all of which Python has too: a year of five digits is a mistake rather than an answer.

    Raises:
        QueryError: Python has not all of them.
    """
    import pyarrow as pa
    from pyarrow import compute

    try:
        column = column.cast(kind)
    except pa.ArrowException:
        python_rows(pa.table({"value": column}))
        raise
    ends = compute.min_max(column)
    python_rows(pa.table({"value": pa.array([ends["min"], ends["max"]], kind)}))
    return column


def _one_by_one(column: pa.Array, spell: Callable[[Any], str]) -> pa.Array:
    import pyarrow as pa

    values = (value for (value,) in python_rows(pa.table({"value": column})))
    return pa.array([None if value is None else spell(value) for value in values], pa.string())
