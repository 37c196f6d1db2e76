"""Whether a statement is one that auditors may run: decided on the syntax tree that DuckDB's own parser gives.

Everything is on a list or it is refused: the kinds of nodes, the tables, the functions. ``WITH x AS (COPY …)`` and
``WITH x AS (DELETE …)`` are queries to DuckDB 2.0; here they are nodes that the list lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from auditlake.engine.parse_tree import Node, parse, walk
from auditlake.sandbox import allowed_sql as known

if TYPE_CHECKING:
    import duckdb

LONGEST = 100_000
"""Characters of the longest statement that is looked at."""
DEEPEST = 200
"""Levels of the syntax tree: the deepest that people write by hand has about thirty."""

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z", re.ASCII)
_STATEMENT = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*([A-Za-z]+)", re.DOTALL)
_LISTING = re.compile(r"\s*show\s+(all\s+)?tables\s*;?\s*\Z", re.IGNORECASE)
_SHOW_ONE = re.compile(r"\s*show\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
_ONLY = "only one query is allowed: SELECT, FROM, WITH, VALUES, PIVOT, DESCRIBE, SUMMARIZE or SHOW TABLES"
_PIVOT = "this PIVOT needs its values written out: PIVOT … ON column IN ('a', 'b') USING count(*)"
_PIVOTED = "PIVOT statements with pivot elements extracted from the data"
"""How DuckDB's own refusal begins where such a PIVOT has parameters."""


class Refusal(ValueError):  # noqa: N818 - what the gate says, not what failed
    """A statement that auditors may not run; its text is one line that says what is not allowed."""


class Several(Refusal):
    """A statement that DuckDB makes several of, as of a PIVOT that lacks its values."""


@dataclass(slots=True)
class Gate:
    """What is allowed, and what a statement was found to use."""

    tables: Collection[str]
    """The views that there are."""
    taken: Collection[str] = ()
    """Names of the engine's own tables and views, which no CTE may have."""
    used: set[str] = field(default_factory=set)
    """The views that the statement reads."""

    def check(self, text: str, tree: Node, several: Callable[[], bool]) -> None:
        """Look at every node of a statement.

        Args:
            text: The statement.
            tree: What DuckDB makes of it.
            several: Tells whether DuckDB makes several statements of it.

        Raises:
            Refusal: Something in it is not on a list.
        """
        self.used = set()
        if tree.get("error"):
            message = str(tree.get("error_message", ""))
            raise Several(_PIVOT) if _PIVOTED in message or several() else Refusal(_why(text, tree))
        statements = tree.get("statements", [])
        if len(statements) != 1:
            raise Refusal(f"{_ONLY}; got {len(statements)} statements")
        self._query(statements[0]["node"], frozenset(), 0)

    # Queries

    def _query(self, node: Node, scope: frozenset[str], depth: int) -> None:
        kind = node.get("type")
        if kind not in known.QUERY_NODES:
            raise Refusal(f"{_in_words(kind)} is not allowed in a query")
        inner = scope
        for entry in (node.get("cte_map") or {}).get("map", ()):
            inner = self._cte(entry["key"], entry["value"], inner, depth)
        walked = {key: value for key, value in node.items() if key != "cte_map"}
        if kind == "RECURSIVE_CTE_NODE":
            # Where it begins ("left") it does not know itself: there its name would be a table of the engine.
            itself = inner | {self._new_name(node.get("cte_name", "")).lower()}
            self._parts({"right": walked.pop("right", None)}, itself, depth + 1)
        elif kind == "CTE_NODE":
            inner = self._cte(node.get("cte_name", ""), node, inner, depth)
        self._parts(walked, inner, depth + 1)

    def _cte(self, name: str, holder: Node, scope: frozenset[str], depth: int) -> frozenset[str]:
        """Return the scope with one more CTE in it; its own query sees those before it, and itself where it is
        recursive.
        """
        self._new_name(name)
        body = holder.get("query_node") or (holder.get("query") or {}).get("node") or holder.get("query")
        if not isinstance(body, dict):
            raise Refusal(f"the CTE {name} is of a kind that is not known")
        self._query(body, scope, depth + 1)
        rest = {key: value for key, value in holder.items() if key not in {"query_node", "query"}}
        self._parts(rest, scope, depth + 1)
        return scope | {name.lower()}

    def _new_name(self, name: str) -> str:
        if not _PLAIN_NAME.match(name):
            raise Refusal(f"a CTE needs a name of letters, digits and _, got {name[:40]!r}")
        if name.startswith("_"):
            raise Refusal(f"a CTE cannot have a name that begins with _, got {name}")
        if name.lower() in self.taken:
            raise Refusal(f"a CTE cannot be called {name}: the engine has a table of that name")
        return name

    # Everything in them

    def _parts(self, node: Node, scope: frozenset[str], depth: int) -> None:
        visit = partial(self._node, scope)
        for value in node.values():
            walk(value, visit, depth)

    def _node(self, scope: frozenset[str], node: Node, depth: int) -> None:
        if depth > DEEPEST:
            raise Refusal(f"the statement is nested more than {DEEPEST} levels deep")
        kind = node.get("type")
        if "class" in node:
            self._expression(node)
            if node["class"] == "CONSTANT":
                return  # its value is no part of the statement's structure
        elif isinstance(kind, str):
            if kind.endswith("_NODE"):
                self._query(node, scope, depth)
                return
            self._table(node, kind, scope)
        elif "info" in node or "info_type" in node:
            raise Refusal("only what reads is allowed in a query")
        self._parts(node, scope, depth + 1)

    def _table(self, node: Node, kind: str, scope: frozenset[str]) -> None:
        if kind == "BASE_TABLE":
            self._base_table(node, scope)
        elif kind == "SHOW_REF":
            if node.get("show_type") not in known.SHOWN or node.get("table_name") or not node.get("query"):
                raise Refusal("SHOW knows TABLES, ALL TABLES, and the name of a view")
        elif kind == "TABLE_FUNCTION":
            function = node.get("function") or {}
            name = str(function.get("function_name", ""))
            if function.get("class") != "FUNCTION" or name.lower() not in known.TABLE_FUNCTIONS:
                raise Refusal(f"{name or 'this'} is not allowed in FROM; there are: {', '.join(sorted(self.tables))}")
        elif kind not in known.TABLE_NODES | known.MODIFIERS | known.ORDERS:
            raise Refusal(f"{_in_words(kind)} is not allowed in a query")

    def _base_table(self, node: Node, scope: frozenset[str]) -> None:
        name = str(node.get("table_name", ""))
        path = (node.get("qualified_name") or {}).get("path", [name])
        if node.get("schema_name") or node.get("catalog_name") or path != [name]:
            raise Refusal(f"a table is named without a catalog or schema, got {'.'.join(map(str, path))[:80]}")
        if node.get("at_clause"):
            raise Refusal("AT is not allowed: the session reads one snapshot; open another one with --snapshot")
        if name.lower() in scope:
            return
        if name.lower() not in self.tables:
            raise Refusal(f"there is no view {name[:80]!r}; there are: {', '.join(sorted(self.tables))}")
        self.used.add(name.lower())

    def _expression(self, node: Node) -> None:
        kind = node["class"]
        if kind not in known.EXPRESSIONS:
            raise Refusal(f"{_in_words(kind)} is not allowed in a query")
        if kind in {"FUNCTION", "WINDOW"}:
            self._function(node)
        elif kind == "COLUMN_REF":
            names = node.get("column_names", [])
            if len(names) == 1 and str(names[0]).lower() in known.UNCALLED:
                raise Refusal(f"{names[0]} is not allowed")
        elif kind == "TYPE" and len((node.get("qualified_name") or {}).get("path", [])) > 1:
            raise Refusal("a type is named without a catalog or schema")

    def _function(self, node: Node) -> None:
        name = str(node.get("function_name", ""))
        path = (node.get("qualified_name") or {}).get("path", [name])
        if node.get("schema") or node.get("catalog") or path != [name]:
            raise Refusal(f"a function is named without a catalog or schema, got {'.'.join(map(str, path))[:80]}")
        if name.lower() not in known.FUNCTIONS | known.TABLE_FUNCTIONS:
            close = get_close_matches(name.lower()[:64], sorted(known.FUNCTIONS), 1, 0.75)
            raise Refusal(f"the function {name[:80]} is not allowed" + (f"; did you mean {close[0]}?" if close else ""))


def listing(text: str) -> str | None:
    """Return the view that ``SHOW TABLES`` or ``SHOW ALL TABLES`` reads, which has no name of its own; None for
    another text.
    """
    match = _LISTING.match(text)
    return None if match is None else "_all_tables" if match[1] else "_tables"


def described(text: str, views: Collection[str]) -> str:
    """Return the statement, ``SHOW events`` as the ``DESCRIBE events`` that it is."""
    match = _SHOW_ONE.match(text)
    return f"describe {match[1]}" if match is not None and match[1].lower() in views else text


def check(connection: duckdb.DuckDBPyConnection, text: str, gate: Gate) -> frozenset[str]:
    """Let DuckDB parse a statement and look at every node of it; give the views that it reads.

    Raises:
        Refusal: It is not one query, or something in it is not on a list.
    """
    if len(text) > LONGEST:
        raise Refusal(f"a statement has at most {LONGEST:,} characters, got {len(text):,}")
    if "\0" in text:
        raise Refusal("a statement has no NUL character")
    try:
        gate.check(text, parse(connection, text), several=partial(_is_several, connection, text))
    except RecursionError:
        raise Refusal("the statement is nested too deeply") from None
    return frozenset(gate.used)


def _is_several(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether one statement becomes several, as PIVOT does where it has to make a type of its values first."""
    with suppress(Exception):
        return any(each.type.name == "MULTI" for each in connection.extract_statements(text))
    return False


def _in_words(kind: Any) -> str:
    return str(kind).removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")[:60]


def _why(text: str, answer: Node) -> str:
    """Say what is wrong with a statement that DuckDB does not make a tree of."""
    message = " ".join(str(answer.get("error_message", "")).split())
    if "Only SELECT" not in message:
        return f"not understood: {message[:300]}"
    match = _STATEMENT.match(text)
    word = match[1].upper() if match else ""
    return f"{word or 'this'} is not allowed: {_ONLY}"
