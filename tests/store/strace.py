"""Faults and traces by strace: whether it works here, what a process calls, and runs with one call spoilt."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

CALLS = ("fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir",
         "rmdir", "ftruncate")  # fmt: skip
"""What changes a disk, but for ``write``, which threads use to wake each other, too."""
_LINE = re.compile(r"^(?P<pid>\d+) +(?:<\.\.\. )?(?P<call>\w+)(?P<rest>.*)$")


@cache
def works() -> bool:
    """Whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


needed = pytest.mark.skipif(not works(), reason="strace is not here, or must not trace")


@dataclass(frozen=True)
class Call:
    """One system call, at its start or, where it was interrupted in the listing, at its end."""

    pid: str
    name: str
    text: str
    begins: bool
    ends: bool


def traced(log: Path, calls: Sequence[str]) -> list[str]:
    """The words before a command that is to be traced, with the paths of descriptors."""
    return ["strace", "-f", "--seccomp-bpf", "-y", "-s", "300", "-o", str(log), "-e", f"trace={','.join(calls)}"]


def listing(log: Path) -> list[Call]:
    """What was traced, in order; an interrupted call is there twice, its end with the text of its beginning."""
    found: list[Call] = []
    open_calls: dict[str, str] = {}
    for text in log.read_text(errors="replace").splitlines():
        match = _LINE.match(text)
        if match is None or match["call"] in {"exited", "killed"}:
            continue
        unfinished, resumed = "<unfinished ...>" in text, " resumed>" in text
        rest = open_calls.pop(match["pid"], "") if resumed else match["rest"]
        if unfinished:
            open_calls[match["pid"]] = rest
        found.append(Call(match["pid"], match["call"], rest, not resumed, not unfinished))
    return found


def places(log: Path, calls: Sequence[str] = CALLS) -> list[tuple[str, int]]:
    """Each call and how many of it its thread had made then: strace counts by thread. In order, each once."""
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], None] = {}
    for call in listing(log):
        if call.begins and call.name in calls:
            counts[call.pid, call.name] += 1
            found[call.name, counts[call.pid, call.name]] = None
    return list(found)


def spoilt(call: str, number: int | str, fault: str) -> list[str]:
    """The words before a command of which one call is to fail: ``signal=SIGKILL`` or ``error=EIO``.

    Without ``--seccomp-bpf``, which is quicker: with it, strace 6.1 kills at some calls too late or not at all.
    """
    return ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={call}",
            "-e", f"inject={call}:{fault}:when={number}"]  # fmt: skip


def evenly(points: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """Return so many of them, each from the middle of a stretch; the stretches are of one length."""
    if len(points) <= most:
        return list(points)
    return [points[int((i + 0.5) * len(points) / most)] for i in range(most)]
