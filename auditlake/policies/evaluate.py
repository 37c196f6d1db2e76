"""Ask a policy's questions of the ``events`` view of a connection, and keep what was asked with what was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial

from auditlake.engine.model import Engine, RangeError, Row, StatementError
from auditlake.engine.statements import statement
from auditlake.policies.compile import CompiledQuery, Step, compile_backtest, compile_policy, moments_of, samples_of
from auditlake.policies.condition import ConditionError
from auditlake.policies.holds import Hold
from auditlake.policies.isolate import passing_over
from auditlake.policies.kinds.model import MOMENTS
from auditlake.policies.kinds.threshold import group_values
from auditlake.policies.model import Policy
from auditlake.policies.question import Question


@dataclass(frozen=True, slots=True)
class Answers:
    """The rows of every step that gave rows, by the step's name, and the queries that gave them."""

    policy: Policy
    policies: Sequence[Policy]
    """Every policy of the lake."""
    question: Question
    rows: Mapping[str, list[Row]]
    queries: tuple[tuple[CompiledQuery, int], ...]
    """Each query and how many rows its main step gave."""
    error: str | None = None
    """Why the policy could not be judged: then these are the answers to its other questions than the threshold."""
    asked: Policy | None = None
    """What was asked: the policy, or one like it that passes over the events on which its condition fails."""

    def one(self, name: str) -> Row:
        """Return the only row of a step."""
        (row,) = self.rows[name]
        return row

    @property
    def first_day(self) -> date | None:
        """The UTC day of the lake's first event."""
        _, first = self.one("presence")
        return first.date() if first else None


def evaluate(
    engine: Engine,
    asked: Sequence[tuple[Policy, Question]],
    policies: Sequence[Policy],
    holds: Sequence[Hold] = (),
) -> Iterator[Answers]:
    """Run all queries of policies, one after the other.

    A policy that cannot be judged stops no other: its threshold is left out, and its answers say why.

    Temporary tables of the engine are overwritten: take what needs them before the next answers.

    Args:
        engine: The engine, with ``events``.
        asked: Each policy with the instants that it is asked about.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
    """
    run_step(engine, moments_of([policy for policy, _ in asked]))
    for policy, question in asked:
        yield _evaluate(engine, policy, policies, holds, question)


def _evaluate(
    engine: Engine,
    policy: Policy,
    policies: Sequence[Policy],
    holds: Sequence[Hold],
    question: Question,
) -> Answers:
    def answers(asked: Policy, error: str | None) -> Answers:
        queries, rows = _narrow_or_wide(engine, partial(compile_policy, asked, policies, question, holds=holds))
        counted = tuple((query, len(rows[query.name])) for query in queries)
        return Answers(policy if error is None else asked, policies, question, rows, counted, error, asked)

    if policy.fault is not None:
        return answers(_unasked(policy), policy.fault)
    try:
        return answers(policy, None)
    except StatementError as failure:
        error = f"the condition of {policy.id} cannot be evaluated: {failure}"
    # Whatever a condition may read: where a file is damaged, that is no fault of the condition, and is raised.
    readable = statement("policies/readable.sql", "readable")
    engine.rows(readable.text, readable.bind({"types": list(policy.required_events)}))
    # With the events that it passes over it may be too long, and what else fails is found when it is run again.
    with suppress(ConditionError, StatementError):
        if (sound := passing_over(engine, policy)) is not None:
            return answers(sound, None)
    return answers(_unasked(policy), error)


def _unasked(policy: Policy) -> Policy:
    """Return the policy without its threshold, which alone has a condition."""
    return replace(policy, alert_threshold=None)


def episodes(engine: Engine, policy: Policy, question: Question) -> list[Row]:
    """Return the rows of ``rolling_counts`` alone: the stretches at or above the threshold of a policy."""
    run_step(engine, moments_of([policy]))
    asked = partial(compile_policy, policy, [policy], question, only="rolling_counts")
    return _narrow_or_wide(engine, asked)[1]["rolling_counts"]


def backtest(engine: Engine, asked: Sequence[tuple[Policy, Question]], thresholds: Sequence[int]) -> list[list[Row]]:
    """Return (threshold, episodes) for each policy and question, over the thresholds.

    The policies are one policy with several windows: what they have in common is read once.
    """
    run_step(engine, moments_of([policy for policy, _ in asked]))
    compiled = (partial(compile_backtest, policy, question, thresholds) for policy, question in asked)
    return [_narrow_or_wide(engine, queries)[1]["backtest"] for queries in compiled]


def _narrow_or_wide(
    engine: Engine, queries: Callable[..., tuple[CompiledQuery, ...]]
) -> tuple[tuple[CompiledQuery, ...], dict[str, list[Row]]]:
    """Return queries and what they give in 63 bits, or in 128 where a number has no room in those."""
    try:
        return _run(engine, queries(wide=False))
    except RangeError:
        # More groups than 63 bits have room for, each with the policy's span of time to itself.
        return _run(engine, queries(wide=True))


def _run(engine: Engine, queries: tuple[CompiledQuery, ...]) -> tuple[tuple[CompiledQuery, ...], dict[str, list[Row]]]:
    """Return the rows of each step. Scripts are whole by themselves: a step that recurs runs once."""
    rows: dict[str, list[Row]] = {MOMENTS: []}
    for query in queries:
        for step in query.steps:
            if step.name not in rows:
                rows[step.name] = run_step(engine, step)
    return queries, rows


def run_step(engine: Engine, step: Step) -> list[Row]:
    """Run one statement; its rows, or none where it only makes a table."""
    return engine.step(step.name, step.sql, step.parameters)


def samples(
    engine: Engine, policy: Policy, question: Question, most: int
) -> Mapping[tuple[tuple[str, ...], datetime], list[Row]]:
    """Return a few of the events behind the first ``shown`` episodes, by group key and start.

    To be called right after :func:`evaluate` on the same engine: it reads the temporary tables that are left.
    """
    events: dict[tuple[tuple[str, ...], datetime], list[Row]] = {}
    first, last = samples_of(policy, question, most).steps
    run_step(engine, first)
    for key, start, *event in run_step(engine, last):
        events.setdefault((group_values(key), start), []).append(tuple(event))
    return events
