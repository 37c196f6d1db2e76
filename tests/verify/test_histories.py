"""Any history of a lake verifies at each step, whole and in brief, and extends every checkpoint that it ever had."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.events.event import AuditEvent
from tests.ledger.lakes import entries
from tests.soak import mostly
from tests.store.lakes import START, made, opened, write_events
from tests.verify.lakes import change_day, checked, delete_day, rows_of


def take_one(lake: AuditLake, day: date, seeded: Random, *, gone: bool) -> None:
    """One event of a day goes, or gets another user."""
    if not (rows := rows_of(lake, day)):
        return
    chosen = seeded.choice(rows)

    def change(row: dict[str, Any]) -> dict[str, Any] | None:
        if row != chosen:
            return row
        return None if gone else {**row, "user_id": f"p{seeded.random()}"}

    change_day(lake, day, change, "delete" if gone else "erase")


def live_through(folder: Path, seed: int, steps: int) -> None:
    seeded = Random(seed)
    lake = made(folder / "lake")
    kept = []
    number = 0
    for _ in range(steps):
        days = sorted({file.day for file in lake.snapshot().files})
        step = seeded.choice(["ingest", "ingest", "log", "compact", "erase", "thin", "delete", "open"])
        if step == "ingest":
            file = write_events(folder / f"{number}.jsonl", range(number, number + 12), bad=seeded.randrange(2))
            lake.ingest(file)
            number += seeded.randrange(3, 12)
        elif step == "log":
            lake.log_many(AuditEvent("login", timestamp=START, user_id="l") for _ in range(3))
            lake.flush()
        elif step == "compact":
            lake.compact(grace_seconds=0)
        elif step == "open":
            lake = opened(lake.layout.root)
        elif days and step == "delete" and len(days) > 2:
            delete_day(lake, seeded.choice(days))
        elif days:
            take_one(lake, seeded.choice(days), seeded, gone=step == "thin")
        report = checked(lake)
        assert report.ok, (seed, step, report.problems, report.batches)
        assert checked(lake, full=False).ok
        assert report.size == len(entries(lake))
        kept.append((lake.layout.ledger / "checkpoint").read_bytes())
        assert checked(lake, full=False, checkpoint=seeded.choice(kept), public_key=report.signed_by).ok
    lake._trail.close()


@pytest.mark.parametrize("seed", mostly(range(2), always=[0]))
def test_histories(seed: int, tmp_path: Path) -> None:
    """A history of twelve random steps verifies after each."""
    live_through(tmp_path, seed, 12)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_long_histories(seed: int, tmp_path: Path) -> None:
    """The same for sixty steps."""
    live_through(tmp_path, seed, 60)
