"""Which of the hosts that write to a lake in a bucket this one is: a number, whose object only one host can make.

What hosts count each for itself has it in its name: how far the table has come in a host's landing, and its batches. A
host whose folder is lost gets another number.

So does one whose folder is a copy: of a machine that was cloned, or of this one on an earlier day. The table speaks of
another landing then. The folder keeps what it said of each batch that the log may still get. An entry of the log with a
batch of this number that says anything else is another host's, and the number is given up before the copy has that
entry: all that lies in the landing is new then, and of what is not, the table has the ids. A commit is made only on top
of the last batch of its number that the copy has, so none comes behind an entry that was not looked at.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from auditlake.disk.durable import sync_folder, write_whole
from auditlake.disk.layout import Layout
from auditlake.storage.disk import Disk
from auditlake.storage.model import found

if TYPE_CHECKING:
    from auditlake.storage.objects import ObjectStore

_FOLDER = "hosts"
Read = TypeVar("Read")
_NUMBER = re.compile(r"[1-9]\d{0,6}")


def host_number(layout: Layout) -> int | None:
    """Return the number of this host; 0 where the lake is a folder, and None while the host has not written."""
    if not layout.bucket.exists():
        return 0
    return _own(layout)[0]


def spelled(host: int | None) -> str:
    """Return how a host's number stands in the names of the Delta applications that count what lies on it.

    Args:
        host: The number; 0 where the lake is a folder, and None for a host that never committed, of which the table has
            nothing.
    """
    return {0: "", None: "new."}.get(host, f"{host}.")


def read_as_host(layout: Layout, read: Callable[[int | None], Read]) -> Read:
    """Return what the log of the copy says of this host: what is read with its number, which is the same after it.

    Another process of the host may give the number up meanwhile, and then bring entries into the copy that are another
    host's.
    """
    while True:
        host = host_number(layout)
        answer = read(host)
        if host_number(layout) == host:
            return answer


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
    _write(layout, number, 0, {})
    return number


def next_number(layout: Layout, last: int) -> int:
    """Return the next number of what this host counts, durably, and never the same again.

    Args:
        layout: The lake. The caller holds the lock of its folder.
        last: The last that was used, as far as the lake knows.

    Raises:
        OSError: The disk refused.
    """
    host, counted, said = _own(layout)
    number = max(last, counted) + 1
    _write(layout, host or 0, number, {earlier: digest for earlier, digest in said.items() if earlier > last})
    return number


def keep_said(layout: Layout, number: int, metadata: Mapping[str, Any]) -> None:
    """Keep, durably, what this host says of a batch, before anything else can have it.

    Args:
        layout: The lake. The caller holds the lock of its folder.
        number: The number that the host gave the batch.
        metadata: What the commit of the batch says of it.

    Raises:
        OSError: The disk refused.
    """
    host, counted, said = _own(layout)
    _write(layout, host or 0, counted, {**said, number: _digest(metadata)})


def give_up_shared(layout: Layout, entries: Iterable[bytes]) -> None:
    """Give the number of this host up, durably, if entries of the log are of another host that has it.

    Args:
        layout: The lake. The caller holds the lock of its folder.
        entries: Entries that the copy has not yet.

    Raises:
        OSError: The disk refused.
    """
    host, _, said = _own(layout)
    if host and any(_has_other(entry, f"auditlake.batches.{host}", {*said.values()}) for entry in entries):
        give_up(layout)


def give_up(layout: Layout) -> None:
    """Let this host have no number any more, durably: another host has it. The caller holds the lock of its folder."""
    layout.host.unlink(missing_ok=True)
    sync_folder(layout.root)


def _has_other(entry: bytes, application: str, said: Iterable[str]) -> bool:
    """Return whether an entry of the log moves an application and says nothing that a host has said of a batch."""
    name = json.dumps(application).encode()
    try:
        actions = [json.loads(line) for line in entry.splitlines() if name in line or b'"commitInfo"' in line]
        moved = any("txn" in each and each["txn"]["appId"] == application for each in actions)
        return moved and {*said}.isdisjoint(map(_digest, _ingests(actions)))
    except (ValueError, KeyError, TypeError, AttributeError):  # damaged, which a verification tells
        return name in entry


def _ingests(actions: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """Yield what an entry says of each ingest that it is; those of several hosts may be committed together."""
    for each in actions:
        if "commitInfo" in each:
            own = each["commitInfo"]["auditlake"]
            yield from own.get("ingests", [own])


def _digest(metadata: Mapping[str, Any]) -> str:
    """Return a SHA-256 of what a commit says of a batch, the digests of its inputs among it."""
    return sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def _own(layout: Layout) -> tuple[int | None, int, dict[int, str]]:
    """Return the number of this host, the last one that it counted, and digests of what it said of batches."""
    with suppress(ValueError):
        host, counted, *said = (found(Disk(layout.root), layout.name(layout.host)) or b"").decode("ascii").split()
        return int(host), int(counted), dict(zip(map(int, said[::2]), said[1::2], strict=True))
    return None, 0, {}


def _write(layout: Layout, host: int, counted: int, said: Mapping[int, str]) -> None:
    lines = [f"{host} {counted}", *(f"{number} {digest}" for number, digest in said.items())]
    write_whole(layout.host, "".join(f"{line}\n" for line in lines).encode())
