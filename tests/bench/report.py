"""The JSON reports of LLMGuardian's three default policies; the rival is the script in ``report.sql``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.data import AS_OF, Place
from tests.bench.work import Work

POLICIES = ("data_access_tracking", "authentication_monitoring", "security_compliance")
"""In the order in which the script numbers them, from 1."""
_TYPES = (
    "data_access", "data_deletion", "data_modification", "auth_failure", "login", "logout", "data_breach",
    "prompt_injection", "security_alert",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Rows = list[tuple[Any, ...]]


def works() -> dict[str, Work]:
    """Ours, and the script with one scan into a table or with a scan for each of its two questions."""
    return {
        "ours": Work(_ours, numbers_of),
        "script, one scan": Work(partial(_script, kind="table"), _script_numbers),
        "script, a scan a question": Work(partial(_script, kind="view"), _script_numbers),
    }


def _ours(place: Place, _: Path) -> list[bytes]:
    import auditlake

    lake = auditlake.open(place.lake, clock=lambda: AS_OF)
    return [report.json() for report in lake.reports(*POLICIES, as_of=AS_OF, pages=False)]


def _script(place: Place, _: Path, *, kind: str) -> dict[str, Rows]:
    """Run the script; the rows of each statement that has a name above it."""
    import duckdb

    files = [str(path) for path in place.day_files]
    found = {}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set variable as_of = $1::timestamptz", [AS_OF])
        connection.execute(f"""
            create temp view events as
            select * from read_parquet({files}, hive_partitioning = true, hive_types = {{'event_date': date}})""")
        connection.execute(f"create temp view first_day as select * from read_parquet('{files[0]}')")
        connection.execute(f"""
            create temp {kind} governed as
            select event_type, event_date, "timestamp" from events where event_type in {_TYPES}""")
        for part in Path(__file__).with_name("report.sql").read_text(encoding="utf-8").split(";\n"):
            if part.strip():
                result = connection.execute(part).fetchall()
                if name := re.search(r"^-- (\w+): ", part, re.MULTILINE):
                    found[name[1]] = result
    return found


def numbers_of(reports: Sequence[bytes]) -> list[dict[str, Any]]:
    """What our reports say, as far as the script says it too."""
    return [_numbers_of_one(json.loads(report)) for report in reports]


def _numbers_of_one(report: Mapping[str, Any]) -> dict[str, Any]:
    episodes = [each for each in report["violations"] if each["kind"] == "threshold_exceeded"]
    threshold, retention = report["threshold"], report["retention"]
    assert retention["kept_by_other_policies"] == retention["held"] == 0, "the script counts on that"
    return {
        "total": report["total_events"],
        "by_type": report["events_by_type"],
        "last_seen": {name: _micros(last) for name, last in report["last_seen"].items()},
        "missing": [each["event_type"] for each in report["violations"] if each["kind"] == "missing_required_type"],
        "episodes": [
            (_micros(each["start"]), _micros(each["end"]), each["ongoing"], each["started_before_period"],
             each["peak"], _micros(each["peak_at"]))
            for each in episodes
        ],
        "daily_peaks": [(each["date"], each["peak"]) for each in threshold["daily_peaks"]],
        "silent_days": report["coverage"]["silent_days"],
        "recent": threshold["recent_events"],
        "future": threshold["future_events"],
        "due": retention["due"],
        "oldest": _micros(retention["oldest_event"]),
    }  # fmt: skip


def _micros(printed: str | None) -> int | None:
    return None if printed is None else _number(datetime.fromisoformat(printed))


def _number(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _script_numbers(found: Mapping[str, Rows]) -> list[dict[str, Any]]:
    return [_script_numbers_of(p, found) for p in range(1, len(POLICIES) + 1)]


def _script_numbers_of(p: int, found: Mapping[str, Rows]) -> dict[str, Any]:
    own = {name: [row[1:] for row in rows if row[0] == p] for name, rows in found.items()}
    ((recent, future, due, oldest),) = own["counts"]
    ((first,),) = found["first_event"]
    days = (90, 30, 365)[p - 1]
    since, until = _number(AS_OF - timedelta(days=days)), _number(AS_OF)
    by_type = {name: events for name, events, _ in own["totals"]}
    return {
        "total": sum(by_type.values()),
        "by_type": by_type,
        "last_seen": {name: last for name, _, last in own["totals"]},
        "missing": [name for name, events in by_type.items() if not events],
        "episodes": [
            (start, end if end <= until else None, end > until, start <= since, peak, peak_at)
            for start, end, peak, peak_at in own["episodes"]
        ],
        "daily_peaks": [
            (str(date(1970, 1, 1) + timedelta(days=day)), peak if day >= first // 86_400_000_000 else None)
            for day, peak in own["daily_peaks"]
        ],
        "silent_days": [str(day) for (day,) in own["silent_days"]],
        "recent": recent,
        "future": future,
        "due": due,
        "oldest": oldest,
    }
