"""What parent and child say to each other over pipes: frames of a kind, a length and a payload."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Callable, Mapping
from typing import Any

SAID = b"J"
"""A JSON object."""
ROWS = b"A"
"""A stretch of an Arrow IPC stream."""

HEAD = struct.Struct(">cQ")
"""The kind and the length of what follows."""
STRETCH = 1024 * 1024
"""Bytes of the longest frame of rows."""


def packed(message: Mapping[str, Any]) -> bytes:
    """Return a JSON object as a frame."""
    text = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return HEAD.pack(SAID, len(text)) + text


def send(descriptor: int, data: Any) -> None:
    """Write all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_exactly(descriptor: int, length: int) -> bytes:
    """So many bytes.

    Raises:
        EOFError: The other side has gone.
    """
    parts = []
    while length:
        part = os.read(descriptor, min(length, STRETCH))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class RowsOut(io.RawIOBase):
    """A file that Arrow writes a stream to: each write becomes frames, however large it is."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self.sent = 0
        """Bytes so far."""

    def writable(self) -> bool:
        """Return whether it is for writing."""
        return True

    def write(self, data: Any, /) -> int:
        """Send all of it."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), STRETCH):
            stretch = view[start : start + STRETCH]
            self._send(HEAD.pack(ROWS, len(stretch)))
            self._send(stretch)
        self.sent += len(view)
        return len(view)


class RowsIn(io.RawIOBase):
    """A file that Arrow reads a stream from: the payloads of frames of rows, until one that says something."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._left = 0
        self._over = False

    def readable(self) -> bool:
        """Return whether it is for reading."""
        return True

    def readinto(self, into: Any, /) -> int:
        """Fill a buffer as far as there is something."""
        while not self._left:
            if self._over:
                return 0
            kind, length = HEAD.unpack(read_exactly(self._descriptor, HEAD.size))
            if kind == SAID:
                read_exactly(self._descriptor, length)
                self._over = True
            else:
                self._left = length
        part = os.read(self._descriptor, min(self._left, len(into), STRETCH))
        if not part:
            raise EOFError
        into[: len(part)] = part
        self._left -= len(part)
        return len(part)

    def rest(self) -> None:
        """Read to the end."""
        waste = bytearray(STRETCH)
        while self.readinto(waste):
            pass
