"""Which files can matter to what is asked of a snapshot, by what the log says of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.engine.narrowing import Asked
from auditlake.store.file_types import with_types
from auditlake.store.model import DataFile, Snapshot

_ROUNDED = timedelta(milliseconds=1)
"""How much later than the log says the last event of a file may be: other writers cut its time off."""


def chooser(layout: Layout, version: int, files: Sequence[DataFile]) -> Callable[[Sequence[Asked] | None], list[Path]]:
    """Return what gives the paths of those files that matter to what is asked; of all of them if that is None.

    Args:
        layout: The lake.
        version: The version of the table whose log says which types are in them; it is asked when it matters first.
        files: The files, as :func:`auditlake.store.snapshot.readable` has seen that they are there.
    """

    @cache
    def typed() -> Sequence[DataFile]:
        return with_types(layout, Snapshot(version, tuple(files))).files

    def chosen(asked: Sequence[Asked] | None) -> list[Path]:
        if asked is None:
            return [layout.events / file.path for file in files]
        known = typed() if any(each.types for each in asked) else files
        return [layout.events / file.path for file in files_for(known, asked)]

    return chosen


def files_for(files: Sequence[DataFile], asked: Sequence[Asked]) -> tuple[DataFile, ...]:
    """Return those files in which events may be that matter to any of several questions, in the same order.

    A file of which the log does not say what is in it may hold anything.
    """
    found = {file.path for each in asked for file in _for_one(files, each)}
    return tuple(file for file in files if file.path in found)


def _for_one(files: Sequence[DataFile], asked: Asked) -> list[DataFile]:
    found = [file for file in files if _may_hold(file, asked)]
    if not asked.is_first:
        return found
    # Each file that is over by then has an event by its end: what begins later has not the first of all.
    ends = [end for file in found if (end := _end(file)) is not None and (asked.until is None or end < asked.until)]
    by = min(ends, default=None)
    return found if by is None else [file for file in found if file.first is None or file.first <= by]


def _may_hold(file: DataFile, asked: Asked) -> bool:
    end = _end(file)
    return (
        (asked.types is None or file.may_hold(asked.types))
        and (asked.since is None or end is None or end >= asked.since)
        and (asked.until is None or file.first is None or file.first <= asked.until)
    )


def _end(file: DataFile) -> datetime | None:
    """Return an instant that no event of a file is later than; None if the log does not say."""
    return None if file.last is None else file.last + _ROUNDED
