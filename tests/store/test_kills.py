"""Writers that are killed, whenever it happens: nothing committed is lost or doubled, and nothing is in the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, product
from pathlib import Path
from typing import TypeVar

import pytest

from auditlake.store.deltalog import keeps_quarantine
from tests.soak import mostly
from tests.store import strace
from tests.store.lakes import BEFORE, BOTH, check, check_orphans_go, cli, copied, expected, ids, opened, words
from tests.waiting import killed_after, processor_seconds

KILL = "signal=SIGKILL"
VERBS = ("ingest", "compact", "ingest", "ingest")
T = TypeVar("T")


def check_survived(root: Path, files: Path) -> None:
    """A lake whose writer was killed opens, holds whole batches, and takes the ingest exactly once."""
    lake = opened(root)
    assert check(lake) in (expected(BEFORE), expected(BOTH))
    summary = lake.ingest(files / "new.jsonl")
    assert summary.read == summary.landed + summary.duplicates + summary.quarantined == 10
    assert summary.quarantined == 1
    assert check(lake) == expected(BOTH)
    check_orphans_go(lake)
    assert check(lake) == ids(lake) == expected(BOTH)
    assert lake.ledger.verify().ok
    (kept,) = lake.layout.quarantine.iterdir()
    assert keeps_quarantine(lake.layout, lake.snapshot().version, kept)


def in_parallel(work: Callable[[int], T], runs: int) -> Iterable[T]:
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(work, range(runs))


def kill_at_random(files: Path, tmp_path: Path, runs: int) -> None:
    seeded = random.Random(runs)
    plans = [(verb, seeded.random()) for _, verb in zip(range(runs), cycle(VERBS))]
    timed = copied(files / "lake", tmp_path / "timed")
    usual = processor_seconds(lambda: cli(timed, *words("ingest", files)))

    def work(run: int) -> tuple[Path, int]:
        verb, share = plans[run]
        root = copied(files / "lake", tmp_path / f"lake{run}")
        moment = usual * (0.3 + 0.8 * share)  # the first third is imports
        return root, cli(root, *words(verb, files), prefix=killed_after(moment)).returncode

    died = 0
    for root, code in in_parallel(work, len(plans)):
        died += code != 0
        check_survived(root, files)
    assert died >= runs // 2


@pytest.mark.soak
def test_killed_at_random_moments(files: Path, tmp_path: Path) -> None:
    """Killed at any moment, an ingest or a compaction leaves a lake that opens and takes the ingest exactly once."""
    kill_at_random(files, tmp_path, 200)


def kill_at_calls(verb: str, files: Path, tmp_path: Path, most: int) -> None:
    log = tmp_path / "trace"
    counted = copied(files / "lake", tmp_path / "counted")
    done = cli(counted, *words(verb, files), prefix=strace.traced(log, (*strace.CALLS, "write")))
    assert done.returncode == 0, done.stderr
    places = strace.places(log)
    assert {"fsync", "rename", "linkat", "unlink", "mkdir"} <= {call for call, _ in places}
    writes = max(most // 4, 1)
    points = strace.evenly(places, most - writes) + strace.evenly(strace.places(log, ["write"]), writes)

    def work(run: int) -> tuple[Path, int]:
        call, number = points[run]
        root = copied(files / "lake", tmp_path / f"lake{run}")
        return root, cli(root, *words(verb, files), prefix=strace.spoilt(call, number, KILL)).returncode

    died = 0
    for root, code in in_parallel(work, len(points)):
        died += code != 0
        check_survived(root, files)
    assert died >= max(len(points) - 3, 1)  # threads share work as they like, so a late call may not come


@strace.needed
@pytest.mark.parametrize(("verb", "most"), [("ingest", 2), ("compact", 1)])
def test_killed_at_chosen_calls(verb: str, most: int, files: Path, tmp_path: Path) -> None:
    """Killed at a sync, rename, link or unlink, it leaves a lake that opens and takes the ingest exactly once."""
    kill_at_calls(verb, files, tmp_path, most)


@strace.needed
@pytest.mark.soak
@pytest.mark.parametrize("verb", ["ingest", "compact"])
def test_killed_at_every_call(verb: str, files: Path, tmp_path: Path) -> None:
    """The same at every such call."""
    kill_at_calls(verb, files, tmp_path, 10_000)


@strace.needed
@pytest.mark.parametrize(
    ("verb", "call"),
    mostly(product(["ingest", "compact"], ["linkat", "link"]), always=[("ingest", "linkat")]),
)
def test_killed_before_the_log_entry_has_its_name(verb: str, call: str, files: Path, tmp_path: Path) -> None:
    """Killed while the log entry is made in the copy of the log, or is about to get its name, nothing is committed."""
    root = copied(files / "lake", tmp_path / "lake")

    done = cli(root, *words(verb, files), prefix=strace.spoilt(call, 1, KILL))

    assert done.returncode != 0
    assert opened(root).snapshot().version == 2
    check_survived(root, files)
