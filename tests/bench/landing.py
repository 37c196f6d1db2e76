"""Logging events one by one: ours is a trail, the rivals are bare loops of the system calls, or what came before.

Each side counts its own seconds from the second event on: making a lake is not logging.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.data import EVENTS, Place
from tests.bench.work import Work
from tests.lakes import create

if TYPE_CHECKING:
    from auditlake import AuditEvent
    from auditlake.landing.trail import Trail

SYNCED, UNSYNCED, CROWDED, FOLLOWED = 3_000, 150_000, 10_000, 20_000
"""How many events are logged at the full scale."""
THREADS = 32
SLOW_SECONDS = 0.0006
"""What a slow disk takes for a sync beside what ours takes."""
_NOW = datetime(2026, 11, 30, 12, 0, 0, 123_456, tzinfo=UTC)
_ID = 36


@dataclass(frozen=True, slots=True)
class Logged:
    """What a side has done."""

    file: Path
    """Its lines."""
    events: int
    seconds: float
    syncs: int = 0

    @property
    def per_second(self) -> float:
        """Events."""
        return self.events / self.seconds

    @property
    def per_sync(self) -> float:
        """Events."""
        return self.events / self.syncs


def _many(place: Place, most: int) -> int:
    return max(40, round(most * place.events / EVENTS))


def _fields(number: int) -> dict[str, Any]:
    """An event as applications log it."""
    return {
        "user_id": f"user-{number % 2000}", "action": "read", "resource": f"store/7/object-{number % 20_000}",
        "status": "success", "details": {"bytes": number, "client": "cli/2.7"}, "session_id": "s-41234",
        "ip_address": "10.1.2.3",
    }  # fmt: skip


def _event(number: int) -> AuditEvent:
    from auditlake import AuditEvent

    return AuditEvent("data_access", _NOW, **_fields(number))


def _line(number: int) -> bytes:
    """The line that an event becomes, with an id of the usual length."""
    import orjson

    fields = _fields(number)
    return b"%b\n" % orjson.dumps({
        "event_id": f"{number:0{_ID}d}", "event_type": "data_access", "timestamp": "2026-11-30T12:00:00.123456Z",
        "user_id": fields["user_id"], "action": fields["action"], "resource": fields["resource"],
        "status": fields["status"], "details": fields["details"], "metadata": None,
        "session_id": fields["session_id"], "ip_address": fields["ip_address"],
    })  # fmt: skip


def _lines(found: Logged) -> list[bytes]:
    """The lines without their ids, which are of the same length; in order, as threads have none."""
    start = len('{"event_id":"')
    return sorted(line[:start] + line[start + _ID :] for line in found.file.read_bytes().splitlines())


# --- One thread ---


def _ours(place: Place, scratch: Path, *, most: int, durability: str, full: bool | None = None) -> Logged:
    """Events made and logged one after the other, into an empty lake or one that has the place's table."""

    lake = create(scratch / "lake")
    if full:
        shutil.rmtree(lake.layout.events)
        shutil.copytree(place.lake / "events", lake.layout.events, copy_function=os.link)
    events = _many(place, most)
    with lake.trail(durability=durability) as trail:
        trail.log(_event(0))
        began = time.perf_counter()
        for number in range(1, events):
            trail.log(_event(number))
        seconds = time.perf_counter() - began
    return Logged(lake.layout.segment(0, 1), events, seconds)


def _bare(place: Place, scratch: Path, *, most: int, sync: bool) -> Logged:
    """The same bytes written one by one; where they are not synced, they are also made on the way."""
    events, path = _many(place, most), scratch / "lines"
    ready = [_line(number) for number in range(events)] if sync else []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, _line(0))
    os.fsync(descriptor)
    began = time.perf_counter()
    if sync:
        for number in range(1, events):
            os.write(descriptor, ready[number])
            os.fdatasync(descriptor)
    else:
        for number in range(1, events):
            os.write(descriptor, _line(number))
    seconds = time.perf_counter() - began
    os.close(descriptor)
    return Logged(path, events, seconds)


def one_thread(durability: str) -> dict[str, Work]:
    """A trail, and the loop of the same system calls."""
    sync = durability == "sync"
    most = SYNCED if sync else UNSYNCED
    name = "write + fdatasync" if sync else "orjson + write"
    return {
        "ours": _work(partial(_ours, most=most, durability=durability), lambda found: found.per_second),
        name: _work(partial(_bare, most=most, sync=sync), lambda found: found.per_second),
    }


def full_lake() -> dict[str, Work]:
    """Into a lake that holds all the place's events, and into an empty one."""
    into = partial(_ours, most=UNSYNCED // 2, durability="os")
    return {"ours": _work(partial(into, full=True)), "an empty lake": _work(partial(into, full=False))}


# --- Many threads ---


def _crowd(place: Place, scratch: Path, *, threads: int, slow: bool) -> Logged:
    """Events logged durably by some threads."""
    from auditlake.landing.trail import Terms, Trail

    lake = create(scratch / "lake")
    events, syncs = _many(place, CROWDED) // THREADS * THREADS, [0]

    def sync(descriptor: int) -> None:
        syncs[0] += 1
        if slow:
            time.sleep(SLOW_SECONDS)
        os.fdatasync(descriptor)

    terms = Terms(lake.config.event_types, lake.config.max_record)
    with Trail(lake.layout, terms, sync=sync) as trail, ThreadPoolExecutor(threads) as pool:
        trail.log(_event(0))
        syncs[0] = 0
        began = time.perf_counter()
        for part in [pool.submit(_some, trail, thread, threads, events) for thread in range(threads)]:
            part.result()
        seconds = time.perf_counter() - began
    return Logged(lake.layout.segment(0, 1), events, seconds, syncs[0])


def _some(trail: Trail, thread: int, threads: int, events: int) -> None:
    for number in range(thread, events, threads):
        trail.log(_event(number))


def crowd(*, slow: bool) -> dict[str, Work]:
    """Many threads, and one."""
    return {
        "ours": _work(partial(_crowd, threads=THREADS, slow=slow), lambda found: found.per_sync),
        "one thread": _work(partial(_crowd, threads=1, slow=slow), lambda found: found.per_sync),
    }


# --- What came before ---


class _Monitor:
    """LLMGuardian's audit monitor, written again from a description of what it does.

    Every event opens and closes the day's file, and has each policy that names its type look through all that the
    policy has ever seen. In doubt it is written in the quicker way: the original has been measured at 180 events/s with
    8,000 events behind it, which is less than half of what this does.
    """

    POLICIES = (
        (("data_access", "data_modification", "data_deletion"), 5),
        (("login", "logout", "auth_failure"), 3),
        (("security_alert", "prompt_injection", "data_breach"), 1),
    )

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"audit_{datetime.now(UTC):%Y%m%d}.jsonl"
        self.alerts = 0
        self._events: list[dict[str, Any]] = []
        self._of_policy: dict[int, list[dict[str, Any]]] = defaultdict(list)

    def remember(self, events: list[dict[str, Any]]) -> None:
        """What was logged before, all of the first policy."""
        self._events += events
        self._of_policy[0] += events

    def log_event(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        with self.file.open("a") as file:
            file.write(json.dumps({**event, "timestamp": event["timestamp"].isoformat()}) + "\n")
        day = timedelta(hours=24)
        for policy, (types, threshold) in enumerate(self.POLICIES):
            if event["event_type"] in types:
                seen = self._of_policy[policy]
                seen.append(event)
                recent = [each for each in seen if datetime.now(UTC) - each["timestamp"] < day]
                self.alerts += len(recent) >= threshold


def _followed(place: Place, scratch: Path) -> Logged:
    """The last events of so many."""
    monitor, events = _Monitor(scratch), _many(place, FOLLOWED)

    def made(number: int) -> dict[str, Any]:
        return {"event_type": "data_access", "timestamp": datetime.now(UTC), "metadata": None, **_fields(number)}

    last = range(events - _last(events), events)
    monitor.remember([made(number) for number in range(last.start)])
    began = time.perf_counter()
    for number in last:
        monitor.log_event(made(number))
    return Logged(monitor.file, len(last), time.perf_counter() - began)


def _followed_by_us(place: Place, scratch: Path) -> Logged:

    lake, events = create(scratch / "lake"), _many(place, FOLLOWED)
    last = range(events - _last(events), events)
    with lake.trail() as trail:
        trail.log_many([_event(number) for number in range(last.start)])
        began = time.perf_counter()
        for number in last:
            trail.log(_event(number))
        seconds = time.perf_counter() - began
    return Logged(lake.layout.segment(0, 1), len(last), seconds)


def _last(events: int) -> int:
    return events // 40


def predecessor() -> dict[str, Work]:
    """A durable trail, and the monitor, which syncs nothing: the last events of so many."""
    return {
        "ours": _work(_followed_by_us, lambda found: found.per_second, _told),
        "LLMGuardian's algorithm": _work(_followed, lambda found: found.per_second, _told),
    }


def _told(found: Logged) -> list[tuple[str, int]]:
    """The type and the number of each of the last events."""
    lines = [json.loads(line) for line in found.file.read_bytes().splitlines()[-found.events :]]
    return [(line["event_type"], line["details"]["bytes"]) for line in lines]


def _work(
    run: Callable[[Place, Path], Logged],
    figure: Callable[[Logged], float] | None = None,
    answer: Callable[[Logged], Any] = _lines,
) -> Work:
    return Work(run, answer, lambda found: found.seconds, figure)
