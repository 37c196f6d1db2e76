"""Which files can matter to what is asked of a snapshot, by what the log says of each."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property, partial
from itertools import chain

from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.engine.narrowing import Asked
from auditlake.engine.summed import DAY_US
from auditlake.events.times import EPOCH, micros
from auditlake.store.file_types import file_types, type_names
from auditlake.store.files import Files
from auditlake.store.model import DataFile

_ROUNDED = 1_000
"""By how many microseconds the last event of a file may be later than the log says: other writers cut its time off."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the log says of files, in columns; what it does not say of one is None, and then that may hold anything."""

    paths: Sequence[str]
    types: Sequence[frozenset[str] | None]
    """The event types in each."""
    first: Sequence[int | None]
    """Microseconds since 1970 of an instant that no event of it is before."""
    last: Sequence[int | None]
    """The same of one that no event of it is after, but for what other writers cut off."""


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
        self._untyped, self._is_whole = _contents({}, files), is_whole
        self._folder = layout.events
        self._types = types or partial(type_names, layout, version)
        self._counts_of = partial(file_types, layout, version)
        self._found = cache(self._find)  # a script asks the same in most of its statements

    @cached_property
    def _typed(self) -> Contents:
        return replace(self._untyped, types=[*map(self._types().get, self._untyped.paths)])

    def __call__(self, asked: Sequence[Asked] | None) -> list[str]:
        """Return the paths of those files that matter to what is asked; of all of them if that is None."""
        return self._paths(range(len(self._untyped.paths)) if asked is None else self._found(tuple(asked)))

    def _paths(self, places: Iterable[int]) -> list[str]:
        # To make a Path of one takes longer than to find out that it matters.
        return [f"{self._folder}{os.sep}{self._untyped.paths[place]}" for place in places]

    def has_only(self, asked: Sequence[Asked], types: Collection[str]) -> bool:
        """Return whether the log says that all events in the files that matter to what is asked are of some types."""
        known = self._known(asked)
        found = {known.types[place] for place in self._found(tuple(asked))}
        return all(each is not None and each.issubset(types) for each in found)

    def counted(
        self, types: Collection[str], as_of: datetime, *others: datetime
    ) -> tuple[Mapping[int, Mapping[str, int]], list[str]]:
        """Return how many events of some types the log counts on days, and the files that have those of other days.

        Not counted are days of which the log does not say the types of each file, those that an instant cuts, and the
        first and the last one of each type: when its first and last event were, rows alone say.

        Args:
            types: The types.
            as_of: Events after this instant do not matter.
            *others: The other instants that tell events apart.
        """
        files, wanted, days = self._typed, frozenset(types), defaultdict[int, list[int]](list)
        places = self._found((Asked(wanted, until=as_of),))
        for place in places:
            if (named := part_day_and_digest(files.paths[place])) is None:  # another program's: it may be of any day
                return {}, self._paths(places)
            days[(named[0] - EPOCH.date()).days].append(place)
        cut = {micros(at) // DAY_US for at in (as_of, *others) if (micros(at) + 1) % DAY_US}
        typed = {
            day: [files.paths[place] for place in own] for day, own in days.items()
            if day not in cut and all(files.types[place] is not None for place in own)
        }  # fmt: skip
        known = self._counts_of(only={*chain.from_iterable(typed.values())}) if typed else {}
        told = {
            day: sum((Counter({t: n for t, n in known[path] if t in wanted}) for path in paths), Counter[str]())
            for day, paths in typed.items() if known.keys() >= {*paths}
        }  # fmt: skip
        has = [[day for day, counts in told.items() if counts[name]] for name in wanted]
        ends = {end(own) for own in has if own for end in (min, max)}
        told = {day: counts for day, counts in told.items() if day not in ends}
        return told, self._paths(place for day, own in days.items() if day not in told for place in own)

    def _known(self, asked: Sequence[Asked]) -> Contents:
        return self._typed if any(each.types is not None for each in asked) else self._untyped

    def _find(self, asked: tuple[Asked, ...]) -> list[int]:
        return _chosen(self._known(asked), asked, is_whole=self._is_whole)


def contents_of(layout: Layout, version: int, files: Sequence[DataFile]) -> Contents:
    """Return what the log of a version says of files."""
    return _contents(type_names(layout, version), files)


def _contents(types: Mapping[str, frozenset[str]], files: Sequence[DataFile]) -> Contents:
    import pyarrow as pa

    table = Files.of(files).table
    first, last = (table[name].cast(pa.int64()).to_pylist() for name in ("first", "last"))
    paths = table["path"].to_pylist()
    return Contents(paths, [*map(types.get, paths)], first, last)


def files_for(files: Contents, asked: Iterable[Asked], *, is_whole: bool) -> list[str]:
    """Return the paths of those files in which events may be that matter to any of several questions, in order.

    Args:
        files: The files.
        asked: The questions.
        is_whole: Whether all events of the files are shown: else a file may have none, so where the first one of all is
            cannot be told.
    """
    return [files.paths[place] for place in _chosen(files, asked, is_whole=is_whole)]


def _chosen(files: Contents, asked: Iterable[Asked], *, is_whole: bool) -> list[int]:
    """Return the places of the files that matter."""
    found = (_for_one(files, each if is_whole else replace(each, is_first=False)) for each in asked)
    return sorted({place for places in found for place in places})


def _for_one(files: Contents, asked: Asked) -> list[int]:
    types, since, until = asked.types, *(None if at is None else micros(at) for at in (asked.since, asked.until))
    # Files are many, and few of them differ in their types.
    fitting = {each for each in set(files.types) if types is None or each is None or not types.isdisjoint(each)}
    found = [
        place for place, (held, first, last) in enumerate(zip(files.types, files.first, files.last, strict=True))
        if held in fitting
        and (since is None or last is None or last + _ROUNDED >= since)
        and (until is None or first is None or first <= until)
    ]  # fmt: skip
    if asked.is_first:
        # Each file that is over by then has an event by its end: what begins later has not the first of all.
        ends = (last + _ROUNDED for place in found if (last := files.last[place]) is not None)
        by = min((end for end in ends if until is None or end < until), default=None)
        found = [place for place in found if by is None or (first := files.first[place]) is None or first <= by]
    return found
