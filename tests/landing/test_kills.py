"""Writers that are killed, whenever it happens: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from auditlake.disk.layout import Layout
from auditlake.landing.segments import pieces, segments
from tests.landing.lakes import DURABILITIES, check, event, made, program, trail
from tests.soak import mostly
from tests.store import strace


def told(folder: Path) -> list[str]:
    """What all killed writers had said was recorded; the last word of one may be cut off."""
    text = "\n".join(path.read_text() for path in folder.glob("told-*"))
    return re.findall(r"^[0-9a-f-]{36}$", text, re.MULTILINE)


def check_survived(layout: Layout, given: list[str]) -> None:
    """Everything acknowledged is there once, slots are free again, and the next writer goes on in the first one."""
    check(layout, given)
    assert not any(each.open for each in segments(layout))
    for piece in pieces(layout, {}):
        assert not piece.torn or len(piece.torn) < 300
    with trail(layout) as log:
        new = log.log(event())
    check(layout, [*given, new])
    last = [each for each in segments(layout) if each.slot == 0][-1]
    assert new.encode() in last.path.read_bytes()


def kill_at_random(tmp_path: Path, durability: str, runs: int, seed: int) -> None:
    layout = made(tmp_path / "lake").layout
    done = program("worker", "killed", layout.root, durability, runs, seed)
    assert done.returncode == 0, done.stderr
    given = told(tmp_path)
    assert len(given) >= runs
    assert len({each.number for each in segments(layout)}) >= runs
    check_survived(layout, given)


@pytest.mark.parametrize(
    ("durability", "runs"), mostly([("sync", 10), ("interval", 5), ("os", 5)], always=[("sync", 10)])
)
def test_killed_at_random_moments(durability: str, runs: int, tmp_path: Path) -> None:
    """Killed at any moment, writers lose nothing that they acknowledged, whatever the durability."""
    kill_at_random(tmp_path, durability, runs, seed=runs)


@pytest.mark.soak
@pytest.mark.parametrize("durability", DURABILITIES)
def test_killed_at_many_random_moments(durability: str, tmp_path: Path) -> None:
    """The same, two hundred times."""
    kill_at_random(tmp_path, durability, 200, seed=200)


CALLS = ("write", "fdatasync", "fsync", "mkdir", "openat", "flock")


def places(layout: Layout) -> list[Path]:
    """The folders and files of the landing that a first writer has to do with."""
    return [layout.landing, layout.slot(0), layout.slot(0) / "lock", *(layout.segment(0, n) for n in range(1, 7))]


def kill_at_calls(tmp_path: Path, most: int) -> None:
    counted = made(tmp_path / "counted").layout
    log = tmp_path / "trace"
    words = ("worker", "log")
    done = program(*words, counted.root, "sync", 6, 700, prefix=strace.traced(log, CALLS))
    assert done.returncode == 0, done.stderr
    # Only what is done to the landing, and no earlier than the first of it: what -P below lets through.
    mine = [call for call in strace.listing(log) if call.begins and any(
        said in call.text.rpartition(" = ")[0] for path in places(counted) for said in (f'"{path}"', f"<{path}>")
    )]  # fmt: skip
    counts = Counter(call.name for call in mine)
    assert {"write", "fdatasync", "fsync", "mkdir", "openat", "flock"} <= counts.keys()
    points = [(name, number) for name, many in sorted(counts.items()) for number in range(1, many + 1)]

    for run, (call, number) in enumerate(strace.evenly(points, most)):
        layout = made(tmp_path / f"lake{run}").layout
        prefix = strace.spoilt(call, number, "signal=SIGKILL")
        for path in places(layout):
            prefix += ["-P", str(path)]
        done = program(*words, layout.root, "sync", 6, 700, prefix=prefix)
        assert done.returncode != 0
        check_survived(layout, [line for line in done.stdout.splitlines() if len(line) == 36])


@strace.needed
def test_killed_at_chosen_calls(tmp_path: Path) -> None:
    """Killed at a write, sync, or new name, the same holds."""
    kill_at_calls(tmp_path, 4)


@strace.needed
@pytest.mark.soak
def test_killed_at_every_call(tmp_path: Path) -> None:
    """The same at every such call."""
    kill_at_calls(tmp_path, 10_000)
