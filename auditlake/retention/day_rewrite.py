"""Files of a day without rows or names: new ones in their place, by the retention classes of now.

Only the files are read that change. What replaces them is compared with the plan before anything is committed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, rows, view_events
from auditlake.engine.statements import statement
from auditlake.errors import LakeFormatError
from auditlake.events.personal import Eraser, Row
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.leaves import leaves
from auditlake.policies.compile import Step
from auditlake.retention.withdrawn import Moved
from auditlake.store.dayfile import equal_stretches, write_day
from auditlake.store.model import DataFile
from auditlake.store.pseudonyms import Pseudonyms
from auditlake.store.snapshot import whole_files

if TYPE_CHECKING:
    import duckdb
    import numpy as np

_FILE = "retention/day.sql"
_ROWS = 2_000
"""Rows whose texts are looked at together."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is to become of a partition."""

    day: date
    dropped: tuple[DataFile, ...]
    """The files that go whole: none of them is read."""
    rewritten: tuple[DataFile, ...]
    """Those that others replace."""
    staying: tuple[DataFile, ...]
    """Those that stay as they are."""
    events: int
    deleted: int
    """How many rows go."""
    changed: int
    """How many rows get pseudonyms, or other columns."""
    held: int

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files that leave the lake."""
        return (*self.dropped, *self.rewritten)


DayRows = Callable[["duckdb.DuckDBPyConnection", Day], "tuple[str, Mapping[str, object]]"]
"""Gives the query of the rows that a day's rewritten files are to have, and its values; the view ``events`` of the
connection shows those that they have."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A day's new files."""

    written: Sequence[tuple[Path, DataFile]]
    """The drafts, and what they will be."""
    moved: Moved


def rewrite_day(
    database: duckdb.DuckDBPyConnection,
    layout: Layout,
    folder: Path,
    asked: Day,
    choose: DayRows,
    classes: Mapping[str, str],
) -> Rewritten:
    """Write the new files of a day into a workspace, synced.

    Args:
        database: Where to read and write.
        layout: The lake.
        folder: The workspace.
        asked: The day, and what should come of it.
        choose: What chooses the rows that it is to have.
        classes: The retention class of each event type.

    Raises:
        LakeFormatError: Other rows would go or change than was planned.
    """
    with beside(database, exact_try=False) as connection:  # what it makes goes with it
        view_events(connection, whole_files(layout, asked.rewritten), columns=FILE_COLUMNS)
        query, values = choose(connection, asked)
        written = write_day(connection, query, values, asked.day, folder, classes)
        view_events(connection, [draft for draft, _ in written], name="rewritten", columns=FILE_COLUMNS)
        connection.execute(statement(_FILE, "moved_rows").text)
        ((gone, changed),) = rows(connection, statement(_FILE, "differences").text)
        moved = _moved(connection, any_changed=bool(changed))
    deleted = asked.deleted - sum(file.rows for file in asked.dropped)
    count, before = sum(file.rows for _, file in written), sum(file.rows for file in asked.rewritten)
    if (count, gone, changed) != (before - deleted, deleted, asked.changed):
        message = (
            f"rewriting {asked.day} would take {before - count} rows and change {changed}, where "
            f"{deleted} and {asked.changed} were planned"
        )
        raise LakeFormatError(message, hint="nothing was changed; check the files of that day")
    return Rewritten(written, moved)


def _moved(connection: duckdb.DuckDBPyConnection, *, any_changed: bool) -> Moved:
    """Return what the table ``moved`` says; afterwards the view ``events`` may show other rows."""
    table = connection.sql(statement(_FILE, "gone_rows").text).to_arrow_table()
    gone: dict[int, np.ndarray] = {}
    types: dict[int, Counter[str]] = {}
    for begin, end in equal_stretches(table["batch"].to_numpy()):
        batch, some = table["batch"][begin].as_py(), table.slice(begin, end - begin)
        gone[batch] = some["seq"].to_numpy()
        counted = some["event_type"].combine_chunks().value_counts().to_pylist()
        types[batch] = Counter({each["values"]: each["counts"] for each in counted})
    changed: dict[int, dict[int, bytes]] = defaultdict(dict)
    if any_changed:
        connection.execute(statement(_FILE, "only_changed").text)
        for batch, _, _, seq, leaf in leaves(connection).fetchall():
            changed[batch][seq] = leaf
    return Moved(gone, changed, types)


def staying_rows(mark: Step, eraser: Eraser | None, texts: Step) -> DayRows:
    """Return what gives a day's rows without those that go, and others without their personal data.

    Args:
        mark: The statement that makes the table ``marked``.
        eraser: What takes the personal data out of rows; None where none changes. It counts what it leaves in them.
        texts: The statement that gives the marked rows whose texts may name a person.
    """

    def choose(connection: duckdb.DuckDBPyConnection, _: Day) -> tuple[str, Mapping[str, object]]:
        connection.execute(mark.sql, dict(mark.parameters) or None)
        _keep_new_texts(connection, eraser, texts)
        names = eraser.names if eraser else Pseudonyms(b"")
        assert isinstance(names, Pseudonyms)
        part = statement(_FILE, "rows_as_they_stay")
        return part.text, part.bind(names.values | names.id_values)

    return choose


def _keep_new_texts(connection: duckdb.DuckDBPyConnection, eraser: Eraser | None, texts: Step) -> None:
    """Make the table ``new_texts``: the marked rows whose resource, details or metadata become others, and these."""
    ((marked,),) = rows(connection, statement(_FILE, "marked_rows").text)
    connection.execute(statement(_FILE, "new_texts").text)
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
            connection.execute(statement(_FILE, "keep_new_texts").text)
            connection.unregister("arriving")


def _table(changed: Sequence[tuple[Any, ...]]) -> Any:
    import pyarrow as pa

    types = {"number": pa.int64(), "resource": pa.string(), "details": pa.string(), "metadata": pa.string()}
    columns = zip(*changed, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types.values(), strict=True)]
    return pa.table(arrays, list(types))
