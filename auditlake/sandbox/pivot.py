"""PIVOT without its values: they are looked up first and written out, so that what runs is one query of a known form.

DuckDB makes two statements of such a PIVOT, of which one makes a type. Here each look-up is a query like any other, and
the statement with its values goes through the gate as if the principal had written it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from auditlake.engine.sql_text import literal

MOST = 1_000
"""Values that a PIVOT may find: each becomes a column."""
_ROUNDS = 20
_WORD = re.compile(r"\w+")
_ENDS = frozenset({"USING", "GROUP", "ORDER", "LIMIT"})
_QUERIES = frozenset({"SELECT", "FROM", "WITH", "VALUES"})
_SETS = frozenset({"UNION", "INTERSECT", "EXCEPT"})


class NoValues(ValueError):  # noqa: N818 - told in other words above
    """The values of a PIVOT cannot be written out."""


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    word: str
    """In capitals; empty for text and quoted names."""
    depth: int
    """How many brackets are open before it; of a closing one, after it."""


def written_out(text: str, values: Callable[[str], Sequence[str]]) -> str:
    """Return the statement, with the values of every PIVOT in it.

    Args:
        text: The statement.
        values: Gives what a query of one column finds, as text; at most so many as :data:`MOST`, and one more.

    Raises:
        NoValues: A PIVOT has none, or too many, or is of a form that is not known.
    """
    for _ in range(_ROUNDS):
        tokens = list(_tokens(text))
        lookup = next(filter(None, (_lookup(text, tokens, i) for i in range(len(tokens)))), None)
        if lookup is None:
            return text
        query, start, end, what = lookup
        listed = values(query)
        if not 0 < len(listed) <= MOST:
            raise NoValues(f"PIVOT finds {'no' if not listed else f'more than {MOST:,}'} values of {what.strip()[:80]}")
        text = f"{text[:start]}{what} in ({', '.join(map(literal, listed))}){text[end:]}"
    raise NoValues(f"there are more than {_ROUNDS} columns to PIVOT on")


def _tokens(text: str) -> Iterator[_Token]:
    import duckdb

    depth = 0
    for start, kind in duckdb.tokenize(text):
        sign = text[start]
        depth -= sign in ")]}" and kind == duckdb.token_type.operator
        plain = kind in {duckdb.token_type.keyword, duckdb.token_type.identifier} and (
            match := _WORD.match(text, start)
        )
        if kind != duckdb.token_type.comment:
            word = match[0].upper() if plain and match else sign if kind == duckdb.token_type.operator else ""
            yield _Token(start, word, depth)
        depth += sign in "([{" and kind == duckdb.token_type.operator


def _lookup(text: str, tokens: Sequence[_Token], at: int) -> tuple[str, int, int, str] | None:
    """Of a PIVOT's first column without values: the query that finds them, the column's place, and the column."""
    if tokens[at].word not in {"PIVOT", "PIVOT_WIDER"}:
        return None
    depth = tokens[at].depth
    after = range(at + 1, len(tokens))
    end = next((i for i in after if tokens[i].depth < depth or _leaves(tokens[i], depth)), len(tokens))
    flat = [i for i in after if i < end and tokens[i].depth == depth]
    on = max((i for i in flat if tokens[i].word == "ON"), default=None)
    if on is None:
        return None
    stop = next((i for i in flat if i > on and tokens[i].word in _ENDS), end)
    edges = [on, *(i for i in flat if on < i < stop and tokens[i].word == ","), stop]
    source = text[_after(text, tokens[at]) : tokens[on].start]
    for first, last in pairwise(edges):
        begin = _after(text, tokens[first])
        finish = tokens[last].start if last < len(tokens) else len(text)
        in_at = next((i for i in flat if first < i < last and tokens[i].word == "IN"), None)
        what = text[begin : tokens[in_at].start if in_at else finish].strip().rstrip(";").strip()
        if in_at is None:
            column = what if re.fullmatch(r'\w+|"[^"]*"', what) else f"({what})"
            query = f"from {source} select distinct cast({what} as varchar) where ({what}) is not null"
        elif in_at + 2 < last and tokens[in_at + 2].word in _QUERIES:
            column, inner = what, text[tokens[in_at + 1].start : finish].strip().rstrip(";")
            query = f"from {inner} as found(value) select distinct cast(value as varchar) where value is not null"
        else:
            continue
        query = f"{_scope(text, tokens, at)} {query} order by all limit {MOST + 1}"
        tail = text[begin:finish]
        return query, begin, finish - (len(tail) - len(tail.rstrip().rstrip(";"))), f" {column}"
    return None


def _leaves(token: _Token, depth: int) -> bool:
    return token.depth == depth and (token.word == ";" or token.word in _SETS)


def _after(text: str, token: _Token) -> int:
    return token.start + len(token.word or text[token.start])


def _scope(text: str, tokens: Sequence[_Token], at: int) -> str:
    """Return the CTEs of the statement that are whole before a place, with their WITH; empty if there are none."""
    if tokens[0].word != "WITH":
        return ""
    opened = {i for i in range(1, at) if tokens[i].word == "(" and tokens[i - 1].word in {"AS", "MATERIALIZED"}}
    begins = [i for i in opened if tokens[i].depth == 0]
    ends = (next((j for j in range(i + 1, at) if tokens[j].word == ")" and tokens[j].depth == 0), None) for i in begins)
    last = max((j for j in ends if j is not None), default=None)
    return "" if last is None else text[: tokens[last].start + 1]
