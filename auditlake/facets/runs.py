"""What was evaluated when, with which answers: ``lake.runs``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Unpack

from auditlake.context import Facet, LakeContext
from auditlake.disk.files import read_file
from auditlake.errors import AuditLakeError
from auditlake.events.times import Instant, as_end_or_none, as_instant_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditlake.facets.changes import ChangeReport
    from auditlake.frameworks.framework import Framework
    from auditlake.frameworks.run import JudgedFrameworks
    from auditlake.policies.request import ReportOptions
    from auditlake.reports.compliance import ComplianceReport
    from auditlake.runs.model import Answer, Entry, Occasion, PackAnswer

    Judge = Callable[..., AbstractContextManager[JudgedFrameworks]]


class Recording:
    """A run under way; :meth:`Runs.recorded` gives it."""

    def __init__(self, context: LakeContext, verb: str, judge: Judge, occasion: Occasion | None) -> None:
        from auditlake.packs.schedules import record_schedules
        from auditlake.runs.recorder import Recorder

        self._context = context
        self._judge = judge
        self._recorder = Recorder(context, verb, occasion)
        with suppress(AuditLakeError, OSError):  # the mistake is told where packs are judged, and the disk's by the run
            record_schedules(context)
        self._found: dict[str, Any] = {}
        self._judged_by: tuple[bytes, ...] = ()

    @property
    def missing(self) -> str:
        """Why the run is not on record, as on a disk that cannot be written; empty where it is."""
        return self._recorder.missing

    def reports(self, *policy_ids: str, **options: Unpack[ReportOptions]) -> tuple[ComplianceReport, ...]:
        """Make reports as :meth:`auditlake.AuditLake.reports` does; their answers are those of the run."""
        return self.judged(policy_ids, None, **options).judged.reports

    def judged(
        self,
        policy_ids: Sequence[str] = (),
        pack_ids: Sequence[str] | None = (),
        *,
        only: bool = False,
        **options: Unpack[ReportOptions],
    ) -> JudgedFrameworks:
        """Judge policies and packs on one snapshot; their answers are those of the run.

        Args:
            policy_ids: The policies; all of them if none is named.
            pack_ids: The packs; all of the lake's if none is named, no pack if None.
            only: Whether to judge no policies but those that the packs need.
            **options: Those of :meth:`auditlake.AuditLake.reports`.
        """
        with self._judge(policy_ids, pack_ids, only=only, **options) as made:
            judged, snapshot = made.judged, made.judged.snapshot
            reports = [each for framework in made.frameworks for each in framework.policies.values()]
            answers = {each.policy_id: _answer(each) for each in (*reports, *judged.reports)}
            generated = as_instant_or_none(options.get("generated_at")) or judged.as_of
            self._found = {
                "as_of": judged.as_of, "generated_at": generated, "snapshot": snapshot.version, "rows": snapshot.rows,
                "journal": judged.entries, "answers": answers,
                "packs": {each.pack_id: _pack_answer(each) for each in made.frameworks},
                "engine": judged.answered_by,
            }  # fmt: skip
            self._judged_by = tuple(_judged_by(made))
        return made

    def end(self, error: BaseException | None) -> None:
        """Put the run on record with its answers, or the error that ended it."""
        from auditlake.runs.journal import read
        from auditlake.runs.judged_by import keep
        from auditlake.runs.known import all_news
        from auditlake.runs.model import Run
        from auditlake.store.turn import record_runs

        began, layout = self._recorder.started, self._context.layout
        nothing: dict[str, Any] = dict.fromkeys(("as_of", "generated_at", "snapshot", "rows", "journal"))
        settings = None
        with suppress(OSError):
            settings = "sha256:" + hashlib.sha256(read_file(layout.config, within=layout.root)).hexdigest()
        with suppress(OSError):  # without them a later report cannot be compared with this run, no more
            keep(layout, self._judged_by)
        answers = self._found.get("answers", {})
        with suppress(AuditLakeError):  # then each finding is named: the next reader is told what is wrong
            self._found |= {"answers": all_news(read(layout), answers, began.at)}
        self._recorder.end(Run(
            number=0, id=began.id, at=began.at, finished=self._context.now, verb=began.verb, version=began.version,
            user=began.user, settings=settings, state="ok" if error is None else "error",
            error=None if error is None else str(error) or type(error).__name__, **(nothing | self._found),
            **({} if began.occasion is None else asdict(began.occasion)),
        ))  # fmt: skip
        with suppress(AuditLakeError, OSError):  # the next entry of the ledger says it
            record_runs(self._context)


class Runs(Facet):
    """The journal of runs: every report that was asked for on the record, every verification, and what was due.

    Args:
        context: The lake.
        judge: Makes reports and says on what.
    """

    def __init__(self, context: LakeContext, judge: Judge) -> None:
        super().__init__(context)
        self._judge = judge

    @contextmanager
    def recorded(self, verb: str = "python", *, occasion: Occasion | None = None) -> Iterator[Recording]:
        """Put what is evaluated within this on record, as ``auditlake report`` and ``auditlake nightly`` do.

        >>> with lake.runs.recorded() as run:                           # doctest: +SKIP
        ...     reports = run.reports("failed_logins", period="2026-Q3")

        Reports of ``lake.reports`` are a look, and leave no line. An error ends the run, is on record with it, and
        goes on. A run whose process dies is put on record as failed by the next one. A lake that cannot be written to
        stops no run: ``run.missing`` then says why it is not on record.

        Args:
            verb: What the journal says about who asked.
            occasion: Which schedule asked, and for which instant; None if a person did.
        """
        recording = Recording(self._context, verb, self._judge, occasion)
        try:
            yield recording
        except BaseException as error:
            recording.end(error)
            raise
        recording.end(None)

    def all(self, *policy_ids: str, since: Instant | None = None, until: Instant | None = None) -> tuple[Entry, ...]:
        """Return the entries of the journal in order: runs, verifications, runs that nobody finished, and schedules.

        Args:
            *policy_ids: Only runs that judged one of them.
            since: Only what began then or later; of a day, its beginning.
            until: Only what began then or before; of a day, its end.

        Raises:
            LakeError: The journal cannot be read, or a line is none of ours.
        """
        from auditlake.runs.journal import read

        first, last = as_instant_or_none(since), as_end_or_none(until)
        return tuple(
            each
            for each in read(self._context.layout)
            if (first is None or each.began >= first)
            and (last is None or each.began <= last)
            and (not policy_ids or not each.policies.isdisjoint(policy_ids))
        )

    def changes(
        self, subject: str, *, before: str | Path | int | None = None, after: str | Path | int | None = None,
        policies: str | Path | None = None,
    ) -> ChangeReport:  # fmt: skip
        """Say what became different between two reports of a policy or a framework, and why.

        Args:
            subject: The policy, or the pack.
            before: The earlier report: a run's number, or its JSON; the last run before the later one if None.
            after: The later report, likewise; that of the newest run if None.
            policies: A folder with the policies and packs that the earlier report was judged by, if not the lake's.

        Raises:
            ReportError: There are no two such reports, or what one was judged by is not there any more.
            SnapshotError: The later snapshot cannot be read exactly any more.
        """
        from auditlake.changes.run import changes
        from auditlake.facets.changes import ChangeReport
        from auditlake.packs.effective import lake_packs

        context = self._context
        packs = lake_packs(context.layout, context.config.event_types, is_later=True)
        return ChangeReport(changes(
            context, self._judge, subject, is_framework=subject in packs.known, before=before, after=after,
            policies=policies,
        ))  # fmt: skip


def _judged_by(made: JudgedFrameworks) -> Iterator[bytes]:
    """Yield the files that the answers name by their digests."""
    judged = {each.policy_id for each in made.all_reports}
    for policy in made.judged.policies:
        if policy.id in judged:
            yield policy.content
    for framework in made.frameworks[:1]:  # each has the files of all packs
        yield from framework.files_of_packs.values()


def _pack_answer(made: Framework) -> PackAnswer:
    from auditlake.runs.model import PackAnswer

    controls = {each.id: each.status for each in made.report.controls}
    digest = "sha256:" + hashlib.sha256(made.json()).hexdigest()
    return PackAnswer(made.report.digest, made.status, controls, digest)


def _answer(made: ComplianceReport) -> Answer:
    from auditlake.findings.finding import subject_id, subject_of
    from auditlake.findings.many import MOST_NAMED, accepted_ones
    from auditlake.runs.model import Answer, Found

    report, found = made.report, None
    if len(report.violations) <= MOST_NAMED:
        subjects = {each.id: subject_id(subject_of(report.policy_id, each)) for each in report.violations}
        found = {
            each.id: Found(None if subjects[each.id] == each.id else subjects[each.id], each.start, each.end)
            for each in report.violations
        }
    return Answer(
        policy=report.evidence.policy_digest, since=report.since, until=report.until, status=report.status,
        findings=len(report.violations), open=len(report.violations) - len(accepted_ones(report.violations)),
        governed=report.total_events, report="sha256:" + hashlib.sha256(made.json()).hexdigest(), found=found,
    )  # fmt: skip
