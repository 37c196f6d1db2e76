"""Places in the JSON columns of an event: what a policy reads there, and the columns that have it once it was read.

A scan for several policies reads each place once. Where its rows stand in for the events, an expression over such
places becomes one over columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from auditlake.policies.condition import TEXTS, value_tree

if TYPE_CHECKING:
    from sqlglot import exp

Place = tuple[str, str]
"""A column and a path in it."""
JSON = ("details", "metadata")
PLAIN = re.compile(r"""\$(?:\.[A-Za-z_][A-Za-z0-9_]*|\."[^"*\\]+"|\[[0-9]+\])+""")
"""A path that has one value at the most; it is read along with others."""


def column_of(place: Place) -> str:
    """Return the name of the column that has what was read at a place; names of columns have no case, paths have."""
    column, path = place
    return f"{column}_{path.encode().hex()}"


@lru_cache(maxsize=4096)
def read_by(text: str) -> tuple[frozenset[Place], frozenset[str]]:
    """Return the places that a condition or a value reads, and the columns that it reads otherwise.

    Raises:
        ConditionError: It is neither, as an earlier version may have taken it.
    """
    if text in TEXTS:
        return frozenset(), frozenset({text})
    from sqlglot import exp

    places: set[Place] = set()

    def noted(node: exp.Expr) -> exp.Expr:
        if place := _place_of(node):
            places.add(place)
            return exp.null()
        return node

    rest = value_tree(text).transform(noted)
    return frozenset(places), frozenset(column.name for column in rest.find_all(exp.Column))


def over_columns(tree: exp.Expr, values: Mapping[Place, str] | None = None) -> exp.Expr:
    """Return an expression that reads columns in place of the places that were read.

    Args:
        tree: The expression.
        values: The SQL of what was read at each place; by default a column that is named by :func:`column_of`.
    """
    from sqlglot import exp, parse_one

    def read(node: exp.Expr) -> exp.Expr:
        place = _place_of(node)
        if place is None:
            return node
        return parse_one(values[place], dialect="duckdb") if values else exp.column(column_of(place), quoted=True)

    return tree.transform(read)


def _place_of(node: exp.Expr) -> Place | None:
    """Return the place that is read by ``details ->> '$.a'``; None of anything else."""
    from sqlglot import exp

    if not isinstance(node, exp.JSONExtractScalar) or not isinstance(node.this, exp.Column):
        return None
    path = node.expression.sql(dialect="duckdb")[1:-1].replace("''", "'")
    return (node.this.name, path) if node.this.name in JSON and PLAIN.fullmatch(path) else None
