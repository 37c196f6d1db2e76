"""Periods cut at midnights: whole UTC days, and what is left of a day at either end. In microseconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

DAY = 86_400_000_000


class Part(NamedTuple):
    """What of one UTC day lies in ``(since, until]``."""

    since: int
    until: int

    @property
    def day(self) -> int:
        """Days since 1970."""
        return self.until // DAY

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its day."""
        return self == whole_day(self.day)


def whole_day(day: int) -> Part:
    """Return all of a day."""
    return Part(day * DAY - 1, day * DAY + DAY - 1)


def parts_of(since: int, until: int) -> Iterator[Part]:
    """Yield the parts of a period, in order; none of an empty one."""
    while since < until:
        end = min(until, (since + 1) // DAY * DAY + DAY - 1)
        yield Part(since, end)
        since = end


def stretches(parts: Iterable[Part], bridged: int) -> list[Part]:
    """Return the stretches of time that parts make up, each to be asked about at once.

    Args:
        parts: Parts, of which several may be of one day.
        bridged: Up to how many days between two parts are asked about as well.
    """
    found = list[Part]()
    for part in sorted(set(parts)):
        # Only at midnights: each day of a stretch is to be a part that is wanted, or a whole one.
        near = (
            place
            for place, before in enumerate(found)
            if 0 <= part.since - before.until <= bridged * DAY
            and not ((before.until + 1) % DAY or (part.since + 1) % DAY)
        )
        if (place := next(near, None)) is None:
            found.append(part)
        else:
            found[place] = Part(found[place].since, part.until)
    return found


def pieces(stretch: Part, events: Mapping[int, int], most: int) -> Iterator[Part]:
    """Yield a stretch of time as pieces of whole days, none with more than so many events unless one day has more.

    Args:
        stretch: The stretch.
        events: How many events each day has.
        most: How many a piece may have.
    """
    since, held = stretch.since, 0
    for part in parts_of(*stretch):
        own = events.get(part.day, 0)
        if held and held + own > most:
            yield Part(since, part.since)
            since, held = part.since, 0
        held += own
    yield Part(since, stretch.until)
