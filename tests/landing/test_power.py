"""Power cuts in the middle of logging, flushing and compacting: what was acknowledged is there, once, and all works."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from auditlake import AuditLake
from auditlake.landing.segments import segments
from tests.landing.flushing import opened, quarantined, seen
from tests.landing.lakes import check, event, made
from tests.landing.power import THREADS, Disk, mounted, why_not
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no power to cut: {why_not()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """An empty disk."""
    with mounted(tmp_path / "power") as made:
        yield made


def acknowledged(text: str) -> set[str]:
    """What was said to be recorded; the last word may be cut off."""
    return set(re.findall(r"^[0-9a-f-]{36}$", text, re.MULTILINE))


def committed(text: str) -> int:
    """The newest version of the table that was said to be."""
    return max(map(int, re.findall(r"^version (\d+)$", text, re.MULTILINE)), default=0)


def work_until_cut(disk: Disk, told: Path, rounds: int, lines: int) -> str:
    """Let the program write until the cut: until it has flushed and compacted so often, and said so much after that.

    Gives what it had said before the cut. What it says in the same moment may not be so: a sync that ext4 was at work
    on can succeed although its bytes did not get to the disk any more.
    """
    size = told.stat().st_size
    command = [sys.executable, "-m", "tests.landing.power", str(disk.root / "lake"), str(told)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:

        def has_said(lines: int, rounds: int) -> bool:
            assert process.poll() is None, process.stderr and process.stderr.read()
            new = told.read_text()[size:]
            return new.count("version") >= 2 * rounds and new.count("\n") >= lines

        try:
            until(lambda: has_said(1, rounds))
            lines += told.read_text()[size:].count("\n")
            until(lambda: has_said(lines, rounds))
            before = told.read_text()
            disk.cut()
        finally:
            process.kill()
    disk.unmount()
    return before[size:]


def check_after_cut(lake: AuditLake, given: set[str], said: set[str], cuts: int) -> None:
    """Everything acknowledged is there once; of the rest, no more than was under way at a cut."""
    found = seen(lake)
    assert {each: n for each, n in found.items() if n > 1} == {}
    assert not (lost := given - found.keys()), f"{len(lost)} of {len(given)} lost"
    assert len(found.keys() - said) <= cuts * THREADS * 2
    assert not any(each.open for each in segments(lake.layout))
    assert {each["reason"] for each in quarantined(lake)} <= {"torn line"}


def cut_and_cut_again(disk: Disk, tmp_path: Path, cuts: int, seed: int) -> None:
    """One lake that loses power again and again, and is worked on in between."""
    seeded, told = Random(seed), tmp_path / "told"
    told.touch()
    made(disk.root / "lake")
    disk.unmount()
    given: set[str] = set()
    for cut in range(1, cuts + 1):
        disk.mount()
        before = work_until_cut(disk, told, seeded.choice((0, 1, 2)), seeded.randint(0, 60))
        given |= acknowledged(before)
        disk.mount()
        lake = opened(disk.root / "lake")
        assert lake.snapshot().version >= committed(before)
        check_after_cut(lake, given, acknowledged(told.read_text()), cut)
        disk.unmount()

    disk.mount()
    lake = opened(disk.root / "lake")
    found = seen(lake)
    with lake.trail() as trail:
        found[trail.log(event())] += 1
    lake.flush()
    lake.compact(grace_seconds=0)
    assert seen(lake, lake.snapshot().version) == found
    assert check(lake.layout, ()) == {}
    print(f"{cuts} cuts: {len(given)} acknowledged, {lake.snapshot().version} versions")


def test_power_cuts(disk: Disk, tmp_path: Path) -> None:
    """After a power cut at any moment the lake opens, has everything acknowledged once, and goes on."""
    cut_and_cut_again(disk, tmp_path, 2, seed=3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_many_power_cuts(seed: int, disk: Disk, tmp_path: Path) -> None:
    """The same a hundred times, on ten disks."""
    cut_and_cut_again(disk, tmp_path, 10, seed=100 + seed)
