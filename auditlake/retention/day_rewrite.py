"""A day without rows or names: its files become one, and the leaves of what goes are kept for the ledger.

Only that day's files are read, and one file is written. It is compared with the plan before anything is committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, connect, rows, view_events
from auditlake.engine.statements import statement
from auditlake.errors import LakeFormatError
from auditlake.events.personal import Eraser, Row
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.entry import Taken
from auditlake.ledger.leaves import define_leaves
from auditlake.ledger.sidecars import GONE, Kept, keep, pack
from auditlake.policies.compile import Step
from auditlake.store.dayfile import data_file, write_parquet
from auditlake.store.model import DataFile
from auditlake.store.pseudonyms import Pseudonyms
from auditlake.store.snapshot import file_paths

if TYPE_CHECKING:
    import duckdb

_MEMORY = "700MB"
_ROWS = 2_000
"""Rows whose texts are looked at together."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is to become of a partition."""

    day: date
    files: tuple[DataFile, ...]
    events: int
    deleted: int
    """How many rows go."""
    changed: int
    """How many rows get pseudonyms, or other columns."""
    held: int
    whole: bool
    """Whether all of it goes: then no file is read or written."""


DayWriter = Callable[["duckdb.DuckDBPyConnection", Day, Path], None]
"""Writes the rows that a day is to have as a file; the view ``events`` of the connection shows those that it has."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A day's new file."""

    draft: Path
    file: DataFile
    """What it will be."""
    taken: tuple[Taken, ...]
    """What of the batches of the day it has no longer or otherwise, its leaves kept."""


def rewrite_days(layout: Layout, folder: Path, asked: Iterable[Day], write: DayWriter) -> dict[date, Rewritten]:
    """Write the new files of days that do not go whole into a workspace, synced.

    Args:
        layout: The lake.
        folder: The workspace.
        asked: The days, and what should come of them.
        write: What writes the rows that a day is to have.

    Raises:
        LakeFormatError: Other rows would go or change than was planned.
    """
    days = [day for day in asked if not day.whole]
    if not days:
        return {}
    spill = folder / "spill"
    spill.mkdir(exist_ok=True)
    with connect(temp=spill, memory=_MEMORY, exact_try=False) as database:
        return {day.day: _rewrite_day(database, layout, folder, day, write) for day in days}


def _rewrite_day(
    database: duckdb.DuckDBPyConnection, layout: Layout, folder: Path, asked: Day, write: DayWriter
) -> Rewritten:
    draft = folder / f"day-{asked.day}.parquet"
    with beside(database, exact_try=False) as connection:  # what it makes goes with it
        view_events(connection, file_paths(layout, asked.files), columns=FILE_COLUMNS)
        write(connection, asked, draft)
        view_events(connection, [draft], name="rewritten", columns=FILE_COLUMNS)
        ((count, first, last, gone, changed),) = rows(connection, statement("retention/day.sql", "differences").text)
        taken = _keep_leaves(connection, layout, asked.day, draft)
    before = sum(file.rows for file in asked.files)
    if (count, gone, changed) != (before - asked.deleted, asked.deleted + asked.changed, asked.changed):
        message = (
            f"rewriting {asked.day} would take {gone - changed} rows and change {changed}, where "
            f"{asked.deleted} and {asked.changed} were planned"
        )
        raise LakeFormatError(message, hint="nothing was changed; check the files of that day")
    return Rewritten(draft, data_file(draft, asked.day, count, first, last), taken)


def staying_rows(mark: Step, eraser: Eraser | None, texts: Step) -> DayWriter:
    """Return what writes a day's rows without those that go, and others without their personal data.

    Args:
        mark: The statement that makes the table ``marked``.
        eraser: What takes the personal data out of rows; None where none changes. It counts what it leaves in them.
        texts: The statement that gives the marked rows whose texts may name a person.
    """

    def write_day(connection: duckdb.DuckDBPyConnection, _: Day, draft: Path) -> None:
        connection.execute(mark.sql, dict(mark.parameters) or None)
        _keep_new_texts(connection, eraser, texts)
        names = eraser.names if eraser else Pseudonyms(b"")
        assert isinstance(names, Pseudonyms)
        part = statement("retention/day.sql", "rows_as_they_stay")
        write_parquet(connection, part.text, part.bind(names.values | names.id_values), draft)

    return write_day


def _keep_new_texts(connection: duckdb.DuckDBPyConnection, eraser: Eraser | None, texts: Step) -> None:
    """Make the table ``new_texts``: the marked rows whose resource, details or metadata become others, and these."""
    ((marked,),) = rows(connection, statement("retention/day.sql", "marked_rows").text)
    connection.execute(statement("retention/day.sql", "new_texts").text)
    for first in range(0, marked if eraser else 0, _ROWS):
        values = {**texts.parameters, "first": first, "behind": first + _ROWS}
        changed = []
        for number, *columns in rows(connection, texts.sql, values):
            row = Row(*columns)
            assert eraser is not None
            new = eraser.erased(row, count=True)
            if new != (row.resource, row.details, row.metadata):
                changed.append((number, *new))
        if changed:
            connection.register("arriving", _table(changed))
            connection.execute(statement("retention/day.sql", "keep_new_texts").text)
            connection.unregister("arriving")


def _table(changed: Sequence[tuple[Any, ...]]) -> Any:
    import pyarrow as pa

    types = {"number": pa.int64(), "resource": pa.string(), "details": pa.string(), "metadata": pa.string()}
    columns = zip(*changed, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types.values(), strict=True)]
    return pa.table(arrays, list(types))


def _keep_leaves(connection: duckdb.DuckDBPyConnection, layout: Layout, day: date, draft: Path) -> tuple[Taken, ...]:
    """Keep the leaves of rows that go or change, so that the others of their batches still verify.

    The view `events` shows the day as it was; afterwards it shows the draft.
    """
    define_leaves(connection)
    select = statement("ledger/leaves.sql", "leaves").text
    connection.execute(f"create or replace temp table leaves_before as {select}")
    view_events(connection, [draft], columns=FILE_COLUMNS)
    connection.execute(f"create or replace temp table leaves_after as {select}")
    kept: dict[int, list[Kept]] = defaultdict(list)
    for batch, seq, before, after in rows(connection, statement("retention/day.sql", "other_leaves").text):
        kept[batch].append(Kept(seq, before, after or GONE))
    return tuple(
        Taken(batch, day, len(leaves), keep(layout, "kept", pack(leaves))) for batch, leaves in sorted(kept.items())
    )


def taken_with_days(layout: Layout, files: Sequence[DataFile], folder: Path) -> tuple[Taken, ...]:
    """Return what of which batches goes with days that go whole; one column of their files is read."""
    if not files:
        return ()
    with connect(temp=folder, memory=_MEMORY, exact_try=False) as connection:
        view_events(connection, file_paths(layout, files), columns=(*FILE_COLUMNS, "event_date"))
        batches = rows(connection, statement("retention/day.sql", "batches").text)
    return tuple(Taken(batch, day, count) for batch, day, count in batches)
