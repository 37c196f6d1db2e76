"""Conditions of steps that cannot be evaluated on an event."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("fewest", [1, 5], ids=["sieved", "by itself"])
def test_a_condition_that_fails_is_counted_once(fewest: int) -> None:
    """An event counts where the condition of a step for its type fails, if the policy's own condition matches."""
    rows: list[dict[str, Any]] = [
        {"event_id": f"e{minutes}", "event_type": kind, "timestamp": NOW - timedelta(minutes=minutes), "source": "s",
         "session_id": number, "action": action}
        for kind, minutes, number, action in EVENTS
    ]  # fmt: skip
    table = {name: pa.array([each.get(name) for each in rows], pa.string()) for name in COLUMNS if name != "timestamp"}
    table["timestamp"] = pa.array([each["timestamp"] for each in rows], pa.timestamp("us", tz="UTC"))
    head = {"name": "n", "description": "d", "required_events": ["login", "logout"], "coverage": "optional",
            "window": "10min", "where": "action <> 'left out'"}  # fmt: skip
    policies = [
        load_policy(json.dumps(head | own), file="p.yaml", policy_id=name, event_types=frozenset({"login", "logout"}))
        for name, own in ASKED.items()
    ]
    question = Question(NOW, NOW - timedelta(minutes=30), NOW)
    with connect(threads=1) as connection:
        connection.register("events", pa.table(table))
        answers = evaluate(DuckEngine(connection), [(each, question) for each in policies], policies, fewest=fewest)
        reports = {each.policy.id: build_report(each) for each in answers}
    errors = {name: each.threshold and each.threshold.where_errors for name, each in reports.items()}
    assert errors == {"sequence": 1, "until": 2, "together": 2}
