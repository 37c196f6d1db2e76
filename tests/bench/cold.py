"""Cold reports of three policies over a year: with and without summaries; the rivals are SQL and Polars, by hand.

Ours runs on a copy of the lake of :mod:`tests.bench.nightly` of hard links, with nothing remembered. Processor time
counts. The rivals read what the policies need once and find totals and episodes; ours finds peaks of days, gaps,
retention and current counts as well. The SQL by arrivals, which is one text for three engines, counts on it that no
event is before the period. DataFusion and ClickHouse come by the extra ``bench``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from tests.bench import nightly
from tests.bench.data import ALL_USERS, EVENTS, USERS, Place, linked, once
from tests.bench.nightly import AS_OF, Asked
from tests.bench.work import Work

if TYPE_CHECKING:
    import polars as pl

_TYPES = (
    ("data_access", "data_deletion", "data_modification"), ("auth_failure", "login", "logout"),
    ("api_call", "data_export", "model_access"),
)  # fmt: skip
_LEAST = {False: (10_500, 6_800, 12_500), True: (60, 40, 90)}
"""Thresholds of ten million events: some way above what is usual, without groups and by user."""


Ask = Callable[[str], Sequence[tuple[Any, ...]]]
"""Asks an engine in SQL."""


def _asked(place: Place, *, by_user: bool) -> list[Asked]:
    scale = place.events / EVENTS
    if by_user:  # as many of each user as there are events, unless the place is large
        scale = scale * USERS / ALL_USERS if place.is_large else 1
    return [
        Asked(types, max(1, round(least * scale)), by_user=by_user)
        for types, least in zip(_TYPES, _LEAST[by_user], strict=True)
    ]


def works(*, by_user: bool, summarised: bool) -> dict[str, Work]:
    """Ours, with summaries of the data files there or not, and its rivals."""
    engines = {"DuckDB": _duckdb, "DataFusion": _datafusion, "ClickHouse": _clickhouse}
    ways = {
        "ours": partial(_reports, by_user=by_user, summarised=summarised),
        "Polars": partial(_polars, by_user=by_user),  # first, as the fastest so far: others are stopped beside it
        **{f"{name}, by arrivals": partial(_by_arrivals, each, by_user=by_user) for name, each in engines.items()},
        "DuckDB, rises and falls": partial(_script, by_user=by_user),
    }
    return {name: Work(run, _shown, seconds=lambda found: float(found[0])) for name, run in ways.items()}


def _shown(found: tuple[float, Any]) -> Any:
    """Return the totals and episodes, of which a report shows the earliest: a large place has more by user."""
    from auditlake.config import MAX_FINDINGS

    return [
        (total, sorted(sorted(map(tuple, episodes), key=lambda each: (each[1], each[0]))[:MAX_FINDINGS]))
        for total, episodes in found[1]
    ]


def _reports(place: Place, folder: Path, *, by_user: bool, summarised: bool) -> tuple[float, Any]:
    lake = folder / "lake"
    if summarised:
        linked(_summarised(place, by_user=by_user), lake)
    else:
        _with_policies(place, lake, by_user=by_user)
    start = process_time()
    found = [json.loads(each) for each in judged(lake)]
    return process_time() - start, [nightly._numbers(each) for each in found]


def _summarised(place: Place, *, by_user: bool) -> Path:
    """Return the lake with summaries and nothing remembered, which another process makes where it is not there yet."""

    def make(draft: Path) -> None:
        _with_policies(place, draft, by_user=by_user)
        subprocess.run([sys.executable, "-m", "tests.bench.cold", str(draft)], check=True)
        shutil.rmtree(draft / ".remembered", ignore_errors=True)

    return once(place.root / f"summarised{'-by-user' if by_user else ''}", make)


def _with_policies(place: Place, lake: Path, *, by_user: bool) -> None:
    linked(nightly._lake_of(place), lake)
    for path in (lake / "policies").glob("*.yaml"):
        path.unlink()
    for number, each in enumerate(_asked(place, by_user=by_user)):
        (lake / "policies" / f"p{number}.yaml").write_text(each.text, encoding="utf-8")


def judged(lake: Path) -> list[bytes]:
    """Return the JSON of the reports."""
    import auditlake

    return [each.json() for each in auditlake.open(lake, clock=lambda: AS_OF).reports(as_of=AS_OF, pages=False)]


def _script(place: Place, _: Path, *, by_user: bool) -> tuple[float, Any]:
    import duckdb

    start = process_time()
    files, found = _files(place), []
    types = sorted({name for own in _TYPES for name in own})
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"""
            create temp table governed as
            select event_type, {"user_id" if by_user else "null as user_id"}, epoch_us("timestamp") as t
            from read_parquet({files}) where event_type in {tuple(types)} and "timestamp" <= $1""",
            [AS_OF],
        )
        for each in _asked(place, by_user=by_user):
            ((total,),) = connection.execute(nightly._total(each)).fetchall()
            found.append((total, nightly._episodes(connection, each)))
    return process_time() - start, found


def _by_arrivals(
    engine: Callable[[Path, str, str], AbstractContextManager[Ask]], place: Place, _: Path, *, by_user: bool
) -> tuple[float, Any]:
    """Ask each engine the same: of each event the one before it that would make the threshold, and its count."""
    start = process_time()
    types = sorted({name for own in _TYPES for name in own})
    until = (AS_OF - nightly._EPOCH) // timedelta(microseconds=1)
    columns = "event_type, user_id" if by_user else "event_type"
    where = f"event_type in {tuple(types)} and {{t}} <= {until}"
    found = []
    with engine(nightly._lake_of(place) / "events", columns, where) as ask:
        for each in _asked(place, by_user=by_user):
            ((total,),) = ask(nightly._total(each))
            found.append((total, sorted(map(_plainly, ask(_arrivals(each, has_ranges=engine is not _clickhouse))))))
    return process_time() - start, found


def _plainly(row: tuple[Any, ...]) -> tuple[str, int, int]:
    user, start, peak = row
    return str(user), int(start), int(peak)


def _arrivals(each: Asked, *, has_ranges: bool) -> str:
    """Return the SQL of episodes: an event begins one where the last one had ended by then.

    Args:
        each: The policy.
        has_ranges: Whether the engine counts over a range as long as a day; else the last event that is over is joined.
    """
    window = each.hours * 3_600_000_000
    group, part, is_one = ("user_id", "partition by g ", "user_id is not null") if each.by_user else ("''", "", "true")
    number = (
        f"count(*) over ({part}order by t range between {window - 1} preceding and current row)"
        if has_ranges
        else f"cast(row_number() over ({part}order by t) as bigint)"
    )
    counted = f"""
        select
          g, t, {number} as n,
          lag(t, {each.least - 1}, {-window}) over ({part}order by t) + {window} as until
        from (select {group} as g, t from governed where {nightly._is_of(each)} and {is_one}) as own"""
    over = f"""
          select here.g as g, here.t as t, here.until as until, here.n - past.n as n
          from (select * from counted where until > t) as here
          asof left join (select g, t + {window} as t, max(n) as n from counted group by g, t) as past
            on here.g = past.g and here.t >= past.t"""
    return f"""
        with counted as ({counted}),
        high as ({"select * from counted where until > t" if has_ranges else over}),
        followed as (select *, lag(until, 1, 0) over ({part}order by t, until) as before from high),
        parted as (
          select *, sum(case when t > before then 1 else 0 end) over ({part}order by t, until) as run from followed
        )
        select g, min(t), max(n) from parted group by g, run"""


@contextmanager
def _duckdb(events: Path, columns: str, where: str) -> Iterator[Ask]:
    import duckdb

    t = 'epoch_us("timestamp")'
    with duckdb.connect() as connection:
        connection.execute(
            f"create temp table governed as select {columns}, {t} as t "
            f"from read_parquet('{events}/event_date=*/*.parquet') where {where.format(t=t)}"
        )
        yield lambda sql: connection.execute(sql).fetchall()


@contextmanager
def _datafusion(events: Path, columns: str, where: str) -> Iterator[Ask]:
    import datafusion

    t = 'cast("timestamp" as bigint)'
    context = datafusion.SessionContext()
    context.register_parquet("events", str(events))  # a checkpoint of the log has no event types, so none is an event
    select = f"select {columns}, {t} as t from events where {where.format(t=t)}"
    context.sql(f"create table governed as {select}").collect()
    yield lambda sql: _tuples(context.sql(sql).to_arrow_table())


@contextmanager
def _clickhouse(events: Path, columns: str, where: str) -> Iterator[Ask]:
    from chdb.session import Session
    from pyarrow.ipc import open_stream

    t = 'assumeNotNull(toUnixTimestamp64Micro("timestamp"))'
    with Session() as session:
        session.query(
            f"create table governed engine = Memory as select {columns}, {t} as t from "
            f"file('{events}/event_date=*/*.parquet', Parquet) where {where.format(t=t)} "
            "settings use_hive_partitioning = 0"
        )

        def ask(sql: str) -> list[tuple[Any, ...]]:
            data = session.query(sql, "ArrowStream").bytes()
            return _tuples(open_stream(data).read_all()) if data else []

        yield ask


def _tuples(table: Any) -> list[tuple[Any, ...]]:
    return [*zip(*(column.to_pylist() for column in table.columns), strict=True)]


def _files(place: Place) -> list[str]:
    return [str(path) for path in sorted(nightly._lake_of(place).glob("events/event_date=*/*.parquet"))]


def _polars(place: Place, _: Path, *, by_user: bool) -> tuple[float, Any]:
    import polars as pl

    start = process_time()
    types = sorted({name for own in _TYPES for name in own})
    t, user = pl.col("timestamp"), pl.col("user_id") if by_user else pl.lit("")
    names = pl.Series([""], dtype=pl.Categorical)  # while one is in use, Polars forgets no category's name
    governed = (
        pl.scan_parquet(_files(place), hive_partitioning=False)
        .filter(pl.col("event_type").is_in(types), t <= AS_OF)
        .select("event_type", t.cast(pl.Int64).alias("t"), user.cast(pl.Categorical).alias("user_id"))
        .collect(engine="streaming")
        .lazy()
    )
    found = [_found(governed, each) for each in _asked(place, by_user=by_user)]
    del names
    return process_time() - start, found


def _found(governed: pl.LazyFrame, each: Asked) -> tuple[int, Sequence[Any]]:
    """A total, and episodes: user and time are one integer, whose k-th newest is less than a window old. A time has 46
    bits in it, two years, so there is room for 131,072 users.
    """
    import polars as pl

    t, key, at, until = pl.col("t"), pl.col("key"), pl.col("at"), pl.col("until")
    since, window = nightly._since(each), each.hours * 3_600_000_000
    own = governed.filter(pl.col("event_type").is_in(each.types))
    total = own.filter(t > since).select(pl.len()).collect().item()
    number = pl.col("user_id").to_physical().cast(pl.Int64) * 2**46 - (since - window)
    arrivals = (
        own.filter(t > since - window, pl.col("user_id").is_not_null())
        .select("user_id", key=number + t, at=number + pl.max_horizontal(t, since))
        .sort("key")
        .with_columns(until=key.shift(each.least - 1) + window)
        .with_row_index("i")
        .collect()
    )
    high = arrivals.filter((at != at.shift(-1)).fill_null(value=True), until > at)
    before = arrivals["key"].search_sorted(high["at"] - window, side="right")
    episodes = (
        high.with_columns(n=pl.col("i").cast(pl.Int64) + 1 - before.cast(pl.Int64))
        .with_columns(run=(at > until.shift(1)).fill_null(value=True).cast(pl.Int64).cum_sum())
        .group_by("run")
        .agg(pl.col("user_id").first().cast(pl.String), at.min() % 2**46 + since - window, pl.col("n").max())
        .select("user_id", "at", "n").sort("user_id", "at", "n")
    )  # fmt: skip
    return total, [(user, start, int(peak)) for user, start, peak in episodes.rows()]


if __name__ == "__main__":
    judged(Path(sys.argv[1]))
