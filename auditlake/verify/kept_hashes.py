"""What the ledger keeps of a part of which events went or were changed, and the tree over that and what is there.

``auditlake/ledger/kept.py`` has the form in words; it is read here by these alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from auditlake.ledger.merkle import HASH_SIZE, next_level

if TYPE_CHECKING:
    import numpy as np

_CHANGED, _STAYS, _POWERS = 64, 128, 63


@dataclass(frozen=True)
class KeptHashes:
    """What became of the leaves of a part."""

    size: int
    gone: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    """By level the subtrees that went: their places among those of the level, and their roots."""
    changed: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """By place the leaf that an event was appended with, and the one that it has now."""

    @cached_property
    def staying(self) -> np.ndarray:
        """The places of the leaves whose events are there as they were appended."""
        import numpy as np

        stays = np.ones(self.size, bool)
        for level, some in self.gone.items():
            for place, _ in some:
                stays[place << level : (place + 1) << level] = False
        stays[list(self.changed)] = False
        return np.flatnonzero(stays)

    def levels(self, leaves: bytes) -> list[list[bytes | None]]:
        """Return the levels of the tree from the leaves up, as far as their hashes can be known.

        Args:
            leaves: Those of the events that are there as they were appended.
        """
        found = []
        for hashes, known in self._levels(leaves):
            nodes = [hashes[at].tobytes() if known[at] else None for at in range(len(known))]
            found.append(nodes)
        return found

    def root(self, leaves: bytes) -> bytes | None:
        """Return the root of the part as it was appended; None if what is there and what is kept make none.

        Args:
            leaves: Those of the events that are there as they were appended.
        """
        if len(leaves) != len(self.staying) * HASH_SIZE or not self.size:
            return None
        *_, (hashes, known) = self._levels(leaves)
        return hashes[0].tobytes() if known[0] else None

    def _levels(self, leaves: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
        import numpy as np

        hashes, known = np.zeros((self.size, HASH_SIZE), np.uint8), np.zeros(self.size, bool)
        hashes[self.staying] = np.frombuffer(leaves, np.uint8).reshape(-1, HASH_SIZE)
        known[self.staying] = True
        for place, (original, _) in self.changed.items():
            hashes[place], known[place] = np.frombuffer(original, np.uint8), True
        found = []
        for level in range(_POWERS + 1):
            for place, digest in self.gone.get(level, ()):
                hashes[place], known[place] = np.frombuffer(digest, np.uint8), True
            found.append((hashes, known))
            if len(known) == 1:
                break
            hashes, known = _above(hashes, known)
        return found


def _above(hashes: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the next level: nodes over two that are known, and an odd one at the end as it is."""
    import numpy as np

    pairs = len(known) // 2
    both = known[0 : 2 * pairs : 2] & known[1 : 2 * pairs : 2]
    children = hashes[: 2 * pairs].reshape(pairs, 2 * HASH_SIZE)[both]
    above = np.zeros(((len(known) + 1) // 2, HASH_SIZE), np.uint8)
    above[:pairs][both] = np.frombuffer(next_level(children.tobytes()), np.uint8).reshape(-1, HASH_SIZE)
    if len(known) % 2:
        above[-1], both = hashes[-1], np.append(both, known[-1])
    return above, both


def parse_kept(data: bytes, size: int) -> KeptHashes:
    """Read a file about a part of so many leaves.

    Raises:
        ValueError: It is not one.
    """
    found, at, place = KeptHashes(size), 0, 0
    while at < len(data):
        what, at = data[at], at + 1
        if what < _POWERS:
            if place & ((1 << what) - 1) or place >= size:
                raise ValueError("a subtree in it begins where none can begin")
            found.gone.setdefault(what, []).append((place >> what, _hash(data, at)))
            at, place = at + HASH_SIZE, min(place + (1 << what), size)
        elif what == _CHANGED:
            found.changed[place] = _hash(data, at), _hash(data, at + HASH_SIZE)
            at, place = at + 2 * HASH_SIZE, place + 1
        elif _STAYS <= what < _STAYS + _POWERS:
            place += 1 << what - _STAYS
        else:
            raise ValueError(f"it has {what} where it should say what comes next")
    if place != size:
        raise ValueError(f"it is about {place} events instead of {size}")
    return found


def _hash(data: bytes, at: int) -> bytes:
    if at + HASH_SIZE > len(data):
        raise ValueError("it is cut off")
    return data[at : at + HASH_SIZE]
