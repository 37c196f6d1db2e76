"""Making the plan of retention: a pure function of a snapshot and the rules, and that function on a lake as it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.events.personal_paths import personal_path
from auditlake.events.times import day_of
from auditlake.packs.effective import lake_policies
from auditlake.policies.holds import load_holds, widened
from auditlake.policies.model import Policy, asked_by_none, conflicts, kept_by_none
from auditlake.retention.plan import Pace, PartitionPlan, RetentionPlan
from auditlake.retention.rules import DEFAULT, RetentionRules, named
from auditlake.retention.side_files import Leftover, due_leftovers
from auditlake.retention.terms import terms_of, weaker
from auditlake.sources.catalog import catalog_of
from auditlake.store.deltalog import Commits
from auditlake.store.failures import explained
from auditlake.store.file_types import with_types
from auditlake.store.model import DataFile, Snapshot
from auditlake.store.pseudonyms import pseudonyms
from auditlake.store.snapshot import read_snapshot, view_snapshot

if TYPE_CHECKING:
    import duckdb

_LAST = 10
"""How many deletions say how long the next may take."""


def rules_of(
    context: LakeContext, as_of: datetime, *, policies: Sequence[Policy] | None = None, commits: Commits | None = None
) -> RetentionRules:
    """Return the rules of a lake at an instant; each file of settings is read once.

    Args:
        context: The lake.
        as_of: The instant.
        policies: What to judge by instead of the lake's policies.
        commits: The commits of the lake; its log is read if None.

    Raises:
        PolicyError: A policy or a hold cannot be used: then nothing is deleted.
        MappingError: A mapping of the lake cannot be used, so where its events name people is not known.
    """
    layout, config = context.layout, context.config
    names = pseudonyms(layout, make=False, commits=commits)
    holds = load_holds(layout, config.event_types)
    catalog = catalog_of(layout, config.event_types) if any(layout.sources.glob("*.yaml")) else None
    return RetentionRules(
        policies=tuple(lake_policies(layout, config.event_types) if policies is None else policies),
        holds=widened([hold for hold in holds if hold.is_active(as_of)], names),
        default_retention=config.default_retention,
        personal=tuple(path for text in config.personal if (path := personal_path(text))),
        names=names,
        as_of=as_of,
        own_sources=catalog.personal_data if catalog else None,
        all_holds=holds,
    )


def plan(context: LakeContext, as_of: datetime) -> RetentionPlan:
    """Return what an apply would do now, judged at ``as_of``."""
    snapshot = read_snapshot(context.layout)
    commits = Commits(context.layout, snapshot.version)
    return plan_snapshot(context, rules_of(context, as_of, commits=commits), snapshot, commits)


def plan_snapshot(context: LakeContext, rules: RetentionRules, snapshot: Snapshot, commits: Commits) -> RetentionPlan:
    """Return what an apply would do on a snapshot."""
    terms = terms_of(rules.policies, rules.all_holds, rules.default_retention)
    snapshot = with_types(context.layout, snapshot)
    told = tuple(told_days(rules, snapshot))
    days = {each.day for each in told}
    others = replace(snapshot, files=tuple(file for file in snapshot.files if file.day not in days))
    with (
        explained(context.layout, "the plan"),
        _engine(context.layout, others) if others.files else nullcontext() as connection,
    ):
        plan = make_plan(
            connection,
            rules,
            snapshot,
            lake_id=context.config.id,
            created=date.fromisoformat(context.config.created[:10]),
            told=told,
            leftovers=tuple(due_leftovers(rules, commits)),
            weaker=weaker(commits, terms),
        )
    # Not for a night that writes nothing: in a lake in classes no deletion may have, and each would be looked at.
    return replace(plan, pace=_pace(commits)) if plan.costs.rewritten.files else plan


@contextmanager
def _engine(layout: Layout, snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB with the events of a snapshot."""
    from auditlake.engine.duck import connect

    with (
        TemporaryDirectory(prefix="auditlake-") as spill,
        connect(temp=Path(spill), exact_try=False) as connection,
    ):
        view_snapshot(connection, layout, snapshot)
        yield connection


def _pace(commits: Commits) -> Pace | None:
    """Return how long the last deletions took that wrote files anew; None if none did."""
    ours = (own for _, own in commits.of_retention() if own["kind"] == "retention")
    known = (own["took"] for own in ours if isinstance(own.get("took"), dict))
    taken = [(each["bytes"], each["microseconds"]) for each in islice(known, _LAST)]
    return Pace.learned([each for each in taken if each[0] > 0])


def make_plan(
    connection: duckdb.DuckDBPyConnection | None,
    rules: RetentionRules,
    snapshot: Snapshot,
    *,
    lake_id: str,
    created: date,
    told: Sequence[JudgedDay] = (),
    leftovers: Sequence[Leftover] = (),
    weaker: Sequence[str] = (),
) -> RetentionPlan:
    """Judge the ``events`` view of a connection.

    Args:
        connection: The engine, with the view of the days that are not told; None where all are.
        rules: The rules of retention.
        snapshot: What the plan is for.
        lake_id: The lake's id.
        created: The day the lake was made.
        told: What is known of days without reading their files.
        leftovers: Quarantine files and reports that are due.
        weaker: What has become weaker since the last record.
    """
    judged = (*told, *(judged_days(connection, rules) if connection else ()))
    by_type: Counter[str] = Counter()
    for each in judged:
        by_type[each.event_type] += each.events
    return RetentionPlan(
        lake_id=lake_id,
        as_of=rules.as_of,
        midnight=rules.midnight,
        snapshot=snapshot.version,
        policies=rules.policies,
        holds=tuple((hold.id, hold.digest) for hold in rules.holds),
        default_retention=str(rules.default_retention) if rules.default_retention else None,
        partitions=_partitions(connection, rules, judged, snapshot),
        conflicts=conflicts(rules.policies),
        silent=_silent(rules, judged, created),
        kept_by_no_policy=kept_by_none(by_type, rules.policies),
        asked_by_no_policy=asked_by_none(by_type, rules.policies),
        leftovers=tuple(leftovers),
        weaker=tuple(weaker),
    )


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """The events of a type on a day."""

    day: date
    event_type: str
    events: int
    held: int
    due: int


def told_days(rules: RetentionRules, snapshot: Snapshot) -> Iterator[JudgedDay]:
    """Yield how many events are due of days of which the log alone tells: what their files hold, and since when.

    Those are the days of which each file's events of a type are all due or none, unless a hold is active or personal
    data may have to go: that is for the events to say.
    """
    if rules.holds:
        return
    days: dict[date, list[DataFile]] = defaultdict(list)
    for file in snapshot.files:
        days[file.day].append(file)
    for day, files in sorted(days.items()):
        if not all(map(partial(_is_told, rules), files)):
            continue
        events: Counter[str] = Counter()
        due: Counter[str] = Counter()
        for file in files:
            for name, number in file.types or ():
                cutoff = rules.cutoff(name)
                events[name] += number
                due[name] += number if cutoff is not None and file.last is not None and file.last < cutoff else 0
        yield from (JudgedDay(day, name, number, 0, due[name]) for name, number in sorted(events.items()))


def _is_told(rules: RetentionRules, file: DataFile) -> bool:
    """Return whether what the log says of a file is enough to judge all of its events."""
    if not file.types or file.first is None or file.last is None:
        return False
    for name, _ in file.types:
        cutoff, limit = rules.cutoff(name), rules.limit(name)
        if cutoff is not None and file.first < cutoff <= file.last:
            return False
        if limit is not None and file.first < limit:
            return False
    return True


def judged_days(connection: duckdb.DuckDBPyConnection, rules: RetentionRules) -> Iterator[JudgedDay]:
    """Yield how many events of the ``events`` view of a connection are held and due, by day and type."""
    from auditlake.engine.duck import rows

    if not rules.holds:
        step = rules.step("whole_days")
        counts = rows(connection, step.sql)
        bounds = [(rules.cutoff(kind), first, last) for _, kind, _, first, last in counts]
        # Whole days leave together as long as retention periods are whole days: no need to look at each event.
        if all(cutoff is None or first >= cutoff or last < cutoff for cutoff, first, last in bounds):
            for (day, kind, events, _, _), (cutoff, _, last) in zip(counts, bounds, strict=True):
                yield JudgedDay(day_of(day), kind, events, 0, events if cutoff is not None and last < cutoff else 0)
            return
    step = rules.step("judged")
    for day, kind, events, held, due in rows(connection, step.sql, dict(step.parameters)):
        yield JudgedDay(day_of(day), kind, events, held, due)


def _partitions(
    connection: duckdb.DuckDBPyConnection | None, rules: RetentionRules, judged: Sequence[JudgedDay], snapshot: Snapshot
) -> tuple[PartitionPlan, ...]:
    held_by: dict[date, Counter[str]] = defaultdict(Counter)
    if connection and rules.holds:
        step = rules.step("held_by")
        from auditlake.engine.duck import rows

        for day, number, events in rows(connection, step.sql, dict(step.parameters)):
            held_by[day_of(day)][rules.holds[number].id] += events
    over: dict[date, Counter[str]] = defaultdict(Counter)
    changing: dict[date, set[str]] = defaultdict(set)
    if connection and rules.limits:
        step = rules.step("over_limit")
        for day, kind, events in named(connection, step, rules.eraser):
            over[day_of(day)][rules.limits[kind].id] += events
            changing[day_of(day)].add(kind)
    files: dict[date, list[DataFile]] = defaultdict(list)
    for file in snapshot.files:
        files[file.day].append(file)
    by_day: dict[date, list[JudgedDay]] = defaultdict(list)
    for each in judged:
        by_day[each.day].append(each)
    return tuple(
        _partition_plan(rules, day, kinds, held_by[day], over[day], changing[day], files[day])
        for day, kinds in sorted(by_day.items())
    )


def _partition_plan(
    rules: RetentionRules,
    day: date,
    judged: Sequence[JudgedDay],
    held_by: Counter[str],
    over: Counter[str],
    changing: set[str],
    files: Sequence[DataFile],
) -> PartitionPlan:
    due: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    ungoverned = 0
    for each in judged:
        rule, staying = rules.rule(each.event_type), each.events - each.held - each.due
        if each.due:
            assert rule is not None
            due[rule] += each.due
        if rule in (None, DEFAULT):
            ungoverned += staying
        elif staying:
            kept[rule] += staying
    return PartitionPlan(
        day, sum(each.events for each in judged), dict(sorted(due.items())), dict(sorted(kept.items())), ungoverned,
        sum(each.held for each in judged), dict(sorted(held_by.items())), dict(sorted(over.items())), tuple(files),
        {each.event_type: each.due for each in sorted(judged, key=lambda each: each.event_type) if each.due},
        *_leaving(judged, changing, files),
    )  # fmt: skip


def _leaving(
    judged: Sequence[JudgedDay], changing: set[str], files: Sequence[DataFile]
) -> tuple[tuple[DataFile, ...], tuple[DataFile, ...]]:
    """Return the files of a day that go whole, and those that are written anew; of others no event goes or changes."""
    whole = {each.event_type for each in judged if each.due == each.events}
    concerned = {each.event_type for each in judged if each.due} | changing
    every = {each.event_type for each in judged}
    dropped, rewritten = [], []
    for file in files:
        types = {name for name, _ in file.types} if file.types is not None else every
        if types and types <= whole:
            dropped.append(file)
        elif types & concerned:
            rewritten.append(file)
    return tuple(dropped), tuple(rewritten)


def _silent(rules: RetentionRules, judged: Sequence[JudgedDay], created: date) -> dict[str, tuple[date, ...]]:
    """Return the days that should have events and have none: something may have gone that should be there."""
    began = min((each.day for each in judged), default=created)
    silent: dict[str, tuple[date, ...]] = {}
    for policy in rules.policies:
        if policy.retention_period is None:
            continue
        cutoff = rules.midnight.date() - timedelta(microseconds=policy.retention_period.microseconds)
        heard = {each.day for each in judged if each.event_type in policy.required_events}
        first = max(cutoff, min(began, created))
        days = (first + timedelta(days=number) for number in range((rules.midnight.date() - first).days))
        silent[policy.id] = tuple(day for day in days if day not in heard)
    return silent
