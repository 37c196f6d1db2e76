"""A day's files become one file: without the rows that go, and with pseudonyms where names must go.

Only that day's files are read, and one file of it is written. What comes out is compared with what was planned before
anything is committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.engine.duck import connect, keep_rows, rows, view_events
from auditlake.errors import LakeFormatError
from auditlake.events.paths import PersonalPath, replaced
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.entry import Taken
from auditlake.policies.compile import Step
from auditlake.retention.taking import keep_leaves
from auditlake.sqlfiles import statement
from auditlake.store.dayfile import data_file, write_parquet
from auditlake.store.delta import DataFile, file_paths
from auditlake.store.layout import Layout
from auditlake.store.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    import duckdb

_MEMORY = "700MB"


@dataclass(frozen=True, slots=True)
class DayRewrite:
    """What is to become of a day."""

    day: date
    files: tuple[DataFile, ...]
    deleted: int
    """How many rows go."""
    changed: int
    """How many rows get pseudonyms."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A day's new file."""

    draft: Path
    file: DataFile
    """What it will be."""
    taken: tuple[Taken, ...]
    """What of the batches of the day it has no longer or otherwise, its leaves kept."""


def rewrite_day(
    layout: Layout,
    folder: Path,
    asked: DayRewrite,
    mark: Step,
    personal: Sequence[PersonalPath],
    names: Pseudonyms | None,
) -> Rewritten:
    """Write a day's new file into a workspace, synced.

    Args:
        layout: The lake.
        folder: The workspace.
        asked: The day, and what should come of it.
        mark: The statement that makes the table ``marked``.
        personal: Where personal data lies in JSON.
        names: The lake's pseudonyms; None where nothing gets one.

    Raises:
        LakeFormatError: Other rows would go or change than was planned.
    """
    spill = folder / "spill"
    spill.mkdir(exist_ok=True)
    draft = folder / f"day-{asked.day}.parquet"
    with connect(temp=spill, memory=_MEMORY, exact_try=False) as connection:
        view_events(connection, file_paths(layout, asked.files), columns=FILE_COLUMNS)
        connection.execute(mark.sql, dict(mark.parameters) or None)
        _keep_new_texts(connection, personal, names)
        keys: Mapping[str, object] = names.values if names else Pseudonyms(b"").values
        part = statement("retention/day.sql", "rows_as_they_stay")
        write_parquet(connection, part.text, part.bind(dict(keys)), draft)
        view_events(connection, [draft], name="rewritten", columns=FILE_COLUMNS)
        found = rows(connection, statement("retention/day.sql", "differences").text)
        taken = keep_leaves(connection, layout, asked.day, draft)
    ((count, first, last, gone, changed),) = found
    before = sum(file.rows for file in asked.files)
    if (count, gone, changed) != (before - asked.deleted, asked.deleted + asked.changed, asked.changed):
        message = (
            f"rewriting {asked.day} would take {gone - changed} rows and change {changed}, where "
            f"{asked.deleted} and {asked.changed} were planned"
        )
        raise LakeFormatError(message, hint="nothing was changed; check the files of that day")
    return Rewritten(draft, data_file(draft, asked.day, count, first, last), taken)


def _keep_new_texts(
    connection: duckdb.DuckDBPyConnection, personal: Sequence[PersonalPath], names: Pseudonyms | None
) -> None:
    """Make the table ``new_texts``: JSON with something personal, and what becomes of it."""
    import pyarrow as pa

    steps = {name: [path.steps for path in personal if path.column == name] for name in ("details", "metadata")}
    found: list[tuple[Any, ...]] = []
    if personal and names is not None:
        part = statement("retention/day.sql", "personal_texts")
        below = {f"in_{name}": [path.below for path in personal if path.column == name] for name in steps}
        found = rows(connection, part.text, part.bind(dict(below)))
    changed = [
        (place, text, new) for place, text in found if names and (new := replaced(text, steps[place], names.of)) != text
    ]
    text = pa.string()
    columns = ("place", "old_text", "new_text")
    table = {name: pa.array([each[i] for each in changed], text) for i, name in enumerate(columns)}
    keep_rows(connection, "new_texts", pa.table(table))
