"""A tree in files as C2SP ``tlog-tiles`` lays it down, so that any program for such logs can read it.

::

    tile/<level>/<index>             256 hashes: of leaves on level 0, above it the roots of whole tiles below
    tile/entries/<index>             256 entries, each behind its length in two bytes
    tile/<level>/<index>.p/<width>   the same, as far as there are any yet

An index is written in groups of three digits, all but the last behind an ``x``: 1234067 is ``x001/x234/067``.

A leaf is added in two steps, each durable: its entry, then its hash; both are whole before a checkpoint counts them. So
an entry that no checkpoint counts is one whose writer died. It may be replaced; what a checkpoint counts never changes.
Where commits hold the entries, partial tiles can be made again, so they are synced once they are whole.
A partial tile goes once there is a longer one, which begins with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from auditlake.disk.durable import make_folders, write_whole
from auditlake.errors import LedgerError
from auditlake.ledger.merkle import HASH_SIZE, leaf_hash, node_hash, root
from auditlake.storage.disk import Disk
from auditlake.storage.model import Storage, found, replace

WIDTH = 256
"""Hashes or entries in a whole tile."""
_HEIGHT = 8
_BLOCK = 512
"""Bytes that a disk writes all or none of."""
LONGEST = 65_535
"""Bytes of the longest entry."""
Again = Callable[[int, int], list[bytes] | None]


def tile_name(kind: int | str, index: int, width: int = WIDTH) -> str:
    """Where a tile lies: below the tree's folder.

    Args:
        kind: Its level, or ``entries``.
        index: Which tile of its kind.
        width: How many hashes or entries it has.
    """
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{kind}/{'/'.join(groups)}" + (f".p/{width}" if width < WIDTH else "")


class Tiles:
    """The tree in a folder of a lake; how many of its leaves count is for a checkpoint to say.

    Every method that reads raises :class:`LedgerError` for a tile that is not there or not whole, and cannot be made
    again.

    Args:
        storage: Where the lake is kept.
        folder: The folder.
        again: Gives so many entries of a tile where they lie elsewhere too, otherwise None. Partial tiles of these need
            not outlast a power cut.
    """

    def __init__(self, storage: Storage, folder: str, again: Again = lambda *_: None) -> None:
        self._storage = storage
        self._folder = folder
        self._again = again

    # Reading

    def entry(self, index: int) -> bytes:
        """One entry."""
        (entry,) = self.entries(index, index + 1)
        return entry

    def entries(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the entries from the first index to before the second."""
        for tile in range(begin // WIDTH, -(-end // WIDTH)):
            width = min(end - tile * WIDTH, WIDTH)
            yield from self._bundle(tile, width)[max(begin - tile * WIDTH, 0) :]

    def has_entry(self, index: int) -> bool:
        """Whether there is an entry of this index, counted or not."""
        try:
            self._bundle(index // WIDTH, index % WIDTH + 1)
        except LedgerError:
            return False
        return True

    def root(self, size: int) -> bytes:
        """Return the root over the first leaves."""
        return self.subtree(0, size) if size else root(b"")

    def subtree(self, begin: int, end: int) -> bytes:
        """Return the root over the leaves from the first index to before the second, as proofs need it."""
        level = (end - begin - 1).bit_length()
        if end - begin == 1 << level and begin % (end - begin) == 0:
            return self._node(level, begin >> level)
        middle = begin + (1 << level - 1)
        return node_hash(self.subtree(begin, middle), self.subtree(middle, end))

    def _node(self, level: int, index: int) -> bytes:
        """Return the root of a perfect subtree, from the hashes of a tile."""
        stored, above = divmod(level, _HEIGHT)
        first, count = index << above, 1 << above
        tile, at = divmod(first, WIDTH)
        hashes = self._hashes(stored, tile, at + count)
        return root(hashes[at * HASH_SIZE :])

    def _hashes(self, level: int, tile: int, width: int) -> bytes:
        try:
            name, data = self._read(level, tile, width)
            if len(data) % HASH_SIZE or len(data) < width * HASH_SIZE:
                raise LedgerError(f"the tile {name} is damaged: {len(data)} bytes")
        except LedgerError:
            if level or (entries := self._again(tile, width)) is None:
                raise
            data = b"".join(map(leaf_hash, entries))
        return data[: width * HASH_SIZE]

    def _bundle(self, tile: int, width: int) -> list[bytes]:
        try:
            return self._stored(tile, width)
        except LedgerError:
            if (entries := self._again(tile, width)) is None:
                raise
            return entries

    def _stored(self, tile: int, width: int) -> list[bytes]:
        name, data = self._read("entries", tile, width)
        entries, at = [], 0
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if end > len(data) or end <= at + 2:  # no entry is empty: these are zeros, as a power cut leaves them
                break
            entries.append(data[at + 2 : end])
            at = end
        if at < len(data) or len(entries) < width:
            raise LedgerError(f"the entries in {name} are damaged")
        return entries[:width]

    def _read(self, kind: int | str, tile: int, width: int) -> tuple[str, bytes]:
        """Read a tile of at least this width: another writer may have put a longer one in its place."""
        name = self._name(kind, tile, width)
        with suppress(OSError):
            return name, self._storage.read(name)
        for candidate in (*self._partial(kind, tile, width + 1), self._name(kind, tile)):
            with suppress(OSError):
                return candidate, self._storage.read(candidate)
        raise LedgerError(f"the ledger has no tile {name}", hint="restore it from a backup")

    def _name(self, kind: int | str, tile: int, width: int = WIDTH) -> str:
        return f"{self._folder}/{tile_name(kind, tile, width)}"

    def _partial(self, kind: int | str, tile: int, least: int = 0, below: int = WIDTH) -> list[str]:
        """Return the partial tiles that there are of these widths, the longest first."""
        with suppress(OSError):
            names = self._storage.names(f"{self._name(kind, tile)}.p")
            widths = {int(width): name for name in names if (width := name.rpartition("/")[2]).isdecimal()}
            return [widths[width] for width in sorted(widths, reverse=True) if least <= width < below]
        return []

    # Writing

    def put_entry(self, index: int, data: bytes, *, synced: bool = True) -> None:
        """Write the entry of an index that no checkpoint counts yet, behind those before it; durable if synced."""
        if len(data) > LONGEST:
            raise LedgerError(f"an entry of {len(data)} bytes cannot be in the ledger, the longest has {LONGEST}")
        tile, at = divmod(index, WIDTH)
        entries = [*(self._bundle(tile, at) if at else ()), data]
        self._write("entries", tile, at + 1, _pack(entries), synced=synced)

    def put_hash(self, index: int, leaf: bytes, *, synced: bool = True) -> None:
        """Write the hash of a leaf behind those before it, and of every tile that it makes whole; durable if synced.

        What is above the leaves is durable in any case, and so are whole tiles.
        """
        level = 0
        while True:
            tile, at = divmod(index, WIDTH)
            hashes = (self._hashes(level, tile, at) if at else b"") + leaf
            self._write(level, tile, at + 1, hashes, synced=synced or level > 0)
            if at + 1 < WIDTH:
                return
            level, index, leaf = level + 1, tile, root(hashes)

    def mend(self, size: int) -> None:
        """Write the last partial tiles of entries and leaves again that a power cut took or left zeros in.

        What was damaged in another way stays as it is, for who compares the tree with its checkpoint.
        """
        tile, width = divmod(size, WIDTH)
        with suppress(LedgerError):
            hashes = self._read(0, tile, width)[1][: width * HASH_SIZE] if width else b""
            if not width or hashes == b"".join(map(leaf_hash, self._stored(tile, width))):
                return
        entries = self._again(tile, width) or []
        for kind, right in ("entries", _pack(entries)), (0, b"".join(map(leaf_hash, entries))):
            there = found(self._storage, self._name(kind, tile, width)) or b""
            if entries and _is_cut(there, right):
                self._write(kind, tile, width, right)

    def drop_entry(self, index: int) -> None:
        """Remove an entry that no checkpoint counts: its writer died before anything was claimed."""
        tile, at = divmod(index, WIDTH)
        if at and found(self._storage, self._name("entries", tile, at)) is None:
            self._write("entries", tile, at, _pack(self._bundle(tile, at)))
        longer = [*self._partial("entries", tile, at + 1), self._name("entries", tile)]
        self._storage.remove(longer, synced=False)

    def tidy(self, size: int) -> None:
        """Remove partial tiles that have longer ones, of a tree whose checkpoint counts this many leaves.

        Not durable, and no failure where it cannot be done: what is left behind goes another time.
        """
        counted: list[tuple[int | str, int]] = [("entries", size)]
        while size:
            counted.append((len(counted) - 1, size))
            size //= WIDTH
        shorter: list[str] = []
        for kind, count in counted:
            tile, width = divmod(count, WIDTH)
            shorter += self._partial(kind, tile, below=width) + (self._partial(kind, tile - 1) if tile else [])
        with suppress(OSError):
            self._storage.remove(shorter, synced=False)

    def _write(self, kind: int | str, tile: int, width: int, data: bytes, *, synced: bool = True) -> None:
        name = self._name(kind, tile, width)
        if synced or width == WIDTH or not isinstance(self._storage, Disk):
            replace(self._storage, name, data)
            return
        path = self._storage.root / name
        make_folders(path.parent, below=self._storage.root)
        write_whole(path, data, synced=False)


def _is_cut(data: bytes, right: bytes) -> bool:
    """Return whether bytes are what a power cut may leave of others: the beginning, or zeros in the place of blocks."""
    blocks = ((data[at : at + _BLOCK], right[at : min(at + _BLOCK, len(data))]) for at in range(0, len(data), _BLOCK))
    return len(data) <= len(right) and all(block == own or not any(block) for block, own in blocks)


def _pack(entries: Sequence[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in entries)
