"""The rows of an answer as they came, an Arrow stream: in memory, or in a file without a name once they are many."""

from __future__ import annotations

import io
import os
import weakref
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO

from auditlake.confined.frames import STRETCH

if TYPE_CHECKING:
    import pyarrow as pa

IN_MEMORY = 64_000_000
"""Bytes that stay in memory."""


class Received:
    """An Arrow stream, to be read again and again."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._file: BinaryIO | None = None
        self.size = 0
        """Bytes so far."""

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size += len(data)
        if self._file is None and self.size > IN_MEMORY:
            self._file = TemporaryFile()  # noqa: SIM115 - as long as this lives
            weakref.finalize(self, self._file.close)
            self._file.write(self._data)
            self._data = bytearray()
        if self._file is None:
            self._data += data
        else:
            self._file.write(data)

    def reader(self) -> pa.RecordBatchReader:
        """Return a reader of the rows, from their beginning.

        Raises:
            pyarrow.ArrowException, OSError: The bytes are no such stream; perhaps only later, when it comes to them.
        """
        import pyarrow as pa

        if self._file is None:
            return pa.ipc.open_stream(pa.py_buffer(self._data))
        self._file.flush()
        return pa.ipc.open_stream(io.BufferedReader(_Place(self, self._file.fileno()), STRETCH))


class _Place(io.RawIOBase):
    """A place of its own in a file that others read too."""

    def __init__(self, of: Received, descriptor: int) -> None:
        self._of = of  # the file is closed when the last reader drops it
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        """Return whether it is for reading."""
        return True

    def readinto(self, into: Any, /) -> int:
        """Fill a buffer as far as there is something."""
        read = os.preadv(self._descriptor, [into], self._at)
        self._at += read
        return read
