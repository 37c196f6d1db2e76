"""Many threads, many processes, forks, signals and interrupts: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from auditlake.disk.layout import Layout
from auditlake.landing.segments import segments
from tests.landing.lakes import DURABILITIES, check, lines, made, program, torn, trail
from tests.soak import mostly
from tests.waiting import HANG_SECONDS


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The ids that a program said were recorded."""
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if len(line) == 36]


def refusals(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("refused ")]


@pytest.mark.parametrize("durability", mostly(DURABILITIES, always=["sync"]))
def test_threads_of_processes(durability: str, layout: Layout) -> None:
    """Four processes of four threads each log into one lake: each event is there once, in slots of one writer each."""
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(program, "worker", "crowd", layout.root, durability, 4, 100) for _ in range(4)]
        given = [each for run in runs for each in told(run.result())]

    assert len(given) == 4 * 4 * 130
    assert check(layout, given) == Counter()
    assert torn(layout) == []


@pytest.mark.parametrize("durability", mostly(DURABILITIES, always=["sync"]))
def test_events_of_a_thread_are_in_order(durability: str, layout: Layout) -> None:
    """In a slot, the events of one thread lie in the order in which it logged them."""
    given = told(program("worker", "crowd", layout.root, durability, 3, 50))

    place = {line["event_id"]: (n, line["user_id"]) for n, line in enumerate(lines(layout))}
    for user in ("user 0", "user 1", "user 2"):
        mine = [place[each][0] for each in given if place[each][1] == user]
        assert mine == sorted(mine)


@pytest.mark.parametrize("durability", mostly(DURABILITIES, always=["sync"]))
def test_forks(durability: str, layout: Layout) -> None:
    """Children forked while threads log have slots of their own; their end leaves the parent's lock alone."""
    command = [sys.executable, "-m", "tests.landing.worker", "forking", str(layout.root), durability, "12", "5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        given, slot = [], ""
        while not slot:
            line = process.stdout.readline().strip()
            assert line, "it ended early"
            given += [line] if len(line) == 36 else []
            slot = line.removeprefix("slot ") if line.startswith("slot ") else ""
        assert [each.slot for each in segments(layout) if each.open] == [int(slot)]
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(HANG_SECONDS) == 0

    assert check(layout, given) == Counter()
    assert len(given) >= 12 * 6
    assert torn(layout) == []
    assert not any(each.open for each in segments(layout))


def test_a_child_that_ends_early(layout: Layout) -> None:
    """A child that never logs holds nothing of its parent's: when the parent ends, its slot is free."""
    code = f"""
import os, sys
from pathlib import Path
from auditlake.disk.layout import Layout
from tests.landing.lakes import event, trail
log = trail(Layout(Path({str(layout.root)!r})))
log.log(event())
forked, told = os.pipe()
if os.fork() == 0:
    os.write(told, b"x")
    os.close(1)
    sys.stdin.readline()
    os._exit(0)
os.read(forked, 1)
os._exit(0)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.wait(HANG_SECONDS) == 0
        assert [each.open for each in segments(layout)] == [False]
        with trail(layout) as log:
            log.sync()


def check_interrupts(layout: Layout, durability: str, threads: int, interrupts: int, seed: int) -> None:
    done = program("worker", "interrupted", layout.root, durability, threads, interrupts, seed)
    check(layout, told(done))
    assert torn(layout) == []
    assert not any(each.open for each in segments(layout))
    # In a group commit an interrupt concerns its own caller only; a background sync that it ended is raised once.
    happened = int(done.stdout.split()[-1])
    assert len(refusals(done)) <= (0 if durability == "sync" else happened), refusals(done)[:3]


@pytest.mark.parametrize(
    ("durability", "threads"), mostly(product(DURABILITIES, [0, 3]), always=[("sync", 3), ("interval", 0)])
)
def test_interrupts(durability: str, threads: int, layout: Layout) -> None:
    """Interrupted anywhere, log leaves whole lines, no lock, and nobody waiting; what others logged is not lost."""
    check_interrupts(layout, durability, threads, 150, seed=threads)


@pytest.mark.soak
@pytest.mark.parametrize("durability", DURABILITIES)
def test_many_interrupts(durability: str, tmp_path: Path) -> None:
    """The same, many more times."""
    for seed in range(10):
        check_interrupts(made(tmp_path / f"lake{seed}").layout, durability, seed % 4, 1000, seed)


@pytest.mark.parametrize("durability", mostly(DURABILITIES, always=["sync"]))
def test_signal_handlers_log(durability: str, layout: Layout) -> None:
    """A signal handler may log while it interrupts log: both events are there, and nothing waits for itself."""
    given = told(program("worker", "handled", layout.root, durability, 200, 1))

    assert check(layout, given) == Counter()
    assert {each.slot for each in segments(layout)} == {0, 1}
