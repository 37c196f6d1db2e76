"""One process of a crowd on a lake: ``python -m tests.store.worker LAKE VERB ARGUMENT...``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from auditlake import AuditLake
from auditlake.store.deltalog import commit_metadata
from tests.waiting import HANG_SECONDS

GRACE = HANG_SECONDS
"""Longer than any reader of the test needs."""


def ingest(lake: AuditLake, files: list[str]) -> None:
    """Ingest each file, and tell what landed."""
    for file in files:
        summary = lake.ingest(file)
        assert summary.read == summary.landed + summary.duplicates
        print(summary.batch, summary.landed)


def compact(lake: AuditLake, stop: Path) -> None:
    """Compact until told to stop."""
    while not stop.exists():
        lake.compact(grace_seconds=GRACE)
        time.sleep(0.05)


def read(lake: AuditLake, stop: Path) -> None:
    """Read snapshots until told to stop: each holds every batch committed by then, whole, and nothing else."""
    reads = 0
    while not stop.exists() or reads < 3:
        version = lake.snapshot().version
        rows = lake.sql("select count(*), count(distinct event_id) from events", snapshot=version).fetchall()
        own = [commit_metadata(lake.layout, n) for n in range(version + 1)]
        landed = sum(each["rows"] for each in own if each and each["kind"] == "ingest")
        assert rows == [(landed, landed)], (version, rows, landed)
        reads += 1
    print(reads)


if __name__ == "__main__":
    opened, verb, arguments = AuditLake(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if verb == "ingest":
        ingest(opened, arguments)
    else:
        {"compact": compact, "read": read}[verb](opened, Path(arguments[0]))
