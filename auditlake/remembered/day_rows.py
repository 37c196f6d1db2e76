"""The rows of statements by the days that they are about, as a memory keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import compress
from typing import Any

import numpy as np

from auditlake.engine.arrow_rows import ArrowRows
from auditlake.engine.model import Row
from auditlake.remembered import merge
from auditlake.remembered.parts import DAY, micros


def day_and_rest(step: str, row: Row) -> tuple[int, list[Any]]:
    """Return the day of a row, and the rest of it as JSON values."""
    if not step.startswith("evidence"):
        day, *rest = row
        return day, [encoded(value) for value in rest]
    # A piece that is carried over begins with the last instant before its day.
    start = micros(row[1]) + (step == "evidence_carried")
    return start // DAY, [encoded(value) for value in row]


def days_of(step: str, rows: Sequence[Row]) -> Any:
    """Return the days of rows, without making those of a table."""
    if not isinstance(rows, ArrowRows):
        return np.array([day_and_rest(step, row)[0] for row in rows], np.int64)
    if not step.startswith("evidence"):
        return rows.table.column(0).to_numpy()
    return (rows.table.column(1).cast("int64").to_numpy() + (step == "evidence_carried")) // DAY


def of_others(step: str, rows: Sequence[Row], days: Any) -> Sequence[Row]:
    """Return the rows that are not of these days."""
    others = ~np.isin(days_of(step, rows), days)
    return ArrowRows(rows.table.take(others.nonzero()[0])) if isinstance(rows, ArrowRows) else [*compress(rows, others)]


def encoded(value: Any) -> Any:
    """Return a value as JSON has it; a number of 128 bits as text."""
    if isinstance(value, datetime):
        return {merge.AT: micros(value)}
    if isinstance(value, list | tuple):
        return [encoded(each) for each in value]
    return str(value) if isinstance(value, Decimal) else value
