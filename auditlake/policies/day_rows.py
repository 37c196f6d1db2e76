"""The rows of statements by the days that they are about, as a memory keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from auditlake.engine.arrow_rows import ArrowRows
from auditlake.engine.model import Row
from auditlake.events.times import micros
from auditlake.policies import merge
from auditlake.policies.days import DAY

_PLAIN = frozenset({int, str, bool, type(None)})
"""The types of nearly all values; JSON has them as they are."""


def day_and_rest(step: str, row: Row) -> tuple[int, list[Any]]:
    """Return the day of a row, and the rest of it as JSON values."""
    if not step.startswith("evidence"):
        day, *rest = row
        return day, [value if type(value) in _PLAIN else encoded(value) for value in rest]
    # A piece that is carried over begins with the last instant before its day.
    start = micros(row[1]) + (step == "evidence_carried")
    return start // DAY, [encoded(value) for value in row]


def days_with_more(step: str, rows: Sequence[Row], most: int) -> Collection[int]:
    """Return the days that more rows than that are about."""
    if len(rows) <= most:
        return frozenset()
    if isinstance(rows, ArrowRows):
        each_day = _days(step, rows).value_counts().to_pylist()
        return frozenset(each["values"] for each in each_day if each["counts"] > most)
    counts = Counter(day_and_rest(step, row)[0] for row in rows)
    return frozenset(day for day, number in counts.items() if number > most)


def of_others(step: str, rows: Sequence[Row], days: Collection[int]) -> Sequence[Row]:
    """Return the rows that are not of these days."""
    if not isinstance(rows, ArrowRows):
        return [row for row in rows if day_and_rest(step, row)[0] not in days]
    from pyarrow import array, compute

    return ArrowRows(rows.table.filter(compute.invert(compute.is_in(_days(step, rows), array(list(days))))))


def _days(step: str, rows: ArrowRows) -> Any:
    """Return the days of the rows of a table, without making these."""
    from pyarrow import compute

    if not step.startswith("evidence"):
        return rows.table.column(0)
    starts = rows.table.column(1).cast("int64")
    return compute.divide(compute.add(starts, int(step == "evidence_carried")), DAY)


def encoded(value: Any) -> Any:
    """Return a value as JSON has it; a number of 128 bits as text."""
    if isinstance(value, datetime):
        return {merge.AT: micros(value)}
    if isinstance(value, list | tuple):
        return [encoded(each) for each in value]
    return str(value) if isinstance(value, Decimal) else value
