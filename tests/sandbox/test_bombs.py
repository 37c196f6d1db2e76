"""A question that takes too much is stopped, and its parent hardly notices."""

from __future__ import annotations

import _thread
import gc
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import auditlake
from auditlake.errors import StoppedError
from tests.sandbox.attacks import BOMBS
from tests.sandbox.lakes import session
from tests.waiting import HANG_SECONDS, is_alive, processor_time, until

SECONDS = 0.3
"""How long a question may take that does not end by itself."""


def interrupt_once_at_work(interrupt: Callable[[], None], child: int, before: int) -> None:
    """Send this process what Ctrl-C sends, once the child has begun with its question: nothing else makes it work."""
    until(lambda: processor_time(child) > before)
    interrupt()


ALIKE = {each for each in BOMBS if re.search("levenshtein|lpad|regexp|RECURSIVE|string_agg", each)}
"""Those that run in one function, which no deadline of the engine reaches, as test_killed and another bomb do, and
those that never end or take ever more memory, as another bomb does."""


@pytest.mark.parametrize(
    "statement", [pytest.param(each, marks=[pytest.mark.soak] * (each in ALIKE), id=each) for each in BOMBS]
)
def test_stopped(statement: str, lake: auditlake.AuditLake) -> None:
    """Each resource bomb ends in a StoppedError or within its limits, the parent grows by less than 50 MB, and the
    session goes on."""
    with session(lake, seconds=HANG_SECONDS, memory_mb=512) as opened:
        opened.sql("select 1")
        patient = opened.limits
        opened.limits = replace(patient, seconds=SECONDS)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            assert len(opened.sql(statement)) <= opened.limits.rows
        except StoppedError as error:
            assert "\n" not in str(error)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        opened.limits = patient
        again = opened.sql("select 42").fetchall()

    assert grown < 50 * 1024
    assert again == [(42,)]


def test_killed(lake: auditlake.AuditLake) -> None:
    """A question that ignores the engine's own deadline is killed with its process."""
    with session(lake, seconds=SECONDS) as opened:
        pid = opened._child.pid
        with pytest.raises(StoppedError, match="longer than it may"):
            opened.sql("SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))")

        assert not is_alive(pid)


def test_memory(lake: auditlake.AuditLake) -> None:
    """Memory that a function takes outside the engine's own count is limited too."""
    with session(lake, memory_mb=64) as opened, pytest.raises(StoppedError, match="memory"):
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
    with session(lake, output_mb=40) as opened:
        assert opened.sql("select repeat('x', 20000000) as x").arrow().nbytes > 20_000_000
    with session(lake, output_mb=1) as opened:
        with pytest.raises(StoppedError, match="first row has more bytes"):
            opened.sql("select repeat('x', 20000000) as x")
        cut = opened.sql("select repeat('x', 300000) as x from range(9)")
    assert (len(cut), cut.complete) == (3, False)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("interrupt", [ctrl_c, _thread.interrupt_main], ids=["in a wait", "just before a wait"])
def test_interrupted(lake: auditlake.AuditLake, interrupt: Callable[[], None]) -> None:
    """Ctrl-C ends a question, not the session; also one that comes before a wait begins, which does not wake it."""
    with session(lake, seconds=HANG_SECONDS) as opened:  # no deadline of the question's own comes first
        opened.sql("select 1")
        child = opened._child.pid
        asked = (interrupt, child, processor_time(child))
        threading.Thread(target=interrupt_once_at_work, args=asked, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            opened.sql("SELECT levenshtein(repeat('a', 2000000), repeat('b', 2000000))")

        assert not is_alive(child)
        assert opened.sql("select 2").fetchall() == [(2,)]


def test_ends_with_its_parent(lake: auditlake.AuditLake) -> None:
    """When the parent is killed, a child that is at work ends too."""
    code = f"""
import auditlake
from tests.waiting import processor_time
session = auditlake.open({str(lake.layout.root)!r}).audit_session(principal="x")
child = session._child.pid
print(child, processor_time(child), flush=True)
session.sql("SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))")
"""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child, before = map(int, parent.stdout.readline().split())
        until(lambda: processor_time(child) > before)
        parent.kill()

    until(lambda: not is_alive(child))


def test_a_session_in_a_circle_ends_its_child(lake: auditlake.AuditLake) -> None:
    """A session that nobody closes, and only the collector can find, ends its child before the child's pipes go."""
    opened = lake.audit_session(principal="x")
    gc.collect(0)  # the collector looks at what is younger, the next child, before it
    opened._end_child()
    opened.sql("select 1")
    opened.look = [opened].clear
    assert opened._child is not None
    pid = opened._child.pid
    del opened
    gc.collect()
    assert not is_alive(pid)
