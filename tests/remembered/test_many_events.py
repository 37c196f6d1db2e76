"""Days with many events are counted in arrays, and by summaries: the answers are those of the statements."""

from __future__ import annotations

from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest

from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect, view_events
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.timings import timed
from auditlake.policies import few_days, many_events, sweep
from auditlake.policies.days import DAY
from auditlake.policies.loader import load_policy
from auditlake.policies.many_events import IN_ARRAYS, counted_by_day
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.remembered import memory
from auditlake.remembered.memory import LakeMemory
from auditlake.store.model import Snapshot
from auditlake.summaries.lake import LakeSummaries
from tests.remembered import test_days
from tests.remembered.test_days import DAYS, FIRST, TYPES, Lake, events, instant, point, question, write

WINDOWS = ("1min", "90min", "6h", "24h", "36h", "3d", "90s")
NARROWED = ("where: ip_address <> '1'", "where: cast(user_id as int) = 1 or ip_address = '1'", "scope: source <> 's'")
GROUPS = ("", "group_by: [user_id]", "group_by: [user_id, ip_address]")


def within_minutes(rng: Random) -> int:
    """Return an instant: one of those of days, or a little later, at most three minutes."""
    return point(rng) + rng.choice((0, 0, 60_000_000, rng.randrange(180_000_000)))


def policy(rng: Random, number: int) -> Policy:
    """Return a policy that counts events."""
    text = f"""
name: n
description: d
required_events: [{", ".join(rng.sample(TYPES, rng.randint(1, 3)))}]
coverage: optional
window: {rng.choice(WINDOWS)}
alert_threshold: {rng.randint(1, 4)}
{rng.choice(GROUPS)}
{rng.choice((*NARROWED, "", "", ""))}
"""
    return load_policy(text, f"p{number}.yaml", f"p{number}", event_types=frozenset({*TYPES, "data_access"}))


def check(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Ask a few policies about changing periods of a changing lake, in arrays and not; return the plans."""

    def with_summaries(layout: Layout, snapshot: Snapshot, *others: Any) -> LakeMemory:
        return LakeMemory(
            layout, snapshot, *others, lambda engine: LakeSummaries(layout, snapshot, engine.database, 10**9)
        )  # fmt: skip

    rng, plans = Random(seed), set[str]()
    monkeypatch.setattr(test_days, "LakeMemory", with_summaries)
    monkeypatch.setattr(memory, "FEWEST", 0)
    monkeypatch.setattr(test_days, "point", within_minutes)
    monkeypatch.setattr(few_days, "MOST_EVENTS", -1)  # no stretch has few
    monkeypatch.setattr(many_events, "AT_ONCE", rng.choice((1, 20, 10**6)))
    monkeypatch.setattr(many_events, "_WINDOWS", seed % 2)
    monkeypatch.setattr(memory, "MOST_EVENTS", (20, 1, 1_000)[seed % 3])
    with connect(threads=1) as connection:
        rows = events(rng, rng.choice((8, 30, 60)))
        lake = write(Lake(Layout(folder), connection, Snapshot(0, ())), rows)
        policies = [policy(rng, number) for number in range(4)]
        for _ in range(3):
            common = question(rng)
            asked = [(each, question(rng) if rng.random() < 0.3 else common) for each in policies]
            plain = test_days.said(lake, asked, known=False)
            with timed() as timings:
                known = test_days.said(lake, asked, known=True)
            assert [each[:2] for each in plain] == [each[:2] for each in known], (seed, asked)
            plans |= {*timings.plans.values()}
            rows = rows + events(rng, 3) if rng.random() < 0.7 else rows[1:]
            lake = write(lake, rows)
    return plans


@pytest.mark.parametrize("seed", range(2))
def test_answers_are_those_of_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Reports and what pages show of events are the same."""
    assert IN_ARRAYS in check(seed, tmp_path, monkeypatch)


def test_what_has_no_room_is_asked_by_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a period of more groups than a number tells apart."""
    monkeypatch.setattr(many_events, "_NUMBER", 0)
    assert IN_ARRAYS not in check(0, tmp_path, monkeypatch)


@pytest.mark.parametrize(("module", "name", "value"), [
    (many_events, "MOST", 2), (many_events, "MOST_BYTES", 9), (many_events, "_NUMBER", 0), (sweep, "MOST_PIECES", 0),
    (sweep, "_spread", Mock(side_effect=MemoryError)),
    (many_events, "_rows", Mock(side_effect=pa.ArrowInvalid("offset overflow"))),
])  # fmt: skip
def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, value: Any) -> None:
    """A policy is left out where it would need more memory than there is for it, or than an array can have."""
    text = "name: n\ndescription: d\nrequired_events: [login]\nalert_threshold: 1\ngroup_by: [user_id]\n"
    asked = load_policy(text, "n.yaml", "n", event_types=frozenset({"login"}))
    with connect(threads=1) as connection:
        rows = [each | {"event_type": "login", "user_id": "a"} for each in events(Random(0), 3)]
        lake = write(Lake(Layout(tmp_path), connection, Snapshot(0, ())), rows)
        view_events(connection, lake.paths)
        since, until = (instant(day * DAY) for day in (FIRST - 1, FIRST + DAYS + 1))

        def counted() -> list[str]:
            engine, period = DuckEngine(connection), Question(until, since, until)
            return [policy.id for policy, _ in counted_by_day(engine, [asked], period, {FIRST: 3})]

        assert counted() == ["n"]
        monkeypatch.setattr(module, name, value)
        assert counted() == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
def test_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The same of many lakes."""
    check(seed, tmp_path, monkeypatch)
