"""What lake.toml says about the desk, and what the alerts make of auditlake's own events."""

from __future__ import annotations

from pathlib import Path

import pytest

import auditlake
from auditlake.alerts.live_batches import Batches
from auditlake.config import DeskSettings
from auditlake.errors import LakeFormatError
from auditlake.machine import system_clock
from tests.lakes import create


def write(lake: auditlake.AuditLake, settings: str) -> None:
    lake.layout.config.write_text(f"{lake.layout.config.read_text()}\n[desk]\n{settings}\n")


def test_defaults(tmp_path: Path) -> None:
    """A question has 30 s, 2 GB, 100,000 rows and 32 MB; lake.toml says so in comments that can be made settings."""
    lake = create(tmp_path / "lake")
    assert lake.config.desk == DeskSettings(30.0, 2_000, 100_000, 32, 0)
    before, _, section = lake.layout.config.read_text().partition("# [desk]")
    lake.layout.config.write_text(before + "[desk]" + section.partition("\n\n")[0].replace("\n# ", "\n"))

    assert auditlake.open(tmp_path / "lake").config.desk == DeskSettings()


def test_set(tmp_path: Path) -> None:
    """The owner sets them in lake.toml, and a session keeps to them."""
    lake = create(tmp_path / "lake")
    write(lake, "seconds = 250\nmemory_mb = 512\nrows = 3\noutput_mb = 1\nthreads = 1")
    lake = auditlake.open(tmp_path / "lake")

    assert lake.config.desk == DeskSettings(250.0, 512, 3, 1, 1)
    with lake.audit_session(principal="erika") as opened:
        assert len(opened.sql("from range(10)")) == 3


@pytest.mark.parametrize(
    "settings",
    ["seconds = 0", "seconds = true", "seconds = 1e9", "memory_mb = 1", "rows = 0", "rows = 1.5", "output_mb = -1",
     "threads = -1", "hours = 1", "seconds = '5'", "rows = true"],
)  # fmt: skip
def test_mistakes(settings: str, tmp_path: Path) -> None:
    """A mistake is told with what was expected."""
    lake = create(tmp_path / "lake")
    write(lake, settings)

    with pytest.raises(LakeFormatError, match=r"desk\."):
        auditlake.open(tmp_path / "lake")


def test_section(tmp_path: Path) -> None:
    """The desk is a section."""
    lake = create(tmp_path / "lake")
    lake.layout.config.write_text("desk = 1\n" + lake.layout.config.read_text())

    with pytest.raises(LakeFormatError, match=r"a section \[desk\]"):
        auditlake.open(tmp_path / "lake")


def test_alerts_know_the_source() -> None:
    """Alerts give auditlake's own events the source that an ingest gives them, so that none counts twice."""
    line = b'{"event_id":"%b","event_type":"audit_log_access","timestamp":"2026-11-24T00:00:00Z"}\n'
    batches = Batches(frozenset({"audit_log_access"}), 1000, 1)
    batches.take([line % b"a", line % b"b"], system_clock(), [line % b"c"])
    found = batches._connection.execute("select event_id, source, seq from fresh order by event_id").fetchall()
    batches.close()

    assert found == [("a", "auditlake", 0), ("b", "auditlake", 1), ("c", "auditlake.self", 2)]
