"""By which plan a report of one policy alone would be answered first on a lake as it is now, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from auditlake.context import LakeContext
from auditlake.events.times import day_of, micros
from auditlake.policies.days import DAY
from auditlake.policies.evaluate import sorted_by
from auditlake.policies.extraction import reads_places
from auditlake.policies.few_days import DAYS_AT_ONCE, has_few, is_counted
from auditlake.policies.holds import Hold
from auditlake.policies.many_events import IN_ARRAYS
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.selection import has_condition
from auditlake.query.view import judging_engine
from auditlake.remembered.memory import LakeMemory
from auditlake.store.file_types import with_types
from auditlake.store.files import Files
from auditlake.store.snapshot import read_snapshot
from auditlake.summaries.lake import is_as_named


@dataclass(frozen=True, slots=True)
class Plan:
    """How a policy would be answered."""

    name: str
    """``remembered days``, ``days at once``, ``sweep in arrays``, ``sort and sweep``, ``scan``, or an engine's."""
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
    """Return the plan for a policy.

    Args:
        context: The lake.
        policy: The policy.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
        question: The instants that it would be asked about.
    """
    layout, settings = context.layout, context.config.reports
    with judging_engine(context, read_snapshot(layout).version) as (engine, snapshot):
        known = is_as_named(engine, snapshot)
        window, every = (
            policy.window.microseconds,
            range((micros(question.since) + 1) // DAY, micros(question.until) // DAY + 1),
        )

        def of_days(days: Collection[int]) -> Files:
            return snapshot.table.of_days([day_of(day) for day in days])

        def plan(name: str, reason: str, missing: Sequence[int]) -> Plan:
            back = range((missing[0] * DAY - window) // DAY, missing[-1] + 1) if missing else ()
            files = with_types(layout, replace(snapshot, files=of_days(back))).files
            chosen = [file for file in files if file.may_hold(policy.required_events)]
            return Plan(name, reason, len(missing), len(chosen), sum(file.rows for file in chosen))

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
        days = [each.day for each in missing]
        back = range(max(missing[0].since + 1 - window, 0) // DAY, days[-1] + 1)
        if has_few(len(back), of_days(back).rows):
            name = DAYS_AT_ONCE if is_counted(policy) else sorted_by(policy)
            return plan(name, "few events are to be asked about; by itself a policy is sorted", days)
        if is_counted(policy):
            is_shared = has_condition(policy) or reads_places(policy)
            others = "; where five or more such policies are asked, it is sorted" if is_shared else ""
            return plan(IN_ARRAYS, f"it counts events, and many days or events are missing{others}", days)
        return plan(sorted_by(policy), f"its measure is {policy.measure}", days)
