"""The brute-force oracle of the baseline: each bucket against the same bucket of the seasons before, in plain Python.

Where the definition leaves a choice, this is the reading:

1. Buckets are counted from `origin`, an instant.
2. Only judged buckets make runs. Judged is also the bucket that ends exactly at `since`, but only for the run that
   goes on from it: the peak and `unjudged` do not know it. A run whose first bucket became high at `since` or before
   has `started_before_period`.
3. `peak_at` of a high bucket is its last event up to `until`, that of a low one its beginning; neither is earlier than
   the start of the clipped episode.
4. `limit` of a low bucket is the largest number of events that still is low.
5. `past` begins with the season before.
6. `unjudged` are the judged buckets whose past is shorter than `at_least`: above, those with at least `threshold`
   events; below, those that are over by `until` and whose group has an event in the seasons before.
7. The day's peak is the largest number of events that a bucket had at a moment of the day.
8. The peak is the largest number above, the smallest below; of equals the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from tests.policies.kinds_oracle import (
    Answer,
    Ask,
    Episode,
    Event,
    Key,
    day_peaks,
    groups_of,
    matching,
    place,
    ungrouped,
    value_of,
)


@dataclass(frozen=True)
class Baseline:
    """What a bucket is compared with; lengths in microseconds."""

    bucket: int
    season: int
    seasons: int
    at_least: int
    ratio: Decimal
    below: bool = False
    origin: int = 0

    def of(self, at: int) -> int:
        """Return the bucket of an instant."""
        return (at - self.origin) // self.bucket

    def start(self, h: int) -> int:
        """Return the first instant of a bucket."""
        return self.origin + h * self.bucket


@dataclass(frozen=True)
class Unusual:
    """A high or a low bucket."""

    h: int
    begins: int
    """When it became high, or the beginning of a low one."""
    x: int
    reached: int
    """When it had x events."""
    usual: int
    limit: int
    past: tuple[int, ...]


Series = Callable[[int], list[int]]
"""The instants of a group's events in a bucket, in order."""


def baseline(events: Sequence[Event], ask: Ask, asked: Baseline) -> Answer:
    """Return the runs of unusual buckets of every group. Evidence: `usual`, `limit`, `m` and `past` of the peak."""
    known = [e for e in matching(events, ask) if e.at <= ask.until]
    groups = groups_of(known, ask.group)
    judged = range(asked.of(ask.since), asked.of(ask.until) + 1)
    ran_on = range(asked.of(ask.since - 1), asked.of(ask.until) + 1)

    def series(key: Key) -> Series:
        times = sorted(e.at for e in known if value_of(ask.group, e) == key)
        return lambda h: [t for t in times if asked.of(t) == h]

    def measure(key: Key, t: int) -> int:
        return sum(1 for x in series(key)(asked.of(t)) if x <= t)

    found = [e for key in groups for e in runs(key, [unusual(series(key), h, ask, asked) for h in ran_on], ask, asked)]
    return Answer(
        tuple(sorted(found, key=place)),
        day_peaks(events, groups, measure, {e.at for e in known}, ask),
        ungrouped(known, ask),
        unjudged=sum(1 for key in groups for h in judged if is_unjudged(series(key), h, ask, asked)),
    )


def past_of(series: Series, h: int, asked: Baseline) -> list[int] | None:
    """Return the numbers of the same bucket in the seasons before, the newest first; None without an event in them."""
    length = asked.season // asked.bucket
    seasons = range(h - length * (asked.seasons + 1), h)
    first = next((bucket for bucket in seasons if series(bucket)), None)
    if first is None:
        return None
    return [len(series(h - j * length)) for j in range(1, asked.seasons + 1) if h - j * length >= first]


def is_over(h: int, ask: Ask, asked: Baseline) -> bool:
    """Return whether a bucket is over by `until`."""
    return asked.start(h + 1) <= ask.until


def is_unjudged(series: Series, h: int, ask: Ask, asked: Baseline) -> bool:
    """Return whether a bucket would be judged, had its group a longer past."""
    past = past_of(series, h, asked)
    wanted = past is not None and is_over(h, ask, asked) if asked.below else len(series(h)) >= ask.threshold
    return wanted and len(past or []) < asked.at_least


def unusual(series: Series, h: int, ask: Ask, asked: Baseline) -> Unusual | None:
    """Return a bucket that is high or, where that is asked, low."""
    past = past_of(series, h, asked)
    if past is None or len(past) < asked.at_least:
        return None
    times, ratio = series(h), Fraction(asked.ratio)
    x, usual = len(times), sorted(past)[ceil(Fraction(len(past), 2)) - 1]
    if asked.below:
        low = is_over(h, ask, asked) and usual >= ask.threshold and x * ratio < usual
        start = asked.start(h)
        return Unusual(h, start, x, start, usual, ceil(usual / ratio) - 1, tuple(past)) if low else None
    if not (x >= ask.threshold and x > ratio * usual):
        return None
    limit = max(ceil(Fraction(ask.threshold)), floor(ratio * usual) + 1)
    return Unusual(h, times[limit - 1], x, times[-1], usual, limit, tuple(past))


def runs(key: Key, buckets: Sequence[Unusual | None], ask: Ask, asked: Baseline) -> list[Episode]:
    """Return an episode for each run of neighbouring unusual buckets."""
    together: list[list[Unusual]] = []
    for n, bucket in enumerate(buckets):
        if bucket is not None:
            if n == 0 or buckets[n - 1] is None:
                together.append([])
            together[-1].append(bucket)
    return [episode(key, run, ask, asked) for run in together if asked.start(run[-1].h + 1) > ask.since]


def episode(key: Key, run: Sequence[Unusual], ask: Ask, asked: Baseline) -> Episode:
    """Return the episode of one run, clipped to the period."""
    begins, end = run[0].begins, asked.start(run[-1].h + 1)
    start = max(begins, ask.since)
    inside = [b for b in run if asked.start(b.h + 1) > ask.since]
    extreme = min(b.x for b in inside) if asked.below else max(b.x for b in inside)
    peak = next(b for b in inside if b.x == extreme)
    return Episode(
        key,
        start,
        None if end > ask.until else end,
        end > ask.until,
        begins <= ask.since,
        peak.x,
        max(start, peak.reached),
        {"usual": peak.usual, "limit": peak.limit, "m": len(peak.past), "past": peak.past},
    )
