"""What a policy's ``where`` may be: one boolean expression over an event's columns, and nothing else.

What :class:`~auditlake.engine.expression_gate.ExpressionGate` lets through is also read by sqlglot, which writes it
again, and DuckDB must see the same tree in what comes out: so it can be carried into a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from auditlake.engine.expression_gate import Expression as CheckedExpression
from auditlake.engine.expression_gate import ExpressionGate
from auditlake.engine.parse_tree import Node, bare
from auditlake.engine.probe import ConditionError

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["ConditionError", "check_condition", "condition_node", "condition_tree", "spelled"]

COLUMNS = {
    "event_id": "VARCHAR", "event_type": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "user_id": "VARCHAR",
    "action": "VARCHAR", "resource": "VARCHAR", "status": "VARCHAR", "details": "VARCHAR", "metadata": "VARCHAR",
    "session_id": "VARCHAR", "ip_address": "VARCHAR", "source": "VARCHAR", "ingested_at": "TIMESTAMP WITH TIME ZONE",
    "event_date": "DATE",
}  # fmt: skip
"""The columns that a condition may name, and their types."""


_GATE = ExpressionGate(COLUMNS)


def check_condition(text: str, *, tried: bool = True) -> str:
    """Check a policy's ``where``.

    Args:
        text: A SQL condition, such as ``status = 'failure'``.
        tried: Refuse also what fails on some events in a way that TRY does not catch.

    Returns:
        The same condition in DuckDB's own normalised spelling, which alone is ever run.

    Raises:
        ConditionError: It is not one boolean expression over an event's columns, or uses what is not allowed.

    Example:
        >>> check_condition("status='failure' AND user_id IS NOT NULL")
        "((status = 'failure') AND (user_id IS NOT NULL))"
    """
    return _checked(text, tried=tried)[0].spelling


def condition_node(text: str) -> Node:
    """Return the condition as DuckDB's own syntax tree: to be read, not to be changed.

    Raises:
        ConditionError: As for :func:`check_condition`.
    """
    return _checked(text, tried=False)[0].node


def spelled(nodes: Sequence[Node]) -> list[str]:
    """Return DuckDB's spelling of each of several trees that were made of conditions' trees, in one call."""
    return _GATE.spell(nodes)


def condition_tree(text: str) -> exp.Expression:
    """Return the condition as a sqlglot tree, ready to be put in the place of another node.

    Args:
        text: A SQL condition, normalised or not; it is checked again.

    Returns:
        A tree of the caller's own.

    Raises:
        ConditionError: As for :func:`check_condition`.
    """
    return _checked(text, tried=False)[1].copy()


@lru_cache(maxsize=4096)
def _checked(text: str, *, tried: bool) -> tuple[CheckedExpression, exp.Expression]:
    expression = _GATE.check(text, tried=tried)
    if expression.type != "BOOLEAN":
        kind = expression.type.strip('"')
        raise ConditionError(f"a condition must be true or false, but this is {kind}")
    try:
        return expression, _faithful_tree(expression.spelling, expression.node)
    except RecursionError:
        raise ConditionError("the condition is nested too deeply") from None


def _faithful_tree(spelling: str, node: Node) -> exp.Expression:
    """Return sqlglot's tree of the spelling, if writing it gives DuckDB the same tree again."""
    import sqlglot

    refusal = ConditionError(
        "the condition is valid, but cannot be carried into a query unchanged; write it more simply"
    )
    try:
        tree = sqlglot.parse_one(spelling, dialect="duckdb")
        written = tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
        again = _GATE.canonical(written)
    except (sqlglot.errors.SqlglotError, ValueError, TypeError, AttributeError, LookupError):
        raise refusal from None
    if not isinstance(tree, sqlglot.exp.Expression) or bare(again) != bare(node):
        raise refusal
    return tree
