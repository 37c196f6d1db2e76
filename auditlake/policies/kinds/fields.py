"""Whether events say what they must say (semantics.md, Fields)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.policies.condition import COLUMNS
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query
from auditlake.policies.model import PLACEHOLDERS, FieldRule, Policy

if TYPE_CHECKING:
    from auditlake.findings.finding import Finding
    from auditlake.policies.evaluate import Answers
    from auditlake.yaml_reader import Reader

INCOMPLETE = FindingKind("field_incomplete", "incomplete field")
MOST = 32
"""How many fields a policy may have."""
JSON = ("details", "metadata")
_PART = re.compile(r"""\.([^\s."'*$\[\]]+|"[^"*\\]+")""")
_PLACE = re.compile(f"(details|metadata)(({_PART.pattern})+)")
_ALWAYS = ("event_id", "event_type", "timestamp", "source", "ingested_at")
"""Columns without which there is no event."""
_TEXTS = tuple(name for name, kind in COLUMNS.items() if kind == "VARCHAR" and name not in (*_ALWAYS, *JSON))
_COLUMN: dict[str, Any] = {
    "anyOf": [{"enum": sorted((*_ALWAYS, *_TEXTS))}, {"type": "string", "pattern": f"^{_PLACE.pattern}$"}],
    "title": "column",
}  # fmt: skip
_COLUMNS: dict[str, Any] = {"type": "array", "minItems": 1, "uniqueItems": True, "items": _COLUMN}
_RULE: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["any_of"],
    "properties": {
        "any_of": _COLUMNS | {"description": "Columns of which one must be filled."},
        "at_least": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1, "description":
            "The share of events that must say it; at most six decimals."},
    },
}  # fmt: skip
_FIELDS: dict[str, Any] = {
    "type": "object", "minProperties": 1, "maxProperties": MOST, "propertyNames": {"maxLength": 64},
    "additionalProperties": {"anyOf": [_COLUMNS, _RULE]},
    "description": "What each event must say: names, each with columns of which one must be filled.",
}  # fmt: skip


def _read_fields(reader: Reader, node: yaml.Node, key: str) -> dict[str, FieldRule]:
    if not reader.is_a(node, yaml.MappingNode, key, "names, each with a list of columns"):
        return {}
    if not 1 <= len(node.value) <= MOST:
        reader.wrong(node, f"{key}: expected from 1 to {MOST} names, got {len(node.value)}")
    rules: dict[str, FieldRule] = {}
    for name, value in node.value:
        label = reader.label(name, key)
        if label is not None and len(label) > _FIELDS["propertyNames"]["maxLength"]:
            reader.wrong(name, f"{key}: expected a name of at most 64 characters")
        rules[label or ""] = _read_rule(reader, value, key)
    return rules


def _read_rule(reader: Reader, node: yaml.Node, key: str) -> FieldRule:
    if not isinstance(node, yaml.MappingNode):
        return FieldRule(_read_columns(reader, node, key))
    fields = reader.mapping(node, "a field", tuple(_RULE["properties"]), _RULE["required"])
    columns = _read_columns(reader, fields["any_of"], "any_of") if "any_of" in fields else ()
    least = FieldRule(()).at_least
    if "at_least" in fields:
        shares = (Decimal("0.000001"), Decimal(1), 6)
        least = reader.decimal(fields["at_least"], "at_least", *shares) or least
    return FieldRule(columns, least)


def _read_columns(reader: Reader, node: yaml.Node, key: str) -> tuple[str, ...]:
    if isinstance(node, yaml.SequenceNode) and not node.value:
        reader.wrong(node, f"{key}: expected at least one column, got an empty list")
    return reader.several(node, key, lambda item, key: reader.parsed(item, key, "a column", _column))


def _column(text: str) -> str:
    if text not in (*_ALWAYS, *_TEXTS) and not _PLACE.fullmatch(text):
        known = ", ".join(sorted((*_ALWAYS, *_TEXTS)))
        raise ValueError(f"expected one of {known}, or a place such as details.a.b or metadata.a, got {text[:60]!r}")
    return text


def _read_words(reader: Reader, node: yaml.Node, key: str) -> tuple[str, ...]:
    return reader.several(node, key, reader.name)


class FieldsKind(Kind):
    """Fields that too many events of a type lack."""

    name = "fields"
    keys = (
        Key("fields", _FIELDS, read=_read_fields, asks=True),
        Key("placeholders", {"type": "array", "uniqueItems": True, "items": {"type": ["string", "number"]},
            "default": PLACEHOLDERS, "description": "The words that count as nothing in a field, whatever their case."},
            read=_read_words, needs=("fields",)),
    )  # fmt: skip
    finding_kinds = (INCOMPLETE,)

    def is_asked(self, policy: Policy) -> bool:
        """Return whether a policy asks for fields."""
        return bool(policy.fields)

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return nothing yet."""
        return ()

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], Any]:
        """Return nothing yet."""
        return (), None
