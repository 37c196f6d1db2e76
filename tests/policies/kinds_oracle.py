"""The brute-force oracle of the question kinds over a window: their definitions in plain Python.

Each measure is taken from its definition, over all events, anew at every instant at which it can change. Nothing is
carried from one instant to the next, and no interval, running sum or remembered row takes part.

Where the definitions leave a choice, this is the reading:

1.  The choices of tests/oracle.py for counts hold. An episode that stands at `since` has `started_before_period`, also
    if it begins there.
2.  A step chooses among the policy's matching events, so `where` narrows every step, and an `until` event is a matching
    event of the same group.
3.  `ungrouped_events` are all matching events of the period without a group, whatever step or value they have. Where
    steps bring their own groups, an event is ungrouped if none of its steps gives it a group.
4.  `valueless_events` are those of the period that have a group and lack a value; for first_seen and dormant those that
    lack any part of the value or of the entity. A list with one NULL is NULL.
5.  Evidence is what stands at the start of the clipped episode, so that it needs no more look-back than the measure.
    For a sequence it is the chain in that window whose last event is the latest, then the one before, and so on; no
    other chain of the window starts later.
6.  A new value, or an awakening, is one (entity, value, instant), however often its entity or value comes again.
7.  The entity of first_seen is known by any matching event, also by one without a value.
8.  A sum over no value is 0, and an average over none is no measure. A day on which no group has an average is null.
    A day's peak of a sum is at least 0: some group is always empty.
9.  The peak of an average is exact, a Fraction.

baseline_oracle.py has the baseline. All take the lake's events up to T.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from itertools import combinations
from typing import Any

DAY = 86_400_000_000
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)

Key = tuple[str, ...]
Number = int | Decimal | Fraction


@dataclass(frozen=True)
class Event:
    """A row of the table of events."""

    at: int
    """`timestamp` in microseconds since 1970."""
    event_id: str = ""
    event_type: str = "login"
    user_id: str | None = None
    ip_address: str | None = None
    source: str = "auditlake"
    details: str | None = None


Condition = Callable[[Event], "bool | None"]
"""A condition: NULL and an error are no match."""
Expression = Callable[[Event], "Key | None"]
"""One or more expressions as a tuple; None where one of them is NULL or an error."""
Measure = Callable[[Key, int], "Number | None"]
"""What a group measures at an instant; None where there is nothing to measure."""


@dataclass(frozen=True)
class Ask:
    """What all kinds are asked; lengths and instants in microseconds."""

    since: int
    until: int
    window: int = DAY
    threshold: Number = 1
    matches: Condition = lambda _: True
    """Governed and `where`."""
    group: Expression = lambda _: ()


@dataclass(frozen=True)
class Step:
    """One step of `together` or `sequence`."""

    matches: Condition
    name: str = ""
    group: Expression | None = None
    """None: that of the policy."""
    count: int = 1
    window: int | None = None


@dataclass(frozen=True)
class Episode:
    """A maximal stretch at or above the threshold, clipped to the period."""

    group: Key
    start: int
    end: int | None
    """None while it is ongoing."""
    ongoing: bool
    started_before_period: bool
    peak: Number
    peak_at: int
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a kind says of a period."""

    episodes: tuple[Episode, ...]
    """By start, then by group."""
    daily_peaks: tuple[tuple[int, Number | None], ...]
    """The midnight of each day of the period, and the largest measure of the day."""
    ungrouped_events: int
    valueless_events: int = 0
    unjudged: int = 0


@dataclass(frozen=True, order=True)
class New:
    """A value that is new for its entity at an instant."""

    at: int
    entity: Key
    value: Key
    last_seen: int | None
    """The newest event of this entity and value before; None: never."""
    known_since: int | None
    """The oldest event of the entity within the memory, before this one."""


@dataclass(frozen=True, order=True)
class Awakening:
    """An entity that comes back at an instant after a silence."""

    at: int
    entity: Key
    silent_since: int


# --- Which events, which groups ---


def true(condition: Condition, event: Event) -> bool:
    """Return whether a condition is true; neither NULL nor an error is."""
    try:
        return condition(event) is True
    except Exception:
        return False


def value_of(expression: Expression, event: Event) -> Key | None:
    """Return the values of expressions, or None where one of them is NULL or an error."""
    try:
        values = expression(event)
    except Exception:
        return None
    return None if values is None or None in values else values


def matching(events: Iterable[Event], ask: Ask) -> list[Event]:
    """Return the governed events that match the policy's `where`."""
    return [e for e in events if true(ask.matches, e)]


def in_period(event: Event, ask: Ask) -> bool:
    """Return whether an event lies in `(since, until]`."""
    return ask.since < event.at <= ask.until


def in_window(at: int, t: int, window: int) -> bool:
    """Return whether an instant lies in `(t - window, t]`."""
    return t - window < at <= t


def groups_of(events: Iterable[Event], expression: Expression) -> set[Key]:
    """Return all groups of the events; an event without one is in none."""
    return {key for e in events if (key := value_of(expression, e)) is not None}


def ungrouped(events: Iterable[Event], ask: Ask) -> int:
    """Return how many matching events of the period have no group."""
    return sum(1 for e in events if in_period(e, ask) and value_of(ask.group, e) is None)


def valueless(events: Iterable[Event], ask: Ask, *expressions: Expression) -> int:
    """Return how many matching events of the period have a group and lack one of the values."""
    grouped = [e for e in events if in_period(e, ask) and value_of(ask.group, e) is not None]
    return sum(1 for e in grouped if any(value_of(expression, e) is None for expression in expressions))


def number(text: str | None) -> Decimal | None:
    """Return text as DECIMAL(38, 6), rounded half away from zero; None where it is no such number."""
    if text is None or not NUMBER.fullmatch(text):
        return None
    value = Decimal(text).quantize(Decimal("0.000001"), context=Context(prec=1000, rounding=ROUND_HALF_UP))
    return value if -(10**32) < value < 10**32 else None


# --- Episodes of a measure ---


def stretches(key: Key, measure: Measure, at: set[int], ask: Ask) -> list[Episode]:
    """Return the maximal stretches of one group with `measure >= threshold`, clipped to the period."""
    instants = sorted({ask.since} | {t for t in at if ask.since <= t <= ask.until})
    measured = [(t, measure(key, t)) for t in instants]
    high = [value is not None and value >= ask.threshold for _, value in measured]
    found = []
    for n, (start, _) in enumerate(measured):
        if not high[n] or (n > 0 and high[n - 1]):
            continue
        stop = next((m for m in range(n, len(measured)) if not high[m]), None)
        peak = max(value for _, value in measured[n:stop] if value is not None)
        peak_at = next(t for t, value in measured[n:stop] if value == peak)
        end = None if stop is None else measured[stop][0]
        found.append(Episode(key, start, end, end is None, start == ask.since, peak, peak_at))
    return found


def day_peaks(
    events: Sequence[Event], groups: set[Key], measure: Measure, at: set[int], ask: Ask, least: Number | None = 0
) -> tuple[tuple[int, Number | None], ...]:
    """Return each day's largest measure of any group at any moment of the period; null before the lake's first event.

    `least` is the measure of a group without events.
    """
    first_event = min((e.at for e in events), default=None)
    peaks: list[tuple[int, Number | None]] = []
    for day in range((ask.since + 1) // DAY * DAY, ask.until + 1, DAY):
        start, end = max(day, ask.since), min(day + DAY - 1, ask.until)
        moments = {start} | {t for t in at if start <= t <= end}
        values = [value for key in groups for t in moments if (value := measure(key, t)) is not None]
        values += [] if least is None else [least]
        unknown = first_event is None or day < first_event // DAY * DAY
        peaks.append((day, None if unknown else max(values, default=None)))
    return tuple(peaks)


def answer(
    events: Sequence[Event],
    ask: Ask,
    groups: set[Key],
    measure: Measure,
    *,
    evidence: Callable[[Episode], Mapping[str, Any]] = lambda _: {},
    least: Number | None = 0,
    ungrouped_events: int,
    valueless_events: int = 0,
) -> Answer:
    """Return episodes, daily peaks and counts of a measure over the window."""
    at = {t for e in events for t in (e.at, e.at + ask.window)}
    found = [episode for key in groups for episode in stretches(key, measure, at, ask)]
    return Answer(
        tuple(sorted((replace(e, evidence=evidence(e)) for e in found), key=place)),
        day_peaks(events, groups, measure, at, ask, least),
        ungrouped_events,
        valueless_events,
    )


def place(episode: Episode) -> tuple[int, Key]:
    """Return where an episode stands among the others."""
    return episode.start, episode.group


# --- distinct, sum, average ---


def distinct(events: Sequence[Event], ask: Ask, value: Expression) -> Answer:
    """Return where a group has `threshold` different values in the window."""
    known = matching(events, ask)

    def measure(key: Key, t: int) -> int:
        inside = [e for e in known if value_of(ask.group, e) == key and in_window(e.at, t, ask.window)]
        return len({value_of(value, e) for e in inside} - {None})

    return answer(
        events,
        ask,
        groups_of(known, ask.group),
        measure,
        ungrouped_events=ungrouped(known, ask),
        valueless_events=valueless(known, ask, value),
    )


def amount(expression: Expression, event: Event) -> Decimal | None:
    """Return the number that an event brings."""
    values = value_of(expression, event)
    return number(values[0]) if values else None


def total(events: Sequence[Event], ask: Ask, value: Expression, *, average: bool = False) -> Answer:
    """Return where the sum, or the average, of a group's numbers in the window is at least `threshold`.

    The threshold of a sum is above 0.
    """
    known = matching(events, ask)

    def measure(key: Key, t: int) -> Fraction | None:
        inside = [e for e in known if value_of(ask.group, e) == key and in_window(e.at, t, ask.window)]
        numbers = [Fraction(v) for e in inside if (v := amount(value, e)) is not None]
        if average:
            return sum(numbers, start=Fraction(0)) / len(numbers) if numbers else None
        return sum(numbers, start=Fraction(0))

    return answer(
        events,
        ask,
        groups_of(known, ask.group),
        measure,
        least=None if average else 0,
        ungrouped_events=ungrouped(known, ask),
        valueless_events=valueless(known, ask, lambda e: (amount(value, e),)),
    )


# --- together, sequence ---


def serves(event: Event, step: Step, key: Key, ask: Ask) -> bool:
    """Return whether an event is one of a step's in a group."""
    return true(step.matches, event) and value_of(step.group or ask.group, event) == key


def step_groups(known: Sequence[Event], steps: Sequence[Step], ask: Ask) -> set[Key]:
    """Return every group of every step."""
    return {key for s in steps for key in groups_of([e for e in known if true(s.matches, e)], s.group or ask.group)}


def ungrouped_by_steps(known: Sequence[Event], steps: Sequence[Step], ask: Ask) -> int:
    """Return how many matching events of the period are in no group, under none of their steps."""
    keys = [
        {value_of(x, e) for x in [s.group or ask.group for s in steps if true(s.matches, e)] or [ask.group]}
        for e in known
        if in_period(e, ask)
    ]
    return keys.count({None})


def together(
    events: Sequence[Event],
    ask: Ask,
    steps: Sequence[Step],
    condition: Callable[[frozenset[str]], bool] | None = None,
) -> Answer:
    """Return where `threshold` steps are present in the window, or where the condition over their names holds."""
    known = matching(events, ask)

    def present(key: Key, t: int) -> list[int]:
        inside = [e for e in known if in_window(e.at, t, ask.window)]
        return [n for n, step in enumerate(steps) if any(serves(e, step, key, ask) for e in inside)]

    def measure(key: Key, t: int) -> int:
        numbers = present(key, t)
        if condition is None:
            return len(numbers)
        return int(bool(numbers) and condition(frozenset(steps[n].name for n in numbers)))

    return answer(
        events,
        ask,
        step_groups(known, steps, ask),
        measure,
        evidence=lambda e: {"present": tuple(present(e.group, e.start))},
        ungrouped_events=ungrouped_by_steps(known, steps, ask),
    )


def in_order(known: Sequence[Event], key: Key, ask: Ask, steps: Sequence[Step]) -> list[Event]:
    """Return the events of a group that serve a step, in the order of the definition."""

    def rank(event: Event) -> tuple[int, int, int, str, str]:
        numbers = [n for n, step in enumerate(steps) if serves(event, step, key, ask)]
        return event.at, max(numbers), min(numbers), event.source, event.event_id

    return sorted((e for e in known if any(serves(e, step, key, ask) for step in steps)), key=rank)


def chains(known: Sequence[Event], key: Key, ask: Ask, steps: Sequence[Step], until: Condition | None) -> list[Any]:
    """Return every chain of a group that counts: as many events as the steps ask for, by their places in the order."""
    last = [] if until is None else [Step(until)]
    ordered = in_order(known, key, ask, [*steps, *last])
    length = sum(step.count for step in steps)
    found = [[(n, ordered[n]) for n in places] for places in combinations(range(len(ordered)), length)]
    return [
        chain
        for chain in found
        if is_chain([e for _, e in chain], key, ask, steps)
        and not any(serves(e, step, key, ask) for step in last for e in ordered[chain[0][0] + 1 : chain[-1][0]])
    ]


def is_chain(picked: Sequence[Event], key: Key, ask: Ask, steps: Sequence[Step]) -> bool:
    """Return whether events in their order fill all steps, each step's within the step's own window."""
    for step in steps:
        own, picked = picked[: step.count], picked[step.count :]
        if not all(serves(e, step, key, ask) for e in own):
            return False
        if step.window is not None and own[-1].at - own[0].at >= step.window:
            return False
    return True


def sequence(events: Sequence[Event], ask: Ask, steps: Sequence[Step], until: Condition | None = None) -> Answer:
    """Return where a whole chain lies in the window.

    Evidence: `steps`, the instants of the chain that stands at the start; `completions`, how many events of the group
    in the period complete a chain that fits into the window.
    """
    known = matching(events, ask)
    groups = step_groups(known, steps, ask)
    counting = {key: chains(known, key, ask, steps, until) for key in groups}

    def inside(key: Key, t: int) -> list[Any]:
        return [c for c in counting[key] if all(in_window(e.at, t, ask.window) for _, e in c)]

    def evidence(episode: Episode) -> Mapping[str, Any]:
        candidates = inside(episode.group, episode.start)
        best = max(candidates, key=lambda chain: [n for n, _ in reversed(chain)])
        assert best[0][0] == max(chain[0][0] for chain in candidates), "the latest chain starts latest"
        ends = {c[-1] for c in counting[episode.group] if c[-1][1].at - c[0][1].at < ask.window}
        return {
            "steps": tuple(e.at for _, e in best),
            "completions": sum(1 for _, e in ends if in_period(e, ask)),
        }

    return answer(
        events,
        ask,
        groups,
        lambda key, t: int(bool(inside(key, t))),
        evidence=evidence,
        ungrouped_events=ungrouped_by_steps(known, steps, ask),
    )


# --- first_seen, dormant ---


def first_seen(
    events: Sequence[Event], ask: Ask, *, value: Expression, entity: Expression, memory: int, learn: int = 0
) -> Answer:
    """Return where `threshold` values are new for their entities in the window. Evidence: `new`, those values."""
    known = matching(events, ask)

    def new(event: Event) -> New | None:
        u, v, t = value_of(entity, event), value_of(value, event), event.at
        if u is None or v is None:
            return None
        of_entity = [e.at for e in known if value_of(entity, e) == u]
        seen = [e.at for e in known if value_of(entity, e) == u and value_of(value, e) == v and e.at < t]
        if any(t - memory < x < t for x in seen):
            return None
        if learn > 0 and not any(t - memory < x <= t - learn for x in of_entity):
            return None
        return New(t, u, v, max(seen, default=None), min((x for x in of_entity if t - memory < x < t), default=None))

    return moments(events, ask, [(e, found) for e in known if (found := new(e))], "new", value, entity)


def dormant(events: Sequence[Event], ask: Ask, *, entity: Expression, silence: int) -> Answer:
    """Return where `threshold` entities come back after a silence. Evidence: `awakenings`, those that did."""
    known = matching(events, ask)

    def awakening(event: Event) -> Awakening | None:
        u, t = value_of(entity, event), event.at
        before = [e.at for e in known if u is not None and value_of(entity, e) == u and e.at < t]
        return Awakening(t, u, max(before)) if u is not None and before and max(before) <= t - silence else None

    return moments(events, ask, [(e, found) for e in known if (found := awakening(e))], "awakenings", entity)


def moments(
    events: Sequence[Event],
    ask: Ask,
    found: Sequence[tuple[Event, New | Awakening]],
    name: str,
    *expressions: Expression,
) -> Answer:
    """Return where a group has `threshold` different moments in the window; each counts once in a group."""
    known = matching(events, ask)

    def inside(key: Key, t: int) -> set[New | Awakening]:
        return {m for e, m in found if value_of(ask.group, e) == key and in_window(m.at, t, ask.window)}

    return answer(
        events,
        ask,
        groups_of(known, ask.group),
        lambda key, t: len(inside(key, t)),
        evidence=lambda e: {name: tuple(sorted(inside(e.group, e.start)))},
        ungrouped_events=ungrouped(known, ask),
        valueless_events=valueless(known, ask, *expressions),
    )
