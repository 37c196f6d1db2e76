"""Retention classes: what is kept equally long, so that it lies together and leaves together."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from auditlake.events.durations import Duration, length_of
from auditlake.policies.model import Policy, longest_retention, shortest_limit

EVER = "ever"
"""The class of what nothing ends."""
REST = "rest"
"""The class of what is kept longer than all classes that there may be."""
_HOUR = 3_600_000_000


def retention_classes(
    policies: Sequence[Policy], default_retention: Duration | None, event_types: Collection[str], most: int
) -> dict[str, str]:
    """Return the retention class of each event type: how long its events are kept, and how long personal data in them.

    Lengths are written in days, hours or microseconds, whatever a policy says: those that are equal are one class.

    Args:
        policies: What keeps events.
        default_retention: How long events are kept that no policy keeps; for ever if None.
        event_types: All types that there may be.
        most: How many classes there may be; those that are kept the longest share one if there were more.
    """
    lengths = {name: _lengths(name, policies, default_retention) for name in event_types}
    ordered = sorted(set(lengths.values()), key=lambda pair: tuple(each or float("inf") for each in pair))
    names = {pair: _name(*pair) for pair in ordered}
    if len(ordered) > most:
        names |= dict.fromkeys(ordered[most - 1 :], REST)
    return {name: names[pair] for name, pair in sorted(lengths.items())}


def _lengths(event_type: str, policies: Sequence[Policy], default: Duration | None) -> tuple[int, int]:
    """Return for how many microseconds events of a type, and personal data in them, are kept; 0: for ever."""
    limits = {of: shortest_limit(event_type, policies, of) for of in ("personal_data", "event")}
    person, event = limits["personal_data"], limits["event"]
    if keeper := longest_retention(event_type, policies):
        kept = length_of(keeper.retention_period)
    else:  # what must be gone goes sooner than what nothing keeps
        ends = (length_of(default), length_of(event.max_event_retention) if event else 0)
        kept = min(filter(None, ends), default=0)
    return kept, length_of(person.max_retention) if person else 0


def _name(kept: int, limit: int) -> str:
    return f"{_written(kept)}/{_written(limit)}" if limit else _written(kept)


def _written(length: int) -> str:
    if not length:
        return EVER
    hours, rest = divmod(length, _HOUR)
    if rest:
        return f"{length}us"
    return f"{hours}h" if hours % 24 else f"{hours // 24}d"
