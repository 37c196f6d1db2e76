"""One record may be several events, or none: each has its number, its id and its place in every count."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.events.personal import PersonalData
from auditlake.sources.catalog import Marks, Source, built_in
from tests.ingest.lakes import events, kept, made, put

STATEMENT = """-- name: shift()
-- A watchman's shift: each of its lines is an event, with an id or without.
with lines as (
  select
    record,
    "text",
    unnest(range(len(json_extract("text", '$.lines[*]')))) as event_number
  from records
),

numbered as (
  select
    *,
    json_extract("text", '$.lines[' || event_number || ']') as line
  from lines
)

select
  record,
  event_number,
  json_extract_string(line, '$.id') as event_id,
  json_extract_string(line, '$.type') as event_type,
  json_extract_string(line, '$.at') as "timestamp",
  json_extract_string("text", '$.watchman') as user_id,
  'watch' as action,
  json_extract_string(line, '$.door') as resource,
  'success' as status,
  cast(line as varchar) as details,
  cast(null as varchar) as metadata,
  cast(null as varchar) as session_id,
  cast(null as varchar) as ip_address,
  cast(null as varchar) as reason
from numbered
"""


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditLake:
    """A lake that knows shifts."""
    tmp_path.joinpath("shift.sql").write_text(STATEMENT)
    source = Source(
        name="shift",
        title="a watchman's shift",
        statement=str(tmp_path / "shift.sql"),
        several=True,
        marks=Marks(frozenset({"watchman", "lines"}), enough=2),
        looks_for="JSON objects with watchman and lines",
        personal=PersonalData(names=("$.details.by",)),
    )
    monkeypatch.setitem(built_in().sources, "shift", source)
    return made(tmp_path / "lake")


def line(door: str, **fields: Any) -> dict[str, Any]:
    return {"type": "access_granted", "at": "2026-11-20T08:00:00Z", "door": door, "by": "ann", **fields}


def shift(*lines: dict[str, Any]) -> str:
    return json.dumps({"watchman": "ann", "lines": lines})


def rows(lake: AuditLake) -> list[tuple[Any, ...]]:
    """The number, the door and the id of every event, by batch and number."""
    from auditlake.engine.duck import connect

    files = [str(lake.layout.events / file.path) for file in lake.snapshot().files]
    with connect() as connection:
        return connection.sql(
            f"select seq, resource, event_id from read_parquet({files}) order by batch, seq"
        ).fetchall()


def content_id(record: str, *numbers: int) -> str:
    """The id of an event made from its record, the record's occurrence, and its number if that is not 0."""
    digest = hashlib.sha256(record.encode()).hexdigest()
    return hashlib.sha256("\n".join(["shift", digest, *map(str, numbers)]).encode()).hexdigest()


def test_none_one_and_three(lake: AuditLake, tmp_path: Path) -> None:
    """Every event has its own number and id, whatever the others of its record, and records are counted apart."""
    none, one, three = shift(), shift(line("north", n="as it came")), shift(line("a"), line("b"), line("c"))
    one = one.replace('"as it came"', "9007199254740993.0")
    twice = put(tmp_path / "x.jsonl", none, three, one, three)
    summary = lake.ingest(twice, put(tmp_path / "y.jsonl", json.dumps({
        "event_id": "own", "event_type": "login", "timestamp": "2026-11-20T09:00:00Z", "resource": "z",
    })))  # fmt: skip

    assert [(each.read, each.events, each.landed, each.duplicates, each.quarantined) for each in summary.inputs] == [
        (4, 7, 7, 0, 0), (1, 1, 1, 0, 0)
    ]  # fmt: skip
    assert (summary.read, summary.events, summary.landed, summary.failed) == (5, 8, 8, False)
    assert rows(lake) == [
        (1, "a", content_id(three, 1)), (2, "b", content_id(three, 1, 1)), (3, "c", content_id(three, 1, 2)),
        (4, "north", content_id(one, 1)),
        (5, "a", content_id(three, 2)), (6, "b", content_id(three, 2, 1)), (7, "c", content_id(three, 2, 2)),
        (8, "z", "own"),
    ]  # fmt: skip
    assert '"n":9007199254740993.0' in str(events(lake))
    again = lake.ingest(twice)
    assert (again.read, again.events, again.landed, again.duplicates, again.quarantined) == (4, 7, 0, 7, 0)
    assert lake.ledger.verify().ok


def test_an_input_of_no_events(lake: AuditLake, tmp_path: Path) -> None:
    """Records that give no events are read, and nothing lands or is quarantined; broken ones beside them are."""
    summary = lake.ingest(put(tmp_path / "x.jsonl", shift(), "[1]", shift(), '{"watchman":"ann","lines":[}'))
    assert (summary.read, summary.events, summary.landed, summary.quarantined) == (4, 0, 0, 2)
    assert [item.line for item in kept(summary)] == [2, 4]
    assert not summary.failed
    nothing = lake.ingest(put(tmp_path / "y.jsonl", shift()))
    assert (nothing.read, nothing.batch, nothing.failed, nothing.nothing_read) == (1, None, False, False)


def test_a_record_is_quarantined_once(lake: AuditLake, tmp_path: Path) -> None:
    """A record one of whose events cannot be one is kept whole, for the first reason; an id that is another event's
    keeps only that event out.
    """
    bad = shift(line("a"), line("b", type="unheard of"), line("c", at="noon"))
    summary = lake.ingest(put(tmp_path / "x.jsonl", bad, shift(line("d", id="d"))))
    assert (summary.read, summary.events, summary.landed, summary.quarantined) == (2, 1, 1, 1)
    assert [(item.line, item.reason, item.detail, item.data.decode()) for item in kept(summary)] == [
        (1, "unknown event type", "unheard of", bad)
    ]
    other = shift(line("e"), line("f", id="d"), line("g", id="g"), line("h", id="d"), line("g", id="g"))
    second = lake.ingest(put(tmp_path / "y.jsonl", shift(), other))
    (each,) = second.inputs
    assert (each.read, each.events, each.landed, each.duplicates, each.quarantined) == (2, 5, 2, 1, 1)
    assert [(item.line, item.reason, item.value, item.data.decode()) for item in kept(second)] == [
        (2, "id_conflict", "d", other)
    ]
    assert not second.failed
    assert [door for _, door, _ in rows(lake)] == ["d", "e", "g"]
    assert lake.ledger.verify().ok


def test_erased_events_come_again(lake: AuditLake, tmp_path: Path) -> None:
    """After an erasure each event of a record is known by its keyed id, and none lands a second time."""
    path = put(tmp_path / "x.jsonl", shift(line("a"), line("b"), line("c")), shift(line("d", id="d")))
    lake.ingest(path)
    lake.retention.erase("ann", reason="Article 17", ticket="G-1")
    assert "ann" not in str([(event["user_id"], event["details"]) for event in events(lake)])
    again = lake.ingest(path)
    assert (again.events, again.landed, again.duplicates, again.quarantined) == (4, 0, 4, 0)


def test_many_records(lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers run on from one round of statements to the next, and over inputs of several sources."""
    monkeypatch.setattr("auditlake.ingest.record_buffer._FULL_RECORDS", 10)
    shifts = [shift(*(line(f"{number}.{i}") for i in range(number % 4))) for number in range(50)]
    paths = [put(tmp_path / f"{i}.jsonl", *shifts[25 * i : 25 * i + 25]) for i in range(2)]
    own = put(tmp_path / "own.jsonl", *(
        json.dumps({"event_type": "login", "timestamp": "2026-11-20T09:00:00Z", "resource": f"own {i}"})
        for i in range(20)
    ))  # fmt: skip
    summary = lake.ingest(paths[0], own, paths[1])
    assert (summary.read, summary.events, summary.landed) == (70, 93, 93)
    numbers = [seq for seq, _, _ in rows(lake)]
    assert numbers == sorted(set(numbers))
    assert [door for _, door, _ in rows(lake)] == [
        *(f"{number}.{i}" for number in range(25) for i in range(number % 4)),
        *(f"own {i}" for i in range(20)),
        *(f"{number}.{i}" for number in range(25, 50) for i in range(number % 4)),
    ]
    again = lake.ingest(paths[1], paths[0], own)
    assert (again.landed, again.duplicates) == (0, 93)
