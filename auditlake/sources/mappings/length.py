"""How long the value of an expression can get: nothing that a mapping says makes gigabytes of a line.

Each expression has a bound: how many times the length of a record its value can have. What a constant adds once counts
for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from auditlake.engine.parse_tree import Node, expressions, walk
from auditlake.engine.probe import ConditionError

MOST = 16
"""How many times as long as a record a value may be at most."""
_LISTS = frozenset({"string_split", "list_value", "json_keys"})
_AS_LIST = 4
"""How many times as long as what is in it a list is, as text, with its brackets, commas and quotes."""
_SHORT = frozenset({
    "COMPARISON", "CONJUNCTION", "BETWEEN", "CONSTANT", "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL",
    "COMPARE_IN",
})  # fmt: skip
"""Kinds of nodes whose values are short, whatever they are made of."""
_REPLACING = ("replace", "regexp_replace")
_WITH_PATH = ("->>", "json_extract", "json_type", "json_exists", "json_array_length", "json_keys")
_GROUP = re.compile(r"\\[0-9]")
_QUOTED_KEY = re.compile(r'"(?:[^"\\]|\\.)*"')


def longest(node: Node, known: Mapping[str, int]) -> int:
    """Return how many times as long as a record the value of an expression can be.

    Args:
        node: The expression's canonical node.
        known: The same of columns that are expressions themselves, by the columns' names; any other column is 1.

    Raises:
        ConditionError: A part can be longer than :data:`MOST` times, or has no bound: ``replace`` and
            ``regexp_replace`` need texts that are written out, and JSON paths may not gather what lies in one another.
    """
    lengths: list[int] = []

    def visit(part: Node, _: int) -> None:
        if "class" in part:
            lengths.append(longest(part, known))
        else:  # an argument of a function
            walk([*part.values()], visit)

    kind, name = node.get("class"), node.get("type")
    if kind == "CASE":
        walk([check["when_expr"] for check in node["case_checks"]], visit)
        lengths.clear()
        walk([*(check["then_expr"] for check in node["case_checks"]), node["else_expr"]], visit)
    else:
        walk([value for key, value in node.items() if key != "type_expr"], visit)
    length = sum(lengths)
    if kind in _SHORT or name in _SHORT:
        length = 0
    elif kind == "COLUMN_REF":
        length = known.get(node["column_names"][0], 1)
    elif kind == "CASE" or name == "OPERATOR_COALESCE":
        length = max(lengths, default=0)
    elif kind == "LAMBDA":
        _check_path(node, node["expr"])
    elif kind == "FUNCTION":
        length = _of_function(node, lengths)
    if length > MOST:
        what = f"the value can be {length} times as long as a record, {MOST} times is the most"
        raise ConditionError(what, node.get("query_location"))
    return length


def _of_function(node: Node, lengths: list[int]) -> int:
    """Return the bound of a function's value, by the bounds of its arguments."""
    name, arguments = node["function_name"], [each["expression"] for each in node["arguments"]]
    if name in _WITH_PATH:
        for argument in arguments[1:]:
            _check_path(node, argument)
    if name in _REPLACING:
        return max(1, lengths[0]) * _replaced(node, name, arguments)
    if name == "array_to_string":
        own = lengths[0] // _AS_LIST if arguments[0].get("function_name") in _LISTS else lengths[0]
        return max(1, own) * (1 + len(_text(arguments[1]) or ""))
    if name == "concat_ws" and lengths:
        return lengths[0] * max(1, len(arguments) - 2) + sum(lengths[1:])
    return sum(lengths) * (_AS_LIST if name in _LISTS else 1)


def _replaced(node: Node, name: str, arguments: list[Node]) -> int:
    """Return by how much a text can grow in which something is replaced."""
    written = [_text(argument) for argument in arguments[1:]]
    if len(written) < 2 or None in written:
        raise _refusal(node, f"{name} takes texts that are written out, not taken from a record")
    if any(each is not node and each.get("function_name") in _REPLACING for each in expressions(node)):
        raise _refusal(node, "replace and regexp_replace may not be nested in one another; let gives a name to one")
    pattern, replacement, *options = map(str, written)
    if len(replacement) > 2 * len(pattern):
        raise _refusal(node, f"what {name} puts in is at most twice as long as its pattern")
    if name == "replace":
        return 2 if len(replacement) > len(pattern) else 1
    often = len(_GROUP.sub("", replacement)) if "g" in "".join(options) else 0
    return 1 + len(_GROUP.findall(replacement)) + often


def _text(node: Node) -> str | None:
    """Return a written-out text, or None where a node is none."""
    literal: dict[str, Any] = node.get("literal", {}) if node.get("class") == "CONSTANT" else {}
    return str(literal["text"]) if literal.get("kind") == "STRING" else None


def _check_path(node: Node, path: Node) -> None:
    bare = _QUOTED_KEY.sub("", _text(path) or "")
    if ".." in bare or "**" in bare:
        raise _refusal(node, "a JSON path may not have .. or **: what lies in one another would come several times")


def _refusal(node: Node, message: str) -> ConditionError:
    return ConditionError(message, node.get("query_location"))
