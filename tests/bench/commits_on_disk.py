"""Commits on a disk, beside the version of before a lake could lie anywhere else.

Each side is a program of its own, this file, with the modules of one version or the other. Their times are over as many
commits as put files together once or more. Run as a program: ``python -P commits_on_disk.py KIND FOLDER``.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.bench.data import Place
    from tests.bench.work import Work

KINDS = ("flush", "ingest", "ingest-many")
BEFORE = "02810c79~1"
"""The commit of the repository before the one that began the storage's seam."""
MANY = 10_000
"""How many events an ingest of many has."""
_WARMING, _FEW, _SEVERAL = 5, 7, 32
"""How many commits come before those that count, how many of many events count, and how many of one."""
_ROOT = Path(__file__).resolve().parents[2]
_AT = datetime(2026, 11, 1, tzinfo=UTC)


def has_earlier_version() -> bool:
    """Return whether the repository is here with its history."""
    command = ["git", "-C", str(_ROOT), "cat-file", "-e", BEFORE]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def works(kind: str) -> dict[str, Work]:
    """Commits of a kind, each version's."""
    from tests.bench.work import Work

    def work(tree: Callable[[Place], Path]) -> Work:
        return Work(
            lambda place, scratch: _committed(tree(place), kind, scratch),
            lambda done: done["landed"],
            lambda done: float(done["seconds"]),
        )

    return {"ours": work(lambda _: _ROOT), "the version before": work(_earlier)}


def _earlier(place: Place) -> Path:
    """Return the tree of the version before."""
    from tests.bench.data import once

    def make(draft: Path) -> None:
        command = ["git", "-C", str(_ROOT), "archive", "--format=tar", BEFORE]
        archive = subprocess.run(command, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(draft, filter="data")

    return once(place.root / "version-before", make)


def _committed(tree: Path, kind: str, scratch: Path) -> dict[str, Any]:
    command = [sys.executable, "-P", __file__, kind, str(scratch)]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _flush(lake: Any, number: int) -> tuple[float, int]:
    from auditlake import AuditEvent

    began = time.process_time()
    lake.log(AuditEvent("login", _AT + timedelta(seconds=number), user_id="user-1"))
    landed = lake.flush().landed
    return time.process_time() - began, landed


def _ingest(lake: Any, number: int, many: int = 1) -> tuple[float, int]:
    file = lake.layout.root.with_name("some.jsonl")
    with file.open("w") as lines:
        for each in range(many):
            at = (_AT + timedelta(seconds=number, microseconds=each)).isoformat()
            event = {"event_id": f"{number}-{each}", "event_type": "login", "timestamp": at, "user_id": f"u{each % 50}"}
            lines.write(json.dumps(event) + "\n")
    began = time.process_time()
    landed = lake.ingest(file).landed
    return time.process_time() - began, landed


def _main(kind: str, folder: Path) -> None:
    from tests.lakes import create

    lake = create(folder / "lake")
    count = _WARMING + (_FEW if kind == "ingest-many" else _SEVERAL)
    commit = {"flush": _flush, "ingest": _ingest, "ingest-many": lambda lake, n: _ingest(lake, n, MANY)}[kind]
    done = [commit(lake, number) for number in range(count)]
    seconds = mean(seconds for seconds, _ in done[_WARMING:])
    print(json.dumps({"seconds": seconds, "landed": sum(landed for _, landed in done)}))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
