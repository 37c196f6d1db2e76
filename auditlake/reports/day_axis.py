"""The days of a period across a picture: how many share a column, and which columns are labelled.

Left to right everything is a percentage of the picture's width, top to bottom it is pixels: so a picture fits any
screen and its text is never stretched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Unit = Literal["day", "week", "month", "quarter", "year"]
Width = Literal["narrow", "medium", "wide"]
"""How much room a picture needs before it scrolls instead of shrinking."""
Marks = list[tuple[int, str]]
"""Columns and their labels."""

UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CHART_COLUMNS = 400
HEAT_COLUMNS = 123
"""120 days, or as many weeks: a year fits in weeks, seven years in months."""
_MAX_TICKS = 13
_LABELLED_IN_THE_MIDDLE = 75
_LABEL = 9.0
"""The room that a label needs, per cent, where the picture is narrow."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Neighbouring days that share a column."""

    label: str
    """The day, or what stretch of days it is."""
    start: int
    """Where its days begin in the list of days."""
    stop: int
    """Where they end, exclusive."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: str
    """Where on its axis: per cent across, pixels down."""
    text_at: str
    """Where its label sits."""
    label: str
    """Its label."""
    anchor: Literal["start", "middle", "end"]
    """How the label lies to its place."""


def unit_for(days: Sequence[date], columns: int) -> Unit:
    """Return the finest unit in which the days fit into so many columns."""
    for unit in UNITS:
        if len({_key(day, unit) for day in days}) <= columns:
            return unit
    return UNITS[-1]


def bins(days: Sequence[date], unit: Unit) -> tuple[Bin, ...]:
    """Put neighbouring days of one unit together; weeks begin on Monday.

    Example:
        >>> [column.label for column in bins([date(2026, 11, 29), date(2026, 11, 30)], "week")]
        ['week of 2026-11-23', 'week of 2026-11-30']
    """
    starts = [index for index, day in enumerate(days) if index == 0 or _key(day, unit) != _key(days[index - 1], unit)]
    return tuple(
        Bin(_label(days[start], unit), start, stop)
        for start, stop in zip(starts, [*starts[1:], len(days)], strict=False)
    )


def x_ticks(columns: Sequence[Bin], days: Sequence[date]) -> tuple[Tick, ...]:
    """Label some of the columns: as fine as there is room for."""
    schemes = [_begins(columns, days, unit) for unit in UNITS]
    chosen = next((marks for marks in schemes if len(marks) <= _MAX_TICKS), schemes[-1])
    every = math.ceil(len(chosen) / _MAX_TICKS)
    middle = 0.5 if len(columns) <= _LABELLED_IN_THE_MIDDLE else 0.0
    ticks = [_x_tick((index + middle) / len(columns) * 100, label) for index, label in chosen[::every]]
    if len(ticks) > 1 and ticks[-1].anchor == "end" and _share(ticks[-1]) - _share(ticks[-2]) < _LABEL:
        ticks.pop()
    return tuple(ticks)


def per_unit(unit: Unit) -> str:
    """Return how often there is a column."""
    return "per UTC day" if unit == "day" else f"per {unit}"


def _key(day: date, unit: Unit) -> tuple[int, int]:
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


def _begins(columns: Sequence[Bin], days: Sequence[date], unit: Unit) -> Marks:
    """Return the columns in which a unit begins; the first month and every January name the year too."""
    marks: Marks = []
    for index, column in enumerate(columns):
        for day in days[column.start : column.stop]:
            if unit != "day" and _key(day, unit) == _key(date.fromordinal(max(1, day.toordinal() - 1)), unit):
                continue
            month = MONTHS[day.month - 1]
            if unit == "year":
                label = str(day.year)
            elif unit in {"day", "week"}:
                label = f"{day.day} {month}"
            else:
                label = f"{month} {day.year}" if not marks or day.month == 1 else month
            marks.append((index, label))
            break
    return marks or [(0, columns[0].label)]


def _x_tick(at: float, label: str) -> Tick:
    edge = 4.0
    if at < edge:
        return Tick(per_cent(at), per_cent(0), label, "start")
    if at > 100 - edge:
        return Tick(per_cent(at), per_cent(100), label, "end")
    return Tick(per_cent(at), per_cent(at), label, "middle")


def room(columns: int) -> Width:
    """Return how much room so many columns need."""
    return "narrow" if columns <= 31 else "medium" if columns <= HEAT_COLUMNS else "wide"


def _share(tick: Tick) -> float:
    return float(tick.at.removesuffix("%"))


def per_cent(value: float) -> str:
    """Return a place or a length across the picture."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


def pixels(value: float) -> str:
    """Return a place or a length from top to bottom."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
