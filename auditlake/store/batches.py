"""Which numbers batches get, and which batches a version of the lake has.

Batches of a lake that is a folder are numbered from 1, in the order of their commits. Each host that writes to a lake
in a bucket numbers its own in that order, above its own number. So no number says which of two batches is older, and
the batches of a version are runs of numbers. How far the numbers of each host have come is a transaction of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from auditlake.disk.layout import Layout
from auditlake.engine.sql_text import Batches
from auditlake.errors import CommitError
from auditlake.storage.hosts import host_number, next_number
from auditlake.storage.lake import storage_of
from auditlake.storage.model import found
from auditlake.store.deltalog import commit_metadata, transactions_at
from auditlake.store.model import Snapshot

_BITS = 40
"""How many bits a host numbers its batches with; its own number is above them."""
OF_HOSTS = 1 << _BITS
"""More than the number of any batch of a folder, and less than that of any batch of a host."""
_APPLICATION = "auditlake.batches."
"""Begins the name of the application whose version is the last batch of a host."""
_OF_FOLDER = f"{_APPLICATION}0"
"""The same of the batches of a folder, where hosts have written too."""


def batches_of(layout: Layout, version: int) -> Batches:
    """Return the batches committed at or before a version.

    Raises:
        LakeFormatError: An entry of the log is damaged or not there.
        OSError: The log cannot be read.
    """
    last = reached_by_host(transactions_at(layout, version))
    if 0 not in last:
        last[0] = _last_of_folder(layout, version)
    return tuple((host << _BITS | 1, host << _BITS | last[host]) for host in sorted(last) if last[host])


def reached_by_host(transactions: Mapping[str, int]) -> dict[int, int]:
    """Return how far the numbers of each host have come, by the transactions of the table."""
    named = {name.removeprefix(_APPLICATION): n for name, n in transactions.items() if name.startswith(_APPLICATION)}
    return {int(host): n for host, n in named.items()}


def has_batch(batches: Batches, batch: int) -> bool:
    """Return whether a batch is one of some."""
    return any(first <= batch <= last for first, last in batches)


def place_of(batch: int) -> tuple[int, int]:
    """Return the host of a batch, 0 if none, and its number there."""
    return divmod(batch, OF_HOSTS)


def counted_by(layout: Layout) -> frozenset[str]:
    """Return the applications that say how far the numbers have come of the batches that this host may commit."""
    return frozenset({_OF_FOLDER, f"{_APPLICATION}{host_number(layout) or 0}"})


def moved_by(layout: Layout, seen: Snapshot, batch: int) -> dict[str, int]:
    """Return how far these come with a batch that is committed on top of a snapshot which has them."""
    host, number = place_of(batch)
    if not host:
        return {_OF_FOLDER: number} if _OF_FOLDER in seen.transactions else {}
    before = {} if _OF_FOLDER in seen.transactions else {_OF_FOLDER: _last_of_folder(layout, seen.version)}
    return {**before, f"{_APPLICATION}{host}": number}


def counts_of(host: int) -> tuple[str, str]:
    """Return how the applications begin that say how far the table has come in what lies on a host."""
    return f"auditlake.landing.{host}.", f"auditlake.tail.{host}."


def refuse_of_others(applications: Iterable[str], host: int) -> None:
    """Refuse applications that say so of another host.

    Raises:
        CommitError: One does.
    """
    if any(
        name.startswith(("auditlake.landing.", "auditlake.tail."))
        for name in applications
        if not name.startswith(counts_of(host))
    ):
        message = f"this host has the number {host} since: another one writes with the one that it had"
        raise CommitError(message, hint="nothing was landed; run it again")


def allocate_batch(layout: Layout, version: int) -> int:
    """Return the next batch number, and never the same one again. The caller holds the lock of the lake's folder.

    The number is recorded before any file of the batch is written, so a crash leaves a gap and never a repetition.
    Without that record the numbers continue after the last committed one.

    Args:
        layout: The lake.
        version: Its newest version.

    Raises:
        CommitError: Another writer has taken a number meanwhile.
    """
    if host := host_number(layout):
        committed = transactions_at(layout, version, [f"{_APPLICATION}{host}"]).get(f"{_APPLICATION}{host}", 0)
        return host << _BITS | next_number(layout, committed)
    storage, name = storage_of(layout), layout.name(layout.batch)
    last, seen = _last_of_folder(layout, version), found(storage, name)
    with suppress(ValueError):
        last = max(last, int(seen or b""))
    if not storage.swap(name, b"%d\n" % (last + 1), seen):
        raise CommitError("another writer has taken a batch number meanwhile", hint="run it again")
    return last + 1


def _last_of_folder(layout: Layout, version: int) -> int:
    """Return the newest batch of no host committed at or before a version."""
    for earlier in range(version, 0, -1):
        if (batch := (commit_metadata(layout, earlier) or {}).get("batch")) is not None and batch < OF_HOSTS:
            return int(batch)
    return 0
