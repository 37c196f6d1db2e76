"""What a compliance report says, before anybody renders it. All instants are aware, in UTC, to the microsecond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from auditlake.findings.decisions import NOTHING, Journal
from auditlake.findings.finding import Finding
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.policies.kinds.retention_due import RetentionAnswer
from auditlake.policies.kinds.threshold import Threshold

Status = Literal["compliant", "violation", "no_data", "error"]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that gave numbers of the report: run it again and get them again."""

    name: str
    sql: str
    parameters: Mapping[str, Any]
    rows: int
    """How many rows it gave."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the numbers come from."""

    lake_id: str
    snapshot: int
    policy_digest: str
    files: int
    rows: int
    """Rows in the snapshot's files."""
    inputs_digest: str
    """``sha256:`` over the names of the snapshot's files, which are made of their own digests."""
    queries: tuple[Query, ...]
    journal: Journal = NOTHING
    """What people had decided about findings of the policy."""
    unread_policies: tuple[str, ...] = ()
    """Policies of the lake whose files could not be read: retention is judged without them."""


@dataclass(frozen=True, slots=True)
class Report:
    """One policy, judged on one snapshot as of one instant."""

    policy_id: str
    policy_name: str
    description: str
    severity: str
    controls: Mapping[str, tuple[str, ...]]
    generated_at: datetime
    as_of: datetime
    since: datetime
    until: datetime
    status: Status
    status_now: Status | None
    """Null where the policy has no threshold."""
    total_events: int
    events_by_type: Mapping[str, int]
    """Every required type, sorted, zero included."""
    last_seen: Mapping[str, datetime | None]
    violations: Sequence[Finding]
    """Millions of episodes are made when they are looked at: :class:`auditlake.findings.many.ManyFindings`."""
    threshold: Threshold | None
    """Null where the policy has no threshold."""
    coverage: CoverageAnswer
    retention: RetentionAnswer | None
    """Null where the policy has no retention period."""
    evidence: Evidence
    error: str | None = None
    """Why the policy could not be judged, in words, where the status is ``error``; None else."""
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What policies of other kinds measure, by the name of the kind."""

    @property
    def is_unread(self) -> bool:
        """Whether the policy's file could not be read: then nothing is known of what it asks."""
        return self.error is not None and not self.events_by_type


@dataclass(frozen=True, slots=True)
class SampleEvent:
    """An event shown behind an episode; text columns are exactly as stored, so hostile."""

    timestamp: datetime
    event_type: str
    event_id: str
    user_id: str | None
    action: str | None
    resource: str | None
    status: str | None
    ip_address: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Detail:
    """What only the page shows."""

    days: tuple[date, ...]
    """Every UTC day with an instant in the period, in order."""
    day_counts: Mapping[str, tuple[int, ...]]
    """Required type to its events on each of ``days``."""
    samples: Mapping[str, tuple[SampleEvent, ...]]
    """Finding id to a few of the events behind its peak, newest first; only for the episodes the page shows."""
    first_event_day: date | None
    """The UTC day of the lake's first event; days before it are unknown, not silent."""
