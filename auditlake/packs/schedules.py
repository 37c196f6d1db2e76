"""The schedules of a lake: what ``frameworks.yaml`` declares, and what of it is on record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import yaml

from auditlake.context import LakeContext
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import PackError
from auditlake.machine import login_name
from auditlake.packs.effective import lake_files, lake_packs, lake_policies
from auditlake.packs.settings import ALL, read_schedules
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


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a schedule evaluates: all that the lake has by default."""

    policies: tuple[str, ...] = ()
    """All if empty, but for ``only``."""
    packs: tuple[str, ...] | None = ()
    """All if empty; None: no pack."""
    only: bool = False
    """Whether no policies are judged but those that the packs need."""
    unknown: tuple[str, ...] = ()
    """What the schedule names and the lake has not."""

    def __bool__(self) -> bool:
        """Return whether there is anything to judge."""
        return not self.only or bool(self.packs)


def evaluated(context: LakeContext, names: Sequence[str]) -> Evaluated:
    """Return which policies and packs a schedule names.

    Args:
        context: The lake.
        names: Their ids, or :data:`auditlake.packs.settings.ALL`.
    """
    if ALL in names:
        return Evaluated()
    layout, types = context.layout, context.config.event_types
    found = lake_packs(layout, types)
    known = {each.id for each in lake_policies(layout, types, tolerant=True, packs=found)}
    policies, packs = (tuple(each for each in names if each in there) for there in (known, found.known))
    unknown = tuple(each for each in names if each not in known and each not in found.known)
    return Evaluated(policies, packs or None, only=not policies, unknown=unknown)


def schedule_of(name: str, every: str, at: str, evaluate: Sequence[str], within: str) -> Schedule:
    """Return a schedule of what was said on a command line.

    Raises:
        PackError: It is none.
    """
    record = {"name": name, "every": every, "at": at, "evaluate": [*evaluate], "within": within}
    (made,) = read_schedules(json.dumps({"schedules": [record]}), f"schedule {name[:64]}")  # JSON is YAML
    return made


def adding(context: LakeContext, schedule: Schedule) -> bytes:
    """Return ``frameworks.yaml`` with one more schedule in it, and all else as it was.

    Raises:
        PackError: It cannot be used, declares one of that name already, or the lake has nothing of what it evaluates.
    """
    layout = context.layout
    if unknown := evaluated(context, schedule.evaluate).unknown:
        message = f"{', '.join(unknown)} is neither a policy nor a pack of this lake"
        raise PackError(message, hint="auditlake policy list and auditlake pack list name them")
    lake_schedules(layout)
    _, content = lake_files(layout)
    becomes = with_schedule(content or b"", schedule)
    read_schedules(becomes, f"{layout.frameworks}")
    return becomes


def with_schedule(content: bytes, schedule: Schedule) -> bytes:
    """Return the file with one more schedule.

    Args:
        content: The file, without mistakes; empty if there is none.
        schedule: The schedule.
    """
    entry = (
        f'{{name: {_word(schedule.name)}, every: {schedule.every}, at: "{schedule.at}", '
        f"evaluate: [{', '.join(map(_word, schedule.evaluate))}], within: {schedule.within}}}"
    )
    lines = content.decode().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    root = yaml.compose("".join(lines), Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    key, node = next((pair for pair in pairs if pair[0].value == "schedules"), (None, None))
    if key is None or node is None:
        lines += ["schedules:\n", f"  - {entry}\n"]
    elif not isinstance(node, yaml.SequenceNode):  # the key has no value
        lines.insert(key.end_mark.line + 1, f"  - {entry}\n")
    elif node.flow_style:
        line, column = lines[node.start_mark.line], node.start_mark.column + 1
        more = ", " if node.value else ""
        lines[node.start_mark.line] = f"{line[:column]}{entry}{more}{line[column:]}"
    else:
        lines.insert(node.start_mark.line, f"{' ' * node.start_mark.column}- {entry}\n")
    return "".join(lines).encode()


def _word(text: str) -> str:
    """Return a word as YAML has it: in quotes where it would be a number, a truth value or the like."""
    return text if yaml.safe_load(text) == text else json.dumps(text)


def record_schedules(context: LakeContext) -> None:
    """Put the schedules of ``frameworks.yaml`` on record, where they are not those that the journal of runs has last.

    Raises:
        PackError: The file cannot be used; what is on record stays in force.
        LakeError: The journal cannot be written.
    """
    from importlib.metadata import version  # slow to import

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
