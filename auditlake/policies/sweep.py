"""Rolling counts of very many events in arrays: each event is one number, its group above its time, all in order.

Whether the threshold is reached at an event is seen from one other, which lies as many places before it as the
threshold says: whether that still counts. The highest count of a day is looked for only among the events that may have
it: of every sixteenth the count is known first, and after the next ones it is higher by at most their number. The
answers are those of ``sql/policies/by_day.sql``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAY_US = 86_400_000_000
_BLOCK = 16
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of events; instants are microseconds since the midnight with which day 0 begins."""

    window: int
    """In microseconds."""
    threshold: int
    since: int
    """The last instant before the period."""
    until: int
    """The last instant of the period."""

    @property
    def days(self) -> range:
        """The days of the period."""
        return range((self.since + 1) // DAY_US, self.until // DAY_US + 1)

    @property
    def bits(self) -> int:
        """How many bits a time has in a number: events of other groups are more than a window away."""
        return (self.until + self.window + 1).bit_length()


@dataclass(frozen=True, slots=True)
class Pieces:
    """The stretches at the threshold or above it, cut at midnights; the values of each are at one place."""

    day: Numbers
    group: Numbers
    start: Numbers
    end: Numbers
    """-1 where it goes on after its day."""
    is_carried: NDArray[Any]
    """Whether it was high at the last instant before its day."""
    peak: Numbers
    peak_at: Numbers


class Sweep:
    """The rolling counts of events.

    Args:
        events: ``(group << asked.bits) + time`` of each event that counts in the period, in order.
        asked: What is asked.
    """

    def __init__(self, events: Numbers, asked: Asked) -> None:
        self._events, self._asked, self._bits = events, asked, asked.bits
        self._mask = (1 << asked.bits) - 1
        times = events & self._mask
        # What comes before the period counts from its beginning on.
        early = np.flatnonzero(times < asked.since)
        self._moments = events.copy() if len(early) else events
        self._moments[early] += asked.since - times[early]
        times[early] = asked.since
        self._days: Numbers = times // DAY_US

    def _left(self, moments: Numbers) -> Numbers:
        """Return how many events before and in a group no longer count at moments, each a number as events are."""
        return np.searchsorted(self._events, moments - self._asked.window, side="right")

    def _level(self, moments: Numbers) -> Numbers:
        """Return how many events count at moments."""
        return np.searchsorted(self._events, moments, side="right") - self._left(moments)

    def pieces(self) -> Pieces:
        """Return the stretches at the threshold or above it."""
        asked, moments = self._asked, self._moments
        least, window = asked.threshold, asked.window
        pairs = max(len(moments) - least + 1, 0)
        at = np.flatnonzero(self._events[:pairs] + window > moments[least - 1 :]) + (least - 1)
        # A moment is judged once all that happens in it has happened: by its last event.
        at = at[moments[at] != np.append(moments, -1)[at + 1]] if len(at) else at
        high, until = moments[at], self._events[at - least + 1] + window
        level = at + 1 - self._left(high)
        is_first = np.append(True, high[1:] > until[:-1])[: len(at)]
        first = np.flatnonzero(is_first)
        group, start = high[first] >> self._bits, high[first] & self._mask
        end = until[np.append(first[1:], len(at))[: len(first)] - 1] & self._mask
        # Cut at midnights.
        from_day, to_day = np.maximum(start, asked.since + 1) // DAY_US, np.minimum(end, asked.until) // DAY_US
        episode, day = _spread(from_day, to_day - from_day + 1)
        since = np.maximum(day * DAY_US - 1, asked.since)
        is_carried = start[episode] <= since
        before = np.zeros(len(day), np.int64)
        before[is_carried] = self._level((group[episode] << self._bits)[is_carried] + since[is_carried])
        # The highest count after an event on each day of an episode, and where it is first reached.
        number, its_day = np.cumsum(is_first) - 1, self._days[at]
        part = np.flatnonzero(np.append(True, is_first[1:] | (its_day[1:] != its_day[:-1]))[: len(at)])
        highest = np.maximum.reduceat(level, part) if len(part) else level
        reached = np.flatnonzero(level == np.repeat(highest, np.diff(np.append(part, len(at)))))
        reached_at = (high & self._mask)[reached[np.searchsorted(reached, part)]]
        days = asked.until // DAY_US + 1
        of_part, own = number[part] * days + its_day[part], episode * days + day
        place = np.minimum(np.searchsorted(of_part, own), max(len(part) - 1, 0))
        top = np.where(of_part[place] == own, highest[place], 0)
        return Pieces(
            day, group[episode], np.maximum(start[episode], since),
            np.where(end[episode] <= np.minimum(day * DAY_US + DAY_US - 1, asked.until), end[episode], -1), is_carried,
            np.maximum(before, top), np.where(is_carried & (before >= top), since, reached_at[place]),
        )  # fmt: skip

    def peaks(self) -> Numbers:
        """Return the highest count of any group on each day of the period."""
        asked, moments, days = self._asked, self._moments, self._days
        best = np.zeros(asked.days.stop, np.int64)
        known = np.arange(0, len(moments), _BLOCK)
        left = self._left(moments[known])
        np.maximum.at(best, days[known], known + 1 - left)
        most = np.repeat(known + _BLOCK - left, _BLOCK)[: len(moments)]
        at = np.flatnonzero(most > best[days])
        np.maximum.at(best, days[at], at + 1 - self._left(moments[at]))
        # What is there before a midnight counts at it, too: until something comes, or has left.
        group, none = moments >> self._bits, np.iinfo(np.int64).max
        is_last = (np.append(days[1:], none) != days) | (np.append(group[1:], none) != group)
        last = np.flatnonzero(is_last & (most > best[asked.days.start :].min()))
        until = np.minimum((moments[last] & self._mask) + asked.window - 1, asked.until) // DAY_US
        is_same = np.append(group, none)[last + 1] == group[last]
        until[is_same] = np.minimum(until, np.append(days, none)[last + 1])[is_same]
        which, midnight = _spread(days[last] + 1, until - days[last])
        is_open = most[last][which] > best[midnight]
        which, midnight = which[is_open], midnight[is_open]
        np.maximum.at(best, midnight, self._level((group[last][which] << self._bits) + midnight * DAY_US))
        return best[asked.days.start :]


def _spread(first: Numbers, number: Numbers) -> tuple[Numbers, Numbers]:
    """Return as many whole numbers from each first one on, after the place of that."""
    number = np.maximum(number, 0)
    place = np.repeat(np.arange(len(number)), number)
    return place, first[place] + np.arange(len(place)) - np.repeat(np.cumsum(number) - number, number)
