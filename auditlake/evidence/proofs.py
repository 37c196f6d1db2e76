"""The proofs that are in a pack: of the events behind each finding, a bounded number of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.verify.prove import Prover

MOST = 100
"""Of how many events behind one finding a pack has proofs: the first ones."""


class Proofs:
    """Proves events, as long as the pack is made.

    Args:
        layout: The lake.
    """

    def __init__(self, layout: Layout) -> None:
        self._prover = Prover(layout)

    def write(self, folder: Path) -> dict[str, int]:
        """Write the proofs of the events in a report's folder beside them; return how many each finding has."""
        return {
            file.stem: self._write(folder / "proofs" / f"{file.stem}.jsonl", _events(file))
            for file in sorted((folder / "events").glob("*.parquet"))
        }

    def _write(self, path: Path, events: Iterator[tuple[str, str]]) -> int:
        """Write the proofs of events, a line each; an event whose personal data was replaced since has none."""
        lines = []
        for event_id, source in events:
            try:
                proof = json.loads(self._prover.prove(event_id, source=source))
            except LedgerError:
                continue
            lines.append(json.dumps(proof, ensure_ascii=True, separators=(",", ":")) + "\n")
        if lines:
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(lines))
        return len(lines)


def _events(file: Path) -> Iterator[tuple[str, str]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(MOST, columns=["event_id", "source"]):
            yield from zip(batch.column("event_id").to_pylist(), batch.column("source").to_pylist(), strict=True)
            return
