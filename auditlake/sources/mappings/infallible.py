"""Which expressions never fail, whatever a record holds: they need no ``TRY``, which costs time with every row.

Nothing here changes a value. What is not known to be safe keeps its ``TRY``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from auditlake.engine.parse_tree import Node

_TEXT, _TRUTH, _NUMBER, _JSON, _NULL = "VARCHAR", "BOOLEAN", "DOUBLE", "JSON", "NULL"
_CONSTANTS = {"STRING": _TEXT, "BOOLEAN": _TRUTH, "INTEGER": _NUMBER, "NULL_LITERAL": _NULL}
"""The kinds of constants, and their types. One with a decimal point is left out: beside another number it may make that
a decimal with too few places before the point.
"""
_OF_TEXTS = {
    **dict.fromkeys(("lower", "upper", "concat_ws", "||", "nullif", "text_of", "address", "ip_address", "trim"), _TEXT),
    **dict.fromkeys(("~~", "!~~", "contains", "starts_with", "ends_with"), _TRUTH),
    **dict.fromkeys(("regexp_matches", "regexp_full_match"), _TRUTH),
}
"""Functions of texts alone that take every text, and the types of their values. The patterns of the latter are written
out, and compiled while the statement is read."""


def never_fails(node: Node, columns: Mapping[str, str]) -> bool:
    """Return whether an expression gives a value or null for every record.

    Args:
        node: The expression's canonical node.
        columns: The columns that it may read, and their types.
    """
    return bool(_type(node, columns))


def _type(node: Node, columns: Mapping[str, str]) -> str:
    """Return the type of an expression that never fails; empty for any other."""
    kind, name = node.get("class"), node.get("type")
    if kind == "COLUMN_REF":
        found = columns.get(node["column_names"][0], "")
        return found if found in (_TEXT, _TRUTH) else ""
    if kind == "CONSTANT":
        return _CONSTANTS.get(node["literal"]["kind"], "")
    if kind == "CAST":
        known = node["try_cast"] and node["type_expr"]["type_name"] in (_NUMBER, _JSON)
        return str(node["type_expr"]["type_name"]) if known and _type(node["child"], columns) == _TEXT else ""
    if kind == "COMPARISON":
        return _TRUTH if _alike([node["left"], node["right"]], columns) else ""
    if kind == "CONJUNCTION" or name == "OPERATOR_NOT":
        return _TRUTH if _alike(node["children"], columns) in (_TRUTH, _NULL) else ""
    if name in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN"):
        return _TRUTH if _alike(node["children"], columns) else ""
    if name == "OPERATOR_COALESCE":
        return _alike(node["children"], columns)
    if kind == "CASE":
        if _alike([check["when_expr"] for check in node["case_checks"]], columns) not in (_TRUTH, _NULL):
            return ""
        return _alike([*(check["then_expr"] for check in node["case_checks"]), node["else_expr"]], columns)
    if kind == "FUNCTION" and node["function_name"] == "->>":
        document, path = (argument["expression"] for argument in node["arguments"])
        written = path["literal"]["text"] if path.get("class") == "CONSTANT" else "*"
        return _TEXT if _type(document, columns) == _JSON and "*" not in written else ""
    if kind == "FUNCTION" and node["function_name"] in _OF_TEXTS:
        texts = _alike([argument["expression"] for argument in node["arguments"]], columns)
        return _OF_TEXTS[node["function_name"]] if texts == _TEXT else ""
    return ""


def _alike(nodes: Iterable[Node], columns: Mapping[str, str]) -> str:
    """Return the one type that expressions have which never fail, nulls apart; empty where they have no such."""
    types = {_type(node, columns) for node in nodes}
    typed = types - {_NULL}
    return (typed or {_NULL}).pop() if len(typed) <= 1 else ""
