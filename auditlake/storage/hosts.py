"""Which of the hosts that write to a lake in a bucket this one is: a number, whose object only one host can make.

What hosts count each for itself has it in its name: how far the table has come in a host's landing, and its batches. A
host whose folder is lost gets another number.
"""

from __future__ import annotations

import json
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


def host_number(layout: Layout) -> int | None:
    """Return the number of this host; 0 where the lake is a folder, and None while the host has not written."""
    if not layout.bucket.exists():
        return 0
    with suppress(ValueError):
        return int(found(Disk(layout.root), layout.name(layout.host)) or b"")
    return None


def settle_number(layout: Layout, objects: ObjectStore) -> int:
    """Return the number of this host, which gets one if it has none. The caller holds the lock of its folder.

    Raises:
        OSError: The bucket cannot be written, or the disk refused.
    """
    if (number := host_number(layout)) is not None:
        return number
    own = json.dumps({"host": socket.gethostname(), "token": secrets.token_hex(16)}).encode()
    number = 1 + max((int(name.rpartition("/")[2]) for name in objects.names(_FOLDER)), default=0)
    while objects.create({f"{_FOLDER}/{number}": own}):
        number += 1
    write_whole(layout.host, b"%d\n" % number)
    return number
