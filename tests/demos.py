"""The demo of the README, made once in a run of the tests, however many processes share it."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
from pathlib import Path

import pytest

from auditlake.cli import main

DEMO = "auditlake demo demo"


def run(line: str) -> int:
    """Run a command as a shell would; give its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", shlex.split(line))
        with pytest.raises(SystemExit) as left:
            main()
    return int(left.value.code or 0)


def copy_demo(folder: Path, factory: pytest.TempPathFactory) -> None:
    """Put the lake that the demo leaves behind into ``folder/demo``."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "demo.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.chdir(shared)
        made = shared / "demo.made"
        if not made.exists():
            assert run(DEMO) == 0
            made.touch()
    shutil.copytree(shared / "demo" / "lake", folder / "demo" / "lake")
