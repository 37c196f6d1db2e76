"""Names in the expressions of a mapping: paths into a record become columns of one extraction.

``actor.id``, ``target[0].type`` and ``"@timestamp"`` are DuckDB's own syntax for columns and what is in them, so that
its parser reads them; here each becomes a column ``p1``, ``p2``, … before the expression is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from auditlake.engine.parse_tree import Node, walk
from auditlake.engine.probe import ConditionError

ITEM, ENVELOPE = "item", "envelope"
"""What an element of the list is called of which each gives an event, and the record around another."""
ITEM_NUMBER = "item_number"
"""What the element's place in the list is called, counted from 0."""
YEAR = "_year"
"""The field that a record of lines has: the year of a stamp that has none."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ORIGINS = {ITEM: "i", ENVELOPE: "e"}
_HAS_YEAR = re.compile(r"%(?:[YyGcx]|-y)")  # what says a year in a format
_NUMBERS = frozenset({"INTEGER", "NUMERIC"})
_MANY = 5
"""As many fields have a column for the first text in them."""
_WHERE = ("query_location", "query_location_length")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a record: its steps, keys and numbers of elements."""

    steps: tuple[str | int, ...]

    @property
    def path(self) -> str:
        """The path as DuckDB takes it: ``$.actor.id``, ``$."a b"[0]``."""
        parts = (f"[{step}]" if isinstance(step, int) else step_of(step) for step in self.steps)
        return "$" + "".join(parts)

    @property
    def shown(self) -> str:
        """The same as in a mapping, for people."""
        parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return "".join(parts).removeprefix(".")


def step_of(key: str) -> str:
    """Return the step of a path to a key."""
    return f".{key}" if _PLAIN.fullmatch(key) else f'."{key}"'


def absent_if_empty(column: str) -> str:
    """Return the name of the column that has a field's text, null where it is empty."""
    return f"{column}_filled"


@dataclass
class Scope:
    """What the names of one mapping stand for; it collects the places that its expressions read."""

    itemised: bool = False
    """Whether ``item`` is an element of a list."""
    enveloped: bool = False
    """Whether ``envelope`` is a record around another."""
    empty_is_absent: bool = False
    """Whether an empty text in a record counts as absent."""
    addresses: set[str] = field(default_factory=set)
    """The columns that hold addresses and nothing else."""
    fields: set[str] = field(default_factory=set)
    """The columns that hold fields."""
    lets: set[str] = field(default_factory=set)
    """The names that the mapping has given to expressions."""
    columns: dict[str, str] = field(default_factory=dict)
    """The columns so far, and their types: what the gate knows."""
    places: dict[str, dict[Place, str]] = field(default_factory=lambda: {"p": {}, "i": {}, "e": {}})
    """The column of each place: in the record, in ``item``, in ``envelope``."""

    absent_if_empty: set[str] = field(default_factory=set)
    """The columns of fields of which an empty text is absent somewhere; see :func:`absent_if_empty`."""
    first_texts: dict[tuple[str, ...], str] = field(default_factory=dict)
    """The columns that are the first text of many fields, by the columns of these; see :meth:`_first_text`."""

    def column_absent_if_empty(self, column: str) -> str:
        """Return the column of a field's text, null where it is empty."""
        if self.empty_is_absent:
            return column
        self.absent_if_empty.add(column)
        return absent_if_empty(column)

    def prepare(self, node: Node) -> Node:
        """Return the tree of an expression with a column in the place of each path."""
        if (found := _steps(node)) is not None:
            return self._column(node, found)
        node = {key: walk(value, lambda part, _: self.prepare(part)) for key, value in node.items()}
        if node.get("class") == "FUNCTION" and node["function_name"].lower() == "parse_time":
            return self._time(node)
        if node.get("class") == "FUNCTION" and node["function_name"].lower() == "text_of":
            return self._first_text(node)
        return self._compared(node)

    def column_of(self, text: str) -> Place | None:
        """Return the place in the record that a text is the name of, if it is nothing but that."""
        steps = _written(text)
        if steps is None or (steps[0] in self.lets and len(steps) == 1) or self._origin(steps) != "p":
            return None
        return Place(steps)

    def _origin(self, steps: tuple[str | int, ...]) -> str:
        if (steps[0] == ITEM and self.itemised) or (steps[0] == ENVELOPE and self.enveloped):
            return _ORIGINS[str(steps[0])]
        return "p"

    def reference(self, steps: tuple[str | int, ...]) -> Node:
        """Return the column that a path stands for.

        Raises:
            ConditionError: It cannot be named.
        """
        return self._column({}, steps)

    def _column(self, node: Node, steps: tuple[str | int, ...]) -> Node:
        if len(steps) == 1 and steps[0] in self.lets:
            return _reference(node, f"let_{steps[0]}")
        if self.itemised and steps == (ITEM_NUMBER,):
            self.columns[ITEM_NUMBER] = "BIGINT"
            return _reference(node, ITEM_NUMBER)
        if any('"' in str(step) or "\\" in str(step) for step in steps):
            raise ConditionError("a key with a quote or a backslash cannot be named", node.get("query_location"))
        origin = self._origin(steps)
        return _reference(node, self.column_for(Place(steps[1:] if origin != "p" else steps), origin))

    def column_for(self, place: Place, origin: str = "p") -> str:
        """Return the column of a place, which is new where nothing has read it yet."""
        known = self.places[origin]
        name = known.setdefault(place, f"{origin}{len(known) + 1}")
        self.columns[name] = "VARCHAR"
        self.fields.add(name)
        return name

    def _time(self, node: Node) -> Node:
        """Return ``parse_time(x, 'a', 'b')`` as calls with lists of formats; without a year, the record gives it."""
        at = node.get("query_location")
        if node["qualified_name"].get("path") != [node["function_name"]] or len(node["arguments"]) < 2:
            raise ConditionError("parse_time takes a value and one format or several", at)
        value, *formats = (argument["expression"] for argument in node["arguments"])
        if any(each.get("class") != "CONSTANT" or each["literal"]["kind"] != "STRING" for each in formats):
            raise ConditionError("the formats of parse_time must be written out", at)
        yearless = [_HAS_YEAR.search(each["literal"]["text"]) is None for each in formats]
        if any(yearless) and not all(yearless):
            raise ConditionError("formats with a year and formats without one need a parse_time each", at)
        if all(yearless):
            formats = [_constant(each, f"%Y {each['literal']['text']}") for each in formats]
            value = _function(node, "concat_ws", [_constant(formats[0], " "), self._column(node, (YEAR,)), value])
        calls = [
            _function(node, name, [value, _function(node, "list_value", some)])
            for name, zoned in (("parse_zoned", True), ("parse_local", False))
            if (some := [each for each in formats if ("%z" in each["literal"]["text"]) is zoned])
        ]
        where: Node = {key: node[key] for key in _WHERE if key in node}
        # What none of the formats fits stays, to be refused as what it is.
        return {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "alias": "", "children": [*calls, value], **where}

    def _first_text(self, node: Node) -> Node:
        """Return ``text_of(a, b)`` as the first of ``text_of(a)`` and ``text_of(b)`` that there is.

        Many fields have a column of their own for that: few of them are there, and the first of these is nearly always
        a text, so that no other is looked at.
        """
        if len(node["arguments"]) < 2 or node["qualified_name"].get("path") != [node["function_name"]]:
            return node
        where: Node = {key: node[key] for key in _WHERE if key in node}
        each = [{**node, "arguments": [argument]} for argument in node["arguments"]]
        fields = [argument["expression"] for argument in node["arguments"]]
        if len(fields) < _MANY or any(each.get("class") != "COLUMN_REF" for each in fields):
            return {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "alias": "", "children": each, **where}
        columns = tuple(each["column_names"][0] for each in fields)
        name = self.first_texts.setdefault(columns, f"first_text_{len(self.first_texts) + 1}")
        self.columns[name] = "VARCHAR"
        return _reference(node, name)

    def _compared(self, node: Node) -> Node:
        """Return a comparison of a path with a number as one of numbers, and with true or false as one of texts."""
        kind = node.get("class")
        if kind == "COMPARISON":
            sides = ["left", "right"]
        elif kind == "BETWEEN":
            sides = ["input", "lower", "upper"]
        elif kind == "OPERATOR" and node["type"] == "COMPARE_IN":
            return {**node, "children": self._alike(node["children"])}
        else:
            return node
        return {**node, **dict(zip(sides, self._alike([node[side] for side in sides]), strict=True))}

    def _alike(self, sides: list[Node]) -> list[Node]:
        kinds = {side["literal"]["kind"] for side in sides if side.get("class") == "CONSTANT"}
        if kinds & _NUMBERS:
            return [_number(side) if self._is_text(side) else side for side in sides]
        if "BOOLEAN" in kinds and any(map(self._is_text, sides)):
            return [_as_text(side) for side in sides]
        return sides

    def _is_text(self, node: Node) -> bool:
        return node.get("class") == "COLUMN_REF" and self.columns.get(node["column_names"][0]) == "VARCHAR"


def _steps(node: Node) -> tuple[str | int, ...] | None:
    """Return the steps of a path, or None where a node is none."""
    if node.get("class") == "COLUMN_REF":
        return tuple(node["column_names"])
    if node.get("class") != "OPERATOR" or node.get("type") not in ("STRUCT_EXTRACT", "ARRAY_EXTRACT"):
        return None
    base, step = node["children"]
    before = _steps(base)
    if before is None or step.get("class") != "CONSTANT":
        return None
    literal = step["literal"]
    if literal["kind"] == "INTEGER" and literal["text"].isdigit():
        return (*before, int(literal["text"]))
    return (*before, literal["text"]) if literal["kind"] == "STRING" else None


_STEP = re.compile(r'(?:\.|^)(?:(?P<plain>@?[A-Za-z_][A-Za-z0-9_]*)|"(?P<quoted>[^"\\]+)")|\[(?P<number>[0-9]{1,9})\]')


def _written(text: str) -> tuple[str | int, ...] | None:
    """Return the steps of a path as it is written, or None where a text is none."""
    steps: list[str | int] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or (match["number"] and not steps):
            return None
        steps.append(int(match["number"]) if match["number"] else match["plain"] or match["quoted"])
        at = match.end()
    return tuple(steps) or None


def place(text: str) -> Place | None:
    """Return the place that a text names, such as ``actor.id``; None where it names none."""
    steps = _written(text)
    return None if steps is None else Place(steps)


def list_path(text: str) -> str | None:
    """Return the JSON path of a place in which ``[*]`` may stand for every element of a list; None where it is none."""
    first, *rest = text.strip().split("[*]")
    parts = [place(first), *(place(part.removeprefix(".")) if part.startswith(".") else None for part in rest if part)]
    if None in parts or "" in rest[:-1]:
        return None
    path = "[*]".join(part.path.removeprefix("$") for part in parts if part is not None)
    return f"${path}{'[*]' if rest and not rest[-1] else ''}"


def _reference(node: Node, name: str) -> Node:
    where: Node = {key: node[key] for key in _WHERE if key in node}
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "column_names": [name], **where}


def _function(node: Node, name: str, arguments: list[Node]) -> dict[str, Any]:
    """Return a call of a function like one that stands in the tree already."""
    return {
        **node,
        "function_name": name,
        "qualified_name": {"path": [name]},
        "arguments": [{"name": "", "expression": argument} for argument in arguments],
    }


def _constant(like: Node, text: str) -> Node:
    return {**like, "literal": {**like["literal"], "text": text}}


def _number(node: Node) -> Node:
    """Return a column as a number, null where it is none."""
    kind = {
        "class": "TYPE", "type": "TYPE", "alias": "", "catalog": "", "schema": "", "type_name": "DOUBLE",
        "qualified_name": {"path": ["DOUBLE"]}, "children": [],
    }  # fmt: skip
    where: Node = {key: node[key] for key in _WHERE if key in node}
    cast: Node = {
        "class": "CAST",
        "type": "OPERATOR_CAST",
        "alias": "",
        "child": node,
        "try_cast": True,
        "type_expr": kind,
    }
    return {**cast, **where}


def _as_text(node: Node) -> Node:
    if node.get("class") != "CONSTANT" or node["literal"]["kind"] != "BOOLEAN":
        return node
    return {**node, "literal": {"kind": "STRING", "text": str(node["literal"]["text"]).lower()}}
