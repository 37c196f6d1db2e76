"""The events that match filters, read as they lie on the disk: by day, some days at a time, and no further than asked.

A day's events are in its files, each of them in the order of time, so days need no sorting against each other. What is
sorted together is a stretch: some whole days, or a part of a day that has many events. A stretch that gives little lets
the next one be longer, so that a filter that few events match costs no more statements than it has to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, rows, view_events
from auditlake.engine.paths import all_for_duckdb
from auditlake.engine.statements import statement
from auditlake.errors import AuditLakeError
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.events.times import MICROSECOND, as_end
from auditlake.query.rows import BATCH, Rows, Table
from auditlake.store.model import DataFile
from auditlake.store.snapshot import Readable, file_paths

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

STRETCH_ROWS = 100_000
"""How many events a stretch has, unless the instant at its end has more."""
STRETCH_BYTES = 8_000_000
"""The same in bytes of files, which are some times more in memory."""
STRETCH_MEMORY = 100_000_000
"""The same in bytes of memory: by the files' footers, which may count a value once that comes again and again, and by
the events read before."""
FIRST = 0.125
"""How much of that the first stretch has: how long its events are is not known yet."""
_LONGEST = 8
"""How many times as many events a stretch may have while few of them match."""
_SCARCE = 4
"""Few match if it is less than one of so many."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where events are read from."""

    layout: Layout
    source: Readable
    """The files."""
    unflushed: pa.Table | None = None
    """Events that are there too. Each connection reads them by itself: none waits for another's statement."""


class Events(Rows):
    """The events that match filters, in time order. Each fetch reads them again, on the same snapshot."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        parameters: Mapping[str, Any],
        explain: Callable[[Exception], AuditLakeError],
        origin: Origin,
    ) -> None:
        super().__init__(connection, statement("queries/events.sql", "events").text, parameters, explain)
        self._origin = origin

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(PUBLIC_COLUMNS)

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return a lazy DuckDB relation of all of them, sorted together.

        Raises:
            QueryError: A filter has no sense to DuckDB.
        """
        with self._explained():
            self._view(self._connection, self._origin.source.files)
        return super().relation()

    def arrow(self) -> pa.Table:
        """Return all events as an Arrow table."""
        return self.to_batches().read_all()

    fetchall = Table.fetchall

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(batch.num_rows for batch in self.to_batches())
        return self._length

    def _head(self, many: int) -> pa.Table:
        most = many if (limit := self.parameters["limit"]) is None else min(many, limit)
        return Events(self._connection, self.parameters | {"limit": most}, self._explain, self._origin).arrow()

    def to_batches(self, size: int = BATCH) -> pa.RecordBatchReader:
        """Return a reader of the events as Arrow record batches, which are read from the disk as they are asked for."""
        from pyarrow import RecordBatchReader

        with self._explained():
            connection = beside(self._connection)
            view_events(connection, (), columns=PUBLIC_COLUMNS)
            schema = connection.sql(self.sql, params=self.parameters).to_arrow_table().schema
        return RecordBatchReader.from_batches(schema, self._events(connection, size))

    def _events(self, connection: duckdb.DuckDBPyConnection, size: int) -> Iterator[pa.RecordBatch]:
        start, end, left = (self.parameters[name] for name in ("start", "end", "limit"))
        days = _days(self._origin.source.files, start, end)
        longer, width, after = FIRST, 0.0, None
        while days and left != 0:
            files, last = _stretch(days, longer)
            found = 0
            for until in (*self._cuts(connection, files, longer, width, after, last), last):
                bounds = {"start": _later(start, after), "end": _earlier(end, until), "limit": left}
                with self._explained():
                    table = connection.sql(self.sql, params=self.parameters | bounds).to_arrow_table()
                yield from table.to_batches(size)
                found += table.num_rows
                width = table.nbytes / table.num_rows if table.num_rows else width
                left = None if left is None else left - table.num_rows
                after = None if until is None else until + MICROSECOND
            longer = min(2 * longer, _LONGEST) if found * _SCARCE < _rows(files) else 1

    def _cuts(
        self, connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile], longer: float, width: float,
        first: datetime | None, last: datetime | None,
    ) -> Iterator[datetime]:  # fmt: skip
        """Show some files as ``events``, and yield the instants after which to part what is too much at once.

        What is not flushed may lie before their first instant, or after their last: no cut does.
        """
        with self._explained():
            self._view(connection, files)
            on_disk = max(_rows(files) / STRETCH_ROWS, _size(files) / STRETCH_BYTES) / longer
            in_memory = max(_rows(files) * width, self._unpacked(connection, files)) / STRETCH_MEMORY
            if (parts := int(max(on_disk, in_memory))) > 1:
                cut = statement("queries/events.sql", "cuts")
                for (at,) in rows(connection, cut.text, {"size": max(_rows(files) // parts, 1)}):
                    if (first is None or at >= first) and (last is None or at < last):
                        yield at

    def _unpacked(self, connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile]) -> int:
        """Return how many bytes the columns of files have, once they are decompressed."""
        paths = all_for_duckdb(file_paths(self._origin.layout, files))
        part = statement("queries/events.sql", "unpacked")
        ((size,),) = rows(connection, part.text, {"paths": paths}) if paths else ((0,),)
        return int(size)

    def _view(self, connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile]) -> None:
        origin = self._origin
        paths = file_paths(origin.layout, files)
        table = None if origin.unflushed is None else "_unflushed"
        if table is not None:
            connection.register(table, origin.unflushed)
        last = origin.source.batches
        view_events(connection, paths, columns=PUBLIC_COLUMNS, batches=last, beside=table)


def _days(files: Sequence[DataFile], start: datetime | None, end: datetime | None) -> deque[list[DataFile]]:
    """Return the files of each day in a period, in order; all together where another program put events elsewhere."""
    if any(each is None or each.date() != file.day for file in files for each in (file.first, file.last)):
        return deque([[*files]])
    within = (
        file for file in files
        if not (start is not None and file.day < start.date()) and not (end is not None and file.day > end.date())
    )  # fmt: skip
    by_day = groupby(sorted(within, key=lambda file: file.day), lambda file: file.day)
    return deque([list(each) for _, each in by_day] or [[]])


def _stretch(days: deque[list[DataFile]], longer: float) -> tuple[list[DataFile], datetime | None]:
    """Take the files of the next days, and return them with the last instant of these; None where no day is left."""
    files = days.popleft()
    while days:
        more = [*files, *days[0]]
        if _rows(more) > longer * STRETCH_ROWS or _size(more) > longer * STRETCH_BYTES:
            return files, as_end(files[-1].day)
        files = more
        days.popleft()
    return files, None


def _rows(files: Sequence[DataFile]) -> int:
    return sum(file.rows for file in files)


def _size(files: Sequence[DataFile]) -> int:
    return sum(file.size for file in files)


def _later(*instants: datetime | None) -> datetime | None:
    return max((each for each in instants if each is not None), default=None)


def _earlier(*instants: datetime | None) -> datetime | None:
    return min((each for each in instants if each is not None), default=None)
