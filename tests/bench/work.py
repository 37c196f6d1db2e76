"""What a side of a row does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.data import Place


@dataclass(frozen=True, slots=True)
class Work:
    """One side of a row."""

    run: Callable[[Place, Path], Any]
    """What is timed; the path is an empty folder for what it writes."""
    answer: Callable[[Any], Any]
    """From what it gave to what must be the same on all sides; not timed."""
    seconds: Callable[[Any], float] | None = None
    """What it took by its own account, where not all of ``run`` is to count."""
    figure: Callable[[Any], float] | None = None
    """Another number that is of interest, such as events a second."""
