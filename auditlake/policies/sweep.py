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
MOST_PIECES = 1_000_000
"""How many days of stretches a policy may have at once; days that have very many are not remembered anyway."""
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
        """Return how many bits a time has in a number, so that events of other groups are more than a window away."""
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
        # What comes before the period counts from its beginning on.
        times = events & self._mask
        early = np.flatnonzero(times < asked.since)
        self._moments = events.copy() if len(early) else events
        self._moments[early] += asked.since - times[early]

    def _days(self, places: Numbers) -> Numbers:
        """Return the days of the events at some places."""
        days: Numbers = (self._moments[places] & self._mask) // DAY_US
        return days

    def _left(self, moments: Numbers) -> Numbers:
        """Return how many events before and in a group no longer count at moments, each a number as events are."""
        return np.searchsorted(self._events, moments - self._asked.window, side="right")

    def _level(self, moments: Numbers) -> Numbers:
        """Return how many events count at moments."""
        return np.searchsorted(self._events, moments, side="right") - self._left(moments)

    def pieces(self) -> Pieces:
        """Return the stretches at the threshold or above it.

        Raises:
            OverflowError: They are more than :data:`MOST_PIECES`.
        """
        asked, moments = self._asked, self._moments
        least, window = asked.threshold, asked.window
        pairs, last = max(len(moments) - least + 1, 0), len(moments) - 1
        at = np.flatnonzero(self._events[:pairs] + window > moments[least - 1 :]) + (least - 1)
        if not len(at):
            return Pieces(at, at, at, at, at > 0, at, at)
        # A moment is judged once all that happens in it has happened: by its last event.
        at = at[(at == last) | (moments[np.minimum(at + 1, last)] != moments[at])]
        high, until = moments[at], self._events[at - least + 1] + window
        level = at + 1 - self._left(high)
        is_first = np.append(True, high[1:] > until[:-1])
        first = np.flatnonzero(is_first)
        group, start = high[first] >> self._bits, high[first] & self._mask
        end = until[np.append(first[1:], len(at)) - 1] & self._mask
        # Cut at midnights.
        from_day, to_day = np.maximum(start, asked.since + 1) // DAY_US, np.minimum(end, asked.until) // DAY_US
        number_of_days = to_day - from_day + 1
        if number_of_days.sum() > MOST_PIECES:
            raise OverflowError
        episode, day = _spread(from_day, number_of_days)
        since = np.maximum(day * DAY_US - 1, asked.since)
        is_carried = start[episode] <= since
        before = np.zeros(len(day), np.int64)
        before[is_carried] = self._level((group[episode] << self._bits)[is_carried] + since[is_carried])
        # The highest count after an event on each day of an episode, and where it is first reached.
        number, its_day = np.cumsum(is_first) - 1, self._days(at)
        part = np.flatnonzero(np.append(True, is_first[1:] | (its_day[1:] != its_day[:-1])))
        highest = np.maximum.reduceat(level, part)
        reached = np.flatnonzero(level == np.repeat(highest, np.diff(np.append(part, len(at)))))
        reached_at = (high & self._mask)[reached[np.searchsorted(reached, part)]]
        days = asked.until // DAY_US + 1
        of_part, own = number[part] * days + its_day[part], episode * days + day
        place = np.minimum(np.searchsorted(of_part, own), len(part) - 1)
        top = np.where(of_part[place] == own, highest[place], 0)
        return Pieces(
            day, group[episode], np.maximum(start[episode], since),
            np.where(end[episode] <= np.minimum(day * DAY_US + DAY_US - 1, asked.until), end[episode], -1), is_carried,
            np.maximum(before, top), np.where(is_carried & (before >= top), since, reached_at[place]),
        )  # fmt: skip

    def peaks(self) -> Numbers:
        """Return the highest count of any group on each day of the period."""
        asked, moments, number = self._asked, self._moments, len(self._moments)
        best = np.zeros(asked.days.stop, np.int64)
        # Of the first event of each block the count is known; after the others it is at most as high as `most`.
        first = np.arange(0, number, _BLOCK)
        left, day = self._left(moments[first]), self._days(first)
        most = first + _BLOCK - left
        np.maximum.at(best, day, first + 1 - left)
        lowest = best[asked.days.start :].min()
        is_of_one = self._are_together(first, first + _BLOCK)
        block = np.flatnonzero(most > np.where(is_of_one, best[day], lowest))
        which, at = _spread(first[block], np.minimum(number - first[block], _BLOCK))
        most = most[block][which]
        looked_at = at[most > best[self._days(at)]]
        np.maximum.at(best, self._days(looked_at), looked_at + 1 - self._left(moments[looked_at]))
        # What is there before a midnight counts at it, too: until something comes, or has left.
        is_last = ~self._are_together(at, at + 1)
        at, most = at[is_last], most[is_last]
        group, own, following = moments[at] >> self._bits, self._days(at), np.minimum(at + 1, number - 1)
        until = np.minimum((moments[at] & self._mask) + asked.window - 1, asked.until) // DAY_US
        goes_on = (following > at) & (moments[following] >> self._bits == group)
        until = np.where(goes_on, np.minimum(until, self._days(following)), until)
        while len(own := own + 1):
            which = np.flatnonzero(own <= until)
            own, until, most, group = own[which], until[which], most[which], group[which]
            is_open = most > best[own]
            midnight = own[is_open]
            np.maximum.at(best, midnight, self._level((group[is_open] << self._bits) + midnight * DAY_US))
        return best[asked.days.start :]

    def _are_together(self, places: Numbers, others: Numbers) -> NDArray[Any]:
        """Return whether events are of one group and day with later ones, and so with all between; not past the end."""
        there = np.minimum(others, len(self._moments) - 1)
        is_of_group = self._moments[places] >> self._bits == self._moments[there] >> self._bits
        found: NDArray[Any] = (others == there) & is_of_group & (self._days(places) == self._days(there))
        return found


def _spread(first: Numbers, number: Numbers) -> tuple[Numbers, Numbers]:
    """Return as many whole numbers from each first one on, after the place of that."""
    place = np.repeat(np.arange(len(number)), number)
    return place, first[place] + np.arange(len(place)) - np.repeat(np.cumsum(number) - number, number)
