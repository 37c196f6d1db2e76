"""Data files that only a bucket has, as DuckDB reads them: small ones are fetched, of large ones it asks for ranges.

A file of one request is fetched whole: its footer alone would take as many. Of a larger one, a report without groups
needs less than a tenth. What is read by ranges is not kept, and cannot be compared with the digest in the file's name.
So the object must have the size that the log says, as many rows by its footer, and the same tag at each request.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from auditlake.errors import StorageError
from auditlake.storage.objects import PIECE, ObjectStore

SCHEME = "auditlake-bucket"
_TAIL = 1 << 16
"""How much of the end of a file is read at once: as a rule, all of its footer."""
_TAILS = 1_000
"""How many ends are held in memory."""
_OTHER = "it is not the object that the log says"
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""When an object was last changed: what it holds is what its name says, so never."""


class Bucket:
    """The data files of a lake in a bucket, for DuckDB.

    Args:
        root: The folder of the host's copy.
        objects: The bucket.
        local: Fetches files into the copy.
        missing: Says which files the copy has not.
    """

    def __init__(
        self,
        root: Path,
        objects: ObjectStore,
        local: Callable[[Sequence[str]], object],
        missing: Callable[[Iterable[str]], Sequence[str]],
    ) -> None:
        self.url = objects.url
        """The address of the lake."""
        self._root, self._objects, self._local, self._missing = root, objects, local, missing
        self.expected: dict[str, tuple[int, int]] = {}
        """The bytes and rows that the log says of files that are not in the copy, by name."""
        self.refused: StorageError | None = None
        """Why a range could not be had, which DuckDB's own error hides."""
        self._tags: dict[str, str] = {}
        self._tail = lru_cache(_TAILS)(self._read_tail)

    def addresses(self, files: Sequence[Path]) -> dict[Path, str]:
        """Return the addresses of files that are read by ranges; after this, the copy has the others.

        Raises:
            OSError: One is not there, or not what its name says.
        """
        self.refused = None
        names = (file.relative_to(self._root).as_posix() for file in files)
        away = {self._root / name: name for name in self._missing(names)}
        least = PIECE if away and os.access(self._root, os.W_OK) else -1  # who may only read the copy fetches nothing
        large = {file for file, name in away.items() if name in self.expected and self.expected[name][0] > least}
        self._local([name for file, name in away.items() if file not in large])
        return {file: f"{SCHEME}://{file}" for file in large}

    def read(self, name: str, begin: int, end: int) -> bytes:
        """Return the bytes of a file between two places.

        Raises:
            StorageError: They cannot be had, or the object is another one than the log says.
        """
        size, _ = self.expected[name]
        try:
            if begin < (start := max(size - _TAIL, 0)):
                return self._piece(name, begin, min(end, size))
            return self._tail(name)[begin - start : end - start]
        except FileNotFoundError:
            self.refused = self._wrong(name, "there is no such object")
        except StorageError as error:
            self.refused = error
        raise self.refused

    def _piece(self, name: str, begin: int, end: int) -> bytes:
        data, about = self._objects.piece(name, begin, end)
        if about.size != self.expected[name][0] or self._tags.setdefault(name, about.tag) != about.tag:
            raise self._wrong(name, _OTHER)
        return data

    def _read_tail(self, name: str) -> bytes:
        from pyarrow import ArrowException, BufferReader
        from pyarrow.parquet import read_metadata

        size, rows = self.expected[name]
        tail = self._piece(name, max(size - _TAIL, 0), size)
        with suppress(ArrowException):  # the footer is longer, or damaged: then DuckDB cannot read it either
            if read_metadata(BufferReader(tail)).num_rows != rows:
                raise self._wrong(name, _OTHER)
        return tail

    def _wrong(self, name: str, why: str) -> StorageError:
        return StorageError(f"{self.url}/{name}", why, hint="restore it from a backup")


BUCKETS: dict[Path, Bucket] = {}
"""The lakes in buckets that this process has opened, by the folders of their copies."""


def address(file: Path) -> str:
    """Return where a data file lies, for programs of other machines: in the bucket, or on a disk."""
    bucket, name = BUCKETS.get(Path(*file.parts[:-3])), "/".join(file.parts[-3:])
    return f"{bucket.url}/{name}" if bucket else str(file)


@cache
def file_system() -> Any:
    """Return the file system through which a DuckDB reads addresses of :meth:`Bucket.addresses`.

    Raises:
        StorageError: fsspec is not installed, which DuckDB needs for it.
    """
    try:
        from fsspec import AbstractFileSystem
    except ImportError as error:
        hint = "pip install 'auditlake[cloud]'"
        raise StorageError("a lake in a bucket", "fsspec is not installed", hint=hint) from error

    class Ranges(AbstractFileSystem):  # type: ignore[misc]
        protocol = SCHEME
        cachable = False

        def info(self, path: str, **_: object) -> dict[str, object]:
            bucket, name = _place(path)
            return {"name": path, "size": bucket.expected[name][0], "type": "file"}

        def glob(self, path: str, **_: object) -> list[str]:
            return [path]

        def modified(self, path: str) -> datetime:  # noqa: ARG002
            return _NEVER

        def open(self, path: str, mode: str = "rb", **_: object) -> _Opened:  # noqa: ARG002
            return _Opened(*_place(path))

    return Ranges()


class _Opened:
    """A file that DuckDB has opened. Its threads share it, and each one reads where it sought itself."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket, self._name = bucket, name
        self._at = threading.local()
        self.closed = False

    def seek(self, place: int, _: int = 0) -> int:
        """Go to a place from the file's beginning, which is the only way that DuckDB seeks."""
        self._at.place = place
        return place

    def tell(self) -> int:
        """Return the place."""
        return int(getattr(self._at, "place", 0))

    def read(self, length: int) -> bytes:
        """Read from there."""
        data = self._bucket.read(self._name, self.tell(), self.tell() + length)
        self.seek(self.tell() + len(data))
        return data

    def close(self) -> None:
        """Close it."""
        self.closed = True


def _place(path: str) -> tuple[Bucket, str]:
    """Return the bucket and the name of a file's address."""
    parts = Path(path.removeprefix(f"{SCHEME}://")).parts
    return BUCKETS[Path(*parts[:-3])], "/".join(parts[-3:])
