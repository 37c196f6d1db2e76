"""The guide of the desk tells the truth: its auditor.yaml is read as it says, and systemd takes its units."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace as Named

import pytest

import auditlake
from auditlake.cli.docs import FOLDER
from auditlake.desk import peers
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError, RefusedError
from auditlake.sandbox.principals import Account, masking_of

GUIDE = (FOLDER / "guides" / "desk.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = auditlake.create(tmp_path_factory.mktemp("guide") / "lake", policies="none").layout
    (layout.root / "auditor.yaml").write_text(blocks("yaml")[0])
    return layout


def test_who_sees_what(layout: Layout) -> None:
    """Who is named sees what stands there; others what the first of their groups in the file sees, or nothing."""

    def seen(name: str, *groups: str) -> dict[str, str | int]:
        return dict(masking_of(layout, name, Account(name, 1001, frozenset(groups))).columns)

    assert seen("erika", "contractors") == {}
    assert seen("ben", "contractors", "users", "auditors") == {
        "user_id": "hash",
        "ip_address": {"truncate": 7}["truncate"],
    }
    assert seen("ben", "contractors") == {"details": "hide", "user_id": "hide"}
    with pytest.raises(RefusedError, match="neither this account nor a group of it"):
        seen("ben", "users")
    with pytest.raises(RefusedError, match="does not name this principal"):
        masking_of(layout, "auditors")  # who only says who they are is in no group


def test_without_a_file(tmp_path: Path) -> None:
    """Without auditor.yaml, everybody may ask who reads the lake's files, and nobody at the desk."""
    layout = auditlake.create(tmp_path / "lake", policies="none").layout
    assert not masking_of(layout, "erika")
    with pytest.raises(RefusedError, match=r"the lake has no auditor\.yaml"):
        masking_of(layout, "erika", Account("erika", 1001))
    (layout.root / "auditor.yaml").write_text("groups: {audit: {}}\n")
    with pytest.raises(LakeFormatError, match=r"1:17: groups\.audit: expected columns, rows"):
        masking_of(layout, "erika", Account("erika", 1001))


def test_units(tmp_path: Path) -> None:
    """systemd finds no mistake in the units, but for what a machine lacks."""
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("needs systemd-analyze")
    socket, service = blocks("ini")
    program = Path(sys.executable).with_name("auditlake")
    service = service.replace("/usr/local/bin/auditlake", str(program)).replace("User=auditlake", "User=root")
    (tmp_path / "auditlake-desk.socket").write_text(socket)
    (tmp_path / "auditlake-desk.service").write_text(service)
    units = [str(tmp_path / f"auditlake-desk.{kind}") for kind in ("socket", "service")]
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "auditlake-desk" in line] == []


def test_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account has its own name and those of its groups; a number where there is none, or one like another's."""
    users = {1001: Named(pw_name="erika", pw_gid=100), 1002: Named(pw_name="jose\u0301", pw_gid=100)}
    groups = {7: Named(gr_name="audit"), 50: Named(gr_name="staff")}
    monkeypatch.setattr(peers.pwd, "getpwuid", users.__getitem__)
    monkeypatch.setattr(peers.grp, "getgrgid", groups.__getitem__)
    monkeypatch.setattr(peers.os, "getgrouplist", lambda name, gid: [gid, 7] if name == "erika" else [gid])

    def account(uid: int, gid: int) -> Account:
        monkeypatch.setattr(peers, "_credentials", lambda _: (uid, gid))
        return peers.account_of(None)  # type: ignore[arg-type]

    assert account(1001, 50) == Account("erika", 1001, frozenset({"audit", "staff", "gid 100"}))
    assert account(1002, 50).name == "uid 1002"
    assert account(1003, 51) == Account("uid 1003", 1003, frozenset({"gid 51"}))
    with pytest.raises(RefusedError, match="not known here"):
        account(peers._not_mapped(), 50)
