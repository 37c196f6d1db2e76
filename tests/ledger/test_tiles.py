"""The tree on the disk: where its tiles lie, that it is the tree of its entries, and what a dead writer leaves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.errors import LedgerError
from auditlake.ledger import merkle
from auditlake.ledger.tiles import LONGEST, Tiles, tile_name
from auditlake.storage.disk import Disk
from tests.templates import copy_of


def data(index: int) -> bytes:
    return b"entry %d" % index * (1 + index % 5)


def leaves(size: int) -> bytes:
    return b"".join(merkle.leaf_hash(data(i)) for i in range(size))


def append(tiles: Tiles, index: int, entry: bytes) -> None:
    """Add an entry in both steps."""
    tiles.put_entry(index, entry)
    tiles.put_hash(index, merkle.leaf_hash(entry))


def filled(folder: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> Tiles:
    """A tree of so many entries; nothing is synced, to be quick."""
    for name in ("fsync",):
        monkeypatch.setattr(f"auditlake.disk.durable.os.{name}", lambda _: None)
    tiles = Tiles(Disk(folder.parent), folder.name)
    for i in range(size):
        append(tiles, i, data(i))
        tiles.tidy(i + 1)
    return tiles


@pytest.mark.parametrize(("name", "expected"), [
    (tile_name(0, 0), "tile/0/000"),
    (tile_name(0, 1234067), "tile/0/x001/x234/067"),
    (tile_name(2, 1000), "tile/2/x001/000"),
    (tile_name("entries", 999, 17), "tile/entries/999.p/17"),
    (tile_name(0, 1234, 255), "tile/0/x001/234.p/255"),
])  # fmt: skip
def test_names(name: str, expected: str) -> None:
    """Tiles lie where C2SP says."""
    assert name == expected


def tree_of_600(folder: Path) -> None:
    """Make a tree of two whole tiles and a third of another."""
    with pytest.MonkeyPatch.context() as patch:
        filled(folder, 600, patch)


def test_the_tree_is_that_of_its_entries(tmp_path: Path) -> None:
    """Its entries and its root at every size are those of the same leaves in memory."""
    size = 600
    folder = copy_of(tree_of_600, tmp_path / "tree")
    tiles, hashes = Tiles(Disk(folder.parent), folder.name), leaves(size)

    assert list(tiles.entries(0, size)) == [data(i) for i in range(size)]
    assert list(tiles.entries(250, 520)) == [data(i) for i in range(250, 520)]
    assert tiles.entry(599) == data(599)
    for at in (0, 1, 2, 255, 256, 257, 511, 512, 513, 599, 600):
        assert tiles.root(at) == merkle.root(hashes[: 32 * at])


def test_what_lies_there(tmp_path: Path) -> None:
    """Whole tiles, one partial tile a level, and nothing else; level 1 has the roots of the whole tiles of level 0."""
    tmp_path = copy_of(tree_of_600, tmp_path / "tree")
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}

    assert files == {
        "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2",
        "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88",
    }  # fmt: skip
    assert (tmp_path / "tile/1/000.p/2").read_bytes() == merkle.root(leaves(256)) + merkle.root(leaves(512)[8192:])
    assert (tmp_path / "tile/entries/000").read_bytes()[:9] == b"\0\7entry 0"


def test_a_tall_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of more than 256 whole tiles has a third level, and the same root."""
    tiles = filled(tmp_path, 0, monkeypatch)
    hashes = b"".join(merkle.leaf_hash(b"%d" % i) for i in range(65_536 + 300))
    for tile in range(255):
        path = tmp_path / tile_name(0, tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(hashes[tile * 8192 :][:8192])
    path = tmp_path / tile_name(1, 0, 255)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(merkle.root(hashes[tile * 8192 :][:8192]) for tile in range(255)))
    for i in range(65_280, 65_836):
        tiles.put_hash(i, hashes[32 * i : 32 * i + 32])

    assert (tmp_path / "tile/2/000.p/1").read_bytes() == merkle.root(hashes[: 65_536 * 32])
    for size in (65_535, 65_536, 65_537, 65_836):
        assert tiles.root(size) == merkle.root(hashes[: 32 * size])


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 257])
def test_an_entry_that_nobody_counts(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a dead writer left of an entry changes nothing before it, and can be replaced or dropped."""
    tiles = filled(tmp_path, size, monkeypatch)
    append(tiles, size, b"of a dead writer")

    assert tiles.has_entry(size)
    assert tiles.root(size) == merkle.root(leaves(size))
    assert list(tiles.entries(0, size)) == [data(i) for i in range(size)]
    append(tiles, size, data(size))
    assert tiles.root(size + 1) == merkle.root(leaves(size + 1))
    tiles.drop_entry(size)
    assert not tiles.has_entry(size)
    append(tiles, size, data(size))
    assert list(tiles.entries(0, size + 1)) == [data(i) for i in range(size + 1)]


def test_a_reader_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever read an older checkpoint finds its partial tiles in the longer ones."""
    tiles = filled(tmp_path, 300, monkeypatch)

    for size in (3, 256, 270, 299):
        assert tiles.root(size) == merkle.root(leaves(size))
        assert len(list(tiles.entries(0, size))) == size


def tree_of_259(folder: Path) -> None:
    """Make a tree of one whole tile and a few entries."""
    with pytest.MonkeyPatch.context() as patch:
        filled(folder, 259, patch)


@given(drawn=st.data())
@settings(deadline=None, max_examples=30)
def test_damage_is_told(drawn: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file that is gone or cut is an error of the ledger; other bytes give another root or other entries."""
    folder = copy_of(tree_of_259, tmp_path_factory.mktemp("tree"))
    tiles = Tiles(Disk(folder.parent), folder.name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = drawn.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    how = drawn.draw(st.sampled_from(["cut", "changed", "gone"]))
    at = drawn.draw(st.integers(0, len(content) - 1))
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:at])
    else:
        content[at] ^= drawn.draw(st.integers(1, 255))
        path.write_bytes(content)
    try:
        entries = list(tiles.entries(0, 259))
        whole = b"".join(map(merkle.leaf_hash, entries)) == leaves(259)
        found = [tiles.root(259), tiles.subtree(0, 256), tiles.subtree(0, 128)]
        again = [merkle.root(leaves(259)), merkle.root(leaves(256)), merkle.root(leaves(128))]
        parts = [tiles.subtree(i, i + 1) for i in range(256)]
    except LedgerError:
        return
    assert not whole or found != again or b"".join(parts) != leaves(256)


def test_partial_tiles_need_not_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of entries that lie elsewhere too, whole tiles and what is above them are synced, and partial tiles are not."""
    lazy: list[str] = []

    def write(path: Path, content: bytes, *, synced: bool) -> None:
        assert not synced
        lazy.append(path.parent.relative_to(tmp_path).as_posix())
        path.write_bytes(content)

    monkeypatch.setattr("auditlake.disk.durable.os.fsync", lambda _: None)
    monkeypatch.setattr("auditlake.ledger.tiles.write_whole", write)
    tiles = Tiles(
        Disk(tmp_path.parent), tmp_path.name, lambda tile, width: [data(tile * 256 + i) for i in range(width)]
    )
    for i in range(258):
        tiles.put_entry(i, data(i), synced=False)
        tiles.put_hash(i, merkle.leaf_hash(data(i)), synced=False)

    assert Counter(lazy) == {
        "tile/entries/000.p": 255, "tile/0/000.p": 255, "tile/entries/001.p": 2, "tile/0/001.p": 2,
    }  # fmt: skip
    for path in tmp_path.rglob("*.p/2"):
        path.unlink()
    assert tiles.root(258) == merkle.root(leaves(258))
    assert tiles.entry(257) == data(257)


def test_long_entries(tmp_path: Path) -> None:
    """The longest entry fits, and a longer one is refused before anything is written."""
    tiles = Tiles(Disk(tmp_path.parent), tmp_path.name)
    append(tiles, 0, b"x" * LONGEST)

    assert tiles.entry(0) == b"x" * LONGEST
    with pytest.raises(LedgerError, match="65536"):
        append(tiles, 1, b"x" * (LONGEST + 1))
