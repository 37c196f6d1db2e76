"""One event, there and back: from a line of a file to a finding in a report, and from the report to the line."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path

import auditlake
from auditlake.store.deltalog import commit_metadata

NOW = datetime.fromisoformat("2026-11-24T12:00:00+00:00")


def test_one_event(tmp_path: Path) -> None:
    """A failed login becomes a row, a row of a day's file, part of an episode, and each step can be walked back."""
    lines = [
        json.dumps({"event_type": "auth_failure", "timestamp": f"2026-11-24T09:0{i}:00Z", "user_id": "mallory"})
        for i in range(5)
    ]
    source = tmp_path / "audit_20261124.jsonl"
    source.write_text("".join(f"{line}\n" for line in lines))

    # There: file -> event -> partition -> snapshot -> finding -> report
    lake = auditlake.create(tmp_path / "lake", clock=lambda: NOW)
    summary = lake.ingest(source)
    report = lake.report("failed_logins", as_of=NOW)
    files = report.write(tmp_path / "reports")

    (finding,) = report.report.violations
    assert (summary.landed, report.status) == (5, "violation")
    assert (finding.kind, finding.group, finding.peak) == ("threshold_exceeded", {"user_id": "mallory"}, 5)

    # And back: report -> snapshot -> files by digest -> events by id -> the bytes of the line
    said = json.loads(files[0].read_bytes())
    assert said["violations"][0]["id"] == finding.id
    snapshot = lake.snapshot(said["evidence"]["snapshot"])
    assert said["evidence"]["inputs_digest"] == snapshot.inputs_digest
    for file in snapshot.files:
        digest = hashlib.sha256((lake.layout.events / file.path).read_bytes()).hexdigest()
        assert file.path == f"event_date=2026-11-24/part-{digest}.parquet"
    samples = report.detail.samples[finding.id]
    expected = [content_id("auditlake", line, 1) for line in lines]
    assert sorted(sample.event_id for sample in samples) == sorted(expected)
    custody = commit_metadata(lake.layout, snapshot.version)
    assert custody is not None
    assert custody["inputs"][0]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def content_id(source: str, line: str, occurrence: int) -> str:
    """The id of a record that brought none, from its content."""
    record = hashlib.sha256(line.encode()).hexdigest()
    return hashlib.sha256(f"{source}\n{record}\n{occurrence}".encode()).hexdigest()
