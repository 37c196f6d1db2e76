"""The Python surface: what callers may hand in, and what they are told when it is something else."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake, AuditLakeError
from tests.lakes import create
from tests.templates import copy_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def one_login(folder: Path) -> None:
    """Make a lake with one event."""
    lake = create(folder / "lake", clock=lambda: NOON)
    lake.ingest(AuditEvent("login", NOON, user_id="alice", event_id="e"))


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with one event."""
    return auditlake.open(copy_of(one_login, tmp_path) / "lake", clock=lambda: NOON)


@pytest.mark.parametrize(
    "start", [NOON, NOON.replace(tzinfo=None), date(2026, 11, 24), "2026-11-24", "2026-11-24T12:00:00Z"]
)
def test_instants_come_in_many_forms(lake: AuditLake, start: Any) -> None:
    """A datetime, a date, or either as text says when."""
    assert len(lake.events(since=start).fetchall()) == 1
    assert lake.report("failed_logins", as_of="2026-11-24", since=date(2026, 11, 1)).status == "compliant"


WRONG: dict[str, Callable[[AuditLake], object]] = {
    "no time": lambda lake: lake.events(since="soon"),
    "a number for a time": lambda lake: lake.statistics(as_of=5),  # type: ignore[arg-type]
    "paths in a list": lambda lake: lake.ingest(["a.jsonl"]),  # type: ignore[list-item]
    "a number for an input": lambda lake: lake.ingest(5),  # type: ignore[arg-type]
    "parameters by position": lambda lake: lake.sql("select $1", [1]),  # type: ignore[arg-type]
    "a grace period that is no number": lambda lake: lake.compact(grace_seconds=float("nan")),
    "no such column": lambda lake: lake.sql("select nothing from events").fetchall(),
    "no such policy": lambda lake: lake.report("nothing"),
    "no such policy to remove": lambda lake: lake.policies.remove("../lake"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_told(lake: AuditLake, name: str) -> None:
    """What cannot be meant raises one of auditlake's own errors."""
    with pytest.raises(AuditLakeError):
        WRONG[name](lake)


def test_the_first_instant_counts(tmp_path: Path) -> None:
    """Events at 1970-01-01T00:00:00Z, of a clock that was reset, are counted like any others."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    lake = create(tmp_path / "lake")
    lake.ingest([AuditEvent("login", epoch, event_id=f"{i}") for i in range(4)])
    report = lake.report("authentication_monitoring", as_of=date(1970, 1, 10)).report

    assert (report.total_events, report.threshold.episodes) == (4, 1)
    assert [each.peak for each in report.violations if each.peak] == [4]


def test_a_period_begins_with_1970_at_the_earliest(lake: AuditLake) -> None:
    """However far back is asked for, the period begins where events can, and every answer has the same days."""
    report = lake.report("failed_logins", as_of=NOON, last="150y").report
    days = [each.date for each in report.threshold.daily_peaks]

    assert days[0] == date(1970, 1, 1)
    assert tuple(days) == report.coverage.silent_days


def test_rows_share_one_engine_that_spills(lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows at a time use one DuckDB and one folder to spill into; it goes away when the last of them does."""
    spill = tmp_path / "spill"
    spill.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spill))
    rows = [lake.events(snapshot=version) for version in (0, 1)]
    assert [len(each.fetchall()) for each in rows] == [0, 1]
    assert len(list(spill.iterdir())) == 1

    large = lake.sql("select count(distinct (hash(i), hash(i + 1))) from range(3_000_000) t(i)")
    large._connection.execute("set memory_limit = '120MB'")
    large._connection.execute("set threads = 1")
    relation = large.relation()
    del rows, large
    assert relation.fetchall() == [(3_000_000,)]
    del relation
    gc.collect()
    assert list(spill.iterdir()) == []
