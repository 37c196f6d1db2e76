"""HDF, the form of InSpec's ``exec-json``, for Heimdall and its converters."""

from __future__ import annotations

from typing import Any

from auditlake.display.canonical_json import instant
from auditlake.forms.model import Check, FormOptions, Item, Judgement, Outcome
from auditlake.forms.words import SHOWS_WORDS, subject
from auditlake.forms.writing import written

_VERSION = "1"
"""Of this mapping; the form has no other place for it."""
_IMPACT = {"low": 0.3, "medium": 0.5, "high": 0.7, "critical": 0.9}
"""What Heimdall takes for these words."""
_RESULT: dict[Outcome, str] = {"pass": "passed", "fail": "failed"}


def render(judgement: Judgement, _: FormOptions) -> bytes:
    """Return the report as one profile that was executed; what has no result is ``skipped``, with the true word."""
    sha256 = judgement.digest.removeprefix("sha256:")
    return written({
        "platform": {"name": "auditlake", "release": _VERSION, "target_id": judgement.lake_id},
        "version": _VERSION,
        "statistics": {"duration": 0},
        "profiles": [{
            "name": judgement.id, "title": subject(judgement), "version": judgement.revision or None,
            "maintainer": judgement.publisher or None, "summary": judgement.about or None, "sha256": sha256,
            "status": "loaded", "supports": [], "attributes": [], "groups": [],
            "controls": [_control(each, judgement) for each in judgement.items],
        }],
    })  # fmt: skip


def _control(item: Item, judgement: Judgement) -> dict[str, Any]:
    impact = 0.0 if item.outcome == "not_applicable" else _IMPACT.get(item.severity, _IMPACT["medium"])
    said = {"says": item.says, "says_not": item.says_not}
    start = instant(judgement.as_of)
    results = [_result(each, start) for each in item.checks] or [_summary(item, start)]
    if _RESULT.get(item.outcome, "skipped") not in {each["status"] for each in results}:
        results.append(_summary(item, start))  # by a decision or a part: Heimdall reads the status off the results
    return {
        "id": item.id, "title": item.title, "desc": item.says or None, "impact": impact, "refs": [], "code": None,
        "tags": {"status": item.status, "shows": item.shows, "basis": item.basis},
        "descriptions": [{"label": label, "data": text} for label, text in said.items() if text],
        "source_location": {"ref": judgement.id, "line": 1}, "results": results,
    }  # fmt: skip


def _result(check: Check, start: str) -> dict[str, Any]:
    name = f"{check.kind} {check.policy}".strip()
    return _as_result(check.outcome, check.status, name, check.reason, start)


def _summary(item: Item, start: str) -> dict[str, Any]:
    shows = f"; a log shows: {SHOWS_WORDS[item.shows]}" if item.shows else ""
    return _as_result(item.outcome, item.status, f"{item.id}{shows}", item.reason, start)


def _as_result(outcome: Outcome, status: str, name: str, reason: str, start: str) -> dict[str, Any]:
    result = _RESULT.get(outcome, "skipped")
    said = {"skip_message": f"{status}: {reason}"} if result == "skipped" else {"message": reason}
    return {"status": result, "code_desc": name, "start_time": start, "run_time": 0, **said}
