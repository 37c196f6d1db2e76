"""The JSON report: its keys and their order (docs/reference/semantics.md); each section gives its own part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditlake.display.canonical_json import canonical, instant, json_value
from auditlake.display.templates import check_schema
from auditlake.errors import ReportError
from auditlake.findings.finding import Finding
from auditlake.findings.many import numbers_by_kind
from auditlake.policies import kinds
from auditlake.reports.model import Report
from auditlake.reports.sections import catalog
from auditlake.reports.sections.coverage import beyond_form_1

REPORT_VERSION = 2
"""The form that is written unless another is asked for."""
FORMS = (1, 2)
"""Those that can be written and read."""
_COUNTED = ("threshold_exceeded", "missing_required_type", "coverage_gap")
"""The kinds of findings that are counted even where there are none."""
_ANSWERS = ("threshold", "coverage", "retention")
"""The keys that sections fill in every form, ``evidence`` aside; a section's other keys are in ``measures``."""


def render_json(report: Report, whole: Mapping[str, Any] | None = None, *, form: int = REPORT_VERSION) -> bytes:
    """Return the report as JSON: UTF-8, keys in the documented order, two spaces, a newline at the end.

    Args:
        report: What to say.
        whole: See :func:`report_dict`; the first form lists every finding.
        form: The version of the form.

    Raises:
        ReportError: The report has no JSON of that form, or not the one that its schema describes.
    """
    try:
        values = report_dict_1(report) if form == 1 else report_dict(report, whole)
        check_report(values)
        return canonical(values)
    except ValueError as error:
        message = f"the report of {report.policy_id!r} has no JSON form: {error}"
        raise ReportError(message) from error


def check_report(values: Any) -> None:
    """Check a parsed report against the schema of its own form.

    Raises:
        ReportError: It does not fit; the message names the outermost place that does not.
    """
    first = isinstance(values, dict) and values.get("report_version") == 1
    check_schema(values, "compliance.1" if first else "compliance", "report")


def report_dict(report: Report, whole: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Turn a report into JSON values of the newest form, keys in the order of docs/reference/semantics.md.

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
    counts = numbers_by_kind(report.violations)
    parts = _parts(report, REPORT_VERSION)
    evidence = parts.pop("evidence")
    return {
        "report_version": REPORT_VERSION,
        **_head(report),
        "status": report.status,
        "error": report.error,
        "status_now": report.status_now,
        **_types(report),
        "findings_by_kind": {kind: counts[kind] for kind in kinds.finding_kinds() if counts[kind] or kind in _COUNTED},
        "more_findings": whole,
        "violations": [finding_dict(finding) for finding in listed],
        **{key: parts.pop(key) for key in _ANSWERS},
        "measures": json_value(report.measures) | parts,
        "evidence": evidence,
    }


def report_dict_1(report: Report) -> dict[str, Any]:
    """Turn a report into JSON values of the first form, which lists every finding and knows no policy without answers.

    Its ``status_now`` has two values: where nothing was received, nothing is at the threshold.

    Raises:
        ReportError: The report has no such form.
    """
    left_out = {"a threshold": report.threshold, "a retention period": report.retention}
    lacking = [name for name, answer in left_out.items() if answer is None]
    other = None if report.threshold is None or report.threshold.measure == "count" else report.threshold.measure
    of_event = report.measures or any(each.of for each in (report.retention.conflicts if report.retention else ()))
    newer = beyond_form_1(report.coverage) or ("a max_retention of the event" if of_event else "")
    if lacking or newer or report.error is not None or other is not None:
        said = f"the policy measures {other!r}" if other else f"the policy has {newer}" if newer else ""
        why = report.error or said or f"the policy has not {' or '.join(lacking)}"
        message = f"the report of {report.policy_id!r} cannot be written in form 1: {why}"
        raise ReportError(message, hint=f"form {REPORT_VERSION}, which is written without --form, says so in its JSON")
    return {
        "report_version": 1,
        **_head(report),
        "status": report.status,
        "status_now": "violation" if report.status_now == "violation" else "compliant",
        **_types(report),
        "violations": [finding_dict(finding, 1) for finding in report.violations],
        **{key: part for key, part in _parts(report, 1).items() if key in {*_ANSWERS, "evidence"}},
    }


def _parts(report: Report, form: int) -> dict[str, Any]:
    """Return what the sections say, by key."""
    return {key: part for section in catalog.SECTIONS for key, part in section.json(report, form).items()}


def _head(report: Report) -> dict[str, Any]:
    """Return which policy is judged, and when: the keys ahead of the status."""
    names = ("policy_id", "policy_name", "description", "severity", "controls", "generated_at", "as_of")
    head = {name: json_value(getattr(report, name)) for name in names}
    return head | {"period": {"since": instant(report.since), "until": instant(report.until)}}


def _types(report: Report) -> dict[str, Any]:
    """Return how many events of each type there were, and when the last was seen."""
    return {name: json_value(getattr(report, name)) for name in ("total_events", "events_by_type", "last_seen")}


def finding_dict(finding: Finding, form: int = REPORT_VERSION) -> dict[str, Any]:
    """Turn a finding into JSON values: the keys of its kind and no others.

    ``evidence`` and ``accepted`` are there where it has them; the first form knows no evidence.
    """
    about = {"event_type": finding.event_type, "group": finding.group or {}, "start": finding.start, "end": finding.end}
    kind = kinds.finding_kinds().get(finding.kind)
    if kind is None or kind.keys is None:
        own = about | {"measures": finding.measures}
    else:
        own = {key: about[key] if key in about else finding.measures[key] for key in kind.keys}
    values = {"id": finding.id, "kind": finding.kind, **json_value(own), "message": finding.message}
    if finding.evidence and form > 1:
        values["evidence"] = json_value(finding.evidence)
    if (accepted := finding.accepted) is not None:
        values["accepted"] = {
            "entry": accepted.number,
            "at": instant(accepted.at),
            "until": instant(accepted.until),
            "reason": accepted.reason,
            "owner": accepted.owner,
            "by": accepted.by,
            "ticket": accepted.ticket,
        }
    return values
