"""Where things lie in the pictures of a page, and in that of the daily peaks.

Left to right everything is a percentage of the picture's width, top to bottom it is pixels: so a picture fits any
screen and its text is never stretched. Colours, and words that do not depend on the data, belong to the template.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from auditlake.display.text import count
from auditlake.policies.model import Number

Unit = Literal["day", "week", "month", "quarter", "year"]
Width = Literal["narrow", "medium", "wide"]
"""How much room a picture needs before it scrolls instead of shrinking."""

_Position = Callable[[Number | float], float]
"""From a measure to its height, 0 … 1."""

Marks = list[tuple[int, str]]
"""Columns and their labels."""

UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CHART_COLUMNS = 400
HEAT_COLUMNS = 123
"""120 days, or as many weeks: a year fits in weeks, seven years in months."""
_TOP = 14
_PLOT = 190
_MAX_TICKS = 13
_LABELLED_IN_THE_MIDDLE = 75
_LABEL = 9.0
"""The room that a label needs, per cent, where the picture is narrow."""
_LOG_FROM = 10
"""From this ratio between threshold and highest count on, a linear scale would hide one of them."""


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
class Bar:
    """One column of the chart, or a band over several."""

    x: str
    """Left edge, per cent."""
    y: str
    """Upper edge, pixels."""
    width: str
    """Per cent."""
    height: str
    """Pixels."""
    middle: str
    """Middle of the column, per cent."""
    over: bool
    """Whether the threshold is reached."""
    title: str
    """What the column says, in words."""


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


@dataclass(frozen=True, slots=True)
class PeakChart:
    """The daily peaks against the threshold."""

    title: str
    """What is drawn."""
    summary: str
    """What there is to see, for those who do not see it."""
    scale_note: str
    """How to read the axis and the columns, where that is not obvious; may be empty."""
    width: Width
    """How much room it needs."""
    height: str
    """Of the whole picture, pixels."""
    baseline: str
    """Where zero is, pixels."""
    label_y: str
    """Where the labels under the axis stand, pixels."""
    silent_y: str
    """Where the marks of silent days lie, pixels."""
    threshold_y: str
    """Where the threshold is, pixels."""
    threshold_label: str
    """The threshold as a number."""
    y_ticks: tuple[Tick, ...]
    """Counts, without the threshold."""
    x_ticks: tuple[Tick, ...]
    """Days."""
    bars: tuple[Bar, ...]
    """Columns with a count above zero."""
    silent: tuple[Bar, ...]
    """Columns in which no governed event happened."""
    unknown: tuple[Bar, ...]
    """Stretches without a peak: before the lake's first event, or with nothing to measure."""
    unknown_label: str
    """Which of these."""


def peak_chart(
    peaks: Sequence[tuple[date, Number | None]], threshold: Number, silent_days: frozenset[date], title: str,
    *, unknown: str = "before first event",
) -> PeakChart:  # fmt: skip
    """Lay out the daily peaks.

    Args:
        peaks: Every day of the period with its peak; None before the lake's first event.
        threshold: k.
        silent_days: Days without any governed event.
        title: What is drawn; {} in it is for "per UTC day".
        unknown: What it means that there is no peak.
    """
    days = [day for day, _ in peaks]
    unit = unit_for(days, CHART_COLUMNS)
    columns = bins(days, unit)
    known = [[peak for _, peak in peaks[each.start : each.stop] if peak is not None] for each in columns]
    values = [max(column, default=None) for column in known]
    mute = [all(day in silent_days for day in days[column.start : column.stop]) for column in columns]
    silent = [is_mute and value is not None for is_mute, value in zip(mute, values, strict=True)]
    highest = max((value or 0 for value in values), default=0)
    top = float(highest) if highest > 0 else 1.0
    limit = max(float(threshold), 0.0)
    position, logarithmic = _scale(top, limit)
    base = _TOP + _PLOT
    bars = [
        _bar(number, len(columns), _height(position(value)), f"{column.label}: {value:,}", over=value >= threshold)
        for number, (column, value) in enumerate(zip(columns, values, strict=True))
        if value and value > 0
    ]
    return PeakChart(
        title=title.replace("{}", per(unit), 1),
        summary=_peaks_summary(peaks, threshold),
        scale_note=_scale_note(unit, logarithmic=logarithmic),
        width=room(len(columns)),
        height=str(base + 34),
        baseline=_px(base),
        label_y=str(base + 24),
        silent_y=str(base + 3),
        threshold_y=_px(_height(position(limit))),
        threshold_label=f"{threshold:,}",
        y_ticks=_y_ticks(top, limit, position, logarithmic=logarithmic),
        x_ticks=x_ticks(columns, days),
        bars=tuple(bars),
        silent=_bands(columns, silent, "no governed event"),
        unknown=_bands(columns, [value is None for value in values], unknown),
        unknown_label=unknown,
    )


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


def per(unit: Unit) -> str:
    """Return what a column stands for, to be put after what is counted."""
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
        return Tick(pc(at), pc(0), label, "start")
    if at > 100 - edge:
        return Tick(pc(at), pc(100), label, "end")
    return Tick(pc(at), pc(at), label, "middle")


def _scale(top: float, threshold: float) -> tuple[_Position, bool]:
    """Map a count to 0 … 1 so that the highest count and the threshold can both be seen."""
    end = max(top, threshold)
    if not threshold or end / min(top, threshold) <= _LOG_FROM:
        limit = end * 1.08
        return (lambda value: float(value) / limit), False
    span = math.log10(1 + end) * 1.05
    return (lambda value: math.log10(1 + float(value)) / span), True


def _scale_note(unit: Unit, *, logarithmic: bool) -> str:
    column = "" if unit == "day" else f"Each column is the highest of the daily peaks of one {unit}. "
    scale = "The scale is logarithmic, so that the counts and the threshold can both be seen." if logarithmic else ""
    return (column + scale).rstrip()


def _y_ticks(top: float, threshold: float, position: _Position, *, logarithmic: bool) -> tuple[Tick, ...]:
    end = max(top, threshold)
    values: list[Number]
    if logarithmic:
        decades = [10**power for power in range(len(str(math.ceil(end)))) if 10**power <= end]
        values = [0, *decades[:: math.ceil(len(decades) / 5)]]
    else:
        sizes = (Decimal(10) ** power * times for power in range(-6, 40) for times in (1, 2, 5))
        step = next(size for size in sizes if end <= 5 * size and (size >= 1 or end < 1))
        steps = (step * number for number in range(math.floor(Decimal(end) / step) + 1))
        values = [int(value) if value == int(value) else value for value in steps]
    limit = position(threshold)
    close = 15 / _PLOT
    return tuple(
        Tick(_px(_height(position(value))), _px(_height(position(value))), f"{value:,}", "end")
        for value in values
        if abs(position(value) - limit) > close
    )


def _height(position: float) -> float:
    return _TOP + _PLOT * (1 - position)


def _bar(number: int, total: int, y: float, title: str, *, over: bool) -> Bar:
    column = 100 / total
    width = min(column if total > HEAT_COLUMNS else 0.78 * column, 6.0)
    middle = (number + 0.5) * column
    base = _TOP + _PLOT
    height = max(base - y, 1.0)
    full_title = f"{title}, threshold reached" if over else title
    return Bar(pc(middle - width / 2), _px(base - height), pc(width), _px(height), pc(middle), over, full_title)


def _bands(columns: Sequence[Bin], flags: Sequence[bool], what: str) -> tuple[Bar, ...]:
    """Return neighbouring columns for which the flag is set, as bands over the whole plot."""
    edges = [at for at, (before, here) in enumerate(pairwise([False, *flags, False])) if before != here]
    share = 100 / len(columns)
    bands = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        first, last = columns[start].label, columns[stop - 1].label
        title = f"{first}: {what}" if start + 1 == stop else f"{first} to {last}: {what}"
        place = pc(start * share), _px(_TOP), pc((stop - start) * share), _px(_PLOT), pc((start + stop) / 2 * share)
        bands.append(Bar(*place, over=False, title=title))
    return tuple(bands)


def _peaks_summary(peaks: Sequence[tuple[date, Number | None]], threshold: Number) -> str:
    known = [(peak, day) for day, peak in peaks if peak is not None]
    if not known:
        return "The lake holds no event in or before this period, so there is no count to show."
    highest, when = max(known, key=lambda pair: pair[0])
    reached = sum(peak >= threshold for peak, _ in known)
    often = f"on {reached:,} of {count(len(peaks), 'day')}" if reached else "on no day"
    return f"The highest count is {highest:,}, on {when}. The threshold of {threshold:,} is reached {often}."


def room(columns: int) -> Width:
    """Return how much room so many columns need."""
    return "narrow" if columns <= 31 else "medium" if columns <= HEAT_COLUMNS else "wide"


def _share(tick: Tick) -> float:
    return float(tick.at.removesuffix("%"))


def pc(value: float) -> str:
    """Return a place or a width across."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


def _px(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
