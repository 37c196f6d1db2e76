"""A backup is the lake at one moment, whatever is written to it meanwhile; copied back, it is a lake again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.disk.layout import Layout
from auditlake.errors import AuditLakeError, LakeError
from tests.store.lakes import NOW, made, opened, write_events
from tests.verify.lakes import checked


def files(root: Path) -> dict[str, bytes]:
    """Every file of a lake, but those that only writers at work need."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock" and not {".staging", ".ids"} & {*path.parts}
    }


def ids(lake: AuditLake) -> set[str]:
    """Every event, flushed or not."""
    return {row[0] for row in lake.sql("select event_id from events").fetchall()}


def test_a_backup(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """It has every file of the lake; restored by copying, it verifies, and takes further events."""
    lake.log(AuditEvent("login", NOW, user_id="alice"))
    done = run("--lake", lake.layout.root, "backup", tmp_path / "deep" / "copy", "--json")
    assert (done.code, done.json["snapshot"]) == (0, lake.snapshot().version)
    assert files(tmp_path / "deep" / "copy") == files(lake.layout.root)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["copy"]

    restored = opened(Path(shutil.copytree(tmp_path / "deep" / "copy", tmp_path / "restored")))
    assert ids(restored) == ids(lake)
    kept = lake.ledger.checkpoint()
    restored.flush()
    restored.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    report = checked(restored, checkpoint=kept)
    assert report.ok, report.problems
    assert ids(restored) > ids(lake)


def test_without_the_key(lake: AuditLake, tmp_path: Path) -> None:
    """A backup without the private key verifies, and takes commits once the key is back."""
    lake.backup(tmp_path / "copy", key=False)
    restored = opened(tmp_path / "copy")
    assert checked(restored).ok
    with pytest.raises(AuditLakeError, match="key"):
        restored.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))

    shutil.copy(lake.layout.ledger / "key", restored.layout.ledger / "key")
    restored.ingest(tmp_path / "b.jsonl")
    assert checked(restored).ok


def secrets(root: Path) -> set[str]:
    """The files that hold a private key."""
    return {name for name, data in files(root).items() if data.startswith(b"PRIVATE+KEY+")}


@pytest.mark.parametrize("how", ["linked here", "linked from elsewhere", "hard link", "folder", "relative", "next"])
def test_no_way_to_the_key(how: str, lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the key none is copied, however it is spelled and linked; with it, only one that lies in the lake."""
    key, config = lake.layout.ledger / "key", lake.layout.config
    named, inside = {"linked from elsewhere": tmp_path / "etc" / "key", "relative": Path("keys/mine")}.get(how), True
    if how == "linked here":
        key = key.rename(tmp_path / "key")
        (lake.layout.ledger / "key").symlink_to(key)
        inside = False
    elif how == "linked from elsewhere":
        (tmp_path / "etc").symlink_to(lake.layout.ledger)
    elif how == "hard link":
        (lake.layout.root / "mine").hardlink_to(key)
    elif how == "folder":
        (lake.layout.root / "again").symlink_to(lake.layout.ledger)
    elif how == "relative":
        (lake.layout.root / "keys").mkdir()
        key.rename(lake.layout.root / "keys" / "mine")
        monkeypatch.chdir("/")
    else:
        monkeypatch.setattr("auditlake.upkeep.backup.settle_ledger", lambda _: (lake.snapshot(), None))
        shutil.copy(key, key.with_name("key.next"))
    if named:
        config.write_text(f'{config.read_text()}\n[ledger]\nkey = "{named}"\n')
    lake = opened(lake.layout.root)
    lake.backup(tmp_path / "without", key=False)
    lake.backup(tmp_path / "with")

    assert secrets(tmp_path / "without") == set()
    assert bool(secrets(tmp_path / "with")) == inside
    assert checked(opened(tmp_path / "without")).ok


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that logs, flushes and compacts, and prints what was acknowledged."""
    made(tmp_path / "busy")
    command = [sys.executable, "-m", "tests.verify.busy", tmp_path / "busy", tmp_path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process
        (tmp_path / "stop").touch()
        process.communicate()
        assert process.returncode == 0


def test_while_others_write(busy: subprocess.Popen[str], tmp_path: Path) -> None:
    """Backups that are made while a process logs, flushes and compacts verify, and have what was acknowledged."""
    assert busy.stdout is not None
    lake = auditlake.open(tmp_path / "busy")
    acknowledged: set[str] = set()
    for number in range(2):
        acknowledged |= {busy.stdout.readline().strip() for _ in range(9)}
        lake.backup(tmp_path / f"copy {number}")
        copy = auditlake.open(tmp_path / f"copy {number}")
        assert acknowledged <= ids(copy)
        copy.flush()
        assert acknowledged <= ids(copy)
        report = copy.ledger.verify()
        assert (report.ok, report.notices) == (True, ()), report.problems


def test_a_compaction_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a compaction replaces while the data is copied are not in the backup, and the new ones are."""
    lake = made(tmp_path / "lake")
    for number in range(2):
        lake.ingest(write_events(tmp_path / f"{number}.jsonl", range(number, 6, 2)))
    first = Layout(tmp_path / "lake").events / lake.snapshot().files[0].path
    copy2, calls = shutil.copy2, []

    def copy(path: Path, target: Path) -> None:
        if not calls:
            calls.append(path)
            lake.compact(grace_seconds=0)
            assert not first.exists()
        copy2(path, target)

    monkeypatch.setattr("auditlake.upkeep.backup.shutil.copy2", copy)
    lake.backup(tmp_path / "copy")
    assert files(tmp_path / "copy") == files(lake.layout.root)


def test_a_line_that_is_being_written(lake: AuditLake, tmp_path: Path) -> None:
    """Of a line whose writer is in the middle of it nothing is copied, nor the mark of a run under way."""
    lake.log(AuditEvent("login", NOW, user_id="alice"))
    (segment,) = lake.layout.landing.glob("*/*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(whole + b'{"event_type":"lo')
    told = lake.layout.alerts / "alerts.jsonl"
    told.parent.mkdir(exist_ok=True)
    told.write_bytes(b'{"id": 1}\n{"id')
    with lake.runs.recorded():
        lake.backup(tmp_path / "copy")

    assert (tmp_path / "copy" / segment.relative_to(lake.layout.root)).read_bytes() == whole
    assert (tmp_path / "copy" / "alerts" / "alerts.jsonl").read_bytes() == b'{"id": 1}\n'
    assert [*(tmp_path / "copy" / "runs").iterdir()] == []


@pytest.mark.parametrize("how", ["there", "inside", "lost", "full"])
def test_no_backup(how: str, lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is something, in the lake itself, of a lake that lost a file, or on a full disk: none is made."""
    target = tmp_path / "copy"
    if how == "there":
        target.mkdir()
    elif how == "inside":
        target = lake.layout.root / "reports" / "copy"
    elif how == "lost":
        (lake.layout.events / lake.snapshot().files[0].path).unlink()
    else:
        monkeypatch.setattr("auditlake.upkeep.backup.sync_file", full)
    lake.ledger.checkpoint()  # makes the lock's file
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LakeError, match=r"there is something|in the lake itself|lost a file|No space left"):
        lake.backup(target)
    assert sorted(tmp_path.rglob("*")) == before


def full(_: Path) -> None:
    """What a full disk says."""
    raise OSError(28, "No space left on device")
