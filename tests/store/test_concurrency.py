"""Many processes on one lake: no call fails, nothing is lost or doubled, every reader sees whole commits."""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from auditlake.disk.lock import exclusive, sweep, workspace
from auditlake.errors import LakeBusyError
from tests.store.lakes import check, check_orphans_go, expected, ids, made, opened, write_events
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]


def start(lake: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.worker", str(lake), *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, err
    return out


def crowd(tmp_path: Path, writers: int, ingests: int, readers: int) -> None:
    lake = made(tmp_path / "lake")
    root, stop = lake.layout.root, tmp_path / "stop"
    seeded = random.Random(7)
    wanted: set[int] = set()
    processes = []
    for writer in range(writers):
        files = []
        for n in range(ingests):
            numbers = seeded.sample(range(60), 20)
            wanted.update(numbers)
            files.append(write_events(tmp_path / f"{writer}-{n}.jsonl", numbers))
        processes.append(start(root, "ingest", *files))
    others = [start(root, "compact", stop), *(start(root, "read", stop) for _ in range(readers))]
    told = [line.split() for process in processes for line in ended(process).splitlines()]
    stop.touch()
    reads = [int(ended(process) or 0) for process in others]

    batches = [int(batch) for batch, _ in told if batch != "None"]
    assert len(told) == writers * ingests
    assert len(set(batches)) == len(batches)
    assert sum(int(landed) for _, landed in told) == len(wanted)
    assert min(reads[1:]) >= 3
    assert check(opened(root)) == ids(lake) == expected(wanted)
    check_orphans_go(lake)
    assert check(opened(root)) == expected(wanted)


def test_writers_readers_and_compaction(tmp_path: Path) -> None:
    """Two writers of overlapping files, compactions and a reader: all calls succeed, all events are there once."""
    crowd(tmp_path, 2, 2, 1)


@pytest.mark.soak
def test_many_writers(tmp_path: Path) -> None:
    """The same with six writers of thirty ingests each, and two readers."""
    crowd(tmp_path, 6, 30, 2)


def test_threads_of_one_process(tmp_path: Path) -> None:
    """Threads that share a lake object take turns as processes do."""
    lake = made(tmp_path / "lake")
    files = [write_events(tmp_path / f"{n}.jsonl", range(n, n + 10)) for n in range(4)]
    landed: list[int] = []
    threads = [threading.Thread(target=lambda file=file: landed.append(lake.ingest(file).landed)) for file in files]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(landed) == 13
    assert check(lake) == expected(range(13))


# --- The lock ---


def test_busy(tmp_path: Path) -> None:
    """A verb that waits for longer than it was told to says that the lake is busy; readers do not wait."""
    lake = made(tmp_path / "lake")
    events = write_events(tmp_path / "events.jsonl", range(3))
    hasty = opened(lake.layout.root, wait_seconds=0.1)

    with exclusive(lake.layout.lock, wait_seconds=0):
        with pytest.raises(LakeBusyError, match=r"has held .* for 0\.1 s"):
            hasty.ingest(events)
        with pytest.raises(LakeBusyError):
            hasty.compact()
        assert ids(hasty) == []

    assert hasty.ingest(events).landed == 3
    assert check(hasty) == expected(range(3))


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    """A lock file that is left over holds nobody up."""
    lake = made(tmp_path / "lake")
    lake.layout.lock.write_text("")

    assert opened(lake.layout.root, wait_seconds=0).ingest(write_events(tmp_path / "e.jsonl", range(3))).landed == 3


# --- Workspaces ---


def test_a_living_workspace_is_left_alone(tmp_path: Path) -> None:
    """Opening a lake sweeps what dead writers left and nothing of a living one."""
    staging = tmp_path / "staging"
    with workspace(staging) as living:
        (living / "draft").write_text("x")
        dead = staging / "1-dead"
        dead.mkdir()
        (dead / "alive").write_text("")
        (dead / "draft").write_text("x")

        assert sweep(staging) == 1
        assert list(staging.iterdir()) == [living]
        assert (living / "draft").exists()
    assert list(staging.iterdir()) == []


def test_a_workspace_without_its_lock_file(tmp_path: Path) -> None:
    """A workspace between its folder and its lock file is swept if its process is dead, or if it is old."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead, living, old = (tmp_path / name for name in (f"{gone.pid}-a", f"{os.getpid()}-b", f"{os.getpid()}-c"))
    for folder in (dead, living, old):
        folder.mkdir()
    os.utime(old, (0, 0))

    assert sweep(tmp_path) == 2
    assert list(tmp_path.iterdir()) == [living]


def test_a_workspace_is_locked_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often others sweep while a workspace is made, it is there when it is handed over."""
    real = fcntl.flock

    def sweep_first(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            monkeypatch.setattr(fcntl, "flock", real)
            sweep(tmp_path)
            monkeypatch.setattr(fcntl, "flock", sweep_first)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)

    with workspace(tmp_path) as folder:
        assert folder.exists()


def test_ingest_beside_a_sweep(tmp_path: Path) -> None:
    """A lake that is opened over and over while another process ingests does not disturb it."""
    lake = made(tmp_path / "lake")
    process = start(lake.layout.root, "ingest", write_events(tmp_path / "e.jsonl", range(60)))
    while process.poll() is None:
        opened(lake.layout.root)
        time.sleep(0.02)  # the other one is to get on

    assert ended(process).split() == ["1", "60"]
    assert ids(lake) == expected(range(60))
