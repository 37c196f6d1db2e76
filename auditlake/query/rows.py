"""What a query gives: rows that are fetched when asked for, in the form that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from auditlake.display.cards import Card, CardFact, Shown, cells, cut
from auditlake.display.text import count
from auditlake.engine.arrow_rows import exact, pandas_frame, polars_frame, python_rows, refuse_inexact
from auditlake.errors import AuditLakeError, QueryError
from auditlake.store.failures import FAILURES

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa


_SHOWN = 20


class Rows(Shown):
    """The rows of a query on one snapshot. Every call runs the query again, on the same snapshot."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        sql: str,
        parameters: Mapping[str, Any] | None,
        explain: Callable[[Exception], AuditLakeError],
    ) -> None:
        self._connection = connection
        self._explain = explain
        self.sql = sql
        """What runs."""
        if not isinstance(parameters, Mapping | None):
            raise QueryError(
                f"expected parameters by name, got {type(parameters).__name__}", hint="$name and {'name': …}"
            )
        self.parameters = dict(parameters or {})
        """The values it binds."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        names: list[str] = self.relation().columns
        return names

    def relation(self) -> duckdb.DuckDBPyRelation:
        """A lazy DuckDB relation.

        Raises:
            QueryError: The SQL does not run, or gives no rows by its nature.
        """
        with self._told():
            relation = self._connection.sql(self.sql, params=self.parameters or None)
        if relation is None:
            message = "the statement gives no rows: expected a query"
            raise QueryError(message, hint="the lake is changed by its own verbs, not by SQL")
        return relation

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table. What Arrow has no place for, such as an interval or a UHUGEINT, is text.

        Raises:
            QueryError: The query failed, or has a value that Arrow would change: a number of more than 38 digits, or
                infinity for a time.
        """
        with self._told():
            return refuse_inexact(self._exact().to_arrow_table())

    def pl(self) -> pl.DataFrame:
        """All rows as a Polars frame, without copying where Polars can use Arrow's memory."""
        return polars_frame(self.arrow())

    def df(self) -> pd.DataFrame:
        """All rows as a pandas frame; needs pandas installed."""
        return pandas_frame(self.arrow(), split_blocks=True)  # each column by itself: numbers need no copy

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The rows for whatever reads Arrow, such as ``pl.DataFrame(rows)`` or a chart, without copying."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as tuples; instants are aware, in UTC.

        Raises:
            QueryError: As :meth:`arrow`, or Python has no such value, as for a date of the year 10000.
        """
        with self._told():
            relation = self._connection.sql(self.sql, params=self.parameters or None)
            if relation is None:
                return []
            return python_rows(refuse_inexact(exact(relation).to_arrow_table()))

    def batches(self, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """All rows as tuples, some at a time, without holding them all."""
        with self._told():
            for batch in self._exact().to_arrow_reader(size):
                yield python_rows(refuse_inexact(batch))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def __repr__(self) -> str:
        return f"<Rows of {' '.join(self.sql.split())[:80]!r}; .pl(), .arrow(), .df() or .fetchall() gives them>"

    def _card(self) -> Card:
        with self._told():
            table = self._exact().limit(_SHOWN + 1).to_arrow_table()
        found = python_rows(refuse_inexact(table))
        said = f"{_SHOWN} of more rows" if len(found) > _SHOWN else count(len(found), "row")
        query = cut(" ".join(" ".join(line for line in self.sql.splitlines() if not line.startswith("--")).split()))
        return Card(
            "rows", said, facts=(CardFact("query", query),), headings=tuple(map(cut, table.column_names)),
            rows=cells(found[:_SHOWN]), note=".pl(), .arrow(), .df() or .fetchall() gives them all",
        )  # fmt: skip

    def _exact(self) -> duckdb.DuckDBPyRelation:
        return exact(self.relation())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what DuckDB could not do, in one line."""
        try:
            yield
        except FAILURES as error:
            raise self._explain(error) from error
