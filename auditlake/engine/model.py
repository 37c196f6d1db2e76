"""What policies and reports ask of an engine: four verbs, and two errors in place of those of its library."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from auditlake.errors import QueryError

Row = tuple[Any, ...]


class Engine(Protocol):
    """Runs the statements of ``sql/policies`` over the events of one snapshot. Instants are aware, in UTC."""

    def leaf(self, files: Sequence[Path]) -> None:
        """Make ``events``, which every statement reads, of the rows of exactly these data files."""

    def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> Sequence[Row]:
        """Run one statement of a script; return its rows, none where it makes the table or view of that name. Where
        they are many, each may be made when it is looked at.
        """

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run one statement by itself and return its rows."""

    def close(self) -> None:
        """Give back what the engine holds."""


class SliceEngine(Protocol):
    """Runs the statements of ``sql/slices``, which mean the same on every engine: whole numbers and texts, no order but
    that of windows. Instants are microseconds since 1970.
    """

    name: str
    """What the engine is, for the line of a run."""

    def leaf(self, leaf: Leaf, files: Sequence[Path], last_batch: int | None) -> None:
        """Make ``leaf`` of the governed events in exactly these data files, and ``everything`` of all events in them.

        Args:
            leaf: What is asked of each governed event.
            files: The files of a snapshot.
            last_batch: Only rows of batches up to this one count; all if None.
        """

    def table(self, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        """Make a small table of rows; each column is named with its type, ``bigint`` or ``string``."""

    def define(self, name: str, sql: str, parameters: Mapping[str, object], *, is_kept: bool) -> None:
        """Give what a statement returns a name; what is read twice is kept."""

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run a statement and return its rows, in any order."""

    def close(self) -> None:
        """Give back what the engine holds."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is asked of each governed event, before any engine counts it."""

    types: tuple[str, ...]
    sql: str
    """The statement ``leaf`` of ``sql/slices``, filled, in DuckDB's SQL over ``events``."""
    parameters: Mapping[str, object]
    """What it binds."""
    group_by: tuple[str, ...] | None
    """The columns of the group where the engine can say all of it by itself: no condition, no hold, no expression."""
    columns: tuple[str, ...]
    """The columns of events that it reads."""


def engine_name(text: str) -> str:
    """Return the name of an engine, if it is one.

    Raises:
        ValueError: It is none.
    """
    if text not in ("duckdb", "slices") and not re.fullmatch(r"sc://[^\s/?#@;]+(/(;[^\s]*)?)?", text):
        raise ValueError("expected duckdb, slices or sc://HOST:PORT")
    return text


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
