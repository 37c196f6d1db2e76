"""A slot as its writer holds it, and the segment that is being written.

Files are held as objects, not as numbers: should an interrupt come between opening one and keeping it, it closes with
its object, and the lock it held is free again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from threading import Lock

from auditlake.disk.durable import sync_folder
from auditlake.disk.files import descriptor_of
from auditlake.disk.layout import Layout
from auditlake.disk.links import LOCK
from auditlake.disk.rights import make_folder
from auditlake.landing.segments import OWN, Position, application, numbers, slots
from auditlake.storage.lake import host_of
from auditlake.store.deltalog import transaction_version

Sync = Callable[[int], object]
"""Returns once the bytes of a descriptor are on the disk, or raises OSError."""

sync_data: Sync = getattr(os, "fdatasync", os.fsync)
"""Syncs a file's bytes and its length; what else there is to know about it may wait."""

_LOOK_SECONDS = 0.002
"""Longer than a reader's look at a lock takes."""


class OpenSegment:
    """A segment that this process appends to.

    Args:
        file: Opened for appending, empty.
        path: Its name.
        sync: How its bytes get to the disk.
        seconds: How old it may become.
    """

    __slots__ = ("_lock", "_sync", "_unclear", "failure", "file", "length", "path", "synced", "until")

    def __init__(self, file: FileIO, path: Path, sync: Sync, seconds: float) -> None:
        self.file = file
        self.path = path
        self.until = time.monotonic() + seconds
        """When it is old, by a clock that is never set back."""
        self.length = 0
        """Bytes that are known to be good."""
        self.synced = 0
        """Bytes that are known to be on the disk."""
        self.failure: OSError | None = None
        """Why it may not be synced again: after a failed sync, the next one can succeed without the bytes."""
        self._sync = sync
        self._lock = Lock()
        self._unclear = False

    def sync(self, until: int, outcome: list[object]) -> None:
        """Return once so many of its bytes are on the disk. Any thread may call it.

        Args:
            until: How many bytes.
            outcome: Gets one item when they are, even if a signal handler raises at that moment.

        Raises:
            OSError: The disk refused, now or before.
        """
        with self._lock:
            if self._unclear and self.failure is None:
                self.failure = InterruptedError("the sync was interrupted")
            if self.failure is not None:
                raise self.failure
            if self.synced >= until:
                outcome.append(None)
                return
            self._unclear = True
            try:
                if not os.fstat(self.file.fileno()).st_nlink:
                    raise OSError(errno.ENOENT, "it has been removed")
                # All in one call of C: no signal handler runs between the sync and its outcome.
                outcome.extend(map(self._sync, (self.file.fileno(),)))
            except OSError as error:
                self.failure = error
                raise
            finally:
                if outcome:
                    self._unclear, self.synced = False, until

    def close(self) -> None:
        """Close the file, but not while another thread syncs it."""
        with self._lock:
            self.file.close()


class Slot:
    """A slot that this process holds.

    Args:
        layout: The lake.
        number: Its number.
        lock: The file whose lock is held.
    """

    def __init__(self, layout: Layout, number: int, lock: FileIO) -> None:
        self.number = number
        self._layout = layout
        self._lock = lock
        self._last: int | None = None

    def begin(self, sync: Sync, seconds: float) -> OpenSegment:
        """Begin a new segment, empty, whose name is on the disk.

        Raises:
            OSError: The disk refused.
            LakeFormatError: The table's log, which knows how far the slot has been read, is damaged.
        """
        if self._last is None:
            # The process that made these folders may have died before they were synced.
            sync_folder(self._layout.root)
            sync_folder(self._layout.landing)
            self._last = self._highest()
        self._last += 1  # also where this fails: a number is never used twice
        path = self._layout.segment(self.number, self._last)
        file = _open(self._layout, path)
        try:
            if os.fstat(file.fileno()).st_size:
                raise FileExistsError(None, "it is there already", str(path))
            sync_folder(path.parent)
        except BaseException:
            file.close()
            raise
        return OpenSegment(file, path, sync, seconds)

    def _highest(self) -> int:
        """Return the highest number ever used in the slot: of a segment that is there, or that a flush has removed."""
        # In this order: a flush commits a position before it removes what lies below.
        newest = max(numbers(self._layout, self.number), default=0)
        committed = transaction_version(self._layout, application(self.number, host_of(self._layout)))
        return max(newest, Position.unpack(committed or 0).number)

    def is_there(self) -> bool:
        """Return whether the slot is still where it was: the lake may have been removed, or replaced by another."""
        with suppress(OSError):
            known = os.fstat(self._lock.fileno())
            return os.path.samestat(known, os.stat(self._layout.slot(self.number) / LOCK))  # noqa: PTH116 - as fstat
        return False

    def release(self) -> None:
        """Let others have the slot. In a forked child this closes the child's copy, and the parent keeps the lock."""
        self._lock.close()


def claim(layout: Layout, *, own: bool = False) -> Slot:
    """Take the lowest slot that no writer holds, or make a new one.

    Args:
        layout: The lake.
        own: Take one of those for what auditlake says about itself.

    Raises:
        OSError: The disk refused.
    """
    make_folder(layout.landing)  # what copies a lake may leave out empty folders
    for attempt in range(2):
        for number in (each for each in slots(layout) if (each >= OWN) is own):
            if slot := _try(layout, number):
                return slot
        if not attempt:
            time.sleep(_LOOK_SECONDS)  # another process may only have been looking
    taken, number = set(slots(layout)), OWN if own else 0
    while True:
        if number not in taken:
            make_folder(layout.slot(number))
            if slot := _try(layout, number):
                return slot
        number += 1


def _try(layout: Layout, number: int) -> Slot | None:
    lock = _open(layout, layout.slot(number) / LOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except BaseException:
        lock.close()
        raise
    return Slot(layout, number, lock)


def _open(layout: Layout, path: Path) -> FileIO:
    """Open a file for appending, unbuffered; a new one is for its owner only."""
    return open(path, "ab", buffering=0, opener=lambda _, flags: descriptor_of(path, within=layout.root, flags=flags))
