"""Who is at the other end of a socket: what the kernel says of it, and nothing that it says itself."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from contextlib import suppress
from pathlib import Path

from auditlake.errors import RefusedError
from auditlake.sandbox.principals import Account, folded, is_name

_CREDENTIALS = struct.Struct("iII")
"""Process, user and group of who connected: ``struct ucred`` of ``unix(7)``."""
_NOT_MAPPED = 65_534
"""What the kernel says of an account that this system does not have, if it says no other number."""


def uid_of(connection: socket.socket) -> int:
    """Return the user id of who connected, as it was then."""
    return _credentials(connection)[0]


def account_of(connection: socket.socket) -> Account:
    """Return the account of who connected. Its groups are those that the system has for it now.

    To them comes the one that the process had: a service may have a group that its user is not a member of.

    Raises:
        RefusedError: It is an account of a container, or of another system, that is none here.
    """
    uid, gid = _credentials(connection)
    if uid == _not_mapped():
        raise RefusedError("the account is not known here: that of a container has to be one of this system, too")
    gids = {gid}
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return Account(_plain(None, "uid", uid), uid, _groups(gids))
    with suppress(OSError):
        gids |= {user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)}
    return Account(_plain(user.pw_name, "uid", uid), uid, _groups(gids))


def _credentials(connection: socket.socket) -> tuple[int, int]:
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(found)
    return uid, gid


def _groups(gids: set[int]) -> frozenset[str]:
    names = {}
    for gid in gids:
        with suppress(KeyError):
            names[gid] = grp.getgrgid(gid).gr_name
    return frozenset(_plain(names.get(gid), "gid", gid) for gid in gids)


def _plain(name: str | None, kind: str, number: int) -> str:
    """Return a name; the number for one that could be taken for another, and for none."""
    return name if name is not None and is_name(name) and folded(name) == name else f"{kind} {number}"


def _not_mapped() -> int:
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
    return _NOT_MAPPED
