"""Answers of days put together are the answers over the whole period: of every kind of question, wherever it is cut."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import duckdb
import pytest

from auditlake.disk.layout import Layout, part_path
from auditlake.engine.duck import connect, view_events
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.sql_text import identifier
from auditlake.events.schema import COLUMNS, FILE_COLUMNS
from auditlake.policies import few_days
from auditlake.policies.days import DAY
from auditlake.policies.evaluate import Answers, evaluate, samples
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.sieve import sieve
from auditlake.remembered import memory
from auditlake.remembered.memory import LakeMemory
from auditlake.reports.build import build_report
from auditlake.store.model import DataFile, Snapshot

HOUR = 3_600_000_000
FIRST = 20_500
"""The first day that may have events, since 1970."""
DAYS = 6
TYPES = ("login", "logout", "auth_failure")
WINDOWS = ("1h", "6h", "24h", "36h", "3d")
MEASURES: Sequence[dict[str, Any]] = (
    {}, {}, {},
    {"distinct": "ip_address"},
    {"distinct": ["ip_address", "event_type"]},
    {"sum": "details ->> '$.n'"},
    {"average": "details ->> '$.n'"},
    {"together": [{"where": "event_type = 'login'"}, {"where": "user_id = 'a'"}, {"where": "ip_address = '1'"}]},
    {"together": [{"name": "a", "where": "event_type = 'login'"}, {"name": "b", "where": "ip_address = '1'"}],
     "condition": "a and not b"},
    {"sequence": [{"types": ["auth_failure"], "count": 2}, {"types": ["login"]}]},
    {"sequence": [{"where": "event_type = 'login'"}, {"where": "ip_address = '1'"}, {"where": "true"}],
     "until": "event_type = 'logout'"},
    {"first_seen": {"value": ["ip_address"], "memory": "2d"}},
)  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class Lake:
    """As much of a lake as reports need."""

    layout: Layout
    connection: duckdb.DuckDBPyConnection
    snapshot: Snapshot

    @property
    def paths(self) -> list[Path]:
        """Its data files."""
        return [self.layout.events / file.path for file in self.snapshot.files]


def instant(at: int) -> datetime:
    """Return the aware datetime of so many microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def point(rng: Random) -> int:
    """Return an instant: often a midnight or one 1 µs beside it."""
    hour = rng.choice((0, 0, 0, 1, 6, 12, 18, 23, 24))
    return (FIRST + rng.randrange(DAYS)) * DAY + hour * HOUR + rng.choice((0, 0, 0, 0, -1, 1))


def events(rng: Random, number: int) -> list[Row]:
    """Return events with many ties, in any order."""
    return [
        {
            "event_id": f"{place * 7 % 101:03}", "event_type": rng.choice((*TYPES, "data_access")),
            "timestamp": instant(max(point(rng), FIRST * DAY)), "user_id": rng.choice(("a", "a", "a", "b", None)),
            "ip_address": rng.choice(("1", "1", "2", "3", None)), "source": rng.choice(("r", "s", "auditlake.self")),
            "details": rng.choice(('{"n": "1"}', '{"n": "2.5"}', '{"n": "-1"}', "{}", None)), "batch": 1, "seq": place,
        }
        for place in range(number)
    ]  # fmt: skip


def policy(rng: Random, name: str) -> Policy:
    """Return a policy that asks several questions."""
    asked: dict[str, Any] = {
        "name": name, "description": "as generated", "required_events": rng.sample(TYPES, rng.randint(1, 3)),
        "coverage": rng.choice(("required", "optional", "proven")),
        **rng.choice(MEASURES),
    }  # fmt: skip
    if not {"sequence", "first_seen"} & asked.keys() and "condition" not in asked:
        asked["alert_threshold"] = rng.randint(1, 3)
    asked["window"] = rng.choice(WINDOWS)
    asked |= rng.choice(({}, {"group_by": ["user_id"]}, {"group_by": ["user_id"]}, {"group_by": ["user_id", "source"]}))
    asked |= rng.choice(({}, {}, {"where": "ip_address <> '1'"}, {"where": "user_id = 'a' or source = 's'"}))
    asked |= rng.choice(({}, {"retention_period": "2d"}, {"retention_period": "36h"}))
    gap = rng.choice(("1h", "12h", "30h"))
    asked |= rng.choice(({}, {"max_gap": gap}, {"max_gap": {asked["required_events"][0]: gap}}))
    asked |= rng.choice(({}, {}, {}, {"scope": "source <> 's'"}))
    asked |= rng.choice(({}, {}, {"fields": {"who": {"any_of": ["user_id", "details.n"]}}}))
    if "sequence" in asked:
        asked["required_events"] = list(TYPES)
    text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in asked.items())
    return load_policy(text, f"{name}.yaml", name, event_types=frozenset({*TYPES, "data_access"}))


def write(lake: Lake, rows: Sequence[Row]) -> Lake:
    """Return the lake with exactly these events: each day is one file, named by its bytes."""
    by_day: dict[date, list[Row]] = {}
    for row in rows:
        by_day.setdefault(row["timestamp"].date(), []).append(row)
    files = []
    for day, own in by_day.items():
        draft = lake.layout.root / "draft.parquet"
        given = {name: f"each.{identifier(name)}" if name in own[0] else "null" for name in FILE_COLUMNS}
        columns = (f"cast({value} as {COLUMNS[name]}) as {identifier(name)}" for name, value in given.items())
        query = f'select {", ".join(columns)} from (select unnest($1) as each) order by "timestamp"'
        lake.connection.execute(f"copy ({query}) to '{draft}' (format parquet)", [own])
        data = draft.read_bytes()
        path = lake.layout.events / part_path(day, hashlib.sha256(data).hexdigest())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        files.append(DataFile(str(path.relative_to(lake.layout.events)), day, len(data), len(own), None, None))
    snapshot = Snapshot(lake.snapshot.version + 1, tuple(sorted(files, key=lambda file: file.path)))
    return replace(lake, snapshot=snapshot)


def said(lake: Lake, asked: Sequence[tuple[Policy, Question]], *, known: bool) -> list[Any]:
    """Return the reports of policies, with what their pages show of events."""
    policies = [each for each, _ in asked]
    own = LakeMemory(lake.layout, lake.snapshot, DuckEngine(lake.connection), policies, (), 10**9) if known else None
    engine, reports = DuckEngine(lake.connection), list[Any]()
    view_events(lake.connection, lake.paths)
    for answers in evaluate(engine, asked, policies, memory=own, fewest=4):
        shown: Any = {}
        if answers.rows.get("rolling_counts"):
            shown = _samples(engine, answers, own)
        reports.append((build_report(answers), shown, answers.known))
    return reports


def _samples(engine: DuckEngine, answers: Answers, own: LakeMemory | None) -> Any:
    if answers.known and own is not None:
        return own.samples(answers, 5)
    return samples(engine, answers.asked or answers.policy, answers.question, 5, table=answers.table)


def question(rng: Random) -> Question:
    """Return a period, and as of when it is asked about."""
    low, high = sorted((point(rng), point(rng)))
    high += low == high
    later = rng.choice((0, 0, 0, 1, HOUR, DAY, 3 * DAY))
    return Question(instant(high + later), instant(low), instant(high))


def check(seed: int, folder: Path) -> int:
    """Ask a few policies about changing periods of a changing lake; return how many reports came from memory.

    Of two seeds one asks as where there are many events, of four two judge conditions in one scan, and of three two ask
    about a long time in pieces.
    """
    rng, remembered, few = Random(seed), 0, few_days.MOST_EVENTS if seed % 2 else -1
    sifted = partial(sieve, fewest=2 if seed % 4 > 1 else 5)
    with (
        connect(threads=1) as connection,
        patch.object(few_days, "MOST_EVENTS", few),
        patch.object(memory, "sieve", sifted),
        patch.object(memory, "MOST_EVENTS", (20, 1, 1_000)[seed % 3]),
    ):
        rows = events(rng, rng.choice((8, 30, 60)))
        lake = write(Lake(Layout(folder), connection, Snapshot(0, ())), rows)
        policies = [policy(rng, f"p{number}") for number in range(4)]
        for _ in range(3):
            asked = [(each, question(rng)) for each in policies] if rng.random() < 0.3 else []
            common = question(rng)
            asked = asked or [(each, common) for each in policies]
            for (own, _), plain, known in zip(
                asked, said(lake, asked, known=False), said(lake, asked, known=True), strict=True
            ):
                assert plain[:2] == known[:2], (seed, own.text, asked[0][1])
                remembered += known[2]
            if rng.random() < 0.5:
                rows = rows + events(rng, 1) if rng.random() < 0.7 else rows[1:]
                lake = write(lake, rows)
    return remembered


@pytest.mark.parametrize("seed", [1, 150])
def test_days_put_together_are_the_period(tmp_path: Path, seed: int) -> None:
    """The report is the same, and so are the events that its page shows; most of it was known."""
    assert check(seed, tmp_path) > 6


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
def test_of_many(tmp_path: Path, seed: int) -> None:
    """The same of many lakes."""
    check(seed, tmp_path)
