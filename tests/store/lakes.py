"""Small lakes with known events, and what must be true of a lake whatever has been done to its writers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyarrow.parquet import ParquetFile

from auditlake import AuditLake
from auditlake.disk.lock import sweep
from auditlake.store.deltalog import commit_metadata, removal_times
from auditlake.store.model import Change, Snapshot
from auditlake.store.turn import writer_turn
from auditlake.testing import Clock
from tests.lakes import make_lake
from tests.waiting import HANG_SECONDS

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 4, 1, tzinfo=UTC)
BEFORE, BOTH = range(6), range(12)
"""The events of the lake of the fixture ``files``, and those that it has after an ingest of ``new.jsonl``."""
BAD_LINE = '{"event_type": "no such type", "timestamp": "2026-03-01T00:00:00Z"}'


def line(number: int) -> str:
    """The event of a number: the same number is the same event; seven hours lie between neighbours."""
    return json.dumps({
        "event_id": f"e{number}",
        "event_type": ("login", "auth_failure", "data_access")[number % 3],
        "timestamp": (START + timedelta(hours=7 * number)).isoformat(),
        "user_id": f"user {number % 2}",
    })  # fmt: skip


def write_events(path: Path, numbers: Iterable[int], *, bad: int = 0) -> Path:
    """A file of canonical JSON lines, with some lines that are no events."""
    path.write_text("".join(f"{text}\n" for text in [*map(line, numbers), *[BAD_LINE] * bad]))
    return path


def made(path: Path) -> AuditLake:
    """A new lake whose clock stands still."""
    return make_lake(path, clock=Clock(NOW))


def opened(path: Path, **options: float) -> AuditLake:
    """A lake that is there, with the same clock."""
    return AuditLake(path, clock=Clock(NOW), **options)


def ids(lake: AuditLake, snapshot: int | None = None) -> list[str]:
    """The ids of all events, sorted, as often as they are there."""
    return sorted(event_id for (event_id,) in lake.sql("select event_id from events", snapshot=snapshot))


def expected(numbers: Iterable[int]) -> list[str]:
    """The ids of the events of these numbers, each once."""
    return sorted({f"e{number}" for number in numbers})


def data_files(lake: AuditLake) -> set[str]:
    """Every file below events/ but the log, as the log would name it."""
    events = lake.layout.events
    return {path.relative_to(events).as_posix() for path in events.glob("*/*") if path.parent != lake.layout.log}


def commits(lake: AuditLake) -> dict[int, dict[str, object] | None]:
    """What auditlake recorded about each version."""
    return {n: commit_metadata(lake.layout, n) for n in range(lake.snapshot().version + 1)}


def check(lake: AuditLake) -> list[str]:
    """What holds at any time: each committed batch is there whole and once, and nothing of a dead writer is in the way.

    Read without DuckDB. Gives the ids.
    """
    snapshot = lake.snapshot()
    tables = [ParquetFile(lake.layout.events / file.path).read(["batch", "event_id"]) for file in snapshot.files]
    batches = Counter(batch for table in tables for batch in table["batch"].to_pylist())
    found = sorted(event_id for table in tables for event_id in table["event_id"].to_pylist())
    assert batches == {own["batch"]: own["rows"] for own in commits(lake).values() if own and own.get("rows")}
    assert len(set(found)) == len(found) == snapshot.rows
    sweep(lake.layout.staging)  # as the next writer does
    assert [str(path) for path in lake.layout.staging.rglob("*")] == []
    return found


def check_orphans_go(lake: AuditLake) -> None:
    """Files of events/ that no commit names are removed by a compaction once they are older than the grace."""
    named = {file.path for file in lake.snapshot().files} | removal_times(lake.layout).keys()
    orphans = data_files(lake) - named
    old = time.time() - 7200
    for path in orphans:
        os.utime(lake.layout.events / path, (old, old))
    lake.compact(grace_seconds=3600)
    live = {file.path for file in lake.snapshot().files}  # the same compaction again makes the same files
    assert not (orphans - live) & data_files(lake)
    lake.compact(grace_seconds=0)
    assert data_files(lake) == live


def copied(template: Path, target: Path) -> Path:
    """A copy of a lake."""
    shutil.copytree(template, target)
    return target


CLI = (sys.executable, "-m", "auditlake")


def cli(
    lake: Path, *words: object, prefix: Sequence[str] = (), program: Sequence[str] = CLI
) -> subprocess.CompletedProcess[str]:
    """Run the command line on a lake, perhaps under another program."""
    command = [*prefix, *program, "--lake", str(lake), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)


def words(verb: str, files: Path) -> list[str]:
    """What to say to the command line for an ingest of the fixture's input, a compaction, or an upgrade."""
    return {
        "ingest": ["ingest", str(files / "new.jsonl")], "compact": ["compact", "--grace", "0"], "upgrade": ["upgrade"],
    }[verb]  # fmt: skip


def commit(lake: AuditLake, change: Change, seen: Snapshot | None = None) -> int:
    """Make one commit, on top of another snapshot than the newest if one is named; return the version."""
    with writer_turn(lake._context) as turn:
        turn.snapshot = seen or turn.snapshot
        return turn.commit(change)
