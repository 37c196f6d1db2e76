"""Intervals that a duty recurs in, on one grid for all lakes and reports, so that each is judged once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from auditlake.events.durations import Duration
from auditlake.events.times import MICROSECOND
from auditlake.frameworks.model import Slot, SlotState
from auditlake.frameworks.records.model import Found
from auditlake.policies.question import Question
from auditlake.runs.due import ORIGIN


def intervals(every: Duration, question: Question) -> Iterator[tuple[datetime, datetime]]:
    """Yield the intervals ``[start, end)`` whose last microsecond lies in the period, in order."""
    length = every.microseconds
    before, after = ((instant - ORIGIN) // MICROSECOND + 1 for instant in (question.since, question.until))
    for number in range(before // length + 1, after // length + 1):
        end = ORIGIN + timedelta(microseconds=number * length)
        yield end - timedelta(microseconds=length), end


def state_of(at: datetime | None, due: datetime, as_of: datetime) -> SlotState:
    """Return how an interval stands that was met at an instant, or not at all."""
    if at is not None:
        return "met" if at <= due else "late"
    return "missed" if as_of >= due else "open"


def stretches(slots: Sequence[Slot], kinds: dict[SlotState, str], say: Callable[[SlotState, int], str]) -> list[Found]:
    """Return one finding for each stretch of neighbouring intervals that stand alike, if they stand badly.

    Args:
        slots: The intervals, in order.
        kinds: The kind of finding by state.
        say: Begins the message.
    """
    found = []
    for state, run in groupby(slots, lambda slot: slot.state):
        if state in kinds:
            first, *_, last = (same := list(run)) * 2
            message = f"{say(state, len(same))}, from {_shown(first.start)} to {_shown(last.end)}"
            measures = {"intervals": len(same)}
            found.append(Found(kinds[state], message, first.start, last.end, measures=measures))
    return found


def counted(slots: Sequence[Slot]) -> dict[str, int]:
    """Return how many intervals stand how; those that are not among them stand no way."""
    states = [slot.state for slot in slots]
    return {state: states.count(state) for state in ("met", "late", "missed", "failed", "open") if state in states}


def in_words(slots: Sequence[Slot], every: Duration) -> str:
    """Return the numbers: "85 of 90 intervals of 1d in time, 1 late, 4 missed"."""
    counts = counted(slots)
    due = len(slots) - counts.get("open", 0)
    others = [f"{counts[name]:,} {name}" for name in ("late", "missed", "failed") if counts.get(name)]
    if not due:
        waiting = f"; {len(slots):,} ended and can still be met" if slots else ""
        return f"no interval of {every} came to its end and was due in the period{waiting}"
    return ", ".join([f"{counts.get('met', 0):,} of {due:,} intervals of {every} in time", *others])


def is_due(slots: Sequence[Slot]) -> bool:
    """Return whether there is any interval of which it is known how it stands."""
    return any(slot.state != "open" for slot in slots)


def _shown(instant: datetime) -> str:
    """Return an instant of the grid as people write it."""
    return f"{instant:%Y-%m-%d}" if not instant.hour else f"{instant:%Y-%m-%dT%H:%MZ}"
