"""What Sigma means by a rule, in plain Python over a record: two truth values, lists element by element."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from sigma import conditions, types


def matches(rule: Any, record: Mapping[str, Any], fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether a record meets any condition of pySigma's rule."""
    return any(_met(each.parsed, record, fields) for each in rule.detection.parsed_condition)


def _met(node: Any, record: Mapping[str, Any], fields: Mapping[str, Sequence[str]]) -> bool:
    if isinstance(node, conditions.ConditionAND):
        return all(_met(each, record, fields) for each in node.args)
    if isinstance(node, conditions.ConditionOR):
        return any(_met(each, record, fields) for each in node.args)
    if isinstance(node, conditions.ConditionNOT):
        return not _met(node.args[0], record, fields)
    if isinstance(node, conditions.ConditionValueExpression):
        text = json.dumps(record, ensure_ascii=False)
        anything = types.SpecialChars.WILDCARD_MULTI
        return _text([anything, *_json_of(node.value), anything], node.value, text)
    return _field(node.value, values(record, node.field, fields), record, fields)


def values(record: Mapping[str, Any], name: str, fields: Mapping[str, Sequence[str]]) -> list[Any] | None:
    """The values of a field that are not null: of the first place that has any; None where its key is nowhere."""
    there = False
    for path in fields.get(name) or [f"$.{name}"]:
        found = [record]
        for step, number in re.findall(r'\.("[^"]+"|[^.\[]+)|\[([0-9*]+)\]', path):
            if step:
                key = step.strip('"')
                found = [each[key] for each in found if isinstance(each, Mapping) and key in each]
            elif number == "*":
                found = [item for each in found if isinstance(each, list) for item in each]
            else:
                found = [each[int(number)] for each in found if isinstance(each, list) and int(number) < len(each)]
        there = there or bool(found)
        found = [each for each in found if each is not None and ("[*]" not in path or each != "")]
        if found:
            return found
    return [] if there else None


def _field(value: Any, found: list[Any] | None, record: Any, fields: Any) -> bool:
    if isinstance(value, types.SigmaExpansion):
        return any(_field(each, found, record, fields) for each in value.values)
    if isinstance(value, types.SigmaNull):
        return not found
    if isinstance(value, types.SigmaExists):
        return (found is not None) == bool(value)
    if isinstance(value, types.SigmaCompareExpression) and value.op is types.CompareOperators.NEQ:
        return not _field(value.number, found, record, fields)
    if isinstance(value, types.SigmaFieldReference):
        others = [_shown(each).lower() for each in values(record, value.field, fields) or ()]
        return any(_referenced(value, _shown(each).lower(), other) for each in found or () for other in others)
    return any(_one(value, each) for each in found or ())


def _referenced(value: Any, text: str, other: str) -> bool:
    if value.starts_with and value.ends_with:
        return other in text
    if value.starts_with:
        return text.startswith(other)
    return text.endswith(other) if value.ends_with else text == other


def _one(value: Any, found: Any) -> bool:
    text = _shown(found)
    if isinstance(value, types.SigmaTimestampPart):
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            return False
        part = value.timestamp_part.name.lower()
        when = when.astimezone(UTC) if when.tzinfo else when
        return bool((when.isocalendar().week if part == "week" else getattr(when, part)) == value.number)
    if isinstance(value, types.SigmaNumber | types.SigmaCompareExpression):
        try:
            number = float(text)
        except ValueError:
            return False
        if isinstance(value, types.SigmaNumber):
            return number == value.number
        wanted, operator = value.number.number, value.op.name
        return {"LT": number < wanted, "LTE": number <= wanted, "GT": number > wanted, "GTE": number >= wanted}[
            operator
        ]
    if isinstance(value, types.SigmaBool):
        return text.lower() == str(value).lower()
    if isinstance(value, types.SigmaCIDRExpression):
        try:
            return ip_address(text) in value.network
        except ValueError:
            return False
    if isinstance(value, types.SigmaRegularExpression):
        flags = sum(value.sigma_to_python_flags[flag] for flag in value.flags)
        return re.search(str(value.regexp), text, flags) is not None
    return _text(value.s, value, text)


def _text(pattern: Sequence[Any], value: Any, text: str) -> bool:
    """Whether a text is one that the texts and wildcards of a value mean."""
    parts = [".*" if each is types.SpecialChars.WILDCARD_MULTI else "." if isinstance(each, types.SpecialChars)
             else re.escape(each) for each in pattern]  # fmt: skip
    flags = 0 if isinstance(value, types.SigmaCasedString) else re.IGNORECASE
    return re.fullmatch("".join(parts), text, flags | re.DOTALL) is not None


def _json_of(value: Any) -> list[Any]:
    """A keyword as it stands in JSON."""
    if isinstance(value, types.SigmaNumber | types.SigmaBool):
        return [str(value).lower()]
    return [json.dumps(each, ensure_ascii=False)[1:-1] if isinstance(each, str) else each for each in value.s]


def _shown(value: Any) -> str:
    """A value as the text that SQL has of it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
