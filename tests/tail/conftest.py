"""A lake, and following a path into it step by step, without waiting."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from auditlake import AuditLake
from auditlake.landing.segments import pieces
from auditlake.tail.destination import Destination
from auditlake.tail.follow import Follower, following
from tests.lakes import create

_TICKS = count(1_700_000_000_000_000_000, 1_000_000_000)
Follow = Callable[..., "Followed"]


class Followed:
    """A path that is followed as long as somebody asks for what there is."""

    def __init__(self, follower: Follower, destination: Destination, told: list[str], stack: ExitStack) -> None:
        self.follower = follower
        self.destination = destination
        self.said = told
        self._stack = stack

    @property
    def told(self) -> list[str]:
        """What is not usual."""
        return [each for each in self.said if not each.startswith("following ")]

    def all(self) -> Followed:
        """Take everything there is."""
        while self.follower.round():
            pass
        return self

    def close(self) -> None:
        """As when the process ends."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    return create(tmp_path / "lake")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log" / "audit.jsonl"


@pytest.fixture
def follow(lake: AuditLake, log: Path) -> Iterator[Follow]:
    with ExitStack() as every:

        def begin(path: Path = log, *, from_end: bool = False, **options: str) -> Followed:
            stack, told = ExitStack(), []
            every.callback(stack.close)
            destination = Destination(lake, stack.enter_context(lake.trail()), str(path), **options)
            entered = following(lake, path, destination, from_end=from_end, listen=told.append)
            return Followed(stack.enter_context(entered), destination, told, stack)

        yield begin


def event(n: int, **more: object) -> bytes:
    """A line of the log."""
    at = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=n)
    fields = {"event_type": "login", "timestamp": at.isoformat(), "details": {"n": n}}
    return json.dumps(fields | more).encode() + b"\n"


def append(path: Path, *lines: bytes) -> None:
    """As an application that keeps its log open."""
    with path.open("ab") as file:
        file.write(b"".join(lines))
    changed(path)


def changed(path: Path) -> None:
    """The system's own times of change are some milliseconds coarse, and tests are quick."""
    os.utime(path, ns=(0, next(_TICKS)))


def landed(lake: AuditLake) -> list[bytes]:
    """Every line in the landing."""
    return [line for piece in pieces(lake.layout, {}) for line in piece.data.splitlines()]


def numbers(lake: AuditLake) -> list[int]:
    """The numbers of the events in the landing, in order; each id once."""
    found = {(line := json.loads(each))["event_id"]: line["details"]["n"] for each in landed(lake)}
    return sorted(found.values())


def quarantined(lake: AuditLake) -> list[dict[str, Any]]:
    """Every entry of the quarantine."""
    files = sorted(lake.layout.quarantine.iterdir())
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def content_ids(data: bytes) -> set[str]:
    """The ids of the records of a file that bring none."""
    seen: Counter[bytes] = Counter()
    made = set()
    for record in data.splitlines():
        seen[record] += 1
        digest = hashlib.sha256(record).hexdigest()
        made.add(hashlib.sha256(f"auditlake\n{digest}\n{seen[record]}".encode()).hexdigest())
    return made


@contextmanager
def rotated(log: Path, *, how: str = "rename") -> Iterator[None]:
    """What logrotate does: the older ones move on by one, and the newest becomes ``.1``; by renaming or by copying."""
    for n in range(40, 0, -1):
        if (old := log.with_name(f"{log.name}.{n}")).exists():
            old.rename(log.with_name(f"{log.name}.{n + 1}"))
    first = log.with_name(f"{log.name}.1")
    if how == "rename":
        log.rename(first)
        yield
        log.touch()
    else:
        first.write_bytes(log.read_bytes())
        changed(first)
        yield
        log.write_bytes(b"")
    changed(log)
