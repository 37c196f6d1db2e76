"""The socket that a desk listens at: made by it, or by systemd before it was started."""

from __future__ import annotations

import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from auditlake.errors import DeskError

_FIRST_PASSED = 3
"""The number of the first descriptor that systemd passes: ``sd_listen_fds(3)``."""
_WAITING = 128


class Door:
    """A listening socket.

    Args:
        listening: The socket.
        path: Where it is, if this process made it, and so removes it.
    """

    def __init__(self, listening: socket.socket, path: Path | None = None) -> None:
        self.listening = listening
        self._path = path
        self._made = None if path is None else _mark(path)
        listening.settimeout(0)

    @property
    def name(self) -> str:
        """Where it is."""
        return str(self.listening.getsockname())

    def close(self) -> None:
        """Let nobody in any more; remove the socket if it is still the one that was made."""
        self.listening.close()
        with suppress(OSError):
            if self._path is not None and _mark(self._path) == self._made:
                self._path.unlink()


def _mark(path: Path) -> tuple[int, int, int]:
    """Return what tells a socket from a later one of its name, which may have the same inode."""
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_mtime_ns


def opened(path: Path, *, mode: int, group: str | None) -> Door:
    """Make a socket that listens; one that a dead process has left is replaced.

    Args:
        path: Where; its folder must be there.
        mode: Who may connect, as the mode of a file.
        group: The group that it gets; that of this process if None.

    Raises:
        DeskError: There is something at the path already, or it cannot be made.
    """
    gid = -1
    if group is not None:
        try:
            gid = grp.getgrnam(group).gr_gid
        except KeyError:
            raise DeskError(f"there is no group {group!r} here") from None
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead(path)
        before = os.umask(0o177)  # the owner's alone until it is what it should be
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        os.chown(path, -1, gid)
        path.chmod(mode)
        listening.listen(_WAITING)
        return Door(listening, path)
    except OSError as error:
        listening.close()
        raise DeskError(f"no socket can be made at {path}: {error.strerror or error}") from error
    except BaseException:
        listening.close()
        raise


def passed() -> Door | None:
    """Return the socket that systemd passed to this process; None if it passed none.

    Raises:
        DeskError: It passed something else, or several.
    """
    process, number = (os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS"))
    if process != str(os.getpid()) or not number.isdecimal() or number == "0":
        return None
    if number != "1":
        raise DeskError(f"expected one socket from systemd, got {number}", hint="a desk has one ListenStream=")
    try:
        os.set_inheritable(_FIRST_PASSED, False)  # noqa: FBT003 - the call has no names
        listening = socket.socket(fileno=_FIRST_PASSED)
        is_one = listening.family == socket.AF_UNIX and listening.type == socket.SOCK_STREAM
        is_one = is_one and bool(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        is_one = False
    if not is_one:
        raise DeskError("systemd passed what is no listening Unix socket", hint="ListenStream=/run/auditlake/desk.sock")
    return Door(listening)


def _remove_dead(path: Path) -> None:
    """Remove a socket at which no process listens any more.

    Raises:
        DeskError: There is something else, or a process listens.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise DeskError(f"there is something at {path} already", hint="name another place for the socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
            trying.settimeout(0)
            try:
                trying.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
            except BlockingIOError:  # a process that has more to do than it can
                pass
        raise DeskError(f"another process listens at {path} already")
