"""Files of lines that are only ever appended to, with a digest over all lines up to each: no change goes unseen.

The digest of a line is SHA-256 over the digest before it (32 bytes, zeros before the first) and the line's bytes
without its line break. A last line without a line break was never acknowledged, and is none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auditlake.disk.durable import make_folders, sync_folder
from auditlake.disk.files import descriptor_of

_PIECE = 1 << 16


def digest_after(before: str, line: bytes) -> str:
    """Return the digest of a line.

    Args:
        before: The digest of the line before it; empty before the first.
        line: Its bytes, without its line break.

    Returns:
        64 hex digits.
    """
    start = bytes.fromhex(before) if before else bytes(32)
    return hashlib.sha256(start + line).hexdigest()


class Appender:
    """A chained file while this process alone may write to it; :func:`appending` gives it.

    Args:
        descriptor: The file's.
        first: Is told what the file holds, and the line with its line break, before that is written.
    """

    def __init__(self, descriptor: int, first: Callable[[bytes, bytes], None] | None) -> None:
        self._descriptor = descriptor
        self._first = first
        self._end = _end_of_lines(descriptor)

    def lines(self) -> bytes:
        """Return the bytes of all whole lines."""
        return _read(self._descriptor, 0, self._end)

    def last(self) -> bytes:
        """Return the last whole line without its line break; nothing if there is none."""
        return next(_backwards(self._descriptor, self._end), b"")

    def append(self, line: bytes) -> None:
        """Write a line behind the others, durably, or leave nothing of it.

        Raises:
            OSError: The disk refused it.
        """
        text = line + b"\n"
        if self._first is not None:
            self._first(self.lines(), text)
        try:
            os.ftruncate(self._descriptor, self._end)  # the writer of an unfinished line never reported it
            written = 0
            while written < len(text):
                written += os.pwrite(self._descriptor, text[written:], self._end + written)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(text)


@contextmanager
def appending(path: Path, *, within: Path, first: Callable[[bytes, bytes], None] | None = None) -> Iterator[Appender]:
    """Give a chained file of a lake to one writer at a time; it is made if it is not there.

    Args:
        path: The file.
        within: The lake that owns it.
        first: As for :class:`Appender`.

    Raises:
        OSError: It is no regular file, lies behind a link, or the disk refused.
    """
    make_folders(path.parent, below=within)
    is_new = not path.exists()
    descriptor = descriptor_of(path, within=within, flags=os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_new:
            sync_folder(path.parent)
        yield Appender(descriptor, first)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a chained file reaches."""

    lines: int = 0
    size: int = 0
    """Bytes of these lines."""
    digest: str = ""
    """Of the last of them, 64 hex digits; empty where there is none."""


def durable_extent(path: Path, *, within: Path, since: Extent) -> Extent:
    """Return how far a chained file reaches on the disk, reading only what was appended since.

    Args:
        path: The file.
        within: The lake that owns it.
        since: How far it reached once; from its beginning where it is shorter now.

    Raises:
        OSError: It is not there, is no regular file, or cannot be read.
    """
    descriptor = descriptor_of(path, within=within)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # a writer that is about to take its line back has ended
        end = _end_of_lines(descriptor)
        extent = since if since.size <= end else Extent()
        if extent.size == end:
            return extent
        os.fsync(descriptor)  # its writer may have died before it did
        digest, added = extent.digest, _read(descriptor, extent.size, end).split(b"\n")[:-1]
        for line in added:
            digest = digest_after(digest, line)
        return Extent(extent.lines + len(added), end, digest)
    finally:
        os.close(descriptor)


def newest_first(path: Path, *, within: Path) -> Iterator[bytes]:
    """Yield the whole lines of a chained file without their line breaks, the last one first, a piece at a time.

    Raises:
        OSError: It is not there, is no regular file, or cannot be read.
    """
    descriptor = descriptor_of(path, within=within)
    try:
        yield from _backwards(descriptor, _end_of_lines(descriptor))
    finally:
        os.close(descriptor)


def _backwards(descriptor: int, end: int) -> Iterator[bytes]:
    """Yield the lines up to ``end``, which is where a line ends, the last one first."""
    if not end:
        return
    end, rest = end - 1, b""
    while end > 0:
        start = max(end - _PIECE, 0)
        rest, *lines = (_read(descriptor, start, end) + rest).split(b"\n")
        yield from reversed(lines)
        end = start
    yield rest


def _end_of_lines(descriptor: int) -> int:
    """Return the place after the last line break; 0 if there is none."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(end - _PIECE, 0)
        if (at := _read(descriptor, start, end).rfind(b"\n")) >= 0:
            return start + at + 1
        end = start
    return 0


def _read(descriptor: int, start: int, end: int) -> bytes:
    pieces = []
    while start < end and (piece := os.pread(descriptor, end - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
