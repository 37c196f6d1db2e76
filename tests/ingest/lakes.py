"""Lakes to ingest into, and what can be seen of them afterwards."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditlake import AuditLake
from auditlake.ingest.custody import IngestSummary, InputSummary
from auditlake.testing import Clock
from tests.lakes import make_lake

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
BARE = '"event_type":"login","timestamp":"2026-11-24T09:00:00Z"'
"""The fields without which nothing is an event."""


def made(path: Path, max_record: int | None = None, types: Sequence[str] = ()) -> AuditLake:
    """A new lake whose clock stands still."""
    settings = None if max_record is None else {"max_record": max_record}
    return make_lake(path, event_types=types, settings=settings, clock=Clock(NOW))


def put(path: Path, *lines: str | bytes) -> Path:
    """Write lines to a file, each with its newline."""
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
    return path


def login(number: int, **fields: Any) -> str:
    """A login as a line of canonical JSON, with an id of its own made of the number."""
    at = f"2026-11-{1 + number % 28:02d}T{number % 24:02d}:00:00Z"
    return json.dumps({"event_id": f"e{number}", "event_type": "login", "timestamp": at, **fields})


def events(lake: AuditLake) -> list[dict[str, Any]]:
    """Every event with all public columns but ingested_at, in time order."""
    rows = lake.events()
    found = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    for event in found:
        assert event.pop("ingested_at") == NOW
        assert event["event_date"] == event["timestamp"].date()
    return found


def ids(lake: AuditLake) -> Counter[str]:
    """How often the lake has each event id."""
    return Counter(event["event_id"] for event in events(lake))


@dataclass(frozen=True)
class Kept:
    """One quarantined record."""

    input: str
    line: int
    offset: int
    length: int
    reason: str
    detail: str
    data: bytes
    sha256: str | None
    field: str = ""
    value: str = ""


def kept(summary: IngestSummary) -> list[Kept]:
    """What an ingest quarantined; checks the file's name, and lengths and digests of what it holds."""
    if summary.quarantine is None:
        return []
    content = summary.quarantine.read_bytes()
    assert summary.quarantine.name == f"records-{hashlib.sha256(content).hexdigest()}.jsonl"
    found = []
    for entry in map(json.loads, content.splitlines()):
        encoding, text = entry.pop("encoding"), entry.pop("data")
        data = text.encode() if encoding == "utf-8" else base64.b64decode(text)
        found.append(Kept(**{"sha256": None, **entry}, data=data))
        whole = found[-1].sha256 is None
        assert len(data) == found[-1].length or not whole
    return found


def checked(lake: AuditLake, summary: IngestSummary, before: int = 0) -> IngestSummary:
    """The summary, after seeing that its numbers add up and are those of the lake and the quarantine."""
    numbers: tuple[InputSummary | IngestSummary, ...] = (*summary.inputs, summary)
    for each in numbers:
        assert each.read == each.landed + each.duplicates + each.quarantined
    assert summary.quarantined == len(kept(summary)) == sum(summary.reasons.values())
    assert summary.reasons == Counter(item.reason for item in kept(summary))
    for each in summary.inputs:
        assert each.quarantined == sum(item.input == each.name for item in kept(summary))
    ((rows,),) = lake.sql("select count(*) from events").fetchall()
    assert rows == before + summary.landed == lake.snapshot().rows
    return summary
