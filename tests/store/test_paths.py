"""A lake works at any path: no program it uses takes a folder's name for a pattern, an escape, a day or two folders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.engine import paths
from auditlake.errors import LakeError, SnapshotError
from auditlake.sandbox.session import AuditSession
from tests.lakes import create

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOSTILE = "event_date=1999-01-01/we[i]rd *? #%41%e4 ü'\"${x}~/back\\sl*sh\n\x01\x7f%20/batch=7"
"""Ends of lines, patterns, escapes, quotes, and folders named like partitions."""
DAYS = "select event_id, event_date from events where event_type = 'login' order by 1"


def made(path: Path) -> AuditLake:
    """A lake with two events of two days, and one that was logged and is in no partition yet."""
    lake = create(path, clock=lambda: NOW)
    for i in range(2):
        lake.ingest([AuditEvent("login", NOW - timedelta(days=i), user_id="ana", event_id=f"e{i}")])
    lake.log(AuditEvent("logout", NOW, user_id="ana", event_id="e2"))
    return lake


def desk(lake: AuditLake, *, engine_reads: bool) -> list[tuple[object, ...]]:
    """What an auditor sees: the events and their days, and that findings can be judged."""
    session = AuditSession(lake._context, principal="erika", engine_reads=engine_reads)
    with session:
        assert session.sql("select count(*) > 0 from findings").fetchall() == [(True,)]
        return session.sql(DAYS).fetchall()


def test_every_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the path, events come in, are reported, asked for in the desk with and without Landlock, verified,
    compacted, backed up and read at an old snapshot; what links were needed for it go with the lake."""
    (temporary := tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    lake = made(tmp_path / HOSTILE)
    expected = [(f"e{i}", (NOW - timedelta(days=i)).date()) for i in range(2)]

    assert lake.sql(DAYS).fetchall() == expected
    assert lake.report("authentication_monitoring", as_of=NOW).report.total_events == 3
    assert desk(lake, engine_reads=True) == desk(lake, engine_reads=False) == expected
    assert lake.compact() is not None
    assert lake.sql(DAYS).fetchall() == lake.sql(DAYS, snapshot=2).fetchall() == expected
    assert lake.ledger.verify().problems == ()
    lake.backup(tmp_path / "copy [*]")
    assert auditlake.open(tmp_path / "copy [*]").sql(DAYS).fetchall() == expected
    with pytest.raises(SnapshotError, match="backslash and a pattern"):
        lake.connect()
    assert 0 < len(list(temporary.glob("auditlake-*/*"))) < 9

    lake.layout.root.rename(tmp_path / "plain")
    (tmp_path / "copy [*]").rename(tmp_path / "copy")
    paths._sweep()
    assert list(temporary.glob("auditlake-*/folder")) == list(temporary.glob("auditlake-*/_delta_log")) == []
    assert auditlake.open(tmp_path / "plain").sql(DAYS).fetchall() == expected


def test_no_plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the folder for temporary files has such a path too, that is said, with what to do."""
    (tmp_path / "50%25/_delta_log").mkdir(parents=True)
    (tmp_path / "51%25/_delta_log").mkdir(parents=True)
    (tmp_path / "t\\mp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Path(paths.for_delta(tmp_path / "50%25"), "_delta_log").samefile(tmp_path / "50%25/_delta_log")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t\\mp"))

    with pytest.raises(LakeError, match="cannot address") as told:
        paths.for_delta(tmp_path / "51%25")
    assert "TMPDIR" in told.value.hint
