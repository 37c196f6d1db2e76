"""How far an ingest is, for who waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is."""

    stage: str
    """``reading`` or ``writing``."""
    done: int
    """Bytes read, or pieces of days written."""
    total: int | None
    """Out of so many, where that is known."""
    detail: str
    """The input, or nothing."""


Listener = Callable[[Progress], None]
