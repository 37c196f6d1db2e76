"""A process that writes to a lake in every way until it is told to stop, and says what was acknowledged."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import auditlake
from auditlake import AuditEvent


def main(lake_path: str, folder: str) -> None:
    """Log, ingest, flush, compact, and print each id once it is acknowledged."""
    lake = auditlake.open(lake_path)
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    number = 0
    while not (Path(folder) / "stop").exists():
        number += 1
        events = [
            AuditEvent(
                event_type="login", user_id=f"user {n}", timestamp=begin + timedelta(days=n), session_id=str(number)
            )
            for n in range(3)
        ]
        ids = lake.log_many(events)
        if number % 3 == 0:
            lake.flush()
        if number % 4 == 0:
            lake.compact(grace_seconds=0)
        print(*ids, sep="\n", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
