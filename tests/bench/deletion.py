"""A year with three retention periods: what a night costs, what a lake before classes costs, and what is left behind.

Types are kept for 30, 90 or 365 days, in such shares that two thirds of a year's events are due at its end. A lake in
classes has a file a day for each length, one before classes a file a day: that of :mod:`tests.bench.classes` with
other policies. They are made once, beside the other data.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.classes import lake_before_classes
from tests.bench.data import DAYS, FIRST_DAY, Place, linked, once, open_connection, write_lake
from tests.bench.work import Work

if TYPE_CHECKING:
    from auditlake import AuditLake

_MONTH = ("data_access", "model_access", "login", "system_error")
_QUARTER = ("data_modification", "logout", "access_granted", "auth_failure", "data_deletion", "access_denied",
            "config_change", "privilege_use", "compliance_check", "permission_change", "human_oversight",
            "account_change", "audit_log_access")  # fmt: skip
PERIODS: Mapping[int, Collection[str]] = {30: _MONTH, 90: _QUARTER}
"""How many days types are kept; all others are kept for a year."""
_LAST = FIRST_DAY + timedelta(days=DAYS)
_NOON = timedelta(hours=12)
_TYPE = "model_access"
"""The type that goes singly: it lies between others of its class."""
_SHARE_HELD = 3
"""One of so many users is held."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a deletion left, how long it took, and what is asked of it beside that."""

    days: Callable[[], list[tuple[date, int]]]
    seconds: float
    figure: float = 0


Side = Callable[[Place, Path], Left]
Delete = Callable[["AuditLake"], float]


def night() -> dict[str, Work]:
    """The night after all that was due has gone: a day of each class leaves."""
    return _works({"ours": _ours_at_night, "delta-rs": _delta_rs_at_night})


def mixed() -> dict[str, Work]:
    """All that is due of a lake before classes, in which every day has something of each length."""
    return _works({"ours": _ours_mixed, "DuckDB": _duckdb_mixed})


def size() -> dict[str, Work]:
    """The lake after two thirds went and the grace is over, and one of the events that are left."""
    return _works({"ours": _ours_size, "ingested fresh": _fresh_size})


def kept(what: str, *, of_day: bool = False) -> dict[str, Work]:
    """What is kept for each event of a day that goes singly, or that the day had: in classes, and before them."""
    delete = {"random": _delete_unheld, "type": _delete_type}[what]
    sides = {"ours": "classes", "before classes": "mixed"}
    return _works({name: partial(_kept, delete, kind, of_day) for name, kind in sides.items()})


def _works(sides: Mapping[str, Side]) -> dict[str, Work]:
    return {
        name: Work(side, lambda left: left.days(), lambda left: left.seconds, lambda left: left.figure)
        for name, side in sides.items()
    }


# --- The lakes ---


def _policies(periods: Mapping[int, Collection[str]]) -> dict[str, str]:
    return {
        f"days_{days}": f"name: {days} days\ndescription: of the bench\nrequired_events: [{', '.join(types)}]\n"
        f"retention_period: {days}d\nalert_threshold: 1000000000\n"
        for days, types in {**periods, DAYS: _others(periods)}.items()
        if types
    }


def _others(periods: Mapping[int, Collection[str]]) -> list[str]:
    from auditlake.events.schema import BUILT_IN_TYPES

    return sorted(BUILT_IN_TYPES.difference(*periods.values()))


def _stay() -> str:
    """SQL for what is not due at the end of the year."""
    cases = " ".join(
        f"when event_type in ({', '.join(repr(name) for name in types)}) then date '{_LAST - timedelta(days=days)}'"
        for days, types in PERIODS.items()
    )
    return f"cast(\"timestamp\" as date) >= case {cases} else date '{_LAST - timedelta(days=DAYS)}' end"


_WHERE: Mapping[str, str] = {"classes": "true", "fresh": _stay()}
"""The lakes in classes, and which events each has."""


def _lake(place: Place, kind: str, scratch: Path) -> AuditLake:
    """A copy of a lake, of which data files are hard links; its clock stands at noon after the last day."""
    from auditlake import AuditLake, testing

    def make(draft: Path) -> None:
        if kind == "mixed":
            testing.set_policies(AuditLake(linked(lake_before_classes(place), draft)), _policies(PERIODS))
        else:  # in a process of its own, so that this one stays small
            command = [sys.executable, "-m", "tests.bench.deletion", str(draft), str(place.events), kind]
            subprocess.run(command, check=True)

    return _opened(linked(once(place.root / f"three-periods-{kind}", make), scratch / "lake"), 0)


def _opened(root: Path, nights: int, grace: str | None = None) -> AuditLake:
    from auditlake import AuditLake, testing

    moment = datetime(_LAST.year, _LAST.month, _LAST.day, tzinfo=UTC) + _NOON + timedelta(days=nights)
    lake = AuditLake(root, clock=lambda: moment)
    return testing.change_settings(lake, grace=grace) if grace else lake


def _make(path: Path, events: int, kind: str) -> None:
    with open_connection(events) as connection:
        write_lake(connection, path, events, policies=_policies(PERIODS), where=_WHERE[kind])


# --- The sides ---


def _applied(lake: AuditLake, **options: str) -> float:
    began = time.perf_counter()
    lake.retention.apply(**options)
    return time.perf_counter() - began


def _ours_mixed(place: Place, scratch: Path) -> Left:
    lake = _lake(place, "mixed", scratch)
    seconds = _applied(lake, accept_weaker="bench")
    return Left(lambda: _days(lake), seconds)


def _duckdb_mixed(place: Place, scratch: Path) -> Left:
    """The same rows written by DuckDB, a file a day, in the order of time; nothing is synced, judged or hashed."""
    import duckdb

    lake = _lake(place, "mixed", scratch)
    files = sorted(lake.layout.events.glob("*/*.parquet"))
    began = time.perf_counter()
    with duckdb.connect() as connection:
        for file in files:
            rewritten = file.with_name("rewritten.parquet")
            connection.execute(f"""
                copy (
                  select * from read_parquet('{file}', hive_partitioning = false) where {_stay()}
                  order by "timestamp", batch, seq
                ) to '{rewritten}' (format parquet, compression zstd)""")
            file.unlink()
    seconds = time.perf_counter() - began
    return Left(lambda: _counted(sorted(lake.layout.events.glob("*/*.parquet"))), seconds)


def _ours_at_night(place: Place, scratch: Path) -> Left:
    lake = _at_night(place, scratch)
    before = _files(lake)
    seconds = _applied(lake)
    written = {path for path in _files(lake) - before if path.suffix == ".parquet" or path.parent.name == "kept"}
    return Left(lambda: _days(lake), seconds, len(written))


def _delta_rs_at_night(place: Place, scratch: Path) -> Left:
    from deltalake import DeltaTable

    lake = _at_night(place, scratch)
    cases = [f"(event_date < '{_LAST + timedelta(days=1 - days)}' and event_type in "
             f"({', '.join(repr(name) for name in types)}))" for days, types in PERIODS.items()]  # fmt: skip
    where = " or ".join([*cases, f"event_date < '{_LAST + timedelta(days=1 - DAYS)}'"])
    began = time.perf_counter()
    DeltaTable(str(lake.layout.events)).delete(where)
    return Left(lambda: _days(lake), time.perf_counter() - began)


def _at_night(place: Place, scratch: Path) -> AuditLake:
    """A lake in classes of which all went that was due a day before."""
    lake = _lake(place, "classes", scratch)
    lake.retention.apply(accept_weaker="bench")
    return _opened(lake.layout.root, 1)


def _ours_size(place: Place, scratch: Path) -> Left:
    lake = _opened(_lake(place, "classes", scratch).layout.root, 0, grace="0h")
    seconds = _applied(lake, accept_weaker="bench")
    fresh = place.root / "three-periods-fresh"
    if not fresh.exists():
        _lake(place, "fresh", scratch / "fresh")
    return Left(lambda: _days(lake), seconds, _bytes(lake.layout.root) / _bytes(fresh))


def _fresh_size(place: Place, scratch: Path) -> Left:
    began = time.perf_counter()
    lake = _lake(place, "fresh", scratch)
    return Left(lambda: _days(lake), time.perf_counter() - began, 1)


def _delete_unheld(lake: AuditLake) -> float:
    """All of the first day goes but what a hold on every third user keeps, which is anywhere."""
    users = [user for (user,) in lake.sql("select distinct user_id from events where user_id is not null").fetchall()]
    held = [user for user in users if int(user.split("-")[1]) % _SHARE_HELD == 0]
    lake.holds.add("third", reason="bench", owner="bench", ticket="bench", user_ids=held)
    return _delete(lake, _others({}))


def _delete_type(lake: AuditLake) -> float:
    """One type of the first day goes."""
    return _delete(lake, [_TYPE])


def _delete(lake: AuditLake, types: Collection[str]) -> float:
    """Let these types be kept a day less than a year, and all others a year."""
    from auditlake import testing

    testing.set_policies(lake, _policies({DAYS - 1: types}))
    return _applied(lake, accept_weaker="bench")


def _kept(delete: Delete, kind: str, of_day: bool, place: Place, scratch: Path) -> Left:
    lake = _lake(place, kind, scratch)
    before = dict(_days(lake))
    seconds = delete(lake)
    kept = sum(path.stat().st_size for path in (lake.layout.ledger / "kept").glob("*"))
    events = before[FIRST_DAY] if of_day else sum(before.values()) - lake.snapshot().rows
    return Left(lambda: _days(lake), seconds, kept / max(events, 1))


# --- What is left ---


def _files(lake: AuditLake) -> set[Path]:
    return {path for path in lake.layout.root.rglob("*") if path.is_file()}


def _bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def _days(lake: AuditLake) -> list[tuple[date, int]]:
    """How many events each day of a lake still has."""
    from deltalake import DeltaTable

    uris = DeltaTable(str(lake.layout.events)).file_uris()
    return _counted([Path(uri.removeprefix("file://")) for uri in uris])


def _counted(files: Collection[Path]) -> list[tuple[date, int]]:
    import duckdb

    with duckdb.connect() as connection:
        return connection.sql(f"""
            select event_date, count(*) from read_parquet({[*map(str, files)]}, hive_types = {{'event_date': date}})
            group by event_date order by event_date""").fetchall()


if __name__ == "__main__":
    _make(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
