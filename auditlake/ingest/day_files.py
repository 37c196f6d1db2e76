"""The day files of an ingest: what lands, in the order of time, each file synced under its final name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute

from auditlake.disk.layout import Layout
from auditlake.errors import CommitError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.events.times import day_of
from auditlake.ingest.day_buffer import DayBuffer, Piece, landing
from auditlake.ledger import hashing
from auditlake.store.dayfile import put_in_place, write_classes
from auditlake.store.model import DataFile

if TYPE_CHECKING:
    import duckdb

_FILE_BYTES = 128 * 1024 * 1024
"""How many bytes of rows a file may get: that much is sorted in memory, by two threads at a time."""


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

    def write(self, landed: int, listen: Callable[[int, int], None]) -> tuple[DataFile, ...]:
        """Write every day's files and sync them under their final names: one for each retention class, or several of a
        day of very many rows.

        Args:
            landed: How many events must be in them.
            listen: Told how many files are written, of how many.

        Raises:
            CommitError: Others are in them.
        """
        pieces = list(self.staged.pieces(_FILE_BYTES))
        written: list[tuple[Path, DataFile]] = []
        with ThreadPoolExecutor(2, "auditlake-write") as pool:
            # The ledger's part comes next: load for it while the first file is written.
            pool.submit(hashing.expect, landed)
            for done, files in enumerate(pool.map(self._piece, pieces, count()), 1):
                written += files
                listen(done, len(pieces))
        if (rows_written := sum(file.rows for _, file in written)) != landed:
            message = f"{landed} events were to land, but {rows_written} were written"
            raise CommitError(message, hint="nothing was committed; that is a mistake in auditlake")
        put_in_place(self.layout, written)
        self.staged.let_go()
        return tuple(file for _, file in written)

    def _piece(self, piece: Piece, number: int) -> list[tuple[Path, DataFile]]:
        """Write the rows of a piece that land, in the order of time, a file for each of their retention classes."""
        with self.connection.cursor() as cursor:
            rows = landing(cursor, self.staged.read(cursor, piece))
        if not len(rows):
            return []
        rows = rows.take(compute.sort_indices(rows, [("timestamp", "ascending"), ("seq", "ascending")]))
        at = pa.repeat(pa.scalar(self.now, pa.timestamp("us", "UTC")), len(rows))
        rows = rows.append_column("ingested_at", at)
        rows = rows.append_column("batch", pa.repeat(pa.scalar(self.batch, pa.int64()), len(rows)))
        rows = rows.append_column("salt", pa.nulls(len(rows), pa.binary()))
        table = rows.select(FILE_COLUMNS)
        return write_classes([table], table.schema, day_of(piece.day), self.folder, self.classes, f"piece-{number}")
