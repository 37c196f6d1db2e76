"""Which of the hosts that write to a lake in a bucket this one is: a number, whose object only one host can make.

What hosts count each for itself has it in its name: how far the table has come in a host's landing, and its batches. A
host whose folder is lost gets another number.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from auditlake.disk.durable import write_whole
from auditlake.disk.layout import Layout
from auditlake.storage.disk import Disk
from auditlake.storage.model import found

if TYPE_CHECKING:
    from auditlake.storage.objects import ObjectStore

_FOLDER = "hosts"
_NUMBER = re.compile(r"[1-9]\d{0,6}")


def host_number(layout: Layout) -> int | None:
    """Return the number of this host; 0 where the lake is a folder, and None while the host has not written."""
    if not layout.bucket.exists():
        return 0
    return _own(layout)[0]


def settle_number(layout: Layout, objects: ObjectStore) -> int:
    """Return the number of this host, which gets one if it has none. The caller holds the lock of its folder.

    Raises:
        OSError: The bucket cannot be written, or the disk refused.
    """
    if (number := host_number(layout)) is not None:
        return number
    own = json.dumps({"host": socket.gethostname(), "token": secrets.token_hex(16)}).encode()
    numbers = [name.rpartition("/")[2] for name in objects.names(_FOLDER)]
    number = 1 + max((int(each) for each in numbers if _NUMBER.fullmatch(each)), default=0)
    while objects.create({f"{_FOLDER}/{number}": own}):
        number += 1
    write_whole(layout.host, b"%d 0\n" % number)
    return number


def next_number(layout: Layout, last: int) -> int:
    """Return the next number of what this host counts, durably, and never the same again.

    Args:
        layout: The lake. The caller holds the lock of its folder.
        last: The last that was used, as far as the lake knows.

    Raises:
        OSError: The disk refused.
    """
    host, counted = _own(layout)
    number = max(last, counted) + 1
    write_whole(layout.host, b"%d %d\n" % (host or 0, number))
    return number


def _own(layout: Layout) -> tuple[int | None, int]:
    """Return the number of this host, and the last one that it counted."""
    with suppress(ValueError):
        host, counted = (found(Disk(layout.root), layout.name(layout.host)) or b"").split()
        return int(host), int(counted)
    return None, 0
