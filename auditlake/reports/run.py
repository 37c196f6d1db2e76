"""Reports of one snapshot, with the engine that gave them still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.context import LakeContext
from auditlake.events.times import as_end, as_instant_or_none, judged_as_of
from auditlake.findings.journal import concerning, read
from auditlake.policies.files import chosen, refuse_unreadable
from auditlake.policies.loader import load_policies
from auditlake.policies.model import Hold, Policy
from auditlake.policies.question import question
from auditlake.policies.request import ReportRequest
from auditlake.query.rows import Rows
from auditlake.query.view import ask, engine
from auditlake.reports.compliance import ComplianceReport, produce

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found, and what found it."""

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
    known = load_policies(folder, config.event_types, tolerant=True, follow=not own)
    refuse_unreadable([policy for policy in known if policy.id in request.policy_ids])
    instant = (
        as_end(request.as_of)
        if request.again and request.as_of is not None
        else judged_as_of(request.as_of, context.now)
    )
    asked = [
        (policy, question(policy, request.over, instant, config.report_period))
        for policy in chosen(known, request.policy_ids)
    ]
    version = flush() if request.snapshot is None else request.snapshot
    journal = partial(concerning, read(context.layout), entries=request.entries)
    with engine(context, version) as (connection, snapshot):
        reports = tuple(produce(
            connection, asked, known, holds, lake_id=config.id, snapshot=snapshot.evidence,
            report_period=config.report_period, generated_at=as_instant_or_none(request.generated_at),
            pages=request.pages, journal=journal, listen=request.listen, ask=partial(_ask, context),
            max_findings=config.max_findings,
        ))  # fmt: skip
        yield Judged(connection, known, reports)


def _ask(context: LakeContext, query: str, values: Mapping[str, Any] | None, version: int | None) -> Rows:
    return ask(context, version, query, values)
