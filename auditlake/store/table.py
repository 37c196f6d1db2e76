"""What every writer of a lake shares: the lock's patience, how an ingest is done, and batch numbers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from auditlake.context import LakeContext
from auditlake.disk.durable import write_whole
from auditlake.disk.files import read_text
from auditlake.disk.layout import Layout
from auditlake.ingest.custody import Most
from auditlake.store.deltalog import last_batch

LOCK_SECONDS = 600.0
"""How long a writer waits for its turn: landing a large ingest takes minutes."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How an ingest is done."""

    event_types: frozenset[str]
    """The types that this lake knows."""
    max_record: int
    """Bytes; a longer record is quarantined."""
    source: str | None = None
    """The source of all inputs; each is recognised by itself if None."""
    strict: bool = False
    """Land nothing if anything would be quarantined."""
    wait_seconds: float = LOCK_SECONDS
    """How long to wait while another process writes."""
    most: Most | None = None
    """How many records may be quarantined before the ingest counts as failed; only if they all are, if None."""

    @classmethod
    def of(
        cls, context: LakeContext, *, source: str | None = None, strict: bool = False, most: Most | None = None
    ) -> IngestOptions:
        """Return the options of a lake."""
        config = context.config
        return cls(config.event_types, config.max_record, source, strict, context.wait_seconds, most)


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
        last = max(last, int(read_text(layout.batch, within=layout.root)))
    write_whole(layout.batch, f"{last + 1}\n".encode("ascii"))
    return last + 1
