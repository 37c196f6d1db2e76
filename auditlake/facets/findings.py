"""Dealing with findings: who answers for one until when, and who looked at a report and signed it off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Unpack

from auditlake.context import LakeContext
from auditlake.errors import ReportError
from auditlake.events.times import Instant, as_end, print_instant
from auditlake.facets.decisions import check_text, known_pack, write_down
from auditlake.facets.finding_search import FindingSearch, Listed, Listing, ambiguous
from auditlake.findings.decisions import Acceptance, Entry, Reopening, Resolution, Retraction, Review
from auditlake.findings.journal import Line, concerning, read
from auditlake.machine import login_name
from auditlake.packs.model import Pack, qualified
from auditlake.policies.request import PeriodOptions

if TYPE_CHECKING:
    from auditlake.findings.finding import Finding
    from auditlake.reports.compliance import ComplianceReport

_WORST = ("violation", "error", "no_data", "compliant")


class FindingRegister:
    """The findings of a lake and what people decided about them. Made by :attr:`auditlake.AuditLake.findings`.

    Args:
        context: The lake.
        judge: Makes reports, as :meth:`auditlake.AuditLake.reports` does.
        search: Where findings are.
    """

    def __init__(
        self, context: LakeContext, judge: Callable[..., Sequence[ComplianceReport]], search: FindingSearch
    ) -> None:
        self._layout = context.layout
        self._clock = context.clock
        self._judge = judge
        self._search = search
        self._context = context

    def list(self, *policy_ids: str, **options: Unpack[PeriodOptions]) -> Listing:
        """Return what the policies and the controls of packs find; the options are those of ``reports``.

        The lake remembers where was looked: :meth:`accept` and the others find the id there.

        Args:
            *policy_ids: Policies; and controls as ``pci-dss-4/10.4.1``, for what their checks over records find; all of
                them if none is named.
            **options: Those of ``reports``.

        Raises:
            PolicyNotFoundError, PackError: One that is named is not there.
        """
        listing = self._search.list(*policy_ids, **options)
        self._search.remember(listing, options.get("snapshot"))
        return listing

    def show(self, finding_id: str, **options: Unpack[PeriodOptions]) -> tuple[Listed, tuple[Entry, ...]]:
        """Return a finding, and every entry of the journal about it or those that an acceptance of it covers.

        Args:
            finding_id: Its id, or as much of it as no other id begins with.
            **options: Those of ``reports``, to look in one period alone. Without any, it is looked for where it was
                listed: what was listed last, the journal, the kept reports, now, what was listed before.

        Raises:
            ReportError: Nothing finds it there, or several findings begin so.
        """
        listed = self._find(finding_id, **options)
        every_seen, about = listed.every_seen, []
        numbers = set()
        for each in (line.entry for line in read(self._layout)):
            match each:
                case Acceptance():
                    is_about = any(each.subject == seen.subject for seen in every_seen)
                case Resolution():
                    is_about = any(map(each.deals_with, every_seen))
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
            ReportError: Nothing finds it, it is accepted already, or something is missing.
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
            there = (concerning(lines, each.subject.policy_id).acceptance(each) for each in listed.every_seen)
            for standing in filter(None, there):
                if standing.until >= now:  # it may have stood where the finding was seen
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
            ReportError: No acceptance that was given on it stands, or it has expired, which opened the finding again.
            LakeError: It could not be written down.
        """
        by = by or login_name()
        check_text("reason", reason)
        check_text("by", by)
        standing = _given_on(finding_id, read(self._layout))
        if standing is None:
            raise self._not_given(finding_id, options)
        if standing.until < (now := self._clock()):
            message = f"finding {standing.finding_id} is open again: its acceptance ended on"
            raise ReportError(f"{message} {print_instant(standing.until)}", hint="nothing is left to take back")
        finding_id = standing.finding_id

        def check(lines: Sequence[Line]) -> None:
            if _given_on(finding_id, lines) != standing:
                raise ReportError(f"the acceptance of finding {finding_id} was taken back meanwhile")

        policy_id = standing.subject.policy_id
        entry = Reopening(0, now, policy_id, standing.number, finding_id, reason, by, login_name())
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
            ReportError: Nothing finds it, the note is missing, or it says itself that a finding was not dealt with.
            LakeError: It could not be written down.
        """
        by = by or login_name()
        check_text("note", note)
        check_text("by", by)
        listed = self._find(finding_id, **options)
        _refuse_answers(listed.finding)
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

        Reports of these policies and of the same period show it from then on; those of another period do not. A review
        for a pack of all its policies covers every check that asks for reviews of them.

        Args:
            *policy_ids: The policies, in one entry of the journal; their reports must be of one period. All that can be
                judged of the pack if none is named; with a pack, one of its own may be named without it.
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
            policy_ids = _of_pack(known_pack(self._context, pack), policy_ids)
        if not policy_ids:
            raise ReportError("a review is of one policy or several, got none", hint="name them, or a pack")
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
        return self._search.find(finding_id, **options)

    def _not_given(self, finding_id: str, options: PeriodOptions) -> ReportError:
        """Why there is nothing to take back from a finding."""
        accepted = self._find(finding_id, **options).finding.accepted
        if accepted is None:
            return ReportError(f"finding {finding_id} is open: it is not accepted")
        return ReportError(f"finding {finding_id} is accepted {_by(accepted)}", hint=_take_back(accepted))


def _of_pack(pack: Pack, policy_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the policies that are reviewed for a pack, as the lake names them: all that are ready if none is named."""
    ready = [name for name in pack.policies if name not in pack.unready]
    return tuple(qualified(pack.id, name) if name in ready else name for name in policy_ids or ready)


def _digest(made: Sequence[ComplianceReport]) -> str:
    """Return the digest of one report's JSON, or of the list of several reports' digests, as sha256sum writes it."""
    digests = [hashlib.sha256(each.json()).hexdigest() for each in made]
    listed = "".join(f"{digest}  {each.policy_id}\n" for digest, each in zip(digests, made, strict=True))
    return "sha256:" + (digests[0] if len(made) == 1 else hashlib.sha256(listed.encode()).hexdigest())


def _refuse_answers(finding: Finding) -> None:
    """Refuse to resolve what says that another finding was not dealt with in time: that one is."""
    about = finding.measures.get("finding")
    if finding.kind == "response_missing":
        message = f"{finding.id} says that nobody dealt with finding {about} of {finding.measures['policy']} in time"
        raise ReportError(message, hint=f"auditlake finding resolve {about} deals with that one")
    if finding.kind == "response_late":
        message = f"{finding.id} says that finding {about} was dealt with too late, which nothing mends any more"
        raise ReportError(message, hint=f"auditlake finding accept {finding.id} makes it an exception")


def _given_on(finding_id: str, lines: Sequence[Line]) -> Acceptance | None:
    """Return the acceptance that was given on the finding whose id is or begins so, if it stands."""
    entries = (line.entry for line in lines)  # of several on one finding the newest
    matching = (each for each in entries if isinstance(each, Acceptance) and each.finding_id.startswith(finding_id))
    standing = {
        each.finding_id: each for each in matching if each in concerning(lines, each.subject.policy_id).acceptances
    }
    if len(standing) > 1:
        raise ambiguous(finding_id, standing)
    return next(iter(standing.values()), None)


def _by(acceptance: Acceptance) -> str:
    entry = f"entry {acceptance.number} of the journal"
    return f"by {entry}, given on finding {acceptance.finding_id} until {print_instant(acceptance.until)}"


def _take_back(acceptance: Acceptance) -> str:
    return f"auditlake finding reopen {acceptance.finding_id} takes that back, for all that it covers"
