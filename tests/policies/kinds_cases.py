"""Random small cases for every question kind: events, a policy as its YAML says it, and the answer.

Instants lie on whole hours, or 1 µs beside them, and so do windows, so that most events tie, touch, or lie exactly one
window apart. The hours cross a midnight. `case(kind, seed)` is always the same case, and `smallest` takes away what a
difference does not need.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.policies.baseline_oracle import Baseline, baseline
from tests.policies.kinds_oracle import (
    Answer,
    Ask,
    Condition,
    Event,
    Expression,
    Key,
    Step,
    distinct,
    dormant,
    first_seen,
    sequence,
    together,
    total,
)

HOUR = 3_600_000_000
BASE = 1_772_481_600_000_000
"""2026-03-02T20:00Z, a Monday."""
GOVERNED = ("login", "auth_failure", "logout")
AMOUNTS = ("1", "1", "2", "2.5", "-1", "-2.5", "0.000001", "100", "x", "", None)

Where = tuple[str | None, Condition]
"""A condition in SQL, and in Python."""
Columns = tuple[list[str], Expression]
"""Expressions in SQL, and in Python."""


@dataclass(frozen=True)
class Case:
    """A question, and what it is asked about."""

    kind: str
    events: tuple[Event, ...]
    policy: Mapping[str, Any]
    """The keys that the policy's YAML needs, beside its names and its retention."""
    since: int
    until: int
    as_of: int
    """`until`, or later."""
    judge: Callable[[Sequence[Event]], Answer] = field(repr=False)

    @property
    def answer(self) -> Answer:
        """What the definitions say."""
        return self.judge([e for e in self.events if e.at <= self.as_of])


def instant(at: int) -> datetime:
    """Return the aware datetime of so many microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def row(event: Event) -> dict[str, Any]:
    """Return an event as a row of a table `events`."""
    columns = ("event_id", "event_type", "user_id", "ip_address", "source", "details")
    return {"timestamp": instant(event.at), **{column: getattr(event, column) for column in columns}}


# --- Conditions and expressions ---


def equal(a: str | None, b: str) -> bool | None:
    """SQL `a = b`."""
    return None if a is None else a == b


def number_of(e: Event) -> str | None:
    """SQL `details ->> '$.n'`."""
    return None if e.details is None else json.loads(e.details).get("n")


def all_of(*values: str | None) -> Key | None:
    """Values as a tuple, None where one of them is."""
    return None if None in values else values  # type: ignore[return-value]


WHERES: tuple[Where, ...] = (
    (None, lambda _: True),
    (None, lambda _: True),
    ("ip_address <> '1'", lambda e: None if e.ip_address is None else e.ip_address != "1"),
    ("user_id = 'a' or source = 's'", lambda e: True if e.source == "s" else equal(e.user_id, "a")),
)
GROUPINGS: tuple[Columns, ...] = (
    ([], lambda _: ()),
    (["user_id"], lambda e: all_of(e.user_id)),
    (["user_id"], lambda e: all_of(e.user_id)),
    (["user_id", "source"], lambda e: all_of(e.user_id, e.source)),
)
ENTITIES: tuple[Columns, ...] = (*GROUPINGS[:2], (["source"], lambda e: all_of(e.source)))
VALUES: tuple[Columns, ...] = (
    (["ip_address"], lambda e: all_of(e.ip_address)),
    (["ip_address", "event_type"], lambda e: all_of(e.ip_address, e.event_type)),
    (["details ->> '$.n'"], lambda e: all_of(number_of(e))),
)
STEPS: tuple[tuple[str, Condition], ...] = (
    ("event_type = 'auth_failure'", lambda e: e.event_type == "auth_failure"),
    ("event_type = 'login'", lambda e: e.event_type == "login"),
    ("event_type <> 'logout'", lambda e: e.event_type != "logout"),
    ("ip_address = '1'", lambda e: equal(e.ip_address, "1")),
    ("true", lambda _: True),
)
CONDITIONS: tuple[tuple[str, Callable[[frozenset[str]], bool]], ...] = (
    ("s1 and not s2", lambda p: "s1" in p and "s2" not in p),
    ("s1 or s3", lambda p: bool({"s1", "s3"} & p)),
    ("not s1", lambda p: "s1" not in p),
    ("not (s1 and s2)", lambda p: not {"s1", "s2"} <= p),
    ("s1 and (s2 or not s3)", lambda p: "s1" in p and ("s2" in p or "s3" not in p)),
)


# --- Events, periods, what all kinds are asked ---


def point(rng: Random, hours: int) -> int:
    """An instant on a whole hour, seldom 1 µs beside it."""
    return BASE + rng.randint(0, hours) * HOUR + rng.choice((0, 0, 0, 0, 0, 0, -1, 1))


def event(rng: Random, number: int, hours: int) -> Event:
    """An event; ids are in another order than numbers."""
    amount = rng.choice(AMOUNTS)
    return Event(
        at=point(rng, hours),
        event_id=f"{number * 7 % 31:02}",
        event_type=rng.choice((*GOVERNED, *GOVERNED, "data_access")),
        user_id=rng.choice(("a", "a", "a", "b", None)),
        ip_address=rng.choice(("1", "1", "2", "3", None)),
        source=rng.choice(("r", "s")),
        details={None: None, "": "{}"}.get(amount, json.dumps({"n": amount})),
    )


def period(rng: Random, hours: int) -> tuple[int, int]:
    """(since, until) that cut anywhere, from 1 µs to more than all of the time."""
    since = rng.choice((point(rng, hours), BASE - 2 * HOUR))
    return since, since + rng.choice((1, HOUR, 2 * HOUR, 2 * HOUR + 1, 4 * HOUR, hours * HOUR, 40 * HOUR))


def text(hours: int) -> str:
    """A length as a policy says it."""
    return f"{hours}h"


@dataclass(frozen=True)
class Common:
    """The parts of a case that every kind has."""

    events: tuple[Event, ...]
    ask: Ask
    as_of: int
    policy: dict[str, Any]

    def case(self, kind: str, keys: Mapping[str, Any], judge: Callable[[Sequence[Event]], Answer]) -> Case:
        """Return the case of a kind with its own keys."""
        return Case(kind, self.events, {**self.policy, **keys}, self.ask.since, self.ask.until, self.as_of, judge)


def common(
    rng: Random,
    thresholds: Sequence[int | float] = (1, 2, 2, 3),
    *,
    groupings: Sequence[Columns] = GROUPINGS,
    least: int = 0,
    most: int = 12,
    hours: int = 8,
) -> Common:
    """Events, a period, and the keys that every policy has."""
    since, until = period(rng, hours)
    where, matches = rng.choice(WHERES)
    columns, group = rng.choice(groupings)
    window, threshold = rng.randint(1, 5), rng.choice(thresholds)

    def governed(e: Event) -> bool | None:
        return matches(e) if e.event_type in GOVERNED else False

    ask = Ask(since, until, window * HOUR, Decimal(str(threshold)), governed, group)
    policy = {"required_events": list(GOVERNED), "coverage": "optional", "window": text(window)}
    policy |= {"alert_threshold": threshold, "group_by": columns} | ({"where": where} if where else {})
    events = tuple(event(rng, n, hours) for n in range(rng.randint(least, most)))
    return Common(events, ask, until + rng.choice((0, 0, 1, 3 * HOUR, 50 * HOUR)), policy)


def one_or_list(columns: list[str]) -> str | list[str]:
    """A single expression without its list."""
    return columns[0] if len(columns) == 1 else columns


# --- The kinds ---


def distinct_case(rng: Random) -> Case:
    """A case of `distinct`."""
    c = common(rng)
    sql, value = rng.choice(VALUES)
    return c.case("distinct", {"distinct": one_or_list(sql)}, lambda events: distinct(events, c.ask, value))


def total_case(rng: Random, kind: str) -> Case:
    """A case of `sum` or `average`."""
    c = common(rng, (0.5, 1, 2.5, 3) if kind == "sum" else (-1, 0, 0.5, 1, 1.75))
    (sql,), value = VALUES[2]
    return c.case(kind, {kind: sql}, lambda events: total(events, c.ask, value, average=kind == "average"))


def step(rng: Random, n: int) -> tuple[dict[str, Any], Step]:
    """A step as a policy says it and as the oracle takes it; one event may match several."""
    sql, matches = rng.choice(STEPS)
    types = rng.choice((None, None, ("login", "logout")))
    keys: dict[str, Any] = {"name": f"s{n}", "where": sql} | ({"types": list(types)} if types else {})
    return keys, Step(lambda e: matches(e) if types is None or e.event_type in types else False, f"s{n}")


def together_case(rng: Random) -> Case:
    """A case of `together`: all steps, some of them, or a condition."""
    c = common(rng)
    how = rng.choice(("all", "some", "condition"))
    steps = [step(rng, n + 1) for n in range(3 if how == "condition" else rng.randint(2, 4))]
    own = [s for _, s in steps]
    sql, condition = rng.choice(CONDITIONS) if how == "condition" else (None, None)
    threshold = {"all": len(own), "some": rng.randint(1, len(own)), "condition": 1}[how]
    keys = {"together": [said for said, _ in steps], "alert_threshold": threshold}
    keys |= {"condition": sql} if sql else {}
    ask = replace(c.ask, threshold=threshold)
    return c.case("together", keys, lambda events: together(events, ask, own, condition))


def sequence_case(rng: Random) -> Case:
    """A case of `sequence` with counts, windows of steps, and `until`; a chain has at most five events."""
    c = common(rng, (1,), groupings=GROUPINGS[:3], least=6, most=11, hours=6)
    said, own = [], []
    for n, most in enumerate(rng.choice(((3,), (1, 3), (3, 1), (2, 2), (1, 1), (1, 1, 1), (1, 3, 1), (2, 1, 2)))):
        keys, s = step(rng, n + 1)
        count = rng.randint(1, most)
        window = rng.choice((None, 1, 2)) if count > 1 else None
        said.append(keys | ({"count": count} if count > 1 else {}) | ({"window": text(window)} if window else {}))
        own.append(replace(s, count=count, window=window and window * HOUR))
    until, ends = rng.choice(((None, None), (None, None), *STEPS[:4]))
    keys = {"sequence": said} | ({"until": until} if until else {})
    return c.case("sequence", keys, lambda events: sequence(events, c.ask, own, ends))


def counted_by(rng: Random, c: Common, entity: Columns) -> Common:
    """The grouping of first_seen and dormant: given, or left out and so that of the entity."""
    if rng.random() < 0.5:
        return c
    policy = {key: value for key, value in c.policy.items() if key != "group_by"}
    return replace(c, policy=policy, ask=replace(c.ask, group=entity[1]))


def first_seen_case(rng: Random) -> Case:
    """A case of `first_seen` with or without learning, counted by the entity or otherwise."""
    (entity, u), (value, v) = rng.choice(ENTITIES), rng.choice(VALUES)
    c = counted_by(rng, common(rng, (1, 1, 2)), (entity, u))
    memory = rng.randint(1, 5)
    learn = rng.randint(0, memory - 1)
    keys: dict[str, Any] = {"value": value, "entity": entity, "memory": text(memory)}
    keys |= {"learn": text(learn)} if learn else {}
    lengths = {"memory": memory * HOUR, "learn": learn * HOUR}
    return c.case(
        "first_seen", {"first_seen": keys}, lambda events: first_seen(events, c.ask, value=v, entity=u, **lengths)
    )


def dormant_case(rng: Random) -> Case:
    """A case of `dormant`, counted by the entity or otherwise."""
    entity, u = rng.choice(ENTITIES[1:])
    c = counted_by(rng, common(rng, (1, 1, 2)), (entity, u))
    hours = rng.randint(1, 5)
    keys = {"dormant": {"entity": entity, "silence": text(hours)}}
    return c.case("dormant", keys, lambda events: dormant(events, c.ask, entity=u, silence=hours * HOUR))


def baseline_case(rng: Random, direction: str) -> Case:
    """A case of `baseline`: a zone that is ahead has its midnight, from which buckets are counted, earlier."""
    c = common(rng, (1, 1, 2), groupings=GROUPINGS[:3], most=24, hours=12)
    policy = {key: value for key, value in c.policy.items() if key != "window"}
    season, seasons = rng.randint(1, 3), rng.randint(1, 4)
    at_least, ratio = rng.randint(1, seasons), rng.choice((1, 1.5, 2, 1.01))
    hours, offset = rng.choice((1, 1, 1, 2)), rng.choice((0, 0, 30, -30, 90))
    season *= hours
    asked = Baseline(
        hours * HOUR, season * HOUR, seasons, at_least, Decimal(str(ratio)), direction == "below", -offset * HOUR // 60
    )
    keys = {"bucket": text(hours), "season": text(season), "seasons": seasons, "at_least": at_least, "ratio": ratio}
    keys |= {
        "direction": direction,
        "offset": f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}",
    }
    return replace(c, policy=policy).case("baseline", {"baseline": keys}, lambda events: baseline(events, c.ask, asked))


KINDS: Mapping[str, Callable[[Random], Case]] = {
    "distinct": distinct_case,
    "sum": lambda rng: total_case(rng, "sum"),
    "average": lambda rng: total_case(rng, "average"),
    "together": together_case,
    "sequence": sequence_case,
    "first_seen": first_seen_case,
    "dormant": dormant_case,
    "baseline above": lambda rng: baseline_case(rng, "above"),
    "baseline below": lambda rng: baseline_case(rng, "below"),
}


def case(kind: str, seed: int) -> Case:
    """Return the case of a kind of KINDS that a seed gives."""
    return KINDS[kind](Random(f"{kind} {seed}"))


def smallest(failing: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a failing case without the events that its failure does not need."""
    for event_ in failing.events:
        smaller = replace(failing, events=tuple(e for e in failing.events if e is not event_))
        if fails(smaller):
            return smallest(smaller, fails)
    return failing
