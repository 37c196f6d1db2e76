"""Reports of one snapshot, with the engine that gave them still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Engine
from auditlake.events.times import as_end, as_instant_or_none, judged_as_of
from auditlake.findings.journal import Line, concerning, read
from auditlake.packs.effective import lake_policies
from auditlake.policies.evaluate import Answers, evaluate, samples
from auditlake.policies.files import chosen, refuse_unreadable
from auditlake.policies.holds import Hold
from auditlake.policies.loader import load_policies
from auditlake.policies.model import Policy
from auditlake.policies.question import default_since, question
from auditlake.policies.request import ReportRequest
from auditlake.query.view import ask
from auditlake.query.view import engine as open_engine
from auditlake.reports.build import build_detail, build_report
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.model import Detail, Report
from auditlake.reports.sentences import SHOWN_EPISODES
from auditlake.store.model import Snapshot

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Judged:
    """Reports, and the engine that gave them."""

    connection: duckdb.DuckDBPyConnection
    """The engine, with the view ``events`` of the snapshot and the temporary tables of the last report."""
    policies: tuple[Policy, ...]
    """Every policy that was judged by."""
    reports: tuple[ComplianceReport, ...]


@contextmanager
def judged(
    context: LakeContext,
    request: ReportRequest,
    *,
    holds: Sequence[Hold],
    taken: Callable[[Layout, int], Mapping[str, date]],
    flush: Callable[[], int],
) -> Iterator[Judged]:
    """Make reports.

    Args:
        context: The lake.
        request: What is asked.
        holds: Every legal hold of the lake, as it counts.
        taken: Returns of which event types deletions up to a snapshot of a lake took events, each with the first day of
            such events; asked only where a policy wants to know.
        flush: Brings what was logged into the table, and returns the newest snapshot.
    """
    config = context.config
    if request.policies is None:
        policies = lake_policies(context.layout, config.event_types, tolerant=True, is_later=True)
    else:
        policies = load_policies(Path(request.policies), config.event_types, tolerant=True, follow=True, is_later=True)
    refuse_unreadable([policy for policy in policies if policy.id in request.policy_ids])
    as_of = request.as_of
    instant = as_end(as_of) if request.again and as_of is not None else judged_as_of(as_of, context.now)
    asked = [
        (policy, question(policy, request, instant, config.report_period))
        for policy in chosen(policies, request.policy_ids)
    ]
    version = flush() if request.snapshot is None else request.snapshot
    with open_engine(context, version) as (connection, snapshot):
        journal, engine, reports = read(context.layout), DuckEngine(connection), []
        request.listen(0, len(asked), asked[0][0].id if asked else "")
        gone = taken(context.layout, snapshot.version) if any(each.coverage == "proven" for each, _ in asked) else None
        for done, answers in enumerate(evaluate(engine, asked, policies, holds, taken=gone), 1):
            reports.append(_report(context, request, engine, snapshot, journal, answers))
            request.listen(done, len(asked), asked[done][0].id if done < len(asked) else "")
        yield Judged(connection, policies, tuple(reports))


def _report(
    context: LakeContext,
    request: ReportRequest,
    engine: Engine,
    snapshot: Snapshot,
    journal: Sequence[Line],
    answers: Answers,
) -> ComplianceReport:
    config, policy, about = context.config, answers.policy, answers.question
    report = build_report(
        answers, generated_at=as_instant_or_none(request.generated_at) or about.as_of, lake_id=config.id,
        snapshot=snapshot.evidence, journal=concerning(journal, policy.id, entries=request.entries),
    )  # fmt: skip
    usual = (default_since(policy, about.as_of, config.report_period), about.as_of)
    return ComplianceReport(
        report,
        _detail(engine, answers, report) if request.pages else None,
        usual_period=(about.since, about.until) == usual,
        max_findings=config.max_findings,
        asked=answers.asked,
        _ask=partial(ask, context),
    )


def _detail(engine: Engine, answers: Answers, report: Report) -> Detail:
    """Gather what only the page shows, from the temporary tables that gave the answers."""
    if report.threshold is None or not report.threshold.episodes:
        return build_detail(answers, report, {})
    policy = answers.asked or answers.policy
    return build_detail(
        answers, report, samples(engine, policy, answers.question, SHOWN_EPISODES, counted=answers.counted)
    )
