"""Reports of one snapshot, with the engine that gave them still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.context import LakeContext
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Engine
from auditlake.events.times import as_end, as_instant_or_none, judged_as_of
from auditlake.findings.journal import concerning, read
from auditlake.policies.evaluate import Answers, evaluate, samples
from auditlake.policies.files import chosen, refuse_unreadable
from auditlake.policies.holds import Hold
from auditlake.policies.loader import load_policies
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, default_since, question
from auditlake.policies.request import ReportRequest
from auditlake.query.rows import Rows
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
class Basis:
    """What reports are judged on."""

    connection: duckdb.DuckDBPyConnection
    """The engine, with the view ``events`` of the snapshot."""
    snapshot: Snapshot
    policies: tuple[Policy, ...]
    """Every policy of the lake."""
    holds: tuple[Hold, ...]
    """Every legal hold of the lake, as it counts."""


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
    context: LakeContext, request: ReportRequest, *, holds: Sequence[Hold], flush: Callable[[], int]
) -> Iterator[Judged]:
    """Make reports.

    Args:
        context: The lake.
        request: What is asked.
        holds: Every legal hold of the lake, as it counts.
        flush: Brings what was logged into the table, and returns the newest snapshot.
    """
    config, own = context.config, request.policies is None
    folder = context.layout.policies if request.policies is None else Path(request.policies)
    policies = load_policies(folder, config.event_types, tolerant=True, follow=not own)
    refuse_unreadable([policy for policy in policies if policy.id in request.policy_ids])
    as_of = request.as_of
    instant = as_end(as_of) if request.again and as_of is not None else judged_as_of(as_of, context.now)
    asked = [
        (policy, question(policy, request, instant, config.report_period))
        for policy in chosen(policies, request.policy_ids)
    ]
    version = flush() if request.snapshot is None else request.snapshot
    with open_engine(context, version) as (connection, snapshot):
        basis = Basis(connection, snapshot, policies, tuple(holds))
        yield Judged(connection, policies, tuple(produce(context, request, basis, asked)))


def produce(
    context: LakeContext, request: ReportRequest, basis: Basis, asked: Sequence[tuple[Policy, Question]]
) -> Iterator[ComplianceReport]:
    """Build the report of each policy.

    Args:
        context: The lake.
        request: What is asked of the reports.
        basis: What they are judged on.
        asked: Each policy with the instants that it is asked about.
    """
    config, journal, generated_at = context.config, read(context.layout), as_instant_or_none(request.generated_at)
    request.listen(0, len(asked), asked[0][0].id if asked else "")
    engine = DuckEngine(basis.connection)
    for done, answers in enumerate(evaluate(engine, asked, basis.policies, basis.holds), 1):
        policy, about = answers.policy, answers.question
        report = build_report(
            answers, generated_at=generated_at, lake_id=config.id,
            snapshot=basis.snapshot.evidence, journal=concerning(journal, policy.id, entries=request.entries),
        )  # fmt: skip
        usual = (default_since(policy, about.as_of, config.report_period), about.as_of)
        yield ComplianceReport(
            report,
            _detail(engine, answers, report) if request.pages else None,
            usual_period=(about.since, about.until) == usual,
            max_findings=config.max_findings,
            asked=answers.asked,
            _ask=partial(_ask, context),
        )
        request.listen(done, len(asked), asked[done][0].id if done < len(asked) else "")


def _detail(engine: Engine, answers: Answers, report: Report) -> Detail:
    """Gather what only the page shows, from the temporary tables that gave the answers."""
    if report.threshold is None or not report.threshold.episodes:
        return build_detail(answers, report, {})
    policy = answers.asked or answers.policy
    return build_detail(answers, report, samples(engine, policy, answers.question, SHOWN_EPISODES))


def _ask(context: LakeContext, query: str, values: Mapping[str, Any] | None, version: int | None) -> Rows:
    return ask(context, version, query, values)
