"""The proofs that are in a pack: of the events behind each finding, a bounded number of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from auditlake.verify.prove import ChangedEventError, Prover

MOST = 100
"""Of how many events behind one finding a pack has proofs: the first ones."""


def write_proofs(prover: Prover, folder: Path) -> dict[str, int]:
    """Write the proofs of the events in a report's folder beside them.

    Returns:
        How many there are, by the name of the file of events: a finding's id, or a kind where these are together.
    """
    files = sorted((folder / "events").glob("*.parquet"))
    return {file.stem: _write(prover, folder / "proofs" / f"{file.stem}.jsonl", _events(file)) for file in files}


def _write(prover: Prover, path: Path, events: Sequence[tuple[str, str, datetime]]) -> int:
    """Write the proofs of events, a line each; an event whose personal data was replaced since has none."""
    lines = []
    prover.expect((event_id, at.date()) for event_id, _, at in events)
    for event_id, source, at in events:
        try:
            proof = prover.proof(event_id, source=source, day=at.date())
        except ChangedEventError:
            continue
        lines.append(json.dumps(proof, ensure_ascii=True, separators=(",", ":")) + "\n")
    if lines:
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(lines))
    return len(lines)


def _events(file: Path) -> Sequence[tuple[str, str, datetime]]:
    import pyarrow.parquet as pq

    names = ("event_id", "source", "timestamp")
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(MOST, columns=names):
            return [*zip(*(batch.column(name).to_pylist() for name in names), strict=True)]
    return ()
