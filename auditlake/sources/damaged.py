"""Damaged compressed data: all that still decompresses, up to the last byte before the damage and again after it.

A unit is what decompresses by itself: a gzip member, a zstd frame. Where one is damaged, the next is looked for that is
whole, checksum and all. This way of reading is exact and slow; undamaged data never takes it.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO

import pyarrow as pa

from auditlake.sources.model import Damage

Unit = Generator[bytes, None, tuple[int, Damage | None]]
"""What comes out of a unit, then where it ends; or what is wrong, and from where on it cannot be decompressed."""

GZIP = b"\x1f\x8b"
ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""How a zstd frame begins, or one that is to be skipped over: pzstd begins with these."""
_STARTS = {"gzip": re.compile(rb"\x1f\x8b\x08[\x00-\x1f]"), "zstd": re.compile(rb"\x28\xb5\x2f\xfd")}
_BLOCK = 64 * 1024
_PIECE = 1024 * 1024
_TRIALS = 64
"""A whole unit is looked for at so many places: a file may hold nothing but beginnings of one."""
_EFFORT = 64
"""And so many bytes are decompressed for it altogether, for each of the input: each beginning may lead to the end."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of bytes that could not be unpacked: of the input's own, or of those that an archive lies in."""

    damage: Damage
    start: int
    stop: int

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield where those pieces begin and end in which it is kept, one at least."""
        for at in range(self.start, max(self.stop, self.start + 1), _PIECE):
            yield at, min(at + _PIECE, self.stop)


def walk(file: IO[bytes], compression: str, at: int, size: int, note: Callable[[Gap], None]) -> Iterator[bytes]:
    """Decompress all that can be from a place on; an empty piece and a newline stand where something is missing.

    Args:
        file: The input's own bytes.
        compression: ``gzip`` or ``zstd``.
        at: Where a unit begins.
        size: Where the input ends.
        note: Told of each stretch that could not be decompressed.
    """
    unit, left = _gzip_member if compression == "gzip" else _zstd_frame, _EFFORT * size
    while at < size:
        begin = at
        at, damage = yield from unit(file, begin, size)
        if damage is None:
            continue
        # A decompressor may have gone on into the next unit before it noticed.
        stop, spent = _next_whole(file, compression, begin + 1, size, left)
        left -= spent
        note(Gap(damage, min(at, stop), stop))
        at = stop
        if at < size:
            yield b""
            yield b"\n"


def _next_whole(file: IO[bytes], compression: str, at: int, size: int, most: int) -> tuple[int, int]:
    """Return where the next whole unit begins (the end if none does) and how many bytes were decompressed."""
    unit, spent = _gzip_member if compression == "gzip" else _zstd_frame, 0
    for place in islice(_places(file, _STARTS[compression], at, size), _TRIALS):
        if spent > most:
            break
        pieces = unit(file, place, size)
        try:
            while True:
                next(pieces)
        except StopIteration as end:
            stop, damage = end.value
            spent += stop - place
            if damage is None:
                return place, spent
    return size, spent


def _places(file: IO[bytes], pattern: re.Pattern[bytes], at: int, size: int) -> Iterator[int]:
    look = 4 * 1024
    while at < size:
        file.seek(at)
        window = file.read(min(look, size - at))
        for match in pattern.finditer(window):
            yield at + match.start()
        if at + len(window) >= size or not window:
            return
        at, look = at + len(window) - 3, min(2 * look, 16 * _BLOCK)


def _gzip_member(file: IO[bytes], at: int, size: int) -> Unit:
    """Decompress a member and skip the zeros after it, with which tapes and some tools pad."""
    file.seek(at)
    if file.read(2) != GZIP:
        return at, Damage("trailing garbage after gzip", "what follows is not gzip")
    file.seek(at)
    member = zlib.decompressobj(wbits=31)
    while not member.eof:
        block = file.read(min(_BLOCK, size - at))
        if not block:
            yield from filter(None, [member.flush()])
            return at, Damage("truncated gzip", "the compressed data ends in the middle")
        before = member.copy()
        try:
            yield from filter(None, [member.decompress(block)])
        except zlib.error as error:
            good = yield from _salvage(before, block)
            return at + good, Damage("corrupt gzip", str(error))
        at += len(block)
    at -= len(member.unused_data)
    return _behind_zeros(file, at, size), None


def _salvage(member: zlib._Decompress, block: bytes) -> Generator[bytes, None, int]:
    """Yield what comes out before the first bad byte: a failing call yields nothing, so bytes go in one by one.

    Returns how many were good.
    """
    for i in range(len(block)):
        try:
            yield from filter(None, [member.decompress(block[i : i + 1])])
        except zlib.error:
            return i
    return len(block)


def _behind_zeros(file: IO[bytes], at: int, size: int) -> int:
    file.seek(at)
    while at < size and (block := file.read(min(_BLOCK, size - at))):
        if rest := block.lstrip(b"\0"):
            return at + len(block) - len(rest)
        at += len(block)
    return at


def _zstd_frame(file: IO[bytes], at: int, size: int) -> Unit:
    """Decompress a frame block by block, or skip one that says so."""
    file.seek(at)
    head = file.read(8)
    if not ZSTD.match(head):
        return at, Damage("corrupt zstd", "what follows is not zstd")
    if head[1:4] == b"\x2a\x4d\x18":
        end = at + 8 + int.from_bytes(head[4:8], "little")
        return (end, None) if len(head) == 8 and end <= size else (at, Damage("truncated zstd", "it ends in a frame"))
    blocks, yielded = _Blocks(file, at, size), 0
    try:
        with pa.CompressedInputStream(pa.PythonFile(blocks, mode="r"), "zstd") as stream:
            while piece := stream.read(_BLOCK):
                yielded += len(piece)
                yield piece
        return blocks.end, None
    except OSError as error:
        damage = Damage(
            "truncated zstd" if "Truncated" in str(error) else "corrupt zstd", str(error).partition("\n")[0]
        )
    # The call that failed gave out nothing of what came before the damage: once more, and there byte by byte.
    blocks = _Blocks(file, at, size)
    with suppress(OSError), pa.CompressedInputStream(pa.PythonFile(blocks, mode="r"), "zstd") as stream:
        while yielded:
            yielded -= len(stream.read(min(yielded, _BLOCK)))
        while piece := stream.read(1):
            yield piece
    return blocks.at, damage


class _Blocks(io.RawIOBase):
    """One zstd frame as a file that is read block by block, so that each comes out before the next goes in."""

    def __init__(self, file: IO[bytes], at: int, size: int) -> None:
        self.at = at
        """Where the last block that was read begins."""
        self.end = at
        """Where the one after it begins; after the last, where the frame ends."""
        self._file = file
        self._size = size
        self._rest = b""
        self._next: Callable[[], bytes] = self._header
        self._checksum = False

    def read(self, n: int = -1) -> bytes:
        """Return at most n bytes, all of one block; none after the frame."""
        if not self._rest:
            self.at = self.end
            self._rest = self._next()
            self.end += len(self._rest)
        n = len(self._rest) if n < 0 else n
        piece, self._rest = self._rest[:n], self._rest[n:]
        return piece

    def readable(self) -> bool:
        """Return True, as pyarrow asks."""
        return True

    def _take(self, count: int) -> bytes:
        self._file.seek(self.at)
        return self._file.read(min(count, self._size - self.at))

    def _header(self) -> bytes:
        descriptor = self._take(5)[4:]
        if not descriptor:
            self._next = bytes
            return self._take(5)
        flags = descriptor[0]
        single = flags >> 5 & 1
        self._checksum = bool(flags & 4)
        size_of_content = (1 if single else 0, 2, 4, 8)[flags >> 6]
        self._next = self._block
        return self._take(5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + size_of_content)

    def _block(self) -> bytes:
        header = int.from_bytes(self._take(3).ljust(3, b"\0"), "little")
        if header & 1:
            self._next = self._last if self._checksum else bytes
        return self._take(3 + (1 if header >> 1 & 3 == 1 else header >> 3))

    def _last(self) -> bytes:
        self._next = bytes
        return self._take(4)
