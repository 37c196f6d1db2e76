"""What only the machine knows: what time it is, and who runs this process. Everything else is told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present instant, aware, in UTC."""


def system_clock() -> datetime:
    """Return the machine's time, in UTC, to the microsecond."""
    return datetime.now(UTC)


def milliseconds() -> int:
    """Return the machine's time in milliseconds since 1970, for ids that sort by time; no answer depends on it."""
    return time.time_ns() // 1_000_000


def login_name() -> str:
    """Return the name that the system has for the user of this process, whatever the environment says."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return f"uid {os.getuid()}"
