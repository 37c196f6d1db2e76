"""What somebody put into a lake in the place of its folders and files, and a lake that is read-only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.disk.layout import Layout
from auditlake.disk.lock import workspace
from auditlake.errors import AuditLakeError, LakeError, LakeFormatError, SnapshotError
from auditlake.landing.segments import segments
from auditlake.sandbox.canned import questions
from auditlake.site.index import write_index
from auditlake.store.deltalog import Commits, removals
from auditlake.store.pseudonyms import pseudonyms
from auditlake.upkeep import doctor
from auditlake.verify.check import verify
from tests.cli.conftest import run
from tests.store.lakes import NOW, copied, ids, made, opened, write_events
from tests.waiting import HANG_SECONDS

__all__ = ["run"]
OURS = ("events", "landing", "quarantine", "policies", "holds", "ledger", "reports", "certificates", ".staging")
LATER = ("findings", "alerts", "queries", "runs", "set-aside")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two ingests on the same days."""
    folder = tmp_path_factory.mktemp("template")
    lake = made(folder / "lake")
    lake.ingest(write_events(folder / "a.jsonl", range(3)))
    lake.ingest(write_events(folder / "b.jsonl", range(3, 6)))
    return lake.layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return opened(copied(template, tmp_path / "lake"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Folders of somebody, who would be sorry for them."""
    for name in ("mine/thesis.txt", "event_date=2026-03-01/part-" + "0" * 64 + ".parquet", "plain.txt"):
        path = tmp_path / "outside" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("all that I have\n")
        os.utime(path, (0, 0))
        os.utime(path.parent, (0, 0))
    return tmp_path / "outside"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def soon() -> Iterator[None]:
    """Whatever waits for somebody to write into a pipe is interrupted, and has failed."""

    def give_up(*_: object) -> None:
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_folders_that_are_links(lake: AuditLake, outside: Path, run: Callable[..., Any]) -> None:
    """A lake of which a folder leads elsewhere is not opened, doctor says so, and what lies there stays as it is."""
    before, root = content(outside), lake.layout.root
    day = f"events/{lake.snapshot().files[0].path.partition('/')[0]}"
    for name in (*OURS, *LATER, day, "events/_delta_log", "ledger/tile", "ledger/tile/entries", "ledger/aside"):
        folder, kept = root / name, root.parent / "kept"
        if there := folder.exists():
            folder.rename(kept)
        folder.symlink_to(outside)
        with pytest.raises(LakeFormatError, match="this is a symbolic link, and nothing that a lake owns is one"):
            opened(root)
        if name in (".staging", "alerts", day):
            assert f"WRONG: {name}: this is a symbolic link" in run("--lake", root, "doctor", "--repair", "--yes").out
        folder.unlink()
        if there:
            kept.rename(folder)
    (root.parent / "link").symlink_to(root)  # the lake itself may be reached through one
    assert ids(opened(root.parent / "link")) == ids(opened(root))
    assert content(outside) == before


def test_links_that_come_later(lake: AuditLake, outside: Path, tmp_path: Path) -> None:
    """Once a lake is open, no verb goes through a link either: not to read, to remove, to blank, or to write."""
    before = content(outside)
    day = lake.layout.events / lake.snapshot().files[0].path.partition("/")[0]
    day.rename(tmp_path / "day")
    shutil.copytree(tmp_path / "day", outside / "day")
    day.symlink_to(outside / "day")
    with pytest.raises(SnapshotError, match="symbolic link"):
        lake.sql("select count(*) from events").fetchall()
    with pytest.raises(AuditLakeError, match="symbolic link"):
        lake.compact(grace_seconds=0)
    assert any("symbolic link" in each.what for each in verify(lake.layout, now=NOW).problems)
    day.unlink()
    (tmp_path / "day").rename(day)
    shutil.rmtree(outside / "day")
    (lake.layout.events / "event_date=2026-02-01").symlink_to(outside / "event_date=2026-03-01")
    lake.compact(grace_seconds=0)

    lake.layout.staging.rmdir()
    lake.layout.staging.symlink_to(outside)
    with pytest.raises(LakeError, match="symbolic link"):
        lake.ingest(write_events(tmp_path / "c.jsonl", range(6, 9)))
    lake.layout.staging.unlink()
    (lake.layout.landing / "00").symlink_to(outside / "mine")
    with pytest.raises(LakeError, match="symbolic link"):
        lake.log(auditlake.AuditEvent("login", NOW))
    (lake.layout.landing / "00").unlink()
    (lake.layout.landing / "00").mkdir()
    (lake.layout.landing / "00" / "0000000001.jsonl").symlink_to(outside / "plain.txt")
    for reads in (lambda: segments(lake.layout), lake.flush, lambda: ids(lake)):
        with pytest.raises(LakeFormatError, match=r"landing/00/0000000001\.jsonl: this is a symbolic link"):
            reads()
    assert content(outside) == before


@pytest.mark.usefixtures("soon")
def test_data_files_that_are_none(lake: AuditLake, tmp_path: Path) -> None:
    """A writer does not wait for a pipe in the place of a data file, nor read what a link leads to."""
    path = lake.layout.events / lake.snapshot().files[0].path
    path.rename(tmp_path / "kept")
    for make in (os.mkfifo, lambda path: path.symlink_to(tmp_path / "kept")):
        make(path)
        with pytest.raises(LakeFormatError, match="expected a regular file"):
            lake.ingest(write_events(tmp_path / "c.jsonl", range(9)))
        path.unlink()
    (tmp_path / "kept").rename(path)
    assert verify(lake.layout, now=NOW).ok


def test_a_log_that_leads_out_of_the_lake(lake: AuditLake, tmp_path: Path) -> None:
    """A data file that the log says lies elsewhere is neither read nor copied, and nothing is written elsewhere."""
    before = lake.snapshot().files[0].path
    kept = tmp_path / "outside" / before
    kept.parent.mkdir(parents=True)
    (lake.layout.events / before).rename(kept)
    there, said = content(tmp_path / "outside"), {}
    for entry in lake.layout.log.glob("*.json"):
        said[entry] = entry.read_text()
    for out in (f"../../outside/{before}", str(kept)):
        for entry, text in said.items():
            entry.write_text(text.replace(before, out))
        for ask in (ids, lambda lake: lake.audit_session(principal="erika"), lambda lake: lake.backup(tmp_path / "b")):
            with pytest.raises(AuditLakeError, match="this does not lie in the lake"):
                ask(opened(lake.layout.root))
        assert not verify(lake.layout, now=NOW).ok
    assert content(tmp_path / "outside") == there
    assert not (tmp_path / "b").exists()


def test_a_draft_of_init_that_is_a_link(outside: Path, tmp_path: Path) -> None:
    """A link in the place where a new lake is prepared is refused, and nothing behind it is touched."""
    before = content(outside)
    (tmp_path / f".{hashlib.sha256(b'new').hexdigest()[:12]}.draft").symlink_to(outside)

    with pytest.raises(LakeError, match="this is a symbolic link, expected a folder"):
        auditlake.create(tmp_path / "new")

    assert content(outside) == before


def test_a_draft_of_init_that_is_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lake is made within a folder of another user, who could put another one into its place."""
    (tmp_path / f".{hashlib.sha256(b'new').hexdigest()[:12]}.draft").mkdir()
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)

    with pytest.raises(LakeError, match="belongs to the user"):
        auditlake.create(tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_a_damaged_entry_before_a_checkpoint(lake: AuditLake) -> None:
    """An entry of the log that no reader of the table needs any more is named where auditlake looks into it."""
    lake.layout.history.unlink(missing_ok=True)
    for damage in (b"{", b"1\n", b"\xff"):
        lake.layout.commit(1).write_bytes(damage)
        for look in (lambda: Commits(lake.layout, 2).history, lambda: removals(lake.layout, 1)):
            with pytest.raises(LakeFormatError, match=r"00001\.json cannot be read: .*"):
                look()
    lake.layout.commit(1).unlink()
    lake.layout.commit(1).symlink_to(lake.layout.commit(2))
    with pytest.raises(LakeFormatError, match="symbolic link"):
        _ = Commits(lake.layout, 2).history


def test_who_reads_sweeps_nothing(lake: AuditLake, tmp_path: Path) -> None:
    """What a dead writer left stays while a lake is opened and read, and goes with the next writer's own folder."""
    dead = lake.layout.staging / "999999999-dead"
    dead.mkdir()
    assert len(ids(opened(lake.layout.root))) == 6
    assert verify(lake.layout, now=NOW).ok
    assert dead.is_dir()
    with workspace(lake.layout.staging) as folder:
        assert list(lake.layout.staging.iterdir()) == [folder]


READ_BY: dict[str, Callable[[AuditLake], object]] = {
    "lake.toml": ids,
    ".history": ids,
    "events/_delta_log/00000000000000000002.json": ids,
    "events/_delta_log/_last_checkpoint": ids,
    "policies/failed_logins.yaml": lambda lake: lake.policies.all(),
    "holds/a.yaml": lambda lake: lake.retention.plan(),
    "findings/journal.jsonl": lambda lake: lake.findings.list(),
    "pseudonyms.key": lambda lake: pseudonyms(lake.layout, make=False),
    "ledger/checkpoint": lambda lake: lake.ledger.checkpoint(),
    "queries/q.sql": lambda lake: questions(lake.layout),
    "reports/compliance_a_20261124T060000Z_v1.json": lambda lake: write_index(lake.layout.reports),
}
"""Files of a lake, and something that reads each; what is not named here is read by an ingest."""
FILES = (*READ_BY, ".lock", ".batch", "ledger/key", "ledger/key.pub")
PASSED_OVER = {".history", "reports/compliance_a_20261124T060000Z_v1.json"}


@pytest.mark.usefixtures("soon")
def test_named_pipes(lake: AuditLake, tmp_path: Path) -> None:
    """A pipe in the place of any file of a lake makes nobody wait: it is named, or passed over as no file of ours."""
    root = lake.layout.root
    for number, name in enumerate(FILES):
        new = write_events(tmp_path / "c.jsonl", [100 + number])
        path, kept, told = root / name, root.parent / "kept", ""
        path.parent.mkdir(exist_ok=True)
        if there := path.exists():
            path.rename(kept)
        os.mkfifo(path)
        try:
            READ_BY.get(name, lambda lake, new=new: lake.ingest(new))(opened(root, wait_seconds=0))
        except (AuditLakeError, OSError) as error:
            told = str(error)
        assert ("this is a named pipe, expected a regular file" in told) is (name not in PASSED_OVER), (name, told)
        if name in {"lake.toml", "ledger/key", "events/_delta_log/00000000000000000002.json"}:
            assert "this is a named pipe" in str(doctor.examine(Layout(root), now=NOW).problems)
        path.unlink()
        if there:
            kept.rename(path)
    assert verify(Layout(root), now=NOW).ok


def test_what_is_named_on_the_command_line(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """A pipe or a device in the place of a proof, a key, a checkpoint or a report is refused."""
    os.mkfifo(tmp_path / "pipe")
    proof = tmp_path / "proof"
    proof.write_bytes(lake.ledger.prove("e1"))
    lake_key, where = lake.layout.ledger / "key.pub", ("--lake", lake.layout.root)
    for odd in (tmp_path / "pipe", Path("/dev/zero")):
        for asked in (
            ("verify-proof", odd, "--public-key", lake_key), ("verify-proof", proof, "--public-key", odd),
            (*where, "verify", "--checkpoint", odd), (*where, "verify", "--public-key", odd),
            (*where, "reperform", odd), (*where, "policy", "add", odd),
        ):  # fmt: skip
            done = run(*asked)
            assert done.code in {2, 3}
            assert "regular file" in done.err or "is a" in done.err, (asked, done)


@pytest.fixture
def read_only(lake: AuditLake, tmp_path: Path) -> Iterator[AuditLake]:
    """The lake on a file system that is mounted read-only."""
    place = tmp_path / "mounted"
    place.mkdir()
    mounts = (("mount", "--bind", lake.layout.root, place), ("mount", "-o", "remount,ro,bind", place))
    done = [subprocess.run(command, capture_output=True, check=False, text=True) for command in mounts]
    try:
        if any(each.returncode for each in done) or os.access(place, os.W_OK):
            pytest.skip(f"nothing can be mounted read-only here: {' '.join(each.stderr.strip() for each in done)}")
        yield opened(place)
    finally:
        subprocess.run(["umount", place], capture_output=True, check=False)


def test_questions_that_were_asked(lake: AuditLake, request: pytest.FixtureRequest, caplog: Any) -> None:
    """Auditlake's own events in the landing keep nobody from reading where they cannot be brought into the table."""
    with lake.audit_session(principal="erika") as session:
        session.sql("select 1")
    read_only = request.getfixturevalue("read_only")

    assert read_only.reports(as_of=NOW)[0].report.evidence.snapshot == 2
    assert read_only.retention.plan(as_of=NOW).snapshot == 2
    assert caplog.messages == ["questions that were asked since are not in version 2: Read-only file system"] * 2
    with pytest.raises(LakeError, match="cannot be written: Read-only file system"):
        read_only.flush()


def test_on_a_read_only_file_system(read_only: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """Every verb that reads works where nothing can be written; what writes says that it cannot."""
    out, where = tmp_path / "out", ("--lake", read_only.layout.root)
    out.mkdir()
    for asked in (
        ("stats",), ("verify",), ("doctor",), ("prove", "e1", "--out", out / "proof"), ("finding", "list"),
        ("checkpoint", "--out", out / "kept"), ("report", "failed_logins", "--out", out), ("retention", "plan"),
        ("evidence", "failed_logins", "--out", out / "pack.zip"), ("backup", out / "copy"), ("connect",),
        ("policy", "sql", "failed_logins"), ("policy", "check"), ("hold", "list"),
    ):  # fmt: skip
        done = run(*where, *asked)
        assert done.code == 0, (asked, done)
    (report,) = out.glob("compliance_*.json")
    assert run(*where, "reperform", report).code == 0
    assert run(*where, "verify", "--checkpoint", out / "kept").code == 0
    copy = opened(out / "copy")
    assert (ids(copy), verify(copy.layout, now=NOW).ok) == (ids(read_only), True)

    (tmp_path / "more.jsonl").write_text(json.dumps({"event_type": "login", "timestamp": "2026-03-01T00:00:00Z"}))
    for asked in (("ingest", tmp_path / "more.jsonl"), ("compact",), ("report",), ("log", "--event-type", "login")):
        done = run(*where, *asked)
        assert (done.code, "Read-only file system" in done.err) == (3, True), (asked, done)
    done = run(*where, "sql", "select 1")
    assert "the question cannot be put on record, so it is not answered" in done.err
    assert "ask a copy of it" in done.err
