"""Where things lie in the page's two pictures: the daily peaks and the coverage heat map.

Left to right everything is a percentage of the picture's width, top to bottom it is pixels: so a picture fits any
screen and its text is never stretched. Colours, and words that do not depend on the data, belong to the template.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
HEAT_ROWS = 36
"""More rows are several pictures, of which each fits a page of paper."""

_TOP = 14
_PLOT = 190
_ROW = 22
_CELL = 18
_MAX_TICKS = 13
_LABELLED_IN_THE_MIDDLE = 75
_LEVELS = 5
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


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One type in one column of days."""

    x: str
    """Left edge, per cent."""
    width: str
    """Per cent."""
    level: str
    """``0`` to ``5``, or ``unknown``."""
    title: str
    """What the cell says, in words."""


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One required type."""

    y: str
    """Upper edge of its cells, pixels."""
    dash_y: str
    """Where the dash of a cell without events lies, pixels."""
    cells: tuple[HeatCell, ...]
    """Its cells, oldest first."""


@dataclass(frozen=True, slots=True)
class HeatLevel:
    """An entry of the heat map's legend."""

    level: str
    """As in :class:`HeatCell`."""
    label: str
    """Which counts it stands for."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Events by required type and day."""

    id: str
    """What its parts are called on the page."""
    title: str
    """What is drawn."""
    summary: str
    """What there is to see, for those who do not see it."""
    width: Width
    """How much room it needs."""
    height: str
    """Of the whole picture, pixels."""
    label_y: str
    """Where the labels under the rows stand, pixels."""
    cell_height: str
    """Pixels."""
    rows: tuple[HeatRow, ...]
    """In the order of the types given."""
    x_ticks: tuple[Tick, ...]
    """Days."""
    legend: tuple[HeatLevel, ...]
    """What the levels mean, lowest first."""


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
        title=title.replace("{}", _per(unit), 1),
        summary=_peaks_summary(peaks, threshold),
        scale_note=_scale_note(unit, logarithmic=logarithmic),
        width=_room(len(columns)),
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


def heat_maps(
    types: Sequence[str], days: Sequence[date], counts: Mapping[str, Sequence[int]], first_event_day: date | None
) -> tuple[HeatMap, ...]:
    """Lay out the heat map: in several pictures of one scale, each of :data:`HEAT_ROWS` types, where there are many.

    Args:
        types: The required types in the order of the rows.
        days: Every day of the period.
        counts: Type to its events on each of ``days``.
        first_event_day: The day of the lake's first event; what lies before is unknown, not zero.
    """
    unit = unit_for(days, HEAT_COLUMNS)
    columns = bins(days, unit)
    sums = {name: [sum(counts[name][column.start : column.stop]) for column in columns] for name in types}
    unknown = [first_event_day is None or days[column.stop - 1] < first_event_day for column in columns]
    bounds = level_bounds([value for row in sums.values() for value in row if value])
    starts = range(0, len(types) or 1, HEAT_ROWS)
    return tuple(
        HeatMap(
            id="heat" if len(starts) == 1 else f"heat-{number}",
            title=f"Events by required type {_per(unit)}" + (f", {number} of {len(starts)}" if len(starts) > 1 else ""),
            summary=f"{count(len(some), 'row')}, one for each required type, one column {_per(unit)}. "
            "The table of required types says the same in numbers.",
            width=_room(len(columns)),
            height=str(_ROW * len(some) + 30),
            label_y=str(_ROW * len(some) + 20),
            cell_height=str(_CELL),
            rows=tuple(_heat_row(at, sums[name], columns, unknown, bounds) for at, name in enumerate(some)),
            x_ticks=x_ticks(columns, days),
            legend=_legend(bounds, unknown=any(unknown)),
        )
        for number, some in enumerate((types[at : at + HEAT_ROWS] for at in starts), 1)
    )


def _heat_row(
    number: int, values: Sequence[int], columns: Sequence[Bin], unknown: Sequence[bool], bounds: tuple[int, ...]
) -> HeatRow:
    return HeatRow(
        y=str(_ROW * number + (_ROW - _CELL) // 2),
        dash_y=str(_ROW * number + _ROW // 2 - 1),
        cells=tuple(
            _cell(index, len(columns), column.label, value, bounds, unknown=unseen)
            for index, (column, value, unseen) in enumerate(zip(columns, values, unknown, strict=True))
        ),
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


def level_bounds(values: Sequence[int]) -> tuple[int, ...]:
    """Return the lowest count of each level of the heat map, at most five, in round numbers that span the values.

    Example:
        >>> level_bounds([3, 843]), level_bounds([7000, 90000])
        ((2, 10, 50, 100, 500), (5000, 10000, 20000, 50000))
    """
    steps = [step * 10**power for power in range(20) for step in (1, 2, 5)]
    steps = [step for step, above in pairwise(steps) if values and step <= max(values) and above > min(values)]
    return tuple(steps if len(steps) <= _LEVELS else (steps[round(at * (len(steps) - 1) / 4)] for at in range(_LEVELS)))


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


def _per(unit: Unit) -> str:
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
        return Tick(_pc(at), _pc(0), label, "start")
    if at > 100 - edge:
        return Tick(_pc(at), _pc(100), label, "end")
    return Tick(_pc(at), _pc(at), label, "middle")


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
    return Bar(_pc(middle - width / 2), _px(base - height), _pc(width), _px(height), _pc(middle), over, full_title)


def _bands(columns: Sequence[Bin], flags: Sequence[bool], what: str) -> tuple[Bar, ...]:
    """Return neighbouring columns for which the flag is set, as bands over the whole plot."""
    edges = [at for at, (before, here) in enumerate(pairwise([False, *flags, False])) if before != here]
    share = 100 / len(columns)
    bands = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        first, last = columns[start].label, columns[stop - 1].label
        title = f"{first}: {what}" if start + 1 == stop else f"{first} to {last}: {what}"
        place = _pc(start * share), _px(_TOP), _pc((stop - start) * share), _px(_PLOT), _pc((start + stop) / 2 * share)
        bands.append(Bar(*place, over=False, title=title))
    return tuple(bands)


def _cell(index: int, total: int, label: str, value: int, bounds: tuple[int, ...], *, unknown: bool) -> HeatCell:
    column = 100 / total
    gap = 0.1 * column
    level = "unknown" if unknown else str(_level(value, bounds))
    events = "before first event" if unknown else f"{value:,}"
    width = min(column - gap, 8.0)
    return HeatCell(_pc(index * column + (column - width) / 2), _pc(width), level, f"{label}: {events}")


def _level(value: int, bounds: tuple[int, ...]) -> int:
    reached = sum(value >= bound for bound in bounds)
    return 0 if reached == 0 else reached + _LEVELS - len(bounds)


def _legend(bounds: tuple[int, ...], *, unknown: bool) -> tuple[HeatLevel, ...]:
    levels = [HeatLevel("unknown", "before first event")] if unknown else []
    levels.append(HeatLevel("0", "none"))
    for low, above in zip(bounds, [*bounds, None][1:], strict=True):
        label = f"{low:,}+" if above is None else f"{low:,}" if above == low + 1 else f"{low:,}\N{EN DASH}{above - 1:,}"
        levels.append(HeatLevel(str(_level(low, bounds)), label))
    return tuple(levels)


def _peaks_summary(peaks: Sequence[tuple[date, Number | None]], threshold: Number) -> str:
    known = [(peak, day) for day, peak in peaks if peak is not None]
    if not known:
        return "The lake holds no event in or before this period, so there is no count to show."
    highest, when = max(known, key=lambda pair: pair[0])
    reached = sum(peak >= threshold for peak, _ in known)
    often = f"on {reached:,} of {count(len(peaks), 'day')}" if reached else "on no day"
    return f"The highest count is {highest:,}, on {when}. The threshold of {threshold:,} is reached {often}."


def _room(columns: int) -> Width:
    return "narrow" if columns <= 31 else "medium" if columns <= HEAT_COLUMNS else "wide"


def _share(tick: Tick) -> float:
    return float(tick.at.removesuffix("%"))


def _pc(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


def _px(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
