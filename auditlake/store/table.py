"""What every writer of a lake shares: the lock's patience, and batch numbers."""

from __future__ import annotations

import contextlib

from auditlake.store.durable import write_whole
from auditlake.store.history import last_batch
from auditlake.store.layout import Layout

LOCK_SECONDS = 600.0
"""How long a writer waits for its turn: landing a large ingest takes minutes."""


def allocate_batch(layout: Layout, version: int) -> int:
    """The next batch number, never given out again. To be called with the lake's lock held.

    It is recorded before any file of the batch is written: a number lost to a crash is a gap, never a repetition.
    Should the record be lost, the numbers go on after the last one that is committed.

    Args:
        layout: The lake.
        version: Its newest version.
    """
    last = last_batch(layout, version)
    with contextlib.suppress(FileNotFoundError, ValueError):
        last = max(last, int(layout.batch.read_text(encoding="ascii")))
    write_whole(layout.batch, f"{last + 1}\n".encode("ascii"))
    return last + 1
