"""Ask a policy's questions of the ``events`` view of a connection, and keep what was asked with what was answered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import accumulate
from typing import Protocol

from auditlake.engine.model import Engine, RangeError, Row, StatementError, Summaries
from auditlake.engine.statements import statement
from auditlake.engine.timings import answered_by
from auditlake.policies.compile import (
    OF_ANYTHING,
    CompiledQuery,
    Step,
    compile_backtest,
    compile_policy,
    moments_of,
    samples_of,
)
from auditlake.policies.condition import ConditionError
from auditlake.policies.counted_days import count_days
from auditlake.policies.deleted_days import Deletion, first_deleted, whole_since
from auditlake.policies.holds import Hold
from auditlake.policies.isolate import passing_over
from auditlake.policies.kinds.model import MOMENTS
from auditlake.policies.kinds.threshold import group_values
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.shared import Shared, shared
from auditlake.policies.sieve import FEWEST, OwnEvents, Sieve, sieve

Known = Mapping[str, Mapping[str, Sequence[Row]]]
"""The rows of every step of some queries of a policy, by the query's name."""
Samples = Mapping[tuple[tuple[str, ...], datetime], list[Row]]
"""A few of the events behind episodes, by group key and start."""


class Memory(Protocol):
    """What is known of policies before they are asked."""

    def recall(self, asked: Sequence[tuple[Policy, Question]]) -> Mapping[str, Known]:
        """Return what is known of policies, by their ids; nothing of those of which it is not."""

    def samples(self, answers: Answers, most: int) -> Samples:
        """Return a few of the events behind the first episodes of a policy whose episodes were known."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The rows of every step that gave rows, by the step's name, and the queries that gave them."""

    policy: Policy
    policies: Sequence[Policy]
    """Every policy of the lake."""
    question: Question
    rows: Mapping[str, Sequence[Row]]
    queries: tuple[tuple[CompiledQuery, int], ...]
    """Each query and how many rows its main step gave."""
    error: str | None = None
    """Why the policy could not be judged: then these are the answers to its other questions than the threshold."""
    asked: Policy | None = None
    """What was asked: the policy, or one like it that passes over the events on which its condition fails."""
    table: str | None = None
    """The engine's table that has its events, where its condition was judged together with others'."""
    deleted: Sequence[Deletion] = ()
    """What the lake has lost, for questions that look far back."""
    known: bool = False
    """Whether the episodes were known: then the engine's temporary tables do not have them."""

    def one(self, name: str) -> Row:
        """Return the only row of a step."""
        (row,) = self.rows[name]
        return row

    def whole_since(self, after: datetime, until: datetime) -> datetime | None:
        """Return from when on a stretch of time has all of the policy's events; None where it has lost none."""
        return whole_since(self.deleted, self.policy.required_events, after, until)

    def first_deleted(self, event_type: str) -> date | None:
        """Return the first day of which events of a type surely were deleted; None where none were."""
        return first_deleted(self.deleted, event_type)

    @property
    def first_day(self) -> date | None:
        """The UTC day of the lake's first event."""
        return next((first.date() for (first,) in self.rows["first_event"]), None)


def evaluate(
    engine: Engine,
    asked: Sequence[tuple[Policy, Question]],
    policies: Sequence[Policy],
    holds: Sequence[Hold] = (),
    *,
    fewest: int = FEWEST,
    with_queries: bool = True,
    shares_engine: bool = False,
    deleted: Sequence[Deletion] = (),
    alike: Shared | None = None,
    memory: Memory | None = None,
    summaries: Summaries | None = None,
) -> Iterator[Answers]:
    """Run all queries of policies, one after the other; what they ask alike is read in one scan where they are many.

    A policy that cannot be judged stops no other: its threshold is left out, and its answers say why.

    Temporary tables of the engine are overwritten: take what needs them before the next answers.

    Args:
        engine: The engine, with ``events``.
        asked: Each policy with the instants that it is asked about.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
        fewest: From how many policies on they are judged in one scan.
        with_queries: Whether answers have the queries that say by themselves how a policy was judged that was known or
            judged in that scan; to write them takes longer than the scan.
        shares_engine: Whether other policies are judged on this engine too.
        deleted: What the lake has lost.
        alike: What was counted for these policies already.
        memory: What may be known of them.
        summaries: What may be known of the engine's events without their rows.
    """
    known = memory.recall(asked) if memory else {}
    unheard, uncounted = (
        [pair for pair in asked if name not in known.get(pair[0].id, ())]
        for name in ("required_types", "rolling_counts")
    )
    alike = alike or shared(engine, unheard, fewest=fewest, summaries=summaries)
    together = sieve(engine, uncounted, fewest=fewest)
    others = [policy for policy, _ in asked if alike is None or not alike.has_moments(policy)]
    moments = moments_of(others, fewest=0 if shares_engine else 2)
    runner = Runner(engine, moments, alike, with_queries=with_queries)
    for policy, question in asked:
        answers = _evaluate(runner, together, policy, policies, holds, question, known.get(policy.id, {}))
        yield replace(answers, deleted=deleted)


def _evaluate(
    runner: Runner,
    together: Sieve | None,
    policy: Policy,
    policies: Sequence[Policy],
    holds: Sequence[Hold],
    question: Question,
    known: Known,
) -> Answers:
    engine = runner.engine

    def answers(asked: Policy, error: str | None, own: OwnEvents | None = None, known: Known | None = None) -> Answers:
        compiled = partial(compile_policy, asked, policies, question, holds=holds)
        queries, rows = runner.answers(compiled, own, known, asked=(asked, question))
        counts = tuple((query, len(rows[query.name])) for query in queries)
        judged = policy if error is None else asked
        were_known = "rolling_counts" in (known or ())
        table = own.table if own is not None and own.is_whole else None
        if not were_known:
            answered_by(policy.id, sorted_by(asked))
        return Answers(judged, policies, question, rows, counts, error, asked, table=table, known=were_known)

    if known:
        # What is left may fail: then it is asked as any other is.
        with suppress(StatementError, ConditionError):
            return answers(policy, None, known=known)
    if together is not None and (own := together.lay_out(policy)) is not None:
        # What it groups by may fail, or cannot be written down: then it is judged by itself, which tells it.
        with suppress(StatementError, ConditionError):
            return answers(policy, None, own)
    if policy.fault is not None:
        return answers(_unasked(policy), policy.fault)
    try:
        return answers(policy, None)
    except (StatementError, ConditionError) as failure:
        error = f"the condition of {policy.id} cannot be evaluated: {failure}"
    # Whatever a condition may read: where a file is damaged, that is no fault of the condition, and is raised.
    readable = statement("policies/readable.sql", "readable")
    engine.rows(readable.text, readable.bind({"types": list(policy.required_events)}))
    # With the events that it passes over it may be too long, and what else fails is found when it is run again.
    with suppress(ConditionError, StatementError):
        if (sound := passing_over(engine, policy)) is not None:
            return answers(sound, None)
    with suppress(ConditionError, StatementError):
        return answers(_unasked(policy), error)
    return answers(replace(_unasked(policy), scope=None, coverage="optional", max_gap=None, fields={}), error)


def sorted_by(policy: Policy) -> str:
    """Return how a policy is answered from its events: the name of the plan."""
    if policy.alert_threshold is None:
        return "scan"
    return f"sort and sweep by {', '.join(policy.group_by)}" if policy.group_by else "sort and sweep"


def _unasked(policy: Policy) -> Policy:
    """Return the policy without its threshold, which alone has a condition beside the scope."""
    return replace(policy, alert_threshold=None)


def episodes(engine: Engine, policy: Policy, question: Question) -> Sequence[Row]:
    """Return the rows of ``rolling_counts`` alone: the stretches at or above the threshold of a policy."""
    asked = partial(compile_policy, policy, [policy], question, only="rolling_counts")
    return Runner(engine, moments_of([policy])).answers(asked)[1]["rolling_counts"]


def backtest(
    engine: Engine, asked: Sequence[tuple[Policy, Question]], thresholds: Sequence[int]
) -> list[Sequence[Row]]:  # fmt: skip
    """Return (threshold, episodes) for each policy and question, over the thresholds.

    The policies are one policy with several windows: what they have in common is read once.
    """
    runner = Runner(engine, moments_of([policy for policy, _ in asked]))
    compiled = (partial(compile_backtest, policy, question, thresholds) for policy, question in asked)
    return [runner.answers(queries)[1]["backtest"] for queries in compiled]


_Script = tuple[str, ...]
"""A script up to one of its steps: each step with its values, and whose events it is about."""
_MOST_KNOWN = 64


class Runner:
    """Runs the queries of policies one after the other; what is the same for several of them runs once.

    Args:
        engine: The engine, with ``events``.
        moments: The step of the moments, which is run once it is needed.
        alike: What was counted for several policies at once.
        with_queries: Whether to compile what is not run as well: what is known, and queries over ``events`` instead of
            a sieve's table.
    """

    def __init__(
        self, engine: Engine, moments: Step, alike: Shared | None = None, *, with_queries: bool = True
    ) -> None:  # fmt: skip
        self.engine, self._alike = engine, alike
        self._moments: Step | None = moments
        self._keeps_moments = moments.makes_table
        self._with_queries = with_queries
        self._tables: dict[str, _Script] = {}
        """Which script made each temporary table as it is now."""
        self._known: OrderedDict[_Script, dict[str, Sequence[Row]]] = OrderedDict()
        """What the last scripts gave that may come again."""
        self._of_anything: dict[tuple[str, str], Sequence[Row]] = {}
        """What statements gave that are the same for all policies."""

    def answers(
        self,
        compiled: Callable[..., tuple[CompiledQuery, ...]],
        own: OwnEvents | None = None,
        known: Known | None = None,
        *,
        asked: tuple[Policy, Question] | None = None,
    ) -> tuple[tuple[CompiledQuery, ...], dict[str, Sequence[Row]]]:
        """Return queries, and the rows of each of their steps.

        Args:
            compiled: Compiles them: in 128 bits if ``wide``, and over the ``table`` of a sieve.
            own: That table, if there is one.
            known: What need not be run.
            asked: The policy and the instants that they are about, where what was counted at once may answer them.
        """
        run = compiled if own is None else partial(compiled, table=own.table)
        whose = own.whose if own else None
        told = compiled if self._with_queries else run
        if known and not self._with_queries:
            run = told = partial(run, left_out=known)
        if asked is not None and self._alike is not None and self._alike.answers(asked[0]):
            run = partial(self._alike.reading, run, *asked)

        def found(*, wide: bool) -> tuple[tuple[CompiledQuery, ...], dict[str, Sequence[Row]]]:
            queries = run(wide=wide)
            return queries if told is run else told(wide=wide), self._run(queries, whose, known or {})

        try:
            return found(wide=False)
        except RangeError:
            # More groups than 63 bits have room for, each with the policy's span of time to itself.
            return found(wide=True)

    def _run(self, queries: tuple[CompiledQuery, ...], whose: str | None, known: Known) -> dict[str, Sequence[Row]]:
        """Return the rows of each step. Scripts are whole by themselves: a table that is there is not made again."""
        rows: dict[str, Sequence[Row]] = {MOMENTS: []}
        for found_before in known.values():
            rows |= found_before
        for query in queries:
            if query.name in known:
                continue
            if any(step.name == MOMENTS for step in query.steps):
                self._take_moments()
            scripts = _scripts(query, whose)
            comes_again = whose == "" or not any(step.is_judging for step in query.steps)
            found = self._known.get(scripts[-1]) if comes_again else None
            if found is None:
                found = self._rows(query, scripts)
                if comes_again:
                    self._known[scripts[-1]] = found
                    if len(self._known) > _MOST_KNOWN:
                        self._known.popitem(last=False)
            rows |= found
        return rows

    def _rows(self, query: CompiledQuery, scripts: Sequence[_Script]) -> dict[str, Sequence[Row]]:
        is_own = any(step.is_judging for step in query.steps)
        rows: dict[str, Sequence[Row]] = {}
        for step, script in zip(query.steps, scripts, strict=True):
            if step.name != MOMENTS:
                is_over = query.enough in rows and not rows[query.enough]
                rows[step.name] = [] if is_over else self._step(step, script, is_own=is_own)
        return rows

    def _take_moments(self) -> None:
        if self._moments is not None:
            run_step(self.engine, self._moments)
            if self._moments.makes_table:
                self.engine.rows(statement("policies/moments.sql", "moments_kept").text)
            self._moments = None

    def _step(self, step: Step, script: _Script, *, is_own: bool) -> Sequence[Row]:
        # A table that a policy's condition or groups decide on is made anew: later steps may have added to it.
        if step.name in OF_ANYTHING:
            return self._once(step)
        if not step.makes_table:
            return run_step(self.engine, step)
        if is_own or self._tables.get(step.name) != script:
            self._tables.pop(step.name, None)
            if self._keeps_moments or not count_days(self.engine, step):
                run_step(self.engine, step)
            if not is_own:
                self._tables[step.name] = script
        return []

    def _once(self, step: Step) -> Sequence[Row]:
        """Return the rows of a step that reads events alone, and depends on no policy."""
        key = step.sql, repr(sorted(step.parameters.items()))
        if key not in self._of_anything:
            self._of_anything[key] = self._on_last_day(step) or run_step(self.engine, step)
        return self._of_anything[key]

    def _on_last_day(self, step: Step) -> Sequence[Row]:
        """Return whether anything was received in a period where the files of its last day say so, else nothing."""
        if step.name != "presence":
            return []
        if (last_day := step.parameters["until"] - timedelta(days=1)) <= step.parameters["since"]:
            return []
        found = run_step(self.engine, replace(step, parameters={**step.parameters, "since": last_day}))
        return found if [*found] == [(True,)] else []


def _scripts(query: CompiledQuery, whose: str | None) -> list[_Script]:
    """Return the script of a query up to each of its steps."""
    steps = (
        (step.sql, repr(sorted(step.parameters.items())), whose or "" if step.is_judging else "")
        for step in query.steps
    )
    return list(accumulate(steps, lambda before, step: before + step))


def run_step(engine: Engine, step: Step) -> Sequence[Row]:
    """Run one statement; its rows, or none where it only makes a table."""
    return engine.step(step.name, step.sql, step.parameters)


def samples(engine: Engine, policy: Policy, question: Question, most: int, *, table: str | None = None) -> Samples:
    """Return a few of the events behind the first ``shown`` episodes, by group key and start.

    To be called right after :func:`evaluate` on the same engine: it reads the temporary tables that are left.
    """
    first, last = samples_of(policy, question, most, table=table).steps
    run_step(engine, first)
    return samples_shown(engine, last)


def samples_shown(engine: Engine, step: Step) -> Mapping[tuple[tuple[str, ...], datetime], list[Row]]:
    """Return a few of the events behind the episodes in the engine's table ``shown``, by group key and start.

    Args:
        engine: The engine, with ``events`` and ``shown``.
        step: The statement that finds them.
    """
    events: dict[tuple[tuple[str, ...], datetime], list[Row]] = {}
    for key, start, *event in run_step(engine, step):
        events.setdefault((group_values(key), start), []).append(tuple(event))
    return events
