"""Rolling counts in arrays are those that are counted at every instant, one by one."""

from __future__ import annotations

import tracemalloc
from random import Random

import numpy as np
import pytest

from auditlake.policies import sweep
from auditlake.policies.sweep import Asked, Sweep

DAY = 12
"""So short that every instant can be looked at."""


def counted(events: list[tuple[int, int]], asked: Asked) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return the stretches and the peaks of days of events, each a group and an instant."""
    found, peaks = list[tuple[int, ...]](), list[int]()
    groups = sorted({group for group, _ in events})

    def level(group: int, instant: int) -> int:
        return sum(own == group and instant - asked.window < at <= instant for own, at in events)

    for day in asked.days:
        since, until = max(asked.since, day * DAY - 1), min(asked.until, day * DAY + DAY - 1)
        own = range(max(asked.since, day * DAY), until + 1)
        peaks.append(max((level(group, at) for group in groups for at in own), default=0))
        for group in groups:
            levels = {at: level(group, at) for at in range(since, until + 1)}
            high = [at for at in levels if levels[at] >= asked.threshold]
            for start in (at for at in high if at - 1 not in high):
                end = next((at for at in levels if at > start and at not in high), -1)
                within = [at for at in high if start <= at and (end < 0 or at < end)]
                peak = max(levels[at] for at in within)
                first = next(at for at in within if levels[at] == peak)
                found.append((day, group, start, end, start == since, peak, first))
    return sorted(found), peaks


def check(seed: int) -> int:
    """Compare one case; return how many stretches it has."""
    rng = Random(seed)
    since = rng.randrange(40)
    asked = Asked(rng.choice((1, 2, 5, DAY, 13, 24, 30, 40, 90)), rng.randint(1, 5), since, since + rng.randint(1, 60))
    near = (DAY - 1, DAY, 2 * DAY - 1, 2 * DAY, since, asked.until)
    number, groups = rng.choice((0, 1, 5, 30, 80)), rng.choice((1, 3, 20))
    events = [(rng.randrange(groups), rng.choice((rng.randint(0, asked.until), *near))) for _ in range(number)]
    events = [(group, at) for group, at in events if since - asked.window < at <= asked.until]
    swept = Sweep(np.sort(np.array([(group << asked.bits) + at for group, at in events], np.int64)), asked)
    of = swept.pieces()
    columns = (of.day, of.group, of.start, of.end, of.is_carried, of.peak, of.peak_at)
    found = sorted(zip(*(each.tolist() for each in columns), strict=True))
    assert (found, swept.peaks().tolist()) == counted(events, asked), (seed, asked, events)
    return len(found)


@pytest.fixture(autouse=True)
def short_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let days be short, and few events known before others."""
    monkeypatch.setattr(sweep, "DAY_US", DAY)
    monkeypatch.setattr(sweep, "_BLOCK", 4)


def test_every_instant() -> None:
    """Ties, instants at midnights and at the ends of the period, windows shorter and longer than days."""
    assert sum(map(check, range(250))) > 500


def test_memory_of_long_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many groups, each of which counts on many days, need as much as few days do; their stretches have a limit."""
    asked, events = Asked(300 * DAY, 2, 0, 300 * DAY), 4_000
    swept = Sweep((np.arange(events) // 2 << asked.bits) + 1 + np.arange(events) % 2 * DAY, asked)
    tracemalloc.start()
    try:
        assert swept.peaks().tolist() == [1, *[2] * 299, 2]
        assert tracemalloc.get_traced_memory()[1] < 500 * events
    finally:
        tracemalloc.stop()
    assert len(swept.pieces().day) == events // 2 * 300
    monkeypatch.setattr(sweep, "MOST_PIECES", 1_000)
    with pytest.raises(OverflowError):
        swept.pieces()


@pytest.mark.soak
@pytest.mark.parametrize("start", range(1_000, 21_000, 1_000))
def test_of_many(start: int) -> None:
    """The same of many cases."""
    assert sum(map(check, range(start, start + 1_000))) > 2_000
