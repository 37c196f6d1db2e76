"""Reports of one snapshot, with the engine that gave them still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.config import LakeConfig
from auditlake.disk.layout import Layout
from auditlake.engine.duck_engine import DuckEngine
from auditlake.events.times import Instant, as_end, given, judged_as_of
from auditlake.findings.journal import concerning, read
from auditlake.policies.files import chosen, refuse_unreadable
from auditlake.policies.holds import Hold
from auditlake.policies.loader import load_policies
from auditlake.policies.model import Policy
from auditlake.policies.question import PeriodRequest, question
from auditlake.query.rows import Rows
from auditlake.query.view import engine
from auditlake.reports.compliance import ComplianceReport, produce
from auditlake.store.table import IngestOptions

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
    layout: Layout,
    config: LakeConfig,
    landing: IngestOptions,
    policy_ids: Sequence[str],
    *,
    now: datetime,
    holds: Sequence[Hold],
    flush: Callable[[], int],
    ask: Callable[..., Rows],
    as_of: Instant | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    last: str | None = None,
    period: str | None = None,
    snapshot: int | None = None,
    generated_at: Instant | None = None,
    policies: str | Path | None = None,
    entries: int | None = None,
    pages: bool = True,
    listen: Callable[[int, int, str], None] = lambda *_: None,
    again: bool = False,
) -> Iterator[Judged]:
    """Make reports; the options are those of :meth:`auditlake.AuditLake.reports`.

    Args:
        layout: The lake.
        config: Its settings.
        landing: How what lies in the landing becomes events.
        policy_ids: Which policies; all of them if none is named.
        now: The present.
        holds: Every legal hold of the lake.
        flush: Brings what was logged into the table, and gives the newest snapshot.
        ask: Runs a query of a report's charts, when one is drawn.
        again: Whether a report is done again that was made before: earlier versions took an as_of that lay ahead.
    """
    folder = layout.policies if policies is None else Path(policies)
    known = load_policies(folder, config.event_types, tolerant=True, follow=policies is not None)
    refuse_unreadable([policy for policy in known if policy.id in policy_ids])
    instant = as_end(as_of) if again and as_of is not None else judged_as_of(as_of, now)
    request = PeriodRequest(since, until, last, period)
    asked = [(policy, question(policy, request, instant, config.report_period)) for policy in chosen(known, policy_ids)]
    version = flush() if snapshot is None else snapshot
    journal = partial(concerning, read(layout), entries=entries)
    with engine(layout, landing, instant, version) as (connection, seen):
        made = tuple(produce(
            DuckEngine(connection), asked, known, holds, lake_id=config.id, snapshot=seen.evidence,
            report_period=config.report_period,
            generated_at=given(generated_at), pages=pages, journal=journal, listen=listen, ask=ask,
            max_findings=config.max_findings,
        ))  # fmt: skip
        yield Judged(connection, known, made)
