"""Inputs as streams of decompressed chunks: opened, unpacked, digested, and read again.

The digest covers exactly the bytes that were read: a regular file is read up to the size it had when it was opened, so
that a log that grows meanwhile has a digest that can be checked later. What comes from standard input or a pipe is
written to a temporary file on the way, since single records may have to be fetched again.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa

from auditlake.errors import InputChangedError, SourceError
from auditlake.sources.damaged import GZIP, ZSTD, Gap, walk
from auditlake.sources.inputs import unreadable
from auditlake.sources.model import Damage, InputFile

CHUNK = 8 * 1024 * 1024
"""How much a chunk holds unless the input ends before."""
PEEK = 256 * 1024
"""How much recognition looks at."""
MAX_RATIO = 500
"""More than this many bytes out per byte in is a bomb, not a log (real logs reach about 100) ..."""
BOMB_FLOOR = 1024 * 1024 * 1024
"""... once more than this came out."""

# How much the decompressor gets at a time: it copies what it has not used, so this is small.
_BLOCK = 128 * 1024


class _Raw(io.RawIOBase):
    """The input's own bytes: counted, hashed and (from a pipe) spooled as they are read."""

    def __init__(self, file: IO[bytes], limit: int | None, spool: IO[bytes] | None, name: str) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._file = file
        self._limit = limit
        self._spool = spool
        self._name = name
        self._back = b""

    def read(self, n: int = _BLOCK) -> bytes:
        """Return at most n bytes, and fewer only where the input ends."""
        if self._back:
            back, self._back = self._back[:n], self._back[n:]
            return back + self.read(n - len(back)) if len(back) < n else back
        want = n if self._limit is None else min(n, self._limit - self.size)
        pieces: list[bytes] = []
        while want > 0:
            # A pipe gives little at a time, whatever room was made for it.
            piece = self._file.read(want if self._limit is not None else min(want, 8 * _BLOCK))
            if not piece:
                break
            pieces.append(piece)
            want -= len(piece)
            self.size += len(piece)
            self.digest.update(piece)
            if self._spool is not None:
                self._spool.write(piece)
        if want > 0 and self._limit is not None:
            message = f"{self._name} became shorter while it was read: {self._limit} bytes expected, got {self.size}"
            raise InputChangedError(message, hint="Read it again once nothing writes to it.")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readable(self) -> bool:
        return True

    def unread(self, data: bytes) -> None:
        """Give bytes back, to be read next; they stay counted."""
        self._back = data + self._back

    @property
    def at(self) -> int:
        """How far it was read, without what was given back."""
        return self.size - len(self._back)

    def drain(self) -> None:
        """Read the rest for the digest alone."""
        while self.read(_BLOCK * 8):
            pass


class Stream:
    """One input, decompressed, in chunks. Iterate it once; then ``size``, ``sha256`` and ``damage`` are final.

    Use :func:`open_stream`.
    """

    def __init__(self, source: InputFile, file: IO[bytes], spool: IO[bytes] | None, size: int | None,
                 chunk: int, max_ratio: int, bomb_floor: int) -> None:  # fmt: skip
        self.input = source
        """What is read."""
        self.unpacked = 0
        """Bytes that came out so far, decompressed."""
        self._file = file
        self._spool = spool
        self._raw = _Raw(file, size, spool, source.name)
        self._chunk = chunk
        self._max_ratio = max_ratio
        self._bomb_floor = bomb_floor
        self._ahead: list[bytes] = []
        self._gaps: list[Gap] = []
        self._first = b""
        self._room = 0
        magic = self._raw.read(4)
        self._raw.unread(magic)
        self.compression = "gzip" if magic[:2] == GZIP else "zstd" if ZSTD.match(magic) else "none"
        """``none``, ``gzip`` or ``zstd``, by content, whatever the name says."""
        self._chunks = self._decoded()
        # A pipe may keep a reader waiting for ever; a thread in that state could not be stopped, so pipes have none.
        self._pool = ThreadPoolExecutor(1, "auditlake-read") if size is not None else None

    @property
    def size(self) -> int:
        """How many of the input's own bytes were read so far."""
        return self._raw.size

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of exactly those bytes."""
        return self._raw.digest.hexdigest()

    @property
    def damage(self) -> Damage | None:
        """Why it could only be read in part, with the bytes that this cost; None if all of it could be read."""
        if not self._gaps:
            return None
        return replace(self._gaps[0].damage, data=self._first, further=lambda: islice(self._kept(), 1, None))

    def _kept(self) -> Iterator[Damage]:
        with self.file() as file:
            for gap in self._gaps:
                for at, stop in gap.pieces():
                    file.seek(at)
                    yield replace(gap.damage, data=file.read(stop - at))

    def _note(self, gap: Gap) -> None:
        """Remember what could not be decompressed; the first bytes of all are at hand from now on."""
        if gap.stop > gap.start:
            where = f"{gap.damage.detail}; bytes {gap.start} to {gap.stop} of the input are kept as they are"
            gap = replace(gap, damage=replace(gap.damage, detail=where))
        self._gaps.append(gap)
        if len(self._gaps) == 1:
            self._first = next(self._kept()).data

    def _broken(self, begin: int, yielded: int) -> Iterator[bytes]:
        """Yield what can be had of what begins at a place, apart from the bytes that came out of it already."""
        self._raw.drain()
        with self.file() as file:
            for piece in walk(file, self.compression, begin, self.size, self._note):
                known = min(yielded, len(piece))
                yielded -= known
                if known < len(piece) or not (known or yielded):
                    yield piece[known:]

    def peek(self, n: int = PEEK) -> bytes:
        """Return the first n decompressed bytes (fewer if there are not so many), without taking them."""
        have = sum(map(len, self._ahead))
        while have < n and (chunk := next(self._chunks, None)) is not None:
            self._ahead.append(chunk)
            have += len(chunk)
        return b"".join(self._ahead)[:n] if len(self._ahead) != 1 else self._ahead[0][:n]

    def __iter__(self) -> Iterator[bytes]:
        """Yield the decompressed chunks, an empty one where some are missing; the next is fetched meanwhile."""
        ahead, self._ahead = self._ahead, []
        yield from ahead
        if self._pool is None:
            yield from self._chunks
            return
        waiting: Future[bytes | None] = self._pool.submit(next, self._chunks, None)
        while (chunk := waiting.result()) is not None:
            waiting = self._pool.submit(next, self._chunks, None)
            yield chunk

    def _decoded(self) -> Iterator[bytes]:
        if self.compression == "none":
            pieces = self._plain()
        else:
            pieces = self._gathered(self._members() if self.compression == "gzip" else self._frames())
        for chunk in pieces:
            self.unpacked += len(chunk)
            yield chunk
            if self.unpacked > self._bomb_floor and self.unpacked > self._max_ratio * max(self.size, 1):
                ratio = self.unpacked // max(self.size, 1)
                at = self._raw.at
                self._raw.drain()
                detail = f"{self.unpacked} bytes came out, {ratio} for each byte in"
                self._note(Gap(Damage(f"{self.compression} bomb", detail), at, self.size))
                break
        self._raw.drain()

    def _plain(self) -> Iterator[bytes]:
        # A smaller first chunk, so that looking at the beginning of a large file is quick.
        want = min(self._chunk, 4 * PEEK)
        while chunk := self._raw.read(want):
            yield chunk
            want = self._chunk

    def _gathered(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Join pieces into chunks that fill the room there is; an empty one stays by itself."""
        out: list[bytes] = []
        self._room = min(self._chunk, 4 * PEEK)
        for piece in pieces:
            out.append(piece)
            self._room -= len(piece)
            if self._room <= 0 or not piece:
                self._room = self._chunk
                yield from filter(None, [b"".join(out)])
                out = []
            if not piece:
                yield b""
        if out:
            yield b"".join(out)

    def _members(self) -> Iterator[bytes]:
        """Decompress the gzip members one after another, in pieces that fit into the room there is."""
        block = self._raw.read(_BLOCK)
        while block:
            begin, yielded = self._raw.at - len(block), 0
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                block = block or self._raw.read(_BLOCK)
                try:
                    piece = member.decompress(block, self._room)
                except zlib.error:
                    block = b""
                if not block:  # the input ends in the middle, or something is wrong
                    yield from self._broken(begin, yielded)
                    return
                block = member.unconsumed_tail
                yielded += len(piece)
                yield from filter(None, [piece])
            # Tapes and some tools pad with zeros.
            block = member.unused_data.lstrip(b"\0")
            while not block and (block := self._raw.read(_BLOCK)):
                block = block.lstrip(b"\0")

    def _frames(self) -> Iterator[bytes]:
        """Decompress the zstd frames one after another."""
        yielded = 0
        with suppress(OSError), pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), "zstd") as stream:
            while piece := stream.read(min(self._room, 2 * _BLOCK)):
                yielded += len(piece)
                yield piece
            return
        # The call that failed gave out nothing, and frames that were whole may be in it: once more from the beginning.
        yield from self._broken(0, yielded)

    def file(self) -> io.BufferedReader:
        """Return the input's own bytes as a file that can seek; only after the iteration."""
        if self._spool is not None:
            self._spool.flush()
        elif self._file.closed and self.input.path is not None:
            self._file = self._reopened(self.input.path)
        return io.BufferedReader(_At((self._spool or self._file).fileno(), self.size), _BLOCK * 8)

    def _reopened(self, path: Path) -> IO[bytes]:
        try:
            if self.input.restore is not None and not path.exists():
                self.input.restore()
            return path.open("rb", buffering=0)
        except OSError as error:
            message = f"{self.input.name} cannot be read again: {error.strerror}"
            raise InputChangedError(message, hint="Nothing was landed; read it again once it is there.") from error

    def verify(self) -> None:
        """Check that the bytes read before are still the same.

        Raises:
            InputChangedError: They are not.
        """
        with self.file() as file:
            now = hashlib.file_digest(file, "sha256").hexdigest()
        if now != self.sha256:
            digests = f"SHA-256 {self.sha256} expected, got {now}"
            message = f"{self.input.name} changed while it was read: {digests}"
            raise InputChangedError(message, hint="Nothing of it was landed; read it again once nothing writes to it.")

    def reread(self, offsets: Sequence[int], lengths: Sequence[int]) -> Iterator[bytes]:
        """Fetch records again by their place in the decompressed stream; only after the iteration.

        Args:
            offsets: Where each begins, ascending, as in :class:`~auditlake.sources.model.Batch`.
            lengths: How long each is.

        Raises:
            InputChangedError: The input is no longer what was read.
        """
        self.verify()
        if self.compression != "none":
            with self.again() as again:
                yield from _pick(again, offsets, lengths)
            return
        with self.file() as file:
            for offset, length in zip(offsets, lengths, strict=True):
                file.seek(int(offset))
                yield file.read(int(length))

    @contextmanager
    def again(self) -> Iterator[Stream]:
        """Open the same bytes as a stream once more, also where they came from a pipe; only after the iteration."""
        most = (self._max_ratio, self._bomb_floor)
        with self.file() as file, Stream(self.input, file, None, self.size, CHUNK, *most) as stream:
            yield stream

    def pause(self) -> None:
        """Let go of the file and the thread; what reads again opens it again, and what came from a pipe is kept."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._spool is None:
            self._file.close()
            if self.input.restore is not None and self.input.path is not None:
                self.input.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file, the thread and the temporary file; done twice is as good as once."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        with suppress(OSError):
            if self.input.path is not None:
                self._file.close()
        if self._spool is not None:
            self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _At(io.RawIOBase):
    """A file descriptor read at a position of one's own, and only as far as it was read before."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = os.dup(fd)
        self._size = size
        self._at = 0

    def readinto(self, into: Any) -> int:
        got = os.pread(self._fd, max(min(len(into), self._size - self._at), 0), self._at)
        into[: len(got)] = got
        self._at += len(got)
        return len(got)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def fileno(self) -> int:
        return self._fd

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def _pick(chunks: Iterator[bytes] | Stream, offsets: Sequence[int], lengths: Sequence[int]) -> Iterator[bytes]:
    """Cut ascending stretches out of a stream in one forward pass; they may overlap."""
    source = iter(chunks)
    held, base = b"", 0
    for offset, length in zip(offsets, lengths, strict=True):
        start, stop = int(offset), int(offset) + int(length)
        while base + len(held) < stop and (chunk := next(source, None)) is not None:
            keep = held[max(start - base, 0) :]
            base += len(held) - len(keep)
            held = keep + chunk
        yield held[start - base : stop - base]


def open_stream(
    source: InputFile,
    *,
    spool_dir: Path | None = None,
    chunk: int = CHUNK,
    max_ratio: int = MAX_RATIO,
    bomb_floor: int = BOMB_FLOOR,
) -> Stream:
    """Open an input for reading.

    Args:
        source: What to open.
        spool_dir: Where what comes from a pipe is kept until the stream is closed; None is the temporary folder.
        chunk: How many decompressed bytes a chunk should have.
        max_ratio: From which ratio on, once more than ``bomb_floor`` came out, it is a bomb.
        bomb_floor: See ``max_ratio``.

    Raises:
        SourceError: It cannot be opened.
    """
    if source.path is None and sys.stdin is None:
        raise SourceError("- cannot be read: standard input is closed", hint="Give a file, or something to read.")
    if source.restore is not None and source.path is not None and not source.path.exists():
        source.restore()
    try:
        file: IO[bytes] = sys.stdin.buffer if source.path is None else source.path.open("rb", buffering=0)
    except (OSError, ValueError, AttributeError) as error:
        raise unreadable(source.name, error) from error
    if source.path is not None and stat.S_ISREG((status := os.fstat(file.fileno())).st_mode):
        return Stream(source, file, None, status.st_size, chunk, max_ratio, bomb_floor)
    spool = tempfile.TemporaryFile(dir=spool_dir, prefix="auditlake-input-")  # noqa: SIM115 - the stream closes it
    return Stream(source, file, spool, None, chunk, max_ratio, bomb_floor)
