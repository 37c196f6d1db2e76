"""Frameworks judged on one snapshot, together with the policies that their controls ask about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.events.times import as_instant_or_none
from auditlake.findings.decisions import Weakening
from auditlake.findings.journal import Line, decisions_as_of
from auditlake.frameworks.controls import own_policies
from auditlake.frameworks.facts import Facts
from auditlake.frameworks.framework import Framework
from auditlake.frameworks.judge import judge
from auditlake.frameworks.model import Evidence, Extent
from auditlake.frameworks.records.model import Case
from auditlake.packs.check import undecided
from auditlake.packs.effective import LakePacks
from auditlake.packs.model import Pack
from auditlake.policies.holds import Hold
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, earlier, resolve
from auditlake.policies.request import ReportRequest
from auditlake.policies.shared import Everything, Shared, shared
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.model import Query
from auditlake.reports.run import Judged, Judging, judging
from auditlake.runs.due import schedules_between
from auditlake.runs.journal import counting

if TYPE_CHECKING:
    from auditlake.frameworks.lake_facts import Reading


@dataclass(frozen=True, slots=True)
class Where:
    """What frameworks are judged by that is not what the lake has now: as a report of before was."""

    packs: LakePacks | None = None
    """The packs; the lake's if None."""
    runs: int | None = None
    """How many of the first entries of the journal of runs count; all of them if None."""
    decided_by: datetime | None = None
    """What people decided after ``as_of`` and up to this instant counts as if they had decided it at ``as_of``."""
    holds: Sequence[Hold] | None = None
    """The legal holds; the lake's if None."""


@dataclass(frozen=True, slots=True)
class JudgedFrameworks:
    """Frameworks and policies judged on one snapshot, and the engine that gave the answers."""

    judged: Judged
    """The reports of the policies that were asked for."""
    frameworks: tuple[Framework, ...]
    again: Callable[[ComplianceReport], ComplianceReport]
    """Makes a report once more, so that the engine has the temporary tables of it."""
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Why packs could not be judged, by their ids; under ``""`` what is wrong with ``frameworks.yaml``."""

    @property
    def all_reports(self) -> tuple[ComplianceReport, ...]:
        """The reports of policies, each once: those that were asked for, and those that the frameworks rest on."""
        needed = (each for framework in self.frameworks for each in framework.policies.values())
        by_name = {each.stem: each for each in (*self.judged.reports, *needed)}
        return tuple(sorted(by_name.values(), key=lambda each: each.policy_id))


@contextmanager
def judged_frameworks(
    context: LakeContext,
    request: ReportRequest,
    pack_ids: Sequence[str] | None,
    *,
    holds: Sequence[Hold],
    flush: Callable[[], int],
    only: bool = False,
    where: Where | None = None,
) -> Iterator[JudgedFrameworks]:
    """Judge policies and frameworks; one pack that cannot be judged stops no other.

    Args:
        context: The lake.
        request: The policies that are asked for, and the period.
        pack_ids: The packs; all of the lake's if none is named, no pack if None.
        holds, flush: As for :func:`auditlake.reports.run.judging`.
        only: Whether to judge no policies but those that the packs need.
        where: By which packs, and how much of the journal of runs counts.

    Raises:
        PackError: One that was named is none of the lake's.
    """
    asked = None if only else request.policy_ids
    where, shares = where or Where(), pack_ids is not None
    with judging(context, request, asked, holds=holds, flush=flush, shares_engine=shares, packs=where.packs) as lake:
        packs = lake.packs if where.packs is None else where.packs
        for each in pack_ids or ():
            if each not in packs.faults:
                packs.get(each)
        run = None if pack_ids is None else _Run(context, request, lake, packs, where, holds, pack_ids)
        reports = run.judge(lake.asked) if run else lake.judge(lake.asked, request.listen)

        def again(made: ComplianceReport) -> ComplianceReport:
            (policy,) = (each for each in lake.policies if each.id == made.policy_id)
            (report,) = lake.judge([(policy, Question(made.as_of, made.since, made.until))], request.listen)
            return report

        frameworks, faults = run.frameworks(reports) if run else ((), {})
        judged = Judged(
            lake.engine, lake.policies, reports, lake.as_of, lake.snapshot, len(lake.journal), lake.answering.name
        )  # fmt: skip
        yield JudgedFrameworks(judged, frameworks, again, faults)


class _Run:
    """Frameworks on one snapshot."""

    def __init__(
        self, context: LakeContext, request: ReportRequest, lake: Judging, packs: LakePacks, where: Where,
        holds: Sequence[Hold], pack_ids: Sequence[str],
    ) -> None:  # fmt: skip
        self._pack_ids = pack_ids or (*packs.packs, *packs.faults)
        self._context, self._request, self._lake, self._packs, self._holds = context, request, lake, packs, holds
        usual = earlier(lake.as_of, timedelta(microseconds=context.config.report_period.microseconds))
        self._question = Question(lake.as_of, *resolve(request, lake.as_of, usual))
        self._is_usual = (self._question.since, self._question.until) == (usual, lake.as_of)
        self._decided_by = max(lake.as_of, where.decided_by or lake.as_of)
        self._decisions = decisions_as_of(lake.journal, lake.as_of, known_by=where.decided_by)
        self._runs, self._runs_digest = counting(context.layout, lake.as_of, where.runs)
        on_record = schedules_between(self._runs, self._question.since, self._question.until)
        self._schedules = (*packs.settings.schedules, *on_record)
        self._engine = lake.engine
        self._alike: Shared | None = None

    def judge(self, asked: Sequence[tuple[Policy, Question]]) -> tuple[ComplianceReport, ...]:
        """Return reports of policies; what they ask alike is counted together with what the packs ask of all events."""
        alike = None
        if packs := [self._packs.get(each) for each in self._pack_ids if each not in self._packs.faults]:
            from auditlake.frameworks.lake_facts import asked_by  # which plans retention: most lakes do without

            everything = Everything(self._question, asked_by(packs).columns)
            alike = shared(self._engine, asked, everything=everything, summaries=self._lake.summaries)
            self._alike = alike or self._alike
        return self._lake.judge(asked, self._request.listen, alike=alike)

    def frameworks(
        self, reports: Sequence[ComplianceReport]
    ) -> tuple[tuple[Framework, ...], dict[str, tuple[str, ...]]]:
        """Return the frameworks, and why others could not be judged."""
        faults = {each: self._packs.faults[each] for each in self._pack_ids if each in self._packs.faults}
        chosen = {each: self._packs.get(each) for each in self._pack_ids if each not in faults}
        faults |= {each: why for each, pack in chosen.items() if (why := self._refused(pack))}
        cases = [self._case(pack) for each, pack in chosen.items() if each not in faults]
        if not cases:
            return (), faults
        from auditlake.frameworks.lake_facts import Reading, asked_by

        made = self._reports(cases, reports)
        reading = Reading(
            self._context, self._lake.engine, self._lake.snapshot, self._question, self._holds, alike=self._alike,
            summaries=self._lake.summaries,
        )  # fmt: skip
        facts = reading.facts(asked_by([case.pack for case in cases]))
        return tuple(self._framework(case, made, reading, facts) for case in cases), faults

    def _refused(self, pack: Pack) -> tuple[str, ...]:
        """Return the weaker values of a pack that were never decided: a report by these would say too much."""
        ever = {
            line.entry.parameter for line in self._lake.journal
            if isinstance(line.entry, Weakening) and line.entry.pack == pack.id and line.entry.at <= self._decided_by
        }  # fmt: skip
        decided = self._decisions.weakened(pack.id)
        values = {name: value for name, value in pack.values.items() if name not in ever}
        chosen = self._packs.settings.packs.get(pack.id)
        return tuple(undecided(replace(pack, values=values), chosen, decided))

    def _case(self, pack: Pack) -> Case:
        return Case(
            pack, self._question, policies=self._lake.policies, decisions=self._decisions, runs=self._runs,
            schedules=self._schedules, programs=self._packs.settings.programs,
        )  # fmt: skip

    def _reports(self, cases: Sequence[Case], reports: Sequence[ComplianceReport]) -> dict[str, ComplianceReport]:
        """Return the reports over the period of all policies that cases need: those that there are, and the others."""
        about = (self._question.since, self._question.until)
        made = {each.policy_id: each for each in reports if (each.since, each.until) == about}
        needed = {each for case in cases for each in _needed(case)}
        asked = [(each, self._question) for each in self._lake.policies if each.id in needed - made.keys()]
        more = self.judge(asked) if asked else ()
        return made | {each.policy_id: each for each in more}

    def _framework(self, case: Case, made: Mapping[str, ComplianceReport], reading: Reading, facts: Facts) -> Framework:
        facts, queries = reading.of_pack(case, facts)
        own = {each: made[each] for each in _needed(case) if each in made}
        case = replace(case, facts=facts, reports={name: each.report for name, each in own.items()})
        report = judge(
            case, evidence=self._evidence(case.pack, reading, queries),
            generated_at=as_instant_or_none(self._request.generated_at),
            made={name: (_digest(each.json()) or "", each.stem) for name, each in own.items()},
            places=self._places(case.pack.id),
        )  # fmt: skip
        return Framework(report, case, own, self._packs.files, usual_period=self._is_usual)

    def _places(self, pack_id: str) -> Mapping[str, str]:
        chosen = self._packs.settings.packs.get(pack_id)
        return chosen.places if chosen else {}

    def _evidence(self, pack: Pack, reading: Reading, queries: tuple[Query, ...]) -> Evidence:
        from auditlake.frameworks.lake_facts import hold_then

        lake = self._lake
        files = self._packs.files
        return Evidence(
            lake_id=self._context.config.id, **lake.snapshot.evidence,  # type: ignore[arg-type]
            pack_digest=pack.digest, base_digest=_digest(files.get(pack.extends or "-")),
            settings_digest=_digest(files.get("")),
            journal=_extent(lake.journal), runs=Extent(self._runs[-1].number if self._runs else 0, self._runs_digest),
            certificates=reading.certificates, holds=tuple(map(hold_then, reading.holds)),
            places_digest=reading.places_digest(pack), queries=queries,
        )  # fmt: skip


def _needed(case: Case) -> list[str]:
    """Return the ids of the policies that a pack's controls ask about, or that are shown beside them."""
    ids = (policy.id for name, policy in case.pack.policies.items() if name not in case.pack.unready)
    own = chain.from_iterable(own_policies(control, case) for control in case.pack.controls)
    return list(dict.fromkeys([*ids, *own]))


def _extent(journal: Sequence[Line]) -> Extent:
    return Extent(len(journal), journal[-1].digest) if journal else Extent(0, "")


def _digest(content: bytes | None) -> str | None:
    return None if content is None else "sha256:" + hashlib.sha256(content).hexdigest()
