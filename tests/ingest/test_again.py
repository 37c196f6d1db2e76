"""Ingesting again: what is there already is not landed twice, and nobody hides behind another's id."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.lakes import BARE, Kept, checked, events, ids, kept, login, made, put
from tests.ingest.oracle import content_id
from tests.soak import mostly

LINES = [*(login(n, user_id=f"u{n}") for n in range(6)), *(f'{{{BARE},"user_id":"v{n}"}}' for n in range(6))]


def test_twice_is_once(tmp_path: Path) -> None:
    """The same files again land nothing and leave the lake on its snapshot, whatever was quarantined."""
    lake = made(tmp_path / "lake")
    folder = tmp_path / "in"
    folder.mkdir()
    put(folder / "a.jsonl", *LINES, "not JSON", LINES[6], LINES[0])
    put(folder / "b.jsonl", *LINES[:3], login(0, user_id="other"), "{}")
    first = checked(lake, lake.ingest(folder))
    assert (first.landed, first.duplicates, first.quarantined) == (13, 4, 3)

    quarantined, there = sorted(lake.layout.quarantine.iterdir()), events(lake)
    for _ in range(2):
        again = checked(lake, lake.ingest(folder), before=13)
        assert (again.landed, again.duplicates, again.quarantined) == (0, 17, 3)
        assert (again.snapshot, again.batch) == (first.snapshot, None)
        assert (again.reasons, again.quarantine) == (first.reasons, first.quarantine)
    assert sorted(lake.layout.quarantine.iterdir()) == quarantined
    assert events(lake) == there


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.permutations(LINES), st.lists(st.integers(0, len(LINES)), max_size=3), st.booleans())
def test_split_and_shuffled(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], cuts: list[int], once: bool
) -> None:
    """Lines give the same events however they are split over files and ordered, in one ingest or in several."""
    tmp_path = tmp_path_factory.mktemp("split")
    bounds = sorted({0, *cuts, len(order)})
    paths = [put(tmp_path / f"{low}.jsonl", *order[low:high]) for low, high in pairwise(bounds)]
    lake = made(tmp_path / "lake")
    for group in [paths] if once else [[path] for path in paths]:
        lake.ingest(*group)

    whole = made(tmp_path / "whole")
    whole.ingest(put(tmp_path / "whole.jsonl", *LINES))
    assert sorted(map(repr, events(lake))) == sorted(map(repr, events(whole)))


def test_growing_file(tmp_path: Path) -> None:
    """A file that grows is ingested again and again, and a torn last line lands once it is whole."""
    lake, path = made(tmp_path / "lake"), tmp_path / "growing.jsonl"
    torn = LINES[7].encode()
    path.write_bytes("\n".join(LINES[:7]).encode() + b"\n" + torn[:20])
    first = checked(lake, lake.ingest(path))
    assert (first.landed, first.quarantined) == (7, 1)
    assert [(item.line, item.data) for item in kept(first)] == [(8, torn[:20])]

    for tail, landed in ((torn[20:], 1), (b"\n", 0), ((LINES[8] + "\n" + LINES[7]).encode(), 2), (b"\r\n\n", 0)):
        with path.open("ab") as file:
            file.write(tail)
        before = lake.snapshot().rows
        assert checked(lake, lake.ingest(path), before).landed == landed
    # A line is known by its bytes and how many like it came before in its file.
    assert ids(lake)[content_id(torn, 1)] == ids(lake)[content_id(torn, 2)] == 1


def test_line_twice_and_file_twice(tmp_path: Path) -> None:
    """The same line twice in a file without ids is two events; the same file under two names is one."""
    line = f"{{{BARE}}}"
    lake = made(tmp_path / "lake")
    path, copy = put(tmp_path / "a.jsonl", line, line), put(tmp_path / "b.jsonl", line, line, line)
    both = checked(lake, lake.ingest(path, copy))
    assert [(each.landed, each.duplicates) for each in both.inputs] == [(2, 0), (1, 2)]
    assert set(ids(lake)) == {content_id(line.encode(), n) for n in (1, 2, 3)}
    assert lake.ingest(copy, path, copy).duplicates == 5


def test_late_events(tmp_path: Path) -> None:
    """Events of a day that the lake has already are added to it, and are known afterwards."""
    lake = made(tmp_path / "lake")
    for before, number in enumerate((40, 12, 68)):
        checked(lake, lake.ingest(put(tmp_path / "late.jsonl", login(number))), before)
    assert len({event["event_date"] for event in events(lake)}) == 1
    assert lake.ingest(put(tmp_path / "all.jsonl", login(12), login(40), login(68))).duplicates == 3


FIRST = {
    "event_id": "same", "event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": "a", "action": "b",
    "resource": "c", "status": "d", "details": {"e": 1}, "metadata": {"f": [1]}, "session_id": "g", "ip_address": "h",
}  # fmt: skip
OTHERS = {
    "event_type": "logout", "timestamp": "2026-11-20T09:00:00.000001Z", "user_id": "A", "action": None, "resource": "",
    "status": "d ", "details": {"e": 2}, "metadata": None, "session_id": None, "ip_address": 0, "unknown": None,
}  # fmt: skip
SAME = {
    "timestamp": "2026-11-24 10:00:00.0000009+01:00", "event_type": "login", "details": {"e": 1},
}  # fmt: skip
"""Another way to write the same."""


@pytest.mark.parametrize("where", ["same file", "other file", "lake"])
def test_conflict(tmp_path: Path, where: str) -> None:
    """Another event under a known id is quarantined whichever field differs; the first one stays as it is."""
    lake = made(tmp_path / "lake")
    first = [json.dumps({**FIRST, "event_id": name}) for name in OTHERS]
    second = [json.dumps({**FIRST, "event_id": name, name: value}) for name, value in OTHERS.items()]
    equal = [json.dumps({**FIRST, **SAME, "event_id": name}, separators=(" , ", " : ")) for name in OTHERS]
    if where == "same file":
        summary = lake.ingest(put(tmp_path / "x.jsonl", *first, *second, *equal))
    else:
        path, other = put(tmp_path / "1.jsonl", *first), put(tmp_path / "2.jsonl", *second, *equal)
        summary = lake.ingest(path, other) if where == "other file" else (lake.ingest(path), lake.ingest(other))[1]
    assert [(item.reason, item.data.decode()) for item in kept(summary)] == [("id_conflict", line) for line in second]
    assert (summary.duplicates, summary.quarantined) == (len(OTHERS), len(OTHERS))
    assert [event["user_id"] for event in events(lake)] == ["a"] * len(OTHERS)


def _lines(path: Path, rows: list[dict[str, str]]) -> bytes:
    return put(path, *map(json.dumps, rows)).read_bytes()


def _csv(path: Path, rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue(), newline="")
    return path.read_bytes()


def _gzip(path: Path, rows: list[dict[str, str]]) -> bytes:
    data = _lines(path, rows)
    path.write_bytes(gzip.compress(data[:100]) + gzip.compress(data[100:]))
    return data


def _array(path: Path, rows: list[dict[str, str]]) -> bytes:
    path.write_text(json.dumps(rows, indent=2))
    return path.read_bytes()


ROWS = [
    {"event_id": f"{n % 5}", "event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": f'"{n}"\n'}
    for n in range(9)
]
FORMS: dict[str, Callable[[Path, list[dict[str, str]]], bytes]] = {
    "x.jsonl": _lines, "x.jsonl.gz": _gzip, "x.csv": _csv, "x.json": _array,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_conflicts_keep_the_original_bytes(tmp_path: Path, name: str) -> None:
    """What conflicts is fetched again from its place in the (decompressed) input, byte for byte."""
    data = FORMS[name](tmp_path / name, ROWS)
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(tmp_path / name))
    assert (summary.landed, summary.reasons) == (5, {"id_conflict": 4})
    _see(kept(summary), data)


def _see(found: list[Kept], data: bytes) -> None:
    for n, item in enumerate(found, 5):
        assert data[item.offset : item.offset + item.length] == item.data
        assert data[: item.offset].count(b"\n") == item.line - 1
        assert f"{n}".encode() in item.data
        assert item.data == item.data.strip()


@pytest.mark.parametrize("name", mostly(["x.jsonl", "x.jsonl.gz", "x.csv"], always=["x.jsonl.gz"]))
def test_conflicts_from_standard_input(tmp_path: Path, name: str) -> None:
    """What came through a pipe and is gone is quarantined with its bytes all the same."""
    data = FORMS[name](tmp_path / name, ROWS)
    lake = made(tmp_path / "lake")
    command = [sys.executable, "-m", "auditlake", "--lake", str(lake.layout.root), "ingest", "--json", "-"]
    done = subprocess.run(command, input=(tmp_path / name).read_bytes(), capture_output=True, check=True)
    answer = json.loads(done.stdout)
    assert (answer["landed"], answer["reasons"], answer["inputs"][0]["name"]) == (5, {"id_conflict": 4}, "-")
    entries = [json.loads(line) for line in Path(answer["quarantine"]).read_bytes().splitlines()]
    assert [entry["data"].encode() for entry in entries] == [
        data[entry["offset"] : entry["offset"] + entry["length"]] for entry in entries
    ]
    assert [entry["line"] for entry in entries] == [data[: entry["offset"]].count(b"\n") + 1 for entry in entries]


def test_parquet_conflicts(tmp_path: Path) -> None:
    """A row of a Parquet file that conflicts is kept as its JSON text, and the numbers add up."""
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet", row_group_size=2)
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(tmp_path / "x.parquet"))
    assert (summary.landed, summary.reasons) == (5, {"id_conflict": 4})
    assert [(item.line, item.offset, json.loads(item.data)) for item in kept(summary)] == [
        (n + 1, -1, ROWS[n]) for n in range(5, 9)
    ]


def test_an_id_that_is_there_twice(tmp_path: Path) -> None:
    """Where another program has put an event in a second time, the numbers of an ingest are right all the same."""
    lake = made(tmp_path / "lake")
    lake.ingest(put(tmp_path / "a.jsonl", *(login(n, user_id="u") for n in range(5))))
    rows = deltalake.DeltaTable(lake.layout.events).to_pyarrow_table().slice(0, 1)
    deltalake.write_deltalake(lake.layout.events, rows, mode="append")

    again = lake.ingest(put(tmp_path / "b.jsonl", *(login(n, user_id="u") for n in range(10))))
    assert (again.landed, again.duplicates, again.quarantined) == (5, 5, 0)
    (known,) = rows["event_id"].to_pylist()
    other = lake.ingest(put(tmp_path / "c.jsonl", login(int(known[1:]), user_id="other")))
    assert (other.landed, other.duplicates, other.quarantined) == (0, 0, 1)


def test_bounds_of_files_are_in_utc(tmp_path: Path) -> None:
    """What the log says of a file's times does not depend on the machine's time zone, nor on where the rows waited."""
    path = put(tmp_path / "a.jsonl", *(login(n) for n in range(5)))
    script = (
        "import sys, auditlake, auditlake.ingest.day_buffer as s\n"
        "for s._HELD_BYTES in 0, 1000000:\n"
        "    auditlake.create(f'{sys.argv[1]}{s._HELD_BYTES}').ingest(sys.argv[2])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lake"), str(path)]
    subprocess.run(command, check=True, env={**os.environ, "TZ": "Europe/Berlin"})
    found = []
    for held in ("0", "1000000"):
        entry = (tmp_path / f"lake{held}" / "events" / "_delta_log" / f"{1:020d}.json").read_text()
        found.append(sorted(json.loads(line)["add"]["stats"] for line in entry.splitlines() if '"add"' in line))

    assert found[0] == found[1]
    assert all("+" not in stats for stats in found[0])
    assert len(found[0]) == 5
