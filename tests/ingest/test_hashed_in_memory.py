"""Rows are hashed for the ledger as they are written, and read back by the next night."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow.parquet import read_table

from auditlake import AuditLake
from auditlake.ingest import day_files
from auditlake.ledger.book import read_entry
from auditlake.runs.journal import rows_read
from auditlake.runs.model import RowsRead
from auditlake.store.bookkeeping import _hash_files
from auditlake.store.dayfile import write_classes
from auditlake.testing import Clock, set_policies
from auditlake.verify import check
from tests.lakes import make_lake
from tests.soak import mostly

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
POLICIES = {
    name: f"name: {name}\ndescription: d\nrequired_events: [{kind}]\nretention_period: {period}\n"
    for name, kind, period in (("short", "login", "90d"), ("long", "data_access", "400d"))
}


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """An empty lake with three retention classes."""
    lake = make_lake(tmp_path / "lake", clock=Clock(FIRST + timedelta(days=9)))
    set_policies(lake, POLICIES)
    return lake


def ingest(lake: AuditLake, days: Sequence[int], name: str = "a") -> None:
    """Bring in 60 events of each day, mixed in time and type, some with odd texts."""
    lines = []
    for number in range(60 * len(days)):
        at = FIRST + timedelta(days=days[number % len(days) - 1], minutes=number * 37 % 1440)
        event: dict[str, Any] = {"event_id": f"{name}{number}", "timestamp": at.isoformat()}
        event |= {
            "event_type": ("login", "data_access", "api_call")[number // 3 % 3],
            "status": "ok" if number % 2 else None,
        }
        lines.append(
            json.dumps(event | {"user_id": ("é", "", "x" * 70)[number % 7 % 3], "details": {"n": number}}) + "\n"
        )
    paths = [lake.layout.root.parent / f"{name}{part}.jsonl" for part in range(6)]
    for part, path in enumerate(paths):
        path.write_text("".join(lines[part::6]))
    lake.ingest(*paths)


@pytest.mark.parametrize(
    ("bytes_of_file", "most"),
    mostly([(2**27, 6), (3_000, 1_000), (3_000, 2), (3_000, 0)], always=[(2**27, 6), (3_000, 2)]),
)
def test_as_the_files_have_it(lake: AuditLake, monkeypatch: pytest.MonkeyPatch, bytes_of_file: int, most: int) -> None:
    """However many pieces the days are written in, the ledger has the parts that the files make."""
    monkeypatch.setattr(day_files, "_FILE_BYTES", bytes_of_file)
    monkeypatch.setattr(day_files, "_MOST", most)
    monkeypatch.setattr("auditlake.ingest.record_buffer._FULL_RECORDS", 20)
    ingest(lake, [0, 3, 1])

    files = lake.snapshot().files
    pairs = _hash_files(lake.layout, files, classes=lake._context.classes())
    assert len(files) > 9 if bytes_of_file == 3_000 else len(files) == 9
    size = lake.ledger.verify().size
    assert read_entry(lake.layout, size - 1).parts == tuple(
        sorted((part for part, _ in pairs), key=lambda each: each.key)
    )


def test_a_writer_that_changes_a_value_is_found_by_the_next_night(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with another value than was ingested is as its name says, and only its rows tell: each night names the
    event, until it is mended."""

    def changing(tables: Sequence[pa.Table], *arguments: Any) -> Any:
        (table,) = tables
        place = table.schema.get_field_index("status")
        values = [
            "changed" if each == "a7" else old
            for each, old in zip(*(table[name].to_pylist() for name in ("event_id", "status")), strict=True)
        ]
        return write_classes([table.set_column(place, "status", pa.array(values, pa.string()))], *arguments)

    ingest(lake, [2], "z")
    assert lake.routine.nightly()["verify"].outcome == "done"
    with monkeypatch.context() as broken:
        broken.setattr(day_files, "write_classes", changing)
        ingest(lake, [0, 1])
    assert lake.ledger.verify(full=False).ok
    for _ in range(2):
        step = lake.routine.nightly()["verify"]
        assert step.outcome == "wrong"
        (told,) = step.told
        assert told.startswith("batch 2, 2026-03-02: other rows than were appended; row ")
        row, path = re.search(r"row (\d+) of (\S+) is not what was appended", told).groups()  # type: ignore[union-attr]
        rows = read_table(lake.layout.root / path, columns=["seq", "event_id"]).to_pylist()
        assert [each["event_id"] for each in rows if each["seq"] == int(row)] == ["a7"]


def test_a_night_reads_the_days_that_got_files(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was read is not read again, unless its day has new files; what was not read stays to be read."""
    read: list[set[date]] = []
    hash_rows = check.hash_rows
    monkeypatch.setattr(check, "hash_rows", lambda days, recorded: [read.append({*days}), hash_rows(days, recorded)][1])

    def night() -> set[int]:
        read.clear()
        assert lake.routine.nightly()["verify"].outcome == "done"
        return {(day - FIRST.date()).days for days in read for day in days}

    ingest(lake, [0, 1])
    assert night() == {0, 1}
    assert night() == set()
    ingest(lake, [1, 4], "b")
    assert lake.ledger.verify(full=False).ok
    assert night() == {1, 4}
    ingest(lake, [5], "c")
    assert lake.ledger.verify().ok
    assert night() == set()


def test_a_lasting_problem_is_named_and_nothing_else_is_read_again(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that is not as recorded is read each night until it is mended, and named; days that were read well are
    not.
    """
    read: list[set[date]] = []
    hash_rows = check.hash_rows
    monkeypatch.setattr(check, "hash_rows", lambda days, recorded: [read.append({*days}), hash_rows(days, recorded)][1])

    def night() -> tuple[str, set[int]]:
        read.clear()
        step = lake.routine.nightly()["verify"]
        assert all(f"{day}" in each for each in step.told)
        return step.outcome, {(day - FIRST.date()).days for days in read for day in days}

    ingest(lake, [0, 1, 2])
    day = (FIRST + timedelta(days=1)).date()
    path = next(lake.layout.events / each.path for each in lake.snapshot().files if each.day == day)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"?")
    assert night() == ("wrong", {0, 1, 2})
    assert night() == ("wrong", {1})
    ingest(lake, [4], "b")
    assert night() == ("wrong", {1, 4})
    assert night() == ("wrong", {1})
    path.write_bytes(good)
    assert night() == ("done", {1})
    assert night() == ("done", set())


def test_with_a_row_among_those_of_another_day_all_is_read_again(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that is not as recorded does not show by itself what lies elsewhere: what was read with it stays to be
    read.
    """

    def misplacing(tables: Sequence[pa.Table], *arguments: Any) -> Any:
        (table,) = tables
        place, times = table.schema.get_field_index("timestamp"), table["timestamp"]
        if times[0].as_py().date() > FIRST.date():
            table = table.slice(1)
        else:
            later = pa.array([times[0].as_py() + timedelta(days=1)], times.type)
            table = pa.concat_tables([table, table.slice(0, 1).set_column(place, "timestamp", later)])
        return write_classes([table], *arguments)

    with monkeypatch.context() as broken:
        broken.setattr(day_files, "write_classes", misplacing)
        ingest(lake, [0, 1])
    report = lake.ledger.verify(full=False, new=True)
    wrong = {part.day for batch in report.batches for part in batch.parts if part.verdict == "CHANGED"}
    assert wrong == {(FIRST + timedelta(days=1)).date()}
    assert rows_read(lake.layout) == RowsRead()
