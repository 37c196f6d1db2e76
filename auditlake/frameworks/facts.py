"""What a lake holds, as far as frameworks ask: counted once for all packs, by ``lake_facts.py``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from auditlake.engine.sql_text import Batches
from auditlake.policies.deleted_days import Deletion
from auditlake.store.batches import has_batch


@dataclass(frozen=True, slots=True)
class Count:
    """The events of one type from one source, of one day of the period or of all instants outside of it."""

    event_type: str
    source: str
    day: date | None
    """UTC; None: outside of the period, up to as_of."""
    events: int
    first: datetime
    last: datetime
    filled: tuple[int, ...] = ()
    """How many have a value in each of :attr:`Facts.columns`; none are counted outside of the period."""


@dataclass(frozen=True, slots=True)
class Look:
    """The events of one type and batch within one unit of time, for those who look later."""

    start: datetime
    event_type: str
    batch: int
    events: int
    users: frozenset[str]
    """Those of their users who gave reviews."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the lake holds, as of as_of."""

    received: bool = False
    """Whether any event lies in the period, those aside that auditlake writes about itself."""
    first_event: datetime | None = None
    """The lake's first event up to as_of, the same aside."""
    columns: tuple[str, ...] = ()
    """The columns that were looked into."""
    counts: Sequence[Count] = ()
    """By type, source and day, those among them that auditlake writes about itself."""
    arrived: Mapping[str, int] = field(default_factory=dict)
    """By source, the period's events, those aside that auditlake writes about itself."""
    history: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By length in microseconds and source, the period's events that came in loads marked as history, of such loads in
    which an event arrived later than that."""
    late: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By length in microseconds and source, the events that arrived later than that and not as history."""
    ahead: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By length in microseconds and source, the period's events that are dated further ahead of their arrival."""
    looks: Sequence[Look] = ()
    """The events of the types that reviews are about, by time; units of time no longer than the shortest interval."""
    batches: Mapping[int, Batches] = field(default_factory=dict)
    """By snapshot, the batches in it, for the snapshots that reviews were of."""
    deletions: Sequence[Deletion] = ()
    older: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By length in microseconds and event type, the events that should have gone the day before, holds aside."""
    named: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By length in microseconds and event type, the events older than that which still name a person, holds aside."""

    def came_after(self, start: datetime, end: datetime, after: Mapping[str, int]) -> tuple[int, frozenset[str]]:
        """Return how many events of an interval came after a look, and which reviewers are users of its events.

        Args:
            start, end: The interval, the end exclusive.
            after: By event type, the last snapshot that was looked at.
        """
        events, users = 0, set[str]()
        for look in self.looks[bisect_left(self.looks, start, key=lambda each: each.start) :]:
            if look.start >= end:
                break
            if look.event_type in after:
                users |= look.users
                seen = self.batches.get(after[look.event_type], ())
                events += 0 if has_batch(seen, look.batch) else look.events
        return events, frozenset(users)


NO_FACTS = Facts()
"""A lake without events."""
