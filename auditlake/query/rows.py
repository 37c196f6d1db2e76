"""What a query gives: rows that are fetched when asked for, in the form that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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


SHOWN_ROWS = 20
"""How many rows a notebook shows."""
BATCH = 16_384
"""How many rows a record batch has, if the caller does not say."""


class Table(Shown):
    """Rows with named columns, as a table of Arrow, Polars or pandas, or as tuples one by one."""

    _unread: Iterator[tuple[Any, ...]] | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.arrow().column_names)

    def arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        raise NotImplementedError

    def to_batches(self, size: int = BATCH) -> pa.RecordBatchReader:
        """Return a reader of the rows as Arrow record batches, so many rows at a time."""
        return self.arrow().to_reader(size)

    def batches(self, size: int = BATCH) -> Iterator[list[tuple[Any, ...]]]:
        """Give all rows as tuples, some at a time, without holding them all."""
        for batch in self.to_batches(size):
            yield python_rows(batch)

    def pl(self) -> pl.DataFrame:
        """Return all rows as a Polars frame, without copying what Polars can use in Arrow's memory."""
        return polars_frame(self.arrow())

    def df(self) -> pd.DataFrame:
        """Return all rows as a pandas frame; needs pandas installed."""
        return pandas_frame(self.arrow(), split_blocks=True)  # each column by itself: numbers need no copy

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return the rows for any reader of Arrow, such as ``pl.DataFrame(rows)`` or a chart, without copying."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples; instants are aware, in UTC.

        Raises:
            QueryError: As :meth:`arrow`, or Python has no such value, as for a date of the year 10000.
        """
        return python_rows(self.arrow())

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, from the first call on; None once there are no more. No other method moves it on."""
        if self._unread is None:
            self._unread = iter(self)
        return next(self._unread, None)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def __len__(self) -> int:
        return int(self.arrow().num_rows)


class Rows(Table):
    """The rows of a query on one snapshot. Each fetch runs the query again, on the same snapshot."""

    _length: int | None = None

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
        return list(self.relation().columns)

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return a lazy DuckDB relation.

        Raises:
            QueryError: The SQL does not run, or gives no rows by its nature.
        """
        with self._explained():
            relation = self._connection.sql(self.sql, params=self.parameters or None)
        if relation is None:
            message = "the statement gives no rows: expected a query"
            raise QueryError(message, hint="the lake is changed by its own verbs, not by SQL")
        return relation

    def arrow(self) -> pa.Table:
        """Return all rows as an Arrow table. What Arrow has no place for, such as an interval or a UHUGEINT, is text.

        Raises:
            QueryError: The query failed, or has a value that Arrow would change: a number of more than 38 digits, or
                infinity for a time.
        """
        with self._explained():
            return refuse_inexact(self._exact().to_arrow_table())

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples; none if the statement gives none by its nature.

        Raises:
            QueryError: As :meth:`arrow`, or Python has no such value, as for a date of the year 10000.
        """
        rows: list[tuple[Any, ...]] = []
        with self._explained():
            relation = self._connection.sql(self.sql, params=self.parameters or None)
            if relation is not None:
                rows = python_rows(refuse_inexact(exact(relation).to_arrow_table()))
        self._length = len(rows)
        return rows

    def __len__(self) -> int:
        if self._length is None:
            with self._explained():
                self._length = len(self.relation())
        return self._length

    def to_batches(self, size: int = BATCH) -> pa.RecordBatchReader:
        """Return a reader of the rows as Arrow record batches, so many rows at a time, which does not hold them all.

        Raises:
            QueryError: As :meth:`arrow`, when it comes to such a value.
        """
        from pyarrow import RecordBatchReader

        with self._explained():
            reader = self._exact().to_arrow_reader(size)
        return RecordBatchReader.from_batches(reader.schema, self._read(reader))

    def _read(self, reader: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with self._explained():
            for batch in reader:
                yield refuse_inexact(batch)

    def __repr__(self) -> str:
        return f"<Rows of {' '.join(self.sql.split())[:80]!r}; .pl(), .arrow(), .df() or .fetchall() gives them>"

    def _card(self) -> Card:
        table = self._head(SHOWN_ROWS + 1)
        rows = python_rows(refuse_inexact(table))
        title = f"{SHOWN_ROWS} of more rows" if len(rows) > SHOWN_ROWS else count(len(rows), "row")
        query = cut(" ".join(" ".join(line for line in self.sql.splitlines() if not line.startswith("--")).split()))
        return Card(
            "rows", title, facts=(CardFact("query", query),), headings=tuple(map(cut, table.column_names)),
            rows=cells(rows[:SHOWN_ROWS]), note=".pl(), .arrow(), .df() or .fetchall() gives them all",
        )  # fmt: skip

    def _head(self, many: int) -> pa.Table:
        """Return the first rows."""
        with self._explained():
            return self._exact().limit(many).to_arrow_table()

    def _exact(self) -> duckdb.DuckDBPyRelation:
        return exact(self.relation())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what DuckDB could not do as one line."""
        try:
            yield
        except FAILURES as error:
            raise self._explain(error) from error
