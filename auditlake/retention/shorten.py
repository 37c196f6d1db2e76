"""Days of which rows go and none changes: several at a time, since statements about one take longer than its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, rows, view_events
from auditlake.engine.statements import statement
from auditlake.errors import LakeFormatError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.policies.compile import Step
from auditlake.retention.day_rewrite import Day
from auditlake.retention.rules import RetentionRules
from auditlake.store.dayfile import write_days
from auditlake.store.model import DataFile
from auditlake.store.snapshot import whole_files

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_FILE = "retention/day.sql"
_ROWS = 200_000
"""Rows of days together."""
_BYTES = 16_000_000
"""Their files together."""
_BATCH = 2_048
"""Rows that are fetched at a time: a few, since they may be long."""
_SUM = 1 << 64


@dataclass(frozen=True, slots=True)
class Going:
    """The statements of ``sql/retention/day.sql`` that know which rows are due."""

    counts: Step
    staying: Step
    leaves: Step


def going_by(rules: RetentionRules) -> Going:
    """Return the statements for the rules of retention."""
    return Going(
        rules.step("going_counts"), rules.step("staying_alone"), rules.step("going_leaves", batches=[], changed=[])
    )


def together(days: Sequence[Day]) -> Iterator[list[Day]]:
    """Yield days on end, as many as are worth a statement."""
    some: list[Day] = []
    for day in days:
        some.append(day)
        files = [file for each in some for file in each.files]
        if sum(file.rows for file in files) >= _ROWS or sum(file.size for file in files) >= _BYTES:
            yield some
            some = []
    if some:
        yield some


def shorten(
    database: duckdb.DuckDBPyConnection,
    layout: Layout,
    folder: Path,
    days: Sequence[Day],
    going: Going,
    classes: Mapping[str, str],
) -> dict[date, list[tuple[Path, DataFile]]]:
    """Write new files of days into a workspace, synced, without what is due. Threads may do so at the same time.

    Args:
        database: Where to read.
        layout: The lake.
        folder: The workspace.
        days: The days, each with files to be written anew.
        going: What knows what is due.
        classes: The retention class of each event type.

    Raises:
        LakeFormatError: Other rows would go than was planned, or were written.
    """
    content = Counter[str]()
    with beside(database, exact_try=False) as connection:  # what it makes goes with it
        files = whole_files(layout, [file for day in days for file in day.rewritten])
        view_events(connection, files, columns=(*FILE_COLUMNS, "event_date"))
        staying = connection.sql(going.staying.sql, params=dict(going.staying.parameters)).to_arrow_reader(_BATCH)
        written = write_days(_counted(staying, content), folder, classes)
        drafts = [draft for some in written.values() for draft, _ in some]
        view_events(connection, drafts, name="rewritten", columns=FILE_COLUMNS)
        ((number, there),) = rows(connection, statement(_FILE, "written_rows").text)
    for day in days:
        had, gone = sum(file.rows for file in day.rewritten), day.deleted - sum(file.rows for file in day.dropped)
        count = sum(file.rows for _, file in written.get(day.day, ()))
        if count != had - gone:
            message = f"rewriting {day.day} would take {had - count} rows, where {gone} were planned"
            raise LakeFormatError(message, hint="nothing was changed; check the files of that day")
    if (number, int(there) % _SUM) != (content["rows"], content["sum"] % _SUM):
        message = f"the files written for {days[0].day} to {days[-1].day} have other rows than those that stay"
        raise LakeFormatError(message, hint="nothing was changed; check the disk below the lake")
    return written


def _counted(batches: Iterator[pa.RecordBatch], content: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Yield batches without their last column, adding it up."""
    import numpy as np

    for batch in batches:
        *columns, numbers = batch.columns
        content["rows"] += len(batch)
        content["sum"] += int(np.add.reduce(numbers.to_numpy(), dtype=np.uint64))
        yield type(batch).from_arrays(columns, batch.schema.names[:-1])


def due_counts(
    database: duckdb.DuckDBPyConnection, layout: Layout, days: Sequence[Day], going: Going
) -> dict[date, dict[int, Counter[str]]]:
    """Return how many rows of the files to be written anew are due, by day, batch and type."""
    found: dict[date, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    files = whole_files(layout, [file for day in days for file in day.rewritten])
    if files:
        with beside(database, exact_try=False) as connection:
            view_events(connection, files, columns=(*FILE_COLUMNS, "event_date"))
            for batch, day, event_type, events in rows(connection, going.counts.sql, going.counts.parameters):
                if batch is not None:
                    found[day][batch][event_type] += events
    return found
