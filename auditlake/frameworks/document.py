"""The JSON of a framework report: its keys and their order, and the way back to the bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from auditlake.display.canonical_json import canonical, json_value
from auditlake.display.templates import check_schema
from auditlake.findings.journal import entry_dict
from auditlake.frameworks.model import (
    CheckResult,
    ControlResult,
    Coverage,
    FrameworkReport,
    PolicyAnswer,
    RetentionRow,
    Setting,
    Slot,
    SourceLife,
)
from auditlake.reports.document import finding_dict

FRAMEWORK_VERSION = 1
"""The form that is written."""
_HEAD = (
    "pack_id", "framework", "edition", "publisher", "about", "revision", "digest", "extends", "recheck",
    "is_recheck_due",
)  # fmt: skip
_NUMBERS = ("applicable", "failing", "showable", "passing", "passing_only_logging")


def render_json(report: FrameworkReport) -> bytes:
    """Return a framework report as JSON: UTF-8, keys in the documented order, two spaces, a newline at the end.

    Raises:
        ReportError: It is not what its schema describes.
    """
    values = framework_dict(report)
    check_framework(values)
    return canonical(values)


def check_framework(values: Any) -> None:
    """Check a parsed framework report against its schema.

    Raises:
        ReportError: It does not fit; the message names the outermost place that does not.
    """
    check_schema(values, "framework", "framework report")


def framework_dict(report: FrameworkReport) -> dict[str, Any]:
    """Turn a framework report into JSON values, keys in the order of the schema."""
    return {
        "framework_version": FRAMEWORK_VERSION,
        **{name: json_value(getattr(report, name)) for name in _HEAD},
        "state": json_value(report.state),
        "next_state": json_value(report.next_state),
        "watch": [json_value(each) for each in report.watch],
        "generated_at": json_value(report.generated_at),
        "as_of": json_value(report.as_of),
        "period": {"since": json_value(report.since), "until": json_value(report.until)},
        "status": report.status,
        "verdict": report.verdict,
        "sentence": report.sentence,
        "counts": {status: dict(numbers) for status, numbers in report.counts.items()},
        "numbers": {name: getattr(report, name) for name in _NUMBERS},
        "settings": [_setting(each) for each in report.settings],
        "controls": [_control(each) for each in report.controls],
        "coverage": _coverage(report.coverage),
        "retention": [_retention(each) for each in report.retention],
        "policies": [_policy(each) for each in report.policies],
        "resolutions": [_entry(each) for each in report.resolutions],
        "sources": [json_value(each) for each in report.sources],
        "evidence": json_value(report.evidence),
    }


def _entry(entry: Any) -> Any:
    """Return an entry of the journal as it stands there."""
    return None if entry is None else json_value(entry_dict(entry))


def _setting(setting: Setting) -> dict[str, Any]:
    return {**json_value(replace(setting, decision=None)), "decision": _entry(setting.decision)}


def _control(control: ControlResult) -> dict[str, Any]:
    names = (
        "id", "title", "shows", "says", "says_not", "status", "basis", "reasons", "parts", "related", "cites",
        "in_force", "ended", "replaced_by", "was", "parameters",
    )  # fmt: skip
    return {
        **{name: json_value(getattr(control, name)) for name in names},
        "statement": _entry(control.statement),
        "applicability": _entry(control.applicability),
        "weakenings": [_entry(each) for each in control.weakenings],
        "checks": [_check(each) for each in control.checks],
    }


def _check(check: CheckResult) -> dict[str, Any]:
    names = ("kind", "policy", "asks", "of", "asked", "status", "reason", "measures")
    return {
        **{name: json_value(getattr(check, name)) for name in names},
        "findings": [finding_dict(each) for each in check.findings],
        "slots": [_slot(each) for each in check.slots],
    }


def _slot(slot: Slot) -> dict[str, Any]:
    """Return an interval; what it does not have is left out, since there are many."""
    return {name: value for name, value in json_value(slot).items() if value is not None}


def _retention(row: RetentionRow) -> dict[str, Any]:
    found = row.contradiction
    return {**json_value(replace(row, contradiction=None)), "contradiction": found and finding_dict(found)}


def _policy(policy: PolicyAnswer) -> dict[str, Any]:
    """Return what a policy's report says in short; its file's name follows from settings that a report has not."""
    values: dict[str, Any] = json_value(policy)
    del values["stem"]
    return values


def _coverage(coverage: Coverage) -> dict[str, Any]:
    rows = [{**json_value(replace(each, cells=())), "cells": _cells(each.cells)} for each in coverage.rows]
    return {
        "first_day": coverage.days[0].isoformat(),
        "days": len(coverage.days),
        "columns": list(coverage.columns),
        "sources": [_life(each) for each in coverage.sources],
        "rows": rows,
        "types_of": json_value(coverage.types_of),
    }


def _life(source: SourceLife) -> dict[str, Any]:
    names = ("source", "events", "first", "last")
    return {name: json_value(getattr(source, name)) for name in names} | {"days": len(source.days)}


def _cells(cells: tuple[Any, ...]) -> list[Any]:
    """Return the days one after the other, each run of days without events as its word and its length."""
    written: list[Any] = []
    for cell in cells:
        if isinstance(cell, str) and written and isinstance(written[-1], list) and written[-1][0] == cell:
            written[-1][1] += 1
        else:
            written.append([cell, 1] if isinstance(cell, str) else cell)
    return written
