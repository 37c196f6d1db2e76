"""Reports of one snapshot, with the engine that gave them still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.engine.duck import beside, view_events
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row, SliceEngine
from auditlake.events.times import as_end, as_instant_or_none, judged_as_of
from auditlake.findings.journal import Line, concerning, first_entries, read
from auditlake.packs.effective import LakePacks, lake_packs, lake_policies
from auditlake.policies.deleted_days import Deletion, deletions
from auditlake.policies.evaluate import Answers, evaluate, samples
from auditlake.policies.files import chosen, refuse_unreadable
from auditlake.policies.holds import Hold
from auditlake.policies.loader import load_policies
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, default_since, question
from auditlake.policies.request import ReportRequest
from auditlake.policies.slices import SliceFiles, Stretch, evaluate_by_slices, samples_by_slices
from auditlake.query.view import ask
from auditlake.query.view import engine as open_engine
from auditlake.reports.build import build_detail, build_report
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.model import Detail, Report
from auditlake.reports.sentences import SHOWN_EPISODES
from auditlake.spark.open import open_slices
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import file_paths, readable

if TYPE_CHECKING:
    import duckdb

Listen = Callable[[int, int, str], None]
"""Told how many reports are done, of how many, and which is next."""


@dataclass(frozen=True, slots=True)
class Judging:
    """A snapshot that policies can be judged on, for as long as its engine is open."""

    connection: duckdb.DuckDBPyConnection
    """The engine, with the view ``events`` of the snapshot and the temporary tables of the last report."""
    policies: tuple[Policy, ...]
    """Every policy that is judged by."""
    packs: LakePacks
    """The packs that they are of; none where policies of a folder are judged by."""
    asked: tuple[tuple[Policy, Question], ...]
    """The policies that were asked for, each with the instants that it is asked about."""
    as_of: datetime
    snapshot: Snapshot
    journal: tuple[Line, ...]
    """The entries of the journal of findings that count."""
    judge: Callable[[Sequence[tuple[Policy, Question]], Listen], tuple[ComplianceReport, ...]]
    """Makes reports of policies, each about the instants that it is given with."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Reports, and the engine that gave them."""

    connection: duckdb.DuckDBPyConnection
    """The engine, with the view ``events`` of the snapshot and the temporary tables of the last report."""
    policies: tuple[Policy, ...]
    """Every policy that was judged by."""
    reports: tuple[ComplianceReport, ...]
    as_of: datetime
    snapshot: Snapshot
    entries: int
    """How many of the first entries of the journal of findings counted."""


@contextmanager
def judged(
    context: LakeContext,
    request: ReportRequest,
    *,
    holds: Sequence[Hold],
    flush: Callable[[], int],
) -> Iterator[Judged]:
    """Make reports; the arguments are those of :func:`judging`."""
    with judging(context, request, request.policy_ids, holds=holds, flush=flush) as lake:
        reports = lake.judge(lake.asked, request.listen)
        yield Judged(lake.connection, lake.policies, reports, lake.as_of, lake.snapshot, len(lake.journal))


@contextmanager
def judging(
    context: LakeContext,
    request: ReportRequest,
    policy_ids: Sequence[str] | None,
    *,
    holds: Sequence[Hold],
    flush: Callable[[], int],
    shares_engine: bool = False,
    packs: LakePacks | None = None,
) -> Iterator[Judging]:
    """Open a snapshot to make reports on.

    Args:
        context: The lake.
        request: What is asked.
        policy_ids: The policies that are asked for; all of them if empty, none if None.
        holds: Every legal hold of the lake, as it counts.
        flush: Brings what was logged into the table, and returns the newest snapshot.
        shares_engine: Whether reports are made in more than one step.
        packs: The packs whose policies are judged beside the lake's own; the lake's if None.
    """
    config = context.config
    if request.policies is None:
        packs = lake_packs(context.layout, config.event_types, is_later=True) if packs is None else packs
        policies = lake_policies(context.layout, config.event_types, tolerant=True, is_later=True, packs=packs)
    else:
        packs = LakePacks()
        policies = load_policies(Path(request.policies), config.event_types, tolerant=True, follow=True, is_later=True)
    refuse_unreadable([policy for policy in policies if policy.id in (policy_ids or ())])
    as_of = request.as_of
    instant = as_end(as_of) if request.again and as_of is not None else judged_as_of(as_of, context.now)
    # Those of packs answer together with their framework, over one period.
    of_packs = {policy.id for policy in packs.policies()}

    def lasting(policy: Policy) -> Policy:
        return replace(policy, retention_period=None) if policy.id in of_packs else policy

    named = () if policy_ids is None else chosen(policies, policy_ids)
    asked = tuple((each, question(lasting(each), request, instant, config.report_period)) for each in named)
    version = flush() if request.snapshot is None else request.snapshot
    name = request.engine or config.engine
    with (
        open_engine(context, version, arrived_by=request.arrived_by) as (connection, snapshot),
        _evaluator(context, name, connection, snapshot, request.arrived_by) as evaluator,
    ):
        journal = tuple(first_entries(read(context.layout), request.entries))

        def judge(asked: Sequence[tuple[Policy, Question]], listen: Listen) -> tuple[ComplianceReport, ...]:
            reports: list[ComplianceReport] = []
            if not asked:
                return ()
            listen(0, len(asked), asked[0][0].id)
            deleted = deletions(context.layout, snapshot.version, [policy for policy, _ in asked])
            judged = evaluator.answers(asked, policies, holds, shares_engine=shares_engine, deleted=deleted)
            for done, answers in enumerate(judged, 1):
                usual = default_since(lasting(answers.policy), instant, config.report_period)
                reports.append(_report(context, request, evaluator, snapshot, journal, answers, usual))
                listen(done, len(asked), asked[done][0].id if done < len(asked) else "")
            return tuple(reports)

        yield Judging(connection, policies, packs, asked, instant, snapshot, journal, judge)


def _report(
    context: LakeContext,
    request: ReportRequest,
    evaluator: _Evaluator,
    snapshot: Snapshot,
    journal: Sequence[Line],
    answers: Answers,
    usual_since: datetime,
) -> ComplianceReport:
    config, policy, about = context.config, answers.policy, answers.question
    report = build_report(
        answers, generated_at=as_instant_or_none(request.generated_at) or about.as_of, lake_id=config.id,
        snapshot=snapshot.evidence, journal=concerning(journal, policy.id),
    )  # fmt: skip
    return ComplianceReport(
        report,
        _detail(evaluator, answers, report) if request.pages else None,
        usual_period=(about.since, about.until) == (usual_since, about.as_of),
        max_findings=config.max_findings,
        asked=answers.asked,
        _ask=partial(ask, context),
    )


def _detail(evaluator: _Evaluator, answers: Answers, report: Report) -> Detail:
    """Gather what only the page shows, from the temporary tables that gave the answers."""
    if report.threshold is None or not report.threshold.episodes:
        return build_detail(answers, report, {})
    return build_detail(answers, report, evaluator.samples(answers))


class _Evaluator:
    """DuckDB, asked by the statements of ``sql/policies``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.engine = DuckEngine(connection)

    def answers(
        self, asked: Sequence[tuple[Policy, Question]], policies: Sequence[Policy], holds: Sequence[Hold], *,
        shares_engine: bool, deleted: Sequence[Deletion],
    ) -> Iterator[Answers]:  # fmt: skip
        """Return the answers of policies, one after the other."""
        return evaluate(self.engine, asked, policies, holds, shares_engine=shares_engine, deleted=deleted)

    def samples(self, answers: Answers) -> Mapping[tuple[tuple[str, ...], datetime], list[Row]]:
        """Return a few of the events behind the episodes of the last answers."""
        policy = answers.asked or answers.policy
        return samples(self.engine, policy, answers.question, SHOWN_EPISODES, counted=answers.counted)


class _BySlices(_Evaluator):
    """An engine of slices; DuckDB looks up only the few events that a page shows."""

    def __init__(
        self, context: LakeContext, connection: duckdb.DuckDBPyConnection, slices: SliceEngine, snapshot: Snapshot,
        arrived_by: int | None,
    ) -> None:  # fmt: skip
        super().__init__(connection)
        self._context, self._slices, self._snapshot = context, slices, snapshot
        self._source = readable(context.layout, snapshot, arrived_by=arrived_by)

    def answers(
        self, asked: Sequence[tuple[Policy, Question]], policies: Sequence[Policy], holds: Sequence[Hold], *,
        shares_engine: bool, deleted: Sequence[Deletion],  # noqa: ARG002
    ) -> Iterator[Answers]:  # fmt: skip
        """Return the answers of policies, one after the other."""
        paths = file_paths(self._context.layout, self._source.files)
        files = SliceFiles(paths, self._snapshot.rows, self._source.last_batch)
        return evaluate_by_slices(self._slices, files, asked, policies, holds, deleted=deleted)

    def samples(self, answers: Answers) -> Mapping[tuple[tuple[str, ...], datetime], list[Row]]:
        """Return a few of the events behind the episodes of the last answers."""

        def view(stretches: Sequence[Stretch]) -> None:
            days = [(start.date(), end.date()) for start, end in stretches]
            near = [file for file in self._source.files if any(start <= file.day <= end for start, end in days)]
            paths = file_paths(self._context.layout, near)
            view_events(local, paths, last_batch=self._source.last_batch)

        with beside(self.engine.connection) as local:
            return samples_by_slices(self._slices, DuckEngine(local), answers, SHOWN_EPISODES, view)


@contextmanager
def _evaluator(
    context: LakeContext, name: str, connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, arrived_by: int | None
) -> Iterator[_Evaluator]:
    """Open what answers: DuckDB, or the engine of slices of that name."""
    if name == "duckdb":
        yield _Evaluator(connection)
        return
    with TemporaryDirectory(prefix="auditlake-") as spill, open_slices(name, Path(spill)) as slices:
        yield _BySlices(context, connection, slices, snapshot, arrived_by)
