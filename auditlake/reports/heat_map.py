"""Where things lie in the heat map of coverage: a row for each required type, a column for each day or more.

As in :mod:`auditlake.reports.day_axis`, across is per cent and down is pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from auditlake.display.text import count
from auditlake.reports.day_axis import HEAT_COLUMNS, Bin, Tick, Width, bins, per_cent, per_unit, room, unit_for, x_ticks

HEAT_ROWS = 36
"""More rows are several pictures, of which each fits a page of paper."""

_ROW = 22
_CELL = 18
_LEVELS = 5


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
            title=f"Events by required type {per_unit(unit)}"
            + (f", {number} of {len(starts)}" if len(starts) > 1 else ""),
            summary=f"{count(len(some), 'row')}, one for each required type, one column {per_unit(unit)}. "
            "The table of required types says the same in numbers.",
            width=room(len(columns)),
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


def level_bounds(values: Sequence[int]) -> tuple[int, ...]:
    """Return the lowest count of each level of the heat map, at most five, in round numbers that span the values.

    Example:
        >>> level_bounds([3, 843]), level_bounds([7000, 90000])
        ((2, 10, 50, 100, 500), (5000, 10000, 20000, 50000))
    """
    steps = [step * 10**power for power in range(20) for step in (1, 2, 5)]
    steps = [step for step, above in pairwise(steps) if values and step <= max(values) and above > min(values)]
    return tuple(steps if len(steps) <= _LEVELS else (steps[round(at * (len(steps) - 1) / 4)] for at in range(_LEVELS)))


def _cell(index: int, total: int, label: str, value: int, bounds: tuple[int, ...], *, unknown: bool) -> HeatCell:
    column = 100 / total
    gap = 0.1 * column
    level = "unknown" if unknown else str(_level(value, bounds))
    events = "before first event" if unknown else f"{value:,}"
    width = min(column - gap, 8.0)
    return HeatCell(per_cent(index * column + (column - width) / 2), per_cent(width), level, f"{label}: {events}")


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
