"""The plan of a remap as data: which events get other columns, what of retention and holds changes, what is left."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import reduce
from operator import add
from typing import Any

from auditlake.display.cards import Card, CardFact, Shown, cells, cut
from auditlake.display.text import count, moment
from auditlake.events.times import print_instant
from auditlake.retention.terms import Length, State, kept, limit
from auditlake.store.model import DataFile

COLUMNS = ("event_type", "user_id", "action", "resource", "status", "metadata", "session_id", "ip_address")
"""The columns that are derived anew."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DerivedDay:
    """What the mapping makes of a day's events of the source."""

    day: date
    files: tuple[DataFile, ...]
    looked_at: int
    """Events of the source."""
    types: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The events that change, by their type before and after."""
    columns: Counter[str] = field(default_factory=Counter)
    """How many of them have another value in each column."""
    erased: int = 0
    """How many of them were erased."""
    left: Counter[str] = field(default_factory=Counter)
    """Events of which the mapping makes nothing that they could become, by why."""
    held_before: Counter[str] = field(default_factory=Counter)
    """Of the events that change, how many each hold matches as they are."""
    held_after: Counter[str] = field(default_factory=Counter)
    """The same as they would become."""
    named_again: int = 0
    """How many that were not erased would get the user_id of a person of whom others were."""
    digest: str = ""
    """Over everything that changes."""

    @property
    def changed(self) -> int:
        """How many events change."""
        return self.types.total()

    @property
    def events(self) -> int:
        """How many events the day has, of whatever source."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class RetentionChange:
    """Events that are kept for another time under another type."""

    before: str
    """The type before."""
    after: str
    """The type after."""
    events: int
    what: str
    """What the time is about: ``events`` or ``personal data``."""
    kept_before: str
    """How long, and what says so."""
    kept_after: str
    """The same after."""
    weaker: bool
    """Whether it is shorter."""

    def __str__(self) -> str:
        become = "becomes" if self.events == 1 else "become"
        verb = "is kept" if self.what == "personal data" else "kept"
        return (
            f"{count(self.events, 'event')} of {self.before} {become} {self.after}: "
            f"{self.what + ' ' if self.what != 'events' else ''}{verb} {self.kept_after} instead of {self.kept_before}"
        )


@dataclass(frozen=True, slots=True)
class RemapPlan(Shown):
    """What a remap would do."""

    lake_id: str
    source: str
    mapping: str
    """The present mapping's source and version, as ``metadata.mapping`` has it."""
    mapping_digest: str
    since: datetime | None
    until: datetime | None
    as_of: datetime
    snapshot: int
    days: tuple[DerivedDay, ...]
    """Every day that has events of the source."""
    holds: tuple[tuple[str, str], ...]
    """The active holds: id and digest."""
    retention: tuple[RetentionChange, ...]
    """Which events are kept for another time then."""
    underivable: tuple[str, ...] = ()
    """Columns that stay, since the mapping reads for them what ``details`` do not have."""

    @property
    def changes(self) -> tuple[DerivedDay, ...]:
        """The days that do not stay as they are."""
        return tuple(each for each in self.days if each.changed)

    @property
    def changed(self) -> int:
        """How many events change."""
        return sum(each.changed for each in self.days)

    @property
    def looked_at(self) -> int:
        """How many events of the source there are in the period."""
        return sum(each.looked_at for each in self.days)

    @property
    def erased(self) -> int:
        """How many of the events that change were erased."""
        return sum(each.erased for each in self.days)

    @property
    def named_again(self) -> int:
        """How many events that were not erased would get the user_id of a person of whom others were."""
        return sum(each.named_again for each in self.days)

    @property
    def types(self) -> Counter[tuple[str, str]]:
        """The events that change, by their type before and after."""
        return _sum(each.types for each in self.days)

    @property
    def columns(self) -> Counter[str]:
        """How many events have another value in each column."""
        return _sum(each.columns for each in self.days)

    @property
    def left(self) -> Counter[str]:
        """The events that stay since the mapping makes nothing that they could become, by why."""
        return _sum(each.left for each in self.days)

    @property
    def held(self) -> dict[str, tuple[int, int]]:
        """The holds that match events which change: how many as they are, and as they would become."""
        before, after = (_sum(getattr(each, name) for each in self.days) for name in ("held_before", "held_after"))
        return {hold: (before[hold], after[hold]) for hold in sorted({*before, *after})}

    @property
    def weaker(self) -> tuple[str, ...]:
        """What is kept shorter then, in sentences."""
        return tuple(str(each) for each in self.retention if each.weaker)

    @property
    def digest(self) -> str:
        """``sha256:`` over the canonical JSON of what the remap would do; the version is not in it."""
        content = {
            "lake": self.lake_id, "source": self.source, "mapping": self.mapping_digest,
            "since": self.since and print_instant(self.since), "until": self.until and print_instant(self.until),
            "holds": [list(each) for each in self.holds], "retention": [asdict(each) for each in self.retention],
            "days": [
                {"day": each.day.isoformat(), "digest": each.digest, "files": [file.path for file in each.files]}
                for each in self.changes
            ],
        }  # fmt: skip
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "digest": self.digest, "lake": self.lake_id, "source": self.source, "mapping": self.mapping,
            "mapping_digest": self.mapping_digest, "since": self.since and print_instant(self.since),
            "until": self.until and print_instant(self.until), "snapshot": self.snapshot,
            "looked_at": self.looked_at, "changed": self.changed, "erased": self.erased,
            "named_again": self.named_again, "types": types_as_json(self.types), "columns": dict(self.columns),
            "days": [{"day": each.day.isoformat(), "changed": each.changed} for each in self.changes],
            "retention": [asdict(each) for each in self.retention],
            "holds": [{"id": hold, "before": before, "after": after} for hold, (before, after) in self.held.items()],
            "underivable": list(self.underivable), "left": dict(self.left.most_common()), "weaker": list(self.weaker),
        }  # fmt: skip

    def _card(self) -> Card:
        """Return what becomes of the types, and what the operator should know before."""
        rows = [(before, after, events) for (before, after), events in self.types.most_common(_SHOWN)]
        facts = [
            CardFact("mapping", self.mapping),
            CardFact("as of", moment(self.as_of)),
            CardFact("snapshot", str(self.snapshot)),
            CardFact("changed", f"{self.changed:,} of {self.looked_at:,}"),
            CardFact("left", f"{self.left.total():,}"),
            *(CardFact("held", cut(hold)) for hold in self.held),
            *(CardFact("weaker", cut(sentence)) for sentence in self.weaker),
        ]
        headings = ("type before", "type after", "events") if rows else ()
        note = "nothing is changed before auditlake remap"
        return Card("remap plan", self.source, "", tuple(facts), headings, cells(rows), note)


def types_as_json(types: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """Return what becomes of types as JSON values, in their order."""
    return [{"before": before, "after": after, "events": events} for (before, after), events in sorted(types.items())]


def retention_changes(types: Mapping[tuple[str, str], int], state: State) -> tuple[RetentionChange, ...]:
    """Return which of the events that change are kept for another time then.

    Args:
        types: The events that change, by their type before and after.
        state: What policies and lake.toml demand.
    """
    found = []
    for (before, after), events in sorted(types.items()):
        for what, length_of in (("events", kept), ("personal data", limit)):
            lengths = length_of(state, before), length_of(state, after)
            if (change := _change(before, after, events, what, *lengths)) is not None:
                found.append(change)
    return tuple(found)


def _change(
    before: str, after: str, events: int, what: str, then: Length | None, now: Length | None
) -> RetentionChange | None:
    if then is None or now is None or then.microseconds == now.microseconds:
        return None
    return RetentionChange(before, after, events, what, str(then), str(now), now.microseconds < then.microseconds)


def _sum(counters: Iterable[Counter[Any]]) -> Counter[Any]:
    return reduce(add, counters, Counter())
