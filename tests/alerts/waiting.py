"""Waiting for what other threads and processes do: generously, and for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60.0


def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; fail if it does not within a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
