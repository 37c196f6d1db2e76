"""Who may read a lake's files: what lake.toml says, for whatever any verb makes, by whichever library."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import auditlake
from auditlake import testing
from auditlake.alerts.sinks import JsonlSink
from auditlake.alerts.watch import evaluate_once
from auditlake.config import read_config
from auditlake.disk import rights
from auditlake.disk.rights import Rights, keep
from auditlake.errors import LakeFormatError
from auditlake.store import log_checkpoint
from auditlake.upkeep.doctor import examine, repair
from tests.lakes import make_lake
from tests.sandbox.lakes import NOW, events


@cache
def a_group() -> str:
    """Return the name of a group that this process may give to files, another than its own if it can be."""
    gids = [gid for gid in (8, *os.getgroups()) if os.geteuid() == 0 or gid in os.getgroups()]
    for gid in sorted({*gids, os.getegid()}, key=lambda gid: gid == os.getegid()):
        try:
            return grp.getgrgid(gid).gr_name
        except KeyError:
            continue
    return pytest.skip("no group of this process has a name")


def share(lake: auditlake.AuditLake, files: str | None = None) -> auditlake.AuditLake:
    """Let a group read the files of a lake, and open it anew."""
    with lake.layout.config.open("a") as config:
        config.write("\n[files]\n" + (files or f'mode = "0640"\ngroup = "{a_group()}"') + "\n")
    return auditlake.open(lake.layout.root, clock=lake._context.clock)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[auditlake.AuditLake]:
    """A lake that lets a group read, and has not been given that yet; the process masks nothing."""
    before = os.umask(0)
    lake = make_lake(tmp_path / "lake", clock=testing.Clock(NOW), settings={"grace": "0h"})
    yield share(lake)
    keep(lake.layout.root, Rights())
    os.umask(before)


def wrong(root: Path) -> dict[str, str]:
    """Return what has other rights than a group's, by name; a private key is its owner's alone."""
    gid = grp.getgrnam(a_group()).gr_gid
    found = {}
    for path in (root, *root.rglob("*")):
        got, is_key = path.lstat(), path.name in {"key", "pseudonyms.key"}
        mode = 0o600 if is_key else 0o750 if path.is_dir() else 0o640
        if stat.S_IMODE(got.st_mode) != mode or (not is_key and got.st_gid != gid):
            found[path.relative_to(root).as_posix()] = f"{stat.S_IMODE(got.st_mode):o} {got.st_gid}"
    return found


def test_every_verb_keeps_them(lake: auditlake.AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a verb makes may be read by the group, and nothing else by anybody else; a backup has the same."""
    monkeypatch.setattr(log_checkpoint, "EVERY", 2)
    root = lake.layout.root
    (tmp_path / "bad.jsonl").write_text('{"event_type": "login"}\n')
    (tmp_path / "log.jsonl").write_text('{"event_type": "login", "timestamp": "2026-11-20T10:00:00Z"}\n')
    (tmp_path / "p.yaml").write_text("name: n\ndescription: d\nrequired_events: [login]\nretention_period: 400d\n")
    with lake.layout.config.open("a") as config:
        config.write(f"\n[[collect]]\npath = '{tmp_path / 'log.jsonl'}'\n")
    lake = auditlake.open(root, clock=lake._context.clock)

    def look() -> None:
        with lake.audit_session(principal="erika") as session:
            session.sql("from findings")

    def accept() -> None:
        (first, *_) = lake.findings.list(last="30d")
        lake.findings.accept(first.finding.id, reason="r", owner="o", expires="2099-01-01", last="30d")

    def watch() -> None:
        lake.log_many(testing.events("auth_failure", NOW, count=20, every="1s", user_id="mallory"))
        evaluate_once(lake.layout, lake.config, lake._context.clock, JsonlSink("alerts/alerts.jsonl"))

    def apply() -> None:
        lake._context.clock.move("40d")
        lake.retention.apply()

    verbs = {
        "doctor": lambda: repair(lake.layout, examine(lake.layout, now=NOW).changes, now=NOW, wait_seconds=0),
        "ingest": lambda: lake.ingest(events()[::7]),
        "quarantine": lambda: lake.ingest(tmp_path / "bad.jsonl", source="auditlake"),
        "log": lambda: lake.log(event_type="login"),
        "flush": lake.flush,
        "policy add": lambda: lake.policies.add(tmp_path / "p.yaml"),
        "compact": lake.compact,
        "evidence": lambda: lake.evidence("failed_logins", lake.layout.reports / "pack.zip", last="30d"),
        "accept": accept,
        "watch": watch,
        "session": look,
        "hold": lambda: lake.holds.add("smith", reason="r", owner="o", ticket="t", user_ids=["alice"]),
        "erase": lambda: lake.retention.erase("dave", reason="r", ticket="t"),
        "apply": apply,
        "rotate": lake.ledger.rotate_key,
        "nightly": lake.routine.nightly,
        "pack add": lambda: lake.packs.add("gdpr"),
    }
    for name, verb in verbs.items():
        verb()
        assert wrong(root) == {}, name
    lake.backup(tmp_path / "copy")
    assert wrong(tmp_path / "copy") == {}
    for made in (
        "quarantine/*.jsonl", "events/_delta_log/*.checkpoint.parquet", "certificates/*.json", "alerts/state.json",
        "alerts/alerts.jsonl", "landing/*/lock", "findings/journal.jsonl", "runs/journal.jsonl", "collected.jsonl",
        "reports/*.html", "pseudonyms.key", "ledger/key",
    ):  # fmt: skip
        assert list(root.glob(made)), made


def test_doctor(lake: auditlake.AuditLake) -> None:
    """doctor counts what differs and gives it what lake.toml says, once; a key that others may read is among that."""
    found = examine(lake.layout, now=NOW)
    assert [each.action for each in found.changes] == ["give rights to"]
    assert any(
        "files and folders have other rights than lake.toml says (0640, group" in each.what for each in found.problems
    )
    repair(lake.layout, found.changes, now=NOW, wait_seconds=0)
    assert wrong(lake.layout.root) == {}
    assert examine(lake.layout, now=NOW).changes == examine(lake.layout, now=NOW).problems == ()
    (lake.layout.ledger / "key").chmod(0o640)
    (problem,) = examine(lake.layout, now=NOW).problems
    assert "1 file or folder has other rights than lake.toml says" in problem.what
    assert "such as ledger/key" in problem.what


def test_what_cannot_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that is not here, or not this account's, gets nothing, and no verb fails; doctor says why."""
    lake = share(make_lake(tmp_path / "lake"), 'mode = "0640"\ngroup = "no such group"')
    lake.ingest(events()[:3])
    assert {stat.S_IMODE(path.stat().st_mode) for path in lake.layout.root.rglob("*")} == {0o600, 0o700, 0o640} - {
        0o640
    }
    (problem,) = examine(lake.layout, now=NOW).problems
    assert "for their owner alone, since there is no group 'no such group' here" in problem.what
    assert examine(lake.layout, now=NOW).changes == ()
    keep(lake.layout.root, Rights(0o640, a_group()))
    monkeypatch.setattr(rights.os, "geteuid", lambda: 12_345)
    monkeypatch.setattr(rights.os, "getegid", lambda: 12_345)
    monkeypatch.setattr(rights.os, "getgroups", list)
    lake.log(event_type="login")
    assert stat.S_IMODE(lake.layout.segment(0, 1).stat().st_mode) == 0o600
    keep(lake.layout.root, Rights())


def test_settings(tmp_path: Path) -> None:
    """Modes beyond these, and a group that may read nothing, are mistakes."""
    lake = make_lake(tmp_path / "lake")
    before = lake.layout.config.read_text()
    for files, why in (
        ("mode = 640", "files.mode: expected one of '0600', '0640', '0644', got 640"),
        ('mode = "0666"', "got '0666'"),
        ('mode = ["0640"]', "files.mode"),
        ('group = "audit"', "files.mode: expected"),
        ('mode = "0640"\ngroup = ""', "files.group: expected the name of a group"),
        ("owner = 1", "unknown key 'files.owner'"),
    ):
        lake.layout.config.write_text(f"{before}\n[files]\n{files}\n")
        with pytest.raises(LakeFormatError, match="cannot be understood") as raised:
            read_config(lake.layout)
        assert why in str(raised.value)
    lake.layout.config.write_text(f'{before}\n[files]\nmode = "0644"\n')
    assert (read_config(lake.layout).files, read_config(lake.layout).files.folder_mode) == (Rights(0o644), 0o755)
    keep(lake.layout.root, Rights())
