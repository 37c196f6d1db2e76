"""By slices of time, on DuckDB and on a server of Spark Connect, the answers are the oracle's."""

from __future__ import annotations

import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread, local
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake.engine.duck import connect, view_events
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.duck_slices import DuckSlices
from auditlake.engine.model import SliceEngine
from auditlake.errors import EngineError
from auditlake.events.durations import Duration
from auditlake.events.schema import COLUMNS, FILE_COLUMNS
from auditlake.policies.by_group import SliceFiles
from auditlake.policies.deleted_days import Deletion
from auditlake.policies.evaluate import evaluate
from auditlake.policies.hours import Hours, parse_hours
from auditlake.policies.model import GapRule, Policy
from auditlake.policies.question import Question
from auditlake.policies.slices import evaluate_by_slices, slice_us
from auditlake.reports.build import build_report
from auditlake.reports.document import report_dict
from auditlake.spark import engine
from auditlake.spark.engine import open_spark
from tests.engine.test_laws import agree
from tests.oracle import judge
from tests.policies.test_coverage_law import asked
from tests.strategies import Case

_NOW = datetime.fromisoformat("2026-11-24T00:00:00+00:00")
_SNAPSHOT = {"snapshot": 0, "files": 0, "rows": 0, "inputs_digest": "sha256:" + "0" * 64}
_ARROW = {"timestamptz": pa.timestamp("us", tz="UTC"), "bigint": pa.int64(), "blob": pa.binary()}
_DAY = timedelta(days=1)
ROWS = (0, 6_000_000)
"""How many events there are, as engines are told: a few, or so many that groups are judged in three parts."""
Drawn = tuple[Case, Any, dict[str, date]]
"""A case, its scope in Python, and of which days certificates say that events were deleted."""


@pytest.fixture(scope="module")
def duck() -> Iterator[DuckSlices]:
    """DuckDB as an engine of slices."""
    with connect() as connection:
        yield DuckSlices(connection)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server of Spark Connect that needs no Java."""
    pytest.importorskip("pysail", reason="pysail is not installed")
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    yield f"sc://127.0.0.1:{server.listening_address[1]}"
    server.stop()


@pytest.fixture(scope="module")
def sail(server: str) -> Iterator[SliceEngine]:
    """A session with that server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        with closing(open_spark(server)) as engine:
            yield engine


def check(
    engine: SliceEngine, path: Path, case: Case, scope: Any, taken: dict[str, date], rows: int | None = None
) -> None:
    """Compare the report of an engine with the oracle's; it is told that there are so many events."""
    columns = {
        name: pa.array([getattr(event, name, None) for event in case.events], _ARROW.get(COLUMNS[name], pa.string()))
        for name in FILE_COLUMNS
    }
    path = path.with_name(f"{uuid4()}.parquet")  # DuckDB remembers the footer of a file by its name and time
    pq.write_table(pa.table(columns), path)
    policy, others = case.policy, [each for each in case.policies if each.id != case.policy.id]
    policies, question = [policy, *others], Question(case.as_of, case.since, case.until)
    files = SliceFiles([path] if case.events else [], len(case.events) if rows is None else rows)
    lost = [Deletion({}, frozenset(), lost={name: (day, day) for name, day in taken.items()})]
    (answers,) = evaluate_by_slices(engine, files, [(policy, question)], policies, deleted=lost)
    report = report_dict(build_report(answers, generated_at=_NOW, lake_id="x", snapshot=_SNAPSHOT))
    oracle = judge(
        case.events, policy, policies, as_of=case.as_of, since=case.since, until=case.until,
        where=case.where_callable, scope=scope if policy.scope is not None else None,
        taken={name: day.isoformat() for name, day in taken.items()},
    )  # fmt: skip

    agree(report, oracle)


@given(drawn=asked(), is_one=st.booleans(), rows=st.sampled_from(ROWS))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_slices_equal_oracle(
    duck: DuckSlices, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn, is_one: bool, rows: int
) -> None:
    """Whatever the events, the policy, its scope and fields, and the period: the answer by slices is the oracle's, also
    where groups are counted by slices, or in three parts.
    """
    duck.is_one = is_one
    check(duck, tmp_path_factory.getbasetemp() / "duck.parquet", *drawn, rows)


@pytest.mark.soak
@given(drawn=asked(), is_one=st.booleans(), rows=st.sampled_from(ROWS))
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_slices_equal_oracle_at_length(
    duck: DuckSlices, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn, is_one: bool, rows: int
) -> None:
    """The same over many more cases."""
    duck.is_one = is_one
    check(duck, tmp_path_factory.getbasetemp() / "duck.parquet", *drawn, rows)


@given(drawn=asked())
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_spark_equals_oracle(sail: SliceEngine, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> None:
    """The same through Spark Connect, with conditions that DuckDB evaluates in the executors."""
    check(sail, tmp_path_factory.getbasetemp() / "sail.parquet", *drawn)


@pytest.mark.soak
@given(drawn=asked())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_spark_equals_oracle_at_length(
    sail: SliceEngine, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn
) -> None:
    """The same over many more cases."""
    check(sail, tmp_path_factory.getbasetemp() / "sail.parquet", *drawn)


PLAIN = Policy("p", "P", "", ("login",), None, 3, window=Duration("24h", 86_400_000_000))
REFUSED = {
    "baseline without groups": {"measure": "baseline"},
    "first_seen by groups that its entity does not tell": {
        "measure": "first_seen", "more": {"first_seen": {"entity": ("user_id",)}}, "group_by": ("action",),
    },
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_slices_is_refused(duck: SliceEngine, what: str) -> None:
    """What an engine of slices cannot be asked is refused by name, and never approximated."""
    now = datetime(2026, 3, 5, tzinfo=UTC)
    asked = [(replace(PLAIN, **REFUSED[what]), Question(now, now - _DAY, now))]
    with pytest.raises(EngineError, match=re.escape(f"the engine slices cannot be asked for p ({what})")):
        next(evaluate_by_slices(duck, SliceFiles([], 0), asked, [PLAIN]))


def test_gaps_in_hours(duck: SliceEngine, tmp_path: Path) -> None:
    """Where silence counts in some hours only, the gaps are those of the usual statements: between long stretches there
    are others, the last stretch is open, and each type has hours of its own.
    """
    hours = Hours("Mon-Fri 08:00-18:00", "Europe/Berlin", parse_hours("Mon-Fri 08:00-18:00"))
    rules = {
        "login": GapRule(Duration("5h", 18_000_000_000), hours),
        "logout": GapRule(Duration("2d", 2 * 86_400_000_000)),
    }
    policy = replace(PLAIN, required_events=("login", "logout"), alert_threshold=None, max_gap=rules)
    beats = [_NOW + n * timedelta(hours=7) for n in (0, 1, 2, 9, 10, 11, 14, 20, 21)]
    columns = {name: pa.array([None] * 18, _ARROW.get(COLUMNS[name], pa.string())) for name in FILE_COLUMNS}
    columns["event_type"] = pa.array(["login"] * 9 + ["logout"] * 9)
    columns["timestamp"] = pa.array([*beats, *(2 * _DAY + at for at in beats)], _ARROW["timestamptz"])
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), path)
    asked = [(policy, Question(_NOW + 12 * _DAY, _NOW + _DAY, _NOW + 11 * _DAY))]
    with connect() as connection:
        view_events(connection, [path])
        (usual,) = evaluate(DuckEngine(connection), asked, [policy])
    (ours,) = evaluate_by_slices(duck, SliceFiles([path], 18), asked, [policy])

    assert ours.rows["coverage_gaps"] == usual.rows["coverage_gaps"]
    assert {name for name, *_ in ours.rows["coverage_gaps"]} == {"login", "logout"}
    assert len(ours.rows["coverage_gaps"]) > 3


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


def test_what_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that listens and speaks no Spark Connect is told in words, after a few tries instead of ten minutes."""
    with engine._main_of_file():
        why = "pyspark-client is not installed"
        sessions = pytest.importorskip("pyspark.sql.connect.session", reason=why).SparkSession
    monkeypatch.setattr(engine, "_RETRIES", 0)
    monkeypatch.setattr(sessions, "_default_session", None)
    monkeypatch.setattr(sessions, "_active_session", local())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as caller:
                        caller.sendall(b"HTTP/1.1 400 no\r\n\r\n")

        Thread(target=answer, daemon=True).start()
        with pytest.raises(EngineError, match=rf"no server of Spark Connect answers at sc://127\.0\.0\.1:{port}: "):
            open_spark(f"sc://127.0.0.1:{port}/;token=secret")
        listener.shutdown(socket.SHUT_RDWR)
    assert sessions.getActiveSession() is None  # or later sessions would ask it, too


def test_a_server_that_goes(tmp_path: Path) -> None:
    """A server that ends between two statements is told in words, and to give the session back takes no time."""
    pytest.importorskip("pysail", reason="pysail is not installed")
    from pysail.spark import SparkConnectServer

    served = SparkConnectServer("127.0.0.1", 0)
    served.start(background=True)
    address = f"sc://127.0.0.1:{served.listening_address[1]}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with closing(open_spark(address)) as session:
            session._session.client.set_retry_policies([])
            served.stop()
            with pytest.raises(
                EngineError, match=f"^a statement failed: no server of Spark Connect answers at {address}: "
            ):
                session.rows("select 1")
