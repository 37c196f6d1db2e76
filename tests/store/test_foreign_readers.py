"""What other programs find in the Delta table when they filter: the same rows as auditlake, whatever they filter on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from pyarrow import dataset

from auditlake import AuditLake
from auditlake.ingest import day_files
from auditlake.store import commit, dayfile, log_checkpoint
from auditlake.store.model import DataFile
from auditlake.upkeep import doctor
from tests.lakes import create as in_classes
from tests.store.lakes import NOW, made, opened, write_events

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NOON = datetime(2026, 3, 2, 11, 0, 0, tzinfo=UTC)
FILTERS = {
    "text": "event_id = 'e5'",
    "prefix": "event_type like 'auth%'",
    "type": "event_type = 'auth_failure'",
    "types": "event_type in ('login', 'nothing')",
    "other types": "event_type <> 'auth_failure'",
    "types from one on": "event_type >= 'data_access'",
    "among": "user_id in ('user 1', 'nobody')",
    "null": "status is null",
    "a null in some": "user_id is null",
    "not null": "user_id is not null",
    "time": "\"timestamp\" > timestamptz '2026-03-02 11:00:00+00'",
    "time not null": '"timestamp" is not null',
    "partition": "event_date = date '2026-03-02'",
    "both": "event_date >= date '2026-03-02' and user_id = 'user 0'",
}
"""Conditions, in DuckDB's words."""
field = dataset.field
ARROW = {
    "text": field("event_id") == "e5",
    "prefix": field("event_type") == "auth_failure",
    "type": field("event_type") == "auth_failure",
    "types": field("event_type").isin(["login", "nothing"]),
    "other types": field("event_type") != "auth_failure",
    "types from one on": field("event_type") >= "data_access",
    "among": field("user_id").isin(["user 1", "nobody"]),
    "null": field("status").is_null(),
    "a null in some": field("user_id").is_null(),
    "not null": field("user_id").is_valid(),
    "time": field("timestamp") > pa.scalar(NOON, pa.timestamp("us", "UTC")),
    "time not null": field("timestamp").is_valid(),
    "partition": field("event_date") == date(2026, 3, 2),
    "both": (field("event_date") >= date(2026, 3, 2)) & (field("user_id") == "user 0"),
}
POLARS = {
    "text": pl.col("event_id") == "e5",
    "prefix": pl.col("event_type").str.starts_with("auth"),
    "type": pl.col("event_type") == "auth_failure",
    "types": pl.col("event_type").is_in(["login", "nothing"]),
    "other types": pl.col("event_type") != "auth_failure",
    "types from one on": pl.col("event_type") >= "data_access",
    "among": pl.col("user_id").is_in(["user 1", "nobody"]),
    "null": pl.col("status").is_null(),
    "a null in some": pl.col("user_id").is_null(),
    "not null": pl.col("user_id").is_not_null(),
    "time": pl.col("timestamp") > NOON,
    "time not null": pl.col("timestamp").is_not_null(),
    "partition": pl.col("event_date") == date(2026, 3, 2),
    "both": (pl.col("event_date") >= date(2026, 3, 2)) & (pl.col("user_id") == "user 0"),
}


def through_duckdb(events: Path, name: str) -> list[str]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("events", DeltaTable(str(events)).to_pyarrow_dataset())
        return [row[0] for row in connection.execute(f"select event_id from events where {FILTERS[name]}").fetchall()]


def through_delta(events: Path, name: str) -> list[str]:
    query = QueryBuilder().register("events", DeltaTable(str(events)))
    condition = FILTERS[name].replace("timestamptz '2026-03-02 11:00:00+00'", "timestamp '2026-03-02T11:00:00Z'")
    return pa.table(query.execute(f"select event_id from events where {condition}"))["event_id"].to_pylist()


def arrow_ids(table: Any) -> list[str]:
    return table["event_id"].to_pylist()


READERS: dict[str, Callable[[Path, str], list[str]]] = {
    "arrow": lambda events, name: arrow_ids(DeltaTable(str(events)).to_pyarrow_dataset().to_table(filter=ARROW[name])),
    "delta-rs": lambda events, name: arrow_ids(DeltaTable(str(events)).to_pyarrow_table(filters=ARROW[name])),
    "delta-rs, SQL": through_delta,
    "DuckDB": through_duckdb,
    "Polars": lambda events, name: pl.scan_delta(str(events)).filter(POLARS[name]).collect()["event_id"].to_list(),
    "Polars, Arrow": lambda events, name: (
        pl.scan_delta(str(events), use_pyarrow=True).filter(POLARS[name]).collect()["event_id"].to_list()
    ),
}


def wrong(lake: AuditLake, names: Iterable[str] = ("text", "null"), readers: Iterable[str] = ("arrow",)) -> list[Any]:
    """The readers and filters that find something else than auditlake, and how many events each."""
    found = []
    for name in names:
        ours = sorted(row[0] for row in lake.sql(f"select event_id from events where {FILTERS[name]}"))
        assert ours
        for reader, read in ((each, READERS[each]) for each in readers):
            if sorted(theirs := read(lake.layout.events, name)) != ours:
                found.append((reader, name, len(theirs), len(ours)))
    return found


def without_types(*given: Any) -> list[tuple[Path, DataFile]]:
    """The files of an ingest as earlier versions described them."""
    return [(draft, replace(file, types=None)) for draft, file in dayfile.write_classes(*given)]


def older_lake(folder: Path, patch: pytest.MonkeyPatch) -> AuditLake:
    """A lake whose log does not say which columns have statistics, as earlier versions made them."""
    older = {key: value for key, value in commit.CONFIGURATION.items() if key not in commit.STATISTICS}
    with patch.context() as earlier:
        earlier.setattr(commit, "CONFIGURATION", older)
        earlier.setattr(commit, "_wanted_statistics", lambda *_: None)
        earlier.setattr(day_files, "write_classes", without_types)
        lake = made(folder / "lake")
        lake.ingest(write_events(folder / "a.jsonl", range(6)))
        nobody = {"event_id": "n", "event_type": "login", "timestamp": "2026-03-02T12:00:00Z"}
        (folder / "b.jsonl").write_text(json.dumps(nobody) + "\n")
        lake.ingest(folder / "b.jsonl")
    return lake


def test_filters_of_other_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reader finds what auditlake finds: after an older lake's next commit, and from checkpoints too."""
    lake = older_lake(tmp_path, monkeypatch)
    assert {reader for reader, *_ in wrong(lake, ["text"], READERS)} == {"arrow", "delta-rs", "DuckDB", "Polars, Arrow"}

    lake.ingest(write_events(tmp_path / "c.jsonl", range(6, 9)))
    assert wrong(lake, FILTERS, READERS) == []
    said = [line for line in lake.layout.commit(3).read_text().splitlines() if '"metaData"' in line]
    assert len(said) == 1
    monkeypatch.setattr(log_checkpoint, "EVERY", 1)
    lake.ingest(write_events(tmp_path / "d.jsonl", range(9, 12)))
    assert lake.layout.delta_checkpoint(4).exists()
    assert wrong(lake) == []
    assert '"metaData"' not in lake.layout.commit(4).read_text()
    lake.compact()
    assert wrong(lake) == []
    assert lake.ledger.verify().ok


def test_a_repair_says_the_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """doctor finds an older lake and its repair mends it, without changing a file or a verdict."""
    lake = older_lake(tmp_path, monkeypatch)
    before = lake.snapshot()
    (change,) = doctor.examine(lake.layout, now=NOW).changes
    assert str(change).startswith("amend events/_delta_log: it does not say which columns have statistics")
    doctor.repair(lake.layout, (change,), now=NOW, wait_seconds=0)

    assert (lake.snapshot().version, lake.snapshot().files) == (before.version + 1, before.files)
    assert wrong(lake) == []
    assert lake.ledger.verify().ok
    assert doctor.examine(lake.layout, now=NOW).changes == ()
    assert len(opened(lake.layout.root).sql("select * from events", snapshot=1).fetchall()) == 6


def test_a_new_lake_says_the_columns(tmp_path: Path) -> None:
    """A new lake says so from its first version on."""
    lake = made(tmp_path / "lake")
    assert DeltaTable(str(lake.layout.events)).metadata().configuration.items() >= commit.STATISTICS.items()


def test_other_programs_pass_over_files(tmp_path: Path) -> None:
    """The least and the greatest type of each file are in its statistics, and a filter on the type leaves files out."""
    lake = in_classes(tmp_path / "lake", clock=lambda: NOW)
    types = ("access_denied", "data_access", "login")
    records = [{"event_id": f"{name} {day}", "event_type": name, "timestamp": f"2026-03-0{day}T12:00:00Z"}
               for name in types for day in range(1, 4)]  # fmt: skip
    (tmp_path / "e.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    lake.ingest(tmp_path / "e.jsonl")

    table = DeltaTable(str(lake.layout.events))
    actions = pa.table(table.get_add_actions(flatten=True))
    bounds = zip(actions["min.event_type"].to_pylist(), actions["max.event_type"].to_pylist(), strict=True)
    assert sorted(bounds) == sorted((name, name) for name in types for _ in range(3))
    left = list(table.to_pyarrow_dataset().get_fragments(filter=field("event_type") == "login"))
    assert len(left) == 3
    plan = pl.scan_delta(str(lake.layout.events)).filter(pl.col("event_type") == "login").explain()
    assert "event_type" in plan
    query = "select event_id from events where event_type = 'login' order by event_id"
    with duckdb.connect() as connection:
        connection.register("events", table.to_pyarrow_dataset())
        assert connection.execute(query).fetchall() == lake.sql(query).fetchall() != []
