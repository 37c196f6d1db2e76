"""How a report's values are spelled as JSON (semantics.md, The JSON report): everything, exactly, one way."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from auditlake.display.text import UNSEEN
from auditlake.errors import ReportError
from auditlake.events.times import print_instant
from auditlake.findings.decisions import Journal, Review
from auditlake.findings.finding import Finding
from auditlake.policies import kinds
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.policies.kinds.retention_due import RetentionAnswer
from auditlake.policies.kinds.threshold import Threshold
from auditlake.policies.model import RetentionConflict
from auditlake.reports.model import Evidence, Query, Report

REPORT_VERSION = 2
"""The form that is written unless another is asked for."""
FORMS = (1, 2)
"""Those that can be written and read."""
_UNSEEN_IN_JSON = re.compile(UNSEEN.pattern.replace("\x00-\x1f", ""))
"""C0 controls inside of strings are escapes already, so a line break is one of ours, between values."""


@dataclass(frozen=True, slots=True)
class ComplianceDocument:
    """The variables of the template ``compliance.json``: the top-level keys of the report, in order."""

    report_version: int
    """The version of this form, not of the program."""
    policy_id: str
    """The policy's file name without ``.yaml``."""
    policy_name: str
    """The policy's name."""
    description: str
    """The policy's description."""
    severity: str
    """The policy's severity."""
    controls: Mapping[str, list[str]]
    """Framework name to control ids."""
    generated_at: str
    """``as_of`` unless the caller gave another instant."""
    as_of: str
    """The instant the report is judged at."""
    period: Mapping[str, str]
    """``since`` (exclusive) and ``until`` (inclusive)."""
    status: str
    """``error``, ``violation``, ``compliant`` or ``no_data``."""
    error: str | None
    """Why the policy could not be judged."""
    status_now: str | None
    """Whether the threshold is reached at ``as_of``."""
    total_events: int
    """Governed events in the period."""
    events_by_type: Mapping[str, int]
    """The same by required type, zero included."""
    last_seen: Mapping[str, str | None]
    """The newest event of each required type up to ``as_of``."""
    findings_by_kind: Mapping[str, int]
    """How many findings there are of each kind."""
    more_findings: Mapping[str, Any] | None
    """Where all findings are, if there are more than are listed."""
    violations: list[dict[str, Any]]
    """The findings, as far as they are listed."""
    threshold: Mapping[str, Any] | None
    """The answer to question 1."""
    coverage: Mapping[str, Any]
    """The answer to question 2, beside its findings."""
    retention: Mapping[str, Any] | None
    """The answer to question 3."""
    measures: Mapping[str, Any]
    """What policies of other kinds measure."""
    evidence: Mapping[str, Any]
    """Where the numbers come from."""


def report_dict(report: Report, whole: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Turns a report into JSON values of the newest form, keys in the order of semantics.md.

    Findings, types and queries keep the order they have in ``report``.

    Args:
        report: What to say.
        whole: Where there are more findings than are to be listed, what the report says of all of them:
            ``more_findings``, whose ``listed`` says how many it lists itself.

    Returns:
        The whole document, of nothing but dicts, lists, strings, numbers, booleans and None.

    Raises:
        ReportError: A value has no JSON form (an instant without a zone, a number that is not finite).
    """
    listed = report.violations if whole is None else report.violations[: whole["listed"]]
    counts = Counter(finding.kind for finding in report.violations)
    return {
        "report_version": REPORT_VERSION,
        **_head(report),
        "status": report.status,
        "error": report.error,
        "status_now": report.status_now,
        **_types(report),
        "findings_by_kind": {kind: counts[kind] for kind in kinds.finding_kinds()},
        "more_findings": whole,
        "violations": [finding_dict(finding) for finding in listed],
        "threshold": report.threshold and _threshold(report.threshold),
        "coverage": _coverage(report.coverage) | {"fields": json_value(report.coverage.fields)},
        "retention": report.retention and _retention(report.retention),
        "measures": json_value(report.measures),
        "evidence": _evidence(report.evidence),
    }


def report_dict_1(report: Report) -> dict[str, Any]:
    """Turns a report into JSON values of the first form, which lists every finding and knows no policy without answers.

    Its ``status_now`` has two values: where nothing was received, nothing is at the threshold.

    Raises:
        ReportError: The report has no such form.
    """
    left_out = {"a threshold": report.threshold, "a retention period": report.retention}
    lacking = [name for name, answer in left_out.items() if answer is None]
    if report.threshold is None or report.retention is None or report.error is not None:
        why = report.error or f"the policy has not {' or '.join(lacking)}"
        message = f"the report of {report.policy_id!r} cannot be written in form 1: {why}"
        raise ReportError(message, hint=f"form {REPORT_VERSION}, which is written without --form, says so in its JSON")
    return {
        "report_version": 1,
        **_head(report),
        "status": report.status,
        "status_now": "violation" if report.status_now == "violation" else "compliant",
        **_types(report),
        "violations": [finding_dict(finding) for finding in report.violations],
        "threshold": _threshold(report.threshold),
        "coverage": _coverage(report.coverage),
        "retention": _retention(report.retention),
        "evidence": _evidence(report.evidence, 1),
    }


def _head(report: Report) -> dict[str, Any]:
    """Which policy is judged, and when: the keys ahead of the status."""
    return {
        "policy_id": report.policy_id,
        "policy_name": report.policy_name,
        "description": report.description,
        "severity": report.severity,
        "controls": {framework: list(ids) for framework, ids in report.controls.items()},
        "generated_at": instant(report.generated_at),
        "as_of": instant(report.as_of),
        "period": {"since": instant(report.since), "until": instant(report.until)},
    }


def _types(report: Report) -> dict[str, Any]:
    """How many events of each type there were, and when the last was seen."""
    return {
        "total_events": report.total_events,
        "events_by_type": dict(report.events_by_type),
        "last_seen": {event_type: _instant_or_none(seen) for event_type, seen in report.last_seen.items()},
    }


def _coverage(answer: CoverageAnswer) -> dict[str, Any]:
    return {"max_gap": answer.max_gap, "silent_days": [day.isoformat() for day in answer.silent_days]}


def finding_dict(finding: Finding) -> dict[str, Any]:
    """Turns a finding into JSON values: the keys of its kind and no others, and ``accepted`` where it is."""
    said = _found(finding)
    if (accepted := finding.accepted) is not None:
        said["accepted"] = {
            "entry": accepted.number,
            "at": instant(accepted.at),
            "until": instant(accepted.until),
            "reason": accepted.reason,
            "owner": accepted.owner,
            "by": accepted.by,
            "ticket": accepted.ticket,
        }
    return said


def _found(finding: Finding) -> dict[str, Any]:
    about: dict[str, Any] = {
        "event_type": finding.event_type, "group": dict(finding.group or {}), "start": finding.start,
        "end": finding.end,
    }  # fmt: skip
    kind = kinds.finding_kinds().get(finding.kind)
    if kind is None or kind.keys is None:
        own = about | {"measures": json_value(finding.measures)}
    else:
        own = {key: about[key] if key in about else finding.measures[key] for key in kind.keys}
    plain = {key: instant(value) if isinstance(value, datetime) else value for key, value in own.items()}
    return {"id": finding.id, "kind": finding.kind, **plain, "message": finding.message}


def instant(moment: datetime) -> str:
    """Writes an instant as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``.

    Example:
        >>> instant(datetime(2026, 11, 24, 8, 0, tzinfo=UTC))
        '2026-11-24T08:00:00.000000Z'

    Raises:
        ReportError: The instant has no zone, so nobody knows when it is.
    """
    if moment.tzinfo is None:
        message = f"a report needs instants with a zone, got {moment.isoformat()}"
        raise ReportError(message)
    return print_instant(moment)


def json_value(value: Any) -> Any:
    """Turns a query's parameter into a JSON value; a length of time becomes text that DuckDB casts to INTERVAL.

    Raises:
        ReportError: The value is of a type that no query binds.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return instant(value)
        case date():
            return value.isoformat()
        case timedelta():
            return f"{value // timedelta(microseconds=1)} microseconds"
        case Decimal() | UUID():
            return str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case _:
            message = f"a parameter of type {type(value).__name__} has no JSON form"
            raise ReportError(message)


def canonical(document: object) -> bytes:
    """Writes a JSON value the one way: order as given, two spaces, what readers would not see as an escape."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
    return (_UNSEEN_IN_JSON.sub(lambda match: json_escape(match[0]), text) + "\n").encode("utf-8")


@cache
def json_escape(character: str) -> str:
    """A character as JSON escapes it: the same value, and nothing that a terminal would act on."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _instant_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def _threshold(answer: Threshold) -> dict[str, Any]:
    return {
        "window": answer.window,
        "alert_threshold": answer.alert_threshold,
        "group_by": list(answer.group_by),
        "where": answer.where,
        "where_errors": answer.where_errors,
        "recent_events": answer.recent_events,
        "ungrouped_events": answer.ungrouped_events,
        "future_events": answer.future_events,
        "episodes": answer.episodes,
        "daily_peaks": [{"date": day.date.isoformat(), "peak": day.peak} for day in answer.daily_peaks],
    }


def _retention(answer: RetentionAnswer) -> dict[str, Any]:
    return {
        "retention_period": answer.retention_period,
        "cutoff": instant(answer.cutoff),
        "due": answer.due,
        "kept_by_other_policies": answer.kept_by_other_policies,
        "held": answer.held,
        "oldest_event": _instant_or_none(answer.oldest_event),
        "conflicts": [_conflict(conflict) for conflict in answer.conflicts],
    }


def _conflict(conflict: RetentionConflict) -> dict[str, Any]:
    return {
        "event_type": conflict.event_type,
        "keep_policy": conflict.keep_policy,
        "retention_period": conflict.retention_period,
        "limit_policy": conflict.limit_policy,
        "max_retention": conflict.max_retention,
    }


def _evidence(evidence: Evidence, form: int = REPORT_VERSION) -> dict[str, Any]:
    said: dict[str, Any] = {
        "lake_id": evidence.lake_id,
        "snapshot": evidence.snapshot,
        "policy_digest": evidence.policy_digest,
        "files": evidence.files,
        "rows": evidence.rows,
        "inputs_digest": evidence.inputs_digest,
        "queries": [_query(query) for query in evidence.queries],
    }
    if evidence.journal.entries:
        said["journal"] = _journal(evidence.journal, form)
    if evidence.unread_policies and form > 1:
        said["unread_policies"] = list(evidence.unread_policies)
    return said


def _journal(journal: Journal, form: int = REPORT_VERSION) -> dict[str, Any]:
    """What people decided, as a report's evidence has it.

    Args:
        journal: What of the journal the report shows.
        form: The report's. The first has one review: the newest of its period, or of none, as entries once were.
    """
    said: dict[str, Any] = {"entries": journal.entries, "digest": journal.digest}
    if form == 1:
        return said | {"last_review": journal.last_review and json_value(journal.last_review.said)}
    return said | {"reviews": [_review(each) for each in journal.covering]}


def _review(review: Review) -> dict[str, Any]:
    more = {"number": review.number, "ticket": review.ticket, "report": review.report, "pack": review.pack}
    return dict(json_value(review.said | more))


def _query(query: Query) -> dict[str, Any]:
    return {"name": query.name, "sql": query.sql, "parameters": json_value(query.parameters), "rows": query.rows}
