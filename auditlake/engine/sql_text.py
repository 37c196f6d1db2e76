"""Pieces of SQL text that cannot be bound: names, paths, and the view of a snapshot's files."""

from __future__ import annotations

from collections.abc import Sequence

from auditlake.events.schema import COLUMNS

_DAY = "cast(regexp_extract(filename, '/event_date=([0-9-]{10})/[^/]*$', 1) as date) as event_date"
"""A file's day, from the folder it lies in. Files of other days are skipped as with DuckDB's own Hive partitions, which
would also take a folder far above the lake, say ``source=web``, for a column of every event."""


Batches = Sequence[tuple[int, int]]
"""Batches as runs of numbers, each from its first to its last."""


def literal(text: str) -> str:
    """Return a SQL string literal. Only for what cannot be bound: views and COPY targets, with paths of our own."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def select_events(
    files: Sequence[str], columns: Sequence[str], batches: Batches | None = None, beside: str | None = None
) -> str:
    """Return the query that gives the events of exactly these Parquet files, or no rows at all.

    Args:
        files: The files, below folders ``event_date=…``, as :mod:`auditlake.engine.paths` spells them.
        columns: What it gives: columns of events, and ``file_index``, the place of an event's file among them.
        batches: Leave out rows of other batches.
        beside: A table with all columns whose rows it gives too.
    """
    listed_columns = ", ".join(map(_column if files else identifier, columns))
    if files:
        listed = ", ".join(map(literal, files))
        origin = f"read_parquet([{listed}], hive_partitioning = false)"
        if batches is not None:
            origin += f" where {of_batches(batches)}"
    else:
        kinds = (COLUMNS | {"file_index": "ubigint"}).items()
        typed = ", ".join(f"cast(null as {kind}) as {identifier(column)}" for column, kind in kinds)
        origin = f"(select {typed}) where false"
    if beside is not None:
        origin += f" union all select {', '.join(map(identifier, columns))} from {identifier(beside)}"
    return f"select {listed_columns} from {origin}"


def of_batches(batches: Batches) -> str:
    """Return the condition that a row is of one of some batches."""
    return " or ".join(f"batch between {first:d} and {last:d}" for first, last in batches) or "false"


def _column(name: str) -> str:
    """Return a column as it is read of files: those of other programs may have instants without their zone, UTC."""
    if name == "event_date":
        return _DAY
    quoted = identifier(name)
    return f"cast({quoted} as timestamptz) as {quoted}" if COLUMNS.get(name) == "timestamptz" else quoted
