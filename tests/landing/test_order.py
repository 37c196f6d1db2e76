"""What is on the disk before log returns: seen from the outside, in the order of system calls."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from auditlake.disk.layout import Layout
from tests.landing.lakes import check, made, names
from tests.store import strace

WATCHED = ("fsync", "fdatasync", "mkdir", "openat", "write", "ftruncate")
_DESCRIPTOR = re.compile(r"^\(\d+<([^>]*)>")
_QUOTED = re.compile(r'"([^"]*)"')
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class Order:
    """What one run did, by its place in the listing."""

    def __init__(self, log: Path, layout: Layout) -> None:
        self.synced: dict[str, list[int]] = {}
        self.named: list[tuple[int, str]] = []
        self.written: dict[str, tuple[int, str]] = {}
        self.told: dict[str, int] = {}
        for at, call in enumerate(strace.listing(log)):
            path = found[1] if (found := _DESCRIPTOR.match(call.text)) else ""
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
                self.told |= dict.fromkeys(_ID.findall(call.text), at)

    def synced_between(self, path: str | Path, after: int, before: int) -> bool:
        return any(after < at < before for at in self.synced.get(str(path), ()))


def missing(order: Order, layout: Layout) -> list[str]:
    """What was not yet on the disk when an event was acknowledged."""
    found = []
    for event_id, told in order.told.items():
        written, path = order.written[event_id]
        assert written < told
        if not order.synced_between(path, written, told):
            found.append("an event before it is acknowledged")
        for at, name in order.named:
            behind = name in {str(layout.landing), str(layout.slot(0)), path}
            if behind and not order.synced_between(Path(name).parent, at, told):
                found.append(f"the name of {Path(name).relative_to(layout.root)}")
    first = min(order.told.values())
    found += [f"{path.name}/ itself" for path in (layout.root, layout.landing)
              if not order.synced_between(path, 0, first)]  # fmt: skip
    return sorted(set(found))


def run(tmp_path: Path, mutation: str = "", *, before: str = "", verb: tuple[str, ...] = ("10", "1500")) -> list[str]:
    """What ten events in several segments did not have on the disk in time; perhaps with a change to the program."""
    layout = made(tmp_path / "lake").layout
    layout.landing.rmdir()
    log = tmp_path / "trace"
    words = ["log", str(layout.root), "sync", *verb]
    code = f"{before}\nfrom tests.landing.worker import main\n{mutation}\nmain({words!r})"
    done = subprocess.run(
        [*strace.traced(log, WATCHED), sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    order = Order(log, layout)
    assert len(order.told) == 10
    assert names(layout) == ["0/1", "0/2"]
    check(layout, list(order.told))
    return missing(order, layout)


@strace.needed
def test_all_is_synced_in_order(tmp_path: Path) -> None:
    """An event, its segment's name and the names of the folders are on the disk before log returns."""
    assert run(tmp_path) == []


MUTANTS = {
    "import os; os.fdatasync = lambda _: None": ["an event before it is acknowledged"],
    "import auditlake.disk.durable as m; m.sync_folder = lambda _: None": [
        "lake/ itself", "landing/ itself", "the name of landing", "the name of landing/00",
        "the name of landing/00/0000000001.jsonl", "the name of landing/00/0000000002.jsonl",
    ],
    "import pathlib, auditlake.disk.durable as m; r = m.sync_folder; "
    "m.sync_folder = lambda p: p.name == '00' and r(p)": [
        "lake/ itself", "landing/ itself", "the name of landing", "the name of landing/00",
    ],
    "import os, auditlake.landing.slot as m; m.Slot.begin, r = "
    "(lambda s, *a: (s._last or 0) > 0 and setattr(m, 'sync_folder', lambda _: None) or r(s, *a)), m.Slot.begin": [
        "the name of landing/00/0000000002.jsonl",
    ],
}  # fmt: skip


@strace.needed
@pytest.mark.parametrize("mutation", MUTANTS)
def test_a_missing_sync_is_noticed(mutation: str, tmp_path: Path) -> None:
    """A program without one of its syncs fails the test above."""
    assert run(tmp_path, before=mutation) == MUTANTS[mutation]
