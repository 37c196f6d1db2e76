"""Which objects were taken: ``LAKE/collected.jsonl``, a line for each, written once its events are committed.

It only saves work. Where it is damaged or gone, objects are read again, and their events are known to the lake.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from auditlake.collect.model import Found
from auditlake.disk.durable import sync_folder
from auditlake.disk.files import descriptor_of, open_file
from auditlake.disk.layout import Layout
from auditlake.disk.rights import FILE_MODE, give
from auditlake.events.times import print_instant

_LEAST = 1000
_LONGEST = 1 << 16
"""Bytes that a line has at most; a longer one is damage."""


class Line(NamedTuple):
    """An object that was taken."""

    found: Found
    sha256: str
    size: int
    """Bytes that were read."""
    snapshot: int
    sources: str = ""
    """Where no source knew it: a digest of the sources that there were. With others it is read again."""


class Taken:
    """The objects that were taken, by digests of 16 bytes each.

    Args:
        layout: The lake.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._path = layout.collected
        self._seen: dict[bytes, bool] = {}
        """Each mark, and whether a listing of this run has it."""
        self._lines = 0
        for line in self._read():
            self._lines += 1
            if (mark := _mark_of_line(line)) is not None:
                self._seen[mark] = False

    def has(self, found: Found, sources: str, *, everything: bool = False) -> bool:
        """Return whether an object was taken as it is now; with ``everything``, whether in this run."""
        for mark in (_mark(found.name, found.size, found.version, ""),
                     _mark(found.name, found.size, found.version, sources)):  # fmt: skip
            if found.version and mark in self._seen:
                was_seen, self._seen[mark] = self._seen[mark], True
                return was_seen or not everything
        return False

    def record(self, lines: Iterable[Line], at: datetime) -> None:
        """Write down, durably, what was taken; the commit that has its events comes before.

        Raises:
            OSError: The disk refused.
        """
        data = b""
        for line in lines:
            found = line.found
            self._seen[_mark(found.name, found.size, found.version, line.sources)] = True
            self._lines += 1
            record = {
                "name": found.name, "size": found.size, "version": found.version, "bytes": line.size,
                "sha256": line.sha256, "at": print_instant(at), "snapshot": line.snapshot,
                **({"not_recognised_by": line.sources} if line.sources else {}),
            }  # fmt: skip
            data += json.dumps(record, separators=(",", ":")).encode() + b"\n"
        is_new = not self._path.exists()
        descriptor = descriptor_of(self._path, within=self._layout.root, flags=os.O_RDWR | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                data = b"\n" + data  # a process that was killed left a part of a line
            file.write(data)
            os.fsync(descriptor)
        if is_new:
            sync_folder(self._path.parent)

    def forget_unlisted(self) -> None:
        """Write the file anew without what is no longer listed, where that is most of it."""
        if self._lines <= 2 * sum(self._seen.values()) + _LEAST:
            return
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                give(descriptor, self._path)
                for line in self._read():
                    mark = _mark_of_line(line)
                    if mark is not None and self._seen.pop(mark, False):  # once, however often it is there
                        file.write(line.rstrip(b"\n") + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(self._path.parent)

    def _read(self) -> Iterator[bytes]:
        with suppress(OSError), open_file(self._path, within=self._layout.root) as file:
            while line := file.readline(_LONGEST):
                yield line


def _mark(name: str, size: int | None, version: str, sources: str) -> bytes:
    text = json.dumps([name, size, version, sources])
    return blake2b(text.encode(), digest_size=16).digest()


def _mark_of_line(line: bytes) -> bytes | None:
    with suppress(ValueError, KeyError, TypeError):
        record: dict[str, Any] = orjson.loads(line)
        name, size, version = record["name"], record["size"], record["version"]
        is_line = isinstance(name, str) and isinstance(version, str) and (size is None or type(size) is int)
        return _mark(name, size, version, record.get("not_recognised_by", "")) if is_line else None
    return None
