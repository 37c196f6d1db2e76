"""What policies and reports ask of an engine: four verbs, and two errors in place of those of its library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from auditlake.errors import QueryError

Row = tuple[Any, ...]


class Engine(Protocol):
    """Runs the statements of ``sql/policies`` over the events of one snapshot. Instants are aware, in UTC."""

    def leaf(self, files: Sequence[Path]) -> None:
        """Make ``events``, which every statement reads, of the rows of exactly these data files."""

    def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> list[Row]:
        """Run one statement of a script; return its rows, none where it makes the table or view of that name."""

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run one statement by itself and return its rows."""

    def close(self) -> None:
        """Give back what the engine holds."""


class StatementError(QueryError):
    """A statement cannot be evaluated on these events; the disk, memory and interruptions are not meant.

    Args:
        cause: What the engine's library raised: a few of those errors may also come of a damaged file.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(next(iter(str(cause).strip().splitlines()), type(cause).__name__))
        self.cause = cause


class RangeError(StatementError):
    """A number has no room in its type: a wider one may do."""
