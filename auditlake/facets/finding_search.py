"""Findings of policies and of the checks of controls: what there is in a period, and in which one an id was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Unpack

from auditlake.context import LakeContext
from auditlake.display.cards import Shown
from auditlake.errors import PackError, PolicyNotFoundError, ReportError, SnapshotError
from auditlake.facets.decisions import control_of
from auditlake.findings.decisions import Seen
from auditlake.findings.finding import subject_of
from auditlake.findings.journal import read
from auditlake.findings.places import PREFIX, Place, listings, recorded, remember
from auditlake.policies.question import BEFORE_ALL
from auditlake.policies.request import PeriodOptions
from auditlake.reports.findings_card import findings_card

if TYPE_CHECKING:
    from auditlake.display.cards import Card
    from auditlake.findings.finding import Finding
    from auditlake.frameworks.framework import Framework
    from auditlake.frameworks.run import JudgedFrameworks

Judge = Callable[..., AbstractContextManager["JudgedFrameworks"]]
_NAMED = 10
_NAMES_THEM = "auditlake finding list names them; --as-of and --period say when to look"


@dataclass(frozen=True, slots=True)
class Listed:
    """A finding with the policy or the control that found it."""

    policy_id: str
    """The policy; of a check over records the pack and the control, as ``pci-dss-4/10.4.1``."""
    severity: str | None
    """The policy's; None of a control, which has none."""
    as_of: datetime
    since: datetime
    """The period of the report is (since, until]."""
    until: datetime
    finding: Finding
    earlier: str | None = None
    """Of a control that was renamed its pack and its id before, whose acceptances it takes over."""

    @property
    def seen(self) -> Seen:
        """What an acceptance is asked about."""
        subject = subject_of(self.policy_id, self.finding)
        return Seen(subject, self.finding.start, self.finding.end, self.as_of, self.until, self.since)

    @property
    def every_seen(self) -> tuple[Seen, ...]:
        """The same, and under what its control was called before."""
        seen = self.seen
        if self.earlier is None:
            return (seen,)
        return seen, replace(seen, subject=replace(seen.subject, policy_id=self.earlier))

    @property
    def state(self) -> str:
        """``open`` or ``accepted``."""
        return "open" if self.finding.accepted is None else "accepted"


class Listing(tuple[Listed, ...], Shown):  # noqa: SLOT001 - a tuple cannot have slots with values
    """Findings of several policies and controls."""

    faults: tuple[tuple[str, str], ...] = ()
    """The policies and packs that could not be judged, each with the reason: what they would find is not known."""

    def _card(self) -> Card:
        return findings_card([(each.policy_id, each.finding) for each in self])


class FindingSearch:
    """Where findings are.

    Args:
        context: The lake.
        judge: Judges policies and packs, as :meth:`auditlake.facets.frameworks.Frameworks.judged` does.
    """

    def __init__(self, context: LakeContext, judge: Judge) -> None:
        self._layout = context.layout
        self._clock = context.clock
        self._judge = judge

    def list(self, *names: str, controls: bool = True, **options: Unpack[PeriodOptions]) -> Listing:
        """Return what policies and controls find.

        Args:
            *names: Policies, and controls as ``pci-dss-4/10.4.1``; all of them if none is named.
            controls: Whether all of them are controls too.
            **options: Those of ``reports``.
        """
        packs = tuple(dict.fromkeys(pack for each in names if (pack := _pack_of(each))))
        policies = [each for each in names if not _pack_of(each)]
        asked = (packs or None) if names or not controls else ()
        with self._judge(policies, asked, only=bool(packs) and not policies, pages=False, **options) as made:
            reports = [each.report for each in made.judged.reports]
            listing = Listing(chain(
                (
                    Listed(each.policy_id, each.severity, each.as_of, each.since, each.until, finding)
                    for each in reports for finding in each.violations
                ),
                chain.from_iterable(_of_controls(each, names) for each in made.frameworks),
            ))  # fmt: skip
            faults = {report.error: report.policy_id for report in reports if report.error is not None}
            for pack, why in made.faults.items():
                faults["; ".join(why)] = pack or "frameworks.yaml"
        listing.faults = tuple((name, why) for why, name in faults.items())
        return listing

    def remember(self, listing: Listing, snapshot: int | None) -> None:
        """Write down where was looked: ids are found there."""
        names: dict[tuple[datetime, datetime, datetime], dict[str, None]] = {}
        for each in listing:
            names.setdefault((each.as_of, each.since, each.until), {})[each.policy_id] = None
        remember(self._layout, (
            Place(tuple(named), as_of, until, since, snapshot) for (as_of, since, until), named in names.items()
        ))  # fmt: skip

    def find(self, finding_id: str, **options: Unpack[PeriodOptions]) -> Listed:
        """Return the finding whose id is or begins so: in the period of the options, or where it was listed.

        Raises:
            ReportError: There is none, or there are several.
        """
        if not PREFIX.fullmatch(finding_id):
            raise ReportError(
                f"expected a finding's id of 1 to 16 hex digits, got {finding_id[:60]!r}", hint=_NAMES_THEM
            )
        if any(value is not None for value in options.values()):
            return _only(finding_id, self.list(**options), "in this period")
        known = recorded(self._layout, read(self._layout), finding_id)
        newest, *older = listings(self._layout) or [[]]
        listed = self._at(newest, finding_id)
        candidates = {each.finding.id for each in listed} | set(known)
        if len(candidates) > 1:
            raise ambiguous(finding_id, candidates)
        for number in candidates:
            listed_there = listed or next(filter(None, (self._at([place], number) for place in known[number])), ())
            return _only(number, listed_there, "any more where it was seen")
        life = Place((), self._clock(), self._clock(), BEFORE_ALL)
        looked = chain([()], older, [[life]])
        matches = (self._at(places, finding_id) if places else self.list() for places in looked)
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
                with suppress(PolicyNotFoundError, PackError, SnapshotError):  # it has gone since
                    listing = self.list(*place.policies, controls=False, **place.options, snapshot=snapshot)
                    there = _beginning(prefix, listing)
                    by_id |= {each.finding.id: each for each in there if each.finding.id not in by_id}
                    if there:
                        break
        return tuple(by_id.values())


def _pack_of(name: str) -> str:
    """Return the pack of a name of a control; empty of a policy, whose id has no slash."""
    pack, slash, _ = name.partition("/")
    return pack if slash else ""


def _of_controls(made: Framework, names: Sequence[str]) -> Iterator[Listed]:
    """Yield what the checks over records of a pack find; what its policies find is theirs.

    Raises:
        PackError: A control that is named is none of the pack's.
    """
    report, pack = made.report, made.case.pack
    wanted = {control_of(pack, each.partition("/")[2]).id for each in names if _pack_of(each) == pack.id}
    for control in report.controls:
        earlier = control.was and f"{pack.id}/{control.was}"
        found = {each.id: each for check in control.checks if check.policy is None for each in check.findings}
        for finding in found.values() if control.id in wanted or not wanted else ():
            yield Listed(
                f"{pack.id}/{control.id}", None, report.as_of, report.since, report.until, finding, earlier
            )  # fmt: skip


def _beginning(prefix: str, listed: Iterable[Listed]) -> list[Listed]:
    return [each for each in listed if each.finding.id.startswith(prefix)]


def _only(prefix: str, listed: Sequence[Listed], where: str) -> Listed:
    """Return the one finding whose id begins so."""
    if len(matched := {each.finding.id: each for each in _beginning(prefix, listed)}) > 1:
        raise ambiguous(prefix, matched)
    for each in matched.values():
        return each
    raise ReportError(f"no policy and no check of a control finds {prefix!r} {where}", hint=_NAMES_THEM)


def ambiguous(prefix: str, candidates: Iterable[str]) -> ReportError:
    """Return the error for the beginning of several ids."""
    named = sorted(candidates)
    more = f", and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    message = f"{len(named):,} findings begin with {prefix!r}: {', '.join(named[:_NAMED])}{more}"
    return ReportError(message, hint="give more of its digits; auditlake finding list says what each is")
