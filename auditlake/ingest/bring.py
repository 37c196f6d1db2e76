"""What a caller names becomes inputs, and they are ingested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from auditlake.context import LakeContext
from auditlake.disk.lock import workspace
from auditlake.ingest.custody import IngestOptions, IngestSummary
from auditlake.ingest.ingest import ingest
from auditlake.ingest.progress import Listener
from auditlake.sources.python_events import Made
from auditlake.sources.reader import gather
from auditlake.store.failures import explained


def bring(
    context: LakeContext, inputs: Sequence[str | Path | Made], options: IngestOptions, listen: Listener
) -> IngestSummary:
    """Ingest what a caller names; see :meth:`auditlake.AuditLake.ingest`."""
    with explained(context.layout, "the ingest"), workspace(context.layout.staging) as spool:
        done = ingest(context, gather(inputs, spool), options, now=context.now, listen=listen)
    return replace(done, history=options.history)
