"""Arrow streams as frames: between parent and child, and between a desk and its askers."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from auditlake.confined.frames import HEAD, SAID, STRETCH, read_exactly, send_data

if TYPE_CHECKING:
    import pyarrow as pa


def send_rows(send: Callable[[Any], None], table: pa.Table) -> None:
    """Send a table as frames of rows."""
    import pyarrow as pa

    with io.BufferedWriter(RowsOut(send), STRETCH) as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=8_192)


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
        length = send_data(self._send, data)
        self.sent += length
        return length


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
