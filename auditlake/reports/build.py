"""From a policy's answers to what its report says. Nothing here reads a clock, a file or an event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from auditlake.display.text import counted_events
from auditlake.events.times import print_instant
from auditlake.findings.decisions import NOTHING, Journal, Seen, Subject
from auditlake.policies.evaluate import Answers, Row, group_values
from auditlake.policies.model import Policy, conflicts_of
from auditlake.policies.question import BEFORE_ALL, Question
from auditlake.reports.model import (
    CoverageAnswer,
    DailyPeak,
    Detail,
    Evidence,
    Finding,
    Query,
    Report,
    RetentionAnswer,
    SampleEvent,
    Status,
    Threshold,
)

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_EPOCH_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def build_report(
    answers: Answers,
    policies: Sequence[Policy],
    *,
    generated_at: datetime,
    lake_id: str,
    snapshot: Mapping[str, Any],
    journal: Journal = NOTHING,
) -> Report:
    """A policy's report.

    Args:
        answers: What its queries gave.
        policies: Every policy of the lake, for conflicts of retention.
        generated_at: What the report says about when it was made.
        lake_id: The lake's id.
        snapshot: ``snapshot``, ``files``, ``rows`` and ``inputs_digest`` of the evidence.
        journal: What people decided about findings of this policy.
    """
    policy, question = answers.policy, answers.question
    received, _ = answers.one("presence")
    types = {name: (events, first, last) for name, events, first, last in answers.rows["required_types"]}
    found = (_dealt_with(finding, policy, journal, question) for finding in _findings(answers))
    findings = tuple(sorted(found, key=_place))
    return Report(
        policy_id=policy.id,
        policy_name=policy.name,
        description=policy.description,
        severity=policy.severity,
        controls=policy.controls,
        generated_at=generated_at,
        as_of=question.as_of,
        since=question.since,
        until=question.until,
        status=_status(received, findings) if answers.error is None else "error",
        status_now=_status_now(answers),
        total_events=sum(events for events, _, _ in types.values()),
        events_by_type={name: events for name, (events, _, _) in sorted(types.items())},
        last_seen={name: last for name, (_, _, last) in sorted(types.items())},
        violations=findings,
        threshold=_threshold(answers) if policy.alert_threshold is not None else None,
        coverage=CoverageAnswer(str(policy.max_gap) if policy.max_gap else None, tuple(_silent_days(answers))),
        retention=_retention(answers, policies, [first for _, first, _ in types.values() if first])
        if policy.retention_period is not None
        else None,
        evidence=Evidence(
            lake_id=lake_id,
            policy_digest=policy.digest,
            queries=tuple(
                Query(query.name, query.sql, printable(query.parameters), count) for query, count in answers.queries
            ),
            unread_policies=tuple(each.id for each in policies if not each.is_readable),
            journal=journal.over(policy.id, question.since, question.until),
            **snapshot,
        ),
        error=answers.error,
    )


def build_detail(answers: Answers, report: Report, samples: Mapping[Any, Sequence[Row]]) -> Detail:
    """What only the page shows: the events by type and day, and samples of the events behind episodes."""
    days = period_days(answers.question)
    place = {day: i for i, day in enumerate(days)}
    counts = {name: [0] * len(days) for name in answers.policy.required_events}
    for name, number, events in answers.rows["type_day_counts"]:
        counts[name][place[_day(number)]] += events
    shown = {}
    for finding in report.violations:
        key = tuple((finding.group or {}).values())
        if finding.kind == "threshold_exceeded" and (found := samples.get((key, finding.start))):
            shown[finding.id] = tuple(SampleEvent(*event) for event in found)
    first = _first_day(answers)
    return Detail(days, {name: tuple(each) for name, each in counts.items()}, shown, first)


def period_days(question: Question) -> tuple[date, ...]:
    """Every UTC day with an instant in (since, until]; instants are whole microseconds."""
    first = (question.since + _MICROSECOND).date()
    return tuple(first + timedelta(days=i) for i in range((question.until.date() - first).days + 1))


def finding_id(policy_id: str, kind: str, group: str, event_type: str, start: str) -> str:
    """The first 16 hex digits of SHA-256 over the compact JSON array of the five."""
    text = _compact([policy_id, kind, group, event_type, start])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def canonical_group(group: Mapping[str, str] | None) -> str:
    """A group as compact JSON text, its keys in the order of the policy's group_by; empty where there is none."""
    return _compact(dict(group)) if group else ""


def _findings(answers: Answers) -> Iterator[Finding]:
    policy = answers.policy
    for row in answers.rows.get("rolling_counts", ()):
        yield _episode(policy, row)
    if policy.coverage == "required":
        for name, events, _, _ in answers.rows["required_types"]:
            if not events:
                number = finding_id(policy.id, "missing_required_type", "", name, "")
                yield Finding(number, "missing_required_type", f"Missing required event type: {name}", event_type=name)
    for name, start, end in answers.rows.get("coverage_gaps", ()):
        number = finding_id(policy.id, "coverage_gap", "", name, print_instant(start))
        until = f"until {print_instant(end)}" if end else "to the end"
        message = f"No {name} for longer than {policy.max_gap}: from {print_instant(start)} {until}"
        yield Finding(number, "coverage_gap", message, event_type=name, start=start, end=end)


def subject_of(policy_id: str, finding: Finding) -> Subject:
    """What a finding has in common with those that an acceptance of it covers."""
    return Subject(policy_id, finding.kind, canonical_group(finding.group), finding.event_type or "")


def _dealt_with(finding: Finding, policy: Policy, journal: Journal, question: Question) -> Finding:
    """The finding, with the acceptance that covers it."""
    if not journal.acceptances:
        return finding
    subject = subject_of(policy.id, finding)
    covering = journal.acceptance(Seen(subject, finding.start, finding.end, question.as_of, question.until))
    return finding if covering is None else replace(finding, accepted=covering)


def _episode(policy: Policy, row: Row) -> Finding:
    key, start, end, ongoing, before, peak, peak_at = row
    group = dict(zip(policy.group_by, group_values(key), strict=True)) or None
    number = finding_id(policy.id, "threshold_exceeded", canonical_group(group), "", print_instant(start))
    message = episode_message(policy, group or {}, peak)
    return Finding(
        number, "threshold_exceeded", message, group=group, start=start, end=end, ongoing=ongoing,
        started_before_period=before, peak=peak, peak_at=peak_at,
    )  # fmt: skip


def episode_message(policy: Policy, group: Mapping[str, str | None], peak: int) -> str:
    """An episode in words; a value of its group that is kept from the reader is None."""
    named = (f"{column} {'(hidden)' if value is None else value}" for column, value in group.items())
    whose = f" for {', '.join(named)}" if group else ""
    return f"{counted_events(peak)} within {policy.window}{whose}: the threshold is {policy.alert_threshold}"


def _place(finding: Finding) -> tuple[str, datetime, str, str]:
    """Where a finding stands among the others of its report."""
    return finding.kind, finding.start or BEFORE_ALL, canonical_group(finding.group), finding.event_type or ""


def _status(received: bool, findings: Sequence[Finding]) -> Status:
    if not received:
        return "no_data"
    return "violation" if any(finding.accepted is None for finding in findings) else "compliant"


def _status_now(answers: Answers) -> Status | None:
    """How the last window before as_of stands."""
    if answers.policy.alert_threshold is None:
        return None
    if answers.rows["current_counts"]:
        return "violation"
    (received,) = answers.one("presence_now")
    return "compliant" if received else "no_data"


def _threshold(answers: Answers) -> Threshold:
    policy = answers.policy
    recent, ungrouped, errors, future = answers.one("threshold_totals")
    first = _first_day(answers)
    peaks = tuple(
        DailyPeak(_day(number), None if first is None or _day(number) < first else peak)
        for number, peak in answers.rows["daily_peaks"]
    )
    return Threshold(
        window=str(policy.window),
        alert_threshold=policy.least,
        group_by=policy.group_by,
        where=policy.where,
        where_errors=errors,
        recent_events=recent,
        ungrouped_events=ungrouped,
        future_events=future,
        episodes=len(answers.rows["rolling_counts"]),
        daily_peaks=peaks,
    )


def _silent_days(answers: Answers) -> Iterator[date]:
    heard = {_day(number) for _, number, _ in answers.rows["type_day_counts"]}
    return (day for day in period_days(answers.question) if day not in heard)


def _retention(answers: Answers, policies: Sequence[Policy], firsts: Sequence[datetime]) -> RetentionAnswer:
    held, kept, due = answers.one("retention")
    policy = answers.policy
    retention = next(query for query, _ in answers.queries if query.name == "retention")
    return RetentionAnswer(
        retention_period=str(policy.retention_period),
        cutoff=retention.parameters["cutoff"],
        due=due,
        kept_by_other_policies=kept,
        held=held,
        oldest_event=min(firsts, default=None),
        conflicts=tuple(conflicts_of(policy, policies)),
    )


def _first_day(answers: Answers) -> date | None:
    _, first = answers.one("presence")
    return first.date() if first else None


def _day(number: int) -> date:
    return _EPOCH_DAY + timedelta(days=number)


def printable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them: instants spelled out."""

    def spelled(value: Any) -> Any:
        if isinstance(value, datetime):
            return print_instant(value.astimezone(UTC))
        return [spelled(each) for each in value] if isinstance(value, list) else value

    return {name: spelled(value) for name, value in parameters.items()}
