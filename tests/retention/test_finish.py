"""What follows a commit of retention: told by the log alone, whatever times files have, and seen by a verification."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.retention import apply as applying
from auditlake.retention.finish import certificate_paths
from auditlake.store import delta
from auditlake.store.history import keeps_quarantine
from tests.retention.lakes import DAY, NOW, Clock, bring, graced, made, policy_text, record
from tests.store.lakes import data_files


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with a quarantine file and two days that are due, one of them mixed, without grace."""
    clock = Clock(NOW - 20 * DAY)
    lake = made(tmp_path / "lake", {"two": policy_text(["login"], "2d"), "ten": policy_text(["logout"], "10d")}, clock)
    lake = graced(lake, "0h")
    lake.retention_apply(accept_weaker="a lake of tests")
    bring(lake, [{"event_type": "nothing", "timestamp": "2026-03-01T00:00:00Z"}], "bad.jsonl")
    kinds = [(9, "login"), (8, "login"), (8, "logout"), (1, "login")]
    bring(lake, (record(n, NOW - age * DAY, kind) for n, (age, kind) in enumerate(kinds)))
    clock.now = NOW
    return lake


def die(*_: object) -> None:
    """What a kill does."""
    raise KeyboardInterrupt


def die_before_finish(lake: AuditLake) -> None:
    """An apply that dies right after its commit."""
    real, calls = applying.finish, iter([0])

    def finish(*arguments: object) -> int:
        return real(*arguments) if next(calls, None) is not None else die()  # type: ignore[arg-type, return-value]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(applying, "finish", finish)
        lake.retention_apply()


@pytest.mark.parametrize("touched", [0, 4e9], ids=["old", "new"])
@pytest.mark.parametrize("again", [False, True])
def test_a_quarantine_file_that_came_again(again: bool, touched: float, lake: AuditLake) -> None:
    """A file that a dead apply was to remove goes, unless an ingest brought it again: the log says so, not its times."""
    (file,) = lake.layout.quarantine.iterdir()
    die_before_finish(lake)
    assert not keeps_quarantine(lake.layout, lake.snapshot().version, file)
    if again:
        version = lake.snapshot().version
        assert lake.ingest(lake.layout.root.parent / "bad.jsonl").snapshot == version + 1
    os.utime(file, (touched, touched))
    lake.retention_apply()

    assert file.exists() == again
    assert lake.verify().ok
