"""What of an expression fails on some row in a way that ``TRY`` does not catch: found by trying it, before it is used.

DuckDB's ``TRY`` turns most errors of a row into null. Others stop the whole statement, and with it the report: patterns
that DuckDB finds fault with only once it compares them, and functions that exist for a type but not for a unit of it.
They depend on constants and types, so that a handful of odd values brings them out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from auditlake.engine.parse_tree import Node, expressions
from auditlake.engine.sql_text import identifier
from auditlake.engine.statements import statement

if TYPE_CHECKING:
    import duckdb

_TEXTS = (
    "", " ", "a", "%", "!", "[", "adm", "0", "1", "-1", "1.5", "3", "nan", "true", "null", "9223372036854775807", "{}",
    "[]", '{"a":1}', '{"a":[1,{"b":"x"}]}', '{"a"', "2024-02-29", "2024-02-29T12:00:00.5+02:00", "12:34:56",
    "1 year 2 months 3 days 04:05:06", "9998-12-31", "10.1.2.3", "\u00e9\u0301", "x" * 300,
)  # fmt: skip
_TIMES = ("1970-01-01 00:00:00+00", "2024-02-29 12:34:56.789+00", "9998-12-31 23:59:59.999999+00")
_TRIED = ("FUNCTION", "CAST", "OPERATOR", "LAMBDA", "COMPARISON", "BETWEEN", "CASE")
_ESCAPING = ("like_escape", "ilike_escape", "not_like_escape", "not_ilike_escape")


class ConditionError(ValueError):
    """A condition that is not acceptable.

    Args:
        message: One line: what is not allowed.
        offset: The character of the text at which it is, counted from 0, where that is known.
        fails: Whether it is well formed, and fails on events.
    """

    def __init__(self, message: str, offset: int | None = None, *, fails: bool = False) -> None:
        super().__init__(message)
        self.offset = offset
        """The character of the text at which it is, counted from 0; None if that is not known."""
        self.fails = fails
        """Whether it is well formed, and fails on events in a way that cannot be passed over."""


def check_runs(
    node: Node,
    spell: Callable[[Sequence[Node]], Sequence[str]],
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[tuple[str, str]],
) -> None:
    """Try every part of an expression on odd values.

    Args:
        node: The expression's canonical node.
        spell: Gives DuckDB's spelling of each of several nodes.
        connection: The engine, without the optimizer that pulls expressions out of ``TRY``.
        columns: The columns that it names, and their types.

    Raises:
        ConditionError: A part fails; the innermost one is told, with its place in the statement.
    """
    import duckdb

    nodes = expressions(node)
    for each in nodes:
        _check_escape(each)
    parts = [each for each in nodes if each.get("class") in _TRIED]
    tried = [*zip(parts, spell(parts), strict=True)]
    constants = {each["literal"]["text"] for each in nodes if _is_text(each)}
    texts = [None, *_TEXTS, *sorted(constants)]
    row = ", ".join(f"{_odd(kind)} as {identifier(name)}" for name, kind in columns) or "t"
    with connection.cursor() as cursor:
        try:
            _try(cursor, row, [spelling for _, spelling in tried], texts)
        except duckdb.Error as error:
            raise _innermost(cursor, row, node, tried, texts, error) from None


def _odd(kind: str) -> str:
    """Return what stands in a column of a type."""
    if kind == "VARCHAR":
        return "t"
    return f"cast(ts as {kind})" if kind.startswith(("TIMESTAMP", "DATE")) else f"try(try_cast(t as {kind}))"


def _innermost(
    cursor: duckdb.DuckDBPyConnection,
    row: str,
    node: Node,
    tried: list[tuple[Node, str]],
    texts: list[str | None],
    failure: Exception,
) -> ConditionError:
    """Return what fails of the parts that are tried: the first, since children come before their parents."""
    import duckdb

    for part, spelling in tried:
        try:
            _try(cursor, row, [spelling], texts)
        except duckdb.Error as error:
            return _fails(part, _one_line(str(error)))
    return _fails(node, _one_line(str(failure)))


def _try(cursor: duckdb.DuckDBPyConnection, row: str, spellings: list[str], texts: list[str | None]) -> None:
    if spellings:
        part = statement("engine/probe.sql", "odd_values")
        times = list(_TIMES) if "cast(ts " in row else [_TIMES[0]]  # which no column has otherwise
        odd = cursor.sql(part.text, params=part.bind({"texts": texts, "times": times})).project(row)
        odd.project(", ".join(f"try({spelling}) is null" for spelling in spellings)).fetchall()


def _is_text(node: Node) -> bool:
    return node.get("class") == "CONSTANT" and node["literal"]["kind"] == "STRING"


def _check_escape(node: Node) -> None:
    """Refuse a pattern whose escape is no single character or escapes nothing: DuckDB notices on an event it fits."""
    if node.get("class") != "FUNCTION" or node["function_name"] not in _ESCAPING:
        return
    constants = [each["expression"] for each in node["arguments"][1:]]
    if len(constants) != 2 or not all(map(_is_text, constants)):
        return
    pattern, escape = (each["literal"]["text"] for each in constants)
    if len(escape.encode()) > 1:
        raise _fails(node, f"ESCAPE takes one character, got {escape!r}")
    at = 0
    while escape and at < len(pattern):
        if pattern[at] == escape and at + 1 == len(pattern):
            raise _fails(node, f"the pattern {pattern!r} ends with its escape character {escape!r}")
        at += 2 if pattern[at] == escape else 1


def _fails(node: Node, why: str) -> ConditionError:
    message = f"this fails on some events, beyond what a condition can pass over: {why}"
    return ConditionError(message, node.get("query_location"), fails=True)


def _one_line(message: str) -> str:
    first = next((line for line in message.splitlines() if line.strip()), "it cannot be run")
    return re.sub(r"^(?:[A-Z][A-Za-z ]+ Error: )+", "", first).strip().rstrip(".!")[:200]
