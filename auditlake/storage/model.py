"""The six calls through which the files of a lake are read and written, wherever they are kept.

A name is a path below the lake's folder, with ``/`` between its parts: ``events/_delta_log/00000000000000000007.json``.
Most names are made once and hold the same bytes until they are removed. Few are replaced, by :meth:`Storage.swap`.

Both answers are about bytes, so that a lost one can be had again: a call that is made twice with the same bytes does
what it does once. A writer that needs to know its own files writes its name into them.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from auditlake.errors import StorageError


class Storage(Protocol):
    """The files of a lake.

    Every call that fails raises ``OSError``: that of the operating system, or a :class:`~auditlake.errors.StorageError`
    of a store elsewhere. After such an error of a call that writes, each of its names holds what it held before, or
    what it was to hold, whole; the same call again settles which.
    """

    def names(self, folder: str = "", after: str = "") -> list[str]:
        """Return the names of all files below a folder, sorted by their characters' numbers.

        Args:
            folder: The folder, without a slash at its end; the lake's own if empty. One that is not there has no files.
            after: Only names that sort after this one.

        Raises:
            OSError: They cannot be listed.
        """

    def read(self, name: str, part: tuple[int, int] | None = None) -> bytes:
        """Return the bytes of a file, all of which it held at one instant.

        Args:
            name: The file.
            part: Only those from the first place to before the second; all if None.

        Raises:
            FileNotFoundError: There is none of that name.
            OSError: It cannot be read, or has fewer bytes than the part needs.
        """

    def create(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make files, each whole or not at all, and never over another file.

        On return all of them are durable, and so are their names. Other readers may see some of them before.

        Args:
            files: What each name is to hold: bytes, or those of a file, which is gone once the name has them. It
                lies on the same disk as the lake, if that lies on one.

        Returns:
            The names that other bytes have, which stay. A name that has the same bytes already is not among them.

        Raises:
            OSError: Any of them may have been made.
        """

    def swap(self, name: str, data: bytes, seen: bytes | None) -> bool:
        """Replace what a file holds, durably, if that is still what the caller saw.

        A reader gets the old bytes or the new ones. On a disk, the caller holds the lock that writers of the name take
        turns by. In an object store no lock is needed.

        Args:
            name: The file.
            data: What it is to hold.
            seen: What the caller read; None if there was no such file.

        Returns:
            Whether it holds ``data`` now, whichever writer wrote that.

        Raises:
            OSError: It may have been replaced.
        """

    def remove(self, names: Iterable[str], *, synced: bool = True) -> None:
        """Remove files, durably; those that are not there are passed over.

        Args:
            names: The files.
            synced: Whether they stay away after a power cut. Those that may come back cost no wait for the disk.

        Raises:
            OSError: Any of them may have been removed.
        """

    def local(self, names: Sequence[str]) -> list[str]:
        """Return a path on this machine for each file, for programs that read files by themselves.

        The files were made by :meth:`create`, so what a name holds is what it held before. A path is good as long as
        its file is.

        Raises:
            FileNotFoundError: There is no file of one of the names.
            OSError: One cannot be read, or is no regular file.
        """


def found(storage: Storage, name: str) -> bytes | None:
    """Return the bytes of a file; None if there is none of that name.

    Raises:
        OSError: It cannot be read.
    """
    with suppress(FileNotFoundError):
        return storage.read(name)
    return None


def replace(storage: Storage, name: str, data: bytes) -> None:
    """Write a file, whole and durably, over what has its name. The caller keeps other writers of it out.

    Raises:
        OSError: It may have been written.
    """
    if not storage.swap(name, data, found(storage, name)):
        raise StorageError(name, "another writer has replaced it meanwhile", hint="run it again")


def put(storage: Storage, files: Mapping[str, bytes | Path]) -> None:
    """Make files that are named by what they hold; one that has other bytes is damaged, and is replaced.

    A reader gets the damaged bytes or the right ones. What is no regular file has no bytes, and is removed first.

    Raises:
        OSError: As for :meth:`Storage.create`.
    """
    for name in storage.create(files):
        data = files[name]
        whole = data if isinstance(data, bytes) else data.read_bytes()
        try:
            there = found(storage, name)
        except StorageError:
            raise
        except OSError:
            storage.remove([name])
            there = None
        if not storage.swap(name, whole, there):
            raise OSError(errno.EBUSY, "another writer has replaced this meanwhile", name)
        if isinstance(data, Path):
            data.unlink()
