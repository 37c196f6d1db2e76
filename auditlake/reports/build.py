"""From a policy's answers to what its report says. Nothing here reads a clock, a file or an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from auditlake.display.canonical_json import json_value
from auditlake.engine.model import Row
from auditlake.events.times import day_of
from auditlake.findings.decisions import NOTHING, Acceptance, Journal, Seen
from auditlake.findings.finding import Finding, canonical_group, subject_of
from auditlake.findings.many import EpisodeColumns, ManyFindings, accepted_ones
from auditlake.policies import kinds
from auditlake.policies.evaluate import Answers
from auditlake.policies.kinds.threshold import status_now
from auditlake.policies.model import Policy
from auditlake.policies.question import BEFORE_ALL, Question
from auditlake.reports.model import Detail, Evidence, Query, Report, SampleEvent, Status

NOWHERE: Mapping[str, Any] = {"snapshot": 0, "files": 0, "rows": 0, "inputs_digest": ""}
"""The evidence of a report that only the caller reads."""


def build_report(
    answers: Answers,
    *,
    generated_at: datetime | None = None,
    lake_id: str = "",
    snapshot: Mapping[str, Any] = NOWHERE,
    journal: Journal = NOTHING,
) -> Report:
    """Build a policy's report.

    Args:
        answers: What its queries gave.
        generated_at: What the report says about when it was made; as_of if None.
        lake_id: The lake's id; empty for a report that only the caller reads.
        snapshot: ``snapshot``, ``files``, ``rows`` and ``inputs_digest`` of the evidence.
        journal: What people decided about findings of this policy.
    """
    policy, question = answers.policy, answers.question
    (received,) = answers.one("presence")
    types = {name: (events, last) for name, events, _, last in answers.rows["required_types"]}
    judged = {kind.name: kind.judge(answers) for kind in kinds.KINDS}
    findings = _ordered([each for each, _ in judged.values()], partial(_covering, policy, journal, question), journal)
    answered = {kind.answer_key or kind.name: judged[kind.name][1] for kind in kinds.KINDS if judged[kind.name][1]}
    return Report(
        policy_id=policy.id,
        policy_name=policy.name,
        description=policy.description,
        severity=policy.severity,
        controls=policy.controls,
        generated_at=generated_at or question.as_of,
        as_of=question.as_of,
        since=question.since,
        until=question.until,
        status=_status(received, findings) if answers.error is None else "error",
        status_now=status_now(answers),
        total_events=sum(events for events, _ in types.values()),
        events_by_type={name: events for name, (events, _) in sorted(types.items())},
        last_seen={name: last for name, (_, last) in sorted(types.items())},
        violations=findings,
        threshold=answered.pop("threshold", None),
        coverage=replace(answered.pop("coverage"), fields=answered.pop("fields", {})),
        retention=answered.pop("retention", None),
        measures=answered,
        evidence=Evidence(
            lake_id=lake_id,
            policy_digest=policy.digest,
            queries=tuple(
                Query(query.name, query.sql, json_value(query.parameters), count) for query, count in answers.queries
            ),
            unread_policies=tuple(each.id for each in answers.policies if not each.is_readable),
            journal=journal.over(policy.id, question.since, question.until),
            **snapshot,
        ),
        error=answers.error,
    )


def build_detail(answers: Answers, report: Report, samples: Mapping[Any, Sequence[Row]]) -> Detail:
    """Return what only the page shows: the events by type and day, and samples of the events behind episodes."""
    days = answers.question.days
    place = {day: i for i, day in enumerate(days)}
    counts = {name: [0] * len(days) for name in answers.policy.required_events}
    for name, number, events in answers.rows["type_day_counts"]:
        counts[name][place[day_of(number)]] += events
    samples_by_id = dict[str, tuple[SampleEvent, ...]]()
    for finding in report.violations:
        if len(samples_by_id) == len(samples):
            break
        key = tuple((finding.group or {}).values())
        if finding.peak_at is not None and (found := samples.get((key, finding.start))):
            samples_by_id[finding.id] = tuple(SampleEvent(*event) for event in found)
    return Detail(days, {name: tuple(each) for name, each in counts.items()}, samples_by_id, answers.first_day)


def _ordered(
    found: Iterable[Iterable[Finding]], covering: Callable[[Finding], Acceptance | None], journal: Journal
) -> Sequence[Finding]:
    """Return findings in the order of the report, with the acceptances that cover them."""
    few, many = list[Finding](), None
    for each in found:
        if isinstance(each, EpisodeColumns):
            many = each.dealt_with(journal.acceptances, covering)
        else:
            few += each
    if journal.acceptances:
        few = [each if (by := covering(each)) is None else replace(each, accepted=by) for each in few]
    findings = tuple(sorted(few, key=_place))
    if many is None:
        return findings
    place = sum(each.kind < many.kind for each in findings)
    return ManyFindings(findings[:place], many, findings[place:])


def _covering(policy: Policy, journal: Journal, question: Question, finding: Finding) -> Acceptance | None:
    """Return the acceptance that covers a finding."""
    about = (question.as_of, question.until, question.since)
    return journal.acceptance(Seen(subject_of(policy.id, finding), finding.start, finding.end, *about))


def _place(finding: Finding) -> tuple[str, datetime, str, str]:
    """Where a finding stands among the others of its report."""
    return finding.kind, finding.start or BEFORE_ALL, canonical_group(finding.group), finding.event_type or ""


def _status(received: bool, findings: Sequence[Finding]) -> Status:
    if not received:
        return "no_data"
    return "violation" if len(accepted_ones(findings)) < len(findings) else "compliant"
