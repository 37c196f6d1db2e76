"""What retention means, in plain Python: docs/reference/semantics.md, Retention, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Rule:
    """A policy, as far as retention goes."""

    name: str
    types: tuple[str, ...]
    days: float | None
    limit: float | None = None
    gone: float | None = None
    """After how many days the whole event must be gone."""


@dataclass(frozen=True)
class Kept:
    """A hold."""

    name: str
    types: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Event:
    """An event."""

    id: str
    kind: str
    at: datetime
    user: str | None


def midnight(as_of: datetime) -> datetime:
    return datetime(as_of.year, as_of.month, as_of.day, tzinfo=as_of.tzinfo)


def holds_on(event: Event, holds: Sequence[Kept]) -> list[str]:
    """The holds that an event is under."""
    return [
        hold.name
        for hold in holds
        if (not hold.types or event.kind in hold.types)
        and (not hold.users or event.user in hold.users)
        and (hold.since is None or hold.since <= event.at)
        and (hold.until is None or event.at <= hold.until)
    ]


def keeper(event: Event, rules: Sequence[Rule]) -> Rule | None:
    """The policy that keeps it the longest, the first by name among equals."""
    found = [rule for rule in rules if event.kind in rule.types and rule.days is not None]
    return min(found, key=lambda rule: (-(rule.days or 0), rule.name), default=None)


def ender(event: Event, rules: Sequence[Rule]) -> Rule | None:
    """The policy by which it must be gone the soonest, the first by name among equals."""
    found = [rule for rule in rules if event.kind in rule.types and rule.gone is not None]
    return min(found, key=lambda rule: (rule.gone or 0, rule.name), default=None)


def verdict(
    event: Event, rules: Sequence[Rule], holds: Sequence[Kept], default: float | None, as_of: datetime
) -> tuple[str, str | None]:
    """``held``, ``due`` by a rule, ``kept`` by a policy, or ``ungoverned``."""
    if holds_on(event, holds):
        return "held", None
    rule, end = keeper(event, rules), ender(event, rules)
    if rule is None and end is not None and end.gone is not None and (default is None or end.gone <= default):
        ends = event.at + timedelta(days=end.gone)
        is_due = ends < midnight(as_of) + timedelta(days=1) and event.at < as_of
        return ("due" if is_due else "kept"), end.name
    days = rule.days if rule else default
    if days is not None and event.at + timedelta(days=days) < midnight(as_of):
        return "due", rule.name if rule else "default_retention"
    return ("kept", rule.name) if rule else ("ungoverned", None)


def limited_by(event: Event, rules: Sequence[Rule], as_of: datetime) -> str | None:
    """The policy whose max_retention ends by the end of the day, the shortest first."""
    found = [rule for rule in rules if event.kind in rule.types and rule.limit is not None]
    rule = min(found, key=lambda rule: (rule.limit, rule.name), default=None)
    if rule is None or rule.limit is None or event.at > as_of:
        return None
    return rule.name if event.at + timedelta(days=rule.limit) < midnight(as_of) + timedelta(days=1) else None
