"""What people decided about findings and controls, and that they looked: the entries of the journal of findings.

Every entry has a number from 1 in the order of writing, the instant ``at`` at which it was written, who wrote it down
as they said (``by``), and as the system knows them (``system_user``). All instants are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar


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
    period_since: datetime
    """Where the report's period begins, exclusive."""


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
    """The sign-off of the reports of one or several policies over one period (PCI DSS 4.0.1, 10.4)."""

    number: int
    at: datetime
    policy_id: str
    """The first of the policies."""
    as_of: datetime
    snapshot: int
    status: str
    """What the report said; of several the worst."""
    report: str
    """``sha256:`` of the report's JSON; of several, of a line for each, in order: the hex digest of its JSON, two
    spaces, the policy's id, a line break."""
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
    """The pack that they were reviewed for; None where for none."""

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


@dataclass(frozen=True, slots=True)
class Resolution:
    """A finding that was dealt with. It is shown as before, and counts for the status as before."""

    number: int
    at: datetime
    finding_id: str
    """The finding that was looked at."""
    subject: Subject
    start: datetime | None
    """None for a missing type."""
    end: datetime | None
    """None where it runs on."""
    since: datetime
    """The period of the report that it was seen in is (since, until]."""
    until: datetime
    note: str
    """What was done."""
    by: str
    system_user: str
    ticket: str | None = None

    def deals_with(self, seen: Seen) -> bool:
        """Return whether it is about a finding: the one that was looked at, or the same stretch in another period.

        What has no start, as a missing type, stretches over its period.
        """
        start, own = seen.start or seen.period_since, self.start or self.since
        end, own_end = seen.end or seen.period_until, self.end or self.until
        return seen.subject == self.subject and (start == own or (start < own_end and own < end))


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file that a statement rests on. It is not kept: whoever has it can show that it is the one."""

    name: str
    sha256: str
    """Hex digits."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A person says whether a control that logs cannot show is met, until an instant."""

    number: int
    at: datetime
    pack: str
    control: str
    result: Literal["met", "not_met"]
    note: str
    """What was looked at."""
    until: datetime
    """The last instant at which it counts."""
    by: str
    system_user: str
    evidence: tuple[EvidenceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Applicability:
    """A control of a pack that does not apply to this lake, until an instant."""

    number: int
    at: datetime
    pack: str
    control: str
    reason: str
    owner: str
    """Who answers for it."""
    until: datetime
    """The last instant at which it counts."""
    by: str
    system_user: str
    applies: Literal[False] = False


@dataclass(frozen=True, slots=True)
class Weakening:
    """A parameter of a pack whose value asks for less than the framework does, until an instant."""

    number: int
    at: datetime
    pack: str
    parameter: str
    value: Any
    """A JSON value."""
    reason: str
    owner: str
    """Who answers for it."""
    until: datetime
    """The last instant at which it counts."""
    by: str
    system_user: str


@dataclass(frozen=True, slots=True)
class Retraction:
    """An entry that counts no more. An acceptance is taken back by a :class:`Reopening` instead."""

    number: int
    at: datetime
    entry: int
    """The number of the entry that it takes back."""
    reason: str
    by: str
    system_user: str


Retractable = Review | Resolution | Statement | Applicability | Weakening
Entry = Acceptance | Reopening | Retractable | Retraction
C = TypeVar("C", Statement, Applicability)


def is_in_force(entry: Statement | Applicability | Weakening, instant: datetime) -> bool:
    """Return whether an entry that ends counts at an instant; its last one is ``until``."""
    return entry.at <= instant <= entry.until


@dataclass(frozen=True, slots=True)
class Decisions:
    """Everything that people had decided as of an instant, without what they had taken back by then.

    Each tuple is in the order of writing. Made by :func:`auditlake.findings.journal.decisions_as_of`.
    """

    as_of: datetime
    statements: tuple[Statement, ...] = ()
    """The newest of each control, those that have ended too."""
    applicabilities: tuple[Applicability, ...] = ()
    """The newest of each control, those that have ended too."""
    weakenings: tuple[Weakening, ...] = ()
    """The newest of each parameter, as long as it is in force."""
    reviews: tuple[Review, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    """Those that have ended too: see :meth:`Acceptance.covers`."""

    @property
    def all(self) -> tuple[Entry, ...]:
        """Everything, in the order of writing, without what has ended of controls and parameters."""
        ending: tuple[Statement | Applicability | Weakening, ...] = (
            *self.statements,
            *self.applicabilities,
            *self.weakenings,
        )
        every: tuple[Entry, ...] = (
            *(each for each in ending if is_in_force(each, self.as_of)), *self.reviews, *self.resolutions,
            *self.acceptances,
        )  # fmt: skip
        return tuple(sorted(every, key=lambda each: each.number))

    def statement(self, pack: str, control: str, was: str | None = None) -> Statement | None:
        """Return the newest statement about a control, which may have ended: see :func:`is_in_force`.

        Args:
            pack: The pack's id.
            control: The control's id.
            was: Its id before, if it was renamed: what was said of that is said of the control.
        """
        return _newest(self.statements, pack, {control, was})

    def not_applicable(self, pack: str, control: str, was: str | None = None) -> Applicability | None:
        """Return why a control does not apply, as the newest decision about it has it; None if it does.

        Args:
            pack, control, was: As for :meth:`statement`. One about the new id replaces one about the old, also where it
                has ended.
        """
        newest = _newest(self.applicabilities, pack, {control, was})
        return newest if newest is not None and is_in_force(newest, self.as_of) else None

    def weakened(self, pack: str) -> dict[str, Weakening]:
        """Return the weakenings of a pack that are in force, by parameter."""
        return {each.parameter: each for each in self.weakenings if each.pack == pack}


def _newest(entries: Iterable[C], pack: str, controls: Container[str | None]) -> C | None:
    about = (each for each in entries if each.pack == pack and each.control in controls)
    return max(about, key=lambda each: each.number, default=None)


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
