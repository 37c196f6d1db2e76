"""What came too late to be judged live: it waits until the table holds it, and is judged from there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from auditlake.alerts.model import Group

MOST_STRETCHES = 10_000
"""How many stretches a lot holds before those of a policy are taken together."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which a group got late events; instants are microseconds since 1970."""

    policy_id: str
    group: Group | None
    """All groups if None."""
    first: int
    """The earliest of the events."""
    last: int
    """The latest of them."""


@dataclass(slots=True)
class Lot:
    """Stretches that can be judged once the table has everything up to some positions."""

    needs: dict[int, int] = field(default_factory=dict)
    """For each slot, the packed position that must be committed."""
    _spans: dict[tuple[str, Group | None], list[tuple[int, int]]] = field(default_factory=dict)
    _size: int = 0

    @staticmethod
    def of(near: Iterable[Iterable[Stretch]]) -> Lot:
        """Make a lot of stretches that can be judged now."""
        lot = Lot()
        for stretches in near:
            for stretch in stretches:
                lot.add(stretch, 0)
        return lot

    def add(self, stretch: Stretch, reach: int) -> None:
        """Put a stretch in; what is no further apart than ``reach`` becomes one."""
        every = (stretch.policy_id, None)
        key = every if every in self._spans else (stretch.policy_id, stretch.group)
        spans = self._spans.setdefault(key, [])
        low = bisect_left(spans, stretch.first - reach, key=lambda span: span[1])
        high = bisect_right(spans, stretch.last + reach, key=lambda span: span[0])
        near = [*spans[low:high], (stretch.first, stretch.last)]
        spans[low:high] = [(min(first for first, _ in near), max(last for _, last in near))]
        self._size += 2 - len(near)
        if self._size > MOST_STRETCHES:
            self._gather()

    def stretches(self) -> Iterator[Stretch]:
        """All of them, each policy's in the order of time."""
        stretches = [
            Stretch(policy_id, group, first, last)
            for (policy_id, group), spans in self._spans.items()
            for first, last in spans
        ]
        yield from sorted(stretches, key=lambda each: (each.policy_id, each.first, each.group or ()))

    def is_ready(self, committed: Mapping[int, int]) -> bool:
        """Whether the table has all that it needs."""
        return all(committed.get(slot, 0) >= position for slot, position in self.needs.items())

    def _gather(self) -> None:
        """One stretch a policy, over all groups: more is judged again than has to be, and nothing is missed."""
        for policy_id in sorted({policy_id for policy_id, _ in self._spans}):
            keys = [key for key in self._spans if key[0] == policy_id]
            spans = [span for key in keys for span in self._spans.pop(key)]
            self._spans[policy_id, None] = [(min(first for first, _ in spans), max(last for _, last in spans))]
        self._size = len(self._spans)


class Waiting:
    """The lots that wait: one that can be judged now, one whose needs are fixed, and one that still grows.

    A lot that grew for ever would need what is ever later, and a flush would never reach it.
    """

    def __init__(self, lots: Iterable[Lot] = ()) -> None:
        self.lots: list[Lot] = list(lots)
        """In the order in which they will be ready."""

    def add(self, stretches: Iterable[Stretch], needs: Mapping[int, int], reach: Mapping[str, int]) -> None:
        """Let stretches wait.

        Args:
            stretches: The stretches.
            needs: For each slot, the packed position that must be committed; nothing if the table has them already.
            reach: For each policy's id, how far apart two stretches may be and still be judged together.
        """
        added = list(stretches)
        if not added:
            return
        lot = self._lot(needs)
        for slot, position in needs.items():
            lot.needs[slot] = max(position, lot.needs.get(slot, 0))
        for stretch in added:
            lot.add(stretch, reach[stretch.policy_id])

    def _lot(self, needs: Mapping[int, int]) -> Lot:
        waiting = [lot for lot in self.lots if lot.needs]
        if not needs:
            if len(waiting) == len(self.lots):
                self.lots.insert(0, Lot())
            return self.lots[0]
        if len(waiting) < 2:
            self.lots.append(Lot())
        return self.lots[-1]

    def take_ready(self, committed: Mapping[int, int]) -> Lot | None:
        """Return the next lot of which the table has everything; None if there is none."""
        for lot in self.lots:
            if lot.is_ready(committed):
                self.lots.remove(lot)
                return lot
        return None


def clusters(stretches: Iterable[Stretch], reach: Mapping[str, int]) -> Iterator[list[Stretch]]:
    """Stretches of one policy that are near enough in time to be judged in one go; others by themselves."""
    near: list[Stretch] = []
    last = 0
    for stretch in stretches:
        if near and (stretch.policy_id != near[0].policy_id or stretch.first > last + reach.get(stretch.policy_id, 0)):
            yield near
            near = []
        last = max(last, stretch.last) if near else stretch.last
        near.append(stretch)
    if near:
        yield near
