"""Where things lie in the picture of an episode's evidence: what was seen from when to when, a row each.

Left to right everything is a percentage of the picture's width, top to bottom it is pixels, as in day_axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from auditlake.display.text import Text, moment, shown
from auditlake.policies.kinds.threshold import Trace

_ROW = 22
_LEAST = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One thing that was seen."""

    name: Text
    """What it is."""
    note: Text
    """How often, or since when; beside the row."""
    y: str
    """The middle of the row, pixels."""
    begin: str
    """Where it was seen first, per cent."""
    end: str
    """Where it was seen last, per cent."""
    between: tuple[str, ...]
    """Where else it was seen, per cent, as far as that is known."""
    title: str
    """What the row says, in words."""
    when: str
    """Each instant at which it was seen, of many the first; empty where these are not known."""


@dataclass(frozen=True, slots=True)
class TimelineLink:
    """The way from the end of one row to the beginning of the next."""

    begin: str
    """Per cent."""
    end: str
    """Per cent."""
    above: str
    """Pixels."""
    below: str
    """Pixels."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What was seen in an episode."""

    title: str
    """What is drawn."""
    height: str
    """Of the whole picture, pixels."""
    label_y: str
    """Where the labels under the rows stand, pixels."""
    rows: tuple[TimelineRow, ...]
    """In order."""
    links: tuple[TimelineLink, ...]
    """Between the rows of steps that come one after the other."""
    starts: str
    """The instant at the left edge."""
    ends: str
    """The instant at the right edge."""
    is_listed: bool
    """Whether the rows say each instant."""


def timeline(title: str, traces: Sequence[Trace], begins: datetime, *, linked: bool) -> Timeline | None:
    """Lay out what was seen; None where nothing is known.

    Args:
        title: What is drawn.
        traces: What was seen.
        begins: The earliest instant that is shown, unless something was seen before it.
        linked: Whether each row follows from the one before.
    """
    if not traces:
        return None
    first = min(begins, *(trace.first for trace in traces))
    last = max(trace.last for trace in traces)
    span = max(last - first, _LEAST)

    def place(instant: datetime) -> str:
        return f"{1 + 98 * ((instant - first) / span):.2f}%"

    def y(number: int) -> str:
        return str(_ROW * number + _ROW // 2)

    rows = tuple(
        TimelineRow(
            shown(trace.name), shown(trace.note), y(number), place(trace.first), place(trace.last),
            tuple(place(each) for each in trace.instants if trace.first < each < trace.last),
            f"{moment(trace.first)} to {moment(trace.last)}" if trace.first < trace.last else moment(trace.last),
            _moments(trace.instants, trace.more),
        )
        for number, trace in enumerate(traces)
    )  # fmt: skip
    links = tuple(
        TimelineLink(rows[number].end, rows[number + 1].begin, rows[number].y, rows[number + 1].y)
        for number in range(len(rows) - 1 if linked else 0)
    )
    height = _ROW * len(rows)
    return Timeline(
        title, str(height + 26), str(height + 18), rows, links, moment(first, zone=False), moment(last, zone=False),
        any(row.when for row in rows),
    )  # fmt: skip


def _moments(instants: Sequence[datetime], more: int) -> str:
    """Return instants in words, each day once, and how many more there are."""
    words: list[str] = []
    day = ""
    for instant in instants:
        on, _, at = moment(instant, zone=False).partition(" ")
        words.append(at if on == day else f"{on} {at}")
        day = on
    return ", ".join(words) + (f" and {more:,} more" if words and more else "")
