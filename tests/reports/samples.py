"""Reports to render: made up, but of the shape that real ones have. Everything follows from the arguments."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from auditlake.findings.finding import Finding
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.policies.kinds.retention_due import RetentionAnswer
from auditlake.policies.kinds.threshold import DailyPeak, Threshold
from auditlake.policies.model import RetentionConflict
from auditlake.reports.model import Detail, Evidence, Query, Report, SampleEvent
from auditlake.site.entries import Folder, IndexEntry
from auditlake.site.index import index_pages as pages_of
from auditlake.site.index_page import IndexPage

GOLDEN = Path(__file__).parent / "small.json"
AS_OF = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
TYPES = ("access_denied", "auth_failure", "login", "logout", "permission_change", "privilege_use")

ROLLING_SQL = """\
-- The stretch after event i is in breach until t(i-k+1) + W, if that lies ahead.
with governed as (
    select timestamp, user_id
    from events
    where event_type in (select unnest($event_types))
      and timestamp > $since - $window
      and timestamp <= $until
      and try(status = 'failure') is true
),

numbered as (
    select
        user_id,
        timestamp,
        lag(timestamp, $k - 1) over (partition by user_id order by timestamp) + $window as in_breach_until
    from governed
)

select user_id, timestamp as start, in_breach_until as stop
from numbered
where in_breach_until > timestamp
order by user_id, start
"""
MISSING_SQL = """\
select required.event_type, count(events.event_type) as events, max(events.timestamp) as last_seen
from (select unnest($event_types) as event_type) as required
left join events using (event_type)
where events.timestamp <= $as_of
group by required.event_type
order by required.event_type
"""


def digest(text: str) -> str:
    """A digest that looks like one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def noise(*parts: object) -> float:
    """A number from 0 to 1 that is the same for the same arguments."""
    return int(digest(repr(parts))[:8], 16) / 0xFFFFFFFF


def event(number: int, moment: datetime, user: str) -> SampleEvent:
    """A failed login."""
    return SampleEvent(
        timestamp=moment,
        event_type="auth_failure",
        event_id=f"{digest(f'{user}{number}')[:8]}-7c1e-7a40-9d55-{digest(user)[:12]}",
        user_id=user,
        action="ConsoleLogin",
        resource="arn:aws:iam::481516234200:user/" + user,
        status="failure",
        ip_address=f"203.0.113.{17 + number}",
        source="aws.cloudtrail",
    )


def episode(name: str, user: str, start: datetime, hours: float | None, peak: int) -> Finding:
    """A threshold finding; without hours it goes on."""
    at = start + timedelta(minutes=17, microseconds=250_000)
    return Finding(
        id=digest(name)[:16],
        kind="threshold_exceeded",
        message=f"{peak} events within 24h (threshold 5): user_id = {user}",
        group={"user_id": user},
        start=start,
        end=None if hours is None else start + timedelta(hours=hours),
        measures={"ongoing": hours is None, "started_before_period": False, "peak": peak, "peak_at": at},
    )


def evidence() -> Evidence:
    """Two statements over thirty files."""
    return Evidence(
        lake_id="0192f3a4-7d1c-7e55-b2aa-51f0c2d7e9a1",
        snapshot=1412,
        policy_digest="sha256:" + digest("policy"),
        files=91,
        rows=4_381_207,
        inputs_digest="sha256:" + digest("inputs"),
        queries=(
            Query(
                "rolling_counts",
                ROLLING_SQL,
                {
                    "event_types": list(TYPES),
                    "since": AS_OF - timedelta(days=90),
                    "until": AS_OF,
                    "window": timedelta(hours=24),
                    "k": 5,
                },
                7,
            ),
            Query("missing_types", MISSING_SQL, {"event_types": list(TYPES), "as_of": AS_OF}, 6),
        ),
    )


def violation(days: int = 90, *, threshold: int = 5, scale: float = 1.0, unknown: int = 9) -> tuple[Report, Detail]:
    """A policy that found something of every kind.

    Args:
        days: Length of the period.
        threshold: k.
        scale: How much more there is of everything.
        unknown: How many days of the period lie before the lake's first event.
    """
    since = AS_OF - timedelta(days=days)
    every = tuple(since.date() + timedelta(days=number) for number in range(days + 1))
    first = every[min(unknown, days)]
    silent = tuple(day for day in every if day < first or noise("silent", day) < 0.06)
    counts = {
        name: tuple(
            0 if day in silent or name == "privilege_use" or (name == "logout" and noise(name, day) < 0.3)
            else int(scale * (1 + place) * 40 ** noise(name, day) * (0.35 if day.weekday() > 4 else 1))
            for day in every
        )
        for place, name in enumerate(TYPES)
    }  # fmt: skip
    peaks = tuple(DailyPeak(day, None if day < first else int(scale * 14 * noise("peak", day) ** 3.2)) for day in every)
    users = ("alice", "svc-backup@example.com", "alice", "mallory", "bob.o'neill@example.com", "dana")
    hours = (5.2, 0.4, 27.75, 2.1, 11.0, None)
    episodes = [
        episode(
            f"{user}{number}", user, AS_OF - timedelta(days=min(days, 84) * (6 - number) / 7), length, 5 + 3 * number
        )
        for number, (user, length) in enumerate(zip(users, hours, strict=True))
    ]
    gap = Finding(
        id=digest("gap")[:16], kind="coverage_gap", event_type="logout", start=AS_OF - timedelta(days=3, hours=7),
        end=None, message="No logout for longer than 48h",
    )  # fmt: skip
    closed = replace(
        gap, id=digest("gap2")[:16], start=AS_OF - timedelta(days=40), end=AS_OF - timedelta(days=37, hours=3)
    )
    missing = Finding(
        id=digest("missing")[:16], kind="missing_required_type", event_type="privilege_use",
        message="Missing required event type: privilege_use",
    )  # fmt: skip
    report = Report(
        policy_id="authentication_monitoring",
        policy_name="Authentication Monitoring",
        description="Failed sign-ins are counted for each user, so that guessing and spraying come to light.",
        severity="high",
        controls={"PCI DSS 4.0.1": ("10.2.1.4", "10.2.1.5"), "ISO/IEC 27001:2022": ("A.8.15", "A.8.16")},
        generated_at=AS_OF,
        as_of=AS_OF,
        since=since,
        until=AS_OF,
        status="violation",
        status_now="violation",
        total_events=sum(sum(row) for row in counts.values()),
        events_by_type={name: sum(row) for name, row in counts.items()},
        last_seen={
            name: None if name == "privilege_use" else AS_OF - timedelta(hours=1 + 40 * noise(name)) for name in TYPES
        },
        violations=(closed, gap, missing, *episodes),
        threshold=Threshold(
            window="24h",
            alert_threshold=threshold,
            group_by=("user_id",),
            where="status = 'failure' AND NOT (action = 'HealthCheck')",
            where_errors=2,
            recent_events=41,
            ungrouped_events=318,
            future_events=1,
            episodes=len(episodes),
            daily_peaks=peaks,
        ),
        coverage=CoverageAnswer(max_gap="48h", silent_days=silent),
        retention=RetentionAnswer(
            retention_period="90d",
            cutoff=datetime(2026, 8, 26, tzinfo=UTC),
            due=1204,
            kept_by_other_policies=88_310,
            held=12,
            oldest_event=datetime(2025, 1, 3, 4, 11, 9, 120_000, tzinfo=UTC),
            conflicts=(RetentionConflict("login", "pci_access", "1y", "authentication_monitoring", "6mo"),),
        ),
        evidence=evidence(),
    )
    samples = {
        finding.id: tuple(
            event(number, finding.measures["peak_at"] - timedelta(minutes=7 * number), (finding.group or {})["user_id"])
            for number in range(5)
        )
        for finding in episodes
    }
    return report, Detail(days=every, day_counts=counts, samples=samples, first_event_day=first)


def compliant(days: int = 30) -> tuple[Report, Detail]:
    """Nothing found: one count for all, no condition, no longest gap."""
    report, detail = violation(days, unknown=0)
    names = TYPES[:4]
    counts = {name: tuple(max(1, number) for number in detail.day_counts[name]) for name in names}
    answer = replace(
        report.threshold, alert_threshold=5000, group_by=(), where=None, where_errors=0, ungrouped_events=0,
        future_events=0, episodes=0,
        daily_peaks=tuple(DailyPeak(day.date, 400 + 37 * (day.peak or 0)) for day in report.threshold.daily_peaks),
    )  # fmt: skip
    quiet = replace(
        report,
        policy_id="session_activity",
        policy_name="Session Activity",
        severity="medium",
        status="compliant",
        status_now="compliant",
        controls={"SOC 2": ("CC6.1",)},
        events_by_type={name: sum(row) for name, row in counts.items()},
        total_events=sum(sum(row) for row in counts.values()),
        last_seen={name: report.last_seen[name] for name in names},
        violations=(),
        threshold=answer,
        coverage=CoverageAnswer(None, ()),
        retention=replace(report.retention, due=0, kept_by_other_policies=0, held=0, conflicts=()),
    )
    return quiet, replace(detail, day_counts=counts, samples={})


def no_data() -> tuple[Report, Detail]:
    """A lake that received nothing."""
    report, detail = violation(30, unknown=0)
    days = detail.days
    missing = tuple(
        Finding(
            id=digest(name)[:16],
            kind="missing_required_type",
            event_type=name,
            message=f"Missing required event type: {name}",
        )
        for name in TYPES
    )
    empty = replace(
        report,
        status="no_data",
        status_now="compliant",
        total_events=0,
        events_by_type=dict.fromkeys(TYPES, 0),
        last_seen=dict.fromkeys(TYPES),
        violations=missing,
        threshold=replace(
            report.threshold, episodes=0, recent_events=0, ungrouped_events=0, where_errors=0, future_events=0,
            daily_peaks=tuple(DailyPeak(day, None) for day in days),
        ),
        coverage=CoverageAnswer(None, days),
        retention=replace(report.retention, due=0, kept_by_other_policies=0, held=0, oldest_event=None, conflicts=()),
        evidence=replace(report.evidence, files=0, rows=0, snapshot=1),
    )  # fmt: skip
    return empty, Detail(days, {name: (0,) * len(days) for name in TYPES}, {}, None)


def small() -> Report:
    """A report of one finding of every kind over two days, small enough to read whole."""
    report, _ = violation(1, unknown=1)
    kinds = {finding.kind: finding for finding in report.violations}
    queries = (Query("missing_types", "select 1", {"as_of": AS_OF, "window": timedelta(hours=24), "k": 5}, 1),)
    return replace(
        report,
        violations=(kinds["coverage_gap"], kinds["missing_required_type"], kinds["threshold_exceeded"]),
        events_by_type={"auth_failure": 9, "privilege_use": 0},
        total_events=9,
        last_seen={"auth_failure": AS_OF, "privilege_use": None},
        threshold=replace(
            report.threshold,
            episodes=1,
            daily_peaks=(DailyPeak(date(2026, 11, 23), None), DailyPeak(date(2026, 11, 24), 8)),
        ),
        coverage=CoverageAnswer("48h", (date(2026, 11, 23),)),
        evidence=replace(report.evidence, queries=queries),
    )


def entries() -> tuple[IndexEntry, ...]:
    """Two runs of five policies, in no good order."""
    rows = (
        ("session_activity", "Session Activity", "compliant", "medium", 0, 0, 0),
        ("authentication_monitoring", "Authentication Monitoring", "violation", "high", 9, 1, 6),
        ("data_export", "Data Export", "violation", "critical", 1, 0, 1),
        ("ai_system_logging", "AI System Logging (EU AI Act, Article 12)", "no_data", "medium", 6, 6, 0),
        ("audit_log_control", "Changes to Audit Logging", "compliant", "high", 0, 0, 0),
    )
    return tuple(
        IndexEntry(
            policy_id=policy, policy_name=name, status=status, severity=severity, as_of=moment, snapshot=snapshot,
            since=moment - timedelta(days=31), until=moment,
            findings=findings, html_file=f"compliance_{policy}_{moment:%Y%m%dT%H%M%SZ}_v{snapshot}.html",
            json_file=f"compliance_{policy}_{moment:%Y%m%dT%H%M%SZ}_v{snapshot}.json",
            missing=missing, episodes=episodes,
        )
        for moment, snapshot in ((AS_OF - timedelta(days=1), 1398), (AS_OF, 1412))
        for policy, name, status, severity, findings, missing, episodes in rows
    )  # fmt: skip


def index_pages() -> dict[str, IndexPage]:
    """The list of reports over the newest of them, all of which have their files."""
    newest = entries()[5:]
    files = {name for each in newest for name in (each.html_file, each.json_file) if name}
    return pages_of(Folder(Path(), frozenset(files)), newest)


def main() -> None:
    """Writes the golden file: ``python -m tests.reports.samples``; read the difference before keeping it."""
    from auditlake.reports.document import render_json

    GOLDEN.write_bytes(render_json(small()))


if __name__ == "__main__":
    main()
