"""How auditlake opens DuckDB: in memory, in UTC, without extensions, with nothing picked up from Python variables."""

from __future__ import annotations

import os
import re
import shutil
import sys
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

import duckdb

from auditlake.engine.arrow_rows import ArrowRows, table_rows
from auditlake.engine.narrowing import Asked
from auditlake.engine.paths import all_for_duckdb
from auditlake.engine.sql_text import Batches, identifier, literal, select_events
from auditlake.errors import SourceError
from auditlake.events.schema import COLUMNS
from auditlake.storage.ranges import BUCKETS, SCHEME, file_system

Counts = Mapping[int, Mapping[str, int]]
"""How many events days have, by the day since 1970 and the type."""
MANY = 100_000
"""From how many rows on they are not made at once."""
_MAKES = re.compile(r"(?>--.*\n|/\*.*?\*/|\s+)*(?:create|insert)\b", re.IGNORECASE)
"""How a statement begins that gives no rows."""
_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    # What is in memory is gone at the end: compressing it in between ("checkpoint") took a third of an ingest's time.
    "checkpoint_threshold": "1TB",
}


def connect(
    *, temp: Path | None = None, memory: str | None = None, threads: int | None = None, exact_try: bool = True
) -> duckdb.DuckDBPyConnection:
    """Open a new private DuckDB.

    Args:
        temp: Where it may spill; nowhere if None.
        memory: The most it may hold in memory before it spills; four fifths of the machine's if None.
        threads: As many as there are cores if None.
        exact_try: Keep errors inside TRY(...) inside: DuckDB 2.0 pulls expressions that occur twice out of it. Not
            needed, and slower, where no expression comes from a user.
    """
    config: dict[str, Any] = {**_SETTINGS, "temp_directory": str(temp) if temp else ""}
    if memory is not None:
        config["memory_limit"] = memory
    if threads is not None:
        config["threads"] = threads
    return _settled(duckdb.connect(":memory:", config=config), exact_try=exact_try)


def _settled(connection: duckdb.DuckDBPyConnection, *, exact_try: bool = True) -> duckdb.DuckDBPyConnection:
    """Return the connection with the settings that each has to be given by itself."""
    connection.execute("set TimeZone = 'UTC'")
    # Data files never change, and a report asks the same ones many times.
    connection.execute("set parquet_metadata_cache = true")
    # Where they are small and local as well, to plan ahead what is read takes longer than to read it.
    connection.execute(f"set disable_parquet_prefetching = {not BUCKETS}")
    if BUCKETS and SCHEME not in connection.list_filesystems():
        connection.register_filesystem(file_system())
    if exact_try:
        connection.execute("set disabled_optimizers = 'common_subexpressions'")
    with suppress(duckdb.InvalidInputException):  # in Jupyter without ipywidgets it is off and cannot be set
        connection.execute("set enable_progress_bar = false")
    return connection


@contextmanager
def without(connection: duckdb.DuckDBPyConnection, *optimizers: str) -> Iterator[None]:
    """Run statements within this without some of DuckDB's optimizers."""
    ((before,),) = connection.execute("select current_setting('disabled_optimizers')").fetchall()
    connection.execute(f"set disabled_optimizers = {literal(','.join(filter(None, [before, *optimizers])))}")
    try:
        yield
    finally:
        connection.execute(f"set disabled_optimizers = {literal(before)}")


@contextmanager
def in_timezone(connection: duckdb.DuckDBPyConnection, name: str) -> Iterator[None]:
    """Read times without an offset as those of a zone, within this.

    Raises:
        SourceError: There is no such zone.
    """
    try:
        connection.execute(f"set timezone = {literal(name)}")
    except duckdb.Error as error:
        message = f"there is no time zone {name!r}"
        raise SourceError(message, hint="write it as in Europe/Berlin or America/New_York") from error
    try:
        yield
    finally:
        connection.execute("set timezone = 'UTC'")


def limit_memory(connection: duckdb.DuckDBPyConnection, size: int) -> None:
    """Let a DuckDB hold so many bytes from now on; what is more it spills."""
    connection.execute(f"set memory_limit = '{size}B'")


_shared: weakref.WeakValueDictionary[str, duckdb.DuckDBPyConnection] = weakref.WeakValueDictionary()
"""The DuckDB that rows share, by the folder below which it spills."""
os.register_at_fork(after_in_child=_shared.clear)  # its threads are not in the child


def shared() -> duckdb.DuckDBPyConnection:
    """Return a connection for rows that outlive the call: views of its own, but one DuckDB for all.

    That DuckDB may spill, into a folder that goes away with the last of them.
    """
    place = gettempdir()
    try:
        return beside(_shared[place])
    except (KeyError, duckdb.FatalException):  # there is none, or damage has left it of no use
        folder = mkdtemp(prefix="auditlake-", dir=place)
        database = _shared[place] = connect(temp=Path(folder))
        weakref.finalize(database, shutil.rmtree, folder, ignore_errors=True)
        return beside(database)


def beside(database: duckdb.DuckDBPyConnection, *, exact_try: bool = True) -> duckdb.DuckDBPyConnection:
    """Open another connection to a DuckDB, with temporary tables and views of its own.

    A cursor would read times in the zone of the machine: the zone belongs to a connection.

    Args:
        database: A connection to it, which stays open as long as the new one is held.
        exact_try: As for :func:`connect`.
    """
    connection = _settled(database.cursor(), exact_try=exact_try)
    weakref.finalize(connection, id, database)  # holds the DuckDB as long as the connection is held
    return connection


def view_events(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path | str],
    *,
    name: str = "events",
    columns: Sequence[str] = tuple(COLUMNS),
    batches: Batches | None = None,
    beside: str | None = None,
) -> None:
    """Make the view that every statement of ``sql/`` reads: exactly these Parquet files, or no rows at all.

    Args:
        connection: Where to make it.
        files: The files, below folders ``event_date=…``.
        name: What to call it.
        columns: What it shows.
        batches: Leave out rows of other batches.
        beside: A table with all columns whose rows it shows too.
    """
    select = select_events(all_for_duckdb(files), columns, batches, beside)
    connection.execute(f"create or replace temp view {identifier(name)} as {select}")


class EventsView:
    """The view ``events`` of a connection, which can show the files alone that can matter to a statement.

    Args:
        chosen: Returns the files that can matter to what is asked; all if that is None.
        show: Makes the view of some of the files.
        asked: What it shows at first; all if None.
        beside: The table whose rows it shows too, if any.
        is_whole: Whether it shows every event of these files, and they are those of the snapshot.
        has_only: Returns whether all events in the files that can matter to what is asked are known to be of some
            types; if None, that is never known.
        counted: Returns how many events of some types the log counts on days, and the files that have those of other
            days: :meth:`auditlake.store.narrowed.Chooser.counted`; if None, it counts none.
    """

    def __init__(
        self,
        chosen: Callable[[Sequence[Asked] | None], Sequence[Path | str]],
        show: Callable[[Sequence[Path | str]], None],
        asked: Sequence[Asked] | None = None,
        beside: str | None = None,
        *,
        is_whole: bool = False,
        has_only: Callable[[Sequence[Asked], Collection[str]], bool] | None = None,
        counted: Callable[..., tuple[Counts, Sequence[Path | str]]] | None = None,
    ) -> None:
        self._chosen, self._show, self.beside, self.is_whole = chosen, show, beside, is_whole
        self._has_only = has_only or (lambda *_: False)
        self.counted = counted
        self._shown: Sequence[Path | str] | None = None
        self.narrow(asked)

    def narrow(self, asked: Sequence[Asked] | None, types: Collection[str] | None = None) -> bool:
        """Show at least the events that matter to what is asked, all events if None; return whether all that is shown
        is known to be of some types.
        """
        self._show_files(self._chosen(asked))
        return asked is not None and types is not None and self._has_only(asked, types)

    def show_uncounted(self, types: Collection[str], as_of: datetime, *others: datetime) -> Counts:
        """Return how many events of some types the log counts on days, and show at least those of all other days; where
        it counts none, nothing changes.

        Args:
            types: The types.
            as_of: Events after this instant do not matter.
            *others: The other instants that tell events apart.
        """
        counts, files = self.counted(types, as_of, *others) if self.counted else ({}, ())
        if counts:
            self._show_files(files)
        return counts

    def _show_files(self, files: Sequence[Path | str]) -> None:
        if files != self._shown:
            self._shown = None
            self._show(files)
            self._shown = files


def keep_rows(connection: duckdb.DuckDBPyConnection, name: str, table: Any) -> None:
    """Make a temporary table of an Arrow table."""
    connection.register("arriving", table)
    connection.execute(f"create or replace temp table {identifier(name)} as from arriving")
    connection.unregister("arriving")


def rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """Run one statement to its end and give all its rows; none where it gives none.

    Through Arrow, with instants as plain numbers until the end: DuckDB's own way to aware datetimes is far slower.
    """
    return list(kept(connection, sql, parameters))


def kept(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None
) -> Sequence[tuple[Any, ...]]:
    """Do what :func:`rows` does; where there are many rows, each is made when it is looked at."""
    if _MAKES.match(sql):  # what gives no rows is not planned a second time, to read them
        connection.execute(sql, parameters)
        return []
    relation = connection.sql(sql, params=dict(parameters) if parameters else None)
    if relation is None:
        return []
    return kept_rows(relation.to_arrow_table())


def kept_rows(table: Any) -> Sequence[tuple[Any, ...]]:
    """Return the rows of an Arrow table; where there are many, each is made when it is looked at."""
    return ArrowRows(table) if len(table) >= MANY and may_use_numpy() else table_rows(table)


def may_use_numpy() -> bool:
    """Return whether numpy can be imported: statistics and the sandbox keep it out (sandbox/open.py)."""
    return sys.modules.get("numpy", sys) is not None
