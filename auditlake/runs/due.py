"""Which runs were due, and which of them happened: the schedules on record against the runs on record.

Due instants lie on one grid for all lakes, that of the intervals that duties recur in: a schedule is due once in each
interval of its length, at its time within it. What was due at a past instant follows from the journal alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from auditlake.events.times import MICROSECOND
from auditlake.runs.model import Declaration, Entry, FailedRun, Run, Schedule

ORIGIN = datetime(1970, 1, 5, tzinfo=UTC)
"""Where an interval of every length begins. A Monday: weeks begin on Mondays, at midnight UTC."""
DueState = Literal["met", "late", "failed", "missed", "open"]


@dataclass(frozen=True, slots=True)
class InForce:
    """A schedule, from when on and until when it says what is due."""

    schedule: Schedule
    since: datetime
    until: datetime | None
    """The first instant at which it says nothing any more; None where it still does."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run that was due."""

    schedule: str
    """The schedule's name."""
    instant: datetime
    """When it was due, and what it was to be judged as of."""
    latest: datetime
    """When it had to begin."""
    state: DueState
    """``met`` in time, ``late`` after that; without a run that satisfied it, ``failed`` where one was tried, ``open``
    while there is time, else ``missed``."""
    run: int | None = None
    """The entry of the first run that satisfied it."""
    at: datetime | None = None
    """When that began."""


def offset_of(schedule: Schedule) -> timedelta:
    """Return how long after the beginning of an interval a schedule is due."""
    hours, minutes = schedule.at.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def due_instants(schedule: Schedule, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the instants of ``[since, until)`` at which a schedule is due, in order."""
    length, first = schedule.every.microseconds, ORIGIN + offset_of(schedule)
    first_number, behind = (-((first - bound) // MICROSECOND // length) for bound in (since, until))
    for number in range(first_number, behind):
        yield first + timedelta(microseconds=number * length)


def newest_due(schedule: Schedule, instant: datetime) -> datetime:
    """Return the last instant at which a schedule was due, ``instant`` itself included."""
    first, length = ORIGIN + offset_of(schedule), timedelta(microseconds=schedule.every.microseconds)
    return first + (instant - first) // length * length


def next_due(schedule: Schedule, instant: datetime) -> datetime:
    """Return the first instant after ``instant`` at which a schedule is due."""
    return newest_due(schedule, instant) + timedelta(microseconds=schedule.every.microseconds)


def in_force(entries: Sequence[Entry]) -> tuple[InForce, ...]:
    """Return every schedule that was ever on record, each in the order of the journal.

    One that stays as it was in the next declaration goes on.
    """
    open_ones: dict[str, InForce] = {}
    ended: list[InForce] = []
    for entry in (each for each in entries if isinstance(each, Declaration)):
        for name, each in [*open_ones.items()]:
            if entry.schedules.get(name) != each.schedule:
                ended.append(InForce(each.schedule, each.since, entry.at))
                del open_ones[name]
        for name, schedule in entry.schedules.items():
            open_ones.setdefault(name, InForce(schedule, entry.at, None))
    return tuple(sorted([*ended, *open_ones.values()], key=lambda each: (each.since, each.schedule.name)))


def schedules_between(entries: Sequence[Entry], since: datetime, until: datetime) -> tuple[Schedule, ...]:
    """Return the schedules on record that were in force at some time of the period (since, until]."""
    return tuple(
        each.schedule
        for each in in_force(entries)
        if each.since <= until and (each.until is None or each.until > since)
    )


def due_runs(entries: Sequence[Entry], until: datetime, *, since: datetime | None = None) -> Iterator[Due]:
    """Yield what was due of every schedule on record, by schedule and instant, and how it stands.

    A run satisfies what was due if it names the schedule, is ok, and was judged as of that instant or later.

    Args:
        entries: The journal of runs, in order, those after ``until`` left out.
        until: As of when; what is due at this very instant is among it.
        since: Leave out what was due before.
    """
    runs = _runs_of(entries)
    for each in in_force(entries):
        begins = max(each.since, since or each.since)
        ends = min(each.until or until + MICROSECOND, until + MICROSECOND)
        own, within = runs[each.schedule.name], timedelta(microseconds=each.schedule.within.microseconds)
        for instant in due_instants(each.schedule, begins, ends):
            yield own.judged(Due(each.schedule.name, instant, instant + within, "open"), until)


def _runs_of(entries: Sequence[Entry]) -> Mapping[str, _Runs]:
    """Return the runs of each schedule."""
    runs: dict[str, _Runs] = defaultdict(_Runs)
    own = (each for each in entries if isinstance(each, Run | FailedRun))
    for run in sorted(own, key=lambda each: (each.began, each.number)):
        if run.schedule is not None:
            runs[run.schedule].add(run)
    return runs


class _Runs:
    """The runs of one schedule."""

    def __init__(self) -> None:
        self._farthest: list[datetime] = []
        """The latest as_of up to each of the ok runs that went beyond all before it."""
        self._ok: list[Run] = []
        self._failed: list[Run | FailedRun] = []

    def add(self, run: Run | FailedRun) -> None:
        if not (isinstance(run, Run) and run.state == "ok"):
            self._failed.append(run)
        elif run.as_of is not None and (not self._farthest or run.as_of > self._farthest[-1]):
            self._farthest.append(run.as_of)
            self._ok.append(run)

    def judged(self, due: Due, until: datetime) -> Due:
        """Return how what was due stands, by the first ok run that was judged as of that instant or later."""
        place = bisect_left(self._farthest, due.instant)
        if place < len(self._ok):
            run = self._ok[place]
            return replace(due, state="met" if run.at <= due.latest else "late", run=run.number, at=run.at)
        if any(_is_for(each, due) for each in self._failed):
            return replace(due, state="failed")
        return due if until < due.latest else replace(due, state="missed")


def _is_for(failed: Run | FailedRun, due: Due) -> bool:
    """Return whether a run that failed was to satisfy what was due."""
    return due.instant <= failed.began <= due.latest if failed.due is None else failed.due == due.instant
