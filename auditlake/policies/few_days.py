"""A stretch of days that has few events is asked about in few statements: planning them takes longer than running them.

Its governed events are read once, and policies that count events are asked together. The statements of other measures
stay theirs up to the intervals; what follows is shorter than ``rolling_counts.sql``, which is made for many events.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from auditlake.engine.model import Engine, Row, StatementError
from auditlake.engine.statements import statements
from auditlake.events.schema import COLUMNS
from auditlake.policies import kinds
from auditlake.policies.compile import Step, compile_arrivals, compile_by_day
from auditlake.policies.condition import ConditionError
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.sieve import Sieve

MOST_EVENTS = 600_000
"""Up to how many events in its files a stretch has few."""
MOST_DAYS = 8
"""Up to how many days it is short: every group is looked at on each, so a month takes twice as long as by the other way
where a week takes a fifth less.
"""
EPISODES, PEAKS, TOTALS = "episodes_by_day", "daily_peaks", "totals_by_day"
"""The names of what policies are asked together: queries of days, and the step ``daily_peaks`` of the first."""
DAYS_AT_ONCE = "days at once"
"""What this plan is called."""
_FILE = "policies/few_days.sql"


def has_few(days: int, events: int) -> bool:
    """Return whether a stretch is asked about in this way.

    Args:
        days: How many days are read.
        events: How many events their files have.
    """
    return days <= MOST_DAYS and events <= MOST_EVENTS


def keep_events(engine: Engine, asked: Sequence[tuple[Policy, Collection[str]]], question: Question) -> None:
    """Let the engine's ``events`` have in memory what queries of policies read, in the place of the files.

    Args:
        engine: The engine, with ``events``.
        asked: The policies, each with the names of its queries of days.
        question: The period.

    Raises:
        StatementError: The files cannot be read.
        ConditionError: A condition cannot be written down.
    """
    parts = statements(_FILE)
    texts = (step.sql for policy, names in asked for step in _steps(policy, names, question))
    words = {"event_type", "timestamp", *re.findall(r"\w+", " ".join(texts))}
    types = {name for policy, _ in asked for name in policy.required_events}
    values: dict[str, object] = {"types": sorted(types), "columns": [name for name in COLUMNS if name in words]}
    part = parts["kept_events"]
    engine.step(part.name, part.text, part.bind(values))
    engine.rows(parts["events_kept"].text)


def _steps(policy: Policy, names: Collection[str], question: Question) -> Iterator[Step]:
    """Yield the statements that are run for a policy."""
    if is_counted(policy):
        yield compile_arrivals(policy, question, 0)
        names = set(names) - {EPISODES, TOTALS}
    for query in compile_by_day(policy, question, only=names, few=True):
        yield from query.steps


def is_counted(policy: Policy) -> bool:
    """Return whether :func:`counted_together` knows how to ask a policy."""
    return kinds.measure_of(policy).name == "count" and policy.alert_threshold is not None


def counted_together(
    engine: Engine, policies: Sequence[Policy], question: Question, sieve: Sieve | None
) -> Mapping[str, Mapping[str, Mapping[str, Sequence[Row]]]]:
    """Return the rows of the steps ``episodes_by_day``, ``daily_peaks`` and ``totals_by_day`` of policies that count
    events, by the policies' ids and the names of the queries; nothing of those that fail.

    Args:
        engine: The engine, with ``events``.
        policies: The policies.
        question: The period.
        sieve: What the conditions of some of them were found to say; it has no totals of those with a scope.
    """
    parts, asked, read = statements(_FILE), list[Policy](), set[str]()
    if not policies:
        return {}

    def run(name: str, values: Mapping[str, object]) -> Sequence[Row]:
        part = parts[name]
        return engine.step(name, part.text, part.bind(dict(values)))

    run("arrivals_of_all", {})
    for policy in policies:
        with suppress(StatementError, ConditionError):
            own = sieve.lay_out(policy) if sieve is not None else None
            if own is None or own.whose:  # else no event meets its condition
                step = compile_arrivals(policy, question, len(asked), table=own.table if own else None)
                engine.step(step.name, step.sql, step.parameters)
            asked.append(policy)
            if own is None or policy.scope is None:
                read.add(policy.id)
    values = {"since": question.since, "until": question.until, "thresholds": [each.alert_threshold for each in asked]}
    for name in ("groups_of_all", "spans_of_all", "levels", "pieces"):
        run(name, values)
    rows: dict[str, dict[str, dict[str, list[Row]]]] = {
        each.id: {EPISODES: {EPISODES: [], PEAKS: []}} for each in asked
    }
    for number, day, key, *rest in run("pieces_of_all", values):
        policy = asked[number]
        rows[policy.id][EPISODES][EPISODES].append((day, key[0] if len(policy.group_by) == 1 else key, *rest))
    for number, *row in run("peaks_of_all", values):
        rows[asked[number].id][EPISODES][PEAKS].append(tuple(row))
    for policy_id in read:
        rows[policy_id][TOTALS] = {TOTALS: []}
    for number, *row in run("totals_of_all", values):
        if (policy := asked[number]).id in read:
            rows[policy.id][TOTALS][TOTALS].append(tuple(row))
    return rows
