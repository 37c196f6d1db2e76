"""Files that another Delta writer added to the table: nothing of them goes uncounted, and they stop nobody."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake import AuditLake
from auditlake.retention.cleanup import certificate_paths
from auditlake.store.deltalog import newest_version
from tests.retention.lakes import DAY, NOW, bring, graced, ids, made, policy_text, record
from tests.store.lakes import data_files


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake that keeps logins for five days, with one login that is due and one that is not, without grace."""
    lake = graced(made(tmp_path / "lake", {"five": policy_text(["login"], "5d")}), "0h")
    bring(lake, [record(0, NOW - 9 * DAY), record(1, NOW - DAY)])
    return lake


def add(
    lake: AuditLake, day: date, *rows: tuple[str, str, datetime], stats: int | None = None, int96: bool = False
) -> None:
    """A file of a partition with events of any times, as another program commits it; with its row count, or without."""
    schema = pq.read_schema(lake.layout.events / lake.snapshot().files[0].path)
    name = f"event_date={day}/part-00000-{len(rows)}.c000.snappy.parquet"
    path = lake.layout.events / name
    path.parent.mkdir(exist_ok=True)
    columns = dict(zip(("event_id", "event_type", "timestamp"), zip(*rows, strict=True), strict=True))
    pq.write_table(
        pa.table({
            each.name: pa.array(columns.get(each.name, [None] * len(rows)), each.type) for each in schema
        }),
        path,
        use_deprecated_int96_timestamps=int96,
    )  # fmt: skip
    action = {
        "path": name, "size": path.stat().st_size, "partitionValues": {"event_date": str(day)}, "dataChange": True,
        "modificationTime": 0,
    } | ({} if stats is None else {"stats": json.dumps({"numRecords": stats})})  # fmt: skip
    entry = lake.layout.commit(newest_version(lake.layout) + 1)
    entry.write_text(json.dumps({"add": action}) + "\n" + json.dumps({"commitInfo": {"timestamp": 0}}))


@pytest.mark.parametrize("kind", ["login", "logout"])
def test_a_partition_with_rows_of_another_day(kind: str, lake: AuditLake) -> None:
    """An event that lies in the partition of another day stays if it is not due, and is counted if it is."""
    old = (NOW - 9 * DAY).date()
    add(lake, old, ("other", kind, NOW - DAY), stats=1)
    add(lake, (NOW - DAY).date(), ("late", "login", NOW - 20 * DAY), ("this", "login", NOW - DAY), stats=2)
    (first, second) = lake.retention.plan().changes
    planned = [(each.action, each.events, each.deleted) for each in (first, second)]
    assert planned == [("rewrite", 2, 1), ("rewrite", 3, 1)]
    done = lake.retention.apply(accept_weaker="tests")

    assert ids(lake) == ["e1", "other", "this"]
    said = json.loads(certificate_paths(lake.layout, done.certificate or "")[0].read_bytes())
    assert (said["deleted"], [each["deleted"] for each in said["partitions"]]) == (2, [1, 1])


def test_instants_without_a_zone(lake: AuditLake) -> None:
    """A file whose instants have no zone, as Spark writes them, is read as UTC and changes no other file."""
    bring(lake, [record(n, NOW - n * DAY / 4) for n in range(2, 60)], "more.jsonl")
    before = lake.events().fetchall()
    add(lake, (NOW - 2 * DAY).date(), ("spark", "login", NOW - 2 * DAY), stats=1, int96=True)
    assert len(lake.events().fetchall()) == len(before) + 1
    ((kind, at),) = lake.sql("select typeof(timestamp), timestamp from events where event_id = 'spark'").fetchall()
    assert (kind, at) == ("TIMESTAMP WITH TIME ZONE", NOW - 2 * DAY)
    lake.retention.apply(accept_weaker="tests")
    kinds = {pq.read_schema(lake.layout.events / each.path).field("timestamp").type for each in lake.snapshot().files
             if "snappy" not in each.path}  # fmt: skip
    assert kinds == {pa.timestamp("us", "UTC")}


def test_a_dropped_partition_counts_all_its_rows(lake: AuditLake) -> None:
    """A partition goes whole if all of its rows are due, those of other days among them."""
    add(lake, (NOW - 9 * DAY).date(), ("other", "login", NOW - 7 * DAY), stats=1)
    (only,) = lake.retention.plan().changes
    assert (only.action, only.events, only.deleted) == ("drop", 2, 2)
    lake.retention.apply(accept_weaker="tests")
    assert ids(lake) == ["e1"]
    assert data_files(lake) == {file.path for file in lake.snapshot().files}


def test_files_without_row_counts(lake: AuditLake) -> None:
    """A file whose number of rows the log does not say is counted, written anew, compacted, and erased from."""
    today = (NOW - DAY).date()
    add(lake, today, ("old", "login", NOW - 6 * DAY), ("new", "login", NOW - DAY))
    assert lake.snapshot().rows == 4
    assert lake.compact(grace_seconds=0).days == 1
    add(lake, today, *((f"n{n}", "login", NOW - DAY + timedelta(hours=n)) for n in range(3)))
    assert lake.retention.apply(accept_weaker="tests").plan.due == 2
    assert data_files(lake) == {file.path for file in lake.snapshot().files}
    lake.retention.erase("user 1", reason="r", ticket="t")

    assert ids(lake) == ["e1", "n0", "n1", "n2", "new"]
