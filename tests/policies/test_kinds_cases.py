"""The random cases of the question kinds find something, and their SQL says what their Python does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from tests.policies.kinds_cases import ENTITIES, GROUPINGS, KINDS, STEPS, VALUES, WHERES, case, row, smallest

SEEDS = range(40)


@pytest.mark.parametrize("kind", KINDS)
def test_cases_find_something(kind: str) -> None:
    """A seed always gives the same case, and of forty some have episodes, some none; one began before its period."""
    answers = [case(kind, seed).answer for seed in SEEDS]

    assert answers == [case(kind, seed).answer for seed in SEEDS]
    assert sum(1 for a in answers if a.episodes) >= 3
    assert any(e.started_before_period for a in answers for e in a.episodes)
    assert any(not a.episodes for a in answers)


def test_smallest() -> None:
    """What a failure does not need is taken away."""
    some = next(c for c in (case("distinct", seed) for seed in SEEDS) if c.answer.episodes)
    least = smallest(some, lambda c: bool(c.answer.episodes))

    assert least.answer.episodes
    assert 1 <= len(least.events) <= 3  # no threshold asks for more than three values


EVENTS = [e for seed in SEEDS[:10] for e in case("distinct", seed).events]
CONDITIONS = [([sql], lambda e, holds=holds: (holds(e),)) for sql, holds in (*WHERES, *STEPS) if sql is not None]
LISTS = [(sql, of) for sql, of in (*GROUPINGS, *ENTITIES, *VALUES) if sql]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with a table `events`."""
    names = list(row(EVENTS[0]))
    with duckdb.connect() as connection:
        types = ", ".join(f"{name} {'timestamptz' if name == 'timestamp' else 'varchar'}" for name in names)
        connection.execute(f"create table events ({types})")
        connection.executemany(
            f"insert into events values ({', '.join('?' * len(names))})", [[*row(e).values()] for e in EVENTS]
        )
        yield connection


@pytest.mark.parametrize(
    ("sql", "python"), [pytest.param(*each, id=", ".join(each[0])) for each in [*CONDITIONS, *LISTS]]
)
def test_sql_and_python_agree(connection: duckdb.DuckDBPyConnection, sql: list[str], python: Any) -> None:
    """A condition or a list of expressions is in Python what it is in SQL; a list with a NULL is NULL."""
    found = connection.execute(f"select {', '.join(sql)} from events order by rowid").fetchall()

    assert [None if None in values else values for values in found] == [
        None if values is None or None in values else values for values in map(python, EVENTS)
    ]
