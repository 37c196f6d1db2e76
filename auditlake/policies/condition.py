"""What a policy's expressions may be: conditions and values over an event's columns, and nothing else.

What :class:`~auditlake.engine.expression_gate.ExpressionGate` lets through is also read by sqlglot, which writes it
again, and DuckDB must see the same tree in what comes out: so it can be carried into a query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from auditlake.engine.expression_gate import Expression as CheckedExpression
from auditlake.engine.expression_gate import ExpressionGate, closed_connection
from auditlake.engine.parse_tree import Node, bare, expressions, parse, walk
from auditlake.engine.probe import ConditionError
from auditlake.engine.sql_text import identifier
from auditlake.policies.networks import expand_networks

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = [
    "TEXTS", "ConditionError", "check_condition", "check_value", "columns_of", "condition_node", "condition_tree",
    "key_sql", "read_ahead", "spelled", "value_sql", "value_tree", "with_conditions",
]  # fmt: skip

COLUMNS = {
    "event_id": "VARCHAR", "event_type": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "user_id": "VARCHAR",
    "action": "VARCHAR", "resource": "VARCHAR", "status": "VARCHAR", "details": "VARCHAR", "metadata": "VARCHAR",
    "session_id": "VARCHAR", "ip_address": "VARCHAR", "source": "VARCHAR", "ingested_at": "TIMESTAMP WITH TIME ZONE",
    "event_date": "DATE",
}  # fmt: skip
"""The columns that a condition may name, and their types."""
TEXTS = frozenset(name for name, kind in COLUMNS.items() if kind == "VARCHAR")
"""Those that are values as they are: nothing of them has to be checked."""


LONGEST = 16_000
"""How many characters a condition may have: rules of others that are converted list many values."""
_JOIN = "array_to_string"
MORE_FUNCTIONS = ("chr", _JOIN)
"""The functions of a condition that the gate does not know by itself."""


def _check_joins(node: Node) -> None:
    """Refuse a separator by which a list becomes longer than the text that it came from."""
    for call in expressions(node):
        if call.get("class") != "FUNCTION" or call["function_name"] != _JOIN:
            continue
        separators = [argument["expression"] for argument in call["arguments"][1:]]
        if len(separators) != 1 or not _is_character(separators[0]):
            message = f"{_JOIN} takes a list and one character that is written out, such as ',' or chr(31)"
            raise ConditionError(message, call.get("query_location"))


def _is_character(node: Node) -> bool:
    if node.get("class") == "FUNCTION" and node["function_name"] == "chr":
        return all(argument["expression"].get("class") == "CONSTANT" for argument in node["arguments"])
    return node.get("class") == "CONSTANT" and len(str(node["literal"].get("text", ""))) == 1


_MORE: dict[str, Any] = {
    "longest": LONGEST, "functions": MORE_FUNCTIONS, "prepare": expand_networks, "judge": _check_joins,
}  # fmt: skip
_GATE = ExpressionGate(COLUMNS, **_MORE)
_VALUE_GATE = ExpressionGate(COLUMNS, what="value", **_MORE)


def check_condition(text: str, *, tried: bool = True, carried: bool = True) -> str:
    """Check a policy's ``where``.

    Args:
        text: A SQL condition, such as ``status = 'failure'``.
        tried: Refuse also what fails on some events in a way that TRY does not catch.
        carried: Refuse also what sqlglot cannot write again unchanged, which takes longer than all the rest; else
            :func:`condition_tree` refuses it.

    Returns:
        The same condition in DuckDB's own normalised spelling, which alone is ever run.

    Raises:
        ConditionError: It is not one boolean expression over an event's columns, or uses what is not allowed.

    Example:
        >>> check_condition("status='failure' AND user_id IS NOT NULL")
        "((status = 'failure') AND (user_id IS NOT NULL))"
    """
    spelling = _checked(text, tried=tried).spelling
    if carried and not (text in _READ and _is_carried_alike(spelling)):
        _tree(text, tried=tried)
    return spelling


def read_ahead(texts: Iterable[str]) -> None:
    """Read conditions that are going to be checked, all at once: one by one takes several times as long."""
    if len(_READ) > _MOST_READ:
        _READ.clear()
    new = {*texts} - _READ
    if len(new) >= _FEWEST:
        _GATE.read_ahead(new)
        _READ.update(new)


_FEWEST, _MOST_READ = 5, 4096
_READ = set[str]()
"""What was read ahead: it is known what was found when it was checked."""


def condition_node(text: str) -> Node:
    """Return the condition as DuckDB's own syntax tree: to be read, not to be changed.

    Raises:
        ConditionError: As for :func:`check_condition`.
    """
    return _checked(text, tried=False).node


def spelled(nodes: Sequence[Node]) -> list[str]:
    """Return DuckDB's spelling of each of several trees that were made of conditions' trees, in one call."""
    return _GATE.spell(nodes)


def with_conditions(text: str, conditions: Mapping[str, str]) -> str:
    """Return a condition with other conditions in the places of its parameters, each as a tree, so in brackets.

    Args:
        text: A SQL condition with parameters ``$name``; it is not checked yet.
        conditions: Checked conditions by name.

    Raises:
        ConditionError: It is not one expression, or has a parameter that is not among the conditions.

    Example:
        >>> with_conditions("$own and status = 'failure'", {"own": "source = 'pos' or source = 'web'"})
        "(((\"source\" = 'pos') OR (\"source\" = 'web')) AND (status = 'failure'))"
    """
    trees = {name: condition_node(each) for name, each in conditions.items()}
    written, plain = (parse(closed_connection(()), f"from events where {each}") for each in (text, "true"))
    if written["error"]:
        raise ConditionError(str(written["error_message"]).partition("\n")[0])

    def visit(part: Node, _depth: int) -> Node:
        if part.get("class") != "PARAMETER":
            return {key: walk(value, visit) for key, value in part.items()}
        if part["identifier"] not in trees:
            raise ConditionError(f"there is no condition ${part['identifier']}")
        return trees[part["identifier"]]

    found, without = written["statements"][0], plain["statements"][0]
    condition = found["node"].get("where_clause")
    without["node"]["where_clause"], without["named_param_map"] = condition, found["named_param_map"]
    if bare(written) != bare(plain):
        raise ConditionError("a condition is one expression; no other clause or statement may follow it")
    return spelled([visit(condition, 0)])[0]


def condition_tree(text: str) -> exp.Expression:
    """Return the condition as a sqlglot tree, ready to be put in the place of another node.

    Args:
        text: A SQL condition, normalised or not; it is checked again.

    Returns:
        A tree of the caller's own.

    Raises:
        ConditionError: As for :func:`check_condition`.
    """
    return _tree(text, tried=False).copy()


def check_value(text: str) -> str:
    """Check an expression whose values are grouped by, or told apart: a column's name or more.

    Returns:
        The same expression in DuckDB's own normalised spelling; a column's name as it is.

    Raises:
        ConditionError: It is not one expression over an event's columns, or uses what is not allowed.

    Example:
        >>> check_value("details ->> '$.awsRegion'")
        "(details ->> '$.awsRegion')"
    """
    if text in TEXTS:
        return text
    _tree_of_value(text, tried=True)
    return _checked_value(text, tried=True).spelling


@lru_cache(maxsize=4096)
def value_sql(text: str) -> str:
    """Return the SQL of a value as text: a column of text by itself, anything else tried, so that an error is null.

    Raises:
        ConditionError: As for :func:`check_value`.
    """
    if text in TEXTS:
        return identifier(text)
    expression = _checked_value(text, tried=False)
    names = expression.node.get("column_names", ())
    if expression.node["class"] == "COLUMN_REF" and names[0] in TEXTS:
        return identifier(names[0])
    return f"try(cast({expression.spelling} as varchar))"


def key_sql(values: Sequence[str]) -> str:
    """Return the SQL of several values as one: the value itself where there is one, else a list of them.

    It is null where any of them is. One by itself says the same as a list of it, and is a third quicker to group by.
    """
    texts = [value_sql(value) for value in values]
    if len(texts) == 1:
        return texts[0]
    key = f"[{', '.join(texts)}]"
    return f"case when {' and '.join(f'not {text} is null' for text in texts)} then {key} end" if texts else key


def value_tree(text: str) -> exp.Expression:
    """Return a condition or a value as a sqlglot tree of the caller's own.

    Raises:
        ConditionError: It is neither, as an earlier version may have taken it.
    """
    from sqlglot import exp

    return exp.column(text, quoted=True) if text in TEXTS else _tree_of_value(text, tried=False).copy()


def columns_of(text: str) -> frozenset[str]:
    """Return the columns that a condition or a value reads.

    Raises:
        ConditionError: It is neither, as an earlier version may have taken it.
    """
    import sqlglot

    return frozenset(column.name for column in value_tree(text).find_all(sqlglot.exp.Column))


@lru_cache(maxsize=4096)
def _checked(text: str, *, tried: bool) -> CheckedExpression:
    """Return a condition that has passed the gate, carried or not."""
    expression = _GATE.check(text, tried=tried)
    if expression.type != "BOOLEAN":
        kind = expression.type.strip('"')
        raise ConditionError(f"a condition must be true or false, but this is {kind}")
    return expression


@lru_cache(maxsize=4096)
def _tree(text: str, *, tried: bool) -> exp.Expression:
    return _carried(_GATE, "condition", _checked(text, tried=tried))


@lru_cache(maxsize=4096)
def _checked_value(text: str, *, tried: bool) -> CheckedExpression:
    return _VALUE_GATE.check(text, tried=tried)


@lru_cache(maxsize=4096)
def _tree_of_value(text: str, *, tried: bool) -> exp.Expression:
    return _carried(_VALUE_GATE, "value", _checked_value(text, tried=tried))


_WORDS = r"'[A-Za-z0-9_.:/@-]+'"
_COMPARED = re.compile(rf"(?<== ){_WORDS}|(?<=IN \(){_WORDS}(?:, {_WORDS})*(?=\))")
_PATH = re.compile(r"(?<=->> )'\$(?:\.[A-Za-z_]+)+'")


def _is_carried_alike(spelling: str) -> bool:
    """Return whether sqlglot is known to carry a condition, by one that differs in words that are compared, or in names
    of a path: it changes none of these.
    """
    alike = spelling if "''" in spelling else _PATH.sub("'$.a'", _COMPARED.sub("'a'", spelling))
    return alike != spelling and _is_carried(alike)


@lru_cache(maxsize=4096)
def _is_carried(text: str) -> bool:
    try:
        _tree(text, tried=False)
    except ConditionError:
        return False
    return True


def _carried(gate: ExpressionGate, what: str, expression: CheckedExpression) -> exp.Expression:
    try:
        return _faithful_tree(gate, what, expression.spelling, expression.node)
    except RecursionError:
        raise ConditionError(f"the {what} is nested too deeply") from None


def _faithful_tree(gate: ExpressionGate, what: str, spelling: str, node: Node) -> exp.Expression:
    """Return sqlglot's tree of the spelling, if writing it gives DuckDB the same tree again."""
    import sqlglot

    refusal = ConditionError(f"the {what} is valid, but cannot be carried into a query unchanged; write it more simply")
    try:
        tree = sqlglot.parse_one(spelling, dialect="duckdb")
        written = tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
        again = gate.canonical(written)
    except (sqlglot.errors.SqlglotError, ValueError, TypeError, AttributeError, LookupError):
        raise refusal from None
    if not isinstance(tree, sqlglot.exp.Expression) or bare(again) != bare(node):
        raise refusal
    return tree
