"""The newest snapshot that this process has seen: who commits again and again need not read ten thousand files anew.

It is believed as long as the log has the very entries and checkpoints that it had, by their names and sizes, and the
newest ones are the same files; any other commit has the table opened.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.store.deltalog import log_entries
from auditlake.store.files import Files
from auditlake.store.model import Change, Snapshot

_IDENTITY = ("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


@dataclass(frozen=True, slots=True)
class Log:
    """What a log is made of."""

    entries: dict[str, int]
    """The names of its entries and checkpoints with their sizes."""
    ends: list[tuple[str, list[int]]]
    """Its newest entry and checkpoint, and which files they are."""

    @property
    def version(self) -> int:
        """The version of its newest entry; -1 if it has none."""
        return int(self.ends[0][0][:20]) if self.ends else -1


@dataclass(frozen=True, slots=True)
class _Seen:
    """A snapshot that was the newest one when it was read or made."""

    snapshot: Snapshot
    applications: frozenset[str]
    """Whose transactions it has; one that never committed is not in them."""
    log: Log


_seen = dict[Path, _Seen]()
"""Of the last lake alone: the files of a large one take some megabytes."""


def read_log(layout: Layout) -> Log:
    """Return what the log is made of now.

    Raises:
        OSError, LakeFormatError: There is something in it that must not be.
    """
    entries = log_entries(layout)
    newest = (max((each for each in entries if each.endswith(kind)), default="") for kind in (".json", ".parquet"))
    return Log(entries, [(name, _identity(layout, name)) for name in newest if name])


def last_seen(layout: Layout, log: Log, applications: frozenset[str]) -> Snapshot | None:
    """Return the snapshot that was seen of a lake last; None if it is of another log, or lacks some application."""
    last = _seen.get(layout.root)
    if last is None or last.log != log or not applications <= last.applications:
        return None
    return narrowed(last.snapshot, applications)


def asked_before(layout: Layout) -> frozenset[str]:
    """Return the applications that were asked for, so that those who ask for others take turns without a reading."""
    last = _seen.get(layout.root)
    return last.applications if last is not None else frozenset()


def narrowed(snapshot: Snapshot, applications: frozenset[str]) -> Snapshot:
    """Return a snapshot with the transactions of some applications, and none of what its files were asked for."""
    transactions = {name: reached for name, reached in snapshot.transactions.items() if name in applications}
    return replace(snapshot, files=Files(snapshot.table.table), transactions=transactions)


def remember(layout: Layout, snapshot: Snapshot, applications: frozenset[str], log: Log) -> None:
    """Keep the newest snapshot, and whose transactions it has.

    Args:
        layout: The lake.
        snapshot: The snapshot.
        applications: Those that were asked for.
        log: What the log was made of before that was read; if it is not now, nothing is kept.
    """
    _seen.clear()
    with suppress(OSError):
        if log.version == snapshot.version and all(_identity(layout, name) == own for name, own in log.ends):
            _seen[layout.root] = _Seen(narrowed(snapshot, applications), applications, log)


def follow(layout: Layout, before: Snapshot, change: Change, after: Snapshot) -> None:
    """Keep what a durable commit on top of a snapshot has made of it, where that was the last one seen."""
    last = _seen.get(layout.root)
    if last is None or last.snapshot.version != before.version:
        return
    with suppress(OSError, LakeFormatError):  # then the next reading opens the table
        log = read_log(layout)
        if last.log.entries.items() <= log.entries.items():
            transactions = {**last.snapshot.transactions, **change.transactions}
            made = replace(after, transactions=transactions)
            remember(layout, made, last.applications | change.transactions.keys(), log)


def _identity(layout: Layout, name: str) -> list[int]:
    status = os.lstat(layout.log / name)
    return [getattr(status, each) for each in _IDENTITY]
