"""What is on the disk before log returns, as the order of the writer's system calls shows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from auditlake.disk.layout import Layout
from tests.landing import mutants
from tests.landing.lakes import check, made, names
from tests.soak import mostly
from tests.store import strace

WATCHED = ("fsync", "fdatasync", "mkdir", "openat", "write", "ftruncate")
_DESCRIPTOR = re.compile(r"^\(\d+<([^>]*)>")
_QUOTED = re.compile(r'"([^"]*)"')
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class Order:
    """What one run did, each with its place in the listing."""

    def __init__(self, log: Path, layout: Layout) -> None:
        self.synced: dict[str, list[int]] = {}
        """The path of a file or folder to the places of its syncs."""
        self.named: list[tuple[int, str]] = []
        """The new names in the landing."""
        self.written: dict[str, tuple[int, str]] = {}
        """An event's id to where it was written, and into which segment."""
        self.acknowledged: dict[str, int] = {}
        """An event's id to where the program printed it."""
        for at, call in enumerate(strace.listing(log)):
            path = descriptor[1] if (descriptor := _DESCRIPTOR.match(call.text)) else ""
            quoted = _QUOTED.findall(call.text)
            if call.name in {"fsync", "fdatasync"} and call.ends:
                self.synced.setdefault(path, []).append(at)
            elif call.name == "mkdir" or (call.name == "openat" and "O_CREAT" in call.text):
                name = str(Path(path, quoted[0]))  # below an open folder, or absolute
                if call.begins and name.startswith(str(layout.landing)):
                    self.named.append((at, name))
            elif call.name == "write" and path.endswith(".jsonl"):
                self.written |= dict.fromkeys(_ID.findall(call.text), (at, path))
            elif call.name == "write" and call.begins:
                self.acknowledged |= dict.fromkeys(_ID.findall(call.text), at)

    def synced_between(self, path: str | Path, after: int, before: int) -> bool:
        """Return whether a sync of the path came after one place and before another."""
        return any(after < at < before for at in self.synced.get(str(path), ()))


def missing(order: Order, layout: Layout) -> list[str]:
    """Return what was not yet on the disk when an event was acknowledged."""
    lacking = []
    for event_id, acknowledged in order.acknowledged.items():
        written, segment = order.written[event_id]
        assert written < acknowledged
        if not order.synced_between(segment, written, acknowledged):
            lacking.append("an event before it is acknowledged")
        for at, name in order.named:
            leads_to_it = name in {str(layout.landing), str(layout.slot(0)), segment}
            if leads_to_it and not order.synced_between(Path(name).parent, at, acknowledged):
                lacking.append(f"the name of {Path(name).relative_to(layout.root)}")
    first = min(order.acknowledged.values())
    lacking += [f"{path.name}/ itself" for path in (layout.root, layout.landing)
                if not order.synced_between(path, 0, first)]  # fmt: skip
    return sorted(set(lacking))


def not_synced_by(mutant: Callable[[], None], tmp_path: Path) -> list[str]:
    """Return what ten events in two segments did not have on the disk in time, as the mutant logged them."""
    layout = made(tmp_path / "lake").layout
    layout.landing.rmdir()
    log = tmp_path / "trace"
    prefix = [*strace.traced(log, WATCHED), sys.executable, "-m", "tests.landing.mutants", mutant.__name__]
    words = ["log", str(layout.root), "sync", "10", "1500"]
    done = subprocess.run([*prefix, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    order = Order(log, layout)
    assert len(order.acknowledged) == 10
    assert names(layout) == ["0/1", "0/2"]
    check(layout, list(order.acknowledged))
    return missing(order, layout)


@strace.needed
def test_all_is_synced_in_order(tmp_path: Path) -> None:
    """An event, its segment's name and the names of the folders are on the disk before log returns."""
    assert not_synced_by(mutants.sync_everything, tmp_path) == []


FOLDERS = ["lake/ itself", "landing/ itself", "the name of landing", "the name of landing/00"]
FIRST, SECOND = (f"the name of landing/00/000000000{number}.jsonl" for number in (1, 2))
NOT_SYNCED = {
    mutants.sync_no_event: ["an event before it is acknowledged"],
    mutants.sync_no_folder: [*FOLDERS, FIRST, SECOND],
    mutants.sync_no_folder_but_the_slot: FOLDERS,
    mutants.sync_no_folder_after_the_first_segment: [SECOND],
}


@strace.needed
@pytest.mark.parametrize("mutant", mostly(NOT_SYNCED, always=[*NOT_SYNCED][:1]), ids=lambda mutant: mutant.__name__)
def test_a_missing_sync_is_noticed(mutant: Callable[[], None], tmp_path: Path) -> None:
    """A writer without one of its syncs fails the test above, which names what that sync was for."""
    assert not_synced_by(mutant, tmp_path) == NOT_SYNCED[mutant]
