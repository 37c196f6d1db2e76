"""Writers that are killed: the ledger is finished by the next one, and is durable step by step."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auditlake.disk.durable import sync_folder
from tests.lakes import entries_in_commits, of_format_1
from tests.ledger.lakes import check_ledger, entries, make_old, says_its_format
from tests.store import strace
from tests.store.lakes import BEFORE, cli, copied, made, opened, words, write_events

KILL = "signal=SIGKILL"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of two ingests, the same lake as it was before there were ledgers, and an input."""
    folder = tmp_path_factory.mktemp("files")
    lake = made(folder / "lake")
    lake.ingest(write_events(folder / "first.jsonl", range(0, 6, 2)))
    lake.ingest(write_events(folder / "second.jsonl", BEFORE))
    write_events(folder / "new.jsonl", range(3, 12), bad=1)
    make_old(opened(copied(folder / "lake", folder / "old")))
    return folder


def make_inside(files: Path) -> None:
    """Put a lake beside the others whose commits hold the ledger's entries, with a policy that was just changed."""
    if not (files / "inside").exists():
        with entries_in_commits():
            lake = made(files / "inside")
        lake.ingest(files / "first.jsonl")
        lake.ingest(files / "second.jsonl")
        policy = lake.layout.policies / "failed_logins.yaml"
        policy.write_text(policy.read_text() + "# changed\n")


def kill_at_calls(template: str, verb: str, files: Path, tmp_path: Path, most: int) -> None:
    log = tmp_path / "trace"
    if template == "inside":
        make_inside(files)
    kept = opened(files / template).ledger.checkpoint() if template == "lake" else None
    counted = copied(files / template, tmp_path / "counted")
    assert cli(counted, *words(verb, files), prefix=strace.traced(log, strace.CALLS)).returncode == 0
    points = strace.evenly(strace.places(log), most)

    def work(run: int) -> tuple[Path, int]:
        call, number = points[run]
        root = copied(files / template, tmp_path / f"lake{run}")
        return root, cli(root, *words(verb, files), prefix=strace.spoilt(call, number, KILL)).returncode

    died = 0
    with ThreadPoolExecutor(2) as pool:
        for root, code in pool.map(work, range(len(points))):
            died += code != 0
            lake = opened(root)
            lake.ledger.checkpoint()
            check_ledger(lake)
            lake.ingest(write_events(root.parent / f"{root.name}.jsonl", range(20, 24)))
            check_ledger(lake)
            if verb == "upgrade":
                lake.ledger.upgrade()
                assert lake.ledger.upgrade() is None
                assert [entry.kind for entry in entries(lake)].count("upgrade") == 1
                check_ledger(lake)
            assert says_its_format(lake)
            report = lake.ledger.verify(checkpoint=kept)
            assert report.ok, report.problems
    assert died >= max(len(points) - 3, 1)  # threads share work as they like, so a late call may not come


@strace.needed
@pytest.mark.parametrize(
    ("template", "verb", "most"),
    [
        ("lake", "ingest", 1),
        pytest.param("old", "ingest", 1, marks=[of_format_1, pytest.mark.soak]),
        pytest.param("lake", "compact", 1, marks=pytest.mark.soak),
        pytest.param("lake", "upgrade", 8, marks=pytest.mark.soak),
        pytest.param("inside", "ingest", 8, marks=pytest.mark.soak),
    ],
)
def test_killed_at_chosen_calls(template: str, verb: str, most: int, files: Path, tmp_path: Path) -> None:
    """Killed at a sync, rename, link or unlink, it leaves a lake that the next writer finishes, and that verifies."""
    kill_at_calls(template, verb, files, tmp_path, most)


@strace.needed
@pytest.mark.soak
@pytest.mark.parametrize(
    ("template", "verb"),
    [
        ("lake", "ingest"),
        ("lake", "compact"),
        ("old", "ingest"),
        ("inside", "ingest"),
        ("inside", "compact"),
        ("lake", "upgrade"),
    ],
)
def test_killed_at_every_call(template: str, verb: str, files: Path, tmp_path: Path) -> None:
    """The same at every such call."""
    kill_at_calls(template, verb, files, tmp_path, 10_000)


WATCHED = ("fsync", "rename", "renameat2", "link", "linkat", "write")
_QUOTED = re.compile(r'"([^"]*)"')


def order(tmp_path: Path, mutation: str = "") -> list[str]:
    """What of the ledger was not on the disk when something was built on it."""
    root = made(tmp_path / "lake").layout.root
    sync_folder(root)
    program = (sys.executable, "-c", f"{mutation}\nfrom auditlake.__main__ import main; main()")
    events, log = write_events(tmp_path / "events.jsonl", range(12)), tmp_path / "trace"
    done = cli(root, "ingest", events, prefix=strace.traced(log, WATCHED), program=program)
    assert done.returncode == 0, done.stderr
    synced: dict[str, list[int]] = {}
    moved: dict[str, tuple[int, str]] = {}
    told = 0
    for at, call in enumerate(strace.listing(log)):
        if call.name == "fsync" and call.ends:
            synced.setdefault(call.text.partition("<")[2].partition(">")[0], []).append(at)
        elif call.name in {"rename", "renameat2", "link", "linkat"} and call.begins:
            origin, target = _QUOTED.findall(call.text)[:2]
            moved[target] = (at, origin)
        elif call.name == "write" and " landed, " in call.text:
            told = at
    ledger = root / "ledger"
    commit, _ = moved[str(root / "events/_delta_log" / f"{1:020d}.json")]
    steps = {name: moved[str(ledger / name)] for name in ("tile/entries/000.p/2", "tile/0/000.p/2", "checkpoint")}
    due = dict(zip(steps, (commit, steps["checkpoint"][0], told), strict=True))
    missing = []
    for name, (at, draft) in steps.items():
        if not any(when < at for when in synced.get(draft, ())):
            missing.append(f"{name} before it has its name")
        if not any(at < when < due[name] for when in synced.get(str((ledger / name).parent), ())):
            missing.append(f"the folder of {name} in time")
    assert steps["tile/entries/000.p/2"][0] < commit < steps["tile/0/000.p/2"][0] < steps["checkpoint"][0] < told
    return missing


@strace.needed
@of_format_1
def test_each_step_is_synced_before_the_next(tmp_path: Path) -> None:
    """The entry is durable before the commit, its hash before the checkpoint, and that before the summary."""
    assert order(tmp_path) == []


@strace.needed
@pytest.mark.soak
@of_format_1
def test_a_missing_sync_is_noticed(tmp_path: Path) -> None:
    """A program that does not sync folders after writing files fails the test above."""
    rooms = "import auditlake.disk.durable as one, auditlake.storage.disk as other"
    mutation = f"{rooms}; one.sync_folder = other.sync_folder = lambda _: None"

    assert order(tmp_path, mutation) == [
        f"the folder of {name} in time" for name in ("tile/entries/000.p/2", "tile/0/000.p/2", "checkpoint")
    ]
