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
from typing import Any

from auditlake.disk.layout import Layout
from auditlake.errors import LakeBusyError, StorageError
from auditlake.storage.hosts import host_number
from auditlake.storage.objects import ObjectStore

LEASE = ".lease"
"""The object; empty where no host has it."""
UPKEEP = ".upkeep"
"""The object of the lease of the host that compacts and deletes for all."""
ALERTS = ".alerts"
"""The same of the host that evaluates the alerts for all."""
SECONDS = 15.0
"""How long it may stay as it is before another host takes it."""
_POLL_SECONDS = 0.5


class Lease:
    """The lease of a bucket, as a process of a host sees it.

    Args:
        objects: The bucket.
        folder: The folder of this host, whose lock is held: what a dead process of it left is taken at once.
        name: The object.
    """

    def __init__(self, objects: ObjectStore, folder: Path, name: str = LEASE) -> None:
        self._objects = objects
        self._name = name
        self._layout = Layout(folder)
        self._own: dict[str, Any] = {
            "host": socket.gethostname(), "folder": str(folder), "turn": secrets.token_hex(8)
        }  # fmt: skip
        self._held = b""
        self._seen: bytes | None = b""
        self._since = time.monotonic()
        self._until = self._since

    def take(self) -> bool:
        """Take it if no host has it, or its holder is dead; return whether that is so.

        Raises:
            StorageError: The bucket cannot be asked, or must not be written.
        """
        if (there := self._objects.found(self._name)) != self._seen:
            self._seen, self._since = there, time.monotonic()
        self._own["number"] = host_number(self._layout)  # by it, clones of one name and folder are told apart
        own = json.dumps(self._own).encode()
        if there and _place(there) != _place(own) and time.monotonic() - self._since < SECONDS:
            return False
        self._held, until = own, time.monotonic() + SECONDS
        is_taken = self._objects.swap(self._name, self._held, there)
        self._until = until if is_taken else self._until
        return is_taken

    def taken_within(self, seconds: float | None = None) -> bool:
        """Take it as soon as it can be had; return whether that was so within some time.

        Args:
            seconds: The time; as long as a dead holder may keep it if None.

        Raises:
            StorageError: The bucket cannot be asked, or must not be written.
        """
        seconds = SECONDS + 1 if seconds is None else seconds
        began = time.monotonic()
        while not self.take():
            if time.monotonic() - began >= seconds:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    @property
    def is_held(self) -> bool:
        """Return whether this host took or renewed it so short a time ago that no other host can have it."""
        return time.monotonic() < self._until

    @property
    def holder(self) -> tuple[str, str]:
        """The host that had it when it was looked at last, and the folder there."""
        host, folder, _ = _place(self._seen or b"")
        return host, folder

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew it within this, once it is taken, and give it back."""
        done = Event()

        def renew() -> None:
            number = 0
            while not done.wait(SECONDS / 3):
                number += 1
                with suppress(StorageError):
                    new, until = json.dumps(self._own | {"renewed": number}).encode(), time.monotonic() + SECONDS
                    if not self._objects.swap(self._name, new, self._held):
                        return  # lost
                    self._held, self._until = new, until

        renewing = Thread(target=renew, name="auditlake-lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            done.set()
            renewing.join()
            with suppress(StorageError):  # it ends by itself
                self._objects.swap(self._name, b"", self._held)


@contextmanager
def leased(objects: ObjectStore, folder: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lease of a bucket.

    Args:
        objects: The bucket.
        folder: As for :class:`Lease`.
        wait_seconds: How long to wait for another host.

    Raises:
        LakeBusyError: Another host held it for all of that time.
        StorageError: The bucket cannot be asked, or must not be written.
    """
    lease = Lease(objects, folder)
    if not lease.taken_within(wait_seconds):
        host, there = lease.holder
        message = f"the lake is busy: the host {host} has written to it for {wait_seconds:g} s, from {there}"
        raise LakeBusyError(message, hint="try again when the other ingest, compaction or flush has ended")
    with lease.renewed():
        yield


def _place(lease: bytes) -> tuple[str, str, object]:
    """Return the host, the folder and the number of the holder of a lease."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        fields = json.loads(lease)
        return str(fields["host"]), str(fields["folder"]), fields.get("number")
    return "that no one knows", "a folder", None
