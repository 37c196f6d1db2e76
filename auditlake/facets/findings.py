"""Dealing with findings: who answers for one until when, and who looked at a report and signed it off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Unpack

from auditlake.context import LakeContext
from auditlake.display.cards import Shown
from auditlake.errors import PolicyNotFoundError, ReportError, SnapshotError
from auditlake.events.times import Instant, as_end, print_instant
from auditlake.facets.decisions import check_text, known_pack, write_down
from auditlake.findings.decisions import Acceptance, Entry, Reopening, Resolution, Retraction, Review, Seen
from auditlake.findings.finding import subject_of
from auditlake.findings.journal import Line, concerning, read
from auditlake.findings.places import PREFIX, Place, listings, recorded, remember
from auditlake.machine import login_name
from auditlake.policies.question import BEFORE_ALL
from auditlake.policies.request import PeriodOptions
from auditlake.reports.findings_card import findings_card

if TYPE_CHECKING:
    from auditlake.display.cards import Card
    from auditlake.findings.finding import Finding
    from auditlake.reports.compliance import ComplianceReport

_NAMED = 10
_WORST = ("violation", "error", "no_data", "compliant")
_NAMES_THEM = "auditlake finding list names them; --as-of and --period say when to look"


@dataclass(frozen=True, slots=True)
class Listed:
    """A finding with the policy that found it."""

    policy_id: str
    severity: str
    as_of: datetime
    since: datetime
    """The period of the report is (since, until]."""
    until: datetime
    finding: Finding

    @property
    def seen(self) -> Seen:
        """What an acceptance is asked about."""
        subject = subject_of(self.policy_id, self.finding)
        return Seen(subject, self.finding.start, self.finding.end, self.as_of, self.until, self.since)

    @property
    def state(self) -> str:
        """``open`` or ``accepted``."""
        return "open" if self.finding.accepted is None else "accepted"


class Listing(tuple[Listed, ...], Shown):  # noqa: SLOT001 - a tuple cannot have slots with values
    """Findings of several policies."""

    faults: tuple[tuple[str, str], ...] = ()
    """The policies that could not be judged, each with the reason: what they would find is not known."""

    def _card(self) -> Card:
        return findings_card([(each.policy_id, each.finding) for each in self])


class FindingRegister:
    """The findings of a lake and what people decided about them. Made by :attr:`auditlake.AuditLake.findings`.

    Args:
        context: The lake.
        judge: Makes reports, as :meth:`auditlake.AuditLake.reports` does.
    """

    def __init__(self, context: LakeContext, judge: Callable[..., Sequence[ComplianceReport]]) -> None:
        self._layout = context.layout
        self._clock = context.clock
        self._judge = judge
        self._context = context

    def list(self, *policy_ids: str, **options: Unpack[PeriodOptions]) -> Listing:
        """Return what the policies find, of every policy if none is named; the options are those of ``reports``.

        The lake remembers where was looked: :meth:`accept` and the others find the id there.
        """
        listing = self._list(*policy_ids, **options)
        policies: dict[tuple[datetime, datetime, datetime], dict[str, None]] = {}
        for each in listing:
            policies.setdefault((each.as_of, each.since, each.until), {})[each.policy_id] = None
        remember(self._layout, (
            Place(tuple(named), as_of, until, since, options.get("snapshot"))
            for (as_of, since, until), named in policies.items()
        ))  # fmt: skip
        return listing

    def _list(self, *policy_ids: str, **options: Unpack[PeriodOptions]) -> Listing:
        made = [each.report for each in self._judge(*policy_ids, pages=False, **options)]
        listing = Listing(
            Listed(report.policy_id, report.severity, report.as_of, report.since, report.until, finding)
            for report in made
            for finding in report.violations
        )
        listing.faults = tuple((report.policy_id, report.error) for report in made if report.error is not None)
        return listing

    def show(self, finding_id: str, **options: Unpack[PeriodOptions]) -> tuple[Listed, tuple[Entry, ...]]:
        """Return a finding, and every entry of the journal about it or those that an acceptance of it covers.

        Args:
            finding_id: Its id, or as much of it as no other id begins with.
            **options: Those of ``reports``, to look in one period alone. Without any, it is looked for where it was
                listed: what was listed last, the journal, the kept reports, now, what was listed before.

        Raises:
            ReportError: No policy finds it there, or several findings begin so.
        """
        listed = self._find(finding_id, **options)
        seen, about = listed.seen, []
        numbers = set()
        for each in (line.entry for line in read(self._layout)):
            match each:
                case Acceptance():
                    is_about = each.subject == seen.subject
                case Resolution():
                    is_about = each.deals_with(seen)
                case Reopening():
                    is_about = each.acceptance in numbers
                case Retraction():
                    is_about = each.entry in numbers
                case _:
                    continue
            if is_about:
                numbers.add(each.number)
                about.append(each)
        return listed, tuple(about)

    def accept(
        self, finding_id: str, *, reason: str, owner: str, expires: Instant | None = None, ticket: str | None = None,
        by: str | None = None, until: Instant | None = None, period_until: Instant | None = None,
        as_of: Instant | None = None, since: Instant | None = None, last: str | None = None,
        period: str | None = None, snapshot: int | None = None,
    ) -> Acceptance:  # fmt: skip
        """Accept a finding, and later ones of its policy, kind, group and type, until an instant.

        They are still shown, and do not count for the status. As of later instants they are open again.

        Args:
            finding_id: The finding's id, as for :meth:`show`.
            reason: Why.
            owner: Who answers for it.
            expires: When it is to be looked at again; of a day, its end.
            ticket: Where more is said.
            by: Who says that they write it down; the user of this process, who is on record beside them, if None.
            until: What ``expires`` was called before.
            period_until: The end of the period that the finding is of, to look in that one alone.
            as_of, since, last, period, snapshot: As for :meth:`auditlake.AuditLake.reports`, to look there alone.

        Raises:
            ReportError: No policy finds it, it is accepted already, or something is missing.
            LakeError: It could not be written down.
        """
        if (end := expires if until is None else until) is None or None not in (expires, until):
            raise ReportError("an acceptance needs one end", hint="say when it expires: look at it again by then")
        now, limit = self._clock(), as_end(end)
        if limit <= now:
            message = f"an acceptance must end in the future, got {limit.isoformat()}"
            raise ReportError(message, hint="look at it again by then: give a later --expires")
        texts = {"reason": reason, "owner": owner, "by": by or login_name()}
        for name, text in texts.items():
            check_text(name, text)
        listed = self._find(
            finding_id, until=period_until, as_of=as_of, since=since, last=last, period=period, snapshot=snapshot
        )
        seen = listed.seen

        def check(lines: Sequence[Line]) -> None:
            standing = concerning(lines, listed.policy_id).acceptance(seen)
            if standing is not None and standing.until >= now:  # it may have stood where the finding was seen
                raise ReportError(
                    f"finding {listed.finding.id} is accepted already, {_by(standing)}", hint=_take_back(standing)
                )

        entry = Acceptance(
            0, now, listed.finding.id, seen.subject, seen.start, seen.as_of, seen.period_until, limit, **texts,
            system_user=login_name(), ticket=ticket,
        )  # fmt: skip
        return write_down(self._context, entry, check)

    def reopen(
        self, finding_id: str, *, reason: str, by: str | None = None, **options: Unpack[PeriodOptions]
    ) -> Reopening:
        """Take back the acceptance that was given on a finding.

        Args:
            finding_id: The finding's id, as for :meth:`show`.
            reason: Why.
            by: As for :meth:`accept`.
            **options: Those of ``reports``, to name the acceptance of another finding that covers this one.

        Raises:
            ReportError: No acceptance that was given on it stands.
            LakeError: It could not be written down.
        """
        by = by or login_name()
        check_text("reason", reason)
        check_text("by", by)
        standing = _given_on(finding_id, read(self._layout))
        if standing is None:
            raise self._not_given(finding_id, options)
        finding_id = standing.finding_id

        def check(lines: Sequence[Line]) -> None:
            if _given_on(finding_id, lines) != standing:
                raise ReportError(f"the acceptance of finding {finding_id} was taken back meanwhile")

        policy_id = standing.subject.policy_id
        entry = Reopening(0, self._clock(), policy_id, standing.number, finding_id, reason, by, login_name())
        return write_down(self._context, entry, check)

    def resolve(
        self, finding_id: str, *, note: str, by: str | None = None, ticket: str | None = None,
        **options: Unpack[PeriodOptions],
    ) -> Resolution:  # fmt: skip
        """Write down that a finding was dealt with. It counts for the status as before.

        Args:
            finding_id: The finding's id, as for :meth:`show`.
            note: What was done.
            by: As for :meth:`accept`.
            ticket: Where more is said.
            **options: Those of ``reports``, to look in one period alone.

        Raises:
            ReportError: No policy finds it, or the note is missing.
            LakeError: It could not be written down.
        """
        by = by or login_name()
        check_text("note", note)
        check_text("by", by)
        listed = self._find(finding_id, **options)
        seen = listed.seen
        entry = Resolution(
            0, self._clock(), listed.finding.id, seen.subject, seen.start, seen.end, listed.since, listed.until, note,
            by, login_name(), ticket,
        )  # fmt: skip
        return write_down(self._context, entry)

    def review(
        self, *policy_ids: str, note: str, by: str | None = None, ticket: str | None = None, pack: str | None = None,
        **options: Unpack[PeriodOptions],
    ) -> tuple[Review, tuple[ComplianceReport, ...]]:  # fmt: skip
        """Sign the reports of policies off, as they are now or for the options of ``reports``; gives both.

        Reports of these policies and of the same period show it from then on; those of another period do not.

        Args:
            *policy_ids: The policies, in one entry of the journal; their reports must be of one period.
            note: What the reviewer saw.
            by: As for :meth:`accept`.
            ticket: Where more is said.
            pack: The pack that they are reviewed for.
            **options: Those of ``reports``.

        Raises:
            PackError: The lake is not judged by that pack.
            ReportError: The note or a policy is missing, or the periods are several.
            LakeError: It could not be written down.
        """
        by = by or login_name()
        check_text("note", note)
        check_text("by", by)
        if pack is not None:
            known_pack(self._context, pack)
        if not policy_ids:
            raise ReportError("a review is of one policy or several, got none")
        made = tuple(self._judge(*dict.fromkeys(policy_ids), pages=False, **options))
        first, periods = made[0], {(each.since, each.until) for each in made}
        if len(periods) > 1:
            message = f"a review is of one period, and the reports of {', '.join(policy_ids)} have {len(periods)}"
            raise ReportError(message, hint="name one: --period, --last, or --since and --until")
        worst = min((each.status for each in made), key=_WORST.index)
        entry = Review(
            0, self._clock(), first.policy_id, first.as_of, first.report.evidence.snapshot, worst, _digest(made), by,
            login_name(), note, ticket, first.since, first.until, tuple(each.policy_id for each in made), pack,
        )  # fmt: skip
        return write_down(self._context, entry), made

    def reviews(self, *policy_ids: str) -> tuple[Review, ...]:
        """Return every review in the journal, of these policies if some are named, in order."""
        entries = (line.entry for line in read(self._layout))
        return tuple(
            each for each in entries
            if isinstance(each, Review) and (not policy_ids or any(map(each.is_about, policy_ids)))
        )  # fmt: skip

    def _find(self, finding_id: str, **options: Unpack[PeriodOptions]) -> Listed:
        """Return the finding whose id is or begins so: in the period of the options, or where it was listed."""
        if not PREFIX.fullmatch(finding_id):
            raise ReportError(
                f"expected a finding's id of 1 to 16 hex digits, got {finding_id[:60]!r}", hint=_NAMES_THEM
            )
        if any(value is not None for value in options.values()):
            return _only(finding_id, self._list(**options), "in this period")
        known = recorded(self._layout, read(self._layout), finding_id)
        newest, *older = listings(self._layout) or [[]]
        listed = self._at(newest, finding_id)
        candidates = {each.finding.id for each in listed} | set(known)
        if len(candidates) > 1:
            raise _ambiguous(finding_id, candidates)
        for number in candidates:
            listed_there = listed or next(filter(None, (self._at([place], number) for place in known[number])), ())
            return _only(number, listed_there, "any more where it was seen")
        life = Place((), self._clock(), self._clock(), BEFORE_ALL)
        looked = chain([()], older, [[life]])
        matches = (self._at(places, finding_id) if places else self._list() for places in looked)
        listed_there = next((each for each in matches if _beginning(finding_id, each)), ())
        return _only(finding_id, listed_there, "now, where it was listed, or in the whole time")

    def _at(self, places: Iterable[Place], prefix: str) -> Sequence[Listed]:
        """Return the findings of places whose id begins so: on the newest snapshot, or else on the place's own."""
        by_id: dict[str, Listed] = {}
        now = self._clock()
        for place in places:
            if place.as_of > now or (place.since and place.since >= place.until):
                continue  # earlier versions took a later as_of; and what begins at an end begins before its period
            for snapshot in dict.fromkeys((None, place.snapshot)):
                with suppress(PolicyNotFoundError, SnapshotError):  # it has gone since
                    there = _beginning(prefix, self._list(*place.policies, **place.options, snapshot=snapshot))
                    by_id |= {each.finding.id: each for each in there if each.finding.id not in by_id}
                    if there:
                        break
        return tuple(by_id.values())

    def _not_given(self, finding_id: str, options: PeriodOptions) -> ReportError:
        """Why there is nothing to take back from a finding."""
        accepted = self._find(finding_id, **options).finding.accepted
        if accepted is None:
            return ReportError(f"finding {finding_id} is open: it is not accepted")
        return ReportError(f"finding {finding_id} is accepted {_by(accepted)}", hint=_take_back(accepted))


def _digest(made: Sequence[ComplianceReport]) -> str:
    """Return the digest of one report's JSON, or of the list of several reports' digests, as sha256sum writes it."""
    digests = [hashlib.sha256(each.json()).hexdigest() for each in made]
    listed = "".join(f"{digest}  {each.policy_id}\n" for digest, each in zip(digests, made, strict=True))
    return "sha256:" + (digests[0] if len(made) == 1 else hashlib.sha256(listed.encode()).hexdigest())


def _beginning(prefix: str, listed: Iterable[Listed]) -> list[Listed]:
    return [each for each in listed if each.finding.id.startswith(prefix)]


def _only(prefix: str, listed: Sequence[Listed], where: str) -> Listed:
    """Return the one finding whose id begins so."""
    if len(matched := {each.finding.id: each for each in _beginning(prefix, listed)}) > 1:
        raise _ambiguous(prefix, matched)
    for each in matched.values():
        return each
    raise ReportError(f"no policy finds {prefix!r} {where}", hint=_NAMES_THEM)


def _ambiguous(prefix: str, candidates: Iterable[str]) -> ReportError:
    named = sorted(candidates)
    more = f", and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    message = f"{len(named):,} findings begin with {prefix!r}: {', '.join(named[:_NAMED])}{more}"
    return ReportError(message, hint="give more of its digits; auditlake finding list says what each is")


def _given_on(finding_id: str, lines: Sequence[Line]) -> Acceptance | None:
    """Return the acceptance that was given on the finding whose id is or begins so, if it stands."""
    entries = (line.entry for line in lines)  # of several on one finding the newest
    matching = (each for each in entries if isinstance(each, Acceptance) and each.finding_id.startswith(finding_id))
    standing = {
        each.finding_id: each for each in matching if each in concerning(lines, each.subject.policy_id).acceptances
    }
    if len(standing) > 1:
        raise _ambiguous(finding_id, standing)
    return next(iter(standing.values()), None)


def _by(acceptance: Acceptance) -> str:
    entry = f"entry {acceptance.number} of the journal"
    return f"by {entry}, given on finding {acceptance.finding_id} until {print_instant(acceptance.until)}"


def _take_back(acceptance: Acceptance) -> str:
    return f"auditlake finding reopen {acceptance.finding_id} takes that back, for all that it covers"
