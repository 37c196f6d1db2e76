"""What takes too much is stopped, and the parent hardly notices."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import auditlake
from auditlake.errors import StoppedError
from tests.sandbox.attacks import BOMBS
from tests.sandbox.lakes import session


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def processor_time(pid: int) -> int:
    """Ticks that a process has been at work; only its question makes a child of a session work."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def interrupt_once(happened: Callable[[], bool]) -> None:
    """Send this process what Ctrl-C sends, as soon as something has happened."""
    while not happened():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("statement", BOMBS)
def test_stopped(statement: str, lake: auditlake.AuditLake) -> None:
    """Each resource bomb ends in a StoppedError or within its limits, the parent grows by less than 50 MB, and the
    session goes on."""
    with session(lake, seconds=2, memory_mb=512) as opened:
        opened.sql("select 1")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            assert len(opened.sql(statement)) <= opened.limits.rows
        except StoppedError as error:
            assert "\n" not in str(error)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        again = opened.sql("select 42").fetchall()

    assert grown < 50 * 1024
    assert again == [(42,)]


def test_killed(lake: auditlake.AuditLake) -> None:
    """What does not listen to the engine's own deadline is killed with its process."""
    with session(lake, seconds=1) as opened:
        opened.sql("select 1")
        pid = opened._child.pid
        with pytest.raises(StoppedError, match="longer than it may"):
            opened.sql("SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))")

        assert not is_alive(pid)


def test_memory(lake: auditlake.AuditLake) -> None:
    """What a function takes beside the engine's own count of memory is limited too."""
    with session(lake, memory_mb=512) as opened, pytest.raises(StoppedError, match="memory"):
        opened.sql("SELECT damerau_levenshtein(repeat('a', 30000), repeat('b', 30000))")


def test_rows_are_cut_off(lake: auditlake.AuditLake) -> None:
    """An answer has at most as many rows as the owner allows, and says that it was cut off."""
    with session(lake, rows=100) as opened:
        cut, whole = opened.sql("from range(1000000000)"), opened.sql("from range(100)")

    assert (len(cut), cut.complete) == (100, False)
    assert (len(whole), whole.complete) == (100, True)


def test_bytes_are_cut_off(lake: auditlake.AuditLake) -> None:
    """An answer has at most as many bytes as the owner allows, and says that it was cut off."""
    with session(lake, output_mb=1) as opened:
        answer = opened.sql("select repeat('x', 10000) as x from range(100000)")

    assert not answer.complete
    assert answer.arrow().nbytes <= 1_000_000


def test_large_rows(lake: auditlake.AuditLake) -> None:
    """A value of many megabytes comes whole where there is room for it; without, that is said, and what fits comes."""
    with session(lake, output_mb=200) as opened:
        assert opened.sql("select repeat('x', 90000000) as x").arrow().nbytes > 90_000_000
    with session(lake, output_mb=1) as opened:
        with pytest.raises(StoppedError, match="first row has more bytes"):
            opened.sql("select repeat('x', 90000000) as x")
        cut = opened.sql("select repeat('x', 300000) as x from range(9)")
    assert (len(cut), cut.complete) == (3, False)


def test_interrupted(lake: auditlake.AuditLake) -> None:
    """Ctrl-C ends a question, not the session."""
    with session(lake, seconds=3600) as opened:  # no deadline of the question's own comes first
        opened.sql("select 1")
        child = opened._child.pid
        before = processor_time(child)
        threading.Thread(target=interrupt_once, args=(lambda: processor_time(child) > before,), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            opened.sql("SELECT levenshtein(repeat('a', 2000000), repeat('b', 2000000))")

        assert not is_alive(child)
        assert opened.sql("select 2").fetchall() == [(2,)]


def test_ends_with_its_parent(lake: auditlake.AuditLake, tmp_path: Path) -> None:
    """When the parent is killed, a child that is at work ends too."""
    told = tmp_path / "pid"
    code = f"""
import auditlake, pathlib
session = auditlake.open({str(lake.layout.root)!r}).audit_session(principal="x")
pathlib.Path({str(told)!r}).write_text(str(session._child.pid))
session.sql("SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))")
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2])
    while not told.exists() or not told.read_text():
        time.sleep(0.05)
    pid = int(told.read_text())
    assert is_alive(pid)
    parent.kill()
    parent.wait()

    for _ in range(200):
        if not is_alive(pid):
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent")
