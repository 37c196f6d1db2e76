"""Mappings and tables of Python as inputs: each row becomes what the same row of a Parquet file becomes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake import AuditEvent, EventType
from auditlake.errors import EventError, StrictIngestError, UnrecognisedInputError
from auditlake.sources import python_events, reader
from tests.ingest.lakes import NOW, checked, events, kept, made, put

EAST = timezone(timedelta(hours=5))
ROWS: list[dict[str, Any]] = [
    {
        "event_type": "login", "timestamp": NOW - timedelta(microseconds=7), "user_id": "a", "ip_address": "10.0.0.1",
        "details": {"n": 2**53 + 1, "f": 1e-7, "at": NOW, "day": date(2026, 1, 2), "deep": [{"k": None}]},
        "amount": Decimal("1.50"), "raw": b"\xff\x00", "text": b"text",
    },
    {
        "event_type": "data_export", "timestamp": NOW, "user_id": None, "ip_address": None,
        "details": {"n": -1, "f": 2.0, "at": None, "day": None, "deep": []},
        "amount": None, "raw": None, "text": None,
    },
]  # fmt: skip
SCHEMA = pa.schema({
    "event_type": pa.string(), "timestamp": pa.timestamp("us", "UTC"), "user_id": pa.string(),
    "ip_address": pa.string(),
    "details": pa.struct({
        "n": pa.int64(), "f": pa.float64(), "at": pa.timestamp("us", "UTC"), "day": pa.date32(),
        "deep": pa.list_(pa.struct({"k": pa.null()})),
    }),
    "amount": pa.decimal128(5, 2), "raw": pa.binary(), "text": pa.binary(),
})  # fmt: skip
TABLE = pa.Table.from_pylist(ROWS, SCHEMA)
FORMS: dict[str, Callable[[], Any]] = {
    "dicts": lambda: ROWS,
    "a generator": lambda: iter(ROWS),
    "Arrow": lambda: TABLE,
    "a record batch": lambda: TABLE.to_batches()[0],
    "a record batch reader": TABLE.to_reader,
    "Polars": lambda: pl.from_arrow(TABLE),
    "Polars, categories": lambda: pl.from_arrow(TABLE).with_columns(pl.col("event_type").cast(pl.Categorical)),  # type: ignore[union-attr]
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas of Arrow": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
}


def test_rows_are_those_of_a_file(tmp_path: Path) -> None:
    """Numbers, times, decimals, nulls and nested values are exact, so the id that is made of them is known."""
    pq.write_table(TABLE, tmp_path / "rows.parquet")
    lake = made(tmp_path / "lake")
    checked(lake, lake.ingest(tmp_path / "rows.parquet", strict=True))

    assert {form: lake.ingest(make(), strict=True).duplicates for form, make in FORMS.items()} == dict.fromkeys(
        FORMS, 2
    )
    assert [event["details"] for event in events(lake)] == [
        '{"n":9007199254740993,"f":1e-7,"at":"2026-11-24T09:30:00Z","day":"2026-01-02","deep":[{"k":null}]}',
        '{"n":-1,"f":2.0,"at":null,"day":null,"deep":[]}',
    ]


def row(**fields: Any) -> dict[str, Any]:
    return {"event_type": "login", "timestamp": NOW, **fields}


EXACT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (row(details={"n": 10**30}), {"details": '{"n":1000000000000000000000000000000}'}),
    (row(timestamp=datetime(2026, 1, 2, 3, tzinfo=EAST)), {"timestamp": datetime(2026, 1, 1, 22, tzinfo=UTC)}),
    (row(timestamp="2026-01-01T00:00:00Z"), {"timestamp": datetime(2026, 1, 1, tzinfo=UTC)}),
    (
        row(timestamp=pd.Timestamp("2026-01-01T00:00:00.123456789", tz="UTC")),
        {"timestamp": datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)},
    ),
    (row(user_id=pd.NA, details={"at": pd.NaT}), {"user_id": None, "details": '{"at":null}'}),
    (
        row(details={"n": np.int64(5), "f": np.float32(0.5), "a": np.array([1, 2])}),
        {"details": '{"n":5,"f":0.5,"a":[1,2]}'},
    ),
    (row(event_type=EventType.LOGOUT), {"event_type": "logout"}),
    (row(details={"id": UUID(int=1)}), {"details": '{"id":"00000000-0000-0000-0000-000000000001"}'}),
    (row(details='{"a": 1e-400}'), {"details": '{"a":1e-400}'}),
    (row(team="red"), {"metadata": '{"_extra":{"team":"red"}}'}),
]


def test_values_of_mappings(tmp_path: Path) -> None:
    """What JSON can say is kept to the last digit, whatever Python calls its type."""
    lake = made(tmp_path / "lake")
    checked(lake, lake.ingest([{"event_id": str(n), **record} for n, (record, _) in enumerate(EXACT)], strict=True))
    found = {int(event["event_id"]): event for event in events(lake)}

    assert [{key: found[n][key] for key in expected} for n, (_, expected) in enumerate(EXACT)] == [
        expected for _, expected in EXACT
    ]


CYCLE: dict[str, Any] = {}
CYCLE["a"] = CYCLE
NO_ROW = "row cannot be written as JSON"
BAD: list[tuple[dict[Any, Any], str, str]] = [
    ({"timestamp": NOW}, "event_type is missing", ""),
    ({}, "event_type is missing", ""),
    ({"event_type": "login"}, "timestamp is missing", ""),
    (row(event_type="nothing"), "unknown event type", "nothing"),
    (row(details={"a": [float("nan")]}), "not valid JSON", "details.a: JSON has no NaN"),
    (row(details={"a": {1}}), NO_ROW, "details.a: expected what JSON can say, got set"),
    (row(details={1: 2}), NO_ROW, "details: expected text as a key, got 1"),
    ({5: 1}, NO_ROW, "the event: expected text as a key, got 5"),
    (row(details=CYCLE), "nested too deeply", ""),
    (row(user_id="\ud800"), NO_ROW, "str is not valid UTF-8: surrogates not allowed"),
    (row(details={"n": 10**5000}), NO_ROW, "details.n: Exceeds the limit"),
]


def test_bad_mappings_are_quarantined(tmp_path: Path) -> None:
    """Each that cannot be an event is kept with its reason and its number, and those around them land."""
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(row(user_id="before"), [record for record, _, _ in BAD], row(user_id="after")))
    found = sorted(kept(summary), key=lambda item: item.line)

    assert (summary.landed, {item.input for item in found}) == (2, {"python"})
    assert [(item.line, item.reason, item.detail[: len(BAD[n][2])]) for n, item in enumerate(found)] == [
        (n, reason, detail) for n, (_, reason, detail) in enumerate(BAD, 2)
    ]


def test_a_bad_mapping_alone(tmp_path: Path) -> None:
    """Where nothing else shows what it is, it is quarantined too, and strict lands nothing."""
    lake = made(tmp_path / "lake")

    assert [lake.ingest(record).quarantined for record in ({}, row(details={"a": {1}}))] == [1, 1]
    with pytest.raises(StrictIngestError):
        lake.ingest({}, strict=True)


def test_a_long_bad_mapping(tmp_path: Path) -> None:
    """Of one that is longer than the limit the beginning is kept, and the length and digest of all of it."""
    lake = made(tmp_path / "lake", max_record=1000)
    (item,) = kept(checked(lake, lake.ingest(row(details={"a": {1}, "b": "x" * 200_000}))))

    assert item.reason == NO_ROW
    assert len(item.data) < 65_536 < 200_000 < item.length
    assert item.sha256 is not None


def test_rows_of_a_table_are_quarantined(tmp_path: Path) -> None:
    """A row that cannot be an event is kept with its number, as one of a Parquet file is."""
    frame = pl.DataFrame(
        {"event_type": ["login", "nothing", "login"], "timestamp": [NOW] * 3, "n": [1.0, 2.0, float("inf")]}
    )
    lake = made(tmp_path / "lake")
    bad = kept(checked(lake, lake.ingest(frame)))

    assert [(item.line, item.reason) for item in bad] == [(3, "not valid JSON"), (2, "unknown event type")]


def test_an_id_twice(tmp_path: Path) -> None:
    """Another event with an id that is there is a conflict; its bytes come from the table again."""
    frame = pl.DataFrame([row(event_id="e", user_id="a"), row(event_id="e", user_id="b")])
    lake = made(tmp_path / "lake")
    (item,) = kept(checked(lake, lake.ingest(frame)))

    assert (item.reason, json.loads(item.data)["user_id"]) == ("id_conflict", "b")


def test_several_at_once(tmp_path: Path) -> None:
    """Paths, events, mappings and tables go into one commit, and each file and table is an input of its own."""
    file = put(tmp_path / "x.jsonl", AuditEvent("login", NOW).to_json())
    lake = made(tmp_path / "lake")
    frame = pl.DataFrame([row(user_id="table")])
    summary = checked(
        lake, lake.ingest(file, AuditEvent("logout", NOW), frame, [row(user_id="dict")], frame.to_pandas())
    )

    assert [(each.name, each.format, each.read) for each in summary.inputs] == [
        (str(file), "lines", 1), ("python", "lines", 2), ("python 2", "arrow", 1), ("python 3", "arrow", 1),
    ]  # fmt: skip
    assert (summary.landed, summary.duplicates) == (4, 1)


def test_records_of_another_source(tmp_path: Path) -> None:
    """Mappings of CloudTrail are recognised, one by one or as the document that holds them."""
    record = {
        "eventVersion": "1.08", "eventSource": "iam.amazonaws.com", "eventName": "GetUser",
        "eventTime": "2026-11-24T09:00:00Z", "eventID": "e", "awsRegion": "eu-west-1",
    }  # fmt: skip
    lake = made(tmp_path / "lake")

    assert [each.source for each in checked(lake, lake.ingest([record])).inputs] == ["cloudtrail"]
    assert checked(lake, lake.ingest({"Records": [record]}), 1).duplicates == 1
    assert lake.ingest(record, {}, source="cloudtrail").quarantined == 1


def test_no_source_is_asked_about_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is an AuditEvent is of auditlake's own form; a mapping may be a record of any source."""
    asked: list[str] = []

    def recognise(head: bytes, name: str, *rest: Any) -> Any:
        asked.append(name)
        return recognised(head, name, *rest)

    recognised = reader.recognise
    monkeypatch.setattr(reader, "recognise", recognise)
    lake = made(tmp_path)
    several = [AuditEvent(EventType.LOGIN, NOW, user_id=name) for name in ("a", "b")]

    (events,) = lake.ingest(iter(several)).inputs
    assert (events.source, events.format, events.landed, asked) == ("auditlake", "lines", 2, [])
    (mixed,) = lake.ingest(several[0], {"event_type": "login", "timestamp": NOW}).inputs
    assert (mixed.source, mixed.format, asked) == ("auditlake", "lines", ["python"])


def test_an_index_of_pandas(tmp_path: Path) -> None:
    """A named index is a column; one that counts rows is none, wherever a selection left it."""
    frame = pd.DataFrame([row(user_id="a"), row(user_id="b")])
    lake, other = made(tmp_path / "lake"), made(tmp_path / "other")
    checked(lake, lake.ingest(frame.set_index("timestamp"), strict=True))
    checked(other, other.ingest(frame[frame["user_id"] == "b"]))

    assert [event["metadata"] for event in events(lake)] == [None, None]
    assert [(event["user_id"], event["metadata"]) for event in events(other)] == [("b", None)]


def test_objects_of_pandas(tmp_path: Path) -> None:
    """Dicts of different keys in one column keep their keys, NaN in it is missing, and objects cost no other row."""
    frame = pd.DataFrame(
        [row(details={"a": 1}), row(details={"b": "x"}), row(details=float("nan")), row(details={"c": {1}})]
    )
    lake = made(tmp_path / "lake")
    (item,) = kept(checked(lake, lake.ingest(frame)))

    assert {event["details"] for event in events(lake)} == {'{"a":1}', '{"b":"x"}', None}
    assert item.line == 4


def test_objects_of_polars(tmp_path: Path) -> None:
    """A column of Python's objects is read object by object: for Arrow they are nothing but addresses."""
    details = pl.Series("details", [{"a": 1}, {"b": [Decimal("1.5")]}], pl.Object)
    frame = pl.DataFrame([row(), row()]).with_columns(details)
    lake = made(tmp_path / "lake")
    checked(lake, lake.ingest(frame, strict=True))

    assert {event["details"] for event in events(lake)} == {'{"a":1}', '{"b":["1.5"]}'}


def test_rows_of_a_lake(tmp_path: Path) -> None:
    """The answer of one lake is an input of another: the events are the same."""
    lake, other = made(tmp_path / "lake"), made(tmp_path / "other")
    lake.ingest(ROWS)

    checked(other, other.ingest(lake.events(), strict=True))
    assert events(other) == events(lake)


def test_large_tables_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the pieces are in which a table comes, no more than some rows are read at once."""
    monkeypatch.setattr(python_events, "_ROWS", 3)
    lake = made(tmp_path / "lake")
    frame = pd.DataFrame([row(event_id=f"e{n}", details={str(n): n}) for n in range(10)])

    assert checked(lake, lake.ingest(pl.DataFrame([row(event_id=f"t{n}") for n in range(10)]))).landed == 10
    assert checked(lake, lake.ingest(frame), 10).landed == 10


def names() -> Iterator[Any]:
    yield "a.jsonl"


NONE: list[Any] = [5, None, b"x", ["a.jsonl"], names(), [[row()]], pl.LazyFrame([row()]), dict, pl.DataFrame]


def test_what_is_no_event(tmp_path: Path) -> None:
    """Anything else is an error that says what is expected, and nothing lands."""
    lake = made(tmp_path / "lake")
    for argument in NONE:
        with pytest.raises(EventError, match=r"expected a path, an AuditEvent, a mapping .* or a table .*, got "):
            lake.ingest(row(), argument)
    assert lake.snapshot().rows == 0


def test_tables_that_hold_no_events(tmp_path: Path) -> None:
    """Without an event's columns, with a column twice, or of a type that Arrow does not read, a table is refused."""
    lake = made(tmp_path / "lake")
    with pytest.raises(UnrecognisedInputError, match="python: no column event_type and no column timestamp"):
        lake.ingest(pl.DataFrame({"a": [1]}))
    with pytest.raises(EventError, match="column user_id is there twice"):
        lake.ingest(pd.DataFrame([["a", "b"]], columns=["user_id", "user_id"]))
    with pytest.raises(EventError, match=r"a DataFrame cannot be read as a table: .*i128"):
        lake.ingest(pl.DataFrame([row()]).with_columns(n=pl.lit(1, pl.Int128)))
    with pytest.raises(EventError, match="a Series cannot be read as a table"):
        lake.ingest(pl.Series([1]))
    assert lake.ingest(pl.DataFrame([row()]).clear()).read == 0
