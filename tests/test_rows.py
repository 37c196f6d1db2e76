"""The rows of an answer, as readers of the DB-API expect them: those of a lake's owner and those of an auditor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import auditlake
from auditlake.errors import QueryError
from auditlake.query.rows import Rows, Table
from auditlake.sandbox.answer import Answer
from auditlake.sandbox.model import Outcome
from tests.lakes import create

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
ROWS = [("a", 1, NOW), ("b", None, NOW)]
COLUMNS = ["col0", "col1", "col2"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> auditlake.AuditLake:
    return create(tmp_path_factory.mktemp("rows") / "lake", clock=lambda: NOW)


def answer(table: pa.Table) -> Answer:
    return Answer(table, Outcome("ok", ""), 1, "e")


def owner(lake: auditlake.AuditLake) -> Rows:
    return lake.sql("values ('a', 1, $at), ('b', null, $at)", {"at": NOW})


def auditor(lake: auditlake.AuditLake) -> Answer:
    return answer(owner(lake).arrow())


@pytest.mark.parametrize("ask", [owner, auditor])
def test_rows(lake: auditlake.AuditLake, ask: Callable[[auditlake.AuditLake], Table]) -> None:
    """They have a length and names, are iterated over again and again, and are whole tables of every kind."""
    rows = ask(lake)

    assert (len(rows), rows.columns, bool(rows)) == (2, COLUMNS, True)
    assert list(rows) == list(rows) == rows.fetchall() == ROWS
    assert pl.DataFrame(rows).rows() == rows.pl().rows() == ROWS
    assert pa.table(rows) == rows.arrow()
    assert rows.df()["col0"].to_list() == ["a", "b"]


@pytest.mark.parametrize("ask", [owner, auditor])
def test_one_after_the_other(lake: auditlake.AuditLake, ask: Callable[[auditlake.AuditLake], Table]) -> None:
    """fetchone gives the next row and None after the last; other ways of reading do not move it on."""
    rows = ask(lake)

    assert rows.fetchone() == ROWS[0]
    assert list(rows) == ROWS
    assert [rows.fetchone() for _ in range(3)] == [ROWS[1], None, None]
    assert rows.fetchall() == ROWS


def test_no_rows(lake: auditlake.AuditLake) -> None:
    """Without rows the length is 0; a query that fails says so, whatever is asked of it."""
    empty, wrong = lake.sql("select * from events"), lake.sql("select nothing from events")

    assert (len(empty), list(empty), empty.fetchone(), bool(empty)) == (0, [], None, False)
    for ask in (len, list, bool, Rows.fetchone):
        with pytest.raises(QueryError, match="nothing"):
            ask(wrong)


def test_reading_runs_the_query_once(lake: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of the rows takes one run of the query, and their length is known from then on."""
    rows, runs = owner(lake), []

    class Counting:
        def sql(self, *args: Any, **options: Any) -> Any:
            runs.append(args)
            return connection.sql(*args, **options)

    connection = rows._connection
    monkeypatch.setattr(rows, "_connection", Counting())

    assert (list(rows), len(rows), len(runs)) == (ROWS, 2, 1)
