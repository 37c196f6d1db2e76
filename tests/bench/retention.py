"""Days that leave: ours is ``auditlake retention apply``, the rival delta-rs deleting the same rows of the same table.

Every run works on a copy whose data files are hard links, and nothing is unlinked: the grace is a day. delta-rs judges
nothing, asks no hold, keeps no leaf, and writes neither a certificate nor a ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.bench.data import DAYS, FIRST_DAY, SMALL, Place
from tests.bench.work import Work

KEPT_DAYS = 95
"""So many of the 365 days stay."""
_FIRST = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
_TYPE = "data_access"


@dataclass(frozen=True, slots=True)
class Left:
    """What a deletion left, and how long it took."""

    events: Path
    seconds: float


def drop() -> dict[str, Work]:
    """Whole days: all but the last ones."""
    return _works(_ours(_drop_by_policy), _delta_rs(f"event_date < '{FIRST_DAY + timedelta(days=DAYS - KEPT_DAYS)}'"))


def mixed() -> dict[str, Work]:
    """Events of one type, of the first day."""
    where = f"event_date = '{FIRST_DAY}' and event_type = '{_TYPE}'"
    return _works(_ours(_delete_of_one_day), _delta_rs(where))


Side = Callable[[Place, Path], Left]


def _works(ours: Side, rival: Side) -> dict[str, Work]:
    sides = {"ours": ours, "delta-rs": rival}
    return {name: Work(side, _answer, lambda left: left.seconds) for name, side in sides.items()}


def _ours(delete: Callable[[Place, Path], float]) -> Side:
    def run(place: Place, scratch: Path) -> Left:
        root = place.lake
        return Left(root / "events", delete(place, root))

    return run


def _delta_rs(where: str) -> Side:
    def run(place: Place, scratch: Path) -> Left:
        from deltalake import DeltaTable

        events = place.lake / "events"
        began = time.perf_counter()
        DeltaTable(str(events)).delete(where)
        return Left(events, time.perf_counter() - began)

    return run


def _drop_by_policy(place: Place, root: Path) -> float:
    from auditlake.events.schema import BUILT_IN_TYPES

    lake = _with_policy(root, BUILT_IN_TYPES, KEPT_DAYS, _FIRST + timedelta(days=DAYS, hours=12))
    began = time.perf_counter()
    plan = lake.retention.apply(accept_weaker="bench").plan
    seconds = time.perf_counter() - began
    assert place.events == SMALL or [each.action for each in plan.changes] == ["drop"] * (DAYS - KEPT_DAYS)
    return seconds


def _delete_of_one_day(place: Place, root: Path) -> float:
    """Only that day's files are read for it, and one is written."""
    from auditlake.retention import shorten

    lake = _with_policy(root, frozenset({_TYPE}), KEPT_DAYS, _FIRST + timedelta(days=KEPT_DAYS + 1, hours=12))
    read: set[Path] = set()
    written: list[object] = []
    view, write = shorten.view_events, shorten.write_days
    shorten.view_events = lambda c, files, **k: (read.update(files), view(c, files, **k))[1]  # type: ignore[assignment]
    shorten.write_days = lambda *a: (files := write(*a), written.extend(*files.values()))[0]
    began = time.perf_counter()
    plan = lake.retention.apply(accept_weaker="bench").plan
    seconds = time.perf_counter() - began
    shorten.view_events, shorten.write_days = view, write
    if place.events > SMALL:
        (day,) = plan.changes
        of_events = sorted(path for path in read if root / "events" in path.parents)
        assert (day.action, day.day, len(written)) == ("rewrite", FIRST_DAY, 1)
        assert of_events == [root / "events" / file.path for file in day.rewritten]
    return seconds


def _with_policy(root: Path, types: frozenset[str], days: int, now: datetime) -> Any:
    """A lake with one policy, and the terms of before on record."""
    from auditlake import AuditLake

    for file in (root / "policies").iterdir():
        file.unlink()
    (root / "policies" / "one.yaml").write_text(
        f"name: a policy\ndescription: of the bench\nrequired_events: [{', '.join(sorted(types))}]\n"
        f"retention_period: {days}d\nalert_threshold: 1000000000\n"
    )
    return AuditLake(root, clock=lambda: now)


def _answer(left: Left) -> list[tuple[date, int]]:
    """How many events each day still has."""
    import duckdb
    from deltalake import DeltaTable

    files = [path.removeprefix("file://") for path in DeltaTable(str(left.events)).file_uris()]
    with duckdb.connect() as connection:
        return connection.sql(f"""
            select event_date, count(*) from read_parquet({files}, hive_types = {{'event_date': date}})
            group by event_date order by event_date""").fetchall()
