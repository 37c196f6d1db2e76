"""The rows of some days of a lake beside the summaries of all: what is looked at once counts have settled the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property

import duckdb

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.narrowing import Asked
from auditlake.events.times import EPOCH, MICROSECOND, day_of
from auditlake.store.file_types import with_types
from auditlake.store.model import Snapshot
from auditlake.store.narrowed import Chooser
from auditlake.summaries.lake import LakeSummaries


class LakeRows:
    """The events of a snapshot's data files, on a connection of their own.

    Args:
        layout: The lake.
        snapshot: The snapshot, whose data files are there, each with events of its own day.
        connection: The DuckDB that the connection is opened beside.
        most: How many bytes of summaries the lake may keep.
    """

    def __init__(
        self, layout: Layout, snapshot: Snapshot, connection: duckdb.DuckDBPyConnection, most: int
    ) -> None:  # fmt: skip
        self._layout, self._snapshot, self._most = layout, snapshot, most
        self._connection = connection
        self._chosen = Chooser(layout, snapshot.version, snapshot.files, is_whole=True)

    @cached_property
    def engine(self) -> DuckEngine:
        """Return where statements run."""
        return DuckEngine(beside(self._connection))

    @cached_property
    def summaries(self) -> LakeSummaries:
        """Return what lays summaries out on that engine."""
        return LakeSummaries(self._layout, self._snapshot, self.engine.connection, self._most)

    def show(self, days: Collection[int], types: Collection[str] | None) -> None:
        """Let ``events`` be those in the files of some days that may hold events of some types, of any if None."""
        chosen = None if types is None else frozenset(types)
        asked = [Asked(chosen, *stretch) for stretch in _stretches(set(days))]
        self.engine.leaf(self._chosen(asked))

    def size(self, days: Collection[int], types: Collection[str]) -> tuple[int, int]:
        """Return how many files of some days may hold events of some types, and how many events these have."""
        files = self._snapshot.table.of_days([day_of(day) for day in days])
        known = with_types(self._layout, replace(self._snapshot, files=files)).files
        chosen = [file for file in known if file.may_hold(types)]
        return len(chosen), sum(file.rows for file in chosen)

    def number(self, days: Collection[int]) -> int:
        """Return how many events some days have."""
        return self._snapshot.table.of_days([day_of(day) for day in days]).rows


def _stretches(days: Collection[int]) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when to when days follow one another."""
    for day in sorted(days):
        if day - 1 not in days:
            first = day
        if day + 1 not in days:
            yield _start_of(first), _start_of(day + 1) - MICROSECOND


def _start_of(day: int) -> datetime:
    return EPOCH + timedelta(days=day)
