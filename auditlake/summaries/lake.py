"""The summaries of a lake: rows of statements are looked up by data file, and what is missing is counted at once.

A summary is the result of a statement that counts the rows of one data file, kept under the digests of statement and
file. Those of several files are put together by counting again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import compute

from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, keep_rows, view_events
from auditlake.engine.duck_engine import DuckEngine, statement_errors
from auditlake.engine.model import Summaries, Summary
from auditlake.engine.sql_text import identifier
from auditlake.engine.statements import statement
from auditlake.engine.summed import DAY_US, RowSummaries
from auditlake.events.schema import COLUMNS
from auditlake.events.times import day_of, micros
from auditlake.store.file_types import type_names
from auditlake.store.files import Files
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import file_paths
from auditlake.summaries.filled import by_footers, spared
from auditlake.summaries.segments import (
    FEWEST,
    NUMBER,
    Segment,
    has_own_names,
    keep,
    keep_sums,
    of_files,
    read_segments,
    use,
)

FORM = 1
"""Of the segments: to be raised when they change."""
_MONTH = 32
"""How many days are added up: of a deletion one of these is counted again."""


class LakeSummaries:
    """The summaries of a snapshot's data files, each of which has events of its own day and a name of its content.

    Args:
        layout: The lake.
        snapshot: The snapshot.
        connection: The DuckDB that tables are laid out in; statements run on a connection beside it.
        most: How many bytes of summaries the lake may keep.
        beside: A table of the connection with events that are in no data file.
    """

    def __init__(
        self, layout: Layout, snapshot: Snapshot, connection: duckdb.DuckDBPyConnection, most: int,
        beside: str | None = None,
    ) -> None:  # fmt: skip
        self._layout, self._snapshot, self._connection, self._most = layout, snapshot, connection, most
        self._beside = beside
        self._known: dict[str, list[Segment]] = {}
        """What was looked up or counted, by the digest of the statement."""

    def lay_out(
        self, summary: Summary, days: Collection[int] | None = None, instants: Sequence[datetime] = ()
    ) -> None:  # fmt: skip
        """Make the temporary table of a summary; see :class:`auditlake.engine.model.Summaries`."""
        files = self._snapshot.table if days is None else self._snapshot.table.of_days(list(map(day_of, days)))
        # The last microsecond of a day cuts none: all of the day is before the instant.
        cut = files.of_days({day_of(micros(each) // DAY_US) for each in instants if (micros(each) + 1) % DAY_US})
        whole = files.without(cut.table["path"].combine_chunks())
        parts = [(self._added_up if summary.adds_up else self._laid_out)(summary, whole, instants)]
        if len(cut) or self._beside is not None:
            parts.append(self._of_rows(summary, cut, days, instants).cast(parts[0].schema))
        keep_rows(self._connection, summary.name, pa.concat_tables(parts))

    def _laid_out(self, summary: Summary, files: Files, instants: Sequence[datetime]) -> pa.Table:
        """Return the rows of a summary of whole data files."""
        found = of_files(self._of(summary, files), files)
        places = compute.index_in(found.files, files.table["path"].combine_chunks())
        day = files.table["day"].combine_chunks().take(places).cast(pa.int32()).cast(pa.int64())
        stretch = _stretches(day, instants)
        file = found.rows[NUMBER].combine_chunks()
        return found.rows.set_column(0, "day", day.take(file)).add_column(1, "stretch", stretch.take(file))

    def _added_up(self, summary: Summary, files: Files, instants: Sequence[datetime]) -> pa.Table:
        """Return the rows of a summary of whole data files, added up by month; what is missing is counted.

        It is kept unless more of the month is known: a question about the past takes nothing from later ones.
        """
        digest, none = statement_digest(summary), self._counted(summary, files.of_days(()))
        present = self._snapshot.table.table["path"].combine_chunks()
        read = read_segments(self._layout, digest, none.rows.schema)
        known = [each for each in read if each.is_within(present)]
        use(self._layout, digest)
        parts, new = [_placed(none.rows, 0)], list[Segment]()
        for stretch, own in _by_month(files, instants):
            paths = own.table["path"].combine_chunks()
            alike = [each for each in known if each.has_any(paths)]
            found = next((each for each in alike if each.is_within(paths)), none)
            if len(missing := own.without(found.files)):
                found = Segment(paths, _sum(found.rows, self._counted(summary, missing).rows))
                if all(each.is_within(paths) for each in alike):
                    new.append(found)
            parts.append(_placed(found.rows, stretch))
        if new:
            keep_sums(self._layout, digest, new, known, self._snapshot, self._most)
        return pa.concat_tables(parts)

    def _of_rows(
        self, summary: Summary, files: Files, days: Collection[int] | None, instants: Sequence[datetime]
    ) -> pa.Table:  # fmt: skip
        """Return the same rows, counted from the events of some data files, and those that are in none."""
        with beside(self._connection) as own:
            if self._beside is not None:
                keep_rows(own, self._beside, self._connection.table(self._beside).to_arrow_table())
            view_events(own, file_paths(self._layout, files), beside=self._beside)
            RowSummaries(DuckEngine(own)).lay_out(summary, days, instants)
            return own.sql(f"from {identifier(summary.name)}").to_arrow_table()

    def _of(self, summary: Summary, files: Files) -> list[Segment]:
        """Return segments with at least these data files; what is missing is counted, and kept."""
        digest = statement_digest(summary)
        if digest not in self._known:
            none = self._counted(summary, self._snapshot.table.of_days(()))
            self._known[digest] = [*read_segments(self._layout, digest, none.rows.schema), none]
            use(self._layout, digest)
        segments = self._known[digest]
        missing = files
        for each in segments:
            missing = missing.without(each.files)
        if len(missing):
            new = self._counted(summary, missing)
            keep(self._layout, digest, new, segments, self._snapshot, self._most)
            segments.append(new)
        return segments

    def _counted(self, summary: Summary, files: Files) -> Segment:
        """Return what a statement gives of some data files, and ask no more than log and footers leave unknown."""
        where, parts = dict(zip(files.paths, file_paths(self._layout, files), strict=True)), list[Segment]()
        with beside(self._connection) as own, statement_errors():
            for macro in summary.macros:
                own.execute(macro)
            for known, alike in by_footers(own, summary.sql, where) if where else [({}, [])]:
                for sql, names in self._by_types(summary, known, alike):
                    paths = [where[each] for each in names]
                    parts.append(_counted(own, spared(sql, known), files.named(names), paths, adds_up=summary.adds_up))
        return parts[0] if len(parts) == 1 else of_files(parts, files)

    def _by_types(
        self, summary: Summary, known: Mapping[str, bool], names: list[str]
    ) -> Iterator[tuple[str, list[str]]]:
        """Yield the statements of a summary, each with its files; one of which the log is silent may hold any type."""
        whole = names
        if summary.elsewhere:
            nested, elsewhere = summary.elsewhere
            asked = (types for types, texts in nested if all(known.get(each, True) for each in texts))
            types = frozenset[str]().union(*asked)
            whole = [each for each in names if not types.isdisjoint(self._types.get(each, types))]
            if less := sorted({*names} - {*whole}):
                yield elsewhere(), less
        if whole or not names:
            yield summary.sql, whole

    @cached_property
    def _types(self) -> Mapping[str, frozenset[str]]:
        """Return the event types in each data file, as far as the log says."""
        return type_names(self._layout, self._snapshot.version)


def _counted(
    own: duckdb.DuckDBPyConnection, sql: str, files: Files, paths: Sequence[Path], *, adds_up: bool
) -> Segment:  # fmt: skip
    """Return what a statement gives of data files, which lie at these paths."""
    view_events(own, paths, name="file_events" if adds_up else "events", columns=(*COLUMNS, NUMBER))
    if adds_up:
        own.execute(statement("summaries/rows.sql", "one_file").text)
    rows, names = own.sql(sql).to_arrow_table(), files.table["path"].combine_chunks()
    if adds_up:
        return Segment(names, rows.drop_columns([NUMBER]))
    return Segment(names, rows.set_column(0, NUMBER, rows[NUMBER].cast(pa.uint32())).combine_chunks())


def _stretches(days: pa.Array, instants: Sequence[datetime]) -> pa.Array:
    """Return how many of the instants lie before each of some days."""
    stretch = pa.nulls(len(days), pa.int64()).fill_null(0)
    for each in instants:
        stretch = compute.add(stretch, compute.less(micros(each), compute.multiply(days, DAY_US)).cast(pa.int64()))
    return stretch


def _by_month(files: Files, instants: Sequence[datetime]) -> Iterator[tuple[int, Files]]:
    """Yield the files of each month and stretch, with the stretch; months are of so many days."""
    days = files.table["day"].combine_chunks().cast(pa.int32()).cast(pa.int64())
    months = compute.divide(days, _MONTH)
    places = compute.add(compute.multiply(months, len(instants) + 1), _stretches(days, instants))
    for place in places.unique().to_pylist():
        yield place % (len(instants) + 1), Files(files.table.filter(compute.equal(places, place)))


def _sum(rows: pa.Table, others: pa.Table) -> pa.Table:
    """Return the rows of a summary that adds up, of two sets of files, as those of both."""
    *keys, number = rows.column_names
    both = pa.concat_tables([rows, others]).group_by(keys, use_threads=False).aggregate([(number, "sum")])
    return both.select([*keys, f"{number}_sum"]).rename_columns(rows.column_names).combine_chunks()


def _placed(rows: pa.Table, stretch: int) -> pa.Table:
    """Return rows of no day in particular, but of one stretch."""
    day, place = (pa.nulls(len(rows), pa.int64()), pa.repeat(pa.scalar(stretch, pa.int64()), len(rows)))
    return rows.add_column(0, "day", day).add_column(1, "stretch", place)


def statement_digest(summary: Summary) -> str:
    """Return the digest of all that a summary depends on beside the data files."""
    parts = [FORM, duckdb.__version__, summary.sql, *summary.macros, *(["added up"] if summary.adds_up else [])]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def is_as_named(engine: DuckEngine, snapshot: Snapshot) -> bool:
    """Return whether an engine reads a snapshot's own files, each with events of its own day and a name of its content.

    Those of another program may have events of other days and any name, and where a compaction has overtaken the
    snapshot others are read in their place.
    """
    return engine.shows_files_whole and has_own_names(snapshot)


def lake_summaries(context: LakeContext, engine: DuckEngine, snapshot: Snapshot, *, kept: bool = True) -> Summaries:
    """Return what counts the events of an engine: from summaries where these are quicker than rows, and may be kept.

    Args:
        context: The lake.
        engine: The engine.
        snapshot: What it shows, maybe with events that are in no data file.
        kept: Whether kept summaries may be used, and made.
    """
    layout, most = context.layout, context.config.reports.summaries_mb * 1_000_000
    if kept and most and snapshot.rows >= FEWEST and is_as_named(engine, snapshot):
        return LakeSummaries(layout, snapshot, engine.database, most, engine.shown_beside)
    return RowSummaries(engine)
