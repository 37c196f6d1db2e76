"""The summaries of a lake: rows of statements are looked up by data file, and what is missing is counted at once.

A summary is the result of a statement that counts the rows of one data file, kept under the digests of statement and
file. Those of several files are put together by counting again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, keep_rows, view_events
from auditlake.engine.duck_engine import DuckEngine, statement_errors
from auditlake.engine.model import Summary
from auditlake.engine.sql_text import identifier
from auditlake.engine.summed import DAY_US, RowSummaries, micros
from auditlake.events.schema import COLUMNS
from auditlake.events.times import day_of
from auditlake.store.files import Files
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import file_paths, is_as_named
from auditlake.summaries.segments import NUMBER, Segment, keep, of_files, read_segments, use

FORM = 1
"""Of the segments: to be raised when they change."""


class LakeSummaries:
    """The summaries of a snapshot's data files, each of which has events of its own day and a name of its content.

    Args:
        layout: The lake.
        snapshot: The snapshot.
        connection: The DuckDB that tables are laid out in; statements run on a connection beside it.
        most: How many bytes of summaries the lake may keep.
    """

    def __init__(
        self, layout: Layout, snapshot: Snapshot, connection: duckdb.DuckDBPyConnection, most: int
    ) -> None:  # fmt: skip
        self._layout, self._snapshot, self._connection, self._most = layout, snapshot, connection, most
        self._known: dict[str, list[Segment]] = {}
        """What was looked up or counted, by the digest of the statement."""

    def lay_out(
        self, summary: Summary, days: Collection[int] | None = None, instants: Sequence[datetime] = ()
    ) -> None:  # fmt: skip
        """Make the temporary table of a summary; see :class:`auditlake.engine.model.Summaries`."""
        files = self._snapshot.table if days is None else self._snapshot.table.of_days(list(map(day_of, days)))
        # The last microsecond of a day cuts none: all of the day is before the instant.
        cut = files.of_days({day_of(micros(each) // DAY_US) for each in instants if (micros(each) + 1) % DAY_US})
        whole = self._laid_out(summary, files.without(cut.table["path"].combine_chunks()), instants)
        parts = [whole, self._of_rows(summary, cut, instants).cast(whole.schema)] if len(cut) else [whole]
        keep_rows(self._connection, summary.name, pa.concat_tables(parts))

    def _laid_out(self, summary: Summary, files: Files, instants: Sequence[datetime]) -> pa.Table:
        """Return the rows of a summary of whole data files."""
        found = of_files(self._of(summary, files), files)
        places = compute.index_in(found.files, files.table["path"].combine_chunks())
        day = files.table["day"].combine_chunks().take(places).cast(pa.int32()).to_numpy().astype(np.int64)
        stretch = np.searchsorted([micros(each) for each in instants], day * DAY_US, "left")
        file = found.rows[NUMBER].to_numpy()
        rows = found.rows.set_column(0, "day", pa.array(day[file]))
        return rows.add_column(1, "stretch", pa.array(stretch[file].astype(np.int64)))

    def _of_rows(self, summary: Summary, files: Files, instants: Sequence[datetime]) -> pa.Table:
        """Return the same rows, counted from the events of some data files."""
        with beside(self._connection) as own:
            view_events(own, file_paths(self._layout, files))
            RowSummaries(DuckEngine(own)).lay_out(summary, instants=instants)
            return own.sql(f"from {identifier(summary.name)}").to_arrow_table()

    def _of(self, summary: Summary, files: Files) -> list[Segment]:
        """Return segments with at least these data files; what is missing is counted, and kept."""
        digest = statement_digest(summary)
        if digest not in self._known:
            self._known[digest] = read_segments(self._layout, digest)
            use(self._layout, digest)
        segments = self._known[digest]
        missing = files
        for each in segments:
            missing = missing.without(each.files)
        if len(missing) or not segments:
            new = self._counted(summary, missing)
            if len(missing):
                keep(self._layout, digest, new, segments, self._snapshot, self._most)
            segments.append(new)
        return segments

    def _counted(self, summary: Summary, files: Files) -> Segment:
        """Return what a statement gives of some data files."""
        with beside(self._connection) as own, statement_errors():
            view_events(own, file_paths(self._layout, files), columns=(*COLUMNS, NUMBER))
            for macro in summary.macros:
                own.execute(macro)
            rows = own.sql(summary.sql).to_arrow_table()
        rows = rows.set_column(0, NUMBER, rows[NUMBER].cast(pa.uint32()))
        return Segment(files.table["path"].combine_chunks(), rows.combine_chunks())


def statement_digest(summary: Summary) -> str:
    """Return the digest of all that a summary depends on beside the data files."""
    return hashlib.sha256(json.dumps([FORM, duckdb.__version__, summary.sql, *summary.macros]).encode()).hexdigest()


def lake_summaries(
    layout: Layout, snapshot: Snapshot, connection: duckdb.DuckDBPyConnection, most: int
) -> LakeSummaries | None:  # fmt: skip
    """Return the summaries of a snapshot; None where none may be kept, or its files are not those that their names say.

    The arguments are those of :class:`LakeSummaries`.
    """
    return LakeSummaries(layout, snapshot, connection, most) if most and is_as_named(layout, snapshot) else None
