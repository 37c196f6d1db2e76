"""Each kind of question over a year of events, against a statement by hand that finds less.

Timed are its statements from the events to the episodes of the period. Beside them stands the whole evaluation: what is
behind the episodes, the peaks of the days, what is left out, the questions that every policy asks, and the findings.

The rival is what one would write by hand: a window function, or a join of the events with themselves. It gives only who
reached the threshold, and how far, and judges only where events arrive; an average, which rises where others leave, it
judges there as well. Times are of the processor, of all threads together.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.data import Place, once
from tests.bench.work import Work

if TYPE_CHECKING:
    from auditlake.engine.duck_engine import DuckEngine
    from auditlake.reports.model import Report

ASKED_OF = 1_000_000
"""How many events, at the full scale."""
USERS, ADDRESSES = 5_000, 20_000
_FIRST, _DAYS = datetime(2025, 12, 1, tzinfo=UTC), 365
_TYPES = ("auth_failure", "login", "data_access")
_US = 1_000_000
_HOUR = 3_600 * _US
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how one would ask it by hand."""

    policy: Mapping[str, Any]
    naive: str
    """Gives (group, largest measure) of each group that reached the threshold, of the table ``e``."""
    is_counted: bool = True
    """Whether the largest measure is compared, or only which groups there are."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What a side found, and the seconds of the processor that it took."""

    seconds: float
    whole: float
    """Of ours, the whole evaluation."""
    found: Any


def _rolling(measure: str, least: float, *, by: str = "user_id", window: int = _DAY, of: str = "e") -> str:
    partition = f"partition by {by} " if by else ""
    return f"""select {by or "''"} as g, max(m) as peak from (
        select *, {measure} over ({partition}order by t range between {window - 1} preceding and current row) as m
        from {of}
    ) where m >= {least} group by g"""


_NUMBER = "try_cast(metadata ->> '$.n' as decimal(38, 6))"
_LEFT = f"""(select user_id, t, {_NUMBER} as n from e union all
    select user_id, t + {_DAY}, null from e where t <= epoch_us(timestamptz '{_FIRST + timedelta(days=_DAYS - 1)}'))"""
_STEPS = " + ".join(f"max(cast(event_type = '{name}' as integer)) over w" for name in _TYPES)
_TOGETHER = f"""select user_id as g, max(m) as peak from (
        select *, {_STEPS} as m from e
        window w as (partition by user_id order by t range between {_HOUR - 1} preceding and current row)
    ) where m >= 3 group by g"""
_NEW = f"""(select user_id, t from (
    select user_id, t, lag(t) over (partition by user_id, ip_address order by t) as before from e
) as n where (before is null or t - before >= {30 * _DAY}) and exists (
    select 1 from e where e.user_id = n.user_id and e.t > n.t - {30 * _DAY} and e.t <= n.t - {7 * _DAY}
))"""


def _baseline(by: str, ratio: float) -> Asked:
    """Return the baseline of each hour of the week in eight weeks, from four events on."""
    asked = {"bucket": "1h", "season": "7d", "seasons": 8, "at_least": 4, "ratio": ratio}
    naive = f"""with hours as materialized (select {by} as g, t // {_HOUR} as h, count(*) as x from e group by all),
        past as (
            select now.g, now.h, now.x,
                min(earlier.h) filter (earlier.h >= now.h - 9 * 168 and earlier.h < now.h) as first_h
            from hours as now join hours as earlier using (g) where now.x >= 4 group by all
        ),
        compared as (
            select past.g, past.h, past.x, list_sort(list(coalesce(hours.x, 0))) as numbers
            from past cross join range(1, 9) as seasons(j)
            left join hours on hours.g = past.g and hours.h = past.h - 168 * j
            where past.h - 168 * j >= past.first_h group by all
        )
        select g, max(x) as peak from compared
        where len(numbers) >= 4 and x > {ratio} * numbers[(len(numbers) + 1) // 2] group by g"""
    return Asked({"baseline": asked, "alert_threshold": 4, "group_by": [by]}, naive)


_FAILURES = {"where": "event_type = 'auth_failure'", "count": 3}
_LOGIN = {"where": "event_type = 'login'"}

ASKED: Mapping[str, Asked] = {
    "distinct": Asked(
        {"distinct": "ip_address", "alert_threshold": 8, "window": "24h", "group_by": ["user_id"]},
        _rolling("count(distinct ip_address)", 8),
    ),
    "distinct-of-all": Asked(
        {"distinct": "ip_address", "alert_threshold": 2600, "window": "24h"},
        _rolling("count(distinct ip_address)", 2600, by=""),
    ),
    "sum": Asked(
        {"sum": "metadata ->> '$.n'", "alert_threshold": 600, "window": "24h", "group_by": ["user_id"]},
        _rolling(f"sum({_NUMBER})", 600),
    ),
    "average": Asked(
        {"average": "metadata ->> '$.n'", "alert_threshold": 98, "window": "24h", "group_by": ["user_id"]},
        _rolling("avg(n)", 98, of=_LEFT),
        is_counted=False,
    ),
    "together": Asked(
        {"together": [{"types": [name]} for name in _TYPES], "window": "1h", "group_by": ["user_id"]}, _TOGETHER
    ),
    "first-seen": Asked(
        {"first_seen": {"value": ["ip_address"], "entity": ["user_id"], "memory": "30d", "learn": "7d"},
         "alert_threshold": 8, "window": "24h"},
        _rolling("count(*)", 8, of=_NEW),
    ),
    "dormant": Asked(
        {"dormant": {"entity": ["user_id"], "silence": "30d"}, "window": "24h"},
        f"""select user_id as g, 1 as peak from (
            select user_id, t - lag(t) over (partition by user_id order by t) as silence from e
        ) where silence >= {30 * _DAY} group by g""",
        is_counted=False,
    ),
    "sequence": Asked(
        {"sequence": [_FAILURES, _LOGIN], "window": "6h", "group_by": ["user_id"]},
        f"""select user_id as g, 1 as peak from (
            select login.user_id, login.event_id from e as login join e as failure
                on failure.user_id = login.user_id and failure.t <= login.t and failure.t > login.t - {6 * _HOUR}
            where login.event_type = 'login' and failure.event_type = 'auth_failure'
            group by all having count(*) >= 3
        ) group by g""",
        is_counted=False,
    ),
    "sequence-of-three": Asked(
        {"sequence": [{"types": [name]} for name in _TYPES], "window": "6h", "group_by": ["user_id"]},
        f"""select user_id as g, 1 as peak from (
            select *, max(failed_t) filter (event_type = 'login') over so_far as began from (
                select *, max(t) filter (event_type = 'auth_failure') over so_far as failed_t from e
                window so_far as (partition by user_id order by t)
            ) window so_far as (partition by user_id order by t)
        ) where event_type = 'data_access' and t - began < {6 * _HOUR} group by g""",
        is_counted=False,
    ),
    "baseline": _baseline("user_id", 3),
    "baseline-by-type": _baseline("event_type", 1.5),
}  # fmt: skip
"""What is asked, by the name of its row."""


def works(name: str, *, days: int = _DAYS) -> dict[str, Work]:
    """Ours over the last days of the year, and the statement by hand, which is about all of it."""
    asked = ASKED[name]
    sides = {"ours": partial(_ours, asked, days)} | ({"by hand": partial(_naive, asked)} if days == _DAYS else {})
    return {
        side: Work(run, lambda each: each.found, lambda each: each.seconds, lambda each: each.whole)
        for side, run in sides.items()
    }


@contextmanager
def _events(place: Place) -> Iterator[DuckEngine]:
    """Give an engine over a year of events; users are skewed, so that some have many."""
    from auditlake.engine.duck import connect
    from auditlake.engine.duck_engine import DuckEngine
    from auditlake.policies.condition import COLUMNS

    number = ASKED_OF * place.events // 10_000_000 or 1_000
    made = {
        "event_id": "'e' || i", "source": "'auditlake'", "user_id": f"'u' || floor({USERS} * power({_random(2)}, 2))",
        "event_type": f"case when {_random(1)} < 0.3 then 'auth_failure' when {_random(1)} < 0.6 then 'login' "
                      "else 'data_access' end",
        "ip_address": f"'10.' || (hash(i, 3) % {ADDRESSES}) // 256 || '.' || (hash(i, 3) % {ADDRESSES}) % 256 || '.1'",
        "metadata": "json_object('n', hash(i, 4) % 100)",
        '"timestamp"': f"timestamptz '{_FIRST}' + to_microseconds(cast(i * {_DAYS * _DAY / number} as bigint))",
    }  # fmt: skip
    other = [f"cast(null as {kind}) as {name}" for name, kind in COLUMNS.items() if name not in made
             and name != "timestamp"]  # fmt: skip
    columns = ", ".join([*(f"{sql} as {name}" for name, sql in made.items()), *other])

    def make(draft: Path) -> None:
        with connect() as connection:
            connection.execute(
                f"copy (select {columns} from range({number}) as numbers(i)) to '{draft}' (format parquet)"
            )

    file = once(place.root / "kinds.parquet", make)
    with connect() as connection:
        connection.execute(f"create temp view events as select * from '{file}'")
        engine = DuckEngine(connection)
        engine.rows("select now()")  # what reads rows is imported, which is no part of any statement
        yield engine


def _random(seed: int) -> str:
    return f"(hash(i, {seed}) % 1000003 / 1000003.0)"


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = run()
    return time.process_time() - start, found


def _ours(asked: Asked, days: int, place: Place, scratch: Path) -> Timed:
    from auditlake.policies.compile import compile_policy, moments_of
    from auditlake.policies.evaluate import evaluate, run_step
    from auditlake.policies.loader import load_policy
    from auditlake.policies.question import Question
    from auditlake.reports.build import build_report

    head = {"name": "n", "description": "d", "required_events": list(_TYPES), "coverage": "optional"}
    text = json.dumps(head | dict(asked.policy))
    policy = load_policy(text, file="p.yaml", policy_id="p", event_types=frozenset(_TYPES))
    until = _FIRST + timedelta(days=_DAYS)
    question = Question(until, until - timedelta(days=days, hours=days // _DAYS), until)  # all: also the first event

    def whole(engine: DuckEngine) -> Report:
        (answers,) = evaluate(engine, [(policy, question)], [policy])
        return build_report(answers)

    (query,) = compile_policy(policy, [policy], question, only="rolling_counts")
    last = next(number for number, step in enumerate(query.steps, 1) if step.name == "rolling_counts")
    steps = [moments_of([policy]), *(step for step in query.steps[:last] if step.name != "current_counts")]

    def statements(engine: DuckEngine) -> int:
        return [len(run_step(engine, step)) for step in steps][-1]

    with _events(place) as engine:
        seconds, episodes = _timed(lambda: statements(engine))
        long, report = _timed(lambda: whole(engine))
    assert episodes == len(report.violations), "the statements give other episodes than the evaluation"
    peaks: dict[str, Any] = {}
    for each in report.violations:
        group = "".join(value or "" for value in (each.group or {}).values())
        peaks[group] = max(peaks.get(group, 0), each.peak or 0) if asked.is_counted else 1
    return Timed(seconds, long, sorted(peaks.items()))


def _naive(asked: Asked, place: Place, scratch: Path) -> Timed:
    with _events(place) as engine:
        view = 'create temp view e as select *, epoch_us("timestamp") as t from events where user_id is not null'
        engine.connection.execute(view)
        seconds, rows = _timed(lambda: engine.rows(asked.naive))
    found = sorted((str(group), int(peak) if asked.is_counted else 1) for group, peak in rows)
    return Timed(seconds, seconds, found)
