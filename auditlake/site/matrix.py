"""Which kinds of event arrived on which day, for each control that asks for them: where everything lies in the picture.

As in :mod:`auditlake.reports.day_axis`, across is per cent and down is pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from auditlake.display.text import Text, count, shown, visible
from auditlake.frameworks.model import CellState, CoverageRow, FrameworkReport
from auditlake.reports.day_axis import HEAT_COLUMNS, Bin, Tick, bins, unit_for, x_ticks

_ROW, _CELL, _LEVELS = 16, 13, 5
ROWS = 46
"""How many rows of a picture a page of paper has room for."""
_Asked = tuple[tuple[str, ...], CoverageRow, bool]
"""The controls that ask for a type, the row, and whether other sources sent the type."""
_WHY: dict[CellState, str] = {
    "none": "none of this type", "source_silent": "nothing from the source", "taken": "deleted with a certificate",
    "before": "before the source's first event", "after": "after the source's last event", "unknown": "not yet",
}  # fmt: skip
_DRAWN: tuple[CellState, ...] = ("none", "source_silent", "taken")
"""The states that have a mark, the one first that goes before the others where several days share a column."""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One column of a row."""

    x: str
    """Left edge, per cent."""
    width: str
    """Per cent."""
    y: str
    """Upper edge, pixels."""
    height: str
    """Pixels."""
    level: Literal["1", "2", "3", "4", "5", "none", "source_silent", "taken"]
    """How many, from few to many in the row; or why there are none."""
    title: str
    """What the cell says, in words."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One event type from one source."""

    control: Text
    """The controls that ask for the type of this row and those of the next ones, with a comma where the next row has
    more of the controls; empty where a row above has them."""
    name: Text
    """The type, and the source where several sent it."""
    words: str
    """What the row shows."""
    is_never: bool
    """Whether no such event was ever seen."""
    y: str
    """Upper edge of its cells, pixels."""
    line_y: str
    """Where the line above it lies, pixels."""
    begins: bool
    """Whether it is the first row that these controls ask for."""
    cells: tuple[MatrixCell, ...]
    """Its columns, oldest first; those without a mark are left out."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The coverage of a framework."""

    id: str
    """What its parts are called on the page."""
    title: str
    """What is drawn."""
    summary: str
    """What there is to see, for those who do not see it."""
    height: str
    """Of the whole picture, pixels."""
    label_y: str
    """Where the labels under the rows stand, pixels."""
    cell_height: str
    """Pixels."""
    rows: tuple[MatrixRow, ...]
    """By controls, type and source."""
    x_ticks: tuple[Tick, ...]
    """Days."""
    marks: frozenset[str]
    """Which marks there are beside shades: ``none``, ``source_silent``, ``taken``, ``never``."""


def matrices_of(report: FrameworkReport, rows: int = ROWS) -> tuple[Matrix, ...]:
    """Lay out the coverage of the controls that policies are checks of, in pictures of at most so many rows."""
    asked = list(_asked(report)) if report.coverage.days else []
    parts = [asked[at : at + rows] for at in range(0, len(asked), rows)]
    return tuple(_matrix(report, part, f"matrix-{number}") for number, part in enumerate(parts, 1))


def _matrix(report: FrameworkReport, asked: Sequence[_Asked], name: str) -> Matrix:
    coverage = report.coverage
    unit = unit_for(coverage.days, HEAT_COLUMNS)
    columns = bins(coverage.days, unit)
    rows: list[MatrixRow] = []
    for controls, group in groupby(asked, key=lambda each: each[0]):
        own = list(group)
        for (_, row, others), label in zip(own, _labels(controls, len(own)), strict=True):
            rows.append(_row(len(rows), label, row, others, columns, begins=row is own[0][1]))
    marks = {cell.level for row in rows for cell in row.cells if not cell.level.isdigit()}
    return Matrix(
        id=name,
        title=f"Events by control, type and {unit}",
        summary=f"{count(len(rows), 'row')}, one for each event type of controls, one column for each {unit}. "
        "The words beside the rows say the same.",
        height=str(_ROW * len(rows) + 26),
        label_y=str(_ROW * len(rows) + 18),
        cell_height=str(_CELL),
        rows=tuple(rows),
        x_ticks=x_ticks(columns, coverage.days),
        marks=frozenset(marks | ({"never"} if any(row.is_never for row in rows) else set())),
    )  # fmt: skip


def _asked(report: FrameworkReport) -> Iterator[_Asked]:
    """Yield each row once, by the controls that ask for its type, in the order of the first of them."""
    by_type: dict[str, list[CoverageRow]] = {}
    for row in report.coverage.rows:
        by_type.setdefault(row.event_type, []).append(row)
    controls_of: dict[str, list[str]] = {}
    for control in report.controls:
        if any(check.policy for check in control.checks):
            for event_type in report.coverage.types_of.get(control.id, ()):
                controls_of.setdefault(event_type, []).append(control.id)
    types_of: dict[tuple[str, ...], list[str]] = {}
    for event_type, controls in controls_of.items():
        types_of.setdefault(tuple(controls), []).append(event_type)
    for asking, types in types_of.items():
        for event_type in types:
            rows = by_type.get(event_type, [])
            yield from ((asking, row, len(rows) > 1) for row in rows)


def _labels(controls: Sequence[str], rows: int) -> Iterator[str]:
    """Yield what stands beside each of so many rows: three controls, or more where the rows have no room for all."""
    some = max(3, -(-len(controls) // rows))
    for at in range(0, rows * some, some):
        yield ", ".join(controls[at : at + some]) + ("," if at + some < len(controls) else "")


def _row(
    number: int, control: str, row: CoverageRow, others: bool, columns: Sequence[Bin], *, begins: bool
) -> MatrixRow:  # fmt: skip
    y, name = _ROW * number, row.event_type + (f", {row.source}" if others else "")
    sums = [sum(cell for cell in row.cells[each.start : each.stop] if isinstance(cell, int)) for each in columns]
    most, is_never = max(sums, default=0), row.first is None
    cells = [
        _cell(at, len(columns), y, f"{visible(name)}, {column.label}", level, words)
        for at, (column, events) in enumerate(zip(columns, sums, strict=True))
        for level, words in [_level(events, most, row.cells[column.start : column.stop])]
        if level and not is_never
    ]
    return MatrixRow(
        control=shown(control) if control else Text(""), name=shown(name), words=_words(row), is_never=is_never,
        y=str(y + 1), line_y=str(y), begins=begins, cells=tuple(cells),
    )  # fmt: skip


def _level(events: int, most: int, cells: Sequence[int | CellState]) -> tuple[str, str]:
    if events:
        return str(max(1, -(-events * _LEVELS // most))), f"{events:,}"
    drawn = next((each for each in _DRAWN if each in cells), None)
    return (drawn, _WHY[drawn]) if drawn else ("", "")


def _cell(at: int, total: int, y: int, where: str, level: str, words: str) -> MatrixCell:
    is_dash = level == "none"
    return MatrixCell(
        x=f"{at / total * 100:.2f}%", width=f"{0.88 / total * 100:.2f}%",
        y=str(y + 6 if is_dash else y + 1), height="3" if is_dash else str(_CELL),
        level=level, title=f"{where}: {words}",  # type: ignore[arg-type]
    )  # fmt: skip


def _words(row: CoverageRow) -> str:
    if row.first is None:
        return "never seen"
    days = {state: sum(cell == state for cell in row.cells) for state in _WHY}
    parts = [f"{row.events:,}" if row.events else "none in the period"]
    parts += [f"none on {count(days['none'], 'day')}"] if days["none"] and row.events else []
    parts += [f"silent on {days['source_silent']:,}"] if days["source_silent"] else []
    parts += [f"deleted on {days['taken']:,}"] if days["taken"] else []
    return ", ".join(parts)
