"""A condition as a tree: what it is in SQL, and whether it can hold where some fields are in no event."""

from __future__ import annotations

from dataclasses import dataclass

_WIDTH = 100
"""From how many characters on each part of a condition stands on a line of its own."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison, null or false where its fields are not there unless ``absent``."""

    sql: str
    fields: tuple[str, ...] = ()
    absent: bool = False
    """What it is where none of its fields is there."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold: where a field is not there, Sigma has false, and SQL null."""

    part: Condition


Condition = Comparison | AllOf | AnyOf | Not
ALWAYS = Comparison("true", absent=True)


def every(*parts: Condition) -> Condition:
    """Return that all of these hold."""
    return _joined(AllOf, parts)


def some(*parts: Condition) -> Condition:
    """Return that one of these holds."""
    return _joined(AnyOf, parts)


def _joined(kind: type[AllOf | AnyOf], parts: tuple[Condition, ...]) -> Condition:
    flat: dict[Condition, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return kind(tuple(flat)) if len(flat) > 1 else next(iter(flat), ALWAYS)


def sql_of(condition: Condition, indent: int = 0) -> str:
    """Return the condition in SQL; a long one on several lines.

    Args:
        condition: The condition.
        indent: By how many blanks its further lines are indented.
    """
    if isinstance(condition, Comparison):
        return condition.sql
    if isinstance(condition, Not):
        return f"not coalesce({sql_of(condition.part, indent)}, false)"
    word = "and" if isinstance(condition, AllOf) else "or"
    parts = [_bracketed(part, indent + 2) for part in condition.parts]
    line = f" {word} ".join(parts)
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    return f"\n{' ' * indent}{word} ".join(parts)


def _bracketed(part: Condition, indent: int) -> str:
    text = sql_of(part, indent)
    return f"({text})" if isinstance(part, AllOf | AnyOf) else text


def can_hold(condition: Condition, unseen: frozenset[str]) -> bool:
    """Return whether a condition can hold for an event that has none of these fields."""
    return True in _values(condition, unseen)


def _values(condition: Condition, unseen: frozenset[str]) -> frozenset[bool]:
    if isinstance(condition, Comparison):
        known = unseen.intersection(condition.fields) or not condition.fields
        return frozenset({condition.absent}) if known else frozenset({True, False})
    if isinstance(condition, Not):
        return frozenset(not value for value in _values(condition.part, unseen))
    values = [_values(part, unseen) for part in condition.parts]
    decisive = isinstance(condition, AnyOf)  # one such part decides
    found = {decisive} if any(decisive in each for each in values) else set()
    if all((not decisive) in each for each in values):
        found.add(not decisive)
    return frozenset(found)
