"""Which files can matter to what is asked of a snapshot, by what the log says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.engine.narrowing import Asked
from auditlake.store.file_types import type_names
from auditlake.store.model import DataFile

_ROUNDED = timedelta(milliseconds=1)
"""How much later than the log says the last event of a file may be: other writers cut its time off."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the log says of a file; what it does not say is None, and then the file may hold anything."""

    path: str
    types: frozenset[str] | None
    """The event types in it."""
    first: datetime | None
    """An instant that no event of it is before."""
    last: datetime | None
    """An instant that no event of it is after, but for what other writers cut off."""

    def matters(self, asked: Asked) -> bool:
        """Return whether an event may be in it that matters to a question."""
        return (
            (asked.types is None or self.types is None or not asked.types.isdisjoint(self.types))
            and (asked.since is None or self.last is None or self.last + _ROUNDED >= asked.since)
            and (asked.until is None or self.first is None or self.first <= asked.until)
        )


def chooser(
    layout: Layout,
    version: int,
    files: Sequence[DataFile],
    *,
    is_whole: bool,
    types: Callable[[], Mapping[str, frozenset[str]]] | None = None,
) -> Callable[[Sequence[Asked] | None], list[Path]]:
    """Return what gives the paths of those files that matter to what is asked; of all of them if that is None.

    Args:
        layout: The lake.
        version: The version of the table whose log says which types are in them; it is asked when it matters first.
        files: The files, as :func:`auditlake.store.snapshot.readable` has seen that they are there.
        is_whole: As for :func:`files_for`.
        types: Returns what the log says of types, where several choosers share that.
    """
    types, events = types or partial(type_names, layout, version), layout.events

    @cache
    def contents(*, typed: bool) -> tuple[Contents, ...]:
        return _contents(types() if typed else {}, files)

    def chosen(asked: Sequence[Asked] | None) -> list[Path]:
        if asked is None:
            return [events / file.path for file in files]
        known = contents(typed=any(each.types is not None for each in asked)) if asked else ()
        return [events / path for path in files_for(known, asked, is_whole=is_whole)]

    return chosen


def contents_of(layout: Layout, version: int | None, files: Iterable[DataFile]) -> tuple[Contents, ...]:
    """Return what the log of a version says of files; nothing about their types if the version is None."""
    return _contents({} if version is None else type_names(layout, version), files)


def _contents(types: Mapping[str, frozenset[str]], files: Iterable[DataFile]) -> tuple[Contents, ...]:
    return tuple(Contents(file.path, types.get(file.path), file.first, file.last) for file in files)


def files_for(files: Sequence[Contents], asked: Iterable[Asked], *, is_whole: bool) -> list[str]:
    """Return the paths of those files in which events may be that matter to any of several questions, in order.

    Args:
        files: The files.
        asked: The questions.
        is_whole: Whether all events of the files are shown: else a file may have none, so where the first one of all is
            cannot be told.
    """
    found = {path for each in asked for path in _for_one(files, each if is_whole else replace(each, is_first=False))}
    return [file.path for file in files if file.path in found]


def _for_one(files: Sequence[Contents], asked: Asked) -> list[str]:
    found = [file for file in files if file.matters(asked)]
    if asked.is_first:
        # Each file that is over by then has an event by its end: what begins later has not the first of all.
        ends = (file.last + _ROUNDED for file in found if file.last is not None)
        by = min((end for end in ends if asked.until is None or end < asked.until), default=None)
        found = [file for file in found if by is None or file.first is None or file.first <= by]
    return [file.path for file in found]
