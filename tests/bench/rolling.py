"""Rolling counts of half of all events: ours is the compiled policy, the rival is Polars on the same files.

Polars gets one trick that makes it fast by group: user and time packed into one integer, so that one sort, one shift
and one comparison do for both, and what lies in another group is always more than a window away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.data import AS_OF, DAYS, SINCE, Place, share
from tests.bench.work import Work

if TYPE_CHECKING:
    import polars as pl

    from auditlake.policies.compile import Step
    from auditlake.policies.model import Policy
    from auditlake.policies.question import Question

Row = tuple[Any, ...]
TYPES = ("api_call", "data_access", "data_deletion", "data_modification")
WINDOW = timedelta(hours=24)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_GROUP_BIT = 51
"""Microseconds since 1970 stay below 2 ** 51 until 2041, by more than a window; there is room for 4,096 users."""


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


_W, _SINCE, _UNTIL = _micros(_EPOCH + WINDOW), _micros(SINCE), _micros(AS_OF)


@dataclass(frozen=True, slots=True)
class Asked:
    """One of the four rows."""

    by_user: bool
    threshold: int

    @property
    def policy(self) -> Policy:
        """The same as a policy of auditlake."""
        from auditlake.events.durations import Duration
        from auditlake.policies.model import Policy

        return Policy(
            "rolling", "Rolling", "", TYPES, Duration("365d", 365 * _DAY), self.threshold, Duration("24h", _W),
            group_by=("user_id",) if self.by_user else (),
        )  # fmt: skip


def works(*, by_user: bool, everything: bool) -> dict[str, Work]:
    """Ours, and Polars with each of its engines; only the number of breaching events, or everything a report needs."""
    ours = (
        Work(partial(_ours, by_user=by_user), _plainly)
        if everything
        else Work(partial(_our_breaches, by_user=by_user), int)
    )
    polars = _polars if everything else _polars_breaches
    ways = {engine: partial(polars, by_user=by_user, engine=engine) for engine in ("in-memory", "streaming")}
    return {"ours": ours, **{f"Polars, {engine}": Work(way, lambda found: found) for engine, way in ways.items()}}


def _asked(place: Place, *, by_user: bool) -> Asked:
    """Ungrouped, a day's mean, so that about half of the events breach; by user, what only the busy ones reach."""
    return Asked(by_user, 48 if by_user else max(2, round(place.events * share(TYPES) / DAYS)))


# Ours


def _our_breaches(place: Place, _: Path, *, by_user: bool) -> int:
    """The steps up to ``arrivals``, then its rows whose k-th newest is less than a window old."""
    from auditlake.engine.duck import rows

    asked = _asked(place, by_user=by_user)
    with _engine(place) as connection:
        for step in _steps(asked):
            if step.name == "changes":
                break
            rows(connection, step.sql, step.parameters)
        ((count,),) = connection.execute(
            """
            select count(*)
            from (select moment, lag(moment, $k - 1) over () as kth from arrivals)
            where moment - kth < $window_us""",
            {"k": asked.threshold, "window_us": _W},
        ).fetchall()
    return int(count)


def _ours(place: Place, _: Path, *, by_user: bool) -> dict[str, list[Row]]:
    """All steps, with their rows."""
    from auditlake.engine.duck import rows

    with _engine(place) as connection:
        return {
            step.name: rows(connection, step.sql, step.parameters) for step in _steps(_asked(place, by_user=by_user))
        }


def _plainly(found: Mapping[str, list[Row]]) -> tuple[list[Row], list[Row]]:
    """The episodes with instants as microseconds, and the daily peaks."""
    from auditlake.policies.kinds.threshold import group_values

    episodes = [
        (*group_values(key), _micros(start), end and _micros(end), ongoing, before, peak, _micros(peak_at))
        for key, start, end, ongoing, before, peak, peak_at in found["rolling_counts"]
    ]
    return episodes, found["daily_peaks"]


def _engine(place: Place) -> Any:
    from auditlake.engine.duck import connect, view_events

    connection = connect()
    view_events(connection, place.day_files)
    return connection


def _steps(asked: Asked) -> tuple[Step, ...]:
    from auditlake.policies.compile import compile_policy
    from auditlake.policies.question import Question

    question: Question = Question(AS_OF, SINCE, AS_OF)
    return compile_policy(asked.policy, [asked.policy], question)[0].steps


# Polars


def _polars_breaches(place: Place, _: Path, *, by_user: bool, engine: Any) -> int:
    """Scan, filter, sort, shift(k - 1), compare."""
    import polars as pl

    key, asked = pl.col("key"), _asked(place, by_user=by_user)
    breaches = _keys(place, asked).select((key - key.shift(asked.threshold - 1) < _W).sum())
    return int(breaches.collect(engine=engine).item())


def _polars(place: Place, _: Path, *, by_user: bool, engine: Any) -> tuple[list[Row], list[Row]]:
    """Episodes and daily peaks."""
    import polars as pl

    asked = _asked(place, by_user=by_user)
    names = pl.Series([""], dtype=pl.Categorical)  # while one is in use, Polars forgets no category's name
    arrivals = _keys(place, asked).collect(engine=engine).with_row_index("i").with_columns(pl.col("key").set_sorted())
    series = _series(arrivals, asked.threshold, engine)
    episodes, peaks = pl.collect_all(
        [_episodes(series.lazy(), asked), _daily_peaks(series.lazy(), arrivals.lazy())], engine=engine
    )
    del names
    return episodes.rows(), peaks.rows()


def _keys(place: Place, asked: Asked) -> pl.LazyFrame:
    """Every governed event as one integer, ordered: its time, with the user's number above it."""
    import polars as pl

    time, user = pl.col("timestamp"), pl.col("user_id")
    governed = pl.scan_parquet(place.day_files, hive_partitioning=False).filter(
        pl.col("event_type").is_in(TYPES), time > SINCE - WINDOW, time <= AS_OF
    )
    key = time.cast(pl.Int64)
    if asked.by_user:
        governed = governed.filter(user.is_not_null())
        key += user.cast(pl.Categorical).to_physical().cast(pl.Int64) * 2**_GROUP_BIT
    return governed.select(key.alias("key")).sort("key")


def _series(arrivals: pl.DataFrame, threshold: int, engine: Any) -> pl.DataFrame:
    """The count at the start of the period and at every later instant, and until when it is a breach if it is one."""
    import polars as pl

    key = pl.col("key")
    since = key - key % 2**_GROUP_BIT + _SINCE
    instants = (
        arrivals.lazy()
        .select("i", at=pl.max_horizontal(key, since), until=key.shift(threshold - 1) + _W)
        .filter((pl.col("at") != pl.col("at").shift(-1)).fill_null(value=True))
        .with_columns(pl.col("at").set_sorted(), gone_at=(pl.col("at") - _W).set_sorted())
    )
    gone = arrivals.lazy().select(key, gone="i")
    return (
        instants.join_asof(gone, left_on="gone_at", right_on="key")
        .select("at", "until", events=pl.col("i").cast(pl.Int64) - pl.col("gone").cast(pl.Int64).fill_null(-1))
        .collect(engine=engine)
    )


def _episodes(series: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    """The maximal stretches of breaches: one begins where the last one had ended, or where another user begins."""
    import polars as pl

    at, until, events, start, end = map(pl.col, ("at", "until", "events", "start", "end"))
    group = at - at % 2**_GROUP_BIT
    found = (
        series.filter(events >= asked.threshold)
        .with_columns(episode=(until.shift(1) < at).fill_null(value=True).cum_sum().set_sorted())
        .group_by("episode", maintain_order=True)
        .agg(group.first().alias("group"), at.first().alias("start"), until.last().alias("end"),
             events.max().alias("peak"), at.get(events.arg_max()).alias("peak_at"))
        .with_columns(pl.col("start", "end", "peak_at") - pl.col("group"))
        .select(
            (pl.col("group") // 2**_GROUP_BIT).cast(pl.UInt32).cat.to(pl.Categorical).cast(pl.String).alias("user")
            if asked.by_user
            else pl.lit("").alias("user"),
            "start", pl.when(end <= _UNTIL).then(end).alias("end"), (end > _UNTIL).alias("ongoing"),
            (start <= _SINCE).alias("before"), "peak", "peak_at",
        )
    )  # fmt: skip
    ordered = found.sort("start", "user")
    return ordered if asked.by_user else ordered.drop("user")


def _daily_peaks(series: pl.LazyFrame, arrivals: pl.LazyFrame) -> pl.LazyFrame:
    """The largest count of each day, at its arrivals and at its midnight.

    A window is a day, so an arrival counts at exactly one midnight: the first at or after it.
    """
    import polars as pl

    day, peak, time = pl.col("day"), pl.col("peak"), pl.col("key") % 2**_GROUP_BIT
    at_arrivals = series.group_by(pl.max_horizontal(pl.col("at") % 2**_GROUP_BIT, _SINCE + 1) // _DAY).agg(
        pl.col("events").max().alias("peak")
    )
    runs = arrivals.select((pl.col("key") - time + (time + _DAY - 1) // _DAY).rle().alias("run")).unnest("run")
    at_midnights = (
        runs.group_by(pl.col("value") % 2**_GROUP_BIT)
        .agg(pl.col("len").max().alias("peak"))
        .filter(pl.col("value") * _DAY > _SINCE, pl.col("value") * _DAY <= _UNTIL)
    )
    days = pl.LazyFrame({"day": range((_SINCE + 1) // _DAY, _UNTIL // _DAY + 1)})
    both = pl.concat(
        [days.select(day, peak=pl.lit(0, pl.Int64)), *(
            found.select(pl.nth(0).cast(pl.Int64).alias("day"), peak.cast(pl.Int64))
            for found in (at_arrivals, at_midnights)
        )]
    )  # fmt: skip
    return both.group_by("day").agg(peak.max()).sort("day")
