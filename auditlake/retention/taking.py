"""What deletion and erasure take of batches, as the ledger is told: so that what is left still verifies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect, rows, view_events
from auditlake.engine.statements import statement
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.entry import Taken
from auditlake.ledger.sidecars import GONE, Kept, keep
from auditlake.store.delta import DataFile, file_paths

if TYPE_CHECKING:
    import duckdb

_MEMORY = "700MB"


def keep_leaves(connection: duckdb.DuckDBPyConnection, layout: Layout, day: date, draft: Path) -> tuple[Taken, ...]:
    """Keep the leaves of rows that go or change, so that the others of their batches still verify.

    `events` shows the day as it was; afterwards it shows the draft.
    """
    connection.execute(statement("ledger/leaves.sql", "hashed").text)
    leaves = statement("ledger/leaves.sql", "leaves").text
    connection.execute(f"create or replace temp table leaves_before as {leaves}")
    view_events(connection, [draft], columns=FILE_COLUMNS)
    connection.execute(f"create or replace temp table leaves_after as {leaves}")
    kept: dict[int, list[Kept]] = defaultdict(list)
    for batch, seq, before, after in rows(connection, statement("retention/day.sql", "other_leaves").text):
        kept[batch].append(Kept(seq, before, after or GONE))
    return tuple(Taken(batch, day, len(mine), keep(layout, mine)) for batch, mine in sorted(kept.items()))


def taken_with_days(layout: Layout, files: Sequence[DataFile], folder: Path) -> tuple[Taken, ...]:
    """What of which batches goes with days that go whole; of their files one column is read."""
    if not files:
        return ()
    with connect(temp=folder, memory=_MEMORY, exact_try=False) as connection:
        view_events(connection, file_paths(layout, files), columns=(*FILE_COLUMNS, "event_date"))
        found = rows(connection, statement("retention/day.sql", "batches").text)
    return tuple(Taken(batch, day, count) for batch, day, count in found)
