"""Leaves in SQL are those of plain Python, to the byte, on whatever an event may hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.engine.duck import connect
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger import hashing
from auditlake.ledger.leaves import COLUMNS, MARK, batch_root, hash_events, leaves
from tests.ledger import oracle

TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema([
    (name, pa.string() if name in oracle.TEXTS else pa.binary() if name == "salt" else pa.int64())
    for name in COLUMNS
])  # fmt: skip
for at, name in enumerate(COLUMNS):
    if name in {"timestamp", "ingested_at"}:
        SCHEMA = SCHEMA.set(at, pa.field(name, TIME))
NOW = datetime(2026, 4, 1, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    **dict.fromkeys(COLUMNS), "event_id": "e", "timestamp": NOW, "ingested_at": NOW, "batch": 1, "seq": 0,
}  # fmt: skip

texts = (
    st.none()
    | st.sampled_from(["", "0", ":", "1:a", ";", "é", "👩‍👩‍👧", "\0", "a\0b", "NULL", "x" * 300])
    | st.text(max_size=20)
)
numbers = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31, 23, 59, 59, 999999), timezones=st.just(UTC))
days = st.builds(
    lambda day, micro: NOW + timedelta(days=day, microseconds=micro), st.integers(0, 2), st.integers(-1, 1)
)
events = st.fixed_dictionaries({
    **dict.fromkeys(sorted(oracle.TEXTS), texts), "timestamp": times | days, "ingested_at": times,
    "batch": numbers | st.integers(1, 3), "seq": numbers, "salt": st.none() | st.binary(max_size=20),
})  # fmt: skip


def shown(connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    """Make the view ``events`` of these rows."""
    table = pa.Table.from_pylist(rows, SCHEMA)
    connection.register("given", table)
    connection.execute("create or replace view events as select * from given")


def in_order(connection: duckdb.DuckDBPyConnection) -> list[bytes]:
    return [leaf for *_, leaf in leaves(connection).order("batch, day, seq").fetchall()]


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return connect(threads=1)


def test_every_column_is_hashed() -> None:
    """All columns of a file are hashed, in the order of the schema."""
    assert COLUMNS == FILE_COLUMNS == tuple(oracle.ORDER)


@given(rows=st.lists(events, max_size=8, unique_by=lambda event: event["seq"]))
@settings(deadline=None, max_examples=12)
def test_leaves_and_roots_are_those_of_python(
    rows: list[dict[str, Any]], connection: duckdb.DuckDBPyConnection
) -> None:
    """Leaves, the roots of parts, and those of batches are what plain Python computes."""
    shown(connection, rows)
    expected = oracle.parts(rows)
    found = [part for part, _ in hash_events(connection)]

    assert in_order(connection) == [
        oracle.leaf(each) for each in sorted(rows, key=lambda row: (row["batch"], row["timestamp"].date(), row["seq"]))
    ]
    assert {part.key: (part.rows, part.root) for part in found} == expected
    assert list(hash_events(connection, many=True)) == list(hash_events(connection))
    for batch in {row["batch"] for row in rows}:
        assert batch_root(part for part in found if part.batch == batch) == oracle.batch_root(expected, batch)


@pytest.mark.parametrize("change", [
    {"user_id": ""}, {"user_id": "👩‍👩‍👧"}, {"details": "ä" * 1_000_000}, {"user_id": "a\0"}, {"seq": -(2**63)},
    {"batch": 2**63 - 1}, {"salt": b""}, {"salt": bytes(range(256))}, {"salt": b"\0" * 16},
    {"timestamp": datetime(9998, 12, 31, 23, 59, 59, 999999, UTC)}, {"timestamp": datetime(1970, 1, 1, tzinfo=UTC)},
])  # fmt: skip
def test_hostile_values(change: dict[str, Any], connection: duckdb.DuckDBPyConnection) -> None:
    """Each odd value has the leaf that plain Python computes, and another than the event without it."""
    row = {**PLAIN, **change}
    shown(connection, [row])

    assert in_order(connection) == [oracle.leaf(row)] != [oracle.leaf(PLAIN)]


@given(events, events)
def test_different_events_have_different_bytes(one: dict[str, Any], other: dict[str, Any]) -> None:
    """No two events have the same canonical bytes."""
    assert (oracle.canonical(one) == oracle.canonical(other)) == (one == other)


def test_a_known_leaf(connection: duckdb.DuckDBPyConnection) -> None:
    """The bytes of one event, written out: what has been hashed once must never be computed otherwise."""
    row = {**PLAIN, "event_type": "login", "user_id": "", "action": "naïve", "salt": b"\xab\x00"}
    shown(connection, [row])

    assert oracle.canonical(row) == ("1:e5:login1775001600000000;0:6:naïve:::::::1775001600000000;1;0;4:AB00".encode())
    assert [leaf.hex() for leaf in in_order(connection)] == [
        "58daf0ead35e90d4eac6bf22e005c934c0ac30e5e1bd4b52ba38de179095e645"
    ]


def test_stretches_over_many_batches_of_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Parts that begin and end within the pieces in which rows come, or reach over several, have the right roots."""
    rows = [
        {**PLAIN, "seq": i, "batch": 1 + i % 2, "timestamp": NOW + timedelta(days=i * i // 40_000)} for i in range(300)
    ]
    shown(connection, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.ledger.leaves._ROWS", 7)
        found = [part for part, _ in hash_events(connection)]

    assert {part.key: (part.rows, part.root) for part in found} == oracle.parts(rows)


def test_many_events(connection: duckdb.DuckDBPyConnection) -> None:
    """Of thousands of events, hashed all at once, parts and marks are the same, and the marks are where they belong."""
    rows = [
        {**PLAIN, "seq": i, "batch": 1 + i % 2, "timestamp": NOW + timedelta(days=i % 3, hours=-(i % 7))}
        for i in range(9_000)
    ]
    shown(connection, rows)
    assert hashing.expect(hashing._WORTH)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.ledger.leaves._PIECE", 2_048)
        patch.setattr("auditlake.ledger.event_bytes._PIECE", 1_000)
        patch.setattr("auditlake.ledger.leaves._ROWS", 3_000)
        found = list(hash_events(connection, many=True))

    assert found == list(hash_events(connection))
    assert {part.key: (part.rows, part.root) for part, _ in found} == oracle.parts(rows)
    expected = in_order(connection)
    assert b"".join(marks for _, marks in found) == b"".join(leaf[:MARK] for leaf in expected)
