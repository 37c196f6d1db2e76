"""By which plan a report of a policy would be answered on a lake as it is now, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditlake.context import LakeContext
from auditlake.events.times import instant, micros
from auditlake.policies.bounds import Bounds
from auditlake.policies.evaluate import sorted_by
from auditlake.policies.few_days import DAYS_AT_ONCE, has_few, is_counted
from auditlake.policies.holds import Hold
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.query.view import judging_engine
from auditlake.remembered.memory import LakeMemory
from auditlake.remembered.parts import DAY
from auditlake.store.snapshot import read_snapshot
from auditlake.summaries.day_rows import LakeRows
from auditlake.summaries.lake import is_as_named


@dataclass(frozen=True, slots=True)
class Plan:
    """How a policy would be answered."""

    name: str
    """``remembered days``, ``days at once``, ``bounds first``, ``sort and sweep``, ``scan``, or an engine of slices."""
    reason: str
    days: int
    """How many UTC days are not remembered."""
    files: int
    """How many data files have events that may have to be read."""
    events: int
    """How many events are looked at; at most, where that is known only when they are."""


def plan_of(
    context: LakeContext, policy: Policy, policies: Sequence[Policy], holds: Sequence[Hold], question: Question
) -> Plan:
    """Return the plan for a policy; counts of minutes that are missing are made, as a report does.

    Args:
        context: The lake.
        policy: The policy.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
        question: The instants that it would be asked about.
    """
    layout, settings = context.layout, context.config.reports
    with judging_engine(context, read_snapshot(layout).version) as (engine, snapshot):
        most = settings.summaries_mb * 1_000_000
        rows, known = LakeRows(layout, snapshot, engine.connection, most), is_as_named(engine, snapshot)
        window, every = (
            policy.window.microseconds,
            range((micros(question.since) + 1) // DAY, micros(question.until) // DAY + 1),
        )

        def plan(name: str, reason: str, missing: Sequence[int], near: int | None = None) -> Plan:
            back = range((missing[0] * DAY - window) // DAY, missing[-1] + 1) if missing else ()
            files, events = rows.size(back, policy.required_events)
            return Plan(name, reason, len(missing), files, events if near is None else near)

        if context.config.engine != "duckdb":
            return plan(context.config.engine, "lake.toml names this engine", every)
        if not (known and settings.remember_mb):
            return plan(sorted_by(policy), "nothing of earlier days is remembered in this lake", every)
        memory = LakeMemory(layout, snapshot, engine, policies, holds, settings.remember_mb * 1_000_000)
        if memory.finds_too_much(policy, question):
            return plan(sorted_by(policy), "days have too many episodes to be remembered", every)
        missing = memory.missing(policy, question)
        if not missing:
            return plan("remembered days", "all days of the period are remembered", ())
        since, until = missing[0].since, missing[-1].until
        asked = Question(instant(until), instant(since), instant(until))
        days = [each.day for each in missing]
        back = range(max(since + 1 - window, 0) // DAY, until // DAY + 1)
        if has_few(len(back), rows.number(back)):
            name = DAYS_AT_ONCE if is_counted(policy) else sorted_by(policy)
            return plan(name, "few events are to be asked about; by itself a policy is sorted", days)
        settled = Bounds(rows).settled(policy, asked) if most else None
        if settled is not None and settled.why_not is None:
            share = f"counts of minutes settle all but {settled.near:,} of {settled.events:,} events"
            return plan("bounds first", share, days, settled.near)
        why = "no summaries are kept" if settled is None else settled.why_not
        return plan(sorted_by(policy), f"bounds do not help: {why}", days)
