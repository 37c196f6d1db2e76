"""The chain of custody: what came in, as what it was read, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class InputSummary:
    """What became of one input: its chain of custody. ``read = landed + duplicates + quarantined``."""

    name: str
    size: int
    """Bytes of the input as it lay there (compressed where it was)."""
    sha256: str
    source: str
    """The mapping that was used; empty where the input was left out."""
    format: str
    read: int
    landed: int
    duplicates: int
    quarantined: int
    notice: str = ""
    """Why the input was left out, where it was, or that it is empty."""
    offset: int = 0
    """Where in the file the input begins, of a stretch of a landing segment."""


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What an ingest did."""

    inputs: tuple[InputSummary, ...]
    snapshot: int
    """The newest version of the lake after it."""
    batch: int | None
    """The batch it landed as; None if there was nothing new to record."""
    reasons: Mapping[str, int]
    """Quarantined records by reason."""
    quarantine: Path | None
    """The file that holds them."""

    read: int = field(init=False)
    landed: int = field(init=False)
    duplicates: int = field(init=False)
    quarantined: int = field(init=False)

    def __post_init__(self) -> None:
        for name in ("read", "landed", "duplicates", "quarantined"):
            object.__setattr__(self, name, sum(getattr(each, name) for each in self.inputs))

    @property
    def nothing_read(self) -> bool:
        """Whether there was nothing that could be read: every input was left out or is empty, or there was none."""
        return all(each.notice or (each.format in {"tar", "zip"} and not each.read) for each in self.inputs)


def custody(
    batch: int, now: datetime, summaries: Sequence[InputSummary], landed: int, quarantine: str | None
) -> dict[str, Any]:
    """What the commit records: the chain of custody of everything it brought."""
    return {
        "kind": "ingest",
        "batch": batch,
        "rows": landed,
        "at": now.isoformat(),
        "quarantine": quarantine,
        "inputs": [
            {
                "name": each.name, "size": each.size, "sha256": each.sha256, "source": each.source,
                "format": each.format, "read": each.read, "landed": each.landed, "duplicates": each.duplicates,
                "quarantined": each.quarantined, **({"offset": each.offset} if each.offset else {}),
                **({"notice": each.notice} if each.notice else {}),
            }
            for each in summaries
        ],
    }  # fmt: skip
