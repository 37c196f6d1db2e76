"""Merkle trees of RFC 6962 (section 2.1): their roots, and the proofs that something is in one.

A hash is 32 bytes. Many of them are one ``bytes``, so that a tree of a million leaves is neither a million objects nor
a recursion.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import iter_unpack
from typing import Any

from auditlake.ledger.hashing import digests, is_quicker

HASH_SIZE = 32
"""Bytes of a hash."""
EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""
_FOLD_LEVEL = 16
"""A growing tree folds its leaves whenever it has so many (a power of two) of them."""
_FOLD_BYTES = HASH_SIZE << _FOLD_LEVEL


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over those of its children."""
    return sha256(b"\x01" + left + right).digest()


def next_level(hashes: bytes) -> bytes:
    """Return the nodes over these hashes, two by two; an odd one at the end goes up as it is."""
    even = len(hashes) - len(hashes) % (2 * HASH_SIZE)
    if is_quicker(even // (2 * HASH_SIZE)):
        return digests(_nodes(hashes[:even])) + hashes[even:]
    pairs = iter_unpack(f"{2 * HASH_SIZE}s", memoryview(hashes)[:even])
    return b"".join([sha256(b"\x01" + pair).digest() for (pair,) in pairs]) + hashes[even:]


def _nodes(hashes: bytes) -> Any:
    """Return what is hashed for the nodes over these hashes, as an Arrow array."""
    import numpy as np
    import pyarrow as pa

    pairs = np.frombuffer(hashes, np.uint8).reshape(-1, 2 * HASH_SIZE)
    prefixed = np.insert(pairs, 0, 1, axis=1)
    ends = np.arange(len(prefixed) + 1, dtype=np.int64) * prefixed.shape[1]
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(prefixed)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(prefixed), buffers)


def root(hashes: bytes) -> bytes:
    """Return the root over the leaves so far."""
    if not hashes:
        return EMPTY_ROOT
    while len(hashes) > HASH_SIZE:
        hashes = next_level(hashes)
    return hashes


class GrowingTree:
    """A tree whose leaves come one after the other; it keeps some ten thousands of them, however many there are."""

    def __init__(self) -> None:
        self.size = 0
        """How many leaves it has."""
        self._whole: list[tuple[int, bytes]] = []
        """Roots of its perfect subtrees, from the left, with their levels, which fall."""
        self._rest = bytearray()

    def extend(self, hashes: bytes) -> None:
        """Add the leaves with these hashes."""
        self.size += len(hashes) // HASH_SIZE
        self._rest += hashes
        folded = 0
        while len(self._rest) - folded >= _FOLD_BYTES:
            self._add(_FOLD_LEVEL, root(bytes(self._rest[folded : folded + _FOLD_BYTES])))
            folded += _FOLD_BYTES
        del self._rest[:folded]

    def _add(self, level: int, subtree: bytes) -> None:
        while self._whole and self._whole[-1][0] == level:
            subtree = node_hash(self._whole.pop()[1], subtree)
            level += 1
        self._whole.append((level, subtree))

    def root(self) -> bytes:
        """Return the root over the leaves so far."""
        roots = [subtree for _, subtree in self._whole]
        if self._rest or not roots:
            roots.append(root(bytes(self._rest)))
        return join(roots)


def join(roots: Sequence[bytes]) -> bytes:
    """Return the root of a tree from those of the perfect subtrees, from the left, of which it is made."""
    *others, last = roots
    for left in reversed(others):
        last = node_hash(left, last)
    return last


# Proofs


def levels(hashes: bytes) -> list[bytes]:
    """Return a tree level by level, from its leaves to its root."""
    found = [hashes or EMPTY_ROOT]
    while len(found[-1]) > HASH_SIZE:
        found.append(next_level(found[-1]))
    return found


def inclusion_proof(index: int, tree: Sequence[bytes]) -> list[bytes]:
    """Prove that a leaf is in a tree.

    Args:
        index: The leaf's place.
        tree: The tree, as :func:`levels` gives it.

    Raises:
        ValueError: It has no such leaf.
    """
    size = len(tree[0]) // HASH_SIZE
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    proof = []
    for nodes in tree[:-1]:
        beside = (index ^ 1) * HASH_SIZE
        proof.append(nodes[beside : beside + HASH_SIZE])
        index >>= 1
    return [each for each in proof if each]  # an odd one at the end has nothing beside it


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that a proof leads to from a leaf (RFC 9162, 2.1.3.2); None if it is not one for that place."""
    if not 0 <= index < size:
        return None
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return node if last == 0 else None
