"""Opening files that others may have put there: regular ones only, and no more bytes than they may have.

A lake can come from anywhere. A named pipe in it would make a reader wait for ever, a device would never end, and a
symbolic link would lead a reader, or a verb that deletes, out of the lake. So each folder below the lake's own is
entered without following links, and each file is looked at before and after it is opened. The lake's folder itself may
be reached through links: its path is what the caller says.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from auditlake.disk.rights import FILE_MODE, give

SMALL = 1 << 20
"""Bytes that a key, a note, or a file that people write has at most."""
LARGE = 1 << 30
"""Bytes that any other file has at most which is read whole."""

_ENTER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISREG, errno.ENOTDIR, "a file"), (stat.S_ISDIR, errno.EISDIR, "a folder"),
    (stat.S_ISLNK, errno.ELOOP, "a symbolic link"), (stat.S_ISFIFO, errno.EINVAL, "a named pipe"),
    (stat.S_ISSOCK, errno.EINVAL, "a socket"), (lambda _: True, errno.EINVAL, "a device"),
)  # fmt: skip


def read_file(path: Path, *, within: Path | None = None, limit: int = LARGE) -> bytes:
    """Give the bytes of a regular file.

    Args:
        path: The file.
        within: The folder of the lake that owns it: nothing below that is followed if it is a link. None for a file
            that the caller named, which may be a link to a regular one.
        limit: Bytes that it may have.

    Raises:
        OSError: It is not there, is no regular file, has more bytes, or cannot be read; the reason is in ``strerror``.
    """
    with open_file(path, within=within) as file:
        if (size := os.fstat(file.fileno()).st_size) > limit:
            raise OSError(errno.EFBIG, f"this has {size} bytes, expected at most {limit}", str(path))
        return file.read()


def read_text(path: Path, *, within: Path | None = None, limit: int = SMALL, errors: str = "strict") -> str:
    """Give the text of a regular file, as :func:`read_file` gives its bytes; line ends are those of the file.

    Raises:
        OSError: As :func:`read_file` does.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_file(path, within=within, limit=limit).decode("utf-8", errors)


def open_file(path: Path, *, within: Path | None = None) -> BufferedReader:
    """Open a regular file for reading, as :func:`read_file` does.

    Raises:
        OSError: As :func:`read_file` does.
    """
    return os.fdopen(descriptor_of(path, within=within), "rb")


def descriptor_of(path: Path, *, within: Path | None = None, flags: int = os.O_RDONLY) -> int:
    """Give a descriptor of a regular file, as :func:`read_file` opens it.

    Args:
        path: The file.
        within: The folder of the lake that owns it; None for a file that the caller named.
        flags: How to open it; with ``os.O_CREAT``, it is made where it is not there, with the rights of its lake.

    Raises:
        OSError: As :func:`read_file` does.
    """
    with _folder_and_name(path, within) as (folder, name):
        follow = within is None
        is_new = True
        with suppress(FileNotFoundError):
            _expect(os.stat(name, dir_fd=folder, follow_symlinks=follow).st_mode, "a file", path)
            is_new = False
        # Something else may have its name since: a pipe is not waited for, and what was opened is looked at once more.
        flags |= os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
        descriptor = os.open(name, flags, FILE_MODE, dir_fd=folder)
    try:
        _expect(os.fstat(descriptor).st_mode, "a file", path)
        if is_new:
            give(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_folder(folder: Path, *, within: Path) -> None:
    """Refuse a folder of a lake that is a link, or lies below one; one that is not there is fine.

    Raises:
        OSError: It is not what it should be.
    """
    with suppress(FileNotFoundError), entered(folder, within=within):
        pass


def is_file(path: Path, *, within: Path) -> bool:
    """Return whether a lake has a regular file of that name, reached without following links."""
    with suppress(OSError), _folder_and_name(path, within) as (folder, name):
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def remove_file(path: Path, *, within: Path) -> None:
    """Remove a file of a lake, or a link that lies in its place, and never what a link leads to.

    Raises:
        OSError: It is not there, or a folder above it is a link.
    """
    with _folder_and_name(path, within) as (folder, name):
        os.unlink(name, dir_fd=folder)


def remove_any(path: Path, *, within: Path) -> None:
    """Remove a file of a lake, or whatever else lies in its place.

    Raises:
        OSError: As for :func:`remove_file`.
    """
    try:
        remove_file(path, within=within)
    except IsADirectoryError:
        remove_tree(path, within=within)


def remove_tree(path: Path, *, within: Path) -> None:
    """Remove a folder of a lake with all that is in it, as far as that can be done; links are not followed.

    Raises:
        OSError: A folder above it is a link, or not there.
    """
    with _folder_and_name(path, within) as (folder, name):
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)


@contextmanager
def entered(folder: Path, *, within: Path) -> Iterator[int]:
    """Give a descriptor of a folder of a lake that was reached without following links.

    Raises:
        OSError: It is not there, it lies elsewhere than below ``within``, or it or a folder between them is a link or
            no folder.
    """
    if not folder.is_relative_to(within) or ".." in (names := folder.relative_to(within).parts):
        raise OSError(errno.EXDEV, "this does not lie in the lake", str(folder))
    at, folders = within, [os.open(within, _ENTER & ~os.O_NOFOLLOW)]
    try:
        for name in names:
            at /= name
            folders.append(_next(folders[-1], name, at))
        yield folders[-1]
    finally:
        while folders:  # taken off first: closed twice, a number may be another file's by then
            os.close(folders.pop())


def _next(here: int, name: str, path: Path) -> int:
    """Go one folder down and return its descriptor."""
    try:
        _expect(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode, "a folder", path)
        return os.open(name, _ENTER, dir_fd=here)
    except OSError as error:
        error.filename = str(path)
        raise


@contextmanager
def _folder_and_name(path: Path, within: Path | None) -> Iterator[tuple[int | None, str]]:
    if within is None:
        yield None, str(path)
        return
    with entered(path.parent, within=within) as folder:
        try:
            yield folder, path.name
        except OSError as error:
            error.filename = str(path)
            raise


def kind_of(mode: int) -> str:
    """Say in words what a file mode is of, such as ``a symbolic link``."""
    return _kind(mode)[1]


def _expect(mode: int, wanted: str, path: Path) -> None:
    """Refuse what is of another kind than it should be: ``a file`` or ``a folder``."""
    number, kind = _kind(mode)
    if kind != wanted:
        expected = "a regular file" if wanted == "a file" else wanted
        raise OSError(number, f"this is {kind}, expected {expected}", str(path))


def _kind(mode: int) -> tuple[int, str]:
    """Return what is there, in words, and the error number if it is not what is expected.

    No generator: a signal may come here.
    """
    for is_kind, number, kind in _KINDS:
        if is_kind(mode):
            return number, kind
    raise AssertionError("the last kind is any")
