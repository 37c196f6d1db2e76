"""Making bytes survive a power cut: sync the file, then the folder that names it.

A failed sync is fatal for what was being written: the kernel may have dropped the dirty pages, and a second sync of the
same file can succeed without them ("fsyncgate", PostgreSQL 2018). So nothing here tries again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from auditlake.disk.files import check_folder
from auditlake.disk.rights import FILE_MODE, give, make_folder

DRAFT = ".draft"
"""What the names of drafts end with."""


def sync_file(path: Path) -> None:
    """Return once the file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Return once the names in a folder are on the disk."""
    sync_file(path)


def make_folders(path: Path, *, below: Path) -> None:
    """Make a folder and its parents down from ``below``, each durable in its parent, with the rights of their lake.

    Raises:
        OSError: The disk refused; or ``below`` is in a lake, and one of them is a link, which leads out of it.
    """
    if below != Path(below.anchor):
        check_folder(path, within=below)
    missing = []
    while path != below and not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        make_folder(folder)
        sync_folder(folder.parent)


def write_whole(path: Path, data: bytes, *, over: bool = True, private: bool = False, synced: bool = True) -> None:
    """Write a file whole or not at all, durably.

    Args:
        path: The file.
        data: What it is to hold.
        over: Whether over what has its name already; otherwise that stays.
        private: Whether it is for the owner alone, whatever the rights of its lake are.
        synced: Whether it outlasts a power cut. One that does not costs no wait for the disk.
    """
    with writing_whole(path, over=over, private=private, synced=synced) as file:
        file.write(data)


@contextmanager
def writing_whole(path: Path, *, over: bool = True, private: bool = False, synced: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write, which has its name only once it is whole and durable.

    The bytes go to a private neighbour first, so that a reader sees the old file or the new one.

    Args:
        path: The file.
        over: Whether over what has its name already; otherwise that stays.
        private: Whether it is for the owner alone, whatever the rights of its lake are.
        synced: As for :func:`write_whole`.
    """
    with drafting(path, private=private, synced=synced) as (draft, file):
        yield file
    try:
        if over:
            os.replace(draft, path)
        else:
            with suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)


@contextmanager
def drafting(path: Path, *, private: bool = False, synced: bool = True) -> Iterator[tuple[Path, BinaryIO]]:
    """Give a neighbour of a file and its path to write; it is durable at the end, but for its name, and gone if that
    failed. The arguments are those of :func:`writing_whole`.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}{DRAFT}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if not private:
                give(descriptor, path)
            yield draft, file
            file.flush()
            if synced:
                os.fsync(descriptor)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
