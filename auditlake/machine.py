"""The one place that knows what time it is. Everything else is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present instant, aware, in UTC."""


def system_clock() -> datetime:
    """The machine's clock, in UTC, to the microsecond."""
    return datetime.now(UTC)


def milliseconds() -> int:
    """The machine's clock in milliseconds since 1970, for ids that sort by time; no answer depends on it."""
    return time.time_ns() // 1_000_000
