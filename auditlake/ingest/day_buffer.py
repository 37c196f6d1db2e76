"""The events that an ingest has mapped so far, by day: in memory, or in a table that may spill if they are many."""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.engine.duck import limit_memory
from auditlake.engine.statements import statement
from auditlake.ingest.mapping import STAGED

if TYPE_CHECKING:
    import duckdb

_HELD_BYTES = 460_000_000
"""Up to how much stays in memory; from there on all is in the table, which takes longer to fill and to read."""
_LONG = 2_000
"""Rows of so many bytes each go into the table at once: DuckDB reads thousands at a time, and needs the memory."""
MEMORY = 950_000_000
"""What DuckDB may hold to read, and less what is held here to compare; the rest of 1.5 GB is for chunks and Python."""
LEAST_MEMORY = 500_000_000
"""What DuckDB may hold while files are sorted and written, which is done outside of it."""
_LARGE = 50_000_000
"""The least bytes of rows whose memory is worth releasing."""
_TURNS = 1_000
"""Logs come in the order of time, so a table is a few stretches of one day each. One of more is put in order first."""
_FILE = "ingest/stage.sql"


@dataclass(slots=True)
class _Stretch:
    """Rows of one day that were added together."""

    first: int
    """Their lowest seq."""
    last: int
    nbytes: int = 0
    held: list[pa.Table] = field(default_factory=list)
    """The rows, where they are in memory."""

    def add(self, rows: pa.Table) -> None:
        """Take more of them."""
        seqs = rows["seq"].to_numpy()
        self.first, self.last = min(self.first, int(seqs.min())), max(self.last, int(seqs.max()))
        self.nbytes += rows.nbytes
        self.held.append(rows)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one day that are to be read together."""

    day: int
    """Since 1970."""
    stretches: tuple[_Stretch, ...]

    @property
    def nbytes(self) -> int:
        """Return how many bytes its rows have."""
        return sum(each.nbytes for each in self.stretches)


class DayBuffer:
    """The mapped events of an ingest. Within one addition they come in any order; the next has higher numbers.

    Args:
        connection: Where the table is made.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._days: dict[int, list[_Stretch]] = defaultdict(list)
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._spilled = False
        connection.execute(statement(_FILE, "spilled").text)

    def add(self, rows: pa.Table) -> None:
        """Take rows, whose column ``event_day`` says the day of each (since 1970)."""
        if not len(rows):
            return
        days = rows["event_day"].to_numpy()
        turns = np.flatnonzero(np.diff(days)) + 1
        if len(turns) > _TURNS:
            order = np.argsort(days, kind="stable")
            rows, days = rows.take(pa.array(order)), days[order]
            turns = np.flatnonzero(np.diff(days)) + 1
        added: dict[int, _Stretch] = {}
        for begin, end in pairwise([0, *turns.tolist(), len(days)]):
            stretch = rows.slice(begin, end - begin)
            seq = stretch["seq"][0].as_py()
            added.setdefault(int(days[begin]), _Stretch(seq, seq)).add(stretch)
        for day, stretch in added.items():
            self._days[day].append(stretch)
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        if self._spilled or self._held_bytes > _HELD_BYTES or rows.nbytes > _LONG * len(rows):
            self._spill()

    def _spill(self) -> None:
        """Bring what is in memory into the table."""
        self._spilled = True
        for stretch in chain.from_iterable(self._days.values()):
            stretch.held.clear()
        while self._held:
            self._connection.register("arriving", self._held.pop(0))
            self._connection.execute(statement(_FILE, "spill").text)
            self._connection.unregister("arriving")
            release_memory()
        self._held_bytes = 0

    def show(self) -> None:
        """Let statements of the connection read all rows as ``staged``, in the memory that these leave."""
        limit_memory(self._connection, MEMORY - self._held_bytes)
        self._connection.register("held", pa.concat_tables(self._held) if self._held else STAGED.empty_table())
        self._connection.execute(statement(_FILE, "staged").text)

    def let_go(self) -> None:
        """Forget all rows: they are written. Only much memory is released: the process may be an application's."""
        large = self._spilled or self._held_bytes > _LARGE
        self._days.clear()
        self._held.clear()
        self._connection.unregister("held")
        if large:
            release_memory()

    def pieces(self, most: int) -> Iterator[Piece]:
        """Yield all rows, day by day, in pieces of about so many bytes, or of one stretch that is larger."""
        for day, stretches in sorted(self._days.items()):
            some: list[_Stretch] = []
            for stretch in stretches:
                if some and sum(each.nbytes for each in some) + stretch.nbytes > most:
                    yield Piece(day, tuple(some))
                    some = []
                some.append(stretch)
            yield Piece(day, tuple(some))

    def read(self, cursor: duckdb.DuckDBPyConnection, piece: Piece) -> pa.Table:
        """Return the rows of a piece, in any order.

        Args:
            cursor: Of the connection, for this thread.
            piece: One of :meth:`pieces`.
        """
        if not self._spilled:
            return pa.concat_tables([rows for stretch in piece.stretches for rows in stretch.held])
        part = statement(_FILE, "spilled_rows")
        # Additions have numbers of their own, so all rows of the day between these are of the piece.
        first, last = piece.stretches[0].first, piece.stretches[-1].last
        bounds: dict[str, object] = {"day": piece.day, "first": first, "last": last}
        # The cursor may not be in UTC.
        return cursor.sql(part.text, params=part.bind(bounds)).to_arrow_table().cast(STAGED)


def release_memory() -> None:
    """Let the C library return free memory to the system; only glibc can."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def landing(cursor: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Table:
    """Return those of some mapped rows that land, each with its id."""
    seqs = rows["seq"].to_numpy()
    between = {"first": int(seqs.min()), "last": int(seqs.max())}
    lost = cursor.sql(statement("ingest/land.sql", "lost").text, params=between).fetchnumpy()["seq"]
    if len(lost):
        rows = rows.filter(pa.array(np.isin(seqs, lost, invert=True)))
    if rows["event_id"].null_count:
        made = cursor.sql(statement("ingest/land.sql", "made_ids").text, params=between).to_arrow_table()
        places = np.searchsorted(made["seq"].to_numpy(), rows["seq"].to_numpy())
        ids = made["event_id"].take(pa.array(np.minimum(places, len(made) - 1)))
        place = rows.schema.get_field_index("event_id")
        rows = rows.set_column(place, "event_id", compute.coalesce(rows["event_id"], ids))
    return rows
