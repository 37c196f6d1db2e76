"""By slices of time, on DuckDB and on a server of Spark Connect, the answers are the oracle's."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from auditlake.engine.duck import connect
from auditlake.engine.duck_slices import DuckSlices
from auditlake.engine.model import SliceEngine
from auditlake.errors import EngineError
from auditlake.events.durations import Duration
from auditlake.events.schema import COLUMNS, FILE_COLUMNS
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.slices import SliceFiles, evaluate_by_slices, slice_us
from auditlake.reports.build import build_report
from auditlake.reports.document import report_dict
from auditlake.spark.engine import open_spark
from tests.engine.test_laws import agree
from tests.oracle import judge
from tests.strategies import Case, cases

_NOW = datetime.fromisoformat("2026-11-24T00:00:00+00:00")
_SNAPSHOT = {"snapshot": 0, "files": 0, "rows": 0, "inputs_digest": "sha256:" + "0" * 64}
_ARROW = {"timestamptz": pa.timestamp("us", tz="UTC"), "bigint": pa.int64(), "blob": pa.binary()}
_DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def duck() -> Iterator[SliceEngine]:
    """DuckDB as an engine of slices."""
    with connect() as connection:
        yield DuckSlices(connection)


@pytest.fixture(scope="module")
def sail() -> Iterator[SliceEngine]:
    """A session with a server of Spark Connect that needs no Java."""
    pytest.importorskip("pysail", reason="pysail is not installed")
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        engine = open_spark(f"sc://127.0.0.1:{server.listening_address[1]}")
        yield engine
        engine.close()
    server.stop()


def check(engine: SliceEngine, case: Case, path: Path) -> None:
    """Compare the report of an engine with the oracle's."""
    columns = {
        name: pa.array([getattr(event, name, None) for event in case.events], _ARROW.get(COLUMNS[name], pa.string()))
        for name in FILE_COLUMNS
    }
    path = path.with_name(f"{uuid4()}.parquet")  # DuckDB remembers the footer of a file by its name and time
    pq.write_table(pa.table(columns), path)
    question = Question(case.as_of, case.since, case.until)
    files = SliceFiles([path] if case.events else [], len(case.events))
    (answers,) = evaluate_by_slices(engine, files, [(case.policy, question)], case.policies)
    report = report_dict(build_report(answers, generated_at=_NOW, lake_id="x", snapshot=_SNAPSHOT))
    oracle = judge(
        case.events, case.policy, case.policies, as_of=case.as_of, since=case.since, until=case.until,
        where=case.where_callable,
    )  # fmt: skip

    agree(report, oracle)


@given(case=cases())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_slices_equal_oracle(duck: SliceEngine, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """Whatever the events, the policy and the period: the answer by slices is the oracle's."""
    check(duck, case, tmp_path_factory.getbasetemp() / "duck.parquet")


@pytest.mark.soak
@given(case=cases())
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_slices_equal_oracle_at_length(duck: SliceEngine, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """The same over many more cases."""
    check(duck, case, tmp_path_factory.getbasetemp() / "duck.parquet")


@given(case=cases())
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_spark_equals_oracle(sail: SliceEngine, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """The same through Spark Connect, with conditions that DuckDB evaluates in the executors."""
    check(sail, case, tmp_path_factory.getbasetemp() / "sail.parquet")


@pytest.mark.soak
@given(case=cases())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_spark_equals_oracle_at_length(sail: SliceEngine, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """The same over many more cases."""
    check(sail, case, tmp_path_factory.getbasetemp() / "sail.parquet")


PLAIN = Policy("p", "P", "", ("login",), None, 3, window=Duration("24h", 86_400_000_000))
REFUSED = {
    "the measure distinct": {"measure": "distinct"},
    "a scope": {"scope": "user_id is not null"},
    "fields": {"fields": {"user_id": 1}},
    "max_gap by type": {"max_gap": {"login": 1}},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_slices_is_refused(duck: SliceEngine, what: str) -> None:
    """What an engine of slices cannot be asked is refused by name, and never approximated."""
    now = datetime(2026, 3, 5, tzinfo=UTC)
    asked = [(replace(PLAIN, **REFUSED[what]), Question(now, now - _DAY, now))]
    with pytest.raises(EngineError, match=re.escape(f"the engine slices cannot be asked for p ({what})")):
        next(evaluate_by_slices(duck, SliceFiles([], 0), asked, [PLAIN]))


@pytest.mark.parametrize("window_us", [1, 7_000_000, 3_600_000_000, 90_000_000_000, 86_400_000_000, 604_800_000_000])
@pytest.mark.parametrize("rows", [0, 10, 10_000_000, 10**12])
def test_a_slice_divides_day_and_window(window_us: int, rows: int) -> None:
    """Whatever the window and however many events: whole slices make a window and a day."""
    now = datetime(2026, 3, 5, tzinfo=UTC)
    policy = replace(PLAIN, window=Duration("w", window_us))
    length = slice_us(policy, Question(now, now - 365 * _DAY, now), rows)

    assert (window_us % length, 86_400_000_000 % length) == (0, 0)


def test_no_server() -> None:
    """An address that nothing listens on is an error that says so."""
    with pytest.raises(EngineError, match="expected duckdb, slices or sc://HOST:PORT, got 'spark'"):
        open_spark("spark")
    with pytest.raises(EngineError, match=r"^no server answers at sc://127\.0\.0\.1:1: "):
        open_spark("sc://127.0.0.1:1/;token=secret")
