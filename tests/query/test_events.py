"""The events of a lake, read stretch by stretch: the same, in the same order, as all of them sorted at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import auditlake
from auditlake.query import events as reading
from auditlake.testing import Clock
from tests.lakes import make_lake

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
NOW = FIRST + timedelta(days=30)
TYPES = ("auth_failure", "login", "data_access", "api_call")
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[auditlake.AuditLake]:
    """A lake of some days, one of them crowded, with ties, several files a day, and events that are not flushed."""
    folder = tmp_path_factory.mktemp("events")
    lake = make_lake(folder / "lake", clock=Clock(NOW))
    for part in range(3):
        lines = []
        for number in range(part, 900, 3):
            day = 3 if number % 2 else number % 11
            at = FIRST + timedelta(days=day, seconds=number * 97 % 40 * 2160)
            event = {"event_id": f"e{number * 7 % 900}", "event_type": TYPES[number % 4], "user_id": f"u{number % 5}"}
            lines.append(json.dumps(event | {"timestamp": at.isoformat()}) + "\n")
        (folder / f"{part}.jsonl").write_text("".join(lines))
        lake.ingest(folder / f"{part}.jsonl")
    for number in range(9):
        at = FIRST + timedelta(days=number - 2, hours=5)
        lake.log(event_type="login", timestamp=at, user_id="u1", event_id=f"late{number}")
    yield lake
    lake._trail.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of a few events."""
    monkeypatch.setattr(reading, "STRETCH_ROWS", 40)
    monkeypatch.setattr(reading, "STRETCH_BYTES", 30_000)
    monkeypatch.setattr(reading, "STRETCH_MEMORY", 100_000)
    monkeypatch.setattr(reading, "FIRST", 0.5)


def test_what_is_not_flushed_is_cut_with_its_own_days(tmp_path: Path, short: None) -> None:
    """Many events that wait to be flushed, of days before and after a crowded one: each comes once, in order."""
    lake = make_lake(tmp_path / "lake", clock=Clock(NOW))
    lake.ingest(
        [auditlake.AuditEvent("login", FIRST + timedelta(days=5, minutes=n), event_id=f"e{n}") for n in range(300)]
    )
    for number in range(120):
        at = FIRST + timedelta(days=3 + number % 2 * 4, minutes=number)
        lake.log(event_type="login", timestamp=at, event_id=f"late{number}")
    found = [(row[2], row[0]) for row in lake.events().fetchall()]
    lake._trail.close()
    assert (len(found), len({each for _, each in found})) == (420, 420)
    assert [at for at, _ in found] == sorted(at for at, _ in found)


@pytest.mark.parametrize("field", ["details", "metadata"])
def test_no_more_than_fits_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """Long texts that take few bytes on the disk are read a few at a time: those of a footer from the first on, and
    those that come again and again as soon as some are known."""
    monkeypatch.setattr(reading, "STRETCH_MEMORY", 1_000_000)
    monkeypatch.setattr(reading, "STRETCH_ROWS", 1_000)
    lake = make_lake(tmp_path / "lake", clock=Clock(NOW))
    for day in range(2):
        at = FIRST + timedelta(days=day)
        many = [
            auditlake.AuditEvent(
                "login", at + timedelta(seconds=n), event_id=f"{day}-{n}", **{field: {"text": "x" * 8_000}}
            )
            for n in range(500)
        ]
        lake.ingest(many)
    sizes = [batch.nbytes for batch in lake.events().to_batches(10_000)]

    assert sum(sizes) > 2 * 300 * 8_000
    known = sizes if field == "details" else sizes[1:]
    assert max(known) < 3 * 1_000_000


def test_threads_share_what_is_not_flushed(tmp_path: Path, short: None) -> None:
    """Several threads read one object at a time, each all of it."""
    lake = make_lake(tmp_path / "lake", clock=Clock(NOW))
    lake.ingest([auditlake.AuditEvent("login", FIRST + timedelta(minutes=n), event_id=f"e{n}") for n in range(200)])
    for number in range(100):
        lake.log(event_type="login", timestamp=FIRST + timedelta(minutes=number), event_id=f"late{number}")
    events, together = lake.events(), Barrier(4)

    def read(_: int) -> list[str]:
        together.wait()
        return [each for batch in events.to_batches(16) for each in batch["event_id"].to_pylist()]

    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(read, range(4))]
    lake._trail.close()
    assert found == [[row[0] for row in events.relation().fetchall()]] * 4
    assert len(set(found[0])) == 300


def bound(low: int, high: int) -> st.SearchStrategy[Any]:
    """No bound, or an instant on a grid of hours, or a microsecond beside it."""
    exact = st.integers(low, high).map(lambda hours: FIRST + hours * HOUR)
    return st.none() | exact | exact.map(lambda at: at - timedelta(microseconds=1))


FILTERS = st.fixed_dictionaries({
    "event_type": st.none() | st.sampled_from([*TYPES, "config_change"]) | st.just(list(TYPES[:2])),
    "user_id": st.none() | st.sampled_from(["u1", "u4", "nobody"]),
    "since": bound(-72, 264),
    "until": bound(-72, 264),
    "limit": st.none() | st.sampled_from([0, 1, 7, 39, 40, 41, 1000]),
    "snapshot": st.none() | st.sampled_from([1, 3]),
})  # fmt: skip


@given(asked=FILTERS)
@settings(max_examples=5)
@pytest.mark.usefixtures("short")
def test_the_same_as_sorted_at_once(lake: auditlake.AuditLake, asked: dict[str, Any]) -> None:
    """Whatever is asked for, the stretches give what one statement over everything gives."""
    rows = lake.events(**asked)

    assert rows.fetchall() == rows.relation().fetchall()
    assert sum(batch.num_rows for batch in rows.to_batches(16)) == len(rows) == len(rows.arrow())
    assert (">20 of more rows<" in rows._repr_html_()) == (len(rows) > 20)


@pytest.mark.usefixtures("short")
def test_no_further_than_asked(tmp_path: Path) -> None:
    """Files of days that are not asked for, or not reached, are not read."""
    lake = make_lake(tmp_path / "lake", clock=Clock(NOW))
    for day in range(5):
        lines = [
            json.dumps(
                {
                    "event_id": f"{day}-{n}",
                    "event_type": "login",
                    "timestamp": str(FIRST + n * HOUR / 20 + day * 24 * HOUR),
                }
            )
            for n in range(60)
        ]
        (tmp_path / f"{day}.jsonl").write_text("".join(line + "\n" for line in lines))
    lake.ingest(*tmp_path.glob("*.jsonl"))
    few, early, every = lake.events(limit=90), lake.events(until="2026-03-03"), lake.events()
    for file in lake.layout.events.glob("event_date=2026-03-06/*.parquet"):
        file.write_bytes(bytes(file.stat().st_size))

    assert (len(few), len(early)) == (90, 120)
    reader = every.to_batches(50)
    taken = 0
    while taken < 110:
        taken += reader.read_next_batch().num_rows
    assert taken < 180
    with pytest.raises(auditlake.AuditLakeError):
        every.fetchall()
