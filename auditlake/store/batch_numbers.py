"""Batch numbers: one for each ingest, in the order of the commits."""

from __future__ import annotations

import contextlib

from auditlake.disk.durable import write_whole
from auditlake.disk.files import read_text
from auditlake.disk.layout import Layout
from auditlake.store.deltalog import last_batch


def allocate_batch(layout: Layout, version: int) -> int:
    """Return the next batch number, and never the same one again. The caller holds the lake's lock.

    The number is recorded before any file of the batch is written, so a crash leaves a gap and never a repetition.
    Without that record the numbers continue after the last committed one.

    Args:
        layout: The lake.
        version: Its newest version.
    """
    last = last_batch(layout, version)
    with contextlib.suppress(FileNotFoundError, ValueError):
        last = max(last, int(read_text(layout.batch, within=layout.root)))
    write_whole(layout.batch, f"{last + 1}\n".encode("ascii"))
    return last + 1
