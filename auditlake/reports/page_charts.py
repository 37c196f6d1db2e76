"""Where things lie in the picture of the daily peaks.

Colours, and words that do not depend on the data, belong to the template; day_axis has the columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from auditlake.display.text import count
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number
from auditlake.reports.day_axis import (
    CHART_COLUMNS,
    HEAT_COLUMNS,
    Bin,
    Tick,
    Unit,
    Width,
    bins,
    per_cent,
    per_unit,
    pixels,
    room,
    unit_for,
    x_ticks,
)

_Position = Callable[[Number | float], float]
"""From a measure to its height, 0 … 1."""

_TOP = 14
_PLOT = 190
_OVER = {"reached": "threshold reached", "unusual": "unusual"}
_LOG_FROM = 10
"""From this ratio between threshold and highest count on, a linear scale would hide one of them."""


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
    """The threshold as a number; empty where no peak is held against it."""
    threshold_words: str
    """What the line is."""
    below_words: str
    """What the columns of other days are."""
    over_words: str
    """What the columns that are marked are."""
    y_ticks: tuple[Tick, ...]
    """Counts, without the threshold."""
    x_ticks: tuple[Tick, ...]
    """Days."""
    bars: tuple[Bar, ...]
    """Columns with a count above zero, and those that are marked."""
    silent: tuple[Bar, ...]
    """Columns in which no governed event happened."""
    unknown: tuple[Bar, ...]
    """Stretches without a peak: before the lake's first event, or with nothing to measure."""
    unknown_label: str
    """Which of these."""


def peak_chart(
    peaks: Sequence[tuple[date, Number | None]], threshold: Number, silent_days: frozenset[date], words: Words,
    *, over: frozenset[date] | None = None, unknown: str = "before first event",
) -> PeakChart:  # fmt: skip
    """Lay out the daily peaks.

    Args:
        peaks: Every day of the period with its peak; None before the lake's first event.
        threshold: k.
        silent_days: Days without any governed event.
        words: What is drawn.
        over: The days to be marked; None: those whose peak reaches the threshold.
        unknown: What it means that there is no peak.
    """
    days = [day for day, _ in peaks]
    unit = unit_for(days, CHART_COLUMNS)
    columns = bins(days, unit)
    known = [[peak for _, peak in peaks[each.start : each.stop] if peak is not None] for each in columns]
    values = [max(column, default=None) for column in known]
    mute = [all(day in silent_days for day in days[column.start : column.stop]) for column in columns]
    silent = [is_mute and value is not None for is_mute, value in zip(mute, values, strict=True)]
    marked = frozenset(day for day, peak in peaks if peak is not None and peak >= threshold) if over is None else over
    highest = max((value or 0 for value in values), default=0)
    top = float(highest) if highest > 0 else 1.0
    limit = max(float(threshold), 0.0) if words.line else None
    over_words = "reached" if over is None else "unusual"
    position, logarithmic = _scale(top, limit)
    base = _TOP + _PLOT
    bars = [
        _bar(number, len(columns), _height(position(value or 0)), f"{column.label}: {value or 0:,}", over=word)
        for number, (column, value) in enumerate(zip(columns, values, strict=True))
        if (word := "" if marked.isdisjoint(days[column.start : column.stop]) else _OVER[over_words])
        or (value and value > 0)
    ]  # fmt: skip
    return PeakChart(
        title=words.charted.replace("{}", per_unit(unit), 1),
        summary=_peaks_summary(peaks, marked, words),
        scale_note=_scale_note(unit, logarithmic=logarithmic),
        width=room(len(columns)),
        height=str(base + 34),
        baseline=pixels(base),
        label_y=str(base + 24),
        silent_y=str(base + 3),
        threshold_y=pixels(_height(position(limit or 0))),
        threshold_label=f"{threshold:,}" if words.line else "",
        threshold_words=f"{words.line}, {threshold:,}",
        below_words="below it" if over is None else "not unusual",
        over_words=over_words,
        y_ticks=_y_ticks(top, limit, position, logarithmic=logarithmic),
        x_ticks=x_ticks(columns, days),
        bars=tuple(bars),
        silent=_bands(columns, silent, "no governed event"),
        unknown=_bands(columns, [value is None for value in values], unknown),
        unknown_label=unknown,
    )


def _scale(top: float, threshold: float | None) -> tuple[_Position, bool]:
    """Map a count to 0 … 1 so that the highest count and the threshold can both be seen."""
    end = max(top, threshold or 0)
    if not threshold or end / min(top, threshold) <= _LOG_FROM:
        limit = end * 1.08
        return (lambda value: float(value) / limit), False
    span = math.log10(1 + end) * 1.05
    return (lambda value: math.log10(1 + float(value)) / span), True


def _scale_note(unit: Unit, *, logarithmic: bool) -> str:
    column = "" if unit == "day" else f"Each column is the highest of the daily peaks of one {unit}. "
    scale = "The scale is logarithmic, so that the counts and the threshold can both be seen." if logarithmic else ""
    return (column + scale).rstrip()


def _y_ticks(top: float, threshold: float | None, position: _Position, *, logarithmic: bool) -> tuple[Tick, ...]:
    end = max(top, threshold or 0)
    values: list[Number]
    if logarithmic:
        decades = [10**power for power in range(len(str(math.ceil(end)))) if 10**power <= end]
        values = [0, *decades[:: math.ceil(len(decades) / 5)]]
    else:
        sizes = (Decimal(10) ** power * times for power in range(-6, 40) for times in (1, 2, 5))
        step = next(size for size in sizes if end <= 5 * size and (size >= 1 or end < 1))
        steps = (step * number for number in range(math.floor(Decimal(end) / step) + 1))
        values = [int(value) if value == int(value) else value for value in steps]
    limit = -1 if threshold is None else position(threshold)
    close = 15 / _PLOT
    return tuple(
        Tick(pixels(_height(position(value))), pixels(_height(position(value))), f"{value:,}", "end")
        for value in values
        if abs(position(value) - limit) > close
    )


def _height(position: float) -> float:
    return _TOP + _PLOT * (1 - position)


def _bar(number: int, total: int, y: float, title: str, *, over: str) -> Bar:
    column = 100 / total
    width = min(column if total > HEAT_COLUMNS else 0.78 * column, 6.0)
    middle = (number + 0.5) * column
    base = _TOP + _PLOT
    height = max(base - y, 1.0)
    full_title = f"{title}, {over}" if over else title
    place = per_cent(middle - width / 2), pixels(base - height), per_cent(width), pixels(height), per_cent(middle)
    return Bar(*place, over=bool(over), title=full_title)


def _bands(columns: Sequence[Bin], flags: Sequence[bool], what: str) -> tuple[Bar, ...]:
    """Return neighbouring columns for which the flag is set, as bands over the whole plot."""
    edges = [at for at, (before, here) in enumerate(pairwise([False, *flags, False])) if before != here]
    share = 100 / len(columns)
    bands = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        first, last = columns[start].label, columns[stop - 1].label
        title = f"{first}: {what}" if start + 1 == stop else f"{first} to {last}: {what}"
        place = (
            per_cent(start * share),
            pixels(_TOP),
            per_cent((stop - start) * share),
            pixels(_PLOT),
            per_cent((start + stop) / 2 * share),
        )
        bands.append(Bar(*place, over=False, title=title))
    return tuple(bands)


def _peaks_summary(peaks: Sequence[tuple[date, Number | None]], marked: frozenset[date], words: Words) -> str:
    known = [(peak, day) for day, peak in peaks if peak is not None]
    if not known:
        return "The lake holds no event in or before this period, so there is no count to show."
    reached = sum(day in marked for day, _ in peaks)
    days = f"{reached:,} of {count(len(peaks), 'day')}" if reached else "no day"
    often = f"{words.reached} on {days}."
    if words.highest is None:
        return often
    highest, when = max(known, key=lambda pair: pair[0])
    return f"The highest {words.highest} is {highest:,}, on {when}. {often}"
