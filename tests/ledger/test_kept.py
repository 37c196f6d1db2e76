"""What is kept of a part that lost events is the least from which its root follows, whatever went in which order."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.errors import LedgerError
from auditlake.ledger.kept import PartState, pack, rows_of, unpack
from auditlake.ledger.merkle import root
from auditlake.verify.kept_hashes import parse_kept

LEAVES = [sha256(bytes([0, number])).digest() for number in range(70)]
NEW = sha256(b"new").digest()
NONE = np.empty(0, np.int64), np.empty((0, 32), np.uint8)


def without(state: PartState, *places: int) -> PartState:
    return state.without(np.array(places, np.int64), rows_of([LEAVES[place] for place in places], 32), {})


def largest(gone: set[int], begin: int, end: int) -> int:
    """How many hashes stand for what went of a stretch: by the words of RFC 6962, without any arrays."""
    if gone.issuperset(range(begin, end)):
        return 1
    if end - begin < 2:
        return 0
    half = begin + (1 << (end - begin - 1).bit_length() - 1)
    return largest(gone, begin, half) + largest(gone, half, end)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_root_follows_from_the_least(data: st.DataObject) -> None:
    """After any deletions and changes the judge finds the root, from as few hashes as there are largest subtrees."""
    size = data.draw(st.integers(1, len(LEAVES)))
    state, gone, changed = PartState(size), set[int](), set[int]()
    for _ in range(data.draw(st.integers(1, 3))):
        places = data.draw(st.sets(st.integers(0, size - 1), max_size=size)) - gone
        changes = data.draw(st.sets(st.integers(0, size - 1), max_size=3)) - gone - places
        leaves = rows_of([LEAVES[place] for place in places], 32)
        changing = {place: (LEAVES[place], NEW) for place in changes}
        state = state.without(np.array([*places], np.int64), leaves, changing)
        gone, changed = gone | places, (changed | changes) - places
        state = unpack(pack(state), size)
    judged = parse_kept(pack(state), size)
    stay = [place for place in range(size) if place not in gone | changed]

    assert judged.staying.tolist() == state.staying().tolist() == stay
    assert (state.missing, set(judged.changed)) == (len(gone), changed)
    assert sum(map(len, judged.gone.values())) == largest(gone, 0, size)
    assert judged.root(b"".join(LEAVES[place] for place in stay)) == root(b"".join(LEAVES[:size]))
    if stay:
        assert judged.root(b"".join([NEW, *(LEAVES[place] for place in stay[1:])])) != root(b"".join(LEAVES[:size]))


def test_the_bytes() -> None:
    """The form is the one that the documentation has: a stretch is one hash, a byte for each run that stays."""
    state = without(PartState(7), 0, 1, 2, 3, 6)
    both = root(b"".join(LEAVES[:4]))

    assert pack(state) == bytes([2]) + both + bytes([128 + 1]) + bytes([1]) + LEAVES[6]
    assert pack(without(state, 4, 5))[0] == 3  # all went: one root
    changed = PartState(3).without(*NONE, {1: (LEAVES[1], NEW)})
    assert pack(changed) == bytes([128, 64]) + LEAVES[1] + NEW + bytes([128])
    assert pack(changed.without(*NONE, {1: (LEAVES[1], LEAVES[1])})) == bytes([129, 128])  # it is again what it was


@pytest.mark.parametrize("damage", [
    lambda data: data[:-1], lambda data: data + b"\x80", lambda data: bytes([200]) + data, lambda data: data[33:],
    lambda data: bytes([130]) + data,
])  # fmt: skip
def test_damage_is_told(damage: object) -> None:
    """What is cut off, too long, or about another number of events is refused by the writer and by the judge."""
    data = damage(pack(without(PartState(7), 0, 1, 2, 3, 6)))  # type: ignore[operator]
    with pytest.raises((LedgerError, ValueError)):
        unpack(data, 7)
    with pytest.raises(ValueError, match=r"it is|it has|begins"):
        parse_kept(data, 7)
