"""Which events alone a policy looks at, as DuckDB's tree, and what is known of that before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from auditlake.engine.parse_tree import Node
from auditlake.engine.sql_text import literal
from auditlake.policies import kinds
from auditlake.policies.condition import COLUMNS, ConditionError, condition_node
from auditlake.policies.model import Policy
from auditlake.policies.places import JSON, PLAIN, Place, read_by

_SAFE = frozenset("~~ !~~ ~~* !~~* contains starts_with ends_with prefix suffix lower upper trim ltrim rtrim".split())
"""Functions of texts that fail on none."""
_PATTERNS = frozenset({"regexp_matches", "like_escape", "ilike_escape"})
"""Functions of a text and a pattern, which fail on every text or on none where the pattern is written out."""


def has_condition(policy: Policy) -> bool:
    """Return whether a policy counts only some events: those of its condition, in its scope, or of steps that read
    places and fail on none.
    """
    if policy.where is not None or policy.scope is not None:
        return True
    looked_at = kinds.measure_of(policy).looked_at(policy)
    conditions = [where for _, where in looked_at if where is not None]
    if not conditions or len(conditions) < len(looked_at):
        return False
    with suppress(ConditionError):
        return any(read_by(each)[0] for each in conditions) and all(
            is_safe(condition_node(each)) for each in conditions
        )
    return False


def node_of(policy: Policy) -> Node:
    """Return the condition of a policy, within its scope, or that an event is of any of its steps."""
    where = condition_node(policy.where) if policy.where is not None else None
    if policy.scope is not None:
        return conjunction("AND", [_within(policy.scope), *(terms_of(where) if where else [])])
    if where is not None:
        return where
    steps = [
        conjunction("AND", [*([_of_types(types)] if types else []), *terms_of(condition_node(where))])
        for types, where in kinds.measure_of(policy).looked_at(policy)
        if where is not None
    ]
    return conjunction("OR", steps)


def conjunction(name: str, children: list[Node]) -> Node:
    """Return several conditions as one, by ``AND`` or ``OR``."""
    if len(children) == 1:
        return children[0]
    return {"class": "CONJUNCTION", "type": f"CONJUNCTION_{name}", "alias": "", "children": children}


def _within(scope: str) -> Node:
    """Return whether an event is in a scope: also one that cannot be told to be outside."""
    node = condition_node(scope)
    tried = node if is_safe(node) else {"class": "OPERATOR", "type": "OPERATOR_TRY", "alias": "", "children": [node]}
    return {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "alias": "", "children": [tried, condition_node("true")]}


def _of_types(types: Sequence[str]) -> Node:
    return condition_node(f"event_type in ({', '.join(map(literal, types))})")


def place_in(node: Node) -> Place | None:
    """Return the column and the path of ``details ->> '$.a'``; None of anything else."""
    if node.get("function_name") != "->>":
        return None
    left, path = arguments_of(node)
    if left["class"] != "COLUMN_REF" or left["column_names"][0] not in JSON or path["class"] != "CONSTANT":
        return None
    text = path["literal"]["text"]
    return (left["column_names"][0], text) if PLAIN.fullmatch(text) else None


def arguments_of(function: Node) -> list[Node]:
    """Return the arguments of a call."""
    return [argument["expression"] for argument in function["arguments"]]


def only_source(node: Node) -> str | None:
    """Return the source whose events alone can meet a condition that fails on no event; None: it may be any's."""
    if node["type"] == "CONJUNCTION_OR":
        sources = {only_source(each) for each in node["children"]}
        return sources.pop() if len(sources) == 1 else None
    terms = terms_of(node)
    source = next(filter(None, map(source_in, terms)), None)
    return source if all(map(is_safe, terms)) else None


def source_in(term: Node) -> str | None:
    """Return the source of ``source = '…'``; None of anything else."""
    is_asked = term["type"] == "COMPARE_EQUAL" and term["left"].get("column_names") == ["source"]
    return term["right"].get("literal", {}).get("text") if is_asked and _is_text(term["right"]) else None


def terms_of(node: Node) -> list[Node]:
    """Return what must all be true for a condition to be met."""
    return list(node["children"]) if node["type"] == "CONJUNCTION_AND" else [node]


def _is_text(node: Node) -> bool:
    """Return whether it is a text that can be had of any event."""
    if node["class"] == "CONSTANT":
        return bool(node["literal"]["kind"] in ("STRING", "NULL_LITERAL"))
    if node["class"] == "COLUMN_REF":
        return COLUMNS[node["column_names"][0]] == "VARCHAR"
    if node["class"] == "OPERATOR" and node["type"] == "OPERATOR_COALESCE":
        return all(map(_is_text, node["children"]))
    return place_in(node) is not None or (_is_call(node) and node["function_name"] in ("lower", "upper"))


def _is_call(node: Node) -> bool:
    if node["class"] != "FUNCTION" or node["function_name"] not in _SAFE | _PATTERNS:
        return False
    text, *others = arguments_of(node)
    is_fit = _is_text if node["function_name"] in _SAFE else _is_constant
    return _is_text(text) and all(map(is_fit, others))


def _is_constant(node: Node) -> bool:
    return bool(node["class"] == "CONSTANT")


def _is_number(node: Node) -> bool:
    """Return whether it is a number, or null, that can be had of any event."""
    if node["class"] == "CAST":
        return node["try_cast"] and node["type_expr"]["type_name"] == "DOUBLE" and _is_text(node["child"])
    is_found = listed_in(node) is not None
    return is_found or (_is_constant(node) and node["literal"]["kind"] in ("INTEGER", "NUMERIC"))


def listed_in(node: Node) -> tuple[Node, list[Node]] | None:
    """Return the text and the list of texts of ``list_position([…], text)``; None of anything else."""
    if node.get("function_name") != "list_position":
        return None
    listed, text = arguments_of(node)
    texts = arguments_of(listed) if listed.get("function_name") == "list_value" else [listed]
    return (text, texts) if _is_text(text) and all(map(_is_constant, texts)) and all(map(_is_text, texts)) else None


def is_safe(node: Node) -> bool:
    """Return whether a condition fails on no event, whatever is in it."""
    if node["type"] == "OPERATOR_TRY":
        return True
    if node["class"] == "CONJUNCTION" or node["type"] in ("OPERATOR_NOT", "OPERATOR_COALESCE"):
        return all(map(is_safe, node["children"]))
    if node["class"] == "COMPARISON":
        return any(is_fit(node["left"]) and is_fit(node["right"]) for is_fit in (_is_text, _is_number))
    if node["type"] in ("COMPARE_IN", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
        return all(map(_is_text, node["children"]))
    if node["class"] == "CONSTANT":
        return bool(node["literal"]["kind"] == "BOOLEAN")
    if node.get("function_name") == "json_exists":
        column, path = arguments_of(node)
        return column.get("column_names", [""])[0] in JSON and PLAIN.fullmatch(path["literal"]["text"]) is not None
    return _is_call(node) and node["function_name"] not in ("lower", "upper", "trim", "ltrim", "rtrim")


def key_in(term: Node) -> tuple[Node, tuple[str, ...]] | None:
    """Return an expression and the texts of which it must be one for a term of a condition to be met."""
    if term["type"] == "COMPARE_GREATERTHAN" and term["right"].get("literal", {}).get("text") == "0":
        value, others = listed_in(term["left"]) or (term, [])
    elif term["type"] == "COMPARE_EQUAL":
        value, others = term["left"], [term["right"]]
    else:
        value, *others = term["children"] if term["type"] == "COMPARE_IN" else [term]
    is_text = all(other["class"] == "CONSTANT" and other["literal"]["kind"] == "STRING" for other in others)
    if not others or value["class"] == "CONSTANT" or not is_text:
        return None
    return value, tuple(other["literal"]["text"] for other in others)
