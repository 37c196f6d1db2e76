"""Events of the ledger's parts that are there, and what becomes of them, with their leaves where these are needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from auditlake.errors import LakeFormatError
from auditlake.ledger.hashing import digests
from auditlake.ledger.kept import PartState, rows_of
from auditlake.ledger.merkle import HASH_SIZE
from auditlake.ledger.parts import RecordedPart

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_NUMBERS = ("day", "batch", "seq", "goes")


@dataclass(frozen=True)
class PartEvents:
    """Events: each has an element in every array."""

    day: np.ndarray
    """Since 1970."""
    batch: np.ndarray
    seq: np.ndarray
    goes: np.ndarray
    """Whether it goes."""
    event_type: np.ndarray
    """The place of its type among the names."""
    leaf: np.ndarray
    """A row of 32 bytes; zeros where it was not asked for."""
    names: Sequence[str]
    """The event types, sorted."""

    def where(self, chosen: np.ndarray) -> PartEvents:
        """Return those for which an array has true."""
        if chosen.all():
            return self
        arrays = {each.name: getattr(self, each.name)[chosen] for each in fields(self) if each.name != "names"}
        return PartEvents(**arrays, names=self.names)

    def moves(
        self,
        each: RecordedPart,
        state: PartState,
        changed: Mapping[int, bytes],
        placed: Mapping[int, int],
        others: Iterable[int],
    ) -> tuple[np.ndarray, np.ndarray, dict[int, tuple[bytes, bytes]]]:
        """Return what becomes of a part of which these are the events of its batch and day.

        Args:
            each: The part.
            state: What became of it so far.
            changed: By number the new leaves of those that change.
            placed: The places of those that were changed before, by their row here.
            others: The rows here of such events of other parts.

        Returns:
            The places of the leaves that go, and these leaves; by place those that change: the old leaf, the new one.

        Raises:
            LakeFormatError: Other events are there than the ledger says.
        """
        import numpy as np

        part, places = each.part, state.staying()
        wanted = [code for code, name in enumerate(self.names) if name in dict(part.types)]
        chosen = np.isin(self.event_type, wanted) if part.types else np.ones(len(self.seq), bool)
        chosen[[*placed, *others]] = False
        at = np.flatnonzero(chosen)
        if len(at) != len(places):
            message = (
                f"of batch {part.batch} there are {len(at)} events of {part.day}, and the ledger says {len(places)}"
            )
            raise LakeFormatError(message, hint="auditlake verify says which; nothing was changed")
        at = at[np.lexsort((self.seq[at], self.event_type[at]) if part.types else (self.seq[at],))]
        goes = self.goes[at]
        gone, leaves = places[goes], self.leaf[at[goes]]
        if before := [row for row in placed if self.goes[row]]:
            gone = np.append(gone, [placed[row] for row in before])
            leaves = np.concatenate([leaves, rows_of([state.changed[placed[row]][0] for row in before], HASH_SIZE)])
        changes = {
            place: (state.changed[place][0], changed[seq])
            for row, place in placed.items()
            if not self.goes[row] and (seq := int(self.seq[row])) in changed
        }
        for number in np.flatnonzero(np.isin(self.seq[at], list(changed)) & ~goes) if changed else ():
            row = at[number]
            changes[int(places[number])] = self.leaf[row].tobytes(), changed[int(self.seq[row])]
        return gone, leaves, changes

    def changed_before(self, states: Sequence[PartState]) -> list[dict[int, int]]:
        """Find the events of parts that were changed before, by their leaves: their types may be others than then.

        Returns:
            For each part the places of their leaves, by row here.
        """
        places = {
            present: (number, place)
            for number, state in enumerate(states)
            for place, (_, present) in state.changed.items()
        }
        found: list[dict[int, int]] = [{} for _ in states]
        for row, leaf in enumerate(self.leaf) if places else ():
            if (known := places.get(leaf.tobytes())) is not None:
                found[known[0]][row] = known[1]
        return found


def read_events(pieces: Iterable[pa.RecordBatch], *, hashed: bool) -> PartEvents:
    """Read what a statement gives of events: day, batch, event_type, seq, goes, and leaf.

    Args:
        pieces: What it gives.
        hashed: Whether it gives leaves, or what they are hashes of. They are null where they are not needed.
    """
    import numpy as np
    import pyarrow as pa

    columns: dict[str, list[np.ndarray]] = {name: [np.empty(0, np.int64)] for name in _NUMBERS}
    types, leaves = [pa.array([], pa.string()).dictionary_encode()], [np.empty((0, HASH_SIZE), np.uint8)]
    for piece in pieces:
        for name, some in columns.items():  # copies, since what is given out is one piece of memory, texts among it
            some.append(piece[name].to_numpy(zero_copy_only=False).copy())
        types.append(piece["event_type"].dictionary_encode())
        needed = piece["leaf"].drop_null()
        data = b"".join(needed.to_pylist()) if hashed or not len(needed) else digests(needed)
        leaf = np.zeros((len(piece), HASH_SIZE), np.uint8)
        leaf[piece["leaf"].is_valid().to_numpy(zero_copy_only=False)] = rows_of([data], HASH_SIZE)
        leaves.append(leaf)
    known = pa.chunked_array(types).unify_dictionaries().combine_chunks()
    texts = known.dictionary.to_pylist()
    names = sorted(texts)
    codes = np.array([names.index(text) for text in texts], np.int64)[known.indices.to_numpy()]
    day, batch, seq, goes = (np.concatenate(some) for some in columns.values())
    return PartEvents(day, batch, seq, goes.astype(bool), codes, np.concatenate(leaves), names)
