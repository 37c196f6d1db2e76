"""The newest snapshot that this process has seen: who commits again and again need not read ten thousand files anew.

It is believed as long as the log ends with the very entry and checkpoint that it ended with; any other commit has the
table opened.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.store.deltalog import log_entries
from auditlake.store.model import Change, Snapshot


@dataclass(frozen=True, slots=True)
class Seen:
    """A snapshot that was the newest one when it was read or made."""

    snapshot: Snapshot
    applications: frozenset[str]
    """Whose transactions it has; one that never committed is not in them."""
    ends: list[tuple[str, int, int, int, int]]
    """What the log ended with: its newest entry and checkpoint, and which files they were."""


_seen = dict[Path, Seen]()
"""Of the last lake alone: the files of a large one take some megabytes."""


def last_seen(layout: Layout) -> Seen | None:
    """Return what was seen of a lake last; None if it is not the newest snapshot, or this process knows none.

    Raises:
        OSError, LakeFormatError: There is something in the log that must not be.
    """
    if (last := _seen.get(layout.root)) is None:
        return None
    return last if _ends(layout) == last.ends else None


def remember(layout: Layout, snapshot: Snapshot, applications: frozenset[str]) -> None:
    """Keep the newest snapshot, and whose transactions it has."""
    _seen.clear()
    with suppress(OSError, LakeFormatError):  # then the next reading opens the table
        ends = _ends(layout)
        if ends and ends[0][0] == layout.commit(snapshot.version).name:  # no other writer was quicker
            _seen[layout.root] = Seen(snapshot, applications, ends)


def follow(layout: Layout, before: Snapshot, change: Change) -> None:
    """Keep what a durable commit on top of a snapshot has made of it, where that was the last one seen."""
    if (last := _seen.get(layout.root)) is not None and last.snapshot.version == before.version:
        remember(layout, last.snapshot.after(change), last.applications | change.transactions.keys())


def _ends(layout: Layout) -> list[tuple[str, int, int, int, int]]:
    ends, names = [], log_entries(layout)
    for kind in (".json", ".parquet"):
        if name := max((each for each in names if each.endswith(kind)), default=""):
            status = os.lstat(layout.log / name)
            ends.append((name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return ends
