"""Ids for events that bring none: UUIDs of version 7 (RFC 9562, section 5.7), which sort by when they were made.

Within a millisecond they count up from a random start (section 6.2, method 1). A clock that is set back changes
nothing: the newest millisecond goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

from auditlake import machine

_Series = tuple[int, str, Iterator[int]]
"""A millisecond, how the ids made in it begin, and what counts their last 48 bits."""


def uuid7() -> str:
    """Return a new id, greater than those this process has made before (of two threads at once, either may be first).

    It takes no lock, so that a signal handler may call it at any time.
    """
    global _series  # noqa: PLW0603 - one series for the process
    now = machine.milliseconds()
    series = _series
    if now > series[0]:
        _series = series = _begin(now)
    return f"{series[1]}{next(series[2]):012x}"


def _begin(millisecond: int) -> _Series:
    time, noise = f"{millisecond:012x}", int.from_bytes(os.urandom(10), "big")
    high, middle = noise & 0xFFF, noise >> 12 & 0x3FFF
    # The first bit is 0, so that no series gets to its end.
    return millisecond, f"{time[:8]}-{time[8:]}-7{high:03x}-{0x8000 | middle:04x}-", count(noise >> 26 & (1 << 47) - 1)


def _forget() -> None:
    """Begin a new series in a forked child, which must not go on with its parent's."""
    global _series  # noqa: PLW0603 - see above
    _series = _begin(_series[0])


_series: _Series = (0, "", count())
os.register_at_fork(after_in_child=_forget)
