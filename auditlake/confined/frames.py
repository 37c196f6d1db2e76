"""What parent and child say to each other over pipes: frames of a kind, a length and a payload."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from typing import Any

SAID = b"J"
"""A JSON object."""
DATA = b"A"
"""A stretch of bytes: of an Arrow IPC stream, or of a file."""

HEAD = struct.Struct(">cQ")
"""The kind and the length of what follows."""
STRETCH = 1024 * 1024
"""Bytes of the longest frame of data."""


def packed(message: Mapping[str, Any]) -> bytes:
    """Return a JSON object as a frame."""
    text = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return HEAD.pack(SAID, len(text)) + text


def send(descriptor: int, data: Any) -> None:
    """Write all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def send_data(to: Callable[[Any], None], data: Any) -> int:
    """Send bytes as frames of data, and return how many they were."""
    view = memoryview(data).cast("B")
    for start in range(0, len(view), STRETCH):
        stretch = view[start : start + STRETCH]
        to(HEAD.pack(DATA, len(stretch)))
        to(stretch)
    return len(view)


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
