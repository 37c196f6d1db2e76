"""How a lake stands at an instant: what LLMGuardian's statistics gave, with the violations filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.engine.model import Engine, Row, Summaries, Summary
from auditlake.engine.statements import statement
from auditlake.events.times import Instant, judged_as_of
from auditlake.findings.finding import Finding
from auditlake.packs.effective import lake_policies
from auditlake.policies.deleted_days import deletions
from auditlake.policies.evaluate import evaluate
from auditlake.policies.model import Number, Policy, asked_by_none, kept_by_none
from auditlake.policies.question import Question, earlier
from auditlake.policies.sieve import FEWEST
from auditlake.query.view import judging_engine
from auditlake.remembered.memory import LakeMemory
from auditlake.reports.build import build_report
from auditlake.reports.model import Report
from auditlake.store.deltalog import foreign_versions
from auditlake.store.model import Snapshot
from auditlake.summaries.lake import LakeSummaries, is_as_named, lake_summaries


@dataclass(frozen=True, slots=True)
class PolicyStatistics:
    """How one policy stands."""

    policy_id: str
    total_events: int
    """Governed events in the lake, up to as_of."""
    recent_events: int | None
    """Governed events that match the policy's condition within its window before as_of; this and what follows is None
    where the policy has no threshold."""
    window: str | None
    threshold: Number | None
    status: str | None
    """Of the window before as_of: ``violation`` if any group is at or above the threshold at as_of itself, else
    ``no_data`` if no event of any type was received in that window, else ``compliant``; ``error`` if the policy cannot
    be judged."""
    error: str | None = None
    """Why it cannot."""
    narrowed_by: str | None = None
    """The scope that narrows what is recent and the status, as it was written; the total has all governed events."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An episode of the last window."""

    policy_id: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Statistics:
    """A lake at an instant."""

    as_of: datetime
    snapshot: int
    total_events: int
    first_event: datetime | None
    last_event: datetime | None
    events_by_type: dict[str, int]
    events_by_user: dict[str, int]
    """The users with the most events."""
    kept_by_no_policy: dict[str, int]
    """The event types of the lake that no policy with a retention period names, with their events:
    ``default_retention`` of lake.toml decides how long they stay."""
    asked_by_no_policy: dict[str, int]
    """Those that no policy names at all."""
    policies: tuple[PolicyStatistics, ...]
    recent_violations: tuple[Violation, ...]
    """The episodes of every policy that reach into its window before as_of."""
    foreign_versions: tuple[int, ...]
    """Versions that another program committed: auditlake cannot vouch for what they did."""


def lake_statistics(context: LakeContext, as_of: Instant | None, users: int, *, cache: bool = True) -> Statistics:
    """Ask a lake; see :meth:`auditlake.AuditLake.statistics`."""
    policies = lake_policies(context.layout, context.config.event_types, tolerant=True, is_later=True)
    with judging_engine(context, None) as (engine, snapshot):
        instant = judged_as_of(as_of, context.now)
        counts = lake_summaries(context, engine, snapshot, kept=cache)
        memory, most = None, context.config.reports.remember_mb * 1_000_000
        if cache and most and is_as_named(engine, snapshot):
            memory = LakeMemory(context.layout, snapshot, engine, policies, (), most)
        waits = engine.shown_beside is not None
        return statistics(engine, context.layout, policies, instant, snapshot, users, counts, memory, waits=waits)


def statistics(
    engine: Engine,
    layout: Layout,
    policies: Sequence[Policy],
    as_of: datetime,
    snapshot: Snapshot,
    users: int,
    counts: Summaries,
    memory: LakeMemory | None,
    *,
    waits: bool = False,
) -> Statistics:
    """Ask the ``events`` of an engine.

    Args:
        engine: The engine, with those of the snapshot.
        layout: The lake.
        policies: Every policy of the lake.
        as_of: Events after it do not exist.
        snapshot: What they are.
        users: How many users to name.
        counts: What counts the events of the engine.
        memory: What may be known of the policies.
        waits: Whether the landing has events that are in no file.
    """
    for file, name, adds_up in (("types", "type_counts", False), ("users", "user_counts", True)):
        part = statement(f"summaries/{file}.sql", name)
        counts.lay_out(Summary(name, part.text, adds_up=adds_up), instants=[as_of])
    ((total, first, last),) = _ask(engine, "totals")
    by_type: dict[str, int] = dict(_ask(engine, "by_type"))
    asked = [
        (policy, Question(as_of, earlier(as_of, timedelta(microseconds=policy.window.microseconds)), as_of))
        for policy in policies
        if policy.alert_threshold is not None
    ]
    deleted = deletions(layout, snapshot.version, policies)
    if memory is not None and waits and _matter(engine, policies, first):
        memory = None  # which knows files alone
    # Without it, kept counts are quicker than rows even for one policy.
    fewest = 1 if memory is None and isinstance(counts, LakeSummaries) else FEWEST
    answers = evaluate(
        engine, asked, policies, fewest=fewest, with_queries=False, deleted=deleted, memory=memory, summaries=counts
    )
    judged = {each.policy.id: build_report(each) for each in answers}
    return Statistics(
        as_of=as_of,
        snapshot=snapshot.version,
        total_events=total,
        first_event=first,
        last_event=last,
        events_by_type=by_type,
        events_by_user=dict(_ask(engine, "by_user", limit=users)),
        kept_by_no_policy=kept_by_none(by_type, policies),
        asked_by_no_policy=asked_by_none(by_type, policies),
        policies=tuple(_standing(policy, by_type, judged.get(policy.id)) for policy in policies),
        recent_violations=tuple(
            Violation(policy_id, each)
            for policy_id, report in judged.items()
            for each in report.violations
            if each.peak_at is not None
        ),
        foreign_versions=tuple(foreign_versions(layout, snapshot.version)),
    )


def _matter(engine: Engine, policies: Sequence[Policy], first: datetime | None) -> bool:
    """Return whether events that are in no file can matter to a policy: not what auditlake writes about itself later
    than the first event of all, if no policy asks about it.
    """
    types = sorted({name for policy in policies for name in policy.required_events})
    part = statement("queries/statistics.sql", "waiting")
    ((number,),) = engine.rows(part.text, part.bind({"types": types, "first": first}))
    return bool(number)


def _standing(policy: Policy, by_type: Mapping[str, int], report: Report | None) -> PolicyStatistics:
    answer = report.threshold if report else None
    error = report.error if report else policy.fault
    return PolicyStatistics(
        policy_id=policy.id,
        total_events=sum(by_type.get(name, 0) for name in policy.required_events),
        recent_events=answer.recent_events if answer else None,
        window=policy.shown_window,
        threshold=policy.alert_threshold,
        status="error" if error else report.status_now if report else None,
        error=error,
        narrowed_by=policy.narrowed_by if answer else None,
    )


def _ask(engine: Engine, name: str, **values: Any) -> list[Row]:
    part = statement("queries/statistics.sql", name)
    return engine.rows(part.text, part.bind(values))
