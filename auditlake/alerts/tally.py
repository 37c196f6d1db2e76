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
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from auditlake.alerts.model import Group, Turn
from auditlake.policies.model import Policy

GRACE_US = 1_000_000
"""How long after an instant all events up to it have surely been read, if no writer lags: only then an end is one."""
REMEMBERED_US = 7 * 86_400_000_000
"""How long, beyond window and lateness, a past episode is remembered as alerted."""
MOST_REMEMBERED = 10_000
"""How many past episodes are remembered at most."""

Sighting = tuple[int, int]
"""When an event happened, and a number that stands for its identity."""
_LAST = 2**64


@dataclass(slots=True)
class Breach:
    """A stretch ``[start, end)`` of a group at or above the threshold, as far as it is known."""

    start: int
    end: int
    raised: list[tuple[int, int]]
    """The alerts given for it: crossing instant and count. Several where stretches turned out to be one."""
    waiting: list[int]
    """The crossing instants of those whose resolution is not given yet."""


@dataclass(slots=True)
class _Kept:
    """What is kept of a group."""

    sightings: list[Sighting] = field(default_factory=list)
    due: int | None = None
    """When to look at it again although nothing comes."""


class Tally:
    """The counts of one policy. All times and lengths are microseconds.

    Args:
        policy: The policy, which has a threshold.
        lateness: How much later than it happened an event may come and still be judged at once.
        now: When the counting begins.
    """

    def __init__(self, policy: Policy, lateness: int, now: int) -> None:
        self.policy = policy
        self.breaches: dict[Group, list[Breach]] = {}
        """Of every group, the stretches that were alerted, by start; past ones are remembered for a while."""
        self._k = int(policy.least)
        self._window = policy.window.microseconds
        self._lateness = lateness
        self._now = now
        self._kept: dict[Group, _Kept] = {}
        self._touched: set[Group] = set()
        self._due: list[tuple[int, Group]] = []

    def carry(self, breaches: Mapping[Group, list[Breach]]) -> None:
        """Take over what was alerted before."""
        self.breaches = dict(breaches)
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
        """Take note of a stretch ``[start, end)`` at or above the threshold; an alert, unless it has one.

        What touches is one stretch. Should it go on although its resolution was given, its alert is given again.
        """
        self._touched.add(group)
        breaches = self.breaches.setdefault(group, [])
        first = bisect_left(breaches, start, key=lambda breach: breach.end)
        last = bisect_right(breaches, end, key=lambda breach: breach.start)
        same = breaches[first:last]
        whole = Breach(min([start, *(each.start for each in same)]), max([end, *(each.end for each in same)]),
                       [raised for each in same for raised in each.raised],
                       [crossing for each in same for crossing in each.waiting])  # fmt: skip
        breaches[first:last] = [whole]
        if not whole.raised:
            whole.raised.append((start, count))
        elif whole.waiting or whole.end <= passed:
            return
        crossing, count = whole.raised[0]
        whole.waiting.append(crossing)
        yield Turn("threshold_exceeded", group, crossing, crossing, count)

    def resolve(self, group: Group, passed: int) -> Iterator[Turn]:
        """Yield the resolutions of a group's stretches that have ended."""
        kept = self._kept.get(group, _Kept())
        for breach in self.breaches.get(group, ()):
            if breach.waiting and breach.end <= passed:
                count = self._count(kept.sightings, breach.end)
                for crossing in breach.waiting:
                    yield Turn("resolved", group, crossing, breach.end, count)
                breach.waiting = []

    def give_up(self, now: int) -> Iterator[Turn]:
        """Resolve every open episode now: the policy is no longer judged."""
        for group, breaches in self.breaches.items():
            for breach in breaches:
                for crossing in breach.waiting:
                    yield Turn("resolved", group, crossing, now, 0)
                breach.waiting = []

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

    def forget_past(self, now: int) -> None:
        """Forget alerted episodes that ended long ago, and beyond a number the oldest ones."""
        horizon = now - self._window - self._lateness - REMEMBERED_US
        past = sorted(
            breach.end for breaches in self.breaches.values() for breach in breaches if not breach.waiting
        )  # fmt: skip
        if len(past) > MOST_REMEMBERED:
            horizon = max(horizon, past[-MOST_REMEMBERED - 1])
        for group in list(self.breaches):
            left = [breach for breach in self.breaches[group] if breach.waiting or breach.end > horizon]
            if left:
                self.breaches[group] = left
            else:
                del self.breaches[group]
