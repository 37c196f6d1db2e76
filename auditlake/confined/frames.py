"""What processes say to each other: frames of a kind, a length and a payload."""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

SAID = b"J"
"""A JSON object."""
DATA = b"A"
"""A stretch of bytes: of an Arrow IPC stream, or of a file."""

HEAD = struct.Struct(">cQ")
"""The kind and the length of what follows."""
STRETCH = 1024 * 1024
"""Bytes of the longest frame of data."""
_WAIT_SECONDS = 0.25
_PIECE = 65_536


class FramesError(Exception):
    """The other side is of no use any more."""


class GoneError(FramesError):
    """It has gone."""


class LateError(FramesError):
    """It took longer than it may."""


class NonsenseError(FramesError):
    """It said what makes no sense, or more than it may."""


class Frames:
    """Frames over two descriptors that do not block: no wait is without an end, and no frame longer than it may be.

    Args:
        source: Where frames come from.
        sink: Where frames go.
        longest: Bytes of the longest frame that is taken, by its kind; others are not.
    """

    def __init__(self, source: int, sink: int, longest: Mapping[bytes, int]) -> None:
        self._source, self._sink = source, sink
        self._longest = longest
        self.deadline = math.inf
        """When to give up, by the monotonic clock."""
        self.look: Callable[[], None] = lambda: None
        """Called before each wait, and every quarter of a second within it; what it raises ends the wait."""

    def take(self) -> tuple[bytes, bytes]:
        """Return the next frame, its kind and its payload.

        Raises:
            FramesError: There is none in time.
        """
        kind, length = HEAD.unpack(b"".join(self._read(HEAD.size)))
        if length > self._longest.get(kind, 0):
            raise NonsenseError
        return kind, b"".join(self._read(length))

    def take_said(self) -> dict[str, Any]:
        """Return the next frame, which is to say something.

        Raises:
            FramesError: There is none in time.
        """
        return said(*self.take())

    def send(self, data: Any) -> None:
        """Write all of it.

        Raises:
            FramesError: It is not taken in time.
        """
        rest = memoryview(data)
        while rest:
            self.wait(self._sink, select.POLLOUT)
            try:
                rest = rest[os.write(self._sink, rest[:_PIECE]) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                raise GoneError from None

    def _read(self, length: int) -> Iterator[bytes]:
        while length:
            self.wait(self._source, select.POLLIN)
            part = b""
            try:
                part = os.read(self._source, min(length, STRETCH))
            except BlockingIOError:
                continue
            except ConnectionResetError:
                pass
            if not part:
                raise GoneError
            length -= len(part)
            yield part

    def wait(self, descriptor: int, event: int) -> None:
        """Return once a descriptor can be read or written.

        Raises:
            LateError: It could not be in time.
        """
        poll = select.poll()
        poll.register(descriptor, event)
        # In short waits: a signal just before a wait does not end it, and Ctrl-C would go unnoticed until the deadline.
        while (left := self.deadline - time.monotonic()) > 0:
            self.look()
            if poll.poll(min(left, _WAIT_SECONDS) * 1000):
                return
        raise LateError


def said(kind: bytes, payload: bytes) -> dict[str, Any]:
    """Return what a frame says.

    Raises:
        NonsenseError: It is no JSON object.
    """
    message = None
    with suppress(ValueError, RecursionError):
        message = json.loads(payload)
    if kind != SAID or not isinstance(message, dict):
        raise NonsenseError
    return message


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


def send_data(to: Callable[[Any], None], data: Any) -> int:
    """Send bytes as frames of data, and return how many they were."""
    view = memoryview(data).cast("B")
    for start in range(0, len(view), STRETCH):
        stretch = view[start : start + STRETCH]
        to(HEAD.pack(DATA, len(stretch)))
        to(stretch)
    return len(view)
