"""What is kept equally long is one retention class, and there are not too many of them."""

from __future__ import annotations

from auditlake.events.durations import Duration, parse_duration
from auditlake.policies.classes import retention_classes
from auditlake.policies.model import Policy

TYPES = ("a", "b", "c", "d")


def length(text: str, field: str = "retention_period") -> Duration:
    return parse_duration(text, field)


def policy(name: str, types: str, kept: str | None = None, limit: str | None = None) -> Policy:
    return Policy(
        name, name, "", tuple(types), length(kept) if kept else None,
        max_retention=length(limit, "max_retention") if limit else None,
    )  # fmt: skip


def test_the_longest_counts() -> None:
    """The longest retention_period of a type, else default_retention, else for ever, however it is spelled."""
    policies = [policy("x", "ab", "30d"), policy("y", "b", "90d"), policy("z", "c")]

    assert retention_classes(policies, None, TYPES, 8) == {"a": "30d", "b": "90d", "c": "ever", "d": "ever"}
    default = retention_classes(policies, length("720h"), TYPES, 8)
    assert default == {"a": "30d", "b": "90d", "c": "30d", "d": "30d"}
    assert retention_classes([policy("x", "a", "36h")], length("90min"), "ab", 8) == {"a": "36h", "b": "5400000000us"}


def test_a_limit_makes_another_class() -> None:
    """Types whose personal data must go at another time lie apart; the shortest limit counts."""
    policies = [policy("x", "abc", "90d"), policy("y", "b", None, "30d"), policy("z", "bc", None, "60d")]

    assert retention_classes(policies, None, TYPES, 8) == {"a": "90d", "b": "90d/30d", "c": "90d/60d", "d": "ever"}


def test_there_are_not_too_many() -> None:
    """Of more classes than there may be, those that are kept the longest share one."""
    policies = [policy(name, name, f"{10 * at}d") for at, name in enumerate("abc", 1)]

    assert retention_classes(policies, None, TYPES, 3) == {"a": "10d", "b": "20d", "c": "rest", "d": "rest"}
    assert set(retention_classes(policies, None, TYPES, 1).values()) == {"rest"}
