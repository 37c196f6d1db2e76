"""Steps: conditions that cannot be evaluated on an event, and how events of one instant are told apart."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.policies.condition import COLUMNS
from auditlake.policies.evaluate import evaluate
from auditlake.policies.loader import load_policy
from auditlake.policies.question import Question
from auditlake.reports.build import build_report
from auditlake.reports.model import Report

TYPES = ("login", "logout", "access")
NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
NUMBER = "cast(session_id as integer) > 1"
ASKED = {
    "sequence": {"sequence": [{"types": ["login"], "where": NUMBER}, {"where": "action = 'b'"}]},
    "until": {"sequence": [{"where": "action = 'a'"}, {"where": "action = 'b'"}], "until": NUMBER},
    "together": {"together": [{"types": ["login"], "where": NUMBER}, {"where": NUMBER}]},
}
EVENTS = [
    ("login", 1, "2", "a"), ("login", 2, "many", "a"), ("logout", 3, "many", "b"), ("login", 4, None, "b"),
    ("login", 5, "many", "left out"), ("login", 60, "many", "before the period"),
]  # fmt: skip


def judged(
    events: Sequence[tuple[str, int, str | None, str]], asked: Mapping[str, Any], fewest: int
) -> dict[str, Report]:
    """Report policies, each with its own keys, over events of a type, minutes ago, with a session and an action."""
    rows: list[dict[str, Any]] = [
        {"event_id": f"e{number:02}", "event_type": kind, "timestamp": NOW - timedelta(minutes=minutes), "source": "s",
         "session_id": session, "action": action}
        for number, (kind, minutes, session, action) in enumerate(events)
    ]  # fmt: skip
    table = {name: pa.array([each.get(name) for each in rows], pa.string()) for name in COLUMNS if name != "timestamp"}
    table["timestamp"] = pa.array([each["timestamp"] for each in rows], pa.timestamp("us", tz="UTC"))
    head = {"name": "n", "description": "d", "required_events": [*TYPES], "coverage": "optional", "window": "10min"}
    policies = [
        load_policy(json.dumps(head | own), file="p.yaml", policy_id=name, event_types=frozenset(TYPES))
        for name, own in asked.items()
    ]
    question = Question(NOW, NOW - timedelta(minutes=30), NOW)
    with connect(threads=1) as connection:
        connection.register("events", pa.table(table))
        answers = evaluate(DuckEngine(connection), [(each, question) for each in policies], policies, fewest=fewest)
        return {each.policy.id: build_report(each) for each in answers}


@pytest.mark.parametrize("fewest", [1, 5], ids=["sieved", "by itself"])
def test_a_condition_that_fails_is_counted_once(fewest: int) -> None:
    """An event counts where the condition of a step for its type fails, if the policy's own condition matches."""
    asked = {name: own | {"where": "action <> 'left out'"} for name, own in ASKED.items()}
    errors = {
        name: each.threshold and each.threshold.where_errors for name, each in judged(EVENTS, asked, fewest).items()
    }
    assert errors == {"sequence": 1, "until": 2, "together": 2}


@pytest.mark.parametrize("until", [{}, {"until": "action = 'b'"}], ids=["", "until"])
def test_steps_told_apart_by_their_types(until: dict[str, str]) -> None:
    """Whole minutes, so many events are of one instant: one that is of a single step is in order without its id."""
    rng = random.Random(3)
    events = [(rng.choice(TYPES), rng.randrange(30), rng.choice("xy"), rng.choice("aaab")) for _ in range(60)]
    ways = {
        "types": [{"types": [name]} for name in TYPES],
        "where": [{"where": f"event_type = '{name}'"} for name in TYPES],
    }
    asked = {way: {"sequence": steps, "group_by": ["session_id"], **until} for way, steps in ways.items()}
    found = {
        way: [(each.group, each.start, each.end, (each.evidence or {})["steps"]) for each in report.violations]
        for way, report in judged(events, asked, 5).items()
    }
    assert len(found["types"]) > 1
    assert found["types"] == found["where"]


@pytest.mark.parametrize(("days", "asked"), [(1, 1), (3, 2)])
def test_whether_anything_came_is_asked_of_the_last_day_first(days: int, asked: int) -> None:
    """Where nothing came, a longer period is asked about as a whole after its last day, and a day or less once."""
    steps: list[str] = []

    class Listening(DuckEngine):
        def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> Any:
            steps.append(name)
            return super().step(name, sql, parameters)

    table = {name: pa.array([], pa.string()) for name in COLUMNS}
    table["timestamp"] = pa.array([], pa.timestamp("us", "UTC"))
    head = {"name": "n", "description": "d", "required_events": ["login"]}
    policy = load_policy(json.dumps(head), file="p.yaml", policy_id="p", event_types=frozenset(TYPES))
    with connect(threads=1) as connection:
        connection.register("events", pa.table(table))
        [*evaluate(Listening(connection), [(policy, Question(NOW, NOW - timedelta(days=days), NOW))], [policy])]

    assert steps.count("presence") == asked
