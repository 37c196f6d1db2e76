"""Counts first, rows where they leave something open: the answers are those of the rows, whatever the period cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row
from auditlake.policies import few_days
from auditlake.policies.bounds import Bounds, Crossover, without_bounds
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.remembered.memory import LakeMemory
from auditlake.store.model import Snapshot
from auditlake.summaries.day_rows import LakeRows
from tests.remembered import test_days
from tests.remembered.test_days import TYPES, Lake, events, point, question, write

PLAIN = "name: n\ndescription: d\nrequired_events: [login, logout]\nalert_threshold: 3\n"
ALWAYS = Crossover(events=0, in_a_slice=0, near=1)
WINDOWS = ("1min", "90min", "6h", "24h", "36h", "3d", "90s")


class Counted(Bounds):
    """Says how often counts were asked first."""

    answered = 0

    def by_day(self, policy: Policy, question: Question) -> Mapping[str, Sequence[Row]] | None:
        """Return what the counts and the rows that they leave open give."""
        found = super().by_day(policy, question)
        Counted.answered += found is not None
        return found


def within_minutes(rng: Random) -> int:
    """Return an instant: one of those of days, or a little later, at most three minutes."""
    return point(rng) + rng.choice((0, 0, 60_000_000, rng.randrange(180_000_000)))


def policy(rng: Random, number: int) -> Policy:
    """Return a policy that counts events; the last one those that meet a condition."""
    text = f"""
name: n
description: d
required_events: [{", ".join(rng.sample(TYPES, rng.randint(1, 3)))}]
coverage: optional
window: {rng.choice(WINDOWS)}
alert_threshold: {number + 1}
{"where: ip_address <> '1'" if number == 3 else ""}
"""
    return load_policy(text, f"p{number}.yaml", f"p{number}", event_types=frozenset({*TYPES, "data_access"}))


def check(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch, crossover: Crossover = ALWAYS) -> None:
    """Ask a few policies about changing periods of a changing lake, with counts first and by rows alone."""

    def with_bounds(layout: Layout, snapshot: Snapshot, engine: DuckEngine, *others: Any) -> LakeMemory:
        rows = LakeRows(layout, snapshot, engine.connection, 10**9)
        return LakeMemory(layout, snapshot, engine, *others, Counted(rows, crossover=crossover))

    monkeypatch.setattr(test_days, "LakeMemory", with_bounds)
    monkeypatch.setattr(test_days, "point", within_minutes)
    monkeypatch.setattr(few_days, "MOST_EVENTS", -1)  # no stretch has few
    rng = Random(seed)
    with connect(threads=1) as connection:
        rows = events(rng, rng.choice((8, 30, 60)))
        lake = write(Lake(Layout(folder), connection, Snapshot(0, ())), rows)
        policies = [policy(rng, number) for number in range(4)]
        for _ in range(3):
            common = question(rng)
            asked = [(each, question(rng) if rng.random() < 0.3 else common) for each in policies]
            plain, known = (test_days.said(lake, asked, known=is_known) for is_known in (False, True))
            assert [each[:2] for each in plain] == [each[:2] for each in known], (seed, asked)
            rows = rows + events(rng, 3) if rng.random() < 0.7 else rows[1:]
            lake = write(lake, rows)


@pytest.mark.parametrize("seed", range(3))
def test_answers_are_those_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Reports and what pages show of events are the same."""
    before = Counted.answered
    check(seed, tmp_path, monkeypatch)
    assert Counted.answered > before + 3


def test_where_rows_are_less_work_counts_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few events are sorted."""
    before = Counted.answered
    check(0, tmp_path, monkeypatch, Crossover())
    assert Counted.answered == before


@pytest.mark.parametrize(("crossover", "reason"), [
    (Crossover(), "fewer than 500,000 events"),
    (Crossover(events=0), "fewer than 4 events in a minute"),
    (Crossover(events=0, in_a_slice=0, near=0), "the counts leave too much open"),
    (ALWAYS, None),
])  # fmt: skip
def test_why_events_are_sorted(tmp_path: Path, crossover: Crossover, reason: str | None) -> None:
    """The counts say it, before an event is read."""
    with connect(threads=1) as connection:
        lake = write(Lake(Layout(tmp_path), connection, Snapshot(0, ())), events(Random(1), 40))
        bounds = Bounds(LakeRows(lake.layout, lake.snapshot, connection, 10**9), crossover=crossover)
        period = Question(*(test_days.instant((test_days.FIRST + day) * test_days.DAY - 1) for day in (5, 0, 5)))
        assert bounds.settled(load_policy(PLAIN, "p.yaml", "p", event_types=frozenset(TYPES)), period).why_not == reason


@pytest.mark.parametrize(("key", "reason"), [
    ("where: user_id = 'a'", "where"), ("group_by: [user_id]", "group_by"), ("scope: user_id = 'a'", "scope"),
    ("distinct: user_id", "the measure distinct"), ("window: 90s", "a window of parts of minutes"), ("", None),
])  # fmt: skip
def test_what_counts_by_type_do_not_answer(key: str, reason: str | None) -> None:
    """A policy that asks for more than type and minute of its events is asked of the rows."""
    text = f"name: n\ndescription: d\nrequired_events: [login]\nalert_threshold: 1\n{key}"
    policy = load_policy(text, "p.yaml", "p", event_types=frozenset({"login"}))
    assert without_bounds(policy) == reason


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
def test_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The same of many lakes."""
    check(seed, tmp_path, monkeypatch)
