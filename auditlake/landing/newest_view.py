"""What readers see of the newest snapshot: its events and those of the landing, flushed or not, each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.engine.duck import keep_rows
from auditlake.events.schema import COLUMNS
from auditlake.landing.positions import read_unflushed
from auditlake.landing.segments import segments
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import read_snapshot, view_snapshot

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from auditlake.engine.duck import EventsView
    from auditlake.engine.narrowing import Asked

_TABLE = "_landing"


def view_newest(
    connection: duckdb.DuckDBPyConnection,
    context: LakeContext,
    *,
    columns: Sequence[str] = tuple(COLUMNS),
    asked: Sequence[Asked] | None = None,
) -> tuple[Snapshot, EventsView]:
    """Make the view ``events`` as it would be if the landing were flushed now, and give the newest snapshot and it.

    Nothing is written. Whatever a flush would count as a duplicate or quarantine is not shown.

    Args:
        connection: Where to make it.
        context: The lake; its clock says ``ingested_at`` of events that are not flushed.
        columns: What it shows.
        asked: As for :func:`auditlake.store.snapshot.view_snapshot`.
    """
    snapshot, unflushed = read_newest(context)
    table = None if unflushed is None else _TABLE
    if unflushed is not None:
        keep_rows(connection, _TABLE, unflushed)
    return snapshot, view_snapshot(connection, context.layout, snapshot, columns=columns, beside=table, asked=asked)


def read_newest(context: LakeContext) -> tuple[Snapshot, pa.Table | None]:
    """Return the newest snapshot, and the events of the landing, with every column; None if it has none.

    Args:
        context: The lake; its clock says ``ingested_at`` of events that are not flushed.
    """
    layout = context.layout
    snapshot, lines = read_unflushed(layout) if segments(layout) else (read_snapshot(layout), [])
    if not lines:
        return snapshot, None
    from auditlake.ingest.custody import IngestOptions
    from auditlake.ingest.ingest import preview  # with NumPy, which a lake without such lines does without

    return snapshot, preview(layout, lines, IngestOptions.live(context), now=context.now, snapshot=snapshot)
