"""What a statement asks for of the view ``events``: read from its tree, and never less than it reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.engine.duck import EventsView, connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.narrowing import Asked, asked_by, made
from auditlake.engine.statements import statement
from auditlake.events.times import micros
from auditlake.store.narrowed import Contents, files_for

T0 = datetime(2026, 3, 1, tzinfo=UTC)
T1 = T0 + timedelta(days=1)
A, AB = frozenset({"a"}), frozenset({"a", "b"})
PLAIN: dict[str, tuple[Asked, ...]] = {
    "select 1": (),
    "from events where event_type = 'a'": (Asked(A),),
    "from Events where 'a' = Event_Type": (Asked(A),),
    "from events e where e.event_type in ('a', $b) and user_id = 'u'": (Asked(AB),),
    "from events where list_contains($types, event_type)": (Asked(AB),),
    "from events where array_contains($types, event_type)": (Asked(AB),),
    "from events where list_position($types, event_type) > 0": (Asked(AB),),
    "from events where ($types is null or list_contains($types, event_type)) and ($no is null or status = $no)":
        (Asked(AB),),
    'from events where ($t0 is null or "timestamp" >= $t0) and ($t1 is null or "timestamp" <= $t1)':
        (Asked(since=T0, until=T1),),
    "from events where event_type = 'a' and \"timestamp\" > $t0 and \"timestamp\" <= $t1":
        (Asked(A, T0, T1),),
    'from events where $t0 < "timestamp" or ("timestamp" = $t1)': (Asked(since=T0),),
    "from events where event_type = 'a' and event_type = 'b'": (Asked(frozenset()),),
    "select count(*), (select max(user_id) from events where event_type = 'b') from events where event_type = 'a'":
        (Asked(A), Asked(frozenset({"b"}))),
    "with x as (from events where event_type = 'a') from x union all from events where event_type = 'a'": (Asked(A),),
    'select "timestamp" from events where "timestamp" <= $t1 order by "timestamp" limit 1':
        (Asked(until=T1, is_first=True),),
    'select user_id from events order by "timestamp" limit 1': (Asked(is_first=True),),
}  # fmt: skip
"""Queries, and what they ask for."""
OPEN = (
    "from events",
    "from events where event_type like 'a%'",
    "from events where not event_type = 'a'",
    "from events where event_type not in ('a')",
    "from events where event_type = 'a' or status = 'success'",
    "from events where event_type = upper('a')",
    "from events where event_type = $no",
    "from events where event_type = 'A' collate nocase",
    "from events where \"timestamp\" > '2026-03-01'",
    "from events as e(event_type) where event_type = 'a'",
    "from events tablesample 3 rows where event_type = 'a'",
    "select * from events where event_type = 'a' using sample 3 rows",
    "select * from events x join events y using (user_id) where x.event_type = 'a'",
    "select * from events, (select 1) where event_type = 'a'",
    "select (select count(*) from events) from events where event_type = 'a'",
    "select * from (select 'a' as event_type) as events, lateral (from events as e where events.event_type = 'a')",
    "pivot events on event_type in ('a') using count(*)",
    "from query_table('events') where event_type = 'a'",
    "describe events",
    "summarize events",
    'select user_id as "timestamp" from events order by "timestamp" limit 1',
    'select "timestamp" from events order by "timestamp" desc limit 1',
    'select "timestamp" from events order by "timestamp" limit 2',
    'select "timestamp" from events order by "timestamp" limit 1 offset 1',
    'select user_id from events group by user_id, "timestamp" order by "timestamp" limit 1',
    "from events where event_type = 'a'; from events",
    "no query",
)  # fmt: skip
"""Queries that may ask for any event."""
VALUES = {"b": "b", "types": ["a", "b"], "no": None, "t0": T0, "t1": T1}


@pytest.mark.parametrize("query", PLAIN)
def test_what_is_asked(query: str) -> None:
    """Conditions on the type and the time are understood where they are plain."""
    with duckdb.connect() as connection:
        assert asked_by(connection, query, VALUES) == PLAIN[query]


@pytest.mark.parametrize("query", OPEN)
def test_what_may_be_anything(query: str) -> None:
    """Whatever else there is counts as a question about all events."""
    with duckdb.connect() as connection:
        assert asked_by(connection, query, VALUES) is None


@pytest.mark.parametrize(
    "begins",
    [
        "-- name: t()\ncreate or replace temp table t as",
        "/* name: t() */\n/* it's */\nCREATE OR REPLACE TEMPORARY TABLE t AS",
    ],
)
def test_what_a_statement_makes(begins: str) -> None:
    """As it is written, and as it is spelled once its slots are filled."""
    assert made(f"{begins} /* all */ from events") == ("table", "t", " /* all */ from events")


def test_the_earliest_needs_no_condition_more() -> None:
    """Of a query with another condition the first event may be in any file."""
    query = 'select user_id from events where "timestamp" = $t1 order by "timestamp" limit 1'
    with duckdb.connect() as connection:
        assert asked_by(connection, query, VALUES) == (Asked(since=T1, until=T1),)


# The law

TYPES = ("a", "b", "c")
TERMS = (
    "list_contains($types, event_type)",
    "event_type = $one", "event_type in ($one, 'b')", "array_contains($some, event_type)", "user_id = 'u1'",
    "list_position($some, event_type) > 0", "not event_type = $one", "$some is null", "event_type <> 'a'",
    *(f'"timestamp" {how} $at' for how in ("<", "<=", "=", ">=", ">")), '$until > "timestamp"',
)  # fmt: skip
QUERIES = (
    'select count(*), min("timestamp"), bit_xor(hash(event_type, user_id, "timestamp")) from events where {}',
    "select exists(select 1 from events where {})",
    'select "timestamp" as first from events where "timestamp" <= $until order by "timestamp" limit 1',
    'select "timestamp" from events where "timestamp" < $at order by "timestamp" limit 1',
    'select "timestamp" from events where {} order by "timestamp" limit 1',
    "select count(*) from events x join (from events where {}) y using (user_id)",
    "select (select count(*) from events where {}), count(*) from moments where event_type = $one",
    "with picked as (from events where {}) select event_type, count(*) from picked group by all order by all",
)  # fmt: skip
instants = st.integers(0, 20).map(lambda us: T0 + timedelta(microseconds=us * 300))
events = st.tuples(st.sampled_from(TYPES), instants, st.sampled_from(["u1", "u2"]))


@dataclass(frozen=True)
class Case:
    """Events in files, and a statement about them."""

    files: tuple[tuple[tuple[str, datetime, str], ...], ...]
    known: tuple[tuple[bool, bool], ...]
    """Of each file whether the log says its types, and its times."""
    query: str
    values: dict[str, Any]


def conditions() -> st.SearchStrategy[str]:
    """Terms, joined."""
    joined = lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner)  # noqa: E731
    return st.recursive(
        st.sampled_from(TERMS), lambda inner: joined(inner).map(lambda each: f"({' '.join(each)})"), max_leaves=4
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Some files and a statement."""
    files = tuple(map(tuple, draw(st.lists(st.lists(events, min_size=1, max_size=4), max_size=5))))
    known = tuple(draw(st.tuples(st.booleans(), st.booleans())) for _ in files)
    query = draw(st.sampled_from(QUERIES)).format(draw(conditions()))
    values = {"one": draw(st.sampled_from(TYPES)), "some": draw(st.lists(st.sampled_from(TYPES), max_size=2)),
              "types": draw(st.lists(st.sampled_from(TYPES), max_size=3, unique=True)),
              "at": draw(instants), "until": draw(instants)}  # fmt: skip
    return Case(files, known, query, {name: value for name, value in values.items() if f"${name}" in query})


def described(case: Case) -> Contents:
    """The files as the log of another writer describes them: times cut off to milliseconds."""
    found = Contents([], [], [], [])
    for number, (rows, (types, times)) in enumerate(zip(case.files, case.known, strict=True)):
        ends = (micros(pick(at for _, at, _ in rows)) // 1000 * 1000 for pick in (min, max))
        first, last = ends if times else (None, None)
        names = frozenset(name for name, *_ in rows) if types else None
        for column, value in zip(
            (found.paths, found.types, found.first, found.last), (f"f{number}", names, first, last), strict=True
        ):
            column.append(value)
    return found


@settings(deadline=None, max_examples=30)
@given(case=cases())
def test_narrowed_answers_are_the_same(case: Case) -> None:
    """A statement gives the same over the files that can matter to it as over all, whatever of them is not known."""
    files = described(case)
    with connect(threads=1) as connection:
        connection.execute('create table f (event_type varchar, "timestamp" timestamptz, user_id varchar, file int)')
        for number, rows in enumerate(case.files):
            connection.executemany("insert into f values (?, ?, ?, ?)", [(*row, number) for row in rows])

        def show(paths: Any) -> None:
            numbers = [int(path.name[1:]) for path in paths]
            rows = f"select * exclude (file) from f where list_contains({numbers}, file)"
            connection.execute(f"create or replace temp view events as {rows}")

        def chosen(asked: Any) -> list[Path]:
            return [*map(Path, files.paths if asked is None else files_for(files, asked, is_whole=True))]

        def has_only(asked: Any, types: Any) -> bool:
            found = {path.name for path in chosen(asked)}
            held = [each for path, each in zip(files.paths, files.types, strict=True) if path in found]
            return all(each is not None and each <= {*types} for each in held)

        plain = DuckEngine(connection)
        engine = DuckEngine(connection, EventsView(chosen, show, (), has_only=has_only))
        view = 'create or replace temp view moments as\nselect event_type, "timestamp" from events'
        engine.step("moments", view, {})
        answer = engine.rows(case.query, case.values)
        assert engine.connection is connection
        assert answer == plain.rows(case.query, case.values)


def test_what_was_kept_is_read() -> None:
    """Once a statement puts what it kept in the place of the events, no other asks which files can matter to it."""
    asked: list[Any] = []
    with connect() as connection:
        engine = DuckEngine(connection)
        engine.show(lambda each: asked.append(each) or [])  # type: ignore[func-returns-value]
        kept = {name: statement("policies/few_days.sql", name) for name in ("kept_events", "events_kept")}
        engine.rows(kept["kept_events"].text, {"types": ["login"], "columns": ["event_type"]})
        before = len(asked)
        engine.rows(kept["events_kept"].text)
        assert engine.rows("select count(*) from events where event_type = 'logout'") == [(0,)]
        assert len(asked) == before > 0

        engine.show(lambda each: asked.append(each) or [])  # type: ignore[func-returns-value]
        engine.rows("select count(*) from events where event_type = 'logout'")
        assert asked[-1] == (Asked(types=frozenset({"logout"})),)
