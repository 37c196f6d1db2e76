"""Small commits: one event into a lake of very many files, or as the last of many, against the same into an empty lake.

Ours count processor time: what a commit waits for the disk is the same on both sides.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

from tests.bench.data import AS_OF, EVENTS, Place, linked, once, open_connection, pieces, write_lake
from tests.bench.work import Work
from tests.lakes import create

if TYPE_CHECKING:
    from auditlake import AuditLake

INGESTS = 600
"""How many ingests of one event there are, at the full scale."""
_FEW, _TURNS, MANY_DAYS = 100_000, 3_000, 3_000
"""At the full scale: how many events the lakes of one day and of many days have, in how many turns the day is written,
three files and more in each, and how many days there are."""
_ROUNDS = 7
_TURN = 16
"""Of so many small commits one puts files together: means are over as many."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a side has done."""

    seconds: float
    landed: int
    bytes_an_event: float = 0.0
    """Of the index."""


def one_event(*, live: bool) -> dict[str, Work]:
    """One event into a lake of very many files, by a flush or an ingest, and into an empty lake."""
    sides = {"ours": _crowded_copy, "an empty lake": _empty}
    return {
        name: Work(
            partial(_one_event, make=make, live=live), lambda done: done.landed, lambda done: done.seconds,
            lambda done: done.bytes_an_event,
        )
        for name, make in sides.items()
    }  # fmt: skip


def many() -> dict[str, Work]:
    """The last of many ingests of one event into one day, and the first of them."""
    return {
        "ours": Work(partial(_many, last=True), lambda done: done.landed, lambda done: done.seconds),
        "the fifth and those after it": Work(
            partial(_many, last=False), lambda done: done.landed, lambda done: done.seconds
        ),
    }


def opening(kind: str) -> dict[str, Work]:
    """The snapshot of a lake of very many files, and delta-rs's table alone.

    Args:
        kind: ``crowded`` in a year, ``day`` for one day, ``days`` for thousands of them.
    """
    return {
        name: Work(partial(run, kind), lambda done: done.landed, lambda done: done.seconds)
        for name, run in (("ours", _open_ours), ("delta-rs: DeltaTable", _open_delta))
    }


def _one_event(place: Place, scratch: Path, *, make: Callable[[Place, Path], AuditLake], live: bool) -> Committed:
    lake = make(place, scratch / "lake")
    seconds = []
    for number in range(_ROUNDS):
        seconds.append(_flushed(lake, number) if live else one_ingest(lake, number))
    index = sum(path.stat().st_size for path in lake.layout.ids.iterdir())
    return Committed(median(seconds[2:]), _ROUNDS, index / lake.snapshot().rows)


def _flushed(lake: AuditLake, number: int) -> float:
    from auditlake import AuditEvent

    began = time.process_time()
    lake.log(AuditEvent("login", AS_OF + timedelta(seconds=number), user_id="user-1"))
    assert lake.flush().landed == 1
    return time.process_time() - began


def one_ingest(lake: AuditLake, number: int) -> float:
    """Ingest one event; return its processor time."""
    file = lake.layout.root.with_name("one.jsonl")
    at = AS_OF + timedelta(seconds=number)
    event = {"event_id": os.urandom(16).hex(), "event_type": "login", "timestamp": at.isoformat(), "user_id": "user-1"}
    file.write_text(json.dumps(event) + "\n")
    began = time.process_time()
    assert lake.ingest(file).landed == 1
    return time.process_time() - began


def _many(place: Place, scratch: Path, *, last: bool) -> Committed:
    lake = create(scratch / "lake")
    ingests = max(2 * _TURN, round(INGESTS * place.events / EVENTS)) if last else 4 + _TURN
    seconds = [one_ingest(lake, number) for number in range(ingests)]
    return Committed(mean(seconds[-_TURN:]), _TURN)


def _open_ours(kind: str, place: Place, scratch: Path) -> Committed:
    from auditlake.disk.layout import Layout
    from auditlake.store import last_seen
    from auditlake.store.snapshot import read_snapshot

    layout = Layout(_LAKES[kind](place))
    last_seen._seen.clear()  # as a new process has it
    began = time.process_time()
    snapshot = read_snapshot(layout)
    return Committed(time.process_time() - began, snapshot.rows)


def _open_delta(kind: str, place: Place, scratch: Path) -> Committed:
    from deltalake import DeltaTable

    events = _LAKES[kind](place) / "events"
    began = time.process_time()
    table = DeltaTable(str(events))
    seconds = time.process_time() - began
    return Committed(seconds, sum(table.get_add_actions().column("num_records").to_pylist()))


def _empty(place: Place, root: Path) -> AuditLake:
    return create(root)


def _crowded_copy(place: Place, root: Path) -> AuditLake:
    """A copy of the lake of very many files, of which data files are links."""
    import auditlake

    return auditlake.open(linked(_crowded(place), root))


def _crowded(place: Place) -> Path:
    """Return the lake of very many files; a large place has one."""
    if place.is_large:
        return place.lake
    return _made(place, "crowded", place.events, pieces=pieces(place.events / EVENTS))


def _of_one_day(place: Place) -> Path:
    return _made(
        place, "one-day", _FEW * place.events // EVENTS, days=1, pieces=max(1, _TURNS * place.events // EVENTS)
    )


def _of_many_days(place: Place) -> Path:
    return _made(place, "many-days", _FEW * place.events // EVENTS, days=max(1, MANY_DAYS * place.events // EVENTS))


_LAKES = {"crowded": _crowded, "day": _of_one_day, "days": _of_many_days}


def _made(place: Place, name: str, events: int, **layout: int) -> Path:
    """Return a lake of a place, which is made where it is not there yet."""

    def make(draft: Path) -> None:
        with open_connection(place.events) as connection:
            write_lake(connection, draft, events, **layout)

    return once(place.root / name, make)
