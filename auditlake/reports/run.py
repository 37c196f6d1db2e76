"""Reports of one snapshot, with the engine that gave them still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from auditlake.context import LakeContext
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Summaries
from auditlake.engine.timings import stage
from auditlake.events.times import as_end, as_instant_or_none, judged_as_of
from auditlake.findings.journal import Line, concerning, first_entries, read
from auditlake.packs.effective import LakePacks, lake_packs, lake_policies
from auditlake.policies.evaluate import Answers
from auditlake.policies.files import chosen, refuse_unreadable
from auditlake.policies.holds import Hold
from auditlake.policies.loader import load_policies
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, default_since, question
from auditlake.policies.request import ReportRequest
from auditlake.policies.shared import Shared
from auditlake.query.view import ask, judging_engine
from auditlake.reports.build import build_detail, build_report
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.evaluators import Evaluator, evaluator
from auditlake.reports.model import Detail, Report
from auditlake.store.deltalog import last_change
from auditlake.store.model import Snapshot

Listen = Callable[[int, int, str], None]
"""Told how many reports are done, of how many, and which is next."""


class Judge(Protocol):
    """Makes reports of policies."""

    def __call__(
        self, asked: Sequence[tuple[Policy, Question]], listen: Listen, *, alike: Shared | None = None
    ) -> tuple[ComplianceReport, ...]:
        """Make reports, each about the instants that its policy is given with; ``alike``: as of :func:`evaluate`."""


@dataclass(frozen=True, slots=True)
class Judging:
    """A snapshot that policies can be judged on, for as long as its engine is open."""

    engine: DuckEngine
    """The engine, with ``events`` of the snapshot and the temporary tables of the last report."""
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
    summaries: Summaries
    """What counts the events of the snapshot."""
    judge: Judge
    """Makes reports of policies, each about the instants that it is given with."""
    answering: Evaluator
    """What answers the policies."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Reports, and the engine that gave them."""

    engine: DuckEngine
    """The engine, with ``events`` of the snapshot and the temporary tables of the last report."""
    policies: tuple[Policy, ...]
    """Every policy that was judged by."""
    reports: tuple[ComplianceReport, ...]
    as_of: datetime
    snapshot: Snapshot
    entries: int
    """How many of the first entries of the journal of findings counted."""
    answered_by: str = "duckdb"
    """The name of the engine that answered: ``duckdb``, ``slices`` or ``spark``."""


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
        yield Judged(
            lake.engine, lake.policies, reports, lake.as_of, lake.snapshot, len(lake.journal), lake.answering.name
        )  # fmt: skip


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
    policies, packs = _policies(context, request, packs)
    refuse_unreadable([policy for policy in policies if policy.id in (policy_ids or ())])
    as_of = request.as_of
    instant = as_end(as_of) if request.again and as_of is not None else judged_as_of(as_of, context.now)
    # Those of packs answer together with their framework, over one period.
    of_packs = {policy.id for policy in packs.policies()}

    def lasting(policy: Policy) -> Policy:
        return replace(policy, retention_period=None) if policy.id in of_packs else policy

    named = () if policy_ids is None else chosen(policies, policy_ids)
    asked = tuple((each, question(lasting(each), request, instant, config.report_period)) for each in named)
    # A decision about a report is a version too, and the report that was signed is to be had again.
    version = last_change(context.layout, flush() if request.snapshot is None else request.snapshot)
    with (
        judging_engine(context, version, arrived_by=request.arrived_by) as (engine, snapshot),
        evaluator(context, request, engine, snapshot, policies, holds) as answering,
    ):
        if request.from_rows:
            engine.count_rows()
        journal = tuple(first_entries(read(context.layout), request.entries))

        def judge(
            asked: Sequence[tuple[Policy, Question]], listen: Listen, *, alike: Shared | None = None
        ) -> tuple[ComplianceReport, ...]:
            reports: list[ComplianceReport] = []
            if not asked:
                return ()
            listen(0, len(asked), asked[0][0].id)
            judged = answering.answers(asked, shares_engine=shares_engine, alike=alike)
            for done, answers in enumerate(judged, 1):
                usual = default_since(lasting(answers.policy), instant, config.report_period)
                reports.append(_report(context, request, answering, snapshot, journal, answers, usual))
                listen(done, len(asked), asked[done][0].id if done < len(asked) else "")
            return tuple(reports)

        yield Judging(engine, policies, packs, asked, instant, snapshot, journal, answering.summaries, judge, answering)


@stage("opening")
def _policies(
    context: LakeContext, request: ReportRequest, packs: LakePacks | None
) -> tuple[tuple[Policy, ...], LakePacks]:
    """Return every policy that is judged by, and the packs that some of them are of."""
    layout, types = context.layout, context.config.event_types
    if request.policies is not None:
        folder = Path(request.policies)
        return load_policies(folder, types, tolerant=True, follow=True, is_later=True), LakePacks()
    packs = lake_packs(layout, types, is_later=True) if packs is None else packs
    return lake_policies(layout, types, tolerant=True, is_later=True, packs=packs), packs


def _report(
    context: LakeContext,
    request: ReportRequest,
    answering: Evaluator,
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
        _detail(answering, answers, report) if request.pages else None,
        usual_period=(about.since, about.until) == (usual_since, about.as_of),
        max_findings=config.max_findings,
        asked=answers.asked,
        _ask=partial(ask, context),
    )


def _detail(evaluator: Evaluator, answers: Answers, report: Report) -> Detail:
    """Gather what only the page shows."""
    has_episodes = report.threshold is not None and report.threshold.episodes
    return build_detail(answers, report, evaluator.samples(answers) if has_episodes else {})
