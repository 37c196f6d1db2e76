"""What a mapping is once its file is read: what recognises, cuts and maps the records of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COLUMNS = ("event_id", "timestamp", "user_id", "action", "resource", "status", "session_id", "ip_address")
"""The columns of an event that a mapping gives a value each."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The keys by which a record shows its source: at least ``enough`` of ``keys``, or any of ``alone``."""

    keys: frozenset[str]
    enough: int
    alone: frozenset[str] = frozenset()

    def fit(self, keys: frozenset[str]) -> bool:
        """Return whether an object with these keys has them."""
        return len(self.keys & keys) >= self.enough or bool(self.alone & keys)


@dataclass(frozen=True, slots=True)
class MappingTest:
    """A test that stands in a mapping's file: a record, and what must come of it."""

    name: str
    record: str
    """The record as JSON text, or as a line."""
    expect: tuple[Mapping[str, Any], ...] = ()
    """Of each event that must come of it, the columns that the test is about."""
    skipped: str = ""
    """The name under which the record must be left out instead; or empty."""
    quarantined: str = ""
    """How the reason must begin for which it is refused instead; or empty."""
    line: int = 1
    """The test's line in the file."""


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """A source's mapping, checked and compiled."""

    label: str
    """What ``metadata.mapping`` of its events says: source and version; of a user's file also its digest."""
    statement: str
    """The statement that maps ``records``, like those of ``sql/sources``."""
    paths: tuple[str, ...]
    """Every JSON path of a record that the mapping reads."""
    event_types: tuple[str, ...]
    """The event types that its events can have, in the mapping's order."""
    skips: tuple[str, ...] = ()
    """The names under which records are left out."""
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each name that Sigma's rules use, the JSON paths of its places in ``details``: the first that is there counts.
    ``[*]`` in a path stands for every element of a list."""
    tests: tuple[MappingTest, ...] = ()
    digest: str = ""
    """``sha256:`` and the digest of the file."""
    each: tuple[str | int, ...] = ()
    """The steps to the elements of which each gives an event, ``*`` for every element of a list; empty without."""
    events: int = 1
    """How many events a record, or an element of that list, may give."""
    underivable: frozenset[str] = frozenset()
    """The columns whose expressions read what an event's ``details`` do not have: the record around another, and what
    stands beside the list."""
