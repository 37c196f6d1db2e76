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

from collections.abc import Iterator, Mapping
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

    def without(self, leaves: Mapping[int, bytes], changed: Mapping[int, tuple[bytes, bytes]]) -> PartState:
        """Return the state once more events went or were changed.

        Args:
            leaves: The leaves that go, by place, as they were appended.
            changed: By place those that change, with the leaf that they were appended with and the new one.
        """
        import numpy as np

        first = sorted(leaves)
        hashes = np.frombuffer(b"".join(leaves[place] for place in first), np.uint8).reshape(-1, HASH_SIZE)
        more = {0: (np.array(first, np.int64), hashes)}
        after = {place: pair for place, pair in (dict(self.changed) | dict(changed)).items() if place not in leaves}
        return PartState(
            self.size,
            _largest(self.size, _joined(self.gone, more)),
            {place: (original, present) for place, (original, present) in after.items() if original != present},
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
    packed, at = bytearray(), 0
    for begin, end, item in sorted(_items(state)):
        packed += _run(begin - at) + item
        at = end
    return bytes(packed + _run(state.size - at))


def _items(state: PartState) -> Iterator[tuple[int, int, bytes]]:
    """Yield what does not stay as it was: where it begins, where it ends, and its bytes."""
    for level, (places, hashes) in state.gone.items():
        for place, digest in zip(places.tolist(), hashes, strict=True):
            yield place << level, min((place + 1) << level, state.size), bytes([level]) + digest.tobytes()
    for place, (original, present) in state.changed.items():
        yield place, place + 1, bytes([_CHANGED]) + original + present


def _run(length: int) -> bytes:
    """Say that so many leaves stay: a byte for each binary digit that is set."""
    return bytes(_STAY + digit for digit in range(length.bit_length() - 1, -1, -1) if length >> digit & 1)


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
            np.frombuffer(b"".join(digest for _, digest in some), np.uint8).reshape(-1, HASH_SIZE),
        )
        for level, some in gone.items()
    }
    return PartState(size, levels, changed)
