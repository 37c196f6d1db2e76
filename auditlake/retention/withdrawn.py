"""What a deletion, an erasure or a remap takes of the parts of the ledger: whole ones, or events of them.

Of a part of which nothing is left the ledger keeps its root alone, and no file is read but for counts. Of others it
keeps hashes (:mod:`auditlake.ledger.kept`), for which every event of them is hashed that is there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.engine.duck import beside, connect, rows, view_events
from auditlake.engine.statements import statement
from auditlake.errors import LakeFormatError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.entry import Taken
from auditlake.ledger.kept import PartState, pack
from auditlake.ledger.leaves import Key, define_leaves
from auditlake.ledger.parts import RecordedPart, RecordedParts, state_of
from auditlake.ledger.sidecars import keep
from auditlake.store.model import DataFile
from auditlake.store.snapshot import file_paths

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

_FILE = "retention/day.sql"

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
    layout: Layout, files: Sequence[DataFile], folder: Path, memory: str
) -> dict[date, dict[int, Counter[str]]]:
    """Return how many events of which batches and types files have, by day; two of their columns are read."""
    found: dict[date, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    if files:
        with connect(temp=folder, memory=memory, exact_try=False) as connection:
            view_events(connection, file_paths(layout, files), columns=(*FILE_COLUMNS, "event_date"))
            for batch, day, event_type, events in rows(connection, statement(_FILE, "batches").text):
                found[day][batch][event_type] += events
    return found


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
        self.taken: list[Taken] = []
        """What the ledger is to say."""
        self._superseded: set[str] = set()

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
        hashed = [
            batch
            for batch in sorted({*counts, *moved.gone, *moved.changed})
            if not self._takes_whole(batch, day, counts.get(batch, Counter()), moved)
        ]
        if not hashed:
            return
        with beside(database, exact_try=False) as connection:
            going = _leaves(connection, self._layout, dropped, hashed)
            staying = _leaves(connection, self._layout, self._concerned(hashed, day, others), hashed)
        for batch in hashed:
            self._take_some(batch, day, going.get(batch), staying.get(batch), moved)

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

    def _take_some(self, batch: int, day: date, going: pa.Table | None, staying: pa.Table | None, moved: Moved) -> None:
        """Take single events of a batch."""
        import numpy as np
        import pyarrow as pa

        table = pa.concat_tables([each for each in (going, staying) if each is not None])
        gone = np.zeros(len(table), bool)
        gone[: len(going) if going is not None else 0] = True
        gone |= np.isin(table["seq"].to_numpy(), _numbers(moved.gone.get(batch, ())))
        found = _Rows(table, gone, moved.changed.get(batch, {}))
        parts = self._recorded.of(batch, day)
        states = [state_of(self._layout, each, found.seqs) for each in parts]
        found.place_changed(states)
        for number, (each, state) in enumerate(zip(parts, states, strict=True)):
            self._settle(each, state, *found.moves(number, each, state))

    def _settle(
        self,
        each: RecordedPart,
        state: PartState,
        gone: Mapping[int, bytes],
        changed: Mapping[int, tuple[bytes, bytes]],
    ) -> None:
        if gone or changed:
            after = state.without(gone, changed)
            self._add(each, len(gone) + len(changed), len(gone), None if after.missing == after.size else after)

    def _add(self, each: RecordedPart, events: int, gone: int, after: PartState | None) -> None:
        part = each.part
        kept = keep(self._layout, "kept", pack(after)) if after is not None else ""
        if after is None:
            self._whole.add(part.key)
        self._superseded |= {before.kept for before in each.takings if before.kept}
        self.taken.append(Taken(part.batch, part.day, events, kept, part.retention_class, gone))


def _numbers(numbers: Collection[int] | np.ndarray) -> np.ndarray:
    import numpy as np

    return numbers if isinstance(numbers, np.ndarray) else np.array(sorted(numbers), np.int64)


def _leaving(each: RecordedPart, counts: Counter[str]) -> int:
    types = each.part.types
    return sum(counts[name] for name, _ in types) if types else counts.total()


def _leaves(
    connection: duckdb.DuckDBPyConnection, layout: Layout, files: Sequence[DataFile], batches: Iterable[int]
) -> dict[int, pa.Table]:
    """Return type, number and leaf of the events of some batches, in the order of type and number."""
    if not files:
        return {}
    view_events(connection, file_paths(layout, files), columns=FILE_COLUMNS)
    define_leaves(connection)
    part = statement(_FILE, "leaves_of_batches")
    table = connection.sql(part.text, params=part.bind({"batches": list(batches)})).to_arrow_table()
    numbers = table["batch"].to_numpy()
    bounds = equal_stretches(numbers)
    return {int(numbers[begin]): table.slice(begin, end - begin) for begin, end in bounds}


def equal_stretches(numbers: np.ndarray) -> list[tuple[int, int]]:
    """Return where each stretch of equal numbers begins and ends."""
    import numpy as np

    changes = np.flatnonzero(np.diff(numbers)) + 1
    return [(begin, end) for begin, end in pairwise([0, *changes.tolist(), len(numbers)]) if end > begin]


class _Rows:
    """The events of a batch on a day that are there, and what becomes of them.

    Args:
        table: Type, number and leaf of each.
        gone: Which go.
        changed: By number the new leaves of those that change.
    """

    def __init__(self, table: pa.Table, gone: np.ndarray, changed: Mapping[int, bytes]) -> None:

        self.seqs = table["seq"].to_numpy()
        """Their numbers."""
        self._types = table["event_type"].to_numpy(zero_copy_only=False).astype(str)
        self._leaves = table["leaf"].combine_chunks()
        self._gone = gone
        self._changed = changed
        self._placed: dict[int, tuple[int, int]] = {}

    def place_changed(self, states: Sequence[PartState]) -> None:
        """Find those that were changed before, by their leaves: their types may be others than when they came."""
        places = {
            present: (number, place)
            for number, state in enumerate(states)
            for place, (_, present) in state.changed.items()
        }
        if places:
            leaves = enumerate(self._leaves.to_pylist())
            self._placed = {row: places[leaf] for row, leaf in leaves if leaf in places}

    def moves(
        self, number: int, each: RecordedPart, state: PartState
    ) -> tuple[dict[int, bytes], dict[int, tuple[bytes, bytes]]]:
        """Return the leaves of a part that go, and those that change, by their places.

        Args:
            number: The part's among those of the batch.
            each: The part.
            state: What became of it so far.

        Raises:
            LakeFormatError: Other events are there than the ledger says.
        """
        import numpy as np

        part = each.part
        chosen = np.isin(self._types, [name for name, _ in part.types]) if part.types else np.ones(len(self.seqs), bool)
        chosen[list(self._placed)] = False
        at = np.flatnonzero(chosen)
        keys = (self.seqs[at], self._types[at]) if part.types else (self.seqs[at],)
        at, places = at[np.lexsort(keys)], state.staying()
        if len(at) != len(places):
            message = (
                f"of batch {part.batch} there are {len(at)} events of {part.day}, and the ledger says {len(places)}"
            )
            raise LakeFormatError(message, hint="auditlake verify says which; nothing was changed")
        goes, changes = self._gone[at], np.isin(self.seqs[at], list(self._changed)) & ~self._gone[at]
        gone = dict(zip(places[goes].tolist(), self._originals(at[goes]), strict=True))
        pairs = zip(
            places[changes].tolist(), self._originals(at[changes]), self.seqs[at[changes]].tolist(), strict=True
        )
        changed = {place: (original, self._changed[seq]) for place, original, seq in pairs}
        for row, (which, place) in self._placed.items():
            if which == number and self._gone[row]:
                gone[place] = state.changed[place][0]
            elif which == number and (seq := int(self.seqs[row])) in self._changed:
                changed[place] = state.changed[place][0], self._changed[seq]
        return gone, changed

    def _originals(self, at: np.ndarray) -> list[bytes]:
        import pyarrow as pa

        leaves: list[bytes] = self._leaves.take(pa.array(at)).to_pylist()
        return leaves
