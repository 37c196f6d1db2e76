"""Whose turn it is among the hosts that write to a lake in a bucket: an object that its holder renews.

It keeps hosts from preparing commits of which only one can be made, and nothing rests on it: a holder that has lost it
is refused its commit. So no clocks are compared. Who waits sees whether the object changes, by a clock of its own.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from auditlake.errors import LakeBusyError, StorageError
from auditlake.storage.objects import ObjectStore

LEASE = ".lease"
"""The object; empty where no host has it."""
SECONDS = 15.0
"""How long it may stay as it is before another host takes it."""
_POLL_SECONDS = 0.5


@contextmanager
def leased(objects: ObjectStore, folder: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lease of a bucket.

    Args:
        objects: The bucket.
        folder: The folder of this host, whose lock is held: what a dead process of it left is taken at once.
        wait_seconds: How long to wait for another host.

    Raises:
        LakeBusyError: Another host held it for all of that time.
        StorageError: The bucket cannot be asked, or must not be written.
    """
    own = {"host": socket.gethostname(), "folder": str(folder), "turn": secrets.token_hex(8)}
    held = _taken(objects, own, wait_seconds)
    done = Event()

    def renew() -> None:
        nonlocal held
        number = 0
        while not done.wait(SECONDS / 3):
            number += 1
            with suppress(StorageError):
                if not objects.swap(LEASE, new := json.dumps(own | {"renewed": number}).encode(), held):
                    return  # lost
                held = new

    renewing = Thread(target=renew, name="auditlake-lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        with suppress(StorageError):  # it ends by itself
            objects.swap(LEASE, b"", held)


def _taken(objects: ObjectStore, own: dict[str, str], wait_seconds: float) -> bytes:
    """Return what the lease says once it is held."""
    began = since = time.monotonic()
    seen, new = objects.found(LEASE), json.dumps(own).encode()
    while True:
        now = time.monotonic()
        if not seen or _place(seen) == (own["host"], own["folder"]) or now - since >= SECONDS:
            if objects.swap(LEASE, new, seen):
                return new
        elif now - began >= wait_seconds:
            host, folder = _place(seen)
            message = f"the lake is busy: the host {host} has written to it for {wait_seconds:g} s, from {folder}"
            raise LakeBusyError(message, hint="try again when the other ingest, compaction or flush has ended")
        else:
            time.sleep(_POLL_SECONDS)
        if (there := objects.found(LEASE)) != seen:
            seen, since = there, time.monotonic()


def _place(lease: bytes) -> tuple[str, str]:
    """Return the host and the folder of the holder of a lease."""
    with suppress(ValueError, KeyError, TypeError):
        fields = json.loads(lease)
        return str(fields["host"]), str(fields["folder"])
    return "that no one knows", "a folder"
