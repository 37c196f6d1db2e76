"""A host keeps as many data files as its bound allows: what it let go comes again when it is asked for."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake.errors import StorageError
from auditlake.policies.files import READY
from auditlake.storage import bound
from auditlake.storage import lake as room
from tests.storage.conftest import Proxy
from tests.storage.test_lake import here, ids, lines, made, mirror, opened, url

__all__ = ["url"]

DAYS = ("01", "02", "03", "04", "05", "06")


@pytest.fixture
def lake(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> auditlake.AuditLake:
    """A lake of six days on another host, as one sees it that has none of them."""
    lake = made(url, policies="none", unsigned=True)
    lake.policies.add(READY / "failed_logins.yaml")
    lake.ingest(*(lines(tmp_path / f"{day}.jsonl", day, day=int(day)) for day in DAYS))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "two"))
    return opened(url)


def bounded(url: str, monkeypatch: pytest.MonkeyPatch, files: float) -> auditlake.AuditLake:
    """The lake on a host whose bound is about so many of its files."""
    lake = opened(url)
    size = max(each.size for each in mirror(lake).stored().values())
    monkeypatch.setattr(room, "most_bytes", lambda: int(files * size))
    return opened(url)


def later(lake: auditlake.AuditLake) -> None:
    """Let an hour have passed since each file was asked for."""
    for path in lake.layout.events.glob("event_date=*/*"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns - 3601 * 10**9, status.st_mtime_ns))


def hold(lake: auditlake.AuditLake) -> None:
    """Let an hour pass, and another file come."""
    later(lake)
    held = mirror(lake)
    held._bound.hold([next(held.data())])


def ask(lake: auditlake.AuditLake, day: str) -> Any:
    query = "select event_id from events where timestamp >= $begin and timestamp < $end"
    begin = datetime(2026, 5, int(day), tzinfo=UTC)
    return lake.sql(query, {"begin": begin, "end": begin + timedelta(days=1)}).fetchall()


def test_what_was_not_asked_for_the_longest_goes(
    lake: auditlake.AuditLake, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Of the files of a copy those stay that were asked for last, and every answer is what it was."""
    lake = bounded(url, monkeypatch, 3.5)
    for day in ("01", "02", "03", "01", "04"):
        assert ask(lake, day) == [(day,)]
        later(lake)

    assert here(lake) == ["01", "03", "04"]
    unbounded = [each.json() for each in lake.reports(as_of="2026-05-10", cache=False)]
    assert ids(lake) == [*DAYS]
    hold(lake)
    assert len(here(lake)) <= 3
    assert [each.json() for each in opened(url).reports(as_of="2026-05-10", cache=False)] == unbounded
    assert opened(url).ledger.verify().ok


@pytest.mark.soak
def test_what_was_just_asked_for_stays(lake: auditlake.AuditLake, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound takes no file that a process may be about to open, however much that is."""
    lake = bounded(url, monkeypatch, 1)
    assert ids(lake) == [*DAYS]
    assert here(lake) == [*DAYS]
    later(lake)
    assert ask(lake, "05") == [("05",)]
    mirror(lake)._bound.hold([next(mirror(lake).data())])

    assert here(lake) == ["05"]


def test_what_only_the_copy_has_stays(lake: auditlake.AuditLake, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stays that the bucket has no more, or has with other bytes."""
    ids(lake)
    (gone, cut, *_) = sorted(mirror(lake).stored())
    store = mirror(lake).objects
    store.remove([gone])
    assert store.swap(cut, b"PAR1", store.read(cut))
    lake = bounded(url, monkeypatch, 0.01)
    hold(lake)

    assert here(lake) == [*DAYS[:2]]


@pytest.mark.soak
def test_an_auditor_goes_on(lake: auditlake.AuditLake, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session on files that were let go since it was opened gives the answer that it gave."""
    with lake.audit_session(principal="eve") as session:
        before = session.sql("select event_id from events order by all").fetchall()
        hold(bounded(url, monkeypatch, 0.01))
        assert here(lake) == []

        assert session.sql("select event_id from events order by all").fetchall() == before


@pytest.mark.soak
def test_a_reader_of_an_open_file(lake: auditlake.AuditLake, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has opened a file reads on when it goes."""
    ids(lake)
    path = next(lake.layout.events.glob("event_date=*/*"))
    data = path.read_bytes()
    with path.open("rb") as file:
        hold(bounded(url, monkeypatch, 0.01))
        assert not path.exists()
        assert file.read() == data


def test_a_bound_that_is_no_number(url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told what was expected, before anything is asked of the bucket."""
    made(url, policies="none", unsigned=True)
    monkeypatch.setenv(bound.VARIABLE, "20GB")
    proxy.requests = []
    with pytest.raises(StorageError, match="AUDITLAKE_COPY_MB: expected a number of megabytes, got '20GB'"):
        opened(url)
    assert proxy.requests == []
    monkeypatch.setenv(bound.VARIABLE, "20000")
    assert bound.most_bytes() == 20_000_000_000
