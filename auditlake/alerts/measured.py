"""What is alerted of a measure that is no count: the report's own query says it, whenever it may have changed.

A measure at an instant depends on the events up to it alone. So an event changes nothing before itself, and one look
from there on, as far ahead as what there is now reaches, tells when each episode begins and ends if nothing more comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from auditlake.alerts.breaches import Breaches
from auditlake.alerts.model import Group, Turn
from auditlake.policies.model import Policy

if TYPE_CHECKING:
    from auditlake.alerts.lake_reader import LakeReader


Span = tuple[int, int | None]
"""When the first of some events happened, and the last of those that came too late to be judged live, if any did."""


class Measured(Breaches):
    """The episodes of one policy as the lake told them last. All times and lengths are microseconds.

    Args:
        policy: The policy, which has a threshold.
        lateness: How much later than it happened an event may come and still be judged at once.
        judged: What ended by then, and was not alerted, is not alerted any more.
    """

    def __init__(self, policy: Policy, lateness: int, judged: int) -> None:
        super().__init__(policy, lateness)
        self._judged = judged
        self._stirred: int | None = None
        """From when on its episodes may have changed since the last look; None: not at all."""
        self._late: tuple[int, int] | None = None
        """The first and the last of the events that came too late since then."""
        self._ahead: int | None = None
        """When something begins although nothing comes, such as what another event's absence makes."""
        self._next_end: int | None = None
        self._measures: dict[tuple[Group, int], int] = {}
        """What is measured at the end of each open episode."""

    @property
    def unasked(self) -> tuple[int, int] | None:
        """What :meth:`stir` is to be told where the next look is another's; None where nothing may have changed."""
        if self._stirred is None:
            return None
        return self._stirred, self._late[1] if self._late else self._stirred

    def stir(self, first: int, late: int | None = None) -> None:
        """Note that events came.

        Args:
            first: When the first of them happened.
            late: When the last of those happened that came too late; None if none did.
        """
        self._stirred = first if self._stirred is None else min(first, self._stirred)
        if late is not None:
            known = self._late or (first, late)
            self._late = min(first, known[0]), max(late, known[1])

    def notice(self, spans: Mapping[str, Span], *, since: int = 0) -> None:
        """Note that events came, of each type when; those up to ``since`` count only with what happened after it."""
        for name in self.policy.required_events:
            if name in spans:
                first, late = spans[name]
                if since:
                    first, late = max(first, since - self._window), None
                self.stir(first, late)

    def wake(self, now: int, passed: int) -> Iterator[Turn]:
        """Yield what ended since the last look, and find out whether another one is needed.

        Args:
            now: What the clock says.
            passed: Up to when all events have been read.
        """
        if self._ahead is not None and self._ahead <= now:
            self.stir(self._ahead)
        if self._stirred is None:
            self._judged = max(self._judged, now - self._lateness)
            if self._next_end is not None and self._next_end <= passed:
                yield from self._resolved(passed)

    def look(self, lake: LakeReader, now: int, passed: int) -> list[Turn]:
        """Ask the lake for what may have changed; return what began and ended.

        Args:
            lake: Table and landing.
            now: What the clock says.
            passed: Up to when all events have been read.
        """
        since = now if self._stirred is None else min(now, self._stirred)
        if self._late:
            since = min(since, self._late[0] - self._window)
        after = since - 1
        turns: list[Turn] = []
        ahead: list[int] = []
        found = lake.episodes(self.policy, after, last := now + self._window + self._lateness)
        self._cut(after)
        self._measures.clear()
        for each in found:
            if each.start > now:
                ahead.append(each.start)
                continue
            end = each.end
            if end is None:
                ahead.append(last)
                end = last + 1
            if self._is_told(each.group, each.start, end):
                self._measures[each.group, end] = each.at_end
                turns += self.settle(each.group, each.start, end, each.at_start, passed)
        self._stirred, self._late, self._ahead = None, None, min(ahead, default=None)
        self._judged = max(self._judged, now - self._lateness)
        return [*turns, *self._resolved(passed)]

    def count_at(self, group: Group, at: int) -> int:
        """Return what was measured when an episode ended; 0 of one that a late event has taken away."""
        return self._measures.get((group, at), 0)

    def _cut(self, after: int) -> None:
        """Take back what is said about later times: the lake says it anew, and it may have become less."""
        for breaches in self.breaches.values():
            for breach in breaches:
                breach.end = min(breach.end, max(breach.start, after))

    def _is_told(self, group: Group, start: int, end: int) -> bool:
        """Whether an episode is one to alert of: a present one, one that late events made, or one that was alerted."""
        if end > self._judged or (self._late and start <= self._late[1] + self._window and end > self._late[0]):
            return True
        return any(each.start <= end and start <= each.end for each in self.breaches.get(group, ()))

    def _resolved(self, passed: int) -> list[Turn]:
        turns = [turn for group in sorted(self.breaches) for turn in self.resolve(group, passed)]
        open_ends = (each.end for listed in self.breaches.values() for each in listed if each.waiting)
        self._next_end = min(open_ends, default=None)
        return turns
