"""A report of very many episodes, one for nearly each event, with the file of all of them; the rival is SQL by hand.

The rival writes group, start, end and peak of the same episodes as Parquet. Ours also gives each an id and a message,
and a digest over all, and finds totals, peaks of days, missing types and retention.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.bench.data import AS_OF, FIRST_DAY, TYPES, Place
from tests.bench.work import Work

_POLICY = f"""
name: Every second of a user
description: Each stretch of time in which a user does something every second
required_events: {json.dumps(TYPES)}
retention_period: 400d
coverage: optional
window: 1s
group_by: [user_id]
alert_threshold: 1
"""


def works() -> dict[str, Work]:
    """Ours, and the rival."""
    return {
        "ours": Work(_ours, _numbers, lambda found: float(found[0])),
        "duckdb": Work(_by_hand, _numbers, lambda found: float(found[0])),
    }


def _ours(place: Place, scratch: Path) -> tuple[float, Path]:
    import auditlake

    (scratch / "policies").mkdir()
    (scratch / "policies" / "seconds.yaml").write_text(_POLICY, encoding="utf-8")
    lake = auditlake.open(place.lake, clock=lambda: AS_OF)
    began = time.process_time()
    (report,) = lake.reports("seconds", policies=scratch / "policies", as_of=AS_OF, pages=False)
    written = report.write(scratch, ["json"])
    seconds = time.process_time() - began
    return seconds, written[-1]  # where there are few, their JSON


def _by_hand(place: Place, scratch: Path) -> tuple[float, Path]:
    import duckdb

    target = scratch / "episodes.parquet"
    began = time.process_time()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"""
            copy (
              with counted as (
                select
                  user_id,
                  "timestamp" as t,
                  lag("timestamp") over (partition by user_id order by "timestamp") as before,
                  count(*) over (
                    partition by user_id order by "timestamp"
                    range between interval 999999 microseconds preceding and current row
                  ) as events
                from read_parquet({[str(each) for each in place.day_files]})
                where user_id is not null and "timestamp" <= $1 and event_type in ({str(list(TYPES))[1:-1]})
              ),
              parted as (
                select
                  *,
                  sum(case when before is null or t > before + interval 1 second then 1 else 0 end)
                    over (partition by user_id order by t) as episode  -- with all of one instant
                from counted
              )
              select user_id as "group", min(t) as "start", max(t) + interval 1 second as "end", max(events) as peak
              from parted
              group by user_id, episode
              order by "start", user_id
            ) to '{target}' (format parquet, compression zstd)""", [AS_OF])  # fmt: skip
    return time.process_time() - began, target


def _numbers(found: tuple[float, Path]) -> Any:
    """How many episodes there are, with sums over their starts and peaks."""
    import duckdb

    with duckdb.connect() as connection:
        return connection.execute(f"""
            select count(*), sum(epoch_us("start") - epoch_us(date '{FIRST_DAY}')), cast(sum(peak) as bigint)
            from read_parquet('{found[1]}') where peak is not null""").fetchone()
