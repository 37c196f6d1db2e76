"""What is on the disk before an ingest says it is done: seen from the outside, in the order of system calls."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.soak import mostly
from tests.store import strace
from tests.store.lakes import cli, made, opened, write_events

WATCHED = ("fsync", "fdatasync", "rename", "renameat2", "link", "linkat", "mkdir", "write")
_QUOTED = re.compile(r'"([^"]*)"')
_DESCRIPTOR = re.compile(r"^\(\d+<([^>]*)>")


@dataclass
class Order:
    """What one run did to a lake's folder; instants are places in the listing."""

    synced: dict[str, list[int]]
    """When each path had been synced."""
    moved: list[tuple[int, str, str]]
    """Renames and links: when they began, from where, to where."""
    made: list[tuple[int, str]]
    """New folders."""
    told: int
    """When the summary was printed."""

    def synced_between(self, path: str | Path, after: int, before: int) -> bool:
        return any(after < at < before for at in self.synced.get(str(path), ()))


def order_of(log: Path) -> Order:
    order = Order({}, [], [], 0)
    for at, call in enumerate(strace.listing(log)):
        quoted = _QUOTED.findall(call.text)
        descriptor = _DESCRIPTOR.match(call.text)
        if call.name in {"fsync", "fdatasync"} and call.ends and descriptor:
            order.synced.setdefault(descriptor[1], []).append(at)
        elif call.name in {"rename", "renameat2", "link", "linkat"} and call.begins:
            order.moved.append((at, quoted[0], quoted[1]))
        elif call.name == "mkdir" and call.begins:
            order.made.append((at, quoted[0]))
        elif call.name == "write" and " landed, " in call.text:
            order.told = at
    return order


def missing_syncs(order: Order, lake: Path) -> list[str]:
    """What was not yet on the disk when something was built on it."""
    events, log = lake / "events", lake / "events" / "_delta_log"
    ((committed, draft, entry),) = [each for each in order.moved if each[2].startswith(f"{log}/")]
    missing = []
    files = [each for each in order.moved if each[2].startswith(f"{events}/event_date=")]
    kept = [each for each in order.moved if each[2].startswith(f"{lake}/quarantine/")]
    assert len(files) == 7
    assert len(kept) == 1
    for at, origin, target in [*files, *kept]:
        if not order.synced_between(origin, 0, at):
            missing.append("a file before it gets its name")
        if not order.synced_between(Path(target).parent, at, committed):
            missing.append("a file's folder before the commit")
    for at, folder in order.made:
        if folder.startswith(f"{events}/") and not order.synced_between(events, at, committed):
            missing.append("events/ after a new folder in it, before the commit")
    (batch,) = [each for each in order.moved if each[2] == f"{lake}/.batch"]
    if not order.synced_between(batch[1], 0, batch[0]) or not order.synced_between(lake, batch[0], files[0][0]):
        missing.append("the batch number before its files")
    if not order.synced_between(log / f"{int(Path(entry).stem) - 1:020d}.json", 0, committed):
        missing.append("the entry before, before the commit")
    if not order.synced_between(draft, 0, committed):
        missing.append("the log entry before it gets its name")
    if not order.synced_between(log, committed, order.told):
        missing.append("the log's folder before the summary")
    return sorted(set(missing))


def run(tmp_path: Path, mutation: str = "") -> list[str]:
    """What an ingest of four days, one line of it bad, did not sync in time; perhaps with a change to the program."""
    lake = made(tmp_path / "lake").layout.root
    events = write_events(tmp_path / "events.jsonl", range(12), bad=1)
    log = tmp_path / "trace"
    program = (sys.executable, "-c", f"{mutation}\nfrom auditlake.__main__ import main; main()")
    done = cli(lake, "ingest", events, prefix=strace.traced(log, WATCHED), program=program)
    assert done.returncode == 0, done.stderr
    order = order_of(log)
    assert order.told
    return missing_syncs(order, lake)


@strace.needed
def test_all_is_synced_in_order(tmp_path: Path) -> None:
    """Each file is synced before it gets its name, the log entry too, folders before the commit, and all before the
    summary.
    """
    assert run(tmp_path) == []


@strace.needed
def test_what_is_known_already_is_synced_too(tmp_path: Path) -> None:
    """An ingest of duplicates alone syncs the log first: whoever committed them may have died before it did."""
    lake = made(tmp_path / "lake").layout.root
    events = write_events(tmp_path / "events.jsonl", range(12), bad=1)
    opened(lake).ingest(events)

    done = cli(lake, "ingest", events, prefix=strace.traced(tmp_path / "trace", WATCHED))

    order = order_of(tmp_path / "trace")
    assert "0 landed, 12 duplicates, 1 quarantined" in done.stdout
    assert order.synced_between(lake / "events" / "_delta_log" / f"{1:020d}.json", 0, order.told)
    assert order.synced_between(lake / "events" / "_delta_log", 0, order.told)


@strace.needed
def test_foreign_entries_are_synced_too(tmp_path: Path) -> None:
    """Log entries of other programs, which do not sync them, are synced before one is built on them."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "a.jsonl", range(3)))
    for version in (2, 3):
        lake.layout.commit(version).write_text('{"commitInfo":{}}\n')
    root, log = lake.layout.root, lake.layout.log

    assert cli(root, "ingest", write_events(tmp_path / "b.jsonl", range(6)),
               prefix=strace.traced(tmp_path / "trace", WATCHED)).returncode == 0  # fmt: skip

    order = order_of(tmp_path / "trace")
    ((committed, _, _),) = [each for each in order.moved if each[2] == str(lake.layout.commit(4))]
    for version in (1, 2, 3):
        assert order.synced_between(lake.layout.commit(version), 0, committed)
    assert order.synced_between(log, 0, committed)


@strace.needed
def test_files_are_unlinked_after_the_log_is_synced(tmp_path: Path) -> None:
    """A compaction with nothing to rewrite syncs the log before it unlinks what an earlier, killed one replaced."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "a.jsonl", range(3)))
    lake.ingest(write_events(tmp_path / "b.jsonl", range(6)))
    lake.compact()
    root, watched = lake.layout.root, (*WATCHED, "unlink", "unlinkat")

    assert cli(root, "compact", "--grace", 0, prefix=strace.traced(tmp_path / "trace", watched)).returncode == 0

    gone = [at for at, call in enumerate(strace.listing(tmp_path / "trace")) if ".parquet" in call.text]
    order = order_of(tmp_path / "trace")
    assert gone
    assert order.synced_between(root / "events" / "_delta_log" / f"{3:020d}.json", 0, gone[0])
    assert order.synced_between(root / "events" / "_delta_log", 0, gone[0])


MUTANTS = {
    "import auditlake.store.deltalog as m; m.sync_file = lambda _: None": ["the entry before, before the commit"],
    "import auditlake.storage.disk as m; m.sync_file = lambda _: None": [
        "a file before it gets its name", "the log entry before it gets its name",
    ],
    "import auditlake.storage.disk as m; m.sync_folder = lambda _: None": [
        "a file's folder before the commit", "events/ after a new folder in it, before the commit",
        "the batch number before its files", "the log's folder before the summary",
    ],
    "import os; os.fsync = lambda _: None": [
        "a file before it gets its name", "a file's folder before the commit",
        "events/ after a new folder in it, before the commit", "the batch number before its files",
        "the entry before, before the commit", "the log entry before it gets its name",
        "the log's folder before the summary",
    ],
}  # fmt: skip


@strace.needed
@pytest.mark.parametrize("mutation", mostly(MUTANTS, always=[mutant for mutant in MUTANTS if "sync_folder" in mutant]))
def test_a_missing_sync_is_noticed(mutation: str, tmp_path: Path) -> None:
    """A program without one of its syncs fails the test above."""
    assert run(tmp_path, mutation) == MUTANTS[mutation]
