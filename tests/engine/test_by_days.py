"""Measures that are judged by stretches of days: however long these are, a report is that of the usual statements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake.engine.duck import connect, view_events
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.duck_slices import DuckSlices
from auditlake.engine.model import SliceEngine
from auditlake.events.schema import COLUMNS, FILE_COLUMNS
from auditlake.policies.by_group import SliceFiles
from auditlake.policies.evaluate import evaluate
from auditlake.policies.loader import load_policy
from auditlake.policies.question import Question
from auditlake.policies.slices import evaluate_by_slices
from auditlake.reports.build import build_report
from auditlake.reports.document import report_dict
from tests.engine.test_slices import sail, server  # noqa: F401 - fixtures

_ARROW = {"timestamptz": pa.timestamp("us", tz="UTC"), "bigint": pa.int64(), "blob": pa.binary()}
_SNAPSHOT = {"snapshot": 0, "files": 0, "rows": 0, "inputs_digest": "sha256:" + "0" * 64}
_BEGIN = datetime(2026, 3, 27, 20, tzinfo=UTC)
_STEPS = [{"where": "action = 'a'"}, {"where": "action = 'b'", "count": 2}]
MEASURES: dict[str, dict[str, Any]] = {
    "distinct": {"distinct": "ip_address", "alert_threshold": 3},
    "sum": {"sum": "details ->> '$.n'", "alert_threshold": 9},
    "average": {"average": "details ->> '$.n'", "alert_threshold": 2},
    "together": {"together": [*_STEPS[:1], {"where": "action = 'c'"}], "condition": '"1" and not "2"'},
    "sequence": {"sequence": _STEPS, "until": "action = 'd'"},
    "together, each step by its own": {
        "together": [{"where": "action = 'a'", "group_by": ["ip_address"]}, {"where": "action = 'b'"}],
        "group_by": ["user_id"],
    },
}
"""The keys of policies whose groups, if any, do not divide the events that they depend on."""

_FINDS = {"together, each step by its own": 5}
"""The seed of a case that has findings, where that is not 0."""


@pytest.fixture(scope="module")
def duck() -> Iterator[SliceEngine]:
    """DuckDB as an engine of slices."""
    with connect(threads=1) as connection:
        yield DuckSlices(connection)


def check(engine: SliceEngine, folder: Path, what: str, seed: int, stretches: int) -> int:
    """Compare the report of an engine that judges about so many stretches with the usual one; return its findings."""
    drawn = Random(f"{what} {seed}")
    window = drawn.choice(["1h", "5h", "24h", "36h", "3d"])
    keys = {"required_events": ["login"], "window": window, "scope": drawn.choice([None, "status <> 'z'"])}
    keys["where"] = drawn.choice([None, "action <> 'e'", "cast(session_id as integer) < 9"])
    keys = {"name": "n", "description": "d", **{key: value for key, value in keys.items() if value}, **MEASURES[what]}
    policy = load_policy(json.dumps(keys), file="p.yaml", policy_id="p", event_types=frozenset({"login", "logout"}))
    table = {name: pa.array([None] * 80, _ARROW.get(COLUMNS[name], pa.string())) for name in FILE_COLUMNS}
    hours = sorted(drawn.choice([drawn.randrange(60), drawn.randrange(200)]) for _ in range(80))
    texts = {
        "event_id": [f"{drawn.randrange(10**9)}" for _ in hours], "source": ["s"] * 80,
        "event_type": drawn.choices(["login", "logout"], [9, 1], k=80), "action": drawn.choices("abcde", k=80),
        "ip_address": drawn.choices(["1", "2", "3", "4", "5", None], k=80), "status": drawn.choices("xyz", k=80),
        "user_id": drawn.choices(["1", "2", None], k=80), "session_id": drawn.choices([*"0123456789", "no"], k=80),
        "details": [f'{{"n": {drawn.randrange(-4, 9) / 2}}}' for _ in hours],
    }  # fmt: skip
    table |= {name: pa.array(values, pa.string()) for name, values in texts.items()}
    table["timestamp"] = pa.array([_BEGIN + timedelta(hours=h) for h in hours], _ARROW["timestamptz"])
    path = folder / f"{uuid4()}.parquet"
    pq.write_table(pa.table(table), path)
    since = _BEGIN + timedelta(hours=drawn.randrange(50))
    until = since + timedelta(hours=drawn.randrange(150), microseconds=drawn.randrange(2))
    question = Question(until + timedelta(hours=drawn.choice([0, 0, 7])), since, until)

    with connect(threads=1) as connection:
        view_events(connection, [path])
        (usual,) = evaluate(DuckEngine(connection), [(policy, question)], [policy])
    files = SliceFiles([path], stretches * engine.in_a_part)
    (ours,) = evaluate_by_slices(engine, files, [(policy, question)], [policy])
    more = {"generated_at": _BEGIN, "lake_id": "x", "snapshot": _SNAPSHOT}
    expected = report_dict(build_report(usual, **more))
    assert report_dict(build_report(ours, **more)) == expected, (keys, question)
    return len(expected["violations"])


@pytest.mark.parametrize("what", MEASURES)
def test_stretches_say_what_the_whole_says(duck: SliceEngine, tmp_path: Path, what: str) -> None:
    """Episodes over several stretches, their evidence, daily peaks, the state of now, and what is left out."""
    assert check(duck, tmp_path, what, _FINDS.get(what, 0), 100) > 0


@pytest.mark.soak
@pytest.mark.parametrize("what", MEASURES)
def test_they_say_so_of_many(duck: SliceEngine, tmp_path: Path, what: str) -> None:
    """The same of many more."""
    for seed in range(1000, 1300):
        check(duck, tmp_path, what, seed, (1, 2, 4, 100)[seed % 4])


@pytest.mark.soak
@pytest.mark.parametrize("what", MEASURES)
def test_executors_say_so_of_many(sail: SliceEngine, tmp_path: Path, what: str) -> None:  # noqa: F811
    """The same through Spark Connect, where executors have the stretches."""
    for seed in range(2000, 2020):
        check(sail, tmp_path, what, seed, (1, 2, 4, 100)[seed % 4])


def test_executors_say_so(sail: SliceEngine, tmp_path: Path) -> None:  # noqa: F811
    """The same of a few, with stretches without events."""
    assert check(sail, tmp_path, "distinct", 1, 100) > 0
