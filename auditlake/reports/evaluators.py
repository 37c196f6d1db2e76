"""What answers the policies of a report: DuckDB with what is remembered of earlier days, or an engine of slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from auditlake.context import LakeContext
from auditlake.engine.duck import beside, view_events
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import SliceEngine, StatementError, Summaries
from auditlake.engine.statements import statement
from auditlake.policies.by_group import SliceFiles
from auditlake.policies.condition import ConditionError
from auditlake.policies.deleted_days import Deletion, deletions
from auditlake.policies.evaluate import Answers, Samples, evaluate, samples
from auditlake.policies.holds import Hold
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.request import ReportRequest
from auditlake.policies.shared import Shared
from auditlake.policies.slices import (
    Stretch,
    evaluate_by_slices,
    not_by_slices,
    refuse_what_has_no_slices,
    samples_by_slices,
)
from auditlake.query.view import memory_of
from auditlake.remembered.memory import LakeMemory
from auditlake.reports.sentences import SHOWN_EPISODES
from auditlake.spark.open import open_slices
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import file_paths, readable
from auditlake.summaries.lake import LakeSummaries, is_as_named, lake_summaries

_BYTES = 66
"""What the statements of ``sql/policies`` hold of each event that counts, where nothing is grouped."""
_SPILLED = 2
"""From how many times the memory on slices take less time than to spill it."""


class Evaluator:
    """DuckDB, asked by the statements of ``sql/policies`` for what is not remembered.

    Args:
        context: The lake.
        request: What is asked of reports.
        engine: The DuckDB, with ``events``.
        snapshot: What it shows.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
    """

    name = "duckdb"
    """What answers, for the line of a run."""

    def __init__(
        self, context: LakeContext, request: ReportRequest, engine: DuckEngine, snapshot: Snapshot,
        policies: Sequence[Policy], holds: Sequence[Hold],
    ) -> None:  # fmt: skip
        self._context, self._engine, self._snapshot = context, engine, snapshot
        self._policies, self._holds = policies, holds
        settings, is_usual = context.config.reports, request.snapshot is None and request.arrived_by is None
        is_asked = request.cache and is_usual and engine.shown_beside is None
        most, room = settings.remember_mb * 1_000_000, settings.summaries_mb * 1_000_000
        summaries = partial(self._summaries, room) if room else None
        self._memory = (
            LakeMemory(context.layout, snapshot, engine, policies, holds, most, summaries)
            if is_asked and most and request.policies is None and is_as_named(engine, snapshot) else None
        )  # fmt: skip
        self.summaries = lake_summaries(context, engine, snapshot, kept=is_asked)
        """What counts the events of the snapshot."""

    def _summaries(self, most: int, engine: DuckEngine) -> Summaries:
        """Return what lays summaries of the snapshot's data files out on an engine."""
        return LakeSummaries(self._context.layout, self._snapshot, engine.database, most)

    def answers(
        self, asked: Sequence[tuple[Policy, Question]], *, shares_engine: bool, alike: Shared | None
    ) -> Iterator[Answers]:
        """Return the answers of policies, one after the other; the arguments are those of ``evaluate``."""
        deleted = deletions(self._context.layout, self._snapshot.version, [policy for policy, _ in asked])
        return evaluate(
            self._engine, asked, self._policies, self._holds, shares_engine=shares_engine, deleted=deleted, alike=alike,
            memory=self._memory, summaries=self.summaries,
        )  # fmt: skip

    def events_at_once(self) -> int | None:
        """Return how many events a count may have until slices of time take less time than to spill what does not fit
        into memory; None where every count has fewer, or is remembered by day.
        """
        if self._memory is not None:
            return None
        ((limit,),) = self._engine.rows(statement("slices/memory.sql", "limit").text)
        most: int = limit * _SPILLED // _BYTES
        return most if self._snapshot.rows > most else None

    def samples(self, answers: Answers) -> Samples:
        """Return a few of the events behind the first episodes of the last answers."""
        if answers.known and self._memory is not None:
            return self._memory.samples(answers, SHOWN_EPISODES)
        policy = answers.asked or answers.policy
        return samples(self._engine, policy, answers.question, SHOWN_EPISODES, table=answers.table)


class _BySlices(Evaluator):
    """An engine of slices; DuckDB looks up the few events that a page shows.

    Where lake.toml names the engine, DuckDB also answers what has no formulation by slices; where the caller does, that
    is refused. Where memory is short, only counts that would spill are asked by slices.
    """

    def __init__(
        self, context: LakeContext, request: ReportRequest, engine: DuckEngine, snapshot: Snapshot,
        policies: Sequence[Policy], holds: Sequence[Hold], slices: SliceEngine, *, at_once: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(context, request, engine, snapshot, policies, holds)
        self.name = slices.name if at_once is None else "duckdb"
        self._slices, self._is_named, self._at_once = slices, request.engine is not None, at_once
        self._is_by_slices = False
        """Whether the engine of slices answered the last policy."""
        self._apart: DuckEngine | None = None
        """What answered the last policy, if its condition fails."""
        self._source = readable(context.layout, snapshot, arrived_by=request.arrived_by)

    def answers(
        self, asked: Sequence[tuple[Policy, Question]], *, shares_engine: bool, alike: Shared | None
    ) -> Iterator[Answers]:
        """Return the answers of policies, one after the other."""
        layout, source = self._context.layout, self._source
        own = [pair for pair in asked if self._is_own(pair[0])]
        others = [pair for pair in asked if pair not in own]
        self.name = self._slices.name if own else self.name
        deleted = deletions(layout, self._snapshot.version, [policy for policy, _ in own])
        files = SliceFiles(file_paths(layout, source.files), self._snapshot.rows, source.batches)
        by_duckdb = super().answers(others, shares_engine=shares_engine, alike=alike) if others else iter(())
        refuse_what_has_no_slices(self._slices, own)
        for pair in asked:
            self._apart = None
            self._is_by_slices = pair in own
            if not self._is_by_slices:
                yield next(by_duckdb)
                continue
            try:
                (answers,) = evaluate_by_slices(
                    self._slices, files, [pair], self._policies, self._holds, deleted=deleted
                )  # fmt: skip
            except (StatementError, ConditionError):
                answers = self._answered_apart(pair, deleted)
            yield answers

    def _is_own(self, policy: Policy) -> bool:
        """Return whether the engine of slices is asked for a policy."""
        if policy.fault is not None:
            return False
        is_asked = self._is_named or not_by_slices(policy) is None
        if self._at_once is None or not is_asked:
            return is_asked
        is_count = policy.alert_threshold is not None and policy.measure == "count" and not policy.group_by
        return is_count and sum(self._by_type.get(name, 0) for name in policy.required_events) > self._at_once

    @cached_property
    def _by_type(self) -> dict[str, int]:
        """Return how many events there are of each type."""
        return dict(self._engine.rows(statement("slices/memory.sql", "types").text))

    def _answered_apart(self, pair: tuple[Policy, Question], deleted: Sequence[Deletion]) -> Answers:
        """Return the answers of a policy whose condition fails: DuckDB says where, on a connection of its own."""
        local = beside(self._engine.connection)
        view_events(
            local, file_paths(self._context.layout, self._source.files), batches=self._source.batches
        )  # fmt: skip
        self._apart = DuckEngine(local)
        return next(evaluate(self._apart, [pair], self._policies, self._holds, deleted=deleted))

    def samples(self, answers: Answers) -> Samples:
        """Return a few of the events behind the first episodes of the last answers."""
        if self._apart is not None:
            policy = answers.asked or answers.policy
            return samples(self._apart, policy, answers.question, SHOWN_EPISODES, table=answers.table)
        if not self._is_by_slices:
            return super().samples(answers)
        source = self._source

        def view(stretches: Sequence[Stretch]) -> None:
            days = [(start.date(), end.date()) for start, end in stretches]
            near = [file for file in source.files if any(start <= file.day <= end for start, end in days)]
            view_events(local, file_paths(self._context.layout, near), batches=source.batches)

        with beside(self._engine.connection) as local:
            return samples_by_slices(self._slices, DuckEngine(local), answers, SHOWN_EPISODES, view)


@contextmanager
def evaluator(
    context: LakeContext, request: ReportRequest, engine: DuckEngine, snapshot: Snapshot, policies: Sequence[Policy],
    holds: Sequence[Hold],
) -> Iterator[Evaluator]:  # fmt: skip
    """Open what answers, for as long as it is used; the arguments are those of :class:`Evaluator`.

    Raises:
        EngineError: The engine that was asked for cannot be reached.
    """
    name, at_once = request.engine or ("duckdb" if request.again else context.config.engine), None
    if name == "duckdb":
        by_duckdb = Evaluator(context, request, engine, snapshot, policies, holds)
        at_once = None if request.engine or request.again else by_duckdb.events_at_once()
        if at_once is None:
            yield by_duckdb
            return
        name = "slices"
    with TemporaryDirectory(prefix="auditlake-") as spill, open_slices(name, Path(spill), memory_of(context)) as slices:
        yield _BySlices(context, request, engine, snapshot, policies, holds, slices, at_once=at_once)
