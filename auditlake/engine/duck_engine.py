"""DuckDB as an engine: a connection whose errors are those of the protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from auditlake.engine import duck
from auditlake.engine.model import RangeError, Row, StatementError
from auditlake.engine.narrowing import EVENTS, Asked, asked_of, made, reads_only
from auditlake.engine.parse_tree import parse_known
from auditlake.engine.timings import statement_run

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R")
_ELSEWHERE = re.compile(r"\b(own|read)_events as events\b", re.IGNORECASE)
"""A sieve's tables, which statements read in the place of the view."""
_OF_TYPES = "list_contains($types, event_type)"
"""How statements ask for the events of some types."""
_OF_TYPES_QUICKLY = "list_position($types, event_type) > 0"
"""The same, where no type is NULL."""
_COMMENTS = re.compile(r"^ *--.*\n", re.MULTILINE)
_OF_STATEMENTS = (duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.DataError)


@contextmanager
def statement_errors() -> Iterator[None]:
    """Raise DuckDB's errors of a statement as those of the protocol, within this.

    Raises:
        StatementError: The statement cannot be evaluated on these events.
    """
    try:
        yield
    except duckdb.OutOfRangeException as error:
        raise RangeError(error) from error
    except _OF_STATEMENTS as error:
        raise StatementError(error) from error


class DuckEngine:
    """An engine on a connection.

    Args:
        connection: The DuckDB, with the view ``events`` unless :meth:`leaf` makes it.
        events: That view, where statements are to read only the files that can matter to them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, events: duck.EventsView | None = None) -> None:
        self._connection = connection
        self._events = events
        self._views = set(EVENTS)
        """The views that show events."""
        self._is_kept = False
        """Whether a statement has put what it kept in the place of ``events``: then none reads files any more."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB; its view ``events`` shows all events until the next statement of this engine."""
        if self._events is not None:
            self._events.narrow(None)
        return self._connection

    @property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB, for who asks nothing of its view ``events``: which files that shows stays as it is."""
        return self._connection

    @property
    def shows_files_whole(self) -> bool:
        """Return whether the view ``events`` shows all rows of the snapshot's own files."""
        return self._events is not None and self._events.is_whole

    @property
    def shown_beside(self) -> str | None:
        """Return the table whose rows ``events`` shows beside those of files, if any."""
        return self._events.beside if self._events else None

    def beside(self) -> DuckEngine:
        """Open an engine on another connection to the same DuckDB, which has no view ``events`` yet."""
        return DuckEngine(duck.beside(self._connection))

    def show(self, chosen: Callable[[Sequence[Asked] | None], Sequence[Path | str]]) -> None:
        """Make the view ``events`` of other files; ``chosen`` is that of :class:`auditlake.engine.duck.EventsView`."""
        self._events = duck.EventsView(chosen, partial(duck.view_events, self._connection), ())
        self._is_kept = False

    def leaf(self, files: Sequence[Path]) -> None:
        """Make the view ``events`` of exactly these data files."""
        duck.view_events(self._connection, files)

    def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> Sequence[Row]:  # noqa: ARG002
        """Run one statement of a script; DuckDB has its name from the statement itself."""
        return self._run(duck.kept, sql, parameters)

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run one statement and return its rows.

        Raises:
            StatementError: It cannot be evaluated on these events.
        """
        return self._run(duck.rows, sql, parameters or {})

    def _run(self, run: Callable[..., R], sql: str, parameters: Mapping[str, object]) -> R:
        with statement_errors(), statement_run():
            found = run(self._connection, *self._narrowed(sql, parameters))
        self._is_kept = self._is_kept or made(sql)[:2] == ("view", "events")
        return found

    def count_rows(self) -> None:
        """Count each event by its row from now on, whatever the log counts."""
        if self._events is not None:
            self._events.counted = None

    def uncounted(
        self, sql: str, parameters: Mapping[str, object], types: Collection[str], as_of: datetime, *others: datetime
    ) -> duck.Counts:
        """Run a statement that makes a table over the events of days that the log does not count, and return its counts
        of the others; where it counts none, nothing is run. The arguments are those of
        :meth:`auditlake.engine.duck.EventsView.show_uncounted`.
        """
        with statement_errors(), statement_run():
            if counts := self._events.show_uncounted(types, as_of, *others) if self._events else {}:
                duck.kept(self._connection, sql, parameters)
        return counts

    def arrow(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        """Run one statement and return its rows as an Arrow table; errors are DuckDB's."""
        with statement_run():
            sql, parameters = self._narrowed(sql, parameters)
            return self._connection.sql(sql, params=dict(parameters)).to_arrow_table()

    def _narrowed(self, sql: str, parameters: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """Let the view ``events`` show at least what a statement reads of it; return what to run and what it binds.

        Where all that the view shows is of the types that are asked for, to compare each event's type would cost as
        much as the rest: the statement is run without that. Else the comparison is one that DuckDB makes once for each
        entry of a column's dictionary.
        """
        if self._events is None or self._is_kept:
            return sql, parameters
        kind, name, query = made(sql)
        text = _ELSEWHERE.sub("", query).lower()
        is_of_events = any(each in text for each in self._views)
        if kind:
            (self._views.add if kind == "view" and is_of_events else self._views.discard)(name)
        if kind == "view" or not is_of_events:
            return sql, parameters  # it reads none of it
        asked: Sequence[Asked] | None = None
        types: Any = None
        with suppress(RecursionError):
            tree = parse_known(self._connection, query)
            asked = asked_of(tree, parameters, self._views)
            # What has no quotes has no text in which the condition only stands.
            if _OF_TYPES in query and "'" not in query and reads_only(tree, self._views):
                types = parameters["types"]
        # A column may be called like a view: then the statement reads none of it.
        has_only = asked != () and self._events.narrow(asked, types)
        if types is not None:
            sql = _COMMENTS.sub("", sql).replace(_OF_TYPES, "true" if has_only else _OF_TYPES_QUICKLY)
            parameters = {name: value for name, value in parameters.items() if name != "types" or "$types" in sql}
        return sql, parameters

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
