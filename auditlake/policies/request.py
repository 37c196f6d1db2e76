"""What a caller asks of reports: which policies, over which period, on which snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from auditlake.events.times import Instant
from auditlake.policies.question import PeriodRequest


class PeriodOptions(TypedDict, total=False):
    """The options that choose a period and a snapshot."""

    as_of: Instant | None
    """Events after it do not exist for the report; now if None, and never later. Of a day, its end."""
    since: Instant | None
    """The period is ``(since, until]``. If None, it begins one retention period of the policy before ``as_of``, or one
    ``report_period`` of lake.toml if the policy has none, or is of a pack. Of a day, its beginning."""
    until: Instant | None
    """The period's last instant; ``as_of`` if None. Of a day, its end."""
    last: str | None
    """Instead of ``since``: a length back, e.g. ``30d``."""
    period: str | None
    """Instead of both: ``2026``, ``2026-Q3``, ``2026-10`` or a day."""
    snapshot: int | None
    """The version of the lake to read, and nothing is flushed; the newest if None."""


class ReportOptions(PeriodOptions, total=False):
    """The options of :meth:`auditlake.AuditLake.reports`."""

    generated_at: Instant | None
    """What the report says about when it was made; ``as_of`` if None."""
    policies: str | Path | None
    """A folder of policy files to judge by instead of the lake's."""
    entries: int | None
    """How many of the first entries of the journal of findings count; all of them if None."""
    pages: bool
    """Whether to gather also what only the HTML page shows, such as a few of the events behind each episode."""
    cache: bool
    """Whether what was found of earlier days may be taken from the lake's memory, and kept there; ``True`` if it is not
    said. The report is the same."""
    listen: Callable[[int, int, str], None]
    """Told how many reports are done, of how many, and which is next."""
    engine: str | None
    """What answers: ``duckdb``; ``slices``, which is DuckDB part by part, in less memory; or ``sc://host:port``, a
    server of Spark Connect. That of lake.toml if None. A report is the same whichever it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest(PeriodRequest):
    """What is asked of reports; each field is the option of that name."""

    policy_ids: tuple[str, ...] = ()
    """Which policies; every policy of the lake if empty."""
    as_of: Instant | None = None
    snapshot: int | None = None
    generated_at: Instant | None = None
    policies: str | Path | None = None
    entries: int | None = None
    pages: bool = True
    cache: bool = True
    listen: Callable[[int, int, str], None] = lambda *_: None
    engine: str | None = None
    arrived_by: int | None = None
    """Only events that a commit of this version or an earlier one brought; all of the snapshot if None."""
    again: bool = False
    """Whether to repeat a report that was made before: earlier versions took an ``as_of`` that lay ahead."""
    from_rows: bool = False
    """Whether each number is counted from rows, and none of days is taken from the log."""
