"""The JSON of a change report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from auditlake.changes.model import Changes, FindingChange, Found, Step
from auditlake.display.canonical_json import canonical, json_value

FORM = 1
"""The version of this form, not of the program."""


def render_json(changes: Changes) -> bytes:
    """Return a change report as canonical JSON: the same bytes for the same two reports and the same lake."""
    return canonical(changes_dict(changes))


def changes_dict(changes: Changes) -> dict[str, Any]:
    """Return a change report as JSON values."""
    return {
        "changes_version": FORM,
        "subject": changes.subject,
        "name": changes.name,
        "is_framework": changes.is_framework,
        "lake_id": changes.lake_id,
        "before": json_value(asdict(changes.before)),
        "after": json_value(asdict(changes.after)),
        "stopped": changes.stopped or None,
        "notes": list(changes.notes),
        "steps": [_step(each) for each in changes.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.name,
        "why": step.why,
        "numbers": json_value(asdict(step.numbers)),
        "findings": [_change(each) for each in step.changes],
        "controls": [json_value(asdict(each)) for each in step.controls],
    }


def _change(change: FindingChange) -> dict[str, Any]:
    return {
        "what": change.what,
        "place": change.place or None,
        "before": _found(change.before),
        "after": _found(change.after),
    }


def _found(found: Found | None) -> dict[str, Any] | None:
    return None if found is None else {name: each for name, each in json_value(asdict(found)).items() if each != ""}
