"""JSON Schema of a policy's YAML, for editors: the keys of every policy here, those of a question kind in its file.

The reader takes keys, choices and bounds from the same schemas, and checks beyond them: what a condition may be, which
event types a lake knows, which keys go together.
"""

from __future__ import annotations

from typing import Any

from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.policies.model import SEVERITIES

Schema = dict[str, Any]
MAX_TEST_EVENTS = 10_000


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


_TEXT_COLUMNS = ("user_id", "action", "resource", "status", "session_id", "ip_address", "source", "event_id")
_EVENT_TYPE: Schema = {
    "type": "string", "format": "event type", "title": "event type",
    "anyOf": [{"enum": sorted(BUILT_IN_TYPES)}, {"pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}],
}  # fmt: skip
_LENGTH: Schema = {"type": "string", "format": "length"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
LABELS: Schema = {
    "type": "array",
    "minItems": 1,
    "uniqueItems": True,
    "items": {"type": ["string", "number"], "title": "control"},
}
NAME = _text("The policy's name, one line.", format="line")
DESCRIPTION = _text("What the policy is for.")
SEVERITY: Schema = {"enum": SEVERITIES, "default": "medium", "description": "How much a finding matters."}
EVENT_TYPES: Schema = {
    "type": "array", "minItems": 1, "uniqueItems": True, "items": _EVENT_TYPE,
    "description": "The event types that the policy governs.",
}  # fmt: skip
CONTROLS: Schema = {
    "type": "object", "additionalProperties": LABELS,
    "description": "The controls that the policy serves, by framework.",
}  # fmt: skip
EVENT: Schema = {
    "type": "object", "additionalProperties": False,
    "properties": {
        "event_type": _EVENT_TYPE, "type": _EVENT_TYPE,
        "timestamp": _text("When it happened."), "at": _text("When it happened."),
        **{name: {"type": ["string", "null"]} for name in _TEXT_COLUMNS},
        "details": {"description": "A JSON value."}, "metadata": {"description": "A JSON value."},
        "count": {"type": "integer", "minimum": 1, "maximum": MAX_TEST_EVENTS, "description": "How many such events."},
        "every": _LENGTH | {"description": "How much later each of them is than the one before."},
    },
}  # fmt: skip
EXPECT: Schema = {
    "type": "object", "additionalProperties": False, "minProperties": 1,
    "properties": {
        "status": {"enum": ("no_data", "violation", "compliant")},
        "missing": {"type": "array", "uniqueItems": True, "items": _EVENT_TYPE},
        "episodes": _COUNT, "gaps": _COUNT, "incomplete": _COUNT, "total": _COUNT, "peak": {"type": "number"},
    },
}  # fmt: skip
TEST: Schema = {
    "type": "object", "additionalProperties": False, "required": ("name", "events", "expect"),
    "properties": {
        "name": _text("The test's name, one line.", format="line"), "events": {"type": "array", "items": EVENT},
        "expect": EXPECT, "as_of": _text("The instant to judge at; the newest event's time without this key."),
        "since": _text("The instant before the period."),
    },
}  # fmt: skip
TESTS: Schema = {"type": "array", "items": TEST, "description": "Tests of the policy, run by auditlake policy check."}
