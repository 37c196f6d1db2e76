"""Dealing with findings: who answers for one until when, and who looked at a report and signed it off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlake.clock import Clock
from auditlake.errors import ReportError
from auditlake.events.times import Instant, as_instant, print_instant
from auditlake.findings.journal import Line, append, concerning, read
from auditlake.findings.model import Acceptance, Entry, Reopening, Review, Seen
from auditlake.reports.build import subject_of
from auditlake.reports.findings import findings_card
from auditlake.reports.shown import Shown
from auditlake.store.layout import Layout
from auditlake.store.recorded import record_journal
from auditlake.user import login_name

if TYPE_CHECKING:
    from auditlake.reports.cards import Card
    from auditlake.reports.model import Finding
    from auditlake.reports.produce import ComplianceReport

_LONGEST = 4000


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
        return Seen(subject, self.finding.start, self.finding.end, self.as_of, self.until)

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
        layout: The lake.
        clock: Where the present comes from.
        judge: Makes reports, as :meth:`auditlake.AuditLake.reports` does.
        wait_seconds: How long to wait while another process writes.
    """

    def __init__(
        self, layout: Layout, clock: Clock, judge: Callable[..., Sequence[ComplianceReport]], wait_seconds: float
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._judge = judge
        self._wait = wait_seconds

    def list(self, *policy_ids: str, **options: Any) -> Listing:
        """What the policies find; of every policy if none is named. The options are those of ``reports``."""
        made = [each.report for each in self._judge(*policy_ids, pages=False, **options)]
        found = Listing(
            Listed(said.policy_id, said.severity, said.as_of, said.since, said.until, finding)
            for said in made
            for finding in said.violations
        )
        found.faults = tuple((said.policy_id, said.error) for said in made if said.error is not None)
        return found

    def show(self, finding_id: str, **options: Any) -> tuple[Listed, tuple[Entry, ...]]:
        """A finding, and every entry of the journal about it or those that an acceptance of it covers.

        Raises:
            ReportError: No policy finds it in the period asked for.
        """
        found = self._find(finding_id, **options)
        subject = found.seen.subject
        entries = [line.entry for line in read(self._layout)]
        mine = {each.number for each in entries if isinstance(each, Acceptance) and each.subject == subject}
        about = [
            each for each in entries if each.number in mine or (isinstance(each, Reopening) and each.acceptance in mine)
        ]
        return found, tuple(about)

    def accept(
        self, finding_id: str, *, reason: str, owner: str, until: Instant, ticket: str | None = None,
        by: str | None = None, period_until: Instant | None = None, **options: Any,
    ) -> Acceptance:  # fmt: skip
        """Answer for a finding, and for later ones of its policy, kind, group and type, until an instant.

        They are still shown, and do not count for the status. As of later instants they are open again.

        Args:
            finding_id: The finding's id.
            reason: Why.
            owner: Who answers for it.
            until: When it is to be looked at again.
            ticket: Where more is said.
            by: Who says that they write it down; the user of this process, who is on record beside them, if None.
            period_until: The end of the period that the finding is of; as-of if None.
            **options: The others of ``reports``, where the finding is not of the usual period as of now.

        Raises:
            ReportError: No policy finds it, it is accepted already, or something is missing.
            LakeError: It could not be written down.
        """
        now, limit = self._clock(), as_instant(until)
        if limit <= now:
            message = f"an acceptance must end in the future, got {limit.isoformat()}"
            raise ReportError(message, hint="look at it again by then: give a later --until")
        texts = {"reason": reason, "owner": owner, "by": by or login_name()}
        for name, text in texts.items():
            _check(name, text)
        found = self._find(finding_id, until=period_until, **options)
        seen = found.seen

        def check(lines: Sequence[Line]) -> None:
            if (standing := concerning(lines, found.policy_id).acceptance(seen)) is not None:
                raise ReportError(
                    f"finding {finding_id} is accepted already, {_by(standing)}", hint=_take_back(standing)
                )

        entry = Acceptance(
            0, now, finding_id, seen.subject, seen.start, seen.as_of, seen.period_until, limit, **texts,
            system_user=login_name(), ticket=ticket,
        )  # fmt: skip
        written = self._write(entry, check)
        assert isinstance(written, Acceptance)
        return written

    def reopen(self, finding_id: str, *, reason: str, by: str | None = None, **options: Any) -> Reopening:
        """Take back the acceptance that was given on a finding.

        Args:
            finding_id: The finding's id.
            reason: Why.
            by: As for :meth:`accept`.
            **options: Those of ``reports``, to name the acceptance of another finding that covers this one.

        Raises:
            ReportError: No acceptance that was given on it stands.
            LakeError: It could not be written down.
        """
        by = by or login_name()
        _check("reason", reason)
        _check("by", by)
        standing = _given_on(finding_id, read(self._layout))
        if standing is None:
            raise self._not_given(finding_id, options)

        def check(lines: Sequence[Line]) -> None:
            if _given_on(finding_id, lines) != standing:
                raise ReportError(f"the acceptance of finding {finding_id} was taken back meanwhile")

        policy_id = standing.subject.policy_id
        entry = Reopening(0, self._clock(), policy_id, standing.number, finding_id, reason, by, login_name())
        written = self._write(entry, check)
        assert isinstance(written, Reopening)
        return written

    def review(
        self, policy_id: str, *, note: str, by: str | None = None, ticket: str | None = None, **options: Any
    ) -> tuple[Review, ComplianceReport]:
        """Sign a policy's report off, as it is now or for the options of ``reports``; gives both.

        Reports of the same policy and period show it from then on; those of another period do not.

        Raises:
            ReportError: The note is missing.
            LakeError: It could not be written down.
        """
        by = by or login_name()
        _check("note", note)
        _check("by", by)
        (made,) = self._judge(policy_id, pages=False, **options)
        said = made.report
        digest = "sha256:" + hashlib.sha256(made.json()).hexdigest()
        entry = Review(
            0, self._clock(), policy_id, said.as_of, said.evidence.snapshot, said.status, digest, by, login_name(),
            note, ticket, said.since, said.until, (policy_id,),
        )  # fmt: skip
        written = self._write(entry)
        assert isinstance(written, Review)
        return written, made

    def reviews(self, *policy_ids: str) -> tuple[Review, ...]:
        """Every review in the journal, of these policies if some are named, in the order in which they were given."""
        found = (line.entry for line in read(self._layout))
        return tuple(
            each for each in found
            if isinstance(each, Review) and (not policy_ids or any(map(each.is_about, policy_ids)))
        )  # fmt: skip

    def _write(self, entry: Entry, check: Callable[[Sequence[Line]], None] = lambda _: None) -> Entry:
        """Write an entry down, and have the ledger say so. One that a dead writer left out is covered by the next."""
        line = append(self._layout, entry, check)
        record_journal(self._layout, line.entry.number, line.digest, now=self._clock(), wait_seconds=self._wait)
        return line.entry

    def _find(self, finding_id: str, **options: Any) -> Listed:
        found = self.list(**options)
        for each in found:
            if each.finding.id == finding_id:
                return each
        message = f"no policy finds {finding_id!r} in this period"
        raise ReportError(message, hint="auditlake finding list names them; --as-of and --period say when to look")

    def _not_given(self, finding_id: str, options: Mapping[str, Any]) -> ReportError:
        """Why there is nothing to take back from a finding."""
        accepted = self._find(finding_id, **options).finding.accepted
        if accepted is None:
            return ReportError(f"finding {finding_id} is open: nobody answers for it")
        return ReportError(f"finding {finding_id} is accepted {_by(accepted)}", hint=_take_back(accepted))


def _given_on(finding_id: str, lines: Sequence[Line]) -> Acceptance | None:
    """The acceptance that was given on a finding, if it stands."""
    given = (line.entry for line in reversed(lines))
    mine = (each for each in given if isinstance(each, Acceptance) and each.finding_id == finding_id)
    return next((each for each in mine if each in concerning(lines, each.subject.policy_id).acceptances), None)


def _by(acceptance: Acceptance) -> str:
    entry = f"entry {acceptance.number} of the journal"
    return f"by {entry}, given on finding {acceptance.finding_id} until {print_instant(acceptance.until)}"


def _take_back(acceptance: Acceptance) -> str:
    return f"auditlake finding reopen {acceptance.finding_id} takes that back, for all that it covers"


def _check(name: str, text: str) -> None:
    if not text.strip() or len(text) > _LONGEST:
        got = "nothing" if not text.strip() else f"{len(text):,} characters"
        raise ReportError(f"{name}: expected 1 to {_LONGEST:,} characters, got {got}")
