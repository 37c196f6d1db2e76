"""What an ingest has mapped so far, by day: in memory as far as that goes, behind it in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from auditlake.store.staging import STAGED

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

_HELD_BYTES = 512 * 1024 * 1024
"""How much stays in memory; what comes then is written to files."""
_TURNS = 1_000
"""Logs come in the order of time, so a table is a few stretches of one day each. One of more is put in order first."""
_ROWS_A_PIECE = 16_384
"""Small pieces in the files, since readers look ahead by many of them."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows of one day, in the order in which they came."""

    nbytes: int
    rows: Callable[[], pa.Table]


class Staged:
    """The mapped records of an ingest.

    Args:
        folder: Where files may be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._days: dict[int, list[_Stretch]] = {}
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._files: list[Path] = []

    def add(self, rows: pa.Table) -> None:
        """Take rows, whose column ``event_day`` says the day of each (since 1970)."""
        days = rows["event_day"].to_numpy()
        turns = np.flatnonzero(np.diff(days)) + 1
        if len(turns) > _TURNS:
            order = np.argsort(days, kind="stable")
            rows, days = rows.take(pa.array(order)), days[order]
            turns = np.flatnonzero(np.diff(days)) + 1
        bounds = list(pairwise([0, *turns.tolist(), len(days)])) if len(days) else []
        keep = self._hold if self._held_bytes + rows.nbytes <= _HELD_BYTES else self._write
        for (begin, _), stretch in zip(bounds, keep(rows, bounds), strict=True):
            self._days.setdefault(int(days[begin]), []).append(stretch)

    def _hold(self, rows: pa.Table, bounds: list[tuple[int, int]]) -> Iterator[_Stretch]:
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        for begin, end in bounds:
            stretch = rows.slice(begin, end - begin)
            yield _Stretch(stretch.nbytes, partial(_same, stretch))

    def _write(self, rows: pa.Table, bounds: list[tuple[int, int]]) -> Iterator[_Stretch]:
        path = self._folder / f"rows-{len(self._files)}.arrow"
        first = 0
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            for begin, end in bounds:
                stretch = rows.slice(begin, end - begin)
                pieces = stretch.to_batches(max_chunksize=_ROWS_A_PIECE)
                for piece in pieces:
                    writer.write_batch(piece)
                yield _Stretch(stretch.nbytes, partial(_read, path, first, len(pieces)))
                first += len(pieces)
        self._files.append(path)

    def days(self) -> list[int]:
        """The days that have rows."""
        return sorted(self._days)

    def gather(self, day: int, most: int) -> Iterator[Callable[[], pa.Table]]:
        """What reads the rows of a day, in the order in which they came, so that each has few more bytes than ``most``.

        Many small stretches are read together; one alone may be larger.
        """
        some: list[_Stretch] = []
        for stretch in self._days[day]:
            if some and sum(each.nbytes for each in some) + stretch.nbytes > most:
                yield partial(_together, some)
                some = []
            some.append(stretch)
        yield partial(_together, some)

    def show(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let statements of a connection read all rows as ``staged``."""
        rows = pa.concat_tables(self._held) if self._held else STAGED.empty_table()
        if self._files:
            from pyarrow.dataset import dataset

            paths = [str(path) for path in self._files]
            rows = dataset([dataset(rows), dataset(paths, format="ipc")])
        connection.register("staged", rows)


def _same(rows: pa.Table) -> pa.Table:
    return rows


def _read(path: Path, first: int, count: int) -> pa.Table:
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        return pa.Table.from_batches([reader.get_batch(first + i) for i in range(count)], reader.schema)


def _together(stretches: list[_Stretch]) -> pa.Table:
    return pa.concat_tables([stretch.rows() for stretch in stretches])
