"""Merkle trees against the published vectors of RFC 6962, and against the RFC's own words as a plain recursion."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.ledger import hashing, merkle

INPUTS = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
"""The leaves of the test tree of certificate-transparency and of every log since."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Its roots at each size from 1 to 8."""
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def by_the_book(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, word by word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + by_the_book(leaves[:k]) + by_the_book(leaves[k:])).digest()


def hashes(count: int) -> bytes:
    return b"".join(merkle.leaf_hash(str(i).encode()) for i in range(count))


def test_published_roots() -> None:
    """The roots of the published test tree come out at every size, and of no leaves SHA-256 of nothing."""
    leaves = [merkle.leaf_hash(data) for data in INPUTS]

    assert [merkle.root(b"".join(leaves[:size])).hex() for size in range(1, 9)] == ROOTS
    assert merkle.root(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_published_inclusion_proofs(index: int, size: int) -> None:
    """The published proofs of inclusion come out, and hold."""
    leaves = b"".join(map(merkle.leaf_hash, INPUTS))
    proof = merkle.inclusion_proof(index, merkle.levels(leaves[: 32 * size]))

    assert [each.hex() for each in proof] == INCLUSION[index, size]
    expected = bytes.fromhex(ROOTS[size - 1])
    assert merkle.root_from_inclusion(merkle.leaf_hash(INPUTS[index]), index, size, proof) == expected


@given(st.integers(0, 70))
def test_roots_are_those_of_the_book(size: int) -> None:
    """A root is what the RFC's recursion gives, for every size."""
    assert merkle.root(hashes(size)) == by_the_book([str(i).encode() for i in range(size)])


@given(st.lists(st.integers(0, 40), max_size=6))
@settings(deadline=None)
def test_growing_is_the_same(steps: list[int]) -> None:
    """A tree that grows by any steps has the root of all its leaves at each of them."""
    grown = merkle.GrowingTree()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merkle, "_FOLD_LEVEL", 3)
        patch.setattr(merkle, "_FOLD_BYTES", 8 * 32)
        assert grown.root() == merkle.EMPTY_ROOT
        for step in steps:
            before = grown.size
            grown.extend(hashes(before + step)[before * 32 :])
            assert grown.root() == merkle.root(hashes(grown.size))
            assert len(grown._rest) < 8 * 32


@given(st.integers(0, 70))
@settings(deadline=None)
def test_nodes_hashed_together(size: int) -> None:
    """A root is the same where the nodes of a level are hashed all at once."""
    assert hashing.expect(hashing._WORTH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_FEW", 1)
        assert hashing.is_quicker(1)
        assert merkle.root(hashes(size)) == by_the_book([str(i).encode() for i in range(size)])


def test_a_large_tree_grows() -> None:
    """The same for more leaves than are kept."""
    leaves = hashes(80_000)
    grown = merkle.GrowingTree()
    grown.extend(leaves)

    assert grown.root() == merkle.root(leaves)
    assert len(grown._rest) < len(leaves)


def test_every_proof_of_small_trees() -> None:
    """Every proof of inclusion of every tree up to 33 leaves holds."""
    for size in range(1, 34):
        leaves = hashes(size)
        tree, levels = merkle.root(leaves), merkle.levels(leaves)
        for index in range(size):
            leaf = leaves[32 * index : 32 * index + 32]
            proof = merkle.inclusion_proof(index, levels)
            assert merkle.root_from_inclusion(leaf, index, size, proof) == tree
            assert len(proof) <= (size - 1).bit_length()


@given(st.integers(1, 40), st.data())
@settings(deadline=None)
def test_wrong_proofs_of_inclusion(size: int, data: st.DataObject) -> None:
    """A proof for another leaf, place, size or root, too long or too short, or with one bit turned, does not hold."""
    leaves = hashes(size)
    tree, index = merkle.root(leaves), data.draw(st.integers(0, size - 1))
    leaf = leaves[32 * index : 32 * index + 32]
    proof = merkle.inclusion_proof(index, merkle.levels(leaves))
    other = data.draw(st.integers(-1, size + 1).filter(lambda each: each != index))
    wrong = [
        (merkle.leaf_hash(b"another"), index, size, proof, tree),
        (leaf, other, size, proof, tree),
        (leaf, index, size, [*proof, tree], tree),
        (leaf, index, size, proof, merkle.leaf_hash(b"another")),
        (leaf, index, 0, proof, tree),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        turned = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        wrong += [
            (leaf, index, size, proof[:-1], tree),
            (leaf, index, size, [*proof[:at], turned, *proof[at + 1 :]], tree),
        ]

    assert not any(merkle.root_from_inclusion(*each) == expected for *each, expected in wrong)


def test_no_such_proof() -> None:
    """A proof of what a tree does not have is refused."""
    tree = merkle.levels(hashes(3))

    for index in (-1, 3):
        with pytest.raises(ValueError, match="has no leaf"):
            merkle.inclusion_proof(index, tree)
