"""Work in a confined process is done, refused or stopped, and the next piece goes on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditlake.confined import kernel
from auditlake.confined.worker import FailedError, Limits, Worker
from tests.waiting import is_alive

MEGABYTE = 1_000_000
LIMITS = Limits(seconds=20, memory=200 * MEGABYTE, output=2 * MEGABYTE)
needs_landlock = pytest.mark.skipif(kernel.landlock_version() < 4, reason="the kernel has no Landlock with TCP")


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker("tests.confined.work_samples", LIMITS) as made:
        yield made


def test_pieces(worker: Worker) -> None:
    """One process does piece after piece, of any size, and what prints in it is not read; it ends with the worker."""
    large = os.urandom(MEGABYTE)
    assert worker.run({"do": "turn"}, b"abc", b"", large) == b"cba" + large[::-1]
    child = worker._child.pid
    assert worker.run({"do": "print"}) == b""
    assert worker.run({"do": "turn"}, b"de") == b"ed"
    for do, why in (("refuse", "this cannot be done"), ("break", "ValueError: a mistake")):
        with pytest.raises(FailedError) as failed:
            worker.run({"do": do})
        assert (str(failed.value), failed.value.is_over) == (why, False)
    assert worker._child.pid == child
    worker.close()
    assert not is_alive(child)


def test_a_fork_that_drops_it() -> None:
    """A worker that nobody closes ends its process; a forked child that drops it leaves its parent's alone."""
    code = """
import os
from tests.confined.test_worker import LIMITS
from tests.waiting import is_alive
from auditlake.confined.worker import Worker
worker = Worker("tests.confined.work_samples", LIMITS)
worker.run({"do": "turn"}, b"ab")
child = worker._child.pid
if not (fork := os.fork()):
    del worker
    os._exit(0)
os.waitpid(fork, 0)
assert worker.run({"do": "turn"}, b"ab") == b"ba"
assert worker._child.pid == child
del worker
assert not is_alive(child)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"do": "memory", "bytes": 300 * MEGABYTE}, "it needed more memory than it may have"),
        ({"do": "memory", "bytes": 3 * MEGABYTE}, "it gave more than it may"),
        ({"do": "end"}, "its process ended (3), perhaps for want of memory"),
    ],
)
def test_limits(worker: Worker, told: dict[str, object], why: str) -> None:
    """What takes too much is over, nothing of it is left, and the next piece is done in another process."""
    worker.run({"do": "turn"})
    child = worker._child.pid
    with pytest.raises(FailedError) as failed:
        worker.run(told)
    assert (str(failed.value), failed.value.is_over) == (why, True)
    assert not is_alive(child)
    assert worker.run({"do": "turn"}, b"ab") == b"ba"


@pytest.mark.parametrize("do", ["wait", "spin"])
def test_deadline(do: str) -> None:
    """What takes too long is killed, whether it works or waits."""
    with Worker("tests.confined.work_samples", Limits(0.1, LIMITS.memory, LIMITS.output)) as worker:
        with pytest.raises(FailedError, match="longer than it may") as failed:
            worker.run({"do": do})
        assert failed.value.is_over


@needs_landlock
def test_files_and_network(tmp_path: Path) -> None:
    """It reads what its work names as readable, and has no other file, writes none, and reaches nothing."""
    granted, foreign = tmp_path / "granted", tmp_path / "foreign"
    granted.write_bytes(b"x")
    foreign.write_bytes(b"y")
    environment = {"READABLE": str(granted)}
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Worker("tests.confined.work_samples", LIMITS, environment) as worker,
    ):
        assert worker.run({"do": "read", "path": str(granted)}) == b"x"
        for told in (
            {"do": "read", "path": str(foreign)}, {"do": "write", "path": str(granted)},
            {"do": "write", "path": str(tmp_path / "new")}, {"do": "connect", "port": server.getsockname()[1]},
        ):  # fmt: skip
            with pytest.raises(FailedError, match="PermissionError"):
                worker.run(told)
        assert {"limits", "calls", "landlock"} == set(worker.holds)


def test_a_worker_that_cannot_begin() -> None:
    """A work that cannot be imported is told, with the reason."""
    with Worker("tests.confined.no_such_work", LIMITS) as worker, pytest.raises(FailedError, match="no_such_work"):
        worker.run({})
