"""Which days of a lake lost events, as the certificates of its deletions say: questions that look far back ask it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from auditlake.disk.layout import Layout
from auditlake.events.times import EPOCH
from auditlake.policies import kinds
from auditlake.policies.model import Policy
from auditlake.store.deltalog import Commits

_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Deletion:
    """What one certificate says was deleted."""

    days: Mapping[date, int]
    """The UTC days that lost events, with how many."""
    types: frozenset[str]
    """The event types of the policies by which they were deleted."""
    kept: frozenset[str] | None = None
    """Where ``default_retention`` deleted any: the types that it is not about."""
    lost: Mapping[str, tuple[date, date]] = field(default_factory=dict)
    """The event types that surely lost events, each with the first and the last day of these. Certificates of forms 1
    to 3 do not say so: those have none."""
    at: datetime = EPOCH
    """The instant that was judged at: what was taken was old enough then."""
    lengths: Mapping[str, int] = field(default_factory=dict)
    """How long policies kept events of a type then, or let them stay where none kept them, in microseconds."""
    default: int = 0
    """How long events of all other types were kept; 0 where that is not known."""

    def keeps(self, event_type: str) -> int:
        """Return how long events of a type were kept, in microseconds: none that was taken was younger."""
        return self.lengths.get(event_type, self.default)

    def days_of(self, types: Iterable[str]) -> tuple[date, ...]:
        """Return the days that may have lost events of any of some types."""
        if self.lost:
            spans = [self.lost[name] for name in types if name in self.lost]
            return tuple(day for day in self.days if any(first <= day <= last for first, last in spans))
        concerned = any(name in self.types or (self.kept is not None and name not in self.kept) for name in types)
        return tuple(self.days) if concerned else ()


def deletions(layout: Layout, version: int, policies: Sequence[Policy]) -> tuple[Deletion, ...]:
    """Return what was deleted up to a version, the newest first; nothing where no policy asks that far back."""
    if not any(policy.coverage == "proven" or kinds.measure_of(policy).looks_far_back for policy in policies):
        return ()
    made = (deletion_of(commit) for _, commit in Commits(layout, version).of_retention())
    return tuple(each for each in made if each is not None)


def first_deleted(deleted: Iterable[Deletion], event_type: str) -> date | None:
    """Return the first day of which events of a type surely were deleted; None where none were."""
    return min((each.lost[event_type][0] for each in deleted if event_type in each.lost), default=None)


def whole_since(deleted: Iterable[Deletion], types: Sequence[str], after: datetime, until: datetime) -> datetime | None:
    """Return from when on a stretch of time still has all of its events; None where it has lost none.

    Args:
        deleted: What was deleted.
        types: The event types that are asked about.
        after: Where the stretch begins.
        until: Where it ends, later than that.
    """
    ends = (
        datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        for each in deleted for day in each.days_of(types)
    )  # fmt: skip
    lost = [end for end in ends if end > after and end - timedelta(days=1) < until]
    return min(max(lost), until) if lost else None


def deletion_of(commit: Mapping[str, Any]) -> Deletion | None:
    """Return what the certificate of a commit says was deleted; None if it deleted nothing."""
    certificate, terms = commit.get("certificate") or {}, commit.get("terms") or {}
    days = {
        date.fromisoformat(each["day"]): each["deleted"]
        for each in certificate.get("partitions", ())
        if each["deleted"]
    }
    if not days:
        return None
    policies = terms.get("policies", {})
    rules = {rule["id"] for rule in certificate.get("rules", ()) if rule["deleted"]}
    named = {name: frozenset(each["required_events"]) for name, each in policies.items()}
    lengths: dict[str, int] = {}
    for name, each in policies.items():
        for event_type in named[name] if each["retention_us"] else ():
            lengths[event_type] = max(lengths.get(event_type, 0), each["retention_us"])
    default = terms.get("default_retention_us") or 0
    ends: dict[str, int] = {}
    for each in policies.values():
        most = each.get("max_event_retention_us") or 0
        for event_type in each["required_events"] if most and not 0 < default < most else ():
            least = max(most - _DAY, 0)  # they go on the day on which they must
            ends[event_type] = min(ends.get(event_type, least), least)
    lengths = ends | lengths
    types = frozenset[str]().union(*(named[name] for name in rules & named.keys()))
    lost = {
        name: (date.fromisoformat(each["first_day"]), date.fromisoformat(each["last_day"]))
        for name, each in (certificate.get("event_types") or {}).items()
    }
    return Deletion(
        days, types, None if rules <= named.keys() else frozenset(lengths), lost,
        datetime.fromisoformat(certificate["as_of"]), lengths, default,
    )  # fmt: skip
