"""Small lakes to log into, and what is in their landing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditlake import AuditEvent, AuditLake
from auditlake.disk.layout import Layout
from auditlake.events.schema import BUILT_IN_TYPES, MAX_RECORD
from auditlake.landing.segments import pieces, segments
from auditlake.landing.trail import Terms, Trail, TrailOptions
from auditlake.testing import Clock
from tests.lakes import make_lake
from tests.waiting import HANG_SECONDS

NOW = datetime(2026, 4, 1, tzinfo=UTC)
TERMS = Terms(BUILT_IN_TYPES, MAX_RECORD)
DURABILITIES = ("sync", "interval", "os")


def made(path: Path) -> AuditLake:
    """A new lake."""
    return make_lake(path, clock=Clock(NOW))


def event(number: int = 0, **fields: Any) -> AuditEvent:
    """An event of a number; without an id unless one is given."""
    return AuditEvent("login", NOW, user_id=f"user {number}", **fields)


def trail(layout: Layout, *, sync: Any = None, flush: Any = None, **options: Any) -> Trail:
    """A trail on a lake."""
    syncing = {} if sync is None else {"sync": sync}
    return Trail(layout, TERMS, TrailOptions(**options), flush=flush, **syncing)


def lines(layout: Layout) -> list[dict[str, Any]]:
    """Every whole line of the landing, by slot and place."""
    return [json.loads(line) for piece in pieces(layout, {}) for line in piece.data.splitlines()]


def ids(layout: Layout) -> list[str]:
    """The ids of every whole line, as often as they are there."""
    return [line["event_id"] for line in lines(layout)]


def torn(layout: Layout) -> list[bytes]:
    """What lies in segments that nobody appends to, and is no whole line."""
    return [piece.torn for piece in pieces(layout, {}) if piece.torn]


def names(layout: Layout) -> list[str]:
    """The segments there are, as slot/number."""
    return [f"{each.slot}/{each.number}" for each in segments(layout)]


def check(layout: Layout, acknowledged: Iterable[str]) -> Counter[str]:
    """Every acknowledged id is in one whole line, and no id is in two. Gives what else is there."""
    found = Counter(ids(layout))
    expected = Counter(acknowledged)
    assert {each: n for each, n in found.items() if n > 1} == {}
    assert expected - found == Counter()
    return found - expected


def program(module: str, *words: object, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests as a program, perhaps under another one."""
    command = [*prefix, sys.executable, "-m", f"tests.landing.{module}", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
