"""DuckDB as an engine: a connection whose errors are those of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from auditlake.engine import duck
from auditlake.engine.model import RangeError, Row, StatementError

_OF_STATEMENTS = (duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.DataError)


class DuckEngine:
    """An engine on a connection.

    Args:
        connection: The DuckDB, with the view ``events`` unless :meth:`leaf` makes it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def leaf(self, files: Sequence[Path]) -> None:
        """Make the view ``events`` of exactly these data files."""
        duck.view_events(self.connection, files)

    def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> list[Row]:  # noqa: ARG002
        """Run one statement of a script; DuckDB has its name from the statement itself."""
        return self.rows(sql, parameters)

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run one statement and return its rows.

        Raises:
            StatementError: It cannot be evaluated on these events.
        """
        try:
            return duck.rows(self.connection, sql, parameters)
        except duckdb.OutOfRangeException as error:
            raise RangeError(error) from error
        except _OF_STATEMENTS as error:
            raise StatementError(error) from error

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
