"""Landings made by hand or by trails, and programs that flush, compact and read them.

``python -m tests.landing.flushing VERB LAKE ARGUMENT...``
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from auditlake import AuditEvent, AuditLake
from auditlake.disk.layout import Layout
from tests.landing.lakes import NOW, event, trail
from tests.waiting import HANG_SECONDS


def opened(path: Path) -> AuditLake:
    """A lake that is there, whose clock stands still."""
    return AuditLake(path, clock=lambda: NOW)


def line(number: int, **fields: Any) -> bytes:
    """The line of an event whose id is made of its number."""
    return (
        AuditEvent("login", NOW, user_id=f"user {number}", event_id=f"e{number}", **fields).to_json().encode() + b"\n"
    )


def put(layout: Layout, slot: int, number: int, data: bytes) -> Path:
    """A segment as a writer has left it that is dead."""
    path = layout.segment(slot, number)
    path.parent.mkdir(exist_ok=True)
    (path.parent / "lock").touch()
    path.write_bytes(data)
    return path


@contextmanager
def held(layout: Layout, slot: int) -> Iterator[None]:
    """Somebody writes to the slot."""
    layout.slot(slot).mkdir(exist_ok=True)
    descriptor = os.open(layout.slot(slot) / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def left(layout: Layout) -> list[str]:
    """The files in the slots but for their locks, as slot/name."""
    paths = sorted(path for path in layout.landing.glob("*/*") if path.name != "lock")
    return [f"{path.parent.name}/{path.name}" for path in paths]


def seen(lake: AuditLake, snapshot: int | None = None) -> Counter[str]:
    """The ids of all events, as often as they are there."""
    return Counter(event_id for (event_id,) in lake.sql("select event_id from events", snapshot=snapshot))


def stored(lake: AuditLake) -> Counter[str]:
    """The ids of all events of the newest snapshot alone."""
    return seen(lake, lake.snapshot().version)


def once(*numbers: int) -> Counter[str]:
    """The ids of the events of these numbers, each once."""
    return Counter({f"e{number}": 1 for number in numbers})


def quarantined(lake: AuditLake) -> list[dict[str, Any]]:
    """Every quarantined record, by input and place."""
    entries = [json.loads(text) for path in lake.layout.quarantine.iterdir() for text in path.read_bytes().splitlines()]
    return sorted(entries, key=lambda entry: (entry["input"], entry["offset"]))


def told(folder: Path) -> set[str]:
    """What writers have said was recorded, so far."""
    text = "".join(path.read_text() for path in folder.glob("told-*"))
    return set(re.findall(r"^[0-9a-f-]{36}(?=\n)", text, re.MULTILINE))


# --- Programs ---


def write(lake: AuditLake, file: str, threads: str, count: str) -> None:
    """Log from threads, and note each id in a file once it is acknowledged."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    options = {"durability": "os", "segment_bytes": 3000}
    with trail(lake.layout, flush=lake.flush, flush_seconds=0.2, **options) as logged:

        def work() -> None:
            for number in range(int(count)):
                os.write(descriptor, (logged.log(event(number)) + "\n").encode())
                if number % 7 == 0:
                    ids = logged.log_many([event(number), event(number)])
                    os.write(descriptor, "".join(f"{each}\n" for each in ids).encode())

        started = [Thread(target=work) for _ in range(int(threads))]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()


def flush(lake: AuditLake, stop: str) -> None:
    """Flush until told to stop, and tell what landed."""
    while not Path(stop).exists():
        print(lake.flush().landed, flush=True)


def compact(lake: AuditLake, stop: str) -> None:
    """Compact until told to stop."""
    while not Path(stop).exists():
        lake.compact(grace_seconds=HANG_SECONDS)
        time.sleep(0.05)


def read(lake: AuditLake, stop: str) -> None:
    """Read until told to stop: everything acknowledged before is there, and nothing twice."""
    reads = 0
    while not Path(stop).exists() or reads < 3:
        before = told(Path(stop).parent)
        found = seen(lake)
        assert not (twice := [each for each, n in found.items() if n > 1]), twice
        assert not (lost := before - found.keys()), lost
        reads += 1
    print(reads)


if __name__ == "__main__":
    {each.__name__: each for each in (write, flush, compact, read)}[sys.argv[1]](
        opened(Path(sys.argv[2])), *sys.argv[3:]
    )
