"""A run of a schedule: each step is told, and one that fails stops only what needs it.

The steps, in order: collect, flush, report. The schedule ``nightly`` does all that a lake needs every night: collect,
flush, verify, report, compact, retention, and prune where lake.toml says how long pages are kept. Retention is planned
then, and the plan is carried out only where lake.toml says so, the verification found nothing, no policy and no mapping
failed, and the plan stays within the limits of lake.toml.

What a schedule evaluates is judged as of the newest instant at which it was due, so a run that begins late answers what
it would have answered in time. A lake may leave ``nightly`` undeclared: it is due at no instant then, and judged as of
now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from auditlake.context import LakeContext
from auditlake.disk.durable import make_folders
from auditlake.disk.lock import exclusive
from auditlake.display.text import count, instant_name, visible
from auditlake.errors import AuditLakeError, LakeBusyError, PackError, RunUnderWayError
from auditlake.events.times import print_instant
from auditlake.packs.schedules import NIGHTLY, Evaluated, evaluated, lake_schedule, lake_schedules
from auditlake.packs.settings import ALL
from auditlake.runs.due import due_runs, newest_due
from auditlake.runs.journal import read
from auditlake.runs.model import Occasion, Run
from auditlake.sources.catalog import catalog_of
from auditlake.storage.lake import elected

if TYPE_CHECKING:
    from auditlake.collect.model import CollectSummary
    from auditlake.frameworks.run import JudgedFrameworks
    from auditlake.landing.flush import FlushSummary
    from auditlake.retention.apply import Applied
    from auditlake.retention.plan import RetentionPlan
    from auditlake.site.prune import PrunePlan
    from auditlake.store.compact import CompactSummary
    from auditlake.verify.model import VerifyReport

Outcome = Literal["done", "skipped", "no", "failed", "wrong"]
"""``no``: it was done, and its answer is one that was asked to be told of; ``wrong``: the lake is not as recorded."""


class _Verify(Protocol):
    def verify(self, *, full: bool = True, new: bool = False) -> VerifyReport: ...


class _Retention(Protocol):
    def plan(self) -> RetentionPlan: ...
    def apply(self, *, plan: str | None = None, operator: str | None = None) -> Applied: ...


class _Routine(Protocol):
    def collect(self) -> CollectSummary: ...
    def prune(self) -> PrunePlan: ...


class _Recording(Protocol):
    @property
    def missing(self) -> str: ...
    def judged(
        self, policy_ids: Sequence[str], pack_ids: Sequence[str] | None, *, only: bool, as_of: datetime | None,
        cache: bool,
    ) -> JudgedFrameworks: ...  # fmt: skip


class _Runs(Protocol):
    def recorded(self, verb: str, *, occasion: Occasion | None) -> AbstractContextManager[_Recording]: ...


class Verbs(Protocol):
    """The verbs of a lake that a run of a schedule goes through."""

    @property
    def ledger(self) -> _Verify:
        """``verify``."""

    @property
    def retention(self) -> _Retention:
        """``plan`` and ``apply``."""

    @property
    def routine(self) -> _Routine:
        """``collect`` and ``prune``."""

    @property
    def runs(self) -> _Runs:
        """``recorded``."""

    def flush(self) -> FlushSummary:
        """Bring logged events into the table."""

    def compact(self) -> CompactSummary:
        """Merge small files."""


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step."""

    name: str
    outcome: Outcome
    said: str
    """One sentence."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Its numbers."""
    told: tuple[str, ...] = ()
    """What needs a person's eye, a line each."""


@dataclass(frozen=True, slots=True)
class RoutineSummary:
    """What a run of a schedule did."""

    began: datetime
    ended: datetime
    steps: tuple[Step, ...]
    schedule: str = NIGHTLY
    due: datetime | None = None
    """The newest instant at which it was due, which it was judged as of; None where none is declared."""
    caught_up: tuple[datetime, ...] = ()
    """The earlier ones that it made up for."""

    @property
    def outcome(self) -> Outcome:
        """The worst that a step came to; ``done`` where some were skipped."""
        outcomes = {each.outcome for each in self.steps}
        worst: tuple[Outcome, ...] = ("wrong", "failed", "no")
        return next((each for each in worst if each in outcomes), "done")

    @property
    def ok(self) -> bool:
        """Whether every step was done or had nothing to do."""
        return self.outcome == "done"

    def __getitem__(self, name: str) -> Step:
        """Return the step of a name."""
        return next(each for each in self.steps if each.name == name)


MOST_CAUGHT_UP = 31
"""How many missed runs one run makes up for, the newest of them."""


_BY_ONE = frozenset({"compact", "retention"})
"""The steps that one host at a time does for all: the first one that comes to them."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a run of a schedule is to evaluate, and as of when."""

    schedule: str
    evaluate: tuple[str, ...] = (ALL,)
    due: datetime | None = None
    """The newest instant at which it was due; None where none is declared."""
    missed: tuple[datetime, ...] = ()
    """The earlier ones that it makes up for, in order."""
    too_old: int = 0
    """How many more were missed."""

    @property
    def occasions(self) -> tuple[Occasion, ...]:
        """Why each of its evaluations is made, in order."""
        made_up = (Occasion(self.schedule, each, catch_up=True) for each in self.missed)
        return *made_up, Occasion(self.schedule, self.due)


def task_of(context: LakeContext, name: str, *, catch_up: bool = False) -> Task:
    """Return what a run of a schedule is to do now.

    Args:
        context: The lake.
        name: The schedule.
        catch_up: Whether it makes up for runs that were due, and that none satisfied.

    Raises:
        PackError: ``frameworks.yaml`` declares no such schedule, or cannot be used. That stops no run of ``nightly``,
            which judges as of now then.
        LakeError: The journal of runs cannot be read.
    """
    now = context.now
    try:
        if name == NIGHTLY and NIGHTLY not in {each.name for each in lake_schedules(context.layout)}:
            return Task(NIGHTLY)
        schedule = lake_schedule(context.layout, name)
    except PackError:
        if name != NIGHTLY:
            raise
        return Task(NIGHTLY)
    due, missed = newest_due(schedule, now), []
    if catch_up:
        entries = [each for each in read(context.layout) if each.began <= now]
        unmet = (each for each in due_runs(entries, now) if each.schedule == name and each.run is None)
        missed = [each.instant for each in unmet if each.instant < due]
    made_up = tuple(missed[-MOST_CAUGHT_UP:])
    return Task(name, schedule.evaluate, due, made_up, len(missed) - len(made_up))


def run_schedule(
    context: LakeContext, verbs: Verbs, name: str, *, catch_up: bool, if_due: bool, fail_on: Sequence[str],
    operator: str | None, verb: str, cache: bool,
) -> RoutineSummary:  # fmt: skip
    """Run a schedule; see :meth:`auditlake.facets.routine.Routine.run`."""
    if name != NIGHTLY:
        lake_schedule(context.layout, name)  # any other name is no name of a lock
    with _alone(context, name):
        began = context.now
        task = task_of(context, name, catch_up=catch_up)
        if if_due and task.due is not None and (before := _satisfying(context, name, task.due)):
            said = f"judged as of {instant_name(task.due)} already, by run {before}"
            return RoutineSummary(began, context.now, (Step("report", "skipped", said),), name, task.due)
        run = _Run(context, verbs, task, fail_on, operator, verb, cache=cache)
        steps: list[Step] = []
        for step_name, step in run.steps.items():
            try:
                with elected(context.layout) if step_name in _BY_ONE else nullcontext(None) as other:
                    said = "" if other is None else f"the host {other} does it for all; nothing has to be run again"
                    steps.append(Step(step_name, "skipped", said) if said else step())
            except AuditLakeError as error:
                hint = (visible(error.hint),) if error.hint else ()
                steps.append(Step(step_name, "failed", visible(str(error)), told=hint))
            except OSError as error:  # the disk or the system refused something that no verb explains better
                steps.append(Step(step_name, "failed", visible(f"{error.strerror or error}: {error.filename or ''}")))
            run.outcomes[step_name] = steps[-1].outcome
        return RoutineSummary(began, context.now, tuple(steps), name, task.due, task.missed)


def _satisfying(context: LakeContext, name: str, due: datetime) -> int | None:
    """Return the entry of a run that satisfied what was due; None if there is none."""
    runs = (each for each in read(context.layout) if isinstance(each, Run) and each.schedule == name)
    good = (each.number for each in runs if each.state == "ok" and each.as_of is not None and each.as_of >= due)
    return next(good, None)


@contextmanager
def _alone(context: LakeContext, name: str) -> Iterator[None]:
    """Keep a second run of the schedule out, and wait for one of another.

    Raises:
        RunUnderWayError: A run of this schedule is under way.
        LakeBusyError: One of another schedule was for all of the time to wait.
    """
    layout = context.layout
    own = layout.schedule_lock(name)
    make_folders(own.parent, below=layout.root)
    try:
        with exclusive(own, wait_seconds=0), exclusive(layout.nightly_lock, wait_seconds=context.wait_seconds):
            yield
    except LakeBusyError as error:
        if str(own) in str(error):
            hint = "this one did nothing"
            raise RunUnderWayError(f"another run of the schedule {name} is at work", hint=hint) from None
        if str(layout.nightly_lock) in str(error):
            raise LakeBusyError(f"{error}, which runs another schedule", hint=error.hint) from None
        raise


class _Run:
    """A run of a schedule on its way."""

    def __init__(
        self, context: LakeContext, verbs: Verbs, task: Task, fail_on: Sequence[str], operator: str | None, verb: str,
        *, cache: bool,
    ) -> None:  # fmt: skip
        self._context = context
        self._verbs = verbs
        self._task = task
        self._fail_on = fail_on
        self._operator = operator
        self._verb = verb
        self._cache = cache
        self._misjudged: tuple[str, ...] = ()
        self.outcomes: dict[str, Outcome] = {}
        self.steps: dict[str, Callable[[], Step]] = {
            "collect": self._collect, "flush": self._flush, "verify": self._verify, "report": self._report,
            "compact": self._compact, "retention": self._retain,
        }  # fmt: skip
        if context.config.reports.keep_pages is not None:
            self.steps["prune"] = self._prune
        if task.schedule != NIGHTLY:
            self.steps = {each: self.steps[each] for each in ("collect", "flush", "report")}

    def _collect(self) -> Step:
        if not self._context.config.collect:
            return Step("collect", "skipped", "lake.toml names no place")
        done = self._verbs.routine.collect()
        said = (
            f"{count(done.taken, 'object')} taken of {done.listed:,}, {count(done.landed, 'event')} landed, "
            f"{count(done.duplicates, 'duplicate')}, {done.quarantined:,} quarantined"
        )
        names = ("listed", "known", "taken", "size", "read", "landed", "duplicates", "quarantined", "unrecognised",
                 "not_read", "snapshot")  # fmt: skip
        facts = {name: getattr(done, name) for name in names}
        told = tuple(line for place in done.places for line in place_lines(place))
        return Step("collect", "no" if done.failed else "done", said, facts, told)

    def _flush(self) -> Step:
        done = self._verbs.flush()
        said = f"{count(done.landed, 'event')} flushed, {done.quarantined:,} quarantined"
        facts = {name: getattr(done, name) for name in ("landed", "duplicates", "quarantined", "removed", "snapshot")}
        return Step("flush", "done", said, facts)

    def _verify(self) -> Step:
        report = self._verbs.ledger.verify(full=False, new=True)
        bad = (part for batch in report.batches for part in batch.parts if part.verdict in {"MISSING", "CHANGED"})
        wrong = [f"batch {part.batch}, {part.day}: {part.detail}" for part in bad]
        told = tuple(visible(each) for each in (*map(str, report.problems), *wrong))
        facts = {"batches": len(report.batches), "version": report.version, "problems": report.wrong}
        if report.ok:
            return Step("verify", "done", f"{count(report.size, 'entry', 'entries')}, all as recorded", facts)
        return Step("verify", "wrong", "the lake is not as it was recorded", facts, told)

    def _report(self) -> Step:
        from auditlake.site.index import write_index

        asked = evaluated(self._context, self._task.evaluate)
        if not asked:
            names = ", ".join(self._task.evaluate)
            message = f"the schedule {self._task.schedule} evaluates {names}, of which this lake has none"
            raise PackError(message, hint="frameworks.yaml names ids of packs and policies, or all")
        told: list[str] = []
        for occasion in self._task.occasions[:-1]:
            try:
                _, missing = self._evaluate(asked, occasion, told)
            except AuditLakeError as error:
                missing = str(error)
            if missing:
                due = print_instant(occasion.due) if occasion.due else ""
                told.append(f"the run that was due {due} could not be made up for: {visible(missing)}")
        judged, missing = self._evaluate(asked, self._task.occasions[-1], told)
        layout, made = self._context.layout, judged.all_reports
        write_index(layout.reports, layout)
        statuses: dict[str, int] = {}
        for each in made:
            statuses[each.status] = statuses.get(each.status, 0) + 1
        faults = [(each.policy_id, each.report.error) for each in made if each.report.error is not None]
        faults += [(name or "frameworks.yaml", "; ".join(why)) for name, why in judged.faults.items()]
        self._misjudged = tuple(policy_id for policy_id, _ in faults)
        outcome: Outcome = "failed" if faults or told or asked.unknown else "done"
        told += [f"{visible(each)} is neither a policy nor a pack of this lake" for each in asked.unknown]
        told += [f"{visible(policy_id)} could not be judged: {visible(why)}" for policy_id, why in faults]
        judged_so: list[tuple[str, str]] = [
            (each.policy_id, each.status) for each in made if each.policy_id not in self._misjudged
        ]
        judged_so += [(each.pack_id, each.status) for each in judged.frameworks]
        bad = [f"{visible(name)}: {status.replace('_', ' ')}" for name, status in judged_so if status in self._fail_on]
        told += [f"this run is not on record: {visible(missing)}"] if missing else []
        told += bad
        said = ", ".join(f"{many} {status.replace('_', ' ')}" for status, many in sorted(statuses.items()))
        of_frameworks = ", ".join(f"{each.pack_id} {each.status.replace('_', ' ')}" for each in judged.frameworks)
        said = "; ".join(filter(None, [said, visible(of_frameworks)]))
        facts = {
            "policies": {each.policy_id: each.status for each in made},
            "frameworks": {each.pack_id: each.status for each in judged.frameworks},
            "index": str(layout.reports / "index.html"),
        }
        if bad and outcome == "done":
            outcome = "no"
        return Step("report", outcome, (said or "there is no policy") + self._as_of(), facts, tuple(told))

    def _evaluate(self, asked: Evaluated, occasion: Occasion, told: list[str]) -> tuple[JudgedFrameworks, str]:
        """Judge what the schedule evaluates, and write it; return the answers, and why it is not on record.

        Args:
            asked: What it evaluates.
            occasion: When it was due.
            told: Where it is added what could not be written.
        """
        from auditlake.reports.files import FORMATS
        from auditlake.site.write import write_site

        with self._verbs.runs.recorded(self._verb, occasion=occasion) as run:
            judged = run.judged(asked.policies, asked.packs, only=asked.only, as_of=occasion.due, cache=self._cache)
            formats = dict.fromkeys((*FORMATS, *self._context.config.reports.forms))
            written = write_site(
                judged.all_reports, judged.frameworks, self._context.layout.reports, formats=[*formats]
            )
        told += [f"{visible(each.report)}: {visible(str(each.error))}" for each in written.faults]
        return judged, run.missing

    def _as_of(self) -> str:
        """Return as of when it was judged, where an instant was due, and what was made up for."""
        said = f", as of {instant_name(self._task.due)}" if self._task.due else ""
        if missed := self._task.missed:
            said += f"; {count(len(missed), 'missed run')} made up for, from {instant_name(missed[0])}"
        if self._task.too_old:
            said += f"; {self._task.too_old:,} older ones are not"
        return said

    def _compact(self) -> Step:
        if self.outcomes["verify"] != "done":
            return Step("compact", "skipped", "the verification did not find the lake as it was recorded")
        done = self._verbs.compact()
        said = f"{count(done.days, 'day')} compacted, {count(done.unlinked, 'old file')} removed"
        facts = {name: getattr(done, name) for name in ("days", "files_before", "files_after", "unlinked", "snapshot")}
        return Step("compact", "done", said, facts)

    def _retain(self) -> Step:
        plan = self._verbs.retention.plan()
        days = len(plan.changes)
        facts = {
            "due": plan.due, "pseudonymise": plan.pseudonymise, "held": plan.held, "days": days,
            "leftovers": len(plan.leftovers), "digest": plan.digest, "applied": False, "certificate": None,
        }  # fmt: skip
        said = f"{count(plan.due, 'event')} due on {count(days, 'day')}, {plan.pseudonymise:,} to pseudonymise"
        if not self._context.config.nightly.apply:
            return Step("retention", "done", f"{said}; not applied, since lake.toml does not say so", facts)
        if not (plan.changes or plan.leftovers):
            return Step("retention", "done", f"{said}; nothing to apply", facts)
        if reasons := self._against(plan):
            return Step("retention", "no", f"{said}; not applied", facts, reasons)
        done = self._verbs.retention.apply(plan=plan.digest, operator=self._operator)
        facts |= {"applied": True, "certificate": done.certificate}
        return Step("retention", "done", f"{said}; applied, certificate {done.certificate}", facts)

    def _prune(self) -> Step:
        done = self._verbs.routine.prune()
        facts = {"pages": len(done.pages), "size": done.size, "kept": dict(done.kept), "before": done.before}
        if done.obstacles:
            return Step("prune", "skipped", f"no page removed: {visible('; '.join(done.obstacles))}", facts)
        said = f"{count(len(done.pages), 'page')} older than {done.keep} removed, {sum(done.kept.values()):,} kept"
        return Step("prune", "done", said, facts)

    def _against(self, plan: RetentionPlan) -> tuple[str, ...]:
        """Return why the plan is not to be carried out without a person."""
        limits, reasons = self._context.config.nightly, []
        if self.outcomes["verify"] != "done":
            reasons.append("the verification did not find the lake as it was recorded")
        if self.outcomes["report"] == "failed":
            which = visible(", ".join(self._misjudged)) or "the policies"
            reasons.append(f"{which} could not be judged")
        faults = catalog_of(self._context.layout, self._context.config.event_types).faults
        reasons += [f"a mapping cannot be used: {visible(str(fault))}" for fault in faults]
        sizes = (
            ("max_events", limits.max_events, plan.due + plan.pseudonymise),
            ("max_days", limits.max_days, len(plan.changes)),
        )
        for name, most, number in sizes:
            if most is None:
                reasons.append(f"[nightly] of lake.toml sets no {name}")
            elif number > most:
                reasons.append(f"{name} of lake.toml is {most:,}, and the plan has {number:,}")
        return tuple(reasons)


def place_lines(place: Any) -> Iterator[str]:
    """Yield what a person should know of a place that was collected."""
    if place.problem:
        yield visible(place.problem)
    for line in (*place.told, *place.new_skips):
        yield visible(line)
    if (more := place.not_read + place.unrecognised - len(place.told)) > 0:
        yield f"{visible(place.path)}: {count(more, 'more object')} could not be read or recognised"
    if place.too_many_quarantined:
        yield (
            f"{visible(place.path)}: too many records were quarantined, "
            f"{place.quarantined:,} of {place.read:,}; LAKE/quarantine has them with their reasons"
        )
