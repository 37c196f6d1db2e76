"""The SQL and the brute-force oracle agree, to the microsecond, on thousands of generated cases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.events.durations import Duration
from auditlake.policies.evaluate import evaluate
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.reports.build import build_report
from auditlake.reports.document import report_dict
from tests.oracle import judge
from tests.strategies import Case, cases

_NOW = datetime.fromisoformat("2026-11-24T00:00:00+00:00")
_SNAPSHOT = {"snapshot": 0, "files": 0, "rows": 0, "inputs_digest": "sha256:" + "0" * 64}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def answer(connection: duckdb.DuckDBPyConnection, case: Case) -> dict[str, Any]:
    """The parts of the SQL's report that the oracle gives as well."""
    columns = ("event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "session_id",
               "ip_address", "source")  # fmt: skip
    kinds = {name: pa.timestamp("us", tz="UTC") if name == "timestamp" else pa.string() for name in columns}
    table = pa.table({name: pa.array([getattr(event, name) for event in case.events], kinds[name]) for name in columns})
    days = pa.array([event.timestamp.date() for event in case.events], pa.date32())
    connection.register("events", table.append_column("event_date", days))
    question = Question(case.as_of, case.since, case.until)
    (answers,) = evaluate(DuckEngine(connection), [(case.policy, question)], case.policies)
    report = build_report(answers, generated_at=_NOW, lake_id="x", snapshot=_SNAPSHOT)
    return report_dict(report)


def agree(ours: dict[str, Any], oracle: dict[str, Any]) -> None:
    for key in ("status", "status_now", "total_events", "events_by_type", "last_seen"):
        assert ours[key] == oracle[key], key
    assert [_bare(each) for each in ours["violations"]] == [_bare(each) for each in oracle["violations"]]
    for part in ("threshold", "coverage", "retention"):
        assert (ours[part] is None) == (oracle[part] is None), part
        for key, value in (oracle[part] or {}).items():
            got = ours[part][key]
            assert (len(got) if key == "conflicts" else got) == value, f"{part}.{key}"


def _bare(finding: dict[str, Any]) -> dict[str, Any]:
    return {key: value or None if key == "group" else value for key, value in finding.items() if key != "message"}


@given(case=cases())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_sql_equals_oracle(connection: duckdb.DuckDBPyConnection, case: Case) -> None:
    """Whatever the events, the policy and the period: the SQL's answer is the oracle's."""
    check(connection, case)


@pytest.mark.soak
@given(case=cases())
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_sql_equals_oracle_at_length(connection: duckdb.DuckDBPyConnection, case: Case) -> None:
    """The same over many more cases."""
    check(connection, case)


def check(connection: duckdb.DuckDBPyConnection, case: Case) -> None:
    oracle = judge(
        case.events, case.policy, case.policies, as_of=case.as_of, since=case.since, until=case.until,
        where=case.where_callable,
    )  # fmt: skip

    agree(answer(connection, case), oracle)


def test_so_many_groups_that_63_bits_overflow(connection: duckdb.DuckDBPyConnection) -> None:
    """With more groups than 63 bits have room for beside the time, the answer is the same, in 128 bits."""
    until = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
    since, as_of = datetime.fromisoformat("1970-01-02T00:00:00+00:00"), until
    groups = 30
    connection.register("events", pa.table({
        "event_id": [str(i) for i in range(3 * groups)],
        "event_type": ["login"] * 3 * groups,
        "timestamp": pa.array([until] * 3 * groups, pa.timestamp("us", tz="UTC")),
        "event_date": [until.date()] * 3 * groups,
        "user_id": [f"user-{i % groups}" for i in range(3 * groups)],
        "source": ["auditlake"] * 3 * groups,
    }))  # fmt: skip
    policy = Policy("many", "Many", "", ("login",), Duration("1d", 86_400_000_000), 3, group_by=("user_id",))
    (answers,) = evaluate(DuckEngine(connection), [(policy, Question(as_of, since, until))], [policy])

    assert "AS INT128" in answers.queries[0][0].sql
    assert [(row[0], row[1], row[5]) for row in answers.rows["rolling_counts"]] == [
        (f"user-{i}", until, 3) for i in sorted(range(groups), key=lambda i: f"user-{i}")
    ]
