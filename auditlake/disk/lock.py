"""One writer at a time, and who is still alive.

``flock`` on a file that is never removed: the kernel releases it when its holder dies, however it dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from auditlake.disk.files import check_folder, descriptor_of, remove_tree
from auditlake.disk.rights import FILE_MODE, FOLDER_MODE, make_folder
from auditlake.errors import LakeBusyError, LakeError

LOCK_SECONDS = 600.0
"""How long a writer waits for its turn: landing a large ingest takes minutes."""
_POLL_SECONDS = 0.05
_NOT_KNOWN = {errno.EPERM, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""How file systems say that they do not know a call at all."""
_NOT_WRITTEN = {errno.EROFS, errno.EACCES, errno.EPERM}
"""How they say that nothing can be written."""


@contextmanager
def exclusive(path: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lock at ``path``.

    Raises:
        LakeBusyError: Another process held it for all of ``wait_seconds``.
    """
    descriptor = descriptor_of(path, within=path.parent, flags=os.O_RDWR | os.O_CREAT)
    try:
        _acquire(descriptor, path, wait_seconds)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def undisturbed(path: Path, *, wait_seconds: float) -> Iterator[bool]:
    """Keep writers out while something is read that they change, and say whether the lake can be written.

    Where it cannot, the lock is held by a descriptor for reading. If there is no file of that name, no process
    has written to the lake since it was copied to where it lies.

    Raises:
        LakeBusyError: Another process held the lock for all of ``wait_seconds``.
    """
    try:
        with exclusive(path, wait_seconds=wait_seconds):
            yield True
        return
    except OSError as error:
        if error.errno not in _NOT_WRITTEN or Path(error.filename or "") != path:
            raise
    with ExitStack() as stack:
        with suppress(FileNotFoundError):
            descriptor = descriptor_of(path, within=path.parent)
            stack.callback(os.close, descriptor)
            _acquire(descriptor, path, wait_seconds)
        yield False


def _acquire(descriptor: int, path: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while not try_lock(descriptor):
        if time.monotonic() >= deadline:
            message = f"the lake is busy: another process has held {path} for {wait_seconds:g} s"
            raise LakeBusyError(message, hint="try again when the other ingest, compaction or flush has ended")
        time.sleep(_POLL_SECONDS)


def try_lock(descriptor: int) -> bool:
    """Take a file's lock if no other process has it; return whether that worked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def workspace(staging: Path) -> Iterator[Path]:
    """Give a private folder below ``.staging`` that goes away at the end; if we are killed, the next writer removes it.

    Raises:
        OSError: ``.staging`` is a link, which leads out of the lake, or the disk refused.
    """
    sweep(staging)
    with suppress(FileExistsError):
        make_folder(staging)  # what copies a lake may leave out empty folders
    check_folder(staging, within=staging.parent)
    folder = staging / f"{os.getpid()}-{secrets.token_hex(6)}"
    folder.mkdir(mode=FOLDER_MODE)
    descriptor = os.open(folder / "new", os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        (folder / "new").rename(folder / "alive")  # a process that sees it finds it locked
        yield folder
    finally:
        with suppress(OSError):
            remove_tree(folder, within=staging.parent)
        os.close(descriptor)


def sweep(staging: Path) -> int:
    """Remove the workspaces of writers that are dead; give how many there were."""
    swept = 0
    # A process that may only read the lake has nothing to tidy up.
    with suppress(OSError):
        check_folder(staging, within=staging.parent)
        for folder in staging.iterdir():
            if not folder.is_symlink() and _is_abandoned(folder):
                remove_tree(folder, within=staging.parent)
                swept += 1
    return swept


def _is_abandoned(folder: Path) -> bool:
    """Return whether no process holds the workspace's lock. One that is just being made or removed briefly has none."""
    with suppress(OSError):
        descriptor = descriptor_of(folder / "alive", within=folder.parents[1], flags=os.O_RDWR)
        try:
            return try_lock(descriptor)
        finally:
            os.close(descriptor)
    with suppress(OSError):
        return _is_dead(folder.name.partition("-")[0]) or time.time() - folder.stat().st_mtime > 3600
    return False


def _is_dead(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, PermissionError):
        return False
    return False


def check_file_system(staging: Path, lake: Path) -> None:
    """Refuse a file system without ``flock``, on which the writers' lock rests, or hard links, on which commits do.

    Args:
        staging: A folder on it.
        lake: Where the lake is to lie.

    Raises:
        LakeError: It has not both.
    """
    with TemporaryDirectory(dir=staging, prefix=f"{os.getpid()}-") as folder:
        file = Path(folder, "file")
        what = "flock"
        try:
            with exclusive(file, wait_seconds=0):
                what = "hard links"
                os.link(file, Path(folder, "link"))
        except OSError as error:
            if error.errno not in _NOT_KNOWN:
                raise
            message = f"a lake cannot lie at {lake}: the file system there has no {what} ({error.strerror})"
            raise LakeError(message, hint="choose a folder on a local disk, with a file system such as ext4") from error
