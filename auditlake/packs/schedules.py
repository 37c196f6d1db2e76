"""The schedules of a lake: what ``frameworks.yaml`` declares, and what of it is on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from auditlake.context import LakeContext
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import PackError
from auditlake.machine import login_name
from auditlake.packs.settings import read_schedules
from auditlake.runs.due import DueState, due_runs, in_force, next_due
from auditlake.runs.journal import append, read, read_line
from auditlake.runs.model import Declaration, Run, Schedule

NIGHTLY = "nightly"
"""The schedule that a lake need not declare: its run does all that a lake needs every night."""


def lake_schedules(layout: Layout) -> tuple[Schedule, ...]:
    """Return the schedules that ``frameworks.yaml`` declares.

    Raises:
        PackError: It cannot be read, or has a mistake that is not about one pack alone.
    """
    try:
        return read_schedules(read_file(layout.frameworks, within=layout.root, limit=SMALL), f"{layout.frameworks}")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise PackError(f"{layout.frameworks}:1:1: the file cannot be read: {error.strerror}") from error


def lake_schedule(layout: Layout, name: str) -> Schedule:
    """Return one of them.

    Raises:
        PackError: There is none of that name, or the file cannot be used.
    """
    there = {each.name: each for each in lake_schedules(layout)}
    if name not in there:
        hint = f"there are: {', '.join(there) or 'none'}; auditlake schedule add declares one"
        raise PackError(f"{layout.frameworks} declares no schedule {name!r}", hint=hint)
    return there[name]


def record_schedules(context: LakeContext) -> None:
    """Put the schedules of ``frameworks.yaml`` on record, where they are not those that the journal of runs has last.

    Raises:
        PackError: The file cannot be used; what is on record stays in force.
        LakeError: The journal cannot be written.
    """
    schedules = {each.name: each for each in lake_schedules(context.layout)}
    made = Declaration(0, context.now, version("auditlake"), login_name(), schedules)

    def on_record(lines: Iterator[bytes]) -> bool:
        return last_declared(context.layout, lines) == schedules

    if not (schedules or context.layout.run_journal.exists()):
        return
    append(context.layout, made, unless=on_record)


def last_declared(layout: Layout, lines: Iterator[bytes]) -> dict[str, Schedule]:
    """Return the schedules that are in force after some lines of the journal of runs, the newest of them first.

    Raises:
        LakeFormatError: The line that says so is none of ours.
    """
    for line in lines:
        if b'"kind":"schedule"' in line:
            entry = read_line(layout, line)
            if isinstance(entry, Declaration):
                return dict(entry.schedules)
    return {}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a schedule stands."""

    schedule: Schedule
    since: datetime | None
    """From when on it is on record as it is; None before the first run after it was written."""
    is_declared: bool
    """Whether ``frameworks.yaml`` declares it; false where it is on record only, until the next run."""
    last: Run | None
    """Its newest run that was ok."""
    next: datetime
    """When it is due next."""
    counts: Mapping[DueState, int]
    """How many runs were due since it was first on record, by how they stand."""
    missed: tuple[datetime, ...]
    """What no run has satisfied though it is too late, in order."""


def standings(context: LakeContext) -> tuple[Standing, ...]:
    """Return how each schedule stands now, by name.

    Raises:
        PackError: ``frameworks.yaml`` cannot be used.
        LakeError: The journal of runs cannot be read.
    """
    now = context.now
    entries = [each for each in read(context.layout) if each.began <= now]
    declared = {each.name: each for each in lake_schedules(context.layout)}
    on_record = {each.schedule.name: each for each in in_force(entries) if each.until is None}
    due = [*due_runs(entries, now)]
    found = []
    for name in sorted({*declared, *on_record}):
        recorded = on_record.get(name)
        schedule = declared[name] if name in declared or recorded is None else recorded.schedule
        own = [each for each in due if each.schedule == name]
        runs = (each for each in reversed(entries) if isinstance(each, Run) and each.schedule == name)
        found.append(Standing(
            schedule, recorded.since if recorded and recorded.schedule == schedule else None, name in declared,
            next((each for each in runs if each.state == "ok"), None), next_due(schedule, now),
            Counter(each.state for each in own),
            tuple(each.instant for each in own if each.state in ("missed", "failed")),
        ))  # fmt: skip
    return tuple(found)
