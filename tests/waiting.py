"""Waiting for what other threads and processes do: for the event itself, so that no test depends on the machine's load.

A test that must end a wait by itself takes ``HANG_SECONDS``, which only a hang reaches. A test that kills a process at
any moment of its work counts the processor time of that process, which a busy machine does not change.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

HANG_SECONDS = 300.0
_KILLED_AFTER = (
    "import os, signal, sys; signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1])); "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; fail if it does not before ``HANG_SECONDS``."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def processor_time(pid: int) -> int:
    """Return the ticks that a process has been at work."""
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12])


def is_asleep(pid: int) -> bool:
    """Return whether the main thread of a process waits for something."""
    return _stat(pid)[0] == "S"


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, waited for or not."""
    try:
        return _stat(pid)[0] == "Z"
    except OSError:
        return True


def is_alive(pid: int) -> bool:
    """Return whether there is a process, which one that has ended and was not waited for still is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not been waited for."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int(_stat(int(folder.name))[1])
            except OSError:  # it has ended meanwhile
                continue
            found += [int(folder.name)] if parent == pid else []
    return found


def _stat(pid: int) -> list[str]:
    """Return what the system counts of a process, from its state on: ``proc_pid_stat(5)`` without two fields."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of the child processes that some work starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def killed_after(seconds: float) -> list[str]:
    """Return the words before a command that is to be killed once it has used so much processor time."""
    return [sys.executable, "-ISc", _KILLED_AFTER, str(seconds)]
