"""What happened in a year, and what should have: runs, those that were due and did not happen, reports without a run.

A year may have thousands, so nothing of it is put into words here: :mod:`auditlake.site.run_rows` does that for those
that a page has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from auditlake.disk.layout import instant_in_name
from auditlake.events.times import parse_instant
from auditlake.runs.due import Due, due_runs
from auditlake.runs.model import Entry, FailedRun, Run
from auditlake.site.entries import Folder, Key, spelled

_NOT_THERE = ("missed", "failed", "late")


@dataclass(frozen=True, slots=True)
class Happening:
    """A row before it is put into words."""

    at: datetime
    """Where it stands among the others."""
    is_notable: bool
    """Whether it was missed, failed, late or made up for: the page of a year has every such one."""
    run: Run | FailedRun | None = None
    is_late: bool = False
    due: tuple[Due, ...] = ()
    """Neighbours that were due and stand alike, where they are what it is about."""
    key: Key | None = None
    """Which files are its reports."""

    @property
    def token(self) -> str:
        """What tells it from all others, the files aside."""
        number = self.run.number if self.run else ""
        return f"{self.at} {number} {self.is_late} {[(each.instant, each.state, each.run) for each in self.due]}"


def happenings(folder: Folder, entries: Sequence[Entry], since: datetime, until: datetime) -> list[Happening]:
    """Return what happened in a time, the newest first.

    Args:
        folder: The folder of reports.
        entries: The journal of runs: what began in the time, and the last schedules before it.
        since: The first instant of the time.
        until: The first instant after it.
    """
    end = min(max((each.at for each in entries), default=since), until)
    due = [each for each in due_runs(entries, end, since=since) if each.instant < until]
    runs = [each for each in entries if isinstance(each, Run | FailedRun) and since <= each.at < until]
    return sorted(
        [*_ran(runs, due), *_not_there(runs, due), *_unrecorded(folder, entries, since, until)],
        key=lambda each: each.at, reverse=True,
    )  # fmt: skip


def _ran(runs: Iterable[Run | FailedRun], due: Iterable[Due]) -> Iterator[Happening]:
    late = {(each.run, each.instant) for each in due if each.state == "late"}
    for run in runs:
        is_late = (run.number, run.due) in late
        key = key_of(run) if isinstance(run, Run) else None
        failed = isinstance(run, FailedRun) or run.state == "error"
        yield Happening(run.at, is_late or run.catch_up or failed, run, is_late=is_late, key=key)


def key_of(run: Run) -> Key | None:
    """Return which files are reports of a run; None where it made none."""
    if run.as_of is None or run.snapshot is None:
        return None
    return instant_in_name(run.as_of), f"{run.snapshot}"


def _not_there(runs: Iterable[Run | FailedRun], due: Iterable[Due]) -> Iterator[Happening]:
    """Yield what was due and no run was made for, though it is too late: neighbours in one."""
    made_for = {(each.schedule, each.due) for each in runs if isinstance(each, Run) and each.state == "ok"}
    for (_, state, is_made), own in groupby(
        due, key=lambda each: (each.schedule, each.state, (each.schedule, each.instant) in made_for)
    ):
        if state in _NOT_THERE and not is_made:
            alike = tuple(own)
            yield Happening(alike[0].instant, is_notable=True, due=alike)


def _unrecorded(folder: Folder, entries: Iterable[Entry], since: datetime, until: datetime) -> Iterator[Happening]:
    """Yield the reports in the folder that no run on record made, by what they were judged as of."""
    recorded = {key_of(each) for each in entries if isinstance(each, Run)}
    first, behind = (f"{each:%Y%m%dT%H%M%S}" for each in (since, until))
    for key in folder.groups.keys() - recorded:
        if first <= key[0] < behind and folder.reports(key):
            yield Happening(parse_instant(spelled(key[0])), is_notable=False, key=key)
