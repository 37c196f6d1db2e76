"""Parquet: every value is what it was or refused with what it was, and no column costs a row that does not need it."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake.sources.values import values
from tests.ingest.lakes import checked, events, kept, made, put
from tests.soak import mostly

FAULTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "faults"
shared = pytest.mark.skipif(not FAULTS.exists(), reason="no ../shared here")


def table(path: Path, rows: int, **columns: Any) -> Path:
    """A file of logins with ids and these columns besides."""
    known: dict[str, Any] = {"event_id": [f"r{i}" for i in range(rows)], "event_type": ["login"] * rows}
    known |= {} if "timestamp" in columns else {"timestamp": ["2026-11-01T00:00:00Z"] * rows}
    pq.write_table(pa.table({**known, **columns}), path, coerce_timestamps=None, use_deprecated_int96_timestamps=False)
    return path


@shared
def test_faults(tmp_path: Path) -> None:
    """INT96 does not wrap, durations cost no row, NaN is refused as in JSON, bytes that are UTF-8 are text."""
    lake = made(tmp_path / "lake")
    names = ("int96_spark", "duration_ns", "nan", "binary_text")
    summaries = {name: lake.ingest(FAULTS / f"{name}.parquet") for name in names}
    assert {name: (each.landed, dict(each.reasons)) for name, each in summaries.items()} == {
        "int96_spark": (3, {"a time outside of 1970 to 9998": 3}), "duration_ns": (1, {}),
        "nan": (0, {"not valid JSON": 1}), "binary_text": (1, {}),
    }  # fmt: skip
    assert sorted(item.value[:10] for item in kept(summaries["int96_spark"])) == [
        "1450-01-01", "1601-01-01", "9999-12-31",
    ]  # fmt: skip
    (refused,) = kept(summaries["nan"])
    assert (refused.field, refused.value) == ("details.score", "NaN")
    assert b'"score":NaN,"max":Infinity' in refused.data
    found = {event["event_id"]: event for event in events(lake)}
    assert found["b1"]["user_id"] == "alice"
    assert json.loads(found["d1"]["metadata"]) == {"_extra": {"took": "0:00:00.000000001"}}
    assert {found[name]["timestamp"].year for name in ("s1", "s2", "s3")} == {2026, 2300, 2610}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_beyond_ours(tmp_path: Path, unit: str) -> None:
    """A time that we have no room for is quarantined as the time that it is, whatever its unit."""
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    years = {-86_400: "1969-12-31T00:00:00.", -9_200_000_000: "1678-06-18T12:26:40."}
    if unit != "ns":
        years |= {2**40: "+36812-02-20T00:36:16.", -(2**36): "-0208-05-13T16:27:44."}
        years |= {-62_167_219_200: "0000-01-01T00:00:00."}
    if unit == "s":
        years |= {2**62: "+146138514283-06-19T07:45:04.", -(2**62): "-146138510344-07-14T16:14:56."}
    stamps = pa.array([seconds * per for seconds in years]).cast(pa.timestamp(unit))
    lake = made(tmp_path / "lake")
    schema = pa.schema([("event_type", pa.string()), ("timestamp", pa.timestamp(unit))])
    path = tmp_path / "x.arrow.parquet"
    if unit == "s":  # Parquet has no seconds: such a column comes from Arrow's own schema, or not at all
        found = values(stamps)[0]
        assert [text.startswith(year) for text, year in zip(found, years.values(), strict=True)] == [True] * len(years)
        return
    pq.write_table(pa.table([pa.array(["login"] * len(stamps)), stamps], schema=schema), path)
    items = kept(checked(lake, lake.ingest(path)))
    assert [item.reason for item in items] == ["a time outside of 1970 to 9998"] * len(years)
    assert all(item.value.startswith(year) for item, year in zip(items, years.values(), strict=True))


def test_columns_that_nobody_needs(tmp_path: Path) -> None:
    """Durations, nested nanoseconds, odd dates and times of day become text, and the row lands."""
    nested = pa.struct([("at", pa.timestamp("ns", "UTC")), ("took", pa.list_(pa.duration("ns")))])
    columns = {
        "a": pa.array([timedelta(days=2, microseconds=7)], pa.duration("us")),
        "b": pa.array([[{"at": 1_700_000_000_000_000_001, "took": [1, 10**15 + 1000]}]], pa.list_(nested)),
        "c": pa.array([10**9 + 1], pa.time64("ns")),
        "d": pa.array([2**30], pa.int32()).cast(pa.date32()),
        "e": pa.array([date(2026, 1, 2)]),
        "f": pa.array([{"x": 2**60}], pa.struct([("x", pa.timestamp("us"))])),
        "g": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        "h": pa.array([[(1, b"\xff"), (2, b"ok")]], pa.map_(pa.int8(), pa.binary())),
    }
    lake = made(tmp_path / "lake")
    lake.ingest(table(tmp_path / "x.parquet", 1, **columns), strict=True)
    (event,) = events(lake)
    assert json.loads(event["metadata"])["_extra"] == {
        "a": "2 days, 0:00:00.000007",
        "b": [{"at": "2023-11-14T22:13:20.000000001Z", "took": ["0:00:00.000000001", "11 days, 13:46:40.000001"]}],
        "c": "00:00:01.000000001", "d": "+2941775-04-07", "e": "2026-01-02",
        "f": {"x": "+38504-08-17T21:30:06.846976Z"},
        "g": "2023-11-14T22:13:20.123456789Z", "h": [[1, "ff"], [2, "ok"]],
    }  # fmt: skip


def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    """NaN and Infinity are refused wherever they stand, with their field and all of the row, as a line of JSON is."""
    inf, nan = float("inf"), float("nan")
    path = table(tmp_path / "x.parquet", 3, n=[1.5, -inf, 2.5], details=[{"a": [1.0]}, {"a": [1.0]}, {"a": [1.0, nan]}])
    lines = put(tmp_path / "y.jsonl", '{"event_type":"login","timestamp":"2026-11-01T00:00:00Z","n":NaN}')
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(path, lines))
    assert (summary.landed, dict(summary.reasons)) == (1, {"not valid JSON": 3})
    told = [(item.field, item.value) for item in kept(summary) if item.input == str(path)]
    assert told == [("n", "-Infinity"), ("details.a", "NaN")]
    assert b'"n":-Infinity' in kept(summary)[0].data


def test_bytes_that_are_text(tmp_path: Path) -> None:
    """Bytes that are UTF-8 are text, also JSON text; what an earlier build had hexadecimal is known still."""
    texts = {"user_id": "bj\u00f6rn", "details": '{"a":[1]}', "resource": "ok"}
    columns = {name: pa.array([text.encode()], pa.binary()) for name, text in texts.items()}
    columns["resource"] = pa.array([b"\xff\xfe"], pa.binary())
    path = table(tmp_path / "x.parquet", 1, **columns, odd=pa.array(["a"]))
    lake = made(tmp_path / "lake")
    lake.ingest(path, strict=True)
    (event,) = events(lake)
    assert {name: event[name] for name in texts} == {**texts, "resource": "fffe"}

    bare = pq.read_table(path).drop_columns(["event_id"])
    pq.write_table(bare, path)
    hexed = {**{name: text.encode().hex() for name, text in texts.items()}, "resource": "fffe"}
    raw = json.dumps(
        {"event_type": "login", "timestamp": "2026-11-01T00:00:00Z", **hexed, "odd": "a"}, separators=(",", ":")
    )
    name = hashlib.sha256(f"auditlake\n{hashlib.sha256(raw.encode()).hexdigest()}\n1".encode()).hexdigest()
    older = made(tmp_path / "older")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.ingest.ingest.EXACT", "auditlake-nothing")
        older.ingest(put(tmp_path / "before.jsonl", f'{{"event_id":"{name}",{raw[1:]}'), strict=True)
    assert checked(older, older.ingest(path), 1).duplicates == 1


def test_refused_rows_have_their_content(tmp_path: Path) -> None:
    """A row with text that is not UTF-8 is quarantined with everything that it says, and the field at fault."""
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ab", b"\xffz"]).buffers())
    path = table(tmp_path / "x.parquet", 2, user_id=bad, action=["read", "write"])
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(path))
    (item,) = kept(summary)
    assert (summary.landed, item.line, item.field, item.value) == (1, 2, "user_id", "\\xffz")
    assert json.loads(item.data) == {
        "event_id": "r1", "event_type": "login", "timestamp": "2026-11-01T00:00:00Z", "user_id": "\\xffz",
        "action": "write",
    }  # fmt: skip


FAR = (2**63 - 1, 1 - 2**63, 2**62, -(2**62), 9223372036854776)


@pytest.mark.parametrize("unit", mostly(["ms", "us", "ns"], always=["ms", "ns"]))
def test_a_time_beyond_all_costs_its_own_row(tmp_path: Path, unit: str) -> None:
    """A time as far as its unit goes is quarantined as what it is, costs nothing elsewhere, and its neighbours land."""
    per = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    stamps = pa.array([*FAR, 1_700_000_000 * per], pa.int64()).cast(pa.timestamp(unit, "UTC"))
    lake = made(tmp_path / "lake")
    timed = lake.ingest(table(tmp_path / "time.parquet", len(stamps), timestamp=stamps))
    told = values(stamps)[0]
    beyond = [each for each in told if not "1970" <= each[:4] <= "9998"]
    assert timed.landed == len(stamps) - len(beyond)
    assert len(beyond) == {"ms": 5, "us": 4, "ns": 2}[unit]
    assert sorted(item.value for item in kept(timed)) == sorted(beyond)
    assert set(timed.reasons) == {"a time outside of 1970 to 9998"}
    ids = [f"o{i}" for i in range(len(stamps))]
    nested = pa.StructArray.from_arrays([stamps], names=["at"])
    other = lake.ingest(table(tmp_path / "other.parquet", len(stamps), event_id=ids, seen=stamps, more=nested))
    assert (other.landed, other.quarantined) == (len(stamps), 0)
    found = {
        event["event_id"]: json.loads(event["metadata"])["_extra"]["seen"]
        for event in events(lake)
        if event["metadata"]
    }
    assert found == dict(zip(ids, told, strict=True))


def test_a_day_is_no_time(tmp_path: Path) -> None:
    """A bare date as an event's time is refused with its value, from a column of dates as from JSON."""
    lake = made(tmp_path / "lake")
    days = pa.array([19_000, 2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32())
    items = kept(lake.ingest(table(tmp_path / "days.parquet", 3, timestamp=days)))
    assert [(item.reason, item.field, item.value) for item in items] == [
        ("not a time", "timestamp", day) for day in ("2022-01-08", "+5881580-07-11", "-5877641-06-23")
    ]
    line = '{"event_id":"j","event_type":"login","timestamp":"2022-01-08"}'
    (item,) = kept(lake.ingest(put(tmp_path / "day.jsonl", line)))
    assert (item.reason, item.field, item.value) == ("not a time", "timestamp", "2022-01-08")
