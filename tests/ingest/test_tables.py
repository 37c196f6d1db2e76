"""CSV and Parquet: the same events, whichever form they come in."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ingest.lakes import checked, events, kept, login, made, put
from tests.soak import mostly

TEXTS = {
    "event_id": "t1", "event_type": "login", "timestamp": "2026-11-24T09:00:00.5+01:00", "user_id": 'al"i,ce\n',
    "action": "{",
    "resource": "[1]", "status": "NaN", "session_id": "é😀", "ip_address": "10.0.0.1",
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    TEXTS,
    {**dict.fromkeys(TEXTS), "event_id": "t2", "event_type": "logout", "timestamp": "2026-11-23 23:59:60"},
]


def as_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def test_the_same_events(tmp_path: Path) -> None:
    """Rows with ids that come as JSON, CSV and Parquet are one event each."""
    paths = [
        put(tmp_path / "a.jsonl", *map(json.dumps, ROWS)), as_csv(tmp_path / "b.csv", ROWS),
        as_csv(tmp_path / "c.tsv", ROWS, "\t"), as_csv(tmp_path / "d.txt", ROWS, ";", "utf-8-sig"),
        as_parquet(tmp_path / "e.parquet", ROWS),
        as_parquet(tmp_path / "f", ROWS, compression="zstd", row_group_size=1),
    ]  # fmt: skip
    for first in paths:
        lake = made(tmp_path / f"lake-{first.name}")
        summary = checked(lake, lake.ingest(first, *paths, strict=True))
        assert (summary.landed, summary.duplicates) == (2, 10)
        found = {event["event_id"]: event for event in events(lake)}
        assert {name: found["t1"][name] for name in TEXTS if name != "timestamp"} == {
            name: text for name, text in TEXTS.items() if name != "timestamp"
        }
        assert found["t1"]["timestamp"] == datetime(2026, 11, 24, 8, 0, 0, 500_000, UTC)
        assert found["t2"]["user_id"] is None


def test_rows_without_ids(tmp_path: Path) -> None:
    """Equal rows of one table are as many events, and the same table again is none."""
    rows = [{"event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": "a"}] * 2
    for path in (as_csv(tmp_path / "a.csv", rows), as_parquet(tmp_path / "b.parquet", rows)):
        lake = made(tmp_path / f"lake-{path.name}")
        assert checked(lake, lake.ingest(path)).landed == 2
        assert checked(lake, lake.ingest(path), 2).duplicates == 2


def test_too_deep_in_a_cell(tmp_path: Path) -> None:
    """JSON in a cell counts with the level of the record around it: what lands as JSON lines lands as a table."""
    whole, deep = ("[" * n + "]" * n for n in (511, 512))
    row = {"event_type": "login", "timestamp": "2026-11-24T09:00:00Z"}
    rows = [row | {"event_id": "a", "details": whole}, row | {"event_id": "b", "details": deep}]
    lines = [json.dumps({**each, "details": json.loads(each["details"])}) for each in rows]
    for path in (put(tmp_path / "a.jsonl", *lines), as_csv(tmp_path / "b.csv", rows),
                 as_parquet(tmp_path / "c.parquet", rows)):  # fmt: skip
        lake = made(tmp_path / f"lake-{path.name}")
        summary = checked(lake, lake.ingest(path))
        assert (summary.landed, dict(summary.reasons)) == (1, {"nested too deeply": 1})
        assert [event["details"] for event in events(lake)] == [whole]
        (refused,) = kept(summary)
        assert refused.detail == "513 levels, at most 512 are allowed"


AT = datetime(2026, 11, 24, 9, 0, 0, 123_456, UTC)
UNITS = {
    "s": datetime(2026, 11, 24, 9, tzinfo=UTC), "ms": datetime(2026, 11, 24, 9, 0, 0, 123_000, UTC),
    "us": AT, "ns": AT,
}  # fmt: skip


ZONES = (None, "UTC", "Europe/Berlin", "+05:30")


@pytest.mark.parametrize(("unit", "zone"), mostly(product(UNITS, ZONES), always=zip(UNITS, ZONES, strict=True)))
def test_parquet_timestamps(tmp_path: Path, unit: str, zone: str | None) -> None:
    """A stored instant is what lands, whatever its unit and zone; a naive one is UTC."""
    micros = pa.array([AT], pa.timestamp("us", "UTC"))
    at = micros.cast(pa.timestamp(unit, "UTC"), safe=False).cast(pa.timestamp(unit, zone or "UTC"))
    at = at.cast(pa.int64()).cast(pa.timestamp(unit, zone))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"event_type": ["login"], "timestamp": at}), path)
    lake = made(tmp_path / "lake")
    lake.ingest(path, strict=True)
    assert [event["timestamp"] for event in events(lake)] == [UNITS[unit]]


def test_parquet_structures(tmp_path: Path) -> None:
    """Lists and structures in details and metadata are JSON, and unknown columns are kept."""
    row = {
        "event_type": "login", "timestamp": datetime(2026, 11, 24, tzinfo=UTC),
        "details": {"a": [1, None], "b": {"c": "d"}},
        "metadata": {"e": 1.5}, "unknown": [b"\xff"], "user_id": 7,
    }  # fmt: skip
    lake = made(tmp_path / "lake")
    lake.ingest(as_parquet(tmp_path / "x.parquet", [row]), strict=True)
    (event,) = events(lake)
    assert json.loads(event["details"]) == {"a": [1, None], "b": {"c": "d"}}
    assert json.loads(event["metadata"]) == {"e": 1.5, "_extra": {"unknown": ["ff"]}}
    assert event["user_id"] == "7"


def test_parquet_refused_rows(tmp_path: Path) -> None:
    """A row that cannot be an event is quarantined as its JSON text with its number."""
    rows: list[dict[str, Any]] = [
        TEXTS,
        {**TEXTS, "event_id": "x", "event_type": "none"},
        {**TEXTS, "event_id": "y", "timestamp": None},
    ]
    lake = made(tmp_path / "lake")
    found = kept(checked(lake, lake.ingest(as_parquet(tmp_path / "x.parquet", rows))))
    assert [(item.line, item.reason) for item in found] == [(2, "unknown event type"), (3, "timestamp is missing")]
    assert [json.loads(item.data) for item in found] == rows[1:]


def test_a_file_of_another_lake(tmp_path: Path) -> None:
    """A Parquet file taken out of a lake's events is the same events in another, and known ones in its own."""
    first, second = made(tmp_path / "first"), made(tmp_path / "second")
    first.ingest(put(tmp_path / "x.jsonl", *(login(n, user_id=f"u{n}") for n in range(9))))
    files = sorted(shutil.copytree(tmp_path / "first" / "events", tmp_path / "taken out").rglob("*.parquet"))
    assert checked(second, second.ingest(*files, strict=True)).landed == 9
    assert events(second) == events(first)
    assert checked(second, second.ingest(*files), 9).duplicates == 9
    assert checked(first, first.ingest(*files), 9).duplicates == 9


@pytest.mark.parametrize("form", ["x.csv", "x.parquet"])
def test_json_text_in_a_column(tmp_path: Path, form: str) -> None:
    """A table can hold details and metadata only as JSON text, which lands as the JSON that it is."""
    texts = {"details": '{"a":[1,"x"]}', "metadata": '{"b":{}}'}
    lake, rows = made(tmp_path / "lake"), [{**TEXTS, **texts}]
    write = as_csv if form == "x.csv" else as_parquet
    lake.ingest(write(tmp_path / form, rows), strict=True)
    assert [{name: event[name] for name in texts} for event in events(lake)] == [texts]
