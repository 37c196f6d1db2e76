"""JSON lines become sorted zstd Parquet files, one a day: ours is ``auditlake.ingest``, the rivals are bare scripts.

These DuckDB scripts neither check, identify, de-duplicate, hash nor sync anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.data import Place
from tests.bench.work import Work
from tests.lakes import create

if TYPE_CHECKING:
    import duckdb

_FIELDS = (
    "event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "details", "metadata",
    "session_id", "ip_address",
)  # fmt: skip


def works(*, ids: bool) -> dict[str, Work]:
    """Ours, four ways to write the rival, and the shortest way there is."""
    fields = _FIELDS if ids else _FIELDS[1:]
    ways = {
        "ours": partial(_ours, ids=ids),
        "temp table, COPY ORDER BY": partial(_day_by_day, ids=ids, ordered=False, cursors=1),
        "temp table, COPY ORDER BY, two cursors": partial(_day_by_day, ids=ids, ordered=False, cursors=2),
        "sorted table, COPY": partial(_day_by_day, ids=ids, ordered=True, cursors=1),
        "sorted table, COPY, two cursors": partial(_day_by_day, ids=ids, ordered=True, cursors=2),
    }
    # PARTITION_BY with threads leaves files unsorted: not the same work, so it is no rival.
    found = {name: Work(way, partial(content_of, fields=fields, ordered=True)) for name, way in ways.items()}
    return {**found, "plain": Work(partial(_plain, ids=ids), partial(content_of, fields=fields, ordered=False))}


def _ours(place: Place, scratch: Path, *, ids: bool) -> Path:

    lake = create(scratch / "lake")
    lake.ingest(_lines(place, ids=ids))
    return lake.layout.events


def _day_by_day(place: Place, scratch: Path, *, ids: bool, ordered: bool, cursors: int) -> Path:
    """Read into a table, in order or not; then one COPY a day, in order, on one connection or on several cursors."""
    connection = _connect()
    order = 'order by "timestamp"' if ordered else ""
    connection.execute(f"create table lines as select * from {_reading(place, ids=ids)} {order}")
    days = connection.sql('select distinct cast("timestamp" as date) as day from lines order by day').fetchall()

    def write(some: Iterable[tuple[date]]) -> None:
        with connection.cursor() as cursor:
            for (day,) in some:
                folder = scratch / f"event_date={day}"
                folder.mkdir()
                cursor.execute(f"""
                    copy (
                      select * from lines
                      where "timestamp" >= timestamptz '{day} 00:00:00+00'
                        and "timestamp" < timestamptz '{day} 00:00:00+00' + interval 1 day
                      {"" if ordered else 'order by "timestamp"'}
                    ) to '{folder / "part.parquet"}' (format parquet, compression zstd)""")

    with ThreadPoolExecutor(cursors) as pool:
        list(pool.map(write, [days[i::cursors] for i in range(cursors)]))
    connection.close()
    return scratch


def _plain(place: Place, scratch: Path, *, ids: bool) -> Path:
    """The shortest way: one COPY with PARTITION_BY."""
    with _connect() as connection:
        connection.execute(f"""
            copy (select *, cast("timestamp" as date) as event_date from {_reading(place, ids=ids)})
            to '{scratch / "events"}' (format parquet, compression zstd, partition_by (event_date))""")
    return scratch / "events"


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    return connection


def _lines(place: Place, *, ids: bool) -> Path:
    return place.lines if ids else place.lines_without_ids


def _reading(place: Place, *, ids: bool) -> str:
    fields = _FIELDS if ids else _FIELDS[1:]
    columns = {name: "TIMESTAMPTZ" if name == "timestamp" else "VARCHAR" for name in fields}
    return f"read_json('{_lines(place, ids=ids)}', format = 'newline_delimited', columns = {columns})"


def content_of(folder: Path, *, fields: tuple[str, ...] = _FIELDS, ordered: bool = True) -> Any:
    """How many events of which days, and a hash over all of them; each file must be in order."""
    columns = ", ".join(f'"{name}"' for name in fields)
    with _connect() as connection:
        content = connection.sql(f"""
            select event_date, count(*), sum(hash({columns}))
            from read_parquet('{folder}/**/*.parquet', hive_partitioning = true, hive_types = {{'event_date': date}})
            group by event_date order by event_date""").fetchall()
        for file in folder.glob("**/*.parquet") if ordered else ():
            assert connection.sql(f"""
                select coalesce(count_if(before > "timestamp"), 0)
                from (select "timestamp", lag("timestamp") over () as before from read_parquet('{file}'))
                """).fetchall() == [(0,)], f"{file} is not in order"
    return content
