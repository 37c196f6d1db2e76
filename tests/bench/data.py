"""What is measured on: events made of ``hash()`` of their number, so that every run on every machine has the same.

A place holds a lake of 365 days in classes, and the newest events once more as canonical JSON lines, with and without
ids. A third of the events have whole seconds (ties, and events exactly one window old); users are skewed and one event
in a hundred has none; three types are rare; one type falls silent for weeks, most others for two days.

A large place holds a lake alone: 18 types, 50,000 users, each of any type, and about a hundred files for every million
events.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.testing import set_policies
from tests.lakes import create

if TYPE_CHECKING:
    import duckdb

    from auditlake.disk.layout import Layout
    from auditlake.store.model import DataFile

VERSION = 5
"""Part of the folder's name: to be raised when the events change."""
EVENTS = 10_000_000
LARGE = 100_000_000
"""How many events a large place has at the full scale."""
LINES = 2_000_000
SMALL = 2_000
DAYS = 365
LINE_DAYS = 30
USERS = 2_000
"""As many as this at the full scale; fewer at a smaller one, so that each has as many events as ever."""
ALL_USERS = 50_000
"""How many users a large place has, whatever its scale."""
SPARED = frozenset({
    "access_granted", "access_denied", "privilege_use", "system_error", "policy_violation", "model_update",
    "audit_log_control",
})  # fmt: skip
"""The types that a large place lacks: 18 are left."""
FILES = 10_000
"""About how many files the lake of a large place has at the full scale."""
_CLASSES = 3.3
"""How many retention classes a day has on average, each a file."""
FIRST_DAY = date(2025, 12, 1)
AS_OF = datetime(2026, 11, 30, 12, tzinfo=UTC)
"""In the middle of the last day, so that there are events after it."""
SINCE = datetime(2025, 12, 2, 12, tzinfo=UTC)
"""Where the period of the rolling counts begins: there are events before it, to look back on."""
_SILENT = (date(2026, 11, 9), date(2026, 11, 10))
"""Days with api_call only."""
_LAST_LOGOUT = date(2026, 10, 20)
_BATCH = 1
_LINKED = 1_000_000
"""From so many bytes on a file of a lake is linked and no longer copied."""
_PER_MILLION = {
    "data_access": 190_000, "model_access": 120_000, "login": 90_000, "data_modification": 80_000, "logout": 70_000,
    "access_granted": 60_000, "auth_failure": 30_000, "data_deletion": 20_000, "access_denied": 20_000,
    "config_change": 20_000, "privilege_use": 20_000, "compliance_check": 20_000, "system_error": 15_000,
    "permission_change": 10_000, "human_oversight": 10_000, "account_change": 8_000, "audit_log_access": 8_000,
    "data_export": 6_000, "policy_violation": 4_000, "model_update": 4_000, "audit_log_control": 2_000,
    "security_alert": 60, "prompt_injection": 40, "data_breach": 2,
}  # fmt: skip
"""How often each type is; api_call is the rest."""
TYPES = (*_PER_MILLION, "api_call")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with everything that one size of run is measured on."""

    root: Path
    events: int
    """How many events the lake has."""
    is_large: bool = False
    copy: Path | None = None
    """The copy of the lake that a run may change."""

    @property
    def lake(self) -> Path:
        """The lake."""
        return self.copy or self.root / "lake"

    @property
    def lines(self) -> Path:
        """Canonical JSON lines with ids."""
        return self.root / "lines.jsonl"

    @property
    def lines_without_ids(self) -> Path:
        """The same without ids."""
        return self.root / "lines-without-ids.jsonl"

    @property
    def day_files(self) -> list[Path]:
        """The lake's Parquet files, by day."""
        return sorted(self.lake.glob("events/event_date=*/*.parquet"))


def share(types: Iterable[str]) -> float:
    """How much of all events a few types are."""
    rest = 1_000_000 - sum(_PER_MILLION.values())
    return sum(_PER_MILLION.get(name, rest) for name in types) / 1_000_000


def place(folder: Path, scale: float, *, is_large: bool = False) -> Place:
    """Where the events of a size are, or will be."""
    events = round((LARGE if is_large else EVENTS) * scale)
    return Place(folder / f"v{VERSION}{'-large' if is_large else ''}-{events}", events, is_large)


def small_place(folder: Path) -> Place:
    """A lake of a few events that came in through ``ingest``: to warm up on, and to see what a start costs."""
    return Place(folder / f"v{VERSION}-small", SMALL)


def linked(lake: Path, target: Path) -> Path:
    """A copy of a lake whose data files, and all that is large, are hard links: nothing is ever changed in these."""

    def link(origin: str, copy: str) -> None:
        is_linked = origin.endswith(".parquet") or Path(origin).stat().st_size > _LINKED
        (os.link if is_linked else shutil.copy)(origin, copy)

    shutil.copytree(lake, target, copy_function=link)
    return target


def make(folder: Path, scale: float, *, is_large: bool = False) -> None:
    """Make what is not there yet. To be called in a process of its own: it leaves a large one behind."""
    target, small = place(folder, scale, is_large=is_large), small_place(folder)

    def make_target(root: Path) -> None:
        draft = replace(target, root=root)
        if is_large:
            write_large_lake(draft.lake, target.events)
            return
        with open_connection(target.events) as connection:
            _write_lines(connection, draft, round(LINES * scale))
            write_lake(connection, draft.lake, target.events)

    def make_small(root: Path) -> None:
        draft = replace(small, root=root)
        with open_connection(small.events) as connection:
            _write_lines(connection, draft, SMALL)
        create(draft.lake).ingest(draft.lines)

    once(target.root, make_target)
    once(small.root, make_small)


def once(target: Path, make: Callable[[Path], object]) -> Path:
    """Return a folder or file, which is made where it is not there yet; what a run that was killed left of it goes."""
    if not target.exists():
        draft = target.with_name(f"{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        make(draft)
        draft.rename(target)
    return target


def open_connection(events: int, users: int | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB that makes events for a lake of so many.

    Args:
        events: How many events.
        users: Of how many users they are, each of any type; else of fewer users at a smaller scale, and of some types
            each, since the numbers that ``hash()`` makes of two values depend on each other.
    """
    from auditlake.engine.duck import connect

    connection = connect(exact_try=False)
    # A number in [0, 1), and a whole one in [0, n), of an event's number and of what it is for.
    connection.execute("set variable users = $1", [users or max(20, USERS * events // EVENTS)])
    drawn = "hash(i, what)" if users is None else "hash(i || what)"
    connection.execute(f"create macro part(i, what) as {drawn} / 18446744073709551616.0")
    connection.execute(f"create macro pick(i, what, n) as cast({drawn} % n as integer)")
    return connection


def _day_ranges(first: date, days: int, total: int) -> Iterator[tuple[date, int, int]]:
    """Each day with the numbers of its events, from and to: a weekend day has two thirds of a working day."""
    weights = [2 if (first + timedelta(days=i)).weekday() > 4 else 3 for i in range(days)]
    done = 0
    for i, weight in enumerate(weights):
        low, high = total * done // sum(weights), total * (done + weight) // sum(weights)
        done += weight
        yield first + timedelta(days=i), low, high


def _type_of(day: date, left_out: Collection[str] = ()) -> str:
    """SQL for the type of event i; api_call in the place of those that are left out."""
    if day in _SILENT:
        return "'api_call'"
    branches, limit = [], 0
    for name, weight in _PER_MILLION.items():
        limit += weight
        shown = "api_call" if name in left_out or (name == "logout" and day > _LAST_LOGOUT) else name
        branches.append(f"when part(i, 'type') < {limit / 1_000_000} then '{shown}'")
    return f"case {' '.join(branches)} else 'api_call' end"


def _events(day: date, low: int, high: int, left_out: Collection[str] = ()) -> str:
    """SQL for the events of one day by their canonical names, with their number i: most in working hours."""
    return f"""
        select
          i,
          md5(cast(i as varchar)) || '-' || i % 1000 as event_id,
          {_type_of(day, left_out)} as event_type,
          timestamptz '{day} 00:00:00+00' + to_microseconds(
            case when pick(i, 'whole', 3) = 0 then us - us % 1000000 else us end
          ) as "timestamp",
          case when pick(i, 'no user', 100) > 0
            then 'user-' || cast(floor(getvariable('users') * pow(part(i, 'user'), 3)) as integer) end as user_id,
          ['read', 'write', 'list', 'approve', 'invoke'][1 + pick(i, 'action', 5)] as action,
          'store/' || pick(i, 'folder', 50) || '/object-' || pick(i, 'object', 20000) as resource,
          case when pick(i, 'status', 20) = 0 then 'failure' else 'success' end as status,
          '{{"bytes":' || pick(i, 'bytes', 100000) || ',"client":"cli/2.' || pick(i, 'client', 9) || '"}}' as details,
          '{{}}' as metadata,
          's-' || pick(i, 'session', 100000) as session_id,
          '10.' || pick(i, 'net', 32) || '.' || pick(i, 'subnet', 256) || '.' || pick(i, 'host', 256) as ip_address
        from (
          select
            range as i,
            cast(case when pick(range, 'hours', 10) < 7
              then 28800000000 + 36000000000 * part(range, 'time')
              else 86399999999 * part(range, 'time') end as bigint) as us
          from range({low}, {high})
        )"""


def _write_lines(connection: duckdb.DuckDBPyConnection, target: Place, total: int) -> None:
    """The newest days as JSON lines, in the order of time but for a minute of jitter, as collectors hand them on."""
    target.root.mkdir(exist_ok=True)
    connection.execute("create or replace temp table lines as select * from (" + _events(FIRST_DAY, 0, 0) + ")")
    first = FIRST_DAY + timedelta(days=DAYS - LINE_DAYS)
    for day, low, high in _day_ranges(first, LINE_DAYS, total):
        connection.execute(
            f"insert into lines {_events(day, low, high)} order by \"timestamp\" + to_seconds(pick(i, 'late', 60)), i"
        )
    for path, left_out in ((target.lines, "i"), (target.lines_without_ids, "i, event_id")):
        connection.execute(f"""
            copy (
              select * exclude ({left_out}) replace (
                strftime("timestamp", '%Y-%m-%dT%H:%M:%S.%fZ') as "timestamp", details::json as details,
                metadata::json as metadata
              ) from lines
            ) to '{path}' (format json)""")
    connection.execute("drop table lines")


def write_lake(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    total: int,
    *,
    policies: Mapping[str, str] | None = None,
    where: str = "true",
    in_classes: bool = True,
    left_out: Collection[str] = (),
    days: int = DAYS,
    pieces: int = 1,
) -> None:
    """A lake as one ingest of all its events, or of those that a condition chooses, would leave it.

    Args:
        connection: What :func:`open_connection` gave.
        path: Where to make it.
        total: How many events.
        policies: Its policies, if not those that auditlake ships.
        where: Which events.
        in_classes: Whether a day is one file for each retention class.
        left_out: Types that become api_call.
        days: How many days they are spread over.
        pieces: In how many turns each day is written, one file a class in each.
    """
    from auditlake.store.model import Change
    from auditlake.store.turn import writer_turn

    lake = create(path)
    if policies is not None:
        set_policies(lake, policies)
    layout = lake.layout
    with writer_turn(lake._context) as turn:
        classes = lake._context.classes() if in_classes else {}
        parts = [part for each in _day_ranges(FIRST_DAY, days, total) for part in _parted(*each, pieces)]
        files = tuple(
            file for each in parts for file in _write_day(connection, layout, classes, where, left_out, *each)
        )
        metadata = {"kind": "ingest", "batch": _BATCH, "rows": total, "at": AS_OF.isoformat(), "inputs": []}
        turn.commit(Change(files, (), metadata, classes=classes))


def write_large_lake(path: Path, events: int) -> None:
    """A lake of 18 types, 50,000 users and very many files."""
    with open_connection(events, ALL_USERS) as connection:
        write_lake(connection, path, events, left_out=SPARED, pieces=pieces(events / LARGE))


def pieces(scale: float) -> int:
    """In how many turns each day is written, for the lake to have ten thousand files at the full scale."""
    return max(1, round(FILES / DAYS / _CLASSES * scale))


def _parted(day: date, low: int, high: int, pieces: int) -> Iterator[tuple[date, int, int]]:
    bounds = [low + (high - low) * number // pieces for number in range(pieces + 1)]
    return ((day, *each) for each in pairwise(bounds))


def _write_day(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    classes: Mapping[str, str],
    where: str,
    left_out: Collection[str],
    day: date,
    low: int,
    high: int,
) -> list[DataFile]:
    from auditlake.store.dayfile import put_in_place, write_day

    connection.execute(f"""
        create or replace temp table landing as
        select * exclude (i), 'auditlake' as source, $1::timestamptz as ingested_at, $2::bigint as batch, i as seq,
          cast(null as blob) as salt
        from ({_events(day, low, high, left_out)})
        where {where}
        order by "timestamp", seq""", [AS_OF, _BATCH])  # fmt: skip
    pairs = write_day(connection, "select * from landing", {}, day, layout.staging, classes)
    put_in_place(layout, pairs)
    return [file for _, file in pairs]
