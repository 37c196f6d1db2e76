"""What was alerted of a policy: which episodes, and which of them are still open."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditlake.alerts.model import Group, Turn
from auditlake.policies.model import Policy

GRACE_US = 1_000_000
"""How long after an instant all events up to it have surely been read, if no writer lags: only then an end is one."""
REMEMBERED_US = 7 * 86_400_000_000
"""How long, beyond window and lateness, a past episode is remembered as alerted."""
MOST_REMEMBERED = 10_000
"""How many past episodes are remembered at most."""


@dataclass(slots=True)
class Breach:
    """A stretch ``[start, end)`` of a group at or above the threshold, as far as it is known."""

    start: int
    end: int
    raised: list[tuple[int, int]]
    """The alerts given for it: crossing instant and count. Several where stretches turned out to be one."""
    waiting: list[int]
    """The crossing instants of those whose resolution is not given yet."""


class Breaches:
    """The alerted episodes of one policy. All times and lengths are microseconds.

    Args:
        policy: The policy, which has a threshold.
        lateness: How much later than it happened an event may come and still be judged at once.
    """

    def __init__(self, policy: Policy, lateness: int) -> None:
        self.policy = policy
        self.breaches: dict[Group, list[Breach]] = {}
        """Of every group, the stretches that were alerted, by start; past ones are remembered for a while."""
        self._window = policy.window.microseconds
        self._lateness = lateness

    def carry(self, breaches: Mapping[Group, list[Breach]]) -> None:
        """Take over what was alerted before."""
        self.breaches = dict(breaches)

    def count_at(self, group: Group, at: int) -> int:
        """Return what there is to count at the end of an episode of a group."""
        raise NotImplementedError

    def settle(self, group: Group, start: int, end: int, count: int, passed: int) -> Iterator[Turn]:
        """Take note of a stretch ``[start, end)`` at or above the threshold; an alert, unless it has one.

        What touches is one stretch. Should it go on although its resolution was given, its alert is given again.
        """
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
        for breach in self.breaches.get(group, ()):
            if breach.waiting and breach.end <= passed:
                count = self.count_at(group, breach.end)
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
