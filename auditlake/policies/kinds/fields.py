"""Whether events say what they must say (semantics.md, Fields)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statements
from auditlake.findings.finding import Finding, canonical_group, finding_id
from auditlake.policies.condition import COLUMNS
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query, every
from auditlake.policies.model import PLACEHOLDERS, FieldRule, Number, Policy

if TYPE_CHECKING:
    from auditlake.engine.model import Row
    from auditlake.policies.evaluate import Answers
    from auditlake.yaml_reader import Reader

INCOMPLETE = FindingKind("field_incomplete", "incomplete field")
MOST = 32
"""How many fields a policy may have."""
JSON = ("details", "metadata")
_PART = re.compile(r"""\.([^\s."'*$\[\]]+|"[^"*\\]+")""")
_PLACE = re.compile(f"(details|metadata)(({_PART.pattern})+)")
ALWAYS = ("event_id", "event_type", "timestamp", "source", "ingested_at")
"""Columns without which there is no event."""
_WHITE = " \t\n\v\f\r"
_TEXTS = tuple(name for name, kind in COLUMNS.items() if kind == "VARCHAR" and name not in (*ALWAYS, *JSON))
_COLUMN: dict[str, Any] = {
    "anyOf": [{"enum": sorted((*ALWAYS, *_TEXTS))}, {"type": "string", "pattern": f"^{_PLACE.pattern}$"}],
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
    if text not in (*ALWAYS, *_TEXTS) and not _PLACE.fullmatch(text):
        known = ", ".join(sorted((*ALWAYS, *_TEXTS)))
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
        """Return the one query that counts events by the fields that they lack."""
        slots = slots_of_fields(inquiry.policy)
        yield Query("field_counts", every("field_counts"), {}, slots, is_narrowed=False)

    def by_day(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the same of each day."""
        part = statements("policies/by_day.sql")["fields_by_day"]
        yield Query("fields_by_day", (part,), {}, slots_of_fields(inquiry.policy), is_narrowed=False)

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], Any]:
        """Return a finding for each type and field that too many events lack, and how complete every field is."""
        policy = answers.policy
        if not policy.fields:
            return (), None
        found = {
            name: {each: _lacking(answers.rows["field_counts"], each, number) for each in policy.required_events}
            for number, name in enumerate(policy.fields)
        }
        findings = [
            _finding(policy, name, event_type, count)
            for name, by_type in found.items()
            for event_type, count in by_type.items()
            if count.is_short(policy.fields[name].at_least)
        ]
        answer = {
            name: {
                "any_of": list(rule.any_of), "at_least": rule.at_least,
                "types": {each: {"events": n.events, "missing": n.missing} for each, n in found[name].items()},
            }
            for name, rule in policy.fields.items()
        }  # fmt: skip
        return findings, answer


@dataclass(frozen=True, slots=True)
class _Lacking:
    """How many events of a type there are, and those without a field."""

    events: int
    missing: int
    first: datetime | None
    last: datetime | None
    by_source: Mapping[str, int]

    def is_short(self, at_least: Number) -> bool:
        """Return whether fewer events have the field than must; of no events none is missing."""
        return self.events > 0 and self.events - self.missing < at_least * self.events


def _lacking(rows: Sequence[Row], event_type: str, number: int) -> _Lacking:
    own = [row for row in rows if row[0] == event_type]
    lacking = [row for row in own if row[2] >> number & 1]
    by_source: dict[str, int] = {}
    for _, source, _, events, _, _ in lacking:
        by_source[source] = by_source.get(source, 0) + events
    first, last = min((row[4] for row in lacking), default=None), max((row[5] for row in lacking), default=None)
    return _Lacking(sum(row[3] for row in own), sum(row[3] for row in lacking), first, last, by_source)


def _finding(policy: Policy, name: str, event_type: str, count: _Lacking) -> Finding:
    columns, group = " or ".join(policy.fields[name].any_of), {"field": name}
    have = "has" if count.missing == 1 else "have"
    message = f"{count.missing} of {count.events} {event_type} events {have} no {name} ({columns})"
    return Finding(
        finding_id(policy.id, INCOMPLETE.name, canonical_group(group), event_type, ""), INCOMPLETE.name, message,
        event_type=event_type, group=group,
        measures={"events": count.events, "missing": count.missing, "first": count.first, "last": count.last,
                  "by_source": dict(count.by_source)},
    )  # fmt: skip


# What is filled, in SQL


def slots_of_fields(policy: Policy) -> dict[str, str]:
    """Return the SQL of what an event lacks of a policy's fields, by slot."""
    columns = dict.fromkeys(column for rule in policy.fields.values() for column in rule.any_of)
    places: dict[str, list[str]] = {name: [] for name in JSON}
    is_filled = {column: filled(column, policy.placeholders, places) for column in columns}
    bits = (
        f"case when {' or '.join(is_filled[column] for column in rule.any_of)} then 0 else {1 << number} end"
        for number, rule in enumerate(policy.fields.values())
    )
    values = {f"values_of_{name}": values_at(name, paths) for name, paths in places.items()}
    return {**values, "lacking_of_event": f"cast({' + '.join(bits)} as bigint)"}


def filled(column: str, words: Sequence[str], places: Mapping[str, list[str]]) -> str:
    """Return the SQL of whether a column is filled, never null; its place within JSON is added to those that are read.

    Args:
        column: An event's column, or a place within one that holds JSON.
        words: The words that count as nothing.
        places: By column that holds JSON, the places that :func:`values_at` is to read.
    """
    if column in ALWAYS:
        return "true"
    empty = literal(_empty(words))
    if (place := _PLACE.fullmatch(column)) is None:
        return f"coalesce(not regexp_full_match({column}, {empty}), false)"
    paths = places[place[1]]
    paths.append("$" + "".join(f'."{part.strip(chr(34))}"' for part in _PART.findall(place[2])))
    value, kind = f"{place[1]}_values[{len(paths)}]", f"json_type({place[1]}, {literal(paths[-1])})"
    # A value that looks like nothing counts by its JSON type: a number is filled, an empty list is not.
    return (
        f"case when {value} is null then false when {value} in ('[]', '{{}}') then {kind} = 'VARCHAR' "
        f"when regexp_full_match({value}, {empty}) then {kind} <> 'VARCHAR' else true end"
    )


def values_at(column: str, paths: Sequence[str]) -> str:
    """Return the SQL of the texts at places; null where the column holds no JSON."""
    listed = ", ".join(map(literal, paths))
    return f"try(json_extract_string({column}, [{listed}]))" if paths else "null"


def _empty(words: Sequence[str]) -> str:
    """Return the regular expression of what is as good as nothing: ASCII white space aside, and the case of ASCII."""
    either = "|".join("".join(map(_either_case, word.strip(_WHITE))) for word in words)
    return f"[[:space:]]*({either})?[[:space:]]*"


def _either_case(character: str) -> str:
    if character.isascii() and character.isalpha():
        return f"[{character.lower()}{character.upper()}]"
    return character if character.isalnum() else f"\\x{{{ord(character):x}}}"
