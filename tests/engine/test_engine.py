"""Policies ask an engine for four verbs and know two errors; whatever has those may answer them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.engine import duck
from auditlake.engine.arrow_rows import ArrowRows
from auditlake.engine.duck import beside, connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Engine, RangeError, Row, StatementError
from auditlake.policies.evaluate import evaluate
from auditlake.policies.question import Question
from auditlake.reports.build import build_report
from tests.lakes import create

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Recorder:
    """The four verbs and nothing else; remembers what was run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.steps: list[str] = []

    def leaf(self, files: Sequence[Path]) -> None:
        """Pass it on."""
        self._engine.leaf(files)

    def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> list[Row]:
        """Pass it on, and remember its name."""
        self.steps.append(name)
        return self._engine.step(name, sql, parameters)

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Pass it on."""
        return self._engine.rows(sql, parameters)

    def close(self) -> None:
        """Pass it on."""
        self._engine.close()


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """Seven failed logins of one user within an hour."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    for minute in range(7):
        at = NOW - timedelta(minutes=5 * minute)
        lake.log(AuditEvent("auth_failure", timestamp=at, user_id="ana", status="failure"))
    lake.flush()
    return lake


def test_four_verbs_are_enough(lake: AuditLake) -> None:
    """Over the snapshot's files alone, an engine of the four verbs gives what the lake's own report says."""
    known, made = lake.policies.all(), lake.report("failed_logins").report
    (policy,) = (each for each in known if each.id == "failed_logins")
    engine = Recorder(DuckEngine(connect()))
    engine.leaf(sorted(lake.layout.events.rglob("*.parquet")))
    (answers,) = evaluate(engine, [(policy, Question(made.as_of, made.since, made.until))], known)
    report = build_report(answers, generated_at=made.generated_at, lake_id="", snapshot=_evidence(made))
    engine.close()
    assert replace(report, evidence=made.evidence) == made
    assert [finding.peak for finding in report.violations] == [7]
    assert {"moments", "rolling_counts", "required_types", "retention"} <= set(engine.steps)


def _evidence(made: object) -> dict[str, object]:
    evidence = made.evidence  # type: ignore[attr-defined]
    return {name: getattr(evidence, name) for name in ("snapshot", "files", "rows", "inputs_digest")}


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("select cast('x' as int)", StatementError),
        ("select no_such_function()", StatementError),
        ("select cast(10::bigint ** 30 as bigint)", StatementError),
        ("select 9223372036854775807::bigint + range from range(2)", RangeError),
    ],
)
def test_its_errors_are_translated(sql: str, error: type[StatementError]) -> None:
    """What a statement does wrong is said in one line, with what DuckDB raised as its cause."""
    engine = DuckEngine(connect())
    with pytest.raises(error) as caught:
        engine.rows(sql)
    assert isinstance(caught.value.cause, duckdb.Error)
    assert "\n" not in str(caught.value)
    engine.close()


def test_others_are_not(tmp_path: Path) -> None:
    """A file that is not there is no fault of the statement."""
    engine = DuckEngine(connect())
    with pytest.raises(duckdb.IOException):
        engine.leaf([tmp_path / "event_date=2026-01-01" / "none.parquet"])
    engine.close()


def test_a_connection_beside_another_is_in_utc() -> None:
    """Another connection to a DuckDB reads times in UTC, whatever the zone of the machine is."""
    with connect() as database:
        database.execute("set global timezone = 'Asia/Tokyo'")
        with beside(database) as connection:
            ((hours,),) = connection.execute("select date_part('hour', to_timestamp(0))").fetchall()
    assert hours == 0


def test_many_rows_are_kept_where_numpy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Arrow is kept from importing numpy, rows are made: what is made of kept ones needs it."""
    monkeypatch.setattr(duck, "MANY", 2)
    with connect() as connection:
        assert isinstance(duck.kept(connection, "from range(2)"), ArrowRows)
        monkeypatch.setitem(sys.modules, "numpy", None)
        assert duck.kept(connection, "from range(2)") == [(0,), (1,)]
