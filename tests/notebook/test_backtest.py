"""A backtest says of each threshold and window what a report with them would find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.analysis.backtest import _thresholds
from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.errors import PolicyError, ReportError
from auditlake.events.durations import Duration
from auditlake.policies.evaluate import backtest, episodes
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from tests.lakes import create
from tests.oracle import judge
from tests.strategies import WINDOWS, Case, cases
from tests.templates import copy_of

THRESHOLDS = [1, 2, 3, 4, 5, 7, 30]
AS_OF = datetime.fromisoformat("2026-11-24T12:00:00+00:00")


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def register(connection: duckdb.DuckDBPyConnection, case: Case) -> Question:
    columns = ("event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "session_id",
               "ip_address", "source")  # fmt: skip
    kinds = {name: pa.timestamp("us", tz="UTC") if name == "timestamp" else pa.string() for name in columns}
    table = pa.table({name: pa.array([getattr(event, name) for event in case.events], kinds[name]) for name in columns})
    connection.register("events", table)
    return Question(case.as_of, case.since, case.until)


@given(case=cases())
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
def test_equals_the_policy_and_the_oracle(connection: duckdb.DuckDBPyConnection, case: Case) -> None:
    """For every window and threshold: as many episodes as the policy with them has, and as the oracle counts."""
    _compare(connection, case)


@pytest.mark.soak
@given(case=cases())
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
def test_equals_them_in_many_cases(connection: duckdb.DuckDBPyConnection, case: Case) -> None:
    """The same of many more cases."""
    _compare(connection, case)


def _compare(connection: duckdb.DuckDBPyConnection, case: Case) -> None:
    several, one = connection.cursor(), connection.cursor()  # each with temporary tables of its own
    question = register(several, case)
    register(one, case)
    windows = list(dict.fromkeys([case.policy.window, *WINDOWS[:2]]))
    asked = [(replace(case.policy, window=window), question) for window in windows]
    found = backtest(DuckEngine(several), asked, THRESHOLDS)

    for (policy, _), rows in zip(asked, found, strict=True):
        assert [threshold for threshold, _ in rows] == THRESHOLDS
        for threshold, count in rows:
            single = replace(policy, alert_threshold=threshold)
            oracle = judge(case.events, single, [single], as_of=case.as_of, since=case.since, until=case.until,
                           where=case.where_callable)  # fmt: skip
            assert count == oracle["threshold"]["episodes"], (policy.window, threshold)
        k = case.policy.alert_threshold or THRESHOLDS[0]  # one without a threshold can be tried all the same
        assert dict(rows)[k] == len(episodes(DuckEngine(one), replace(policy, alert_threshold=k), question))


def test_so_many_groups_that_63_bits_overflow(connection: duckdb.DuckDBPyConnection) -> None:
    """With more groups than 63 bits have room for beside the time, the answer is the same, in 128 bits."""
    until = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
    groups = 40
    connection.register("events", pa.table({
        "event_type": ["login"] * 3 * groups,
        "timestamp": pa.array([until] * 3 * groups, pa.timestamp("us", tz="UTC")),
        "user_id": [f"user-{i % groups}" for i in range(3 * groups)],
    }))  # fmt: skip
    policy = Policy("many", "Many", "", ("login",), Duration("1d", 86_400_000_000), 3, group_by=("user_id",))
    question = Question(until, datetime.fromisoformat("1970-01-02T00:00:00+00:00"), until)

    assert backtest(DuckEngine(connection), [(policy, question)], [1, 3, 4]) == [[(1, groups), (3, groups), (4, 0)]]


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """Bursts of 1, 2, … 6 failed logins, an hour apart each, on days of their own; the last day's is not flushed."""
    return auditlake.open(copy_of(_build, tmp_path) / "lake", clock=lambda: AS_OF)


def _build(folder: Path) -> None:
    lake = create(folder / "lake", clock=lambda: AS_OF)
    bursts = [
        AuditEvent("auth_failure", AS_OF - timedelta(days=20 - 3 * burst, hours=n), user_id="ana", status="failure")
        for burst in range(6) for n in range(burst + 1)
    ]  # fmt: skip
    lake.ingest(bursts[:-6])
    lake.log_many(bursts[-6:])


def test_a_lake(lake: AuditLake) -> None:
    """What was logged counts too, a threshold that was never reached gave none, the policy's window is the default."""
    found = lake.backtest("failed_logins", thresholds=range(1, 9))

    assert [each.episodes for each in found.tried] == [6, 5, 4, 3, 2, 1, 0, 0]
    assert found.windows == ("24h",)
    assert found.episodes(5) == len(lake.report("failed_logins").findings)
    assert found.pl().columns == ["window", "threshold", "episodes"]
    assert found.pl()["episodes"].sum() == 21


def test_windows_and_periods(lake: AuditLake) -> None:
    """Windows are kept in their order, and a period narrows the count as it narrows a report."""
    found = lake.backtest("failed_logins", thresholds=[2], windows=["24h", "1h", "2h"], since=AS_OF - timedelta(days=9))

    assert [(each.window, each.episodes) for each in found.tried] == [("24h", 2), ("1h", 0), ("2h", 2)]
    assert found.since == AS_OF - timedelta(days=9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"thresholds": [0]}, "thresholds: expected whole numbers from 1 on, got 0"),
        ({"thresholds": []}, "thresholds: expected from 1 to 10,000 of them, got none"),
        ({"thresholds": [True]}, "got True"),
        ({"thresholds": ["3"]}, "got '3'"),
        ({"windows": ["1mo"]}, "windows: '1mo' counts months"),
        ({"windows": []}, "windows: expected at least one"),
    ],
)
def test_mistakes(lake: AuditLake, options: dict[str, object], said: str) -> None:
    """What makes no sense is told in a line."""
    with pytest.raises(PolicyError, match=said):
        lake.backtest("failed_logins", **options)


WRONG = {
    "more": range(1, 1 << 60), "True": [1, True], "2.0": [2, 2.0], "5.0": 5.0, "False": False, "None": None,
    "'12'": "12", "'3'": [3, "3", [4]], "[4]": [[4]], "nan": [float("nan")],
}  # fmt: skip


@pytest.mark.parametrize("said", WRONG)
def test_thresholds_are_whole_numbers(said: str) -> None:
    """Whatever else is given for thresholds is told, also where it equals a whole number."""
    with pytest.raises(PolicyError, match=re.escape(f"got {said}")):
        _thresholds(WRONG[said])


def test_periods_are_checked(lake: AuditLake) -> None:
    """A period that ends after as_of is refused as it is for a report."""
    with pytest.raises(ReportError, match="period"):
        lake.backtest("failed_logins", since=AS_OF, until=AS_OF + timedelta(days=1))
