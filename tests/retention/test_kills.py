"""Deletion and erasure that are killed, whenever it happens: run again, they end in the same state."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.store.deltalog import commit_metadata
from tests.retention.lakes import DAY, NOW, Clock, bring, ids, made, policy_text, record
from tests.store import strace
from tests.store.lakes import cli, copied, data_files
from tests.waiting import killed_after, processor_seconds

KILL = "signal=SIGKILL"
VERBS = ("apply", "erase")
ALL = [f"e{n}" for n in range(8)]
STAY = [f"e{n}" for n in range(4)]
"""What is not due, or held."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with whole days and a mixed day that are due, a pseudonymisation, a hold, quarantine, and no grace."""
    root = tmp_path_factory.mktemp("kills") / "lake"
    clock = Clock(NOW - 400 * DAY)
    policies = {"two": policy_text(["login"], "2d"), "long": policy_text(["logout"], "90d", "3d")}
    lake = made(root, policies, clock)
    config = lake.layout.config.read_text()
    lake.layout.config.write_text(config.replace('grace = "24h"', 'grace = "0"'))
    lake = AuditLake(root, clock=clock)
    lake.retention.apply(accept_weaker="tests")
    bad = root.parent / "bad.jsonl"
    bad.write_text('{"event_type": "login", "timestamp": "never", "user_id": "ann"}\n')
    lake.ingest(bad)
    clock.now = NOW - 5 * DAY
    days = {0: (0, "login"), 1: (5, "logout"), 2: (6, "login"), 3: (1, "login"), 4: (5, "login"), 5: (5, "login"),
            6: (7, "login"), 7: (8, "login")}  # fmt: skip
    bring(lake, (record(n, NOW - age * DAY, kind, user_id="ann") for n, (age, kind) in days.items() if n % 2 == 0))
    bring(lake, (record(n, NOW - age * DAY, kind, user_id="ann") for n, (age, kind) in days.items() if n % 2))
    lake.holds.add("h", reason="r", owner="o", ticket="t", since=NOW - 6 * DAY, until=NOW - 6 * DAY)
    if keep := list(root.rglob("*.draft")):
        raise AssertionError(keep)
    return root


def words(verb: str, root: Path) -> list[str]:
    if verb == "apply":
        return ["retention", "apply", "--yes", "--as-of", NOW.isoformat(), "--plan", seen(root)]
    return ["erase", "--yes", "--user-id", "ann", "--reason", "r", "--ticket", "t"]


def do(verb: str, root: Path) -> None:
    """Do in this process, by its own clock, what the words say."""
    lake = AuditLake(root)
    if verb == "apply":
        lake.retention.apply(as_of=NOW, plan=seen(root))
    else:
        lake.retention.erase("ann", reason="r", ticket="t")


@cache
def seen(root: Path) -> str:
    """Return the digest of what a lake's plan was when it was first asked for."""
    return AuditLake(root, clock=Clock()).retention.plan(NOW).digest


def check_certificates(lake: AuditLake) -> None:
    """Every commit that has a certificate has its two files, nothing else is there, and a name is its content."""
    newest = lake.snapshot().version
    said = [
        own["certificate"]
        for n in range(newest + 1)
        if (own := commit_metadata(lake.layout, n) or {}).get("certificate")
    ]
    made = sorted(lake.layout.certificates.glob("*.json"))
    assert sorted((json.loads(path.read_bytes()) for path in made), key=str) == sorted(said, key=str)
    assert [path.stem for path in made] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in made]
    assert [path.stem for path in made] == [path.stem for path in sorted(lake.layout.certificates.glob("*.html"))]


def check_survived(root: Path, verb: str) -> None:
    """A lake whose deletion was killed holds all or what stays, and the same again ends where it would have ended."""
    lake = AuditLake(root, clock=Clock())
    told = lake.ledger.verify(full=False).problems
    assert not told or any("is not signed yet" in each.what for each in told), told
    before = ids(lake)
    assert before in ((ALL, STAY) if verb == "apply" else (ALL,))
    do(verb, root)
    lake = AuditLake(root, clock=Clock())
    assert not list(lake.layout.staging.iterdir())
    named = {name for (name,) in lake.sql("select event_id from events where user_id = 'ann'")}
    if verb == "apply":
        assert ids(lake) == STAY
        assert named == {"e0", "e2", "e3"}
    else:
        assert named == {"e2"}
        assert ids(lake) == ALL
    assert data_files(lake) == {file.path for file in lake.snapshot().files}
    assert len(list(lake.layout.quarantine.glob("records-*"))) == 1  # the hold keeps it
    check_certificates(lake)
    report = lake.ledger.verify()
    assert report.ok, report.problems


def in_parallel(work: object, runs: int) -> Iterable[tuple[Path, int]]:
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(work, range(runs))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trace(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """For a verb, the calls of a run that nothing disturbs."""

    @cache
    def traced(verb: str) -> Path:
        folder = tmp_path_factory.mktemp("trace")
        root, log = copied(template, folder / "lake"), folder / "log"
        done = cli(root, *words(verb, root), prefix=strace.traced(log, (*strace.CALLS, "write")))
        assert done.returncode == 0, done.stderr
        check_survived(root, verb)
        return log

    return traced


def kill_at_calls(verb: str, template: Path, log: Path, tmp_path: Path, most: int) -> None:
    places = strace.places(log)
    assert {"fsync", "rename", "linkat", "unlink", "mkdir"} <= {call for call, _ in places}
    writes = most // 3
    points = strace.evenly(places, most - writes) + strace.evenly(strace.places(log, ["write"]), writes)

    def work(run: int) -> tuple[Path, int]:
        call, number = points[run]
        root = copied(template, tmp_path / f"lake{run}")
        return root, cli(root, *words(verb, root), prefix=strace.spoilt(call, number, KILL)).returncode

    died = 0
    for root, code in in_parallel(work, len(points)):
        died += code != 0
        check_survived(root, verb)
    assert died >= max(len(points) - 3, 1)  # threads share work as they like, so a late call may not come


@strace.needed
@pytest.mark.parametrize(("verb", "most"), [("apply", 1), ("erase", 1)])
def test_killed_at_chosen_calls(
    verb: str, most: int, template: Path, trace: Callable[[str], Path], tmp_path: Path
) -> None:
    """Killed at a sync, rename, link or unlink, it leaves a lake that opens; run again it ends in the same state."""
    kill_at_calls(verb, template, trace(verb), tmp_path, most)


@strace.needed
@pytest.mark.soak
@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_every_call(verb: str, template: Path, trace: Callable[[str], Path], tmp_path: Path) -> None:
    """The same at every such call."""
    kill_at_calls(verb, template, trace(verb), tmp_path, 10_000)


@strace.needed
@pytest.mark.parametrize(("verb", "call"), [("apply", "rename")])
def test_the_disk_refuses(verb: str, call: str, template: Path, trace: Callable[[str], Path], tmp_path: Path) -> None:
    """Where the disk refuses a call there is one clear error, and the same again ends in the same state."""
    refuse_at_calls(verb, call, template, trace(verb), tmp_path, 1)


@strace.needed
@pytest.mark.soak
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("call", ["fsync", "rename", "unlink"])
def test_the_disk_refuses_every_call(
    verb: str, call: str, template: Path, trace: Callable[[str], Path], tmp_path: Path
) -> None:
    """The same at every such call."""
    refuse_at_calls(verb, call, template, trace(verb), tmp_path, 10_000)


def refuse_at_calls(verb: str, call: str, template: Path, log: Path, tmp_path: Path, most: int) -> None:
    points = strace.evenly(strace.places(log, [call]), most)
    for run, (name, number) in enumerate(points):
        root = copied(template, tmp_path / f"lake{run}")
        done = cli(root, *words(verb, root), prefix=strace.spoilt(name, number, "error=EIO"))
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 3)
        check_survived(root, verb)


@pytest.mark.soak
def test_killed_at_random_moments(template: Path, tmp_path: Path) -> None:
    """Killed at any moment, the same holds."""
    kill_at_random(template, tmp_path, 40)


def kill_at_random(template: Path, tmp_path: Path, runs: int) -> None:
    seeded = random.Random(7)
    plans = [(verb, seeded.random()) for verb in VERBS * (runs // 2)]
    timed = copied(template, tmp_path / "timed")
    said = words("apply", timed)
    usual = processor_seconds(lambda: cli(timed, *said))

    def work(run: int) -> tuple[Path, int]:
        verb, share = plans[run]
        root = copied(template, tmp_path / f"lake{run}")
        moment = usual * (0.3 + 0.8 * share)  # the first third is imports
        return root, cli(root, *words(verb, root), prefix=killed_after(moment)).returncode

    died = 0
    for (root, code), (verb, _) in zip(in_parallel(work, len(plans)), plans, strict=True):
        died += code != 0
        check_survived(root, verb)
    assert died >= runs // 2
