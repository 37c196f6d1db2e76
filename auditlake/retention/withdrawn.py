"""What a deletion, an erasure or a remap takes of the parts of the ledger: whole ones, or events of them.

Of a part of which nothing is left the ledger keeps its root alone, and no file is read but for counts. Of others it
keeps hashes (:mod:`auditlake.ledger.kept`), for which the events that go are hashed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, rows, view_events
from auditlake.engine.statements import statement
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.entry import Taken
from auditlake.ledger.kept import PartState, pack
from auditlake.ledger.leaves import Key, define_leaves
from auditlake.ledger.parts import RecordedPart, RecordedParts, state_of
from auditlake.ledger.sidecars import keep
from auditlake.policies.compile import Step
from auditlake.retention.part_events import PartEvents, read_events
from auditlake.store.bookkeeping import are_long
from auditlake.store.model import DataFile
from auditlake.store.snapshot import whole_files

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

_FILE = "retention/day.sql"

_EPOCH = date(1970, 1, 1)
_ROWS = 8_192
"""Events that are hashed at a time."""

Counts = Mapping[int, Counter[str]]
"""Events by batch and type."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The events of a day that are not any more what they were."""

    gone: Mapping[int, Collection[int] | np.ndarray] = field(default_factory=dict)
    """By batch the numbers of those that went."""
    changed: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)
    """By batch and number the new leaves of those that stay."""
    types: Counts = field(default_factory=dict)
    """How many went, by batch and type."""


def counts_of(
    database: duckdb.DuckDBPyConnection, layout: Layout, files: Sequence[DataFile]
) -> dict[date, dict[int, Counter[str]]]:
    """Return how many events of which batches and types files have, by day; two of their columns are read."""
    found: dict[date, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    if files:
        with beside(database, exact_try=False) as connection:
            view_events(connection, whole_files(layout, files), columns=(*FILE_COLUMNS, "event_date"))
            for batch, day, event_type, events in rows(connection, statement(_FILE, "batches").text):
                found[day][batch][event_type] += events
    return found


def joined(*counts: Mapping[date, Counts]) -> dict[date, dict[int, Counter[str]]]:
    """Return counts added up."""
    found: dict[date, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for day, of_day in ((day, of_day) for each in counts for day, of_day in each.items()):
        for batch, events in of_day.items():
            found[day][batch] += events
    return found


@dataclass(frozen=True, slots=True)
class OpenDay:
    """A day of which single events of some batches go."""

    day: date
    batches: Sequence[int]
    files: Sequence[DataFile]
    """All that it had."""


class Withdrawal:
    """What goes of the parts of some batches, day by day.

    Args:
        layout: The lake.
        recorded: What the ledger knows of the batches.
    """

    def __init__(self, layout: Layout, recorded: RecordedParts) -> None:
        self._layout = layout
        self._recorded = recorded
        self._whole: set[Key] = set()
        self._taken: list[Taken] = []
        self._superseded: set[str] = set()

    @property
    def taken(self) -> tuple[Taken, ...]:
        """What the ledger is to say, by day and batch."""
        return tuple(sorted(self._taken, key=lambda each: (each.day, each.batch, each.retention_class or "")))

    @property
    def superseded(self) -> dict[str, list[str]]:
        """The files of the ledger that nothing needs any more, by folder: each tells of events that went."""
        gone = self._whole | {key for key, each in self._recorded.parts.items() if each.left == 0}
        touched = [(digest, keys) for digest, keys in self._recorded.marks if keys & self._whole and keys <= gone]
        kept = self._superseded - {each.kept for each in self.taken}
        return {"kept": sorted(kept), "marks": sorted(digest for digest, _ in touched)}

    def take(
        self,
        database: duckdb.DuckDBPyConnection,
        day: date,
        dropped: Sequence[DataFile],
        others: Sequence[DataFile],
        counts: Counts,
        moved: Moved,
    ) -> None:
        """Take what goes of a day.

        Args:
            database: Where to read.
            day: The day.
            dropped: The files that go whole.
            others: Those that it had beside them, before any was written anew.
            counts: The events of the files that go whole.
            moved: What becomes of events of the others.
        """
        import numpy as np

        if not (batches := self.take_whole(day, counts, moved)):
            return
        with beside(database, exact_try=False) as one, beside(database, exact_try=False) as other:
            going = _leaves(one, self._layout, dropped, batches, goes=True)
            staying = _leaves(other, self._layout, self._concerned(batches, day, others), batches, goes=False)
            found = read_events(chain(going, staying), hashed=True)
        for batch in batches:
            mine = found.where(found.batch == batch)
            goes = mine.goes | np.isin(mine.seq, _numbers(moved.gone.get(batch, ())))
            self._take_some(batch, day, replace(mine, goes=goes), moved.changed.get(batch, {}))

    def take_whole(self, day: date, counts: Counts, moved: Moved) -> list[int]:
        """Take what goes of a day as whole parts, and return the batches of which single events go or change.

        Args:
            day: The day.
            counts: The events that are known to go.
            moved: What becomes of others.
        """
        return [
            batch
            for batch in sorted({*counts, *moved.gone, *moved.changed})
            if not self._takes_whole(batch, day, counts.get(batch, Counter()), moved)
        ]

    def take_days(
        self, database: duckdb.DuckDBPyConnection, going: Step, days: Sequence[OpenDay], *, many: bool
    ) -> None:
        """Take single events of days on which none changes. Threads may do so at the same time.

        Leaves are made of what goes alone, and of what stays only where events of its batch had changed before.

        Args:
            database: Where to read.
            going: The statement ``going_leaves`` of ``sql/retention/day.sql``, which knows what goes.
            days: The days.
            many: Whether :func:`auditlake.ledger.hashing.expect` said that it is worth it to be quicker.
        """
        batches = sorted({batch for each in days for batch in each.batches})
        changed = sorted({batch for each in days for batch in each.batches if self._had_changed(batch, each.day)})
        files = [file for each in days for file in self._concerned(each.batches, each.day, each.files)]
        paths = whole_files(self._layout, files)
        hashed = not many or are_long(paths)
        with beside(database, exact_try=False) as connection:
            view_events(connection, paths, columns=FILE_COLUMNS)
            define_leaves(connection, hashed=hashed)
            values = {**going.parameters, "batches": batches, "changed": changed}
            found = read_events(connection.sql(going.sql, params=values).to_arrow_reader(_ROWS), hashed=hashed)
        for each in days:
            of_day = found.where(found.day == (each.day - _EPOCH).days)
            for batch in each.batches:
                self._take_some(batch, each.day, of_day.where(of_day.batch == batch), {})

    def _had_changed(self, batch: int, day: date) -> bool:
        """Return whether events of a batch may have changed before: then leaves alone tell which those were."""
        return any(
            each.is_remapped or any(taken.retention_class is None or taken.gone != taken.rows for taken in each.takings)
            for each in self._recorded.of(batch, day)
        )

    def _takes_whole(self, batch: int, day: date, counts: Counter[str], moved: Moved) -> bool:
        """Take what goes of a batch if it is whole parts; return whether it is."""
        parts = self._recorded.of(batch, day)
        if batch in moved.changed or any(each.is_remapped for each in parts):
            return not parts
        counts = counts + moved.types.get(batch, Counter())
        leaving = [(each, number) for each in parts if (number := _leaving(each, counts))]
        if any(each.left != number for each, number in leaving):
            return False
        for each, number in leaving:
            self._add(each, number, number, None)
        return True

    def _concerned(self, batches: Sequence[int], day: date, files: Sequence[DataFile]) -> list[DataFile]:
        """Return the files that may have events of the parts of some batches."""
        parts = [each for batch in batches for each in self._recorded.of(batch, day)]
        if any(each.is_remapped or not each.part.types for each in parts):
            return list(files)
        types = {name for each in parts for name, _ in each.part.types}
        return [file for file in files if file.may_hold(types)]

    def _take_some(self, batch: int, day: date, found: PartEvents, changed: Mapping[int, bytes]) -> None:
        """Take single events of a batch: those that go, and those of which there are new leaves."""
        parts = self._recorded.of(batch, day)
        states = [state_of(self._layout, each, found.seq) for each in parts]
        before = found.changed_before(states)
        for number, (each, state) in enumerate(zip(parts, states, strict=True)):
            others = {row for rows_of_part in before for row in rows_of_part}
            places, leaves, changes = found.moves(each, state, changed, before[number], others)
            if len(places) or changes:
                after = state.without(places, leaves, changes)
                whole = after.missing == after.size
                self._add(each, len(places) + len(changes), len(places), None if whole else after)

    def _add(self, each: RecordedPart, events: int, gone: int, after: PartState | None) -> None:
        part = each.part
        kept = keep(self._layout, "kept", pack(after)) if after is not None else ""
        if after is None:
            self._whole.add(part.key)
        self._superseded |= {before.kept for before in each.takings if before.kept}
        self._taken.append(Taken(part.batch, part.day, events, kept, part.retention_class, gone))


def _numbers(numbers: Collection[int] | np.ndarray) -> np.ndarray:
    import numpy as np

    return numbers if isinstance(numbers, np.ndarray) else np.array(sorted(numbers), np.int64)


def _leaving(each: RecordedPart, counts: Counter[str]) -> int:
    types = each.part.types
    return sum(counts[name] for name, _ in types) if types else counts.total()


def _leaves(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    files: Sequence[DataFile],
    batches: Sequence[int],
    *,
    goes: bool,
) -> Iterable[pa.RecordBatch]:
    """Return the events of some batches in files, with their leaves."""
    view_events(connection, whole_files(layout, files), columns=FILE_COLUMNS)
    define_leaves(connection)
    part = statement(_FILE, "leaves_of_batches")
    reader: Iterable[pa.RecordBatch] = connection.sql(
        part.text, params=part.bind({"batches": batches, "goes": goes})
    ).to_arrow_reader(_ROWS)
    return reader
