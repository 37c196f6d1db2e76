"""Days put together to weeks, months, quarters or years: the columns of a picture that has no room for each day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Unit = Literal["day", "week", "month", "quarter", "year"]
UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Bin:
    """Neighbouring days that share a column."""

    label: str
    """The day, or what stretch of days it is."""
    start: int
    """Where its days begin in the list of days."""
    stop: int
    """Where they end, exclusive."""


def unit_for(days: Sequence[date], columns: int) -> Unit:
    """Return the finest unit in which the days fit into so many columns."""
    for unit in UNITS:
        if len({key_of(day, unit) for day in days}) <= columns:
            return unit
    return UNITS[-1]


def bins(days: Sequence[date], unit: Unit) -> tuple[Bin, ...]:
    """Put neighbouring days of one unit together; weeks begin on Monday.

    Example:
        >>> [column.label for column in bins([date(2026, 11, 29), date(2026, 11, 30)], "week")]
        ['week of 2026-11-23', 'week of 2026-11-30']
    """
    starts = [
        index for index, day in enumerate(days) if index == 0 or key_of(day, unit) != key_of(days[index - 1], unit)
    ]
    return tuple(
        Bin(_label(days[start], unit), start, stop)
        for start, stop in zip(starts, [*starts[1:], len(days)], strict=False)
    )


def key_of(day: date, unit: Unit) -> tuple[int, int]:
    """Return what a day has in common with the others of its unit."""
    keys = {
        "day": (day.toordinal(), 0),
        "week": ((day.toordinal() - 1) // 7, 0),
        "month": (day.year, day.month),
        "quarter": (day.year, (day.month + 2) // 3),
        "year": (day.year, 0),
    }
    return keys[unit]


def _label(day: date, unit: Unit) -> str:
    monday = date.fromordinal(max(1, day.toordinal() - day.weekday()))
    labels = {
        "day": day.isoformat(),
        "week": f"week of {monday.isoformat()}",
        "month": f"{MONTHS[day.month - 1]} {day.year}",
        "quarter": f"Q{(day.month + 2) // 3} {day.year}",
        "year": str(day.year),
    }
    return labels[unit]
