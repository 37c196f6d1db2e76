"""What is kept of a part of which events went or were changed, so that the others still verify, and no more than that.

A file of it (``kept`` in :mod:`auditlake.ledger.sidecars`) is about one part, and says what became of its leaves, in
their order (:mod:`auditlake.ledger.leaves`). A byte says what comes next:

==========  ==========================================================================================================
0 to 62     2 to that power leaves of which all events went, as many as a subtree has there (fewer at the end of the
            part): the root of that subtree, 32 bytes
64          an event that was changed: the leaf that it was appended with, and that of the event that is in its place
            now, 32 bytes each
128 to 190  2 to the power of that less 128 leaves: their events are there as they were appended
==========  ==========================================================================================================

Subtrees are as large as they can be, so that of a stretch of leaves few hashes are kept, and none tells of an event
alone but at the edges. Each file says all that there is to say of its part; those before it are of no use any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from auditlake.errors import LedgerError
from auditlake.ledger.merkle import HASH_SIZE, next_level

if TYPE_CHECKING:
    import numpy as np

_CHANGED = 64
_STAY = 128
_MOST = 62

Subtrees = Mapping[int, tuple["np.ndarray", "np.ndarray"]]
"""Roots of subtrees by their level: their places among all of that level, rising, and the hashes, a row each."""


@dataclass(frozen=True, slots=True)
class PartState:
    """What became of the leaves of a part."""

    size: int
    """How many it was appended with."""
    gone: Subtrees = field(default_factory=dict)
    """The largest subtrees of which all events went."""
    changed: Mapping[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """By the place of its leaf: of a changed event the leaf that it was appended with, and its present one."""

    def staying(self) -> np.ndarray:
        """Return the places of the leaves whose events are there as they were appended, in order."""
        import numpy as np

        stays = np.ones(self.size, bool)
        for level, (places, _) in self.gone.items():
            for place in places.tolist():
                stays[place << level : (place + 1) << level] = False
        stays[list(self.changed)] = False
        return np.flatnonzero(stays)

    @property
    def missing(self) -> int:
        """How many events went."""
        return sum(
            min((place + 1) << level, self.size) - (place << level)
            for level, (places, _) in self.gone.items()
            for place in places.tolist()
        )

    def without(self, places: np.ndarray, leaves: np.ndarray, changed: Mapping[int, tuple[bytes, bytes]]) -> PartState:
        """Return the state once more events went or were changed.

        Args:
            places: Those of the leaves that go.
            leaves: These leaves as they were appended, a row each.
            changed: By place those that change, with the leaf that they were appended with and the new one.
        """
        import numpy as np

        order = np.argsort(places)
        more = {0: (places[order], leaves[order])}
        after = dict(self.changed) | dict(changed)
        gone = set(places[np.isin(places, list(after))].tolist()) if after else set()
        return PartState(
            self.size,
            _largest(self.size, _joined(self.gone, more)),
            {place: pair for place, pair in after.items() if place not in gone and pair[0] != pair[1]},
        )


def _joined(one: Subtrees, other: Subtrees) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    import numpy as np

    levels: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for level in {*one, *other}:
        some = [each[level] for each in (one, other) if level in each]
        places = np.concatenate([places for places, _ in some])
        order = np.argsort(places, kind="stable")
        levels[level] = places[order], np.concatenate([hashes for _, hashes in some])[order]
    return levels


def _largest(size: int, subtrees: Subtrees) -> Subtrees:
    """Return the subtrees with every two that make up a larger one in its place."""
    import numpy as np

    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    nothing = (np.empty(0, np.int64), np.empty((0, HASH_SIZE), np.uint8))
    level, count, rising = 0, size, nothing
    while len(rising[0]) or level <= max(subtrees, default=-1):
        places, hashes = _joined({0: subtrees.get(level, nothing)}, {0: rising})[0]
        left = np.flatnonzero((places[:-1] % 2 == 0) & (places[1:] == places[:-1] + 1))
        pairs = np.stack([hashes[left], hashes[left + 1]], axis=1)
        parents = np.frombuffer(next_level(pairs.tobytes()), np.uint8).reshape(-1, HASH_SIZE)
        rises = np.zeros(len(places), bool)
        rises[left] = rises[left + 1] = True
        up = places[left] >> 1
        if count > 1 and count % 2 and len(places) and places[-1] == count - 1:  # the odd one goes up as it is
            rises[-1] = True
            up, parents = np.append(up, places[-1] >> 1), np.concatenate([parents, hashes[-1:]])
        if not rises.all():
            found[level] = places[~rises], hashes[~rises]
        level, count, rising = level + 1, (count + 1) // 2, (up, parents)
    return found


def pack(state: PartState) -> bytes:
    """Return the bytes of a file."""
    import numpy as np

    begins, ends, items = _items(state)
    stay = np.append(begins, state.size) - np.append(0, ends)  # how many stay before each item, and at the end
    digits = np.arange(state.size.bit_length())[::-1]
    runs = np.broadcast_to((_STAY + digits).astype(np.uint8), (len(stay), len(digits)))
    after = np.zeros((1, items.shape[1]), np.uint8)
    rows = np.hstack([runs, np.vstack([items, after])])
    is_said = np.ones(rows.shape, bool)
    is_said[:, : len(digits)] = stay[:, None] >> digits & 1  # a byte for each binary digit that is set
    is_said[:-1, len(digits) + 1 + HASH_SIZE :] = items[:, :1] == _CHANGED
    is_said[-1, len(digits) :] = False
    return rows[is_said].tobytes()


def _items(state: PartState) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what does not stay as it was, in order: where each begins, where it ends, and its bytes, a row each."""
    import numpy as np

    width = 1 + HASH_SIZE * (2 if state.changed else 1)
    places = np.array(list(state.changed), np.int64)
    changed = rows_of([bytes([_CHANGED]) + b"".join(pair) for pair in state.changed.values()], width)
    begins, ends, items = [places], [places + 1], [changed]
    for level, (of_level, hashes) in state.gone.items():
        begins.append(of_level << level)
        ends.append(np.minimum((of_level + 1) << level, state.size))
        rows = np.zeros((len(hashes), width), np.uint8)
        rows[:, 0], rows[:, 1 : 1 + HASH_SIZE] = level, hashes
        items.append(rows)
    order = np.argsort(np.concatenate(begins))
    return np.concatenate(begins)[order], np.concatenate(ends)[order], np.concatenate(items)[order]


def rows_of(values: Sequence[bytes], width: int) -> np.ndarray:
    """Return values of so many bytes as rows of an array."""
    import numpy as np

    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)


def unpack(data: bytes, size: int) -> PartState:
    """Read a file about a part of so many leaves.

    Raises:
        LedgerError: It is not one.
    """
    import numpy as np

    gone: dict[int, list[tuple[int, bytes]]] = {}
    changed: dict[int, tuple[bytes, bytes]] = {}
    at = place = 0
    while at < len(data):
        what, at = data[at], at + 1
        if what <= _MOST and not place % (1 << what):
            gone.setdefault(what, []).append((place >> what, data[at : at + HASH_SIZE]))
            at, place = at + HASH_SIZE, min(place + (1 << what), size)
        elif what == _CHANGED:
            changed[place] = data[at : at + HASH_SIZE], data[at + HASH_SIZE : at + 2 * HASH_SIZE]
            at, place = at + 2 * HASH_SIZE, place + 1
        elif _STAY <= what <= _STAY + _MOST:
            place += 1 << what - _STAY
        else:
            raise LedgerError(f"a file of kept hashes has {what} where it should say what comes next")
    if at != len(data) or place != size:
        raise LedgerError(f"a file of kept hashes is about {place} events, not {size}, or is cut off")
    levels = {
        level: (
            np.array([place for place, _ in some], np.int64),
            rows_of([digest for _, digest in some], HASH_SIZE),
        )
        for level, some in gone.items()
    }
    return PartState(size, levels, changed)
