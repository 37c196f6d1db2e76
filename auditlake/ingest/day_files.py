"""The day files of an ingest: what lands, in the order of time, each file synced under its final name.

Rows are hashed for the ledger where they are in memory anyway, by the thread that writes them. What a reader finds in
the files is compared with that by the next ``nightly``, and by every verification of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside
from auditlake.errors import CommitError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.events.times import day_of
from auditlake.ingest.day_buffer import DayBuffer, Piece, landing
from auditlake.ledger import hashing
from auditlake.ledger.leaves import Part, Stretch, grown, order_of, stretches, stretches_of
from auditlake.store.dayfile import class_numbers, put_in_place, write_classes
from auditlake.store.model import DataFile

if TYPE_CHECKING:
    import duckdb

_FILE_BYTES = 128 * 1024 * 1024
"""How many bytes of rows a file may get: that much is sorted in memory, by two threads at a time."""
_LOAD = 8_000_000
"""From so many bytes on, rows are hashed by a statement of their own."""
_THREADS = 2
_MOST = 6
"""In how many pieces a day may be for the hashes of its rows to find room in memory."""
_LONG = 4_000
"""From this many bytes a row on, DuckDB hashes them, which holds fewer of them at a time."""

_Load = list[tuple[int, Piece, bool]]
"""Pieces with their numbers, and whether their rows are hashed here."""


@dataclass(frozen=True, slots=True)
class DayFiles:
    """Writes what was staged."""

    connection: duckdb.DuckDBPyConnection
    """Knows which rows land."""
    staged: DayBuffer
    folder: Path
    """For drafts; on the disk of the lake."""
    layout: Layout
    """The lake."""
    batch: int
    now: datetime
    classes: Mapping[str, str]
    """The retention class of each event type."""

    def write(
        self, landed: int, listen: Callable[[int, int], None]
    ) -> tuple[tuple[DataFile, ...], tuple[tuple[Part, bytes], ...]]:
        """Write every day's files and sync them under their final names: one for each retention class, or several of a
        day of very many rows.

        Args:
            landed: How many events must be in them.
            listen: Told how many files are written, of how many.

        Returns:
            The files, and the parts of their rows, each with its marks, but for days of too many rows to hold their
            hashes.

        Raises:
            CommitError: Others are in them.
        """
        pieces = list(self.staged.pieces(_FILE_BYTES))
        written: list[tuple[Path, DataFile]] = []

        def hashed() -> Iterator[Stretch]:
            done = 0
            for load, (files, leaves) in zip(loads, pool.map(partial(self._write, landed), loads), strict=True):
                written.extend(files)
                listen(done := done + len(load), len(pieces))
                yield from leaves

        loads = _loads(pieces)
        with ThreadPoolExecutor(_THREADS, "auditlake-write") as pool:
            pool.submit(hashing.expect, landed)  # loads what hashes while the first file is written
            parts = tuple(grown(_in_order(hashed()), self.classes))
        if (rows_written := sum(file.rows for _, file in written)) != landed:
            message = f"{landed} events were to land, but {rows_written} were written"
            raise CommitError(message, hint="nothing was committed; that is a mistake in auditlake")
        put_in_place(self.layout, written)
        self.staged.let_go()
        return tuple(file for _, file in written), parts

    def _write(self, landed: int, load: _Load) -> tuple[list[tuple[Path, DataFile]], list[Stretch]]:
        """Write the rows of some pieces that land, a file for each of their retention classes; return their leaves."""
        written: list[tuple[Path, DataFile]] = []
        hashed: list[pa.Table] = []
        for number, piece, is_hashed in load:
            if len(rows := self._rows(piece)):
                day, draft = day_of(piece.day), f"piece-{number}"
                written += write_classes([rows], rows.schema, day, self.folder, self.classes, draft)
                hashed += [rows] if is_hashed else []
        return written, self._leaves(pa.concat_tables(hashed), landed) if hashed else []

    def _leaves(self, rows: pa.Table, landed: int) -> list[Stretch]:
        if hashing.expect(landed) and rows.nbytes <= _LONG * len(rows):
            return list(stretches_of(rows.to_batches(), self.classes))
        with beside(self.connection, exact_try=False) as own:
            own.register("events", rows)
            return list(stretches(own, order_of(self.classes)))

    def _rows(self, piece: Piece) -> pa.Table:
        """Return the rows of a piece that land, those of each retention class in the order of time."""
        with self.connection.cursor() as cursor:
            rows = landing(cursor, self.staged.read(cursor, piece))
        order = compute.sort_indices(rows, [("timestamp", "ascending"), ("seq", "ascending")]).to_numpy()
        _, numbers = class_numbers(rows, self.classes)
        places = pa.array(order[np.argsort(numbers[order], kind="stable")])
        # Rows of many chunks are slow to take; put together column by column they need the memory of one.
        columns = [column.combine_chunks().take(places) for column in rows.columns]
        rows = pa.Table.from_arrays(columns, schema=rows.schema)
        at = pa.repeat(pa.scalar(self.now, pa.timestamp("us", "UTC")), len(rows))
        rows = rows.append_column("ingested_at", at)
        rows = rows.append_column("batch", pa.repeat(pa.scalar(self.batch, pa.int64()), len(rows)))
        rows = rows.append_column("salt", pa.nulls(len(rows), pa.binary()))
        return rows.select(FILE_COLUMNS)


def _loads(pieces: Sequence[Piece]) -> list[_Load]:
    """Return the pieces as they are written and hashed together: small ones are worth no statement each."""
    of_day = Counter(piece.day for piece in pieces)
    most = min(_LOAD, sum(piece.nbytes for piece in pieces) / _THREADS**2)
    loads: list[_Load] = []
    size = _LOAD
    for number, piece in enumerate(pieces):
        if size >= most:
            loads.append([])
            size = 0
        loads[-1].append((number, piece, of_day[piece.day] <= _MOST))
        size += piece.nbytes
    return loads


def _in_order(hashed: Iterable[Stretch]) -> Iterator[Stretch]:
    """Yield leaves by day and type: those of a type in a day's next piece come behind those in the piece before."""
    for _, of_day in groupby(hashed, attrgetter("day")):
        yield from sorted(of_day, key=attrgetter("rank"))
