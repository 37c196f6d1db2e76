"""The intervals in which reviews, evaluations and verifications were due: where they lie in the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from auditlake.display.text import Text, count, moment, shown, visible
from auditlake.frameworks.model import CheckResult, ControlResult, FrameworkReport, Slot, SlotState
from auditlake.reports.day_axis import HEAT_COLUMNS, Tick, bins, unit_for, x_ticks
from auditlake.site.words import CHECK_WORDS

_ROW = 22
_Duty = tuple[ControlResult, CheckResult]
_PLACES: dict[SlotState, tuple[int, int]] = {
    "met": (11, 6), "late": (7, 10), "missed": (4, 13), "failed": (4, 13), "open": (11, 6),
}  # fmt: skip
"""Upper edge within the row and height of each mark, pixels: what is missed stands out without its colour."""
_WORDS: dict[SlotState, str] = {
    "met": "in time", "late": "late", "missed": "missed", "failed": "ended with an error", "open": "not due yet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StripMark:
    """One interval."""

    x: str
    """Left edge, per cent."""
    width: str
    """Per cent."""
    y: str
    """Upper edge, pixels."""
    height: str
    """Pixels."""
    state: SlotState
    """Which mark and colour."""
    title: str
    """What it says, in words."""


@dataclass(frozen=True, slots=True)
class StripRow:
    """One duty of one control."""

    control: Text
    """The control."""
    name: str
    """What is due, and how often."""
    words: str
    """How many intervals have which state."""
    marks: tuple[StripMark, ...]
    """Its intervals, oldest first."""


@dataclass(frozen=True, slots=True)
class Strips:
    """What was due in the period, and whether it was there in time."""

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
    rows: tuple[StripRow, ...]
    """By control."""
    x_ticks: tuple[Tick, ...]
    """Days."""
    states: tuple[tuple[SlotState, str], ...]
    """The states that there are, each in words."""


def strips_of(report: FrameworkReport) -> Strips | None:
    """Lay out the duties of a framework; None where nothing was due."""
    return next(iter(all_strips_of(report, sum(len(each.checks) for each in report.controls), "strips")), None)


def all_strips_of(report: FrameworkReport, rows: int, name: str = "strips-{}") -> tuple[Strips, ...]:
    """Lay the same out in pictures of at most so many rows."""
    duties = [(control, check) for control in report.controls for check in control.checks if check.slots]
    parts = [duties[at : at + rows] for at in range(0, len(duties), rows)]
    return tuple(_strips(report, part, name.format(number)) for number, part in enumerate(parts, 1))


def _strips(report: FrameworkReport, duties: Sequence[_Duty], name: str) -> Strips:
    rows = tuple(_rows(report, duties))
    days = report.coverage.days
    there = {mark.state for row in rows for mark in row.marks}
    return Strips(
        id=name,
        title="Reviews, evaluations and verifications",
        summary="; ".join(f"{row.control.text} {row.name}: {row.words}" for row in rows),
        height=str(_ROW * len(rows) + 24),
        label_y=str(_ROW * len(rows) + 16),
        rows=rows,
        x_ticks=x_ticks(bins(days, unit_for(days, HEAT_COLUMNS)), days),
        states=tuple((state, words) for state, words in _WORDS.items() if state in there),
    )


def slots_in_words(slots: tuple[Slot, ...]) -> str:
    """Say how many intervals have which state."""
    number = {state: sum(each.state == state for each in slots) for state in _WORDS}
    judged = len(slots) - number["open"]
    parts = [f"{number['met']:,} of {judged:,} in time"]
    others: tuple[SlotState, ...] = ("late", "missed", "failed", "open")
    parts += [f"{number[state]:,} {state}" for state in others if number[state]]
    return ", ".join(parts)


def _rows(report: FrameworkReport, duties: Sequence[_Duty]) -> Iterator[StripRow]:
    days = report.coverage.days
    start = datetime.combine(days[0], datetime.min.time(), report.since.tzinfo) if days else report.since
    span = (len(days) or 1) * timedelta(days=1)
    for number, (control, check) in enumerate(duties):
        every = check.asked.get("every")
        name = CHECK_WORDS[check.kind] + (f", every {every}" if every else "")
        marks = (_mark(_ROW * number, slot, start, span) for slot in check.slots if slot.end > start)
        yield StripRow(shown(control.id), visible(name), slots_in_words(check.slots), tuple(marks))


def _mark(top: int, slot: Slot, start: datetime, span: timedelta) -> StripMark:
    left = max(0.0, (slot.start - start) / span)
    right = min(1.0, (slot.end - start) / span)
    y, height = _PLACES[slot.state]
    about = f"{moment(slot.start, zone=False)} to {moment(slot.end, zone=False)}: {_WORDS[slot.state]}"
    if slot.at is not None:
        about += f", {moment(slot.at)}" + (f" by {visible(slot.by)}" if slot.by else "")
    if slot.events_since:
        about += f", {count(slot.events_since, 'event')} came after the look"
    if slot.own_actions:
        about += ", by a user among these events"
    width = max(0.1, (right - left) * 100 - 0.12)
    return StripMark(f"{left * 100:.2f}%", f"{width:.2f}%", str(top + y), str(height), slot.state, about)
