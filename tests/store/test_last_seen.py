"""The newest snapshot that a process has seen: it says what the table says, which is not opened for it again."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake import AuditLake
from auditlake.disk.layout import Layout
from auditlake.errors import RetentionError
from auditlake.store.snapshot import open_table, read_snapshot
from auditlake.testing import event
from tests.store.lakes import made, write_events
from tests.store.test_transactions import commit as commit_of_another_program

APPLICATION = "auditlake.landing.00"
STEPS = ("ingest", "log", "compact", "erase", "another program", "look")


def opened(layout: Layout) -> tuple[object, ...]:
    """What the newest snapshot is, read from the table itself."""
    return facts(layout, read_snapshot(layout, open_table(layout, None).version(), applications=[APPLICATION]))


def facts(layout: Layout, snapshot: object) -> tuple[object, ...]:
    """What a snapshot says, but for bounds, which the log rounds to milliseconds."""
    files = [(file.path, file.day, file.size, file.rows) for file in snapshot.files]  # type: ignore[attr-defined]
    return snapshot.version, files, snapshot.transactions  # type: ignore[attr-defined]


def do(step: str, lake: AuditLake, folder: Path, number: int) -> None:
    if step == "ingest":
        lake.ingest(write_events(folder / f"{number}.jsonl", range(number, 3 * number + 2)))
    elif step == "log":
        lake.log(event("login", datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=number)))
        lake.flush()
    elif step == "compact":
        lake.compact()
    elif step == "erase":
        with suppress(RetentionError):  # there may be no such user
            lake.retention.erase("user 1", reason="asked", ticket=f"T-{number}")
    elif step == "another program":
        commit_of_another_program(lake.layout, {"another": number})


@settings(max_examples=5, suppress_health_check=[*HealthCheck], deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=6))
def test_is_what_the_table_says(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """After any commits, of ours and of others, what is seen is what one would read who opens the table."""
    folder = tmp_path_factory.mktemp("seen")
    lake = made(folder / "lake")
    for number, step in enumerate(steps, 1):
        do(step, lake, folder, number)
        assert facts(lake.layout, read_snapshot(lake.layout, applications=[APPLICATION])) == opened(lake.layout)


def test_own_commits_open_the_table_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who commits again and again opens the table for the first commit, and again after another's."""
    lake, times = made(tmp_path / "lake"), list[int]()
    monkeypatch.setattr("auditlake.store.snapshot.open_table", lambda *args: times.append(1) or open_table(*args))
    for number in range(1, 5):
        do("log", lake, tmp_path, number)
    assert len(times) <= 2  # for the transactions of landing, which nobody asked for before
    times.clear()
    commit_of_another_program(lake.layout, {"another": 1})
    do("log", lake, tmp_path, 9)
    assert len(times) == 1


def test_another_lake_in_its_place(tmp_path: Path) -> None:
    """A lake that takes the place of one that was seen is read, although its log is as long."""
    first, second = made(tmp_path / "first"), made(tmp_path / "second")
    first.ingest(write_events(tmp_path / "a.jsonl", range(3)))
    second.ingest(write_events(tmp_path / "b.jsonl", range(5)))
    rows = first.snapshot().rows, second.snapshot().rows
    first.snapshot()
    shutil.rmtree(tmp_path / "first")
    (tmp_path / "second").rename(tmp_path / "first")
    assert (rows, first.snapshot().rows) == ((3, 5), 5)
