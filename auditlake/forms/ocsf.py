"""OCSF 1.8.0, compliance findings (class 2003), for SIEMs and data lakes: JSON lines, an event a control."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from auditlake.forms.model import Check, FormOptions, Item, Judgement, Outcome
from auditlake.forms.words import OUTCOME_WORDS, subject
from auditlake.forms.writing import identified, identity, shown_values

VERSION = "1.8.0"
_CLASS, _CREATE = 2003, 1
_STATUS: dict[Outcome, int] = {"pass": 1, "no_data": 2, "fail": 3}
"""``compliance.status_id``: 2, Warning, is "did not yield a result due to missing information"; 99 is any other."""
_OTHER = 99
_SEVERITY = {"low": 2, "medium": 3, "high": 4, "critical": 5}
_INFORMATIONAL = 1
_OPEN = ("fail", "no_data", "not_evaluated")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RULE = 1
"""``analytic.type_id``."""


def render(judgement: Judgement, _: FormOptions) -> bytes:
    """Return an event a line, in ASCII."""
    events = (shown_values(_event(judgement, item)) for item in judgement.items)
    return "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events).encode("ascii")


def _event(judgement: Judgement, item: Item) -> dict[str, Any]:
    at, about = _milliseconds(judgement.generated_at), subject(judgement)
    return {
        "activity_id": _CREATE, "category_uid": _CLASS // 1000, "class_uid": _CLASS,
        "type_uid": _CLASS * 100 + _CREATE, "time": at, "severity_id": _severity(item.outcome, item.severity),
        "message": f"{item.id}: {OUTCOME_WORDS[item.outcome]}: {item.reason}",
        "metadata": {
            "version": VERSION, "uid": identified("ocsf", *identity(judgement), item.id),
            "product": {"name": "auditlake", "vendor_name": "auditlake"},
        },
        "finding_info": {
            "uid": identified("finding", judgement.lake_id, judgement.id, item.id),
            "title": item.title or item.id, "desc": item.says or None, "created_time": at,
            "analytic": {
                "uid": f"{judgement.id}/{item.id}", "name": item.title or item.id, "type_id": _RULE, "type": "Rule",
                "version": judgement.revision or None,
            },
        },
        "compliance": {
            "control": item.title or item.id, "requirements": [item.id],
            "standards": [about] if judgement.kind == "framework" else None,
            **_status(item.outcome), "status_detail": item.reason,
            "checks": [_check(each, judgement) for each in item.checks] or None,
        },
        "resources": [{"uid": judgement.lake_id, "type": "auditlake lake", "version": str(judgement.snapshot)}],
        "unmapped": {
            "status": item.status, "shows": item.shows, "basis": item.basis, "pack_digest": judgement.digest,
            "report": judgement.report, "since": _milliseconds(judgement.since),
            "until": _milliseconds(judgement.until), "as_of": _milliseconds(judgement.as_of),
            "finding_ids": [each.id for each in item.findings] or None,
        },
    }  # fmt: skip


def _check(check: Check, judgement: Judgement) -> dict[str, Any]:
    return {
        "uid": check.policy or check.kind, "name": check.policy or check.kind, "desc": check.reason,
        "standards": [subject(judgement)] if judgement.kind == "framework" else None, **_status(check.outcome),
        "severity_id": _severity(check.outcome, check.severity),
    }  # fmt: skip


def _status(outcome: Outcome) -> dict[str, Any]:
    captions = {1: "Pass", 2: "Warning", 3: "Fail"}
    number = _STATUS.get(outcome, _OTHER)
    return {"status_id": number, "status": captions.get(number, outcome)}


def _severity(outcome: Outcome, severity: str) -> int:
    """Return how bad it is, if it is open; a check over records has no severity of its own, and counts as medium."""
    return _SEVERITY.get(severity, _SEVERITY["medium"]) if outcome in _OPEN else _INFORMATIONAL


def _milliseconds(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(milliseconds=1)
