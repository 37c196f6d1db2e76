"""What a query gives: rows that are fetched when asked for, in the form that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from auditlake.engine.duck import rows, table_rows
from auditlake.errors import QueryError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Rows:
    """The rows of a query on one snapshot. Every call runs the query again, on the same snapshot."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> None:
        self._connection = connection
        self.sql = sql
        """What runs."""
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
        import duckdb  # noqa: PLC0415 - slow to import

        try:
            relation = self._connection.sql(self.sql, params=self.parameters or None)
        except duckdb.Error as error:
            raise query_error(error) from error
        if relation is None:
            message = "the statement gives no rows: expected a query"
            raise QueryError(message, hint="the lake is changed by its own verbs, not by SQL")
        return relation

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table."""
        import duckdb  # noqa: PLC0415

        relation = self.relation()
        try:
            return relation.to_arrow_table()
        except duckdb.Error as error:
            raise query_error(error) from error

    def pl(self) -> pl.DataFrame:
        """All rows as a Polars frame, without copying where Polars can use Arrow's memory."""
        import polars  # noqa: PLC0415, ICN001 - slow to import

        frame = polars.from_arrow(self.arrow())
        assert isinstance(frame, polars.DataFrame)  # noqa: S101 - a table gives a frame
        return frame

    def df(self) -> pd.DataFrame:
        """All rows as a pandas frame; needs pandas installed."""
        return self.arrow().to_pandas()

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as tuples; instants are aware, in UTC."""
        import duckdb  # noqa: PLC0415

        try:
            return rows(self._connection, self.sql, self.parameters)
        except duckdb.Error as error:
            raise query_error(error) from error

    def batches(self, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """All rows as tuples, some at a time, without holding them all."""
        for batch in self.relation().to_arrow_reader(size):
            yield table_rows(batch)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def __repr__(self) -> str:
        return f"<Rows of {' '.join(self.sql.split())[:80]!r}; .pl(), .arrow(), .df() or .fetchall() gives them>"


def query_error(error: Exception) -> QueryError:
    """DuckDB's complaint in one line."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return QueryError(f"the query failed: {first}", hint="")
