"""DuckDB's own syntax tree of a statement, as JSON values: made, walked, compared and spelled again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from auditlake.engine.statements import statement

if TYPE_CHECKING:
    import duckdb

Node = dict[str, Any]
"""A mapping of the tree: an expression has ``class`` and ``type``, a query and a table ``type`` alone."""
Visit = Callable[[Node, int], Any]

_MOST_KNOWN = 200
_known: dict[str, Node] = {}
"""What :func:`parse_known` made of texts: each takes DuckDB a millisecond, and a report asks the same as the last."""
_NO_MEANING = ("query_location", "query_location_length", "is_operator")


def parse(connection: duckdb.DuckDBPyConnection, text: str) -> Node:
    """Return what DuckDB makes of a text: ``statements``, or ``error`` with why it understands none."""
    return dict(json.loads(_call(connection, "json_serialize_sql", text)))


def parse_known(connection: duckdb.DuckDBPyConnection, text: str) -> Node:
    """Do what :func:`parse` does, once a process for each of the last texts; the tree is not to be changed."""
    if (tree := _known.get(text)) is None:
        tree = parse(connection, text)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[text] = tree
    return tree


def parse_all(connection: duckdb.DuckDBPyConnection, texts: Sequence[str]) -> list[Node]:
    """Return what DuckDB makes of each of several texts, in one call."""
    part = statement("engine/parse.sql", "parse")
    with connection.cursor() as cursor:
        return [dict(json.loads(tree)) for (tree,) in cursor.execute(part.text, {"texts": list(texts)}).fetchall()]


def spell(connection: duckdb.DuckDBPyConnection, tree: Node) -> str:
    """Return the statement of a tree in DuckDB's spelling."""
    return _call(connection, "json_deserialize_sql", json.dumps(tree))


def spell_all(connection: duckdb.DuckDBPyConnection, trees: Sequence[Node]) -> list[str]:
    """Return the statement of each of several trees in DuckDB's spelling, in one call."""
    part = statement("engine/parse.sql", "spell")
    with connection.cursor() as cursor:
        texts = cursor.execute(part.text, {"trees": [*map(json.dumps, trees)]}).fetchall()
    return [str(text) for (text,) in texts]


def _call(connection: duckdb.DuckDBPyConnection, function: str, argument: str) -> str:
    """Call a function of DuckDB on a text; on a cursor of its own, whatever the thread."""
    with connection.cursor() as cursor:
        ((value,),) = cursor.execute(f"values ({function}($text))", {"text": argument}).fetchall()
    return str(value)


def walk(value: Any, visit: Visit, depth: int = 0) -> Any:
    """Return a part of a tree with its topmost mappings replaced by what ``visit`` returns for each.

    Args:
        value: The part: a list, a mapping, or a plain value, which stays as it is.
        visit: Takes a mapping and its depth, and walks on into its values where it wants to.
        depth: How many lists and mappings the part lies within.
    """
    if isinstance(value, dict):
        return visit(value, depth)
    if not isinstance(value, list):
        return value
    walked = []
    for item in value:  # a comprehension would be one more frame for each level
        walked.append(walk(item, visit, depth + 1))  # noqa: PERF401
    return walked


def expressions(value: Any) -> list[Node]:
    """Return every expression of a part of a tree, those within it before the one that holds them."""
    nodes: list[Node] = []

    def visit(node: Node, depth: int) -> None:
        walk([*node.values()], visit, depth)
        if "class" in node:
            nodes.append(node)

    walk(value, visit)
    return nodes


def bare(value: Any) -> Any:
    """Return a part of a tree without what does not change its meaning: positions, and how an operator is written."""

    def visit(node: Node, depth: int) -> Node:
        return {key: walk(item, visit, depth) for key, item in node.items() if key not in _NO_MEANING}

    return walk(value, visit)
