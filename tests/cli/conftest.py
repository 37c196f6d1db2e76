"""Running the command line in this process."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.cli import main
from tests.lakes import create
from tests.waiting import HANG_SECONDS


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`auditlake` with these arguments, on a lake in this test's own folder; nothing is slow enough for progress."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDITLAKE_LAKE", raising=False)
    monkeypatch.setattr("auditlake.cli.output._QUIET_SECONDS", HANG_SECONDS)
    # Under python -m pytest, click would call the program python -m pytest.auditlake.
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None, raising=False)

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr("sys.argv", ["auditlake", *(str(each) for each in arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return call


def write_events(file: Path) -> Path:
    """Write nine failed logins of one user on one day, and a login of another."""
    rows = [
        {"event_id": f"e{i}", "event_type": "auth_failure", "timestamp": f"2026-11-24T09:0{i}:00Z",
         "user_id": "mallory", "status": "failure", "ip_address": "203.0.113.9", "details": {"n": i}}
        for i in range(9)
    ]  # fmt: skip
    rows.append({"event_id": "l1", "event_type": "login", "timestamp": "2026-11-24T10:00:00Z", "user_id": "alice"})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of these events, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    create(folder / "lake").ingest(write_events(folder / "audit_20261124.jsonl"))
    return folder / "lake"


@pytest.fixture
def filled(template: Path, run: Run, tmp_path: Path) -> AuditLake:
    """A lake of these events in the folder that commands run in."""
    return auditlake.open(shutil.copytree(template, tmp_path / "lake"))


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Nine failed logins of one user on one day, and a login of another."""
    return write_events(tmp_path / "audit_20261124.jsonl")
