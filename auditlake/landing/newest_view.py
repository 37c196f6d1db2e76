"""What readers see of the newest snapshot: its events and those of the landing, flushed or not, each once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.engine.duck import keep_rows
from auditlake.events.schema import COLUMNS
from auditlake.ingest.custody import IngestOptions
from auditlake.landing.positions import read_unflushed
from auditlake.landing.segments import segments
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import read_snapshot, view_snapshot

if TYPE_CHECKING:
    import duckdb

    from auditlake.engine.duck import EventsView
    from auditlake.engine.narrowing import Asked

_TABLE = "_landing"


def view_newest(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    options: IngestOptions,
    *,
    now: datetime,
    columns: Sequence[str] = tuple(COLUMNS),
    asked: Sequence[Asked] | None = None,
) -> tuple[Snapshot, EventsView]:
    """Make the view ``events`` as it would be if the landing were flushed now, and give the newest snapshot and it.

    Nothing is written. Whatever a flush would count as a duplicate or quarantine is not shown.

    Args:
        connection: Where to make it.
        layout: The lake.
        options: How a flush would ingest.
        now: What ``ingested_at`` says of events that are not flushed.
        columns: What it shows.
        asked: As for :func:`auditlake.store.snapshot.view_snapshot`.
    """
    snapshot, table = read_newest(connection, layout, options, now=now)
    return snapshot, view_snapshot(connection, layout, snapshot, columns=columns, beside=table, asked=asked)


def read_newest(
    connection: duckdb.DuckDBPyConnection, layout: Layout, options: IngestOptions, *, now: datetime
) -> tuple[Snapshot, str | None]:
    """Return the newest snapshot, and the table with the events of the landing, which is made; None if it has none.

    Args:
        connection: Where to make it.
        layout: The lake.
        options: How a flush would ingest.
        now: What ``ingested_at`` says of events that are not flushed.
    """
    snapshot, lines = read_unflushed(layout) if segments(layout) else (read_snapshot(layout), [])
    if not lines:
        return snapshot, None
    from auditlake.ingest.ingest import preview  # with NumPy, which a lake without such lines does without

    keep_rows(connection, _TABLE, preview(layout, lines, options, now=now, snapshot=snapshot))
    return snapshot, _TABLE
