"""A correlation becomes the kind of question that asks the same: a count, different values, steps together or in order.

Sigma leaves the kind of window to the tool. A policy's window slides and is half-open: an event exactly as old as the
window is out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from auditlake.sigma.conversion import Converted, Part, any_of, named_apart, value_of
from auditlake.sigma.model import RefusedRule

if TYPE_CHECKING:
    from auditlake.sigma.conversion import Conversion

_UNITS = {"s": "s", "m": "min", "h": "h", "d": "d", "w": "w"}
_MEASURES = {"value_count": "distinct", "value_sum": "sum", "value_avg": "average"}
_NEVER = {
    "value_percentile": "a percentile moves also when events leave the window, in ways that give no episode",
    "value_median": "a median moves also when events leave the window, in ways that give no episode",
}
_MOST_STEPS = 16
_LEAST_STEP = "0.000001"
"""A sum or an average has six decimals: what is greater than a number is at least so much greater."""


def convert_correlation(conversion: Conversion, rule: Any) -> Converted:
    """Return what a policy asks that means the same as a correlation.

    Raises:
        RefusedRule: No policy asks that; the text says why.
    """
    kind = rule.type.name.lower()
    if kind in _NEVER:
        raise RefusedRule(f"{kind}: {_NEVER[kind]}")
    if kind in ("temporal", "temporal_ordered"):
        return _steps(conversion, rule, ordered=kind == "temporal_ordered")
    return _measured(conversion, rule, kind)


def length_of(rule: Any) -> str:
    """Return the timespan of a correlation as a policy's window.

    Raises:
        RefusedRule: Its length is not fixed.
    """
    span = rule.timespan
    if span.unit not in _UNITS:
        raise RefusedRule(f"timespan {span.spec}: a month and a year have no fixed length; write days")
    return f"{span.count}{_UNITS[span.unit]}"


def _measured(conversion: Conversion, rule: Any, kind: str) -> Converted:
    """Return a count, a number of different values, a sum or an average."""
    field = rule.condition.fieldref
    values = [] if kind == "event_count" else [field] if isinstance(field, str) else list(field)
    if kind in ("value_sum", "value_avg") and len(values) != 1:
        raise RefusedRule(f"{kind} takes one field, got {len(values)}")
    names = [*(rule.group_by or ()), *values]
    parts = [_part(conversion, rule, each, names) for each in rule.referenced_rules]
    keyed = [value_of(parts, number) for number in range(len(names))]
    groups, measured = keyed[: len(names) - len(values)], keyed[len(names) - len(values) :]
    keys: dict[str, Any] = {}
    if kind in _MEASURES:
        keys[_MEASURES[kind]] = measured if kind == "value_count" and len(measured) > 1 else measured[0]
    threshold = _threshold(rule, decimal=kind in ("value_sum", "value_avg"))
    keys |= {"alert_threshold": threshold, "window": length_of(rule), "where": any_of(parts)}
    return Converted(_grouped(keys, groups), tuple(parts), notes=_notes(rule, parts))


def _steps(conversion: Conversion, rule: Any, *, ordered: bool) -> Converted:
    """Return steps that are there together, or that follow each other."""
    if len(rule.referenced_rules) > _MOST_STEPS:
        raise RefusedRule(f"it has {len(rule.referenced_rules)} rules, and a policy at most {_MOST_STEPS} steps")
    parts = named_apart([
        _step(conversion, rule, each, ordered=ordered) for each in rule.referenced_rules
    ])  # fmt: skip
    expression = getattr(rule.condition, "expression", None)
    least = len(parts) if expression is not None else int(_threshold(rule))
    notes = _notes(rule, parts)
    keys: dict[str, Any]
    if ordered:
        if least != len(parts) or (expression is not None and not _is_plain_and(rule)):
            raise RefusedRule("temporal_ordered: a policy asks for all of its steps in their order, and no fewer")
        notes += tuple(
            f"all {part.count} events of {part.name} lie in the window of the whole" for part in parts if part.window
        )
        groups = [value_of(parts, number) for number in range(len(rule.group_by or ()))]
        keys = {"sequence": [_step_keys(part, part.keys) for part in parts], "window": length_of(rule)}
        return Converted(_grouped(keys, groups), tuple(parts), least, notes)
    if not 1 <= least <= len(parts):
        raise RefusedRule(f"it asks for {least} of {len(parts)} rules")
    groups = list(parts[0].keys)
    if len(parts) == 1:
        keys = {"alert_threshold": 1, "window": length_of(rule), "where": parts[0].where}
        return Converted(_grouped(keys, groups), tuple(parts), notes=notes)
    keys = {"together": [_step_keys(part, groups) for part in parts], "window": length_of(rule)}
    if expression is not None:
        names = {each.reference: _word(part.name) for each, part in zip(rule.referenced_rules, parts, strict=True)}
        keys["condition"] = re.sub(r"\w+", lambda word: names.get(word[0], word[0].lower()), expression)
    elif least != len(parts):
        keys["alert_threshold"] = least
    return Converted(_grouped(keys, groups), tuple(parts), 1 if expression else least, notes)


def _word(name: str) -> str:
    """Return the name of a step in a condition: one that may be a word of SQL in quotes."""
    return name if "_" in name else f'"{name}"'


def _part(conversion: Conversion, rule: Any, reference: Any, names: Sequence[str]) -> Part:
    """Return the events of a rule that a correlation names, with what they are grouped by."""
    if not hasattr(reference.rule, "detection"):
        raise RefusedRule(f"{rule.type.name.lower()} over the correlation {reference.reference}: "
                          "a policy counts events, and no findings of others")  # fmt: skip
    return conversion.part(reference.rule, [_alias(rule, name, reference.rule) for name in names])


def _alias(rule: Any, name: str, named: Any) -> str:
    """Return what a rule calls a field that a correlation groups by."""
    if name not in rule.aliases.aliases:
        return name
    for reference, field in rule.aliases.aliases[name].mapping.items():
        if reference.rule is named:
            return str(field)
    raise RefusedRule(f"the alias {name} has no field of the rule {named.name or named.title}")


def _step(conversion: Conversion, rule: Any, reference: Any, *, ordered: bool) -> Part:
    """Return a step: a rule, or in a sequence several events of one within a length of time."""
    inner = reference.rule
    if hasattr(inner, "detection"):
        return _part(conversion, rule, reference, rule.group_by or ())
    kind = inner.type.name.lower()
    if (
        not ordered
        or kind != "event_count"
        or any(not hasattr(each.rule, "detection") for each in inner.referenced_rules)
    ):
        raise RefusedRule(f"{rule.type.name.lower()} over the correlation {reference.reference}: "
                          "only a temporal_ordered one over an event_count is a step of a policy")  # fmt: skip
    if list(inner.group_by or ()) != [_alias(rule, name, inner) for name in rule.group_by or ()]:
        raise RefusedRule(f"the correlation {reference.reference} is grouped by other fields than the one that has it")
    parts = [_part(conversion, inner, each, inner.group_by or ()) for each in inner.referenced_rules]
    if len(parts) > 1:
        raise RefusedRule(f"the correlation {reference.reference} is of several rules, and a step is of one")
    count = int(_threshold(inner))
    window = length_of(inner)
    return replace(parts[0], count=count, window=window if count > 1 else "", name=str(inner.name or inner.title or ""))


def _step_keys(part: Part, groups: Sequence[str]) -> dict[str, Any]:
    keys: dict[str, Any] = {"name": part.name, "where": part.where}
    if part.count > 1:
        keys |= {"count": part.count, "window": part.window}
    if list(part.keys) != list(groups):
        keys["group_by"] = list(part.keys)
    return keys


def _threshold(rule: Any, *, decimal: bool = False) -> int | str:
    """Return the least measure that a correlation asks for.

    Raises:
        RefusedRule: What it asks for has no beginning.
    """
    operator, count = rule.condition.op.name.lower(), rule.condition.count
    if operator not in ("gte", "gt"):
        raise RefusedRule(f"{operator} {count}: has no instant at which it begins; gt and gte have one")
    if decimal:
        if operator == "gte":
            return count if isinstance(count, int) else str(count)
        return str(Decimal(str(count)) + Decimal(_LEAST_STEP))
    least = int(count // 1) + 1 if operator == "gt" else -int(-count // 1)
    if least < 1:
        raise RefusedRule(f"{operator} {count}: it holds without any event")
    return least


def _is_plain_and(rule: Any) -> bool:
    """Return whether a condition is all rules, each once, in their order."""
    words: list[str] = rule.condition.expression.split()
    return words[1::2] == ["and"] * (len(words) // 2) and words[::2] == [
        each.reference for each in rule.referenced_rules
    ]


def _grouped(keys: Mapping[str, Any], groups: Sequence[str]) -> dict[str, Any]:
    return {**keys, "group_by": list(groups)} if groups else dict(keys)


def _notes(rule: Any, parts: Sequence[Part]) -> tuple[str, ...]:
    listed = sorted({
        name for part in parts for name in (rule.group_by or ()) if name in part.spots and part.spots[name].listed
    })  # fmt: skip
    return tuple(f"{name} has several values: all of them together are one group" for name in listed)
