"""DuckDB as an engine of slices: less memory than the rolling counts of ``sql/policies``, for more work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from auditlake.engine import duck
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Leaf, Row
from auditlake.engine.sql_text import identifier
from auditlake.engine.statements import statement


class DuckSlices:
    """An engine of slices on a connection.

    Args:
        connection: The DuckDB.
    """

    name = "slices"

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._engine = DuckEngine(connection)

    def leaf(self, leaf: Leaf, files: Sequence[Path], last_batch: int | None) -> None:
        """Make ``leaf``, a table, and the view ``everything``."""
        duck.view_events(self._engine.connection, files, last_batch=last_batch)
        self._engine.rows(statement("slices/leaf.sql", "everything").text)
        self.define("leaf", leaf.sql, leaf.parameters, is_kept=True)

    def table(self, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        """Make a table of rows."""
        import pyarrow as pa

        kinds = {"bigint": pa.int64(), "string": pa.string()}
        values = {column: [row[at] for row in rows] for at, column in enumerate(columns)}
        schema = pa.schema([(column, kinds[kind]) for column, kind in columns.items()])
        duck.keep_rows(self._engine.connection, name, pa.table(values, schema=schema))

    def define(self, name: str, sql: str, parameters: Mapping[str, object], *, is_kept: bool) -> None:  # noqa: ARG002
        """Make a table of what a statement returns."""
        self._engine.rows(f"create or replace temp table {identifier(name)} as {sql}", parameters)

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run a statement and return its rows."""
        return self._engine.rows(sql, parameters)

    def close(self) -> None:
        """Close the connection."""
        self._engine.close()
