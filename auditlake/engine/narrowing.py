"""Which events a statement asks for of the view ``events``, as far as files can be told apart by that.

Of a file the log says which event types are in it, and since when and until when. A file without an event that matters
needs no look: not even at its footer, of which a year of days has more than a thousand. It is read from the syntax tree
of the statement; whatever is not plainly a condition on ``event_type`` or ``timestamp`` counts as a question about all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from auditlake.engine.parse_tree import Node, parse, walk

if TYPE_CHECKING:
    import duckdb

EVENTS = frozenset({"events"})
_TABLES = frozenset({"generate_series", "range", "unnest"})
"""The table functions that cannot name a view in a text."""
_BEGINS = r"(?>--.*\n|/\*.*?\*/|\s+)*"
_MAKES = re.compile(rf"{_BEGINS}create or replace temp(?:orary)? (table|view) (\w+) as\b", re.IGNORECASE)
"""Also in the spelling of a statement whose slots are filled."""
_TURNED = {
    "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN", "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN", "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
    "COMPARE_EQUAL": "COMPARE_EQUAL",
}  # fmt: skip
"""The comparisons that are understood, and what each is with its sides changed."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one part of a statement asks for: events outside of it do not change the answer."""

    types: frozenset[str] | None = None
    """Of these types; of any if None."""
    since: datetime | None = None
    """Not before this instant."""
    until: datetime | None = None
    """Not after this instant."""
    is_first: bool = False
    """Only the first of all events until then matters."""


_ANY = Asked()
_NONE = Asked(types=frozenset())


def made(text: str) -> tuple[str, str, str]:
    """Return what a statement of ``sql/`` makes (``table``, ``view`` or nothing), its name, and its query."""
    found = _MAKES.match(text)
    return (found[1].lower(), found[2], text[found.end() :]) if found else ("", "", text)


def asked_by(connection: duckdb.DuckDBPyConnection, text: Any, values: Any) -> tuple[Asked, ...] | None:
    """Return what a query asks of ``events``; None if it may ask for all of them, or cannot be understood.

    Args:
        connection: A DuckDB, which parses the query and runs nothing of it.
        text: The query, as its author wrote it.
        values: What it binds, by name.
    """
    if not isinstance(text, str) or not isinstance(values, Mapping | None):
        return None
    with suppress(ValueError, RecursionError):
        return asked_of(parse(connection, text), values or {})
    return None


def asked_of(tree: Node, values: Mapping[str, Any], relations: Collection[str] = EVENTS) -> tuple[Asked, ...] | None:
    """Return what each part of a query asks of ``events``; None if it may ask for all of them.

    Args:
        tree: What DuckDB makes of the query, as :func:`auditlake.engine.parse_tree.parse` returns it.
        values: What it binds, by name.
        relations: The view ``events``, and those that are made of it.
    """
    asked: list[Asked] = []

    def visit(node: Node, depth: int) -> None:
        table = _table(node.get("from_table"), relations)
        if table is not None and _is_plain(node, table):
            names = frozenset({"", str(table.get("alias") or table["table_name"]).lower()})
            asked.append(_Condition(names, values).of_query(node))
            walk([item for key, item in node.items() if key != "from_table"], visit, depth)
            return
        if _is_unknown(node, relations):
            asked.append(_ANY)
        walk([*node.values()], visit, depth)

    statements = tree.get("statements", ())
    walk(list(statements), visit)
    return None if len(statements) != 1 or _ANY in asked else tuple(dict.fromkeys(asked))


def reads_only(tree: Node, relations: Collection[str]) -> bool:
    """Return whether the view ``events`` and those that are made of it are all that a query reads."""
    others: list[Node] = []

    def visit(node: Node, depth: int) -> None:
        if node.get("type") in ("BASE_TABLE", "TABLE_FUNCTION") and _table(node, relations) is None:
            others.append(node)
        walk([*node.values()], visit, depth)

    walk(list(tree.get("statements", ())), visit)
    return not others


def _table(node: Any, relations: Collection[str]) -> Node | None:
    is_table = isinstance(node, dict) and node.get("type") == "BASE_TABLE"
    return node if is_table and str(node.get("table_name", "")).lower() in relations else None


def _is_plain(node: Node, table: Node) -> bool:
    """Return whether a query reads a relation whole before it filters, with columns called as they are there."""
    more = (node.get("sample"), table.get("sample"), table.get("at_clause"), table.get("column_name_alias"))
    return node.get("type") == "SELECT_NODE" and not any(more)


def _is_unknown(node: Node, relations: Collection[str]) -> bool:
    """Return whether a part of a tree reads a relation in another way, or may do so."""
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        return str((node.get("function") or {}).get("function_name", "")).lower() not in _TABLES
    return _table(node, relations) is not None or kind == "SHOW_REF"


@dataclass(frozen=True, slots=True)
class _Condition:
    """Reads the condition of one query.

    Args:
        names: What its relation is called.
        values: What is bound, by name.
    """

    names: frozenset[str]
    values: Mapping[str, Any]

    def of_query(self, node: Node) -> Asked:
        """Return what a query asks for."""
        where = node.get("where_clause")
        asked = self.of(where)
        is_bounded = where is None or (where["type"] in _TURNED and asked == Asked(until=asked.until) != _ANY)
        return replace(asked, is_first=True) if is_bounded and self._takes_first(node) else asked

    def of(self, node: Node | None) -> Asked:
        """Return what a condition leaves."""
        kind = node["type"] if node else ""
        if not node or (kind == "OPERATOR_IS_NULL" and self._value(node["children"][0]) is None):
            return _ANY
        if kind == "OPERATOR_IS_NULL":  # a filter that was given
            return _NONE
        if kind in ("CONJUNCTION_AND", "CONJUNCTION_OR"):
            parts = [self.of(part) for part in node["children"]]
            return _all_of(parts) if kind == "CONJUNCTION_AND" else _any_of(parts)
        if kind in _TURNED:
            return self._compared(node["left"], kind, node["right"])
        if kind == "COMPARE_IN" and self._is(node["children"][0], "event_type"):
            return _of_types([self._value(each) for each in node["children"][1:]])
        return self._listed(node, "list_contains", "array_contains")  # sqlglot writes the other

    def _compared(self, left: Node, kind: str, right: Node) -> Asked:
        if kind == "COMPARE_GREATERTHAN" and (right.get("literal") or {}).get("text") == "0":
            return self._listed(left, "list_position")
        for column, how, other in ((left, kind, right), (right, _TURNED[kind], left)):
            value = self._value(other)
            if how == "COMPARE_EQUAL" and self._is(column, "event_type"):
                return _of_types([value])
            if self._is(column, "timestamp") and isinstance(value, datetime) and value.tzinfo is not None:
                is_equal, is_after = how == "COMPARE_EQUAL", how.startswith("COMPARE_GREATER")
                return Asked(since=value if is_equal or is_after else None, until=None if is_after else value)
        return _ANY

    def _listed(self, call: Node, *functions: str) -> Asked:
        """Return what is left where a list has the type of an event."""
        if call.get("class") != "FUNCTION" or call.get("function_name") not in functions:
            return _ANY
        several, *others = [each["expression"] for each in call["arguments"]]
        is_plain = len(others) == 1 and self._is(others[0], "event_type") and not call.get("filter")
        return _of_types(self._value(several)) if is_plain else _ANY

    def _is(self, node: Node, name: str) -> bool:
        """Return whether an expression is a column of the relation."""
        column = [str(each).lower() for each in node.get("column_names", ())]
        return node.get("type") == "COLUMN_REF" and column[-1:] == [name] and ".".join(column[:-1]) in self.names

    def _value(self, node: Node) -> Any:
        """Return the value of a parameter or of a text; None for anything else."""
        if node.get("class") == "PARAMETER":
            return self.values.get(node.get("identifier", ""))
        text = node.get("literal") or {}
        return text["text"] if node.get("class") == "CONSTANT" and text.get("kind") == "STRING" else None

    def _takes_first(self, node: Node) -> bool:
        """Return whether a query gives one row of what it reads, and that is the first."""
        by = {each["type"]: each for each in node.get("modifiers") or ()}
        if by.keys() != {"ORDER_MODIFIER", "LIMIT_MODIFIER"} or node.get("group_expressions") or node.get("qualify"):
            return False
        (order, *others), limit = by["ORDER_MODIFIER"]["orders"], by["LIMIT_MODIFIER"]
        is_first = not others and order["type"] in ("ORDER_DEFAULT", "ASCENDING") and self._is(
            order["expression"], "timestamp"
        )  # fmt: skip
        most = (limit.get("limit") or {}).get("literal") or {}
        is_one = most.get("text") == "1" and limit.get("limit_type") == "ROW_COUNT" and not limit.get("offset")
        # What is called like the column would be what it is sorted by.
        is_plain = all(
            each.get("class") == "COLUMN_REF"
            and (self._is(each, "timestamp") or str(each.get("alias", "")).lower() != "timestamp")
            for each in node["select_list"]
        )
        return is_first and is_one and is_plain


def _of_types(values: Any) -> Asked:
    """Return what is of one of several types; of any where they are not all texts."""
    is_list = isinstance(values, list | tuple) and all(isinstance(each, str) for each in values)
    return Asked(types=frozenset(values)) if is_list else _ANY


def _all_of(parts: Sequence[Asked]) -> Asked:
    """Return what each of several conditions leaves."""
    types = [each.types for each in parts if each.types is not None]
    since, until = ([at for at in ends if at is not None] for ends in _ends(parts))
    return Asked(frozenset.intersection(*types) if types else None, max(since, default=None), min(until, default=None))


def _any_of(parts: Sequence[Asked]) -> Asked:
    """Return what any of several conditions leaves."""
    parts = [each for each in parts if each.types != frozenset()]
    if not parts:
        return _NONE
    since, until = _ends(parts)
    types = _if_all([each.types for each in parts], lambda some: frozenset().union(*some))
    return Asked(types, _if_all(since, min), _if_all(until, max))


def _ends(parts: Iterable[Asked]) -> tuple[list[datetime | None], list[datetime | None]]:
    return [each.since for each in parts], [each.until for each in parts]


def _if_all(values: Sequence[T | None], combine: Callable[[list[T]], T]) -> T | None:
    """Return values combined; None where one of them is None."""
    known = [each for each in values if each is not None]
    return combine(known) if len(known) == len(values) else None
