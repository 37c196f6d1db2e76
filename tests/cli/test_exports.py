"""What a lake exports of events that another mapping made comes back as these events, and nobody gets in that way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import auditlake
from auditlake.config import BUILT_IN_TYPES
from auditlake.ingest.custody import IngestOptions
from auditlake.ingest.ingest import ingest
from auditlake.sources.in_memory import MemoryLines
from tests.cli.conftest import Run
from tests.ingest.lakes import NOW, kept
from tests.ingest.test_cloudtrail_ingest import EVENTS
from tests.lakes import create

NAMELESS = {name: value for name, value in EVENTS[0].items() if name != "eventID"} | {"exact": [1.10, "=x", "", None]}


@pytest.mark.parametrize("names", [
    ("x.parquet", "x.csv"), pytest.param(("x.jsonl",), marks=pytest.mark.soak),
])  # fmt: skip
def test_exports_of_another_source_come_back(run: Run, events: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    """CloudTrail events out of a lake are known there in every form, and in another lake they are what they were."""
    create("lake")
    vendor = tmp_path / "trail.json"
    vendor.write_text(json.dumps({"Records": [*EVENTS, NAMELESS]}).replace("1.1,", "1.10,"))
    assert run("ingest", vendor, events, "--strict").code == 0
    for form in ("csv", "jsonl"):
        (tmp_path / f"x.{form}").write_bytes(run("events", "--format", form).out.encode())
    # The question is an event of auditlake's own from then on.
    run("sql", "select * from events where source <> 'auditlake.self'", "--out", tmp_path / "x.parquet")
    lake = auditlake.open(tmp_path / "lake")
    every = "select * exclude (ingested_at) from events where source <> 'auditlake.self' order by event_id"
    for path in (tmp_path / name for name in names):
        again = lake.ingest(path, strict=True)
        other = create(tmp_path / f"from-{path.name}")
        assert (again.landed, again.duplicates, other.ingest(path, strict=True).landed) == (0, 14, 14)
        assert other.sql(every).fetchall() == lake.sql(every).fetchall()
        later = other.ingest(vendor)
        assert (later.landed, later.duplicates, later.quarantined) == (0, 4, 0)


def test_nobody_hides_behind_an_export(run: Run, tmp_path: Path) -> None:
    """Another record under a vendor's id is a conflict, and a line that was logged is of no source but its own."""
    create("lake")
    vendor = tmp_path / "trail.json"
    vendor.write_text(json.dumps({"Records": EVENTS}))
    run("ingest", vendor)
    exported = run("events", "--format", "jsonl").out
    forged = tmp_path / "forged.jsonl"
    forged.write_text(exported.replace("k/é", "k/other"))
    lake = auditlake.open(tmp_path / "lake", clock=lambda: NOW)
    summary = lake.ingest(forged)
    assert (summary.landed, summary.reasons) == (0, {"id_conflict": 3})
    twice = create(tmp_path / "twice").ingest(forged, vendor)
    assert (twice.landed, twice.reasons) == (3, {"id_conflict": 3})

    lines = MemoryLines("log", 0, 1, exported.replace('"event_id":"id-', '"event_id":"new-').encode(), b"")
    options = IngestOptions(BUILT_IN_TYPES, 10_000)
    logged = ingest(lake._context, [lines], options, now=NOW)
    assert [(item.reason, item.value) for item in kept(logged)] == [("exported from another source", "cloudtrail")] * 3
