"""Where the lines are kept that say what was taken: in a file of the lake, or in objects beside one in a bucket.

All hosts of a bucket read ``collected/0000000001.jsonl`` and those after it, and add to the last one, so what one of
them has taken no other takes. Each object is replaced only as it was seen, and that again if another host was quicker.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import orjson

from auditlake.disk.durable import sync_folder
from auditlake.disk.files import descriptor_of, open_file, read_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import LOCK_SECONDS
from auditlake.disk.rights import FILE_MODE, give
from auditlake.storage.lake import mirror_of, numbered_host

if TYPE_CHECKING:
    from auditlake.storage.objects import ObjectStore

_LONGEST = 1 << 16
"""Bytes that a line of a file has at most; a longer one is damage."""
_FOLDER = "collected"
_NAME = re.compile(rf"{_FOLDER}/(\d{{10}})\.jsonl")
_MOST = 1 << 20
"""Bytes from which on an object gets no more lines."""


class Lines(Protocol):
    """Lines of JSON. Every method raises ``OSError`` where the disk or the bucket refuses; reading a file does not."""

    def host(self) -> int | None:
        """Return the number that this host has in its lines; None where the lake is a folder."""

    def read(self) -> Iterator[bytes]:
        """Yield all lines."""

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines, durably, each with its line break."""

    def keep(self, is_wanted: Callable[[bytes], bool]) -> None:
        """Let go of the lines that are not wanted."""


def lines_of(layout: Layout) -> Lines:
    """Return where a lake has its lines.

    Raises:
        OSError: The bucket cannot be asked.
    """
    if (mirror := mirror_of(layout)) is None:
        return _File(layout)
    shared = _Objects(layout, mirror.objects)
    shared.take_over()
    return shared


def shared_lines(layout: Layout) -> bytes:
    """Return the lines that all hosts of a bucket have; none where the lake is a folder, which has its file.

    Raises:
        OSError: The bucket cannot be read.
    """
    mirror = mirror_of(layout)
    return b"".join(_Objects(layout, mirror.objects).read()) if mirror else b""


class _File:
    """``LAKE/collected.jsonl``, which one process has at a time."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._path = layout.collected

    def host(self) -> None:
        return None

    def read(self) -> Iterator[bytes]:
        with suppress(OSError), open_file(self._path, within=self._layout.root) as file:
            while line := file.readline(_LONGEST):
                yield line

    def append(self, lines: Sequence[bytes]) -> None:
        data = b"".join(lines)
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

    def keep(self, is_wanted: Callable[[bytes], bool]) -> None:
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                give(descriptor, self._path)
                for line in filter(is_wanted, self.read()):
                    file.write(line.rstrip(b"\n") + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(self._path.parent)


class _Objects:
    """The objects of a bucket, which any number of hosts have."""

    def __init__(self, layout: Layout, objects: ObjectStore) -> None:
        self._layout = layout
        self._objects = objects

    def host(self) -> int:
        return numbered_host(self._layout, wait_seconds=LOCK_SECONDS)

    def take_over(self) -> None:
        """Let all hosts have the lines of this host's folder, where an earlier version wrote them."""
        try:
            there = read_file(self._layout.collected, within=self._layout.root).splitlines()
        except FileNotFoundError:
            return
        host, lines = self.host(), []
        for line in there:
            with suppress(ValueError, TypeError):
                lines.append(orjson.dumps(orjson.loads(line) | {"host": host}) + b"\n")
        self.append(lines)
        self._layout.collected.unlink()

    def read(self) -> Iterator[bytes]:
        from auditlake.storage.objects import AT_ONCE

        with ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            for data in pool.map(self._objects.found, map(_name, self._listed())):
                yield from (data or b"").splitlines(keepends=True)

    def append(self, lines: Sequence[bytes]) -> None:
        left = [*lines]
        while left:
            listed = self._listed()
            number, size = max(listed.items(), default=(1, 0))
            if size >= _MOST:
                number, size = number + 1, 0
            seen = self._objects.found(_name(number)) if number in listed else None
            data, some = seen or b"", 0
            while some < len(left) and len(data) < _MOST:
                data, some = data + left[some], some + 1
            if self._objects.swap(_name(number), data, seen):
                left = left[some:]

    def keep(self, is_wanted: Callable[[bytes], bool]) -> None:
        for number in self._listed():
            seen = self._objects.found(_name(number)) or b""
            kept = b"".join(line for line in seen.splitlines(keepends=True) if is_wanted(line))
            if kept != seen:  # one that is empty stays: a host may be about to add to it
                self._objects.swap(_name(number), kept, seen)

    def _listed(self) -> dict[int, int]:
        """Return the numbers of the objects with their bytes."""
        listed = self._objects.listed(_FOLDER)
        return {int(match[1]): each.size for name, each in listed.items() if (match := _NAME.fullmatch(name))}


def _name(number: int) -> str:
    return f"{_FOLDER}/{number:010d}.jsonl"
