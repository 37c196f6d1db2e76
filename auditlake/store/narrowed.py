"""Which files can matter to what is asked of a snapshot, by what the log says of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, cached_property, partial
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


class Chooser:
    """Chooses the files that can matter to what is asked.

    Args:
        layout: The lake.
        version: The version of the table whose log says which types are in them; it is asked when it matters first.
        files: The files, as :func:`auditlake.store.snapshot.readable` has seen that they are there.
        is_whole: As for :func:`files_for`.
        types: Returns what the log says of types, where several choosers share that.
    """

    def __init__(
        self, layout: Layout, version: int, files: Sequence[DataFile], *, is_whole: bool,
        types: Callable[[], Mapping[str, frozenset[str]]] | None = None,
    ) -> None:  # fmt: skip
        self._files, self._is_whole = files, is_whole
        self._path = cache(layout.events.__truediv__)  # to make one takes longer than to find out that it matters
        self._types = types or partial(type_names, layout, version)
        self._found = cache(self._find)  # a script asks the same in most of its statements

    @cached_property
    def _typed(self) -> tuple[Contents, ...]:
        return _contents(self._types(), self._files)

    @cached_property
    def _untyped(self) -> tuple[Contents, ...]:
        return _contents({}, self._files)

    def __call__(self, asked: Sequence[Asked] | None) -> list[Path]:
        """Return the paths of those files that matter to what is asked; of all of them if that is None."""
        if asked is None:
            return [self._path(file.path) for file in self._files]
        return [self._path(file.path) for file in self._found(tuple(asked))]

    def has_only(self, asked: Sequence[Asked], types: Collection[str]) -> bool:
        """Return whether the log says that all events in the files that matter to what is asked are of some types."""
        found = {file.types for file in self._found(tuple(asked))}
        return all(each is not None and each.issubset(types) for each in found)

    def _find(self, asked: tuple[Asked, ...]) -> list[Contents]:
        known = self._typed if any(each.types is not None for each in asked) else self._untyped
        return _chosen(known, asked, is_whole=self._is_whole)


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
    return [file.path for file in _chosen(files, asked, is_whole=is_whole)]


def _chosen(files: Sequence[Contents], asked: Iterable[Asked], *, is_whole: bool) -> list[Contents]:
    found = {path for each in asked for path in _for_one(files, each if is_whole else replace(each, is_first=False))}
    return [file for file in files if file.path in found]


def _for_one(files: Sequence[Contents], asked: Asked) -> list[str]:
    types, since, until = asked.types, asked.since, asked.until
    # Files are many, and few of them differ in their types.
    sets = {file.types for file in files}
    fitting = {each for each in sets if types is None or each is None or not types.isdisjoint(each)}
    found = [
        file for file in files
        if file.types in fitting
        and (since is None or file.last is None or file.last + _ROUNDED >= since)
        and (until is None or file.first is None or file.first <= until)
    ]  # fmt: skip
    if asked.is_first:
        # Each file that is over by then has an event by its end: what begins later has not the first of all.
        ends = (file.last + _ROUNDED for file in found if file.last is not None)
        by = min((end for end in ends if asked.until is None or end < asked.until), default=None)
        found = [file for file in found if by is None or file.first is None or file.first <= by]
    return [file.path for file in found]
