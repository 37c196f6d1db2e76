"""The reports of a night: three default policies and ten others, a new day since the last; the rival is SQL by hand.

The lake has 18 event types and 50,000 users, each of any type. A user of a larger lake does more, so the thresholds of
the ten are higher there: they find about as much in each. Ours runs on a copy of it of hard links, after another
process has reported as of the day before, once for all runs. Processor time counts. The rival reads what the policies
need once and finds totals and episodes; ours finds peaks of days, gaps, retention and evidence as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from tests.bench.data import (
    ALL_USERS,
    EVENTS,
    SMALL,
    SPARED,
    Place,
    linked,
    once,
    open_connection,
    write_lake,
    write_large_lake,
)
from tests.bench.work import Work

AS_OF = datetime(2026, 11, 29, 23, 59, 59, 999_999, tzinfo=UTC)
"""The end of a day."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What a policy asks."""

    types: tuple[str, ...]
    least: int = 0
    """The threshold; none if 0."""
    hours: int = 24
    by_user: bool = True
    where: str = ""
    distinct: str = ""
    then: str = ""
    """A sequence: this type after the first of the types."""
    max_gap: str = ""
    days: int = 365
    is_ours: bool = False
    """Whether auditlake ships it."""

    @property
    def text(self) -> str:
        """The policy's file."""
        lines = [
            "name: n",
            "description: d",
            f"required_events: {json.dumps([*self.types, *filter(None, [self.then])])}",
        ]
        lines += [f"retention_period: {self.days}d", "coverage: optional", f"window: {self.hours}h"]
        if self.by_user:
            lines.append("group_by: [user_id]")
        if self.then:
            lines.append(f"sequence: {json.dumps([{'types': [self.types[0]]}, {'types': [self.then]}])}")
        elif self.least:
            lines.append(f"alert_threshold: {self.least}")
        lines += [f"{key}: {json.dumps(value)}" for key, value in
                  (("where", self.where), ("distinct", self.distinct), ("max_gap", self.max_gap)) if value]  # fmt: skip
        return "\n".join(line for line in lines if self.least or self.then or not line.startswith(("window", "group")))


ASKED = {
    "data_access_tracking": Asked(("data_access", "data_deletion", "data_modification"), 5, by_user=False, days=90,
                                  is_ours=True),
    "authentication_monitoring": Asked(("auth_failure", "login", "logout"), 3, by_user=False, days=30, is_ours=True),
    "security_compliance": Asked(("data_breach", "prompt_injection", "security_alert"), 1, by_user=False, is_ours=True),
    "failed": Asked(("auth_failure",), 8),
    "failures_read": Asked(("data_access",), 6, where="status = 'failure'"),
    "store_seven": Asked(("model_access",), 75, by_user=False, where="resource like 'store/7/%' and action <> 'list'"),
    "permissions": Asked(("permission_change", "account_change"), 14, hours=1),
    "deletions": Asked(("data_deletion",), 8, where="action in ('write', 'approve')"),
    "addresses": Asked(("login",), 25, distinct="ip_address"),
    "objects": Asked(("data_export",), 7, distinct="resource"),
    "guessed": Asked(("auth_failure",), 1, hours=1, then="login", where="user_id like '%77'"),
    "checks": Asked(("compliance_check", "human_oversight"), max_gap="26h"),
    "logs": Asked(("audit_log_access", "config_change"), max_gap="36h"),
}  # fmt: skip
"""What is asked of ten million events, or fewer."""


def asked_of(place: Place) -> dict[str, Asked]:
    """Return what is asked of a place."""
    times = max(1.0, place.events / EVENTS)
    return {
        name: each if each.is_ours or each.then else replace(each, least=round(each.least * times))
        for name, each in ASKED.items()
    }


def works() -> dict[str, Work]:
    """Ours with the day before remembered, and the rival."""
    return {"ours": _work(partial(_reports, before=True)), "script, one scan": _work(_script)}


def cold() -> dict[str, Work]:
    """Ours with nothing remembered, and without a memory."""
    return {
        "ours": _work(partial(_reports, before=False)),
        "without memory": _work(partial(_reports, before=False, cache=False)),
    }


def growth() -> dict[str, Work]:
    """Ours with the day before remembered, and the same of a hundredth of the events, which finds something else."""
    sides = {"ours": _remembered, "ours of a hundredth of them": lambda place, folder: _remembered(_few(place), folder)}
    return {name: Work(run, lambda _: None, lambda found: float(found[0])) for name, run in sides.items()}


def _remembered(place: Place, folder: Path) -> tuple[float, Any]:
    return _reports(place, folder, before=True)


def _few(place: Place) -> Place:
    """Return a place with a hundredth of the events; made where it is not there yet."""
    few = Place(place.root / "hundredth", max(SMALL, place.events // 100), is_large=True)
    once(few.root, lambda draft: write_large_lake(draft / "lake", few.events))
    return few


def _work(run: Any) -> Work:
    return Work(run, lambda found: found[1], seconds=lambda found: float(found[0]))


def _reports(place: Place, folder: Path, *, before: bool, cache: bool = True) -> tuple[float, Any]:
    if before:
        linked(once(place.root / "night-before", lambda draft: _night_before(place, draft)), folder / "lake")
    else:
        _with_policies(place, folder / "lake")
    start = process_time()
    found = judged(folder / "lake", AS_OF, cache=cache)
    return process_time() - start, [_numbers(json.loads(each)) for each in found]


def _night_before(place: Place, lake: Path) -> None:
    _with_policies(place, lake)
    arguments = [sys.executable, "-m", "tests.bench.nightly", str(lake), (AS_OF - timedelta(days=1)).isoformat()]
    subprocess.run(arguments, check=True)


def _with_policies(place: Place, lake: Path) -> None:
    linked(_lake_of(place), lake)
    for name in {path.stem for path in (lake / "policies").glob("*.yaml")} - ASKED.keys():
        (lake / "policies" / f"{name}.yaml").unlink()
    for name, each in asked_of(place).items():
        if not each.is_ours:
            (lake / "policies" / f"{name}.yaml").write_text(each.text, encoding="utf-8")


def _lake_of(place: Place) -> Path:
    """Return the lake, that of a large place; made where it is not there yet."""
    if place.is_large:
        return place.lake

    def make(draft: Path) -> None:
        with open_connection(place.events, ALL_USERS) as connection:
            write_lake(connection, draft, place.events, left_out=SPARED)

    return once(place.root / "eighteen-types", make)


def judged(lake: Path, as_of: datetime, *, cache: bool) -> list[bytes]:
    """Return the JSON of the reports."""
    import auditlake

    opened = auditlake.open(lake, clock=lambda: as_of)
    return [each.json() for each in opened.reports(*ASKED, as_of=as_of, pages=False, cache=cache)]


def _numbers(report: Any) -> Any:
    """What our reports say, as far as the script says it too."""
    episodes = [each for each in report["violations"] if "peak" in each]
    found = sorted(
        ((each["group"] or {}).get("user_id", ""), _micros(each["start"]), each["peak"]) for each in episodes
    )
    return report["total_events"], found


def _micros(printed: str) -> int:
    return (datetime.fromisoformat(printed) - _EPOCH) // timedelta(microseconds=1)


def _script(place: Place, _: Path) -> tuple[float, Any]:
    import duckdb

    lake = _lake_of(place)
    start = process_time()
    files, found = [str(path) for path in sorted(lake.glob("events/event_date=*/*.parquet"))], []
    types = sorted({name for each in ASKED.values() for name in (*each.types, each.then) if name})
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"""
            create temp table governed as
            select event_type, user_id, action, resource, status, ip_address, epoch_us("timestamp") as t
            from read_parquet({files}) where event_type in {tuple(types)} and "timestamp" <= $1""",
            [AS_OF],
        )
        for each in asked_of(place).values():
            ((total,),) = connection.execute(_total(each)).fetchall()
            found.append((total, _episodes(connection, each)))
    return process_time() - start, found


def _since(each: Asked) -> int:
    return (AS_OF - timedelta(days=each.days) - _EPOCH) // timedelta(microseconds=1)


def _is_of(each: Asked) -> str:
    return f"event_type in ({', '.join(repr(name) for name in (*each.types, each.then) if name)})"


def _total(each: Asked) -> str:
    return f"select count(*) from governed where {_is_of(each)} and t > {_since(each)}"


def _episodes(connection: Any, each: Asked) -> Sequence[Any]:
    """Episodes by hand: when each interval begins and ends, in one order for each group."""
    if not each.least:
        return []
    since, window = _since(each), each.hours * _HOUR
    until = (AS_OF - _EPOCH) // timedelta(microseconds=1)
    group = "user_id" if each.by_user else "''"
    matching = f"""
        select {group} as g, t, event_type, {each.distinct or "null"} as v from governed
        where {_is_of(each)} and t > {since - window} and {each.where or "true"} and {group} is not null"""
    if each.then:
        spans = f"""
            select g, t as rise, began + {window} as fall from (
              select g, t, event_type, max(case when event_type <> '{each.then}' then t end)
                over (partition by g order by t, event_type = '{each.then}' rows unbounded preceding) as began
              from matching
            ) where event_type = '{each.then}' and began + {window} > t"""
    elif each.distinct:
        spans = f"""
            select g, case when before is null or t - before > {window} then t end as rise,
              case when after is null or after - t > {window} then t + {window} end as fall
            from (select g, t, lag(t) over w as before, lead(t) over w as after from matching
                  where v is not null window w as (partition by g, v order by t))"""
    else:
        spans = f"select g, t as rise, t + {window} as fall from matching"
    # What falls before the period is no rise at its beginning either.
    over = f"union all select g, {since}, -count(*) from spans where fall <= {since} group by g"
    rows = connection.execute(f"""
        with matching as materialized ({matching}),
        spans as materialized ({spans}),
        moments as (
          select g, greatest(rise, {since}) as moment, 1 as change from spans where rise is not null
          union all select g, fall, -1 from spans where fall > {since}
          {over if each.distinct or each.then else ""}
        ),
        counted as (
          select g, moment, sum(sum(change)) over (partition by g order by moment) as n
          from moments group by g, moment
        ),
        turns as (select *, lag(n, 1, 0) over (partition by g order by moment) as before from counted),
        high as (
          select g, moment, n, sum(case when before < {each.least} then 1 else 0 end)
            over (partition by g order by moment rows unbounded preceding) as run
          from turns where n >= {each.least} and moment <= {until}
        )
        select g, min(moment), {"1" if each.then else "max(n)"} from high group by g, run order by all""").fetchall()
    return [(g, start, int(peak)) for g, start, peak in rows]


if __name__ == "__main__":
    judged(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), cache=True)
