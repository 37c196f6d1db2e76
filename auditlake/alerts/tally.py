"""The rolling counts of one policy, kept by event time, one micro-batch after the other.

What counts is defined in docs/reference/semantics.md, Counts in a rolling window.

What is kept is far less than the events of a window. A count is at the threshold *k* at an instant exactly if the k-th
newest event up to it is younger than the window. So of what can no longer be judged, a group keeps its k newest events,
and of a stretch that is known to be at the threshold, the last k: more events can only make it longer. Events that come
out of order find all they need, and an event that comes twice changes nothing: either it is still kept, or it is as
irrelevant as it was.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from auditlake.alerts.breaches import GRACE_US, Breach, Breaches
from auditlake.alerts.model import Group, Turn
from auditlake.policies.model import Policy

Sighting = tuple[int, int]
"""When an event happened, and a number that stands for its identity."""
_LAST = 2**64


@dataclass(slots=True)
class _Kept:
    """What is kept of a group."""

    sightings: list[Sighting] = field(default_factory=list)
    due: int | None = None
    """When to look at it again although nothing comes."""


class Tally(Breaches):
    """The counts of one policy. All times and lengths are microseconds.

    Args:
        policy: The policy, which has a threshold.
        lateness: How much later than it happened an event may come and still be judged at once.
        now: When the counting begins.
    """

    def __init__(self, policy: Policy, lateness: int, now: int) -> None:
        super().__init__(policy, lateness)
        self._k = int(policy.least)
        self._now = now
        self._kept: dict[Group, _Kept] = {}
        self._touched: set[Group] = set()
        self._due: list[tuple[int, Group]] = []

    def carry(self, breaches: Mapping[Group, list[Breach]]) -> None:
        """Take over what was alerted before."""
        super().carry(breaches)
        self._touched.update(breaches)

    def see(self, group: Group, sightings: Iterable[Sighting]) -> None:
        """Count events of a group; in any order, and again if need be."""
        kept = self._kept.setdefault(group, _Kept())
        known = set(kept.sightings)
        kept.sightings = sorted(known.union(sightings))
        self._touched.add(group)

    def judge(self, now: int, passed: int) -> list[Turn]:
        """Return what has turned since the last call.

        Args:
            now: What the clock says. Later events do not count yet.
            passed: Up to when all events have been read.
        """
        turns: list[Turn] = []
        # Not since `now`, but since it was last asked: whatever happened in between, however long that was.
        judged = min(self._now, now) - self._lateness
        self._now = now
        for group in sorted(self._touched | self._take_due(now)):
            kept = self._kept.setdefault(group, _Kept())
            for start, end in self._stretches(kept.sightings, judged, now):
                count = self._count(kept.sightings, start)
                turns += self.settle(group, start, end, count, passed)
            turns += self.resolve(group, passed)
            self._forget(group, kept, now)
        self._touched.clear()
        return turns

    def settle(self, group: Group, start: int, end: int, count: int, passed: int) -> Iterator[Turn]:
        """Take note of a stretch at or above the threshold; the group is looked at again when next it is judged."""
        self._touched.add(group)
        return super().settle(group, start, end, count, passed)

    def count_at(self, group: Group, at: int) -> int:
        """Return how many of the events that are kept are in the window."""
        return self._count(self._kept.get(group, _Kept()).sightings, at)

    def _stretches(self, sightings: list[Sighting], judged: int, now: int) -> Iterator[tuple[int, int]]:
        """Yield the stretches at or above the threshold that reach beyond what was judged, from what is kept."""
        k = self._k
        start = end = -1
        for i in range(k - 1, bisect_right(sightings, (now, _LAST))):
            at, until = sightings[i][0], sightings[i - k + 1][0] + self._window
            if until <= max(at, judged):
                continue
            if at > end >= 0:
                yield start, end
            start, end = (at, until) if at > end else (start, until)
        if end >= 0:
            yield start, end

    def _count(self, sightings: list[Sighting], at: int) -> int:
        after = bisect_right(sightings, (at - self._window, _LAST))
        return bisect_right(sightings, (at, _LAST)) - after

    # Forgetting

    def _forget(self, group: Group, kept: _Kept, now: int) -> None:
        """Drop what no judgement needs any more, and note when to look again."""
        judged = now - self._lateness
        self._drop_irrelevant(group, kept, judged)
        ahead = bisect_right(kept.sightings, (now, _LAST))
        looks = [kept.sightings[ahead][0]] if ahead < len(kept.sightings) else []
        looks += [breach.end + GRACE_US for breach in self.breaches.get(group, ()) if breach.waiting]
        if kept.sightings:
            looks.append(kept.sightings[-1][0] + self._window + self._lateness)
        elif not looks:
            del self._kept[group]
            return
        due = max(min(looks), now + 1)
        if kept.due is None or due < kept.due:
            kept.due = due
            heapq.heappush(self._due, (due, group))

    def _drop_irrelevant(self, group: Group, kept: _Kept, judged: int) -> None:
        k, sightings = self._k, kept.sightings
        old = bisect_right(sightings, (judged, _LAST))
        first = max(bisect_right(sightings, (judged - self._window, _LAST)), old - k)
        breaches = iter(self.breaches.get(group, ()))
        breach = next(breaches, None)
        left = []
        for i in range(first, len(sightings)):
            while breach is not None and breach.end <= sightings[i][0]:
                breach = next(breaches, None)
            within = breach is not None and breach.start <= sightings[i][0]
            if breach is None or not within or i + k >= len(sightings) or sightings[i + k][0] >= breach.end:
                left.append(sightings[i])
        kept.sightings = left

    def _take_due(self, now: int) -> set[Group]:
        """Return the groups to look at although no event came."""
        groups = set()
        while self._due and self._due[0][0] <= now:
            due, group = heapq.heappop(self._due)
            kept = self._kept.get(group)
            if kept is not None and kept.due == due:
                kept.due = None
                groups.add(group)
        return groups
