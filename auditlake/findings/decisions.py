"""What people decided about findings, and that they looked: acceptances and reviews. All instants are aware, in UTC."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Subject:
    """What findings have in common that one acceptance covers."""

    policy_id: str
    kind: str
    """The finding's kind, such as ``threshold_exceeded``."""
    group: str = ""
    """The group as compact JSON text, its columns in the order of the policy's group_by; empty where there is none."""
    event_type: str = ""
    """The required type that it is about; empty where it is about none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding as a report shows it."""

    subject: Subject
    start: datetime | None
    """None for a missing type."""
    end: datetime | None
    """None where it runs on."""
    as_of: datetime
    """Of the report."""
    period_until: datetime
    """The end of the report's period."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An accepted finding, and those like it, until an instant: its owner answers for them."""

    number: int
    """The journal's entry, from 1."""
    at: datetime
    finding_id: str
    """The finding that was looked at."""
    subject: Subject
    start: datetime | None
    """Where that finding starts; None for a missing type."""
    as_of: datetime
    """Of the report that it was seen in."""
    period_until: datetime
    """The end of that report's period."""
    until: datetime
    """It covers nothing that starts later, and nothing at all as of a later instant."""
    reason: str
    owner: str
    """Who answers for it."""
    by: str
    """Who wrote it down, as they said."""
    system_user: str
    """Who wrote it down, as the system knows them."""
    ticket: str | None = None

    def covers(self, seen: Seen) -> bool:
        """Return whether it covers a finding: the one that was looked at, or a later one like it."""
        if seen.subject != self.subject or seen.as_of > self.until:
            return False
        if seen.start is None or self.start is None:
            return seen.period_until >= self.period_until
        # A report over a longer period sees the same stretch begin earlier: it is covered as well.
        return self.start <= seen.start <= self.until or seen.start < self.start < (seen.end or seen.period_until)


@dataclass(frozen=True, slots=True)
class Reopening:
    """An acceptance that counts no more."""

    number: int
    at: datetime
    policy_id: str
    acceptance: int
    """The number of the entry that it takes back."""
    finding_id: str
    reason: str
    by: str
    system_user: str


@dataclass(frozen=True, slots=True)
class Review:
    """The sign-off of a policy's report (PCI DSS 4.0.1, 10.4)."""

    number: int
    at: datetime
    policy_id: str
    as_of: datetime
    snapshot: int
    status: str
    """What the report said."""
    report: str
    """``sha256:`` of the report's JSON."""
    by: str
    system_user: str
    note: str
    ticket: str | None = None
    since: datetime | None = None
    """The period of the report is (since, until]; None in an entry of before reviews had one, which covers nothing."""
    until: datetime | None = None
    policies: tuple[str, ...] = ()
    """Every policy that the report is about."""
    pack: str | None = None
    """The pack whose report it is; None where it is the one of ``policy_id``."""

    @property
    def said(self) -> dict[str, Any]:
        """What a later report says about it."""
        return {"at": self.at, "by": self.by, "note": self.note, "status": self.status, "as_of": self.as_of}

    def is_about(self, policy_id: str) -> bool:
        """Return whether the report was about a policy."""
        return policy_id == self.policy_id or policy_id in self.policies

    def covers(self, policy_id: str, since: datetime, until: datetime) -> bool:
        """Return whether it signs what a policy says of exactly this period."""
        return self.is_about(policy_id) and (self.since, self.until) == (since, until)


Entry = Acceptance | Reopening | Review


@dataclass(frozen=True, slots=True)
class Journal:
    """What the journal says about one policy, up to an entry. Nothing, where no entry concerns it."""

    entries: int = 0
    """The number of the last entry that concerns the policy; 0 if none does."""
    digest: str = ""
    """``sha256:`` over all entries up to that one; see :mod:`auditlake.findings.journal`."""
    acceptances: tuple[Acceptance, ...] = ()
    """Those that were not taken back, by number."""
    reviews: tuple[Review, ...] = ()
    """Those of the policy, by number."""

    @property
    def last_review(self) -> Review | None:
        """The newest review."""
        return self.reviews[-1] if self.reviews else None

    @property
    def covering(self) -> tuple[Review, ...]:
        """The reviews that say which period they are of."""
        return tuple(each for each in self.reviews if each.since is not None)

    def over(self, policy_id: str, since: datetime, until: datetime) -> Journal:
        """Return what a report over a period shows of it: the reviews of that period, and those that name none."""
        reviews = (each for each in self.reviews if each.since is None or each.covers(policy_id, since, until))
        return replace(self, reviews=tuple(reviews))

    def acceptance(self, seen: Seen) -> Acceptance | None:
        """Return the newest acceptance that covers a finding."""
        return next((each for each in reversed(self.acceptances) if each.covers(seen)), None)


NOTHING = Journal()
"""The journal of a policy without any entry."""
