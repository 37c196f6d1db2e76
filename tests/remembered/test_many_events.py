"""Days with many events are counted in arrays, and by summaries: the answers are those of the statements."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect
from auditlake.engine.timings import timed
from auditlake.policies import few_days, many_events
from auditlake.policies.loader import load_policy
from auditlake.policies.many_events import IN_ARRAYS
from auditlake.policies.model import Policy
from auditlake.remembered import memory
from auditlake.remembered.memory import LakeMemory
from auditlake.store.model import Snapshot
from auditlake.summaries.lake import LakeSummaries
from tests.remembered import test_days
from tests.remembered.test_days import TYPES, Lake, events, point, question, write

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
    monkeypatch.setattr(many_events, "_WINDOWS", 0)
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


@pytest.mark.parametrize("limit", ["MOST", "_NUMBER"])
def test_what_has_no_room_is_asked_by_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:  # fmt: skip
    """So is a period with more events than memory is for, and one of more groups than a number tells apart."""
    monkeypatch.setattr(many_events, limit, 0)
    assert IN_ARRAYS not in check(0, tmp_path, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
def test_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The same of many lakes."""
    check(seed, tmp_path, monkeypatch)
