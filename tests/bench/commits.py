"""Small commits: one event into a lake of very many files, or as the last of many, against the same into an empty lake.

Ours count processor time: what a commit waits for the disk is the same on both sides.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

from tests.bench import data
from tests.bench.data import AS_OF, EVENTS, Place
from tests.bench.retention import linked
from tests.bench.work import Work
from tests.lakes import create

if TYPE_CHECKING:
    from auditlake import AuditLake

FILES, INGESTS = 10_000, 600
"""At the full scale: about how many files the large lake has, and how many ingests of one event there are."""
_CLASSES = 3.3
"""How many retention classes a day has on average, each a file."""
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


def opening() -> dict[str, Work]:
    """The snapshot of a lake of very many files, and delta-rs's table alone."""
    return {
        "ours": Work(_open_ours, lambda done: done.landed, lambda done: done.seconds),
        "delta-rs: DeltaTable": Work(_open_delta, lambda done: done.landed, lambda done: done.seconds),
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


def _open_ours(place: Place, scratch: Path) -> Committed:
    from auditlake.disk.layout import Layout
    from auditlake.store.snapshot import read_snapshot

    layout = Layout(_crowded(place))
    began = time.process_time()
    snapshot = read_snapshot(layout)
    return Committed(time.process_time() - began, snapshot.rows)


def _open_delta(place: Place, scratch: Path) -> Committed:
    from deltalake import DeltaTable

    began = time.process_time()
    table = DeltaTable(str(_crowded(place) / "events"))
    seconds = time.process_time() - began
    return Committed(seconds, sum(table.get_add_actions().column("num_records").to_pylist()))


def _empty(place: Place, root: Path) -> AuditLake:
    return create(root)


def _crowded_copy(place: Place, root: Path) -> AuditLake:
    """A copy of the lake of very many files, of which data files are links."""
    import auditlake

    return auditlake.open(linked(_crowded(place), root))


def _crowded(place: Place) -> Path:
    """The lake of very many files, which is made where it is not there yet."""
    root = place.root / "crowded"
    if not root.exists():
        draft = root.with_name("crowded.draft")
        shutil.rmtree(draft, ignore_errors=True)
        _make_crowded(draft, place.events)
        draft.rename(root)
    return root


def _make_crowded(root: Path, total: int) -> None:
    """Make it as one ingest of files of each class and day, several of each."""
    from auditlake.store.model import Change
    from auditlake.store.turn import writer_turn

    lake = create(root)
    pieces = max(1, round(FILES / data.DAYS / _CLASSES * total / EVENTS))
    with data.open_connection(total) as connection, writer_turn(lake._context) as turn:
        classes = lake._context.classes()
        files = []
        for day, low, high in data._day_ranges(data.FIRST_DAY, data.DAYS, total):
            bounds = [low + (high - low) * number // pieces for number in range(pieces + 1)]
            for begin, end in pairwise(bounds):
                files += data._write_day(connection, lake.layout, classes, "true", (), day, begin, end)
        metadata = {"kind": "ingest", "batch": 1, "rows": total, "at": AS_OF.isoformat(), "inputs": []}
        turn.commit(Change(tuple(files), (), metadata, classes=classes))
