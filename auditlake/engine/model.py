"""What policies and reports ask of an engine: four verbs, and two errors in place of those of its library."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from auditlake.engine.sql_text import Batches
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


@dataclass(frozen=True, slots=True)
class Summary:
    """A statement that counts the events of each data file by itself: its rows are kept, since files never change."""

    name: str
    """The temporary table that its rows are laid out in."""
    sql: str
    """The statement over ``events``, which has the column ``file_index`` beside those of an event: the number of the
    row's data file. That is the first column that it gives, and one by which it groups. Values stand in the text, no
    instant of a question among them; numbers have at most 64 bits."""
    macros: tuple[str, ...] = ()
    """Statements that make the macros which it calls."""
    elsewhere: tuple[Sequence[tuple[frozenset[str], frozenset[str]]], Callable[[], str]] | None = None
    """What makes a statement that gives the same of most data files and reads less: of those that have no event of some
    types, or in whose events any of some columns of text is always filled."""
    adds_up: bool = False
    """Whether rows are kept that are added up over the files of a month: by file they would be nearly as many as the
    events. The last column is then a number of events, the others say of what; what is laid out may have no ``day``."""


class Summaries(Protocol):
    """What is known of the data files of a snapshot without their rows."""

    def lay_out(
        self, summary: Summary, days: Collection[int] | None = None, instants: Sequence[datetime] = ()
    ) -> None:  # fmt: skip
        """Make the temporary table of a summary: the rows of several files, to be put together by counting again.

        In the place of the statement's first column it has ``day``, the file's, and ``stretch``: how many of the
        instants lie before the events that a row counts. No row counts events before and after an instant.

        Args:
            summary: The statement, and the name of the table.
            days: The days whose files count, since 1970; all if None.
            instants: What is told apart, in order. An event at an instant counts as before it.

        Raises:
            StatementError: The statement cannot be evaluated on these events.
        """


class SliceEngine(Protocol):
    """Runs the statements of ``sql/slices``, which mean the same on every engine: whole numbers and texts, no order but
    that of windows. Instants are microseconds since 1970.
    """

    name: str
    """What the engine is, for the line of a run."""
    is_one: bool
    """Whether it is one process: that takes less memory and time to count group by group than by slices of time."""
    in_a_part: int
    """How many events of the lake a part is to have, more or less."""

    def leaf(self, leaf: Leaf, files: Sequence[Path], batches: Batches | None) -> None:
        """Make ``leaf`` of the governed events in exactly these data files, and ``everything`` of all events in them.

        Args:
            leaf: What is asked of each governed event.
            files: The files of a snapshot.
            batches: Only rows of these count; all if None.
        """

    def parts(
        self, script: Script, files: Sequence[Path], batches: Batches | None
    ) -> Iterator[Mapping[str, Sequence[Row]]]:
        """Run a script in DuckDB over the events of one part after the other, until all have had their turn.

        Args:
            script: What to run.
            files: The files of a snapshot.
            batches: Only rows of these count; all if None.

        Returns:
            The rows of its answers by name, of one part after the other: of one part of groups at least, of every
            stretch of time, if need be without events.
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


@dataclass(frozen=True, slots=True)
class ByGroup:
    """Each governed event goes to the part of its group, where all of that group's events are."""

    sql: str
    """The statement that tells the part in the column ``part``."""
    parameters: Mapping[str, object]
    """What it binds."""
    group_by: tuple[str, ...] | None
    """The columns that tell the same, where no expression does."""


@dataclass(frozen=True, slots=True)
class ByTime:
    """Each governed event goes to the stretches of time that it matters to, of which each has a turn of its own. In
    microseconds: stretch n ends ``(n + 1) * length`` after the start, or earlier.
    """

    start: int
    """Before the first instant of the first stretch."""
    length: int
    back: int
    """How far before its first instant the events lie that matter to a stretch."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is run over the events of a part."""

    steps: tuple[tuple[str, str, Mapping[str, object]], ...]
    """The statements in order: name, SQL, and what it binds."""
    wide: tuple[tuple[str, str, Mapping[str, object]], ...]
    """The same in 128 bits, for parts of more groups than 63 bits have room for."""


@dataclass(frozen=True, slots=True)
class Script:
    """Statements of DuckDB's over ``events``, which answer for each part by itself."""

    types: tuple[str, ...]
    dealt: ByGroup | ByTime
    """How events are dealt out to parts."""
    columns: tuple[str, ...]
    """The columns of events that the statements read."""
    turns: tuple[Turn, ...]
    """That of every group, or that of each stretch of time in order."""
    answers: tuple[str, ...]
    """The names of the statements whose rows are wanted, as far as there are such statements."""
    rows: int
    """How many events there are, of which part does not matter."""


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
