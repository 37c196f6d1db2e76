"""Everything that a lake needs every night, in one run: each step is told, and one that fails stops only what needs it.

The steps, in order: collect, flush, verify, report, compact, retention. Retention is planned each night, and the plan
is carried out only where lake.toml says so, the verification found nothing, no policy and no mapping failed, and the
plan stays within the limits of lake.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from auditlake.context import LakeContext
from auditlake.disk.lock import exclusive
from auditlake.display.text import count, visible
from auditlake.errors import AuditLakeError, LakeBusyError
from auditlake.sources.catalog import catalog_of

if TYPE_CHECKING:
    from auditlake.collect.model import CollectSummary
    from auditlake.frameworks.run import JudgedFrameworks
    from auditlake.landing.flush import FlushSummary
    from auditlake.retention.apply import Applied
    from auditlake.retention.plan import RetentionPlan
    from auditlake.store.compact import CompactSummary
    from auditlake.verify.model import VerifyReport

Outcome = Literal["done", "skipped", "no", "failed", "wrong"]
"""``no``: it was done, and its answer is one that was asked to be told of; ``wrong``: the lake is not as recorded."""


class _Verify(Protocol):
    def verify(self, *, full: bool = True) -> VerifyReport: ...


class _Retention(Protocol):
    def plan(self) -> RetentionPlan: ...
    def apply(self, *, plan: str | None = None, operator: str | None = None) -> Applied: ...


class _Routine(Protocol):
    def collect(self) -> CollectSummary: ...


class _Recording(Protocol):
    @property
    def missing(self) -> str: ...
    def judged(self) -> JudgedFrameworks: ...


class _Runs(Protocol):
    def recorded(self, verb: str) -> AbstractContextManager[_Recording]: ...


class Verbs(Protocol):
    """The verbs of a lake that a nightly run goes through."""

    @property
    def ledger(self) -> _Verify:
        """``verify``."""

    @property
    def retention(self) -> _Retention:
        """``plan`` and ``apply``."""

    @property
    def routine(self) -> _Routine:
        """``collect``."""

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
class NightlySummary:
    """What a nightly run did."""

    began: datetime
    ended: datetime
    steps: tuple[Step, ...]

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


def nightly(context: LakeContext, verbs: Verbs, *, fail_on: Sequence[str], operator: str | None) -> NightlySummary:
    """Do all of it; see :meth:`auditlake.facets.routine.Routine.nightly`."""
    with _alone(context):
        began = context.now
        run = _Run(context, verbs, fail_on, operator)
        steps: list[Step] = []
        for name, step in run.steps.items():
            try:
                steps.append(step())
            except AuditLakeError as error:
                hint = (visible(error.hint),) if error.hint else ()
                steps.append(Step(name, "failed", visible(str(error)), told=hint))
            except OSError as error:  # the disk or the system refused something that no verb explains better
                steps.append(Step(name, "failed", visible(f"{error.strerror or error}: {error.filename or ''}")))
            run.outcomes[name] = steps[-1].outcome
        return NightlySummary(began, context.now, tuple(steps))


@contextmanager
def _alone(context: LakeContext) -> Iterator[None]:
    lock = context.layout.nightly_lock
    try:
        with exclusive(lock, wait_seconds=0):
            yield
    except LakeBusyError as error:
        if str(lock) not in str(error):
            raise
        raise LakeBusyError("another nightly run is at work on this lake", hint="this one did nothing") from None


class _Run:
    """A nightly run on its way."""

    def __init__(self, context: LakeContext, verbs: Verbs, fail_on: Sequence[str], operator: str | None) -> None:
        self._context = context
        self._verbs = verbs
        self._fail_on = fail_on
        self._operator = operator
        self._misjudged: tuple[str, ...] = ()
        self.outcomes: dict[str, Outcome] = {}
        self.steps: dict[str, Callable[[], Step]] = {
            "collect": self._collect, "flush": self._flush, "verify": self._verify, "report": self._report,
            "compact": self._compact, "retention": self._retain,
        }  # fmt: skip

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
        report = self._verbs.ledger.verify(full=False)
        told = tuple(visible(str(each)) for each in report.problems)
        facts = {"batches": len(report.batches), "version": report.version, "problems": len(told)}
        if report.ok:
            return Step("verify", "done", f"{count(report.size, 'entry', 'entries')}, all as recorded", facts)
        return Step("verify", "wrong", "the lake is not as it was recorded", facts, told)

    def _report(self) -> Step:
        from auditlake.site.index import write_index
        from auditlake.site.write import write_site

        layout = self._context.layout
        with self._verbs.runs.recorded("nightly") as run:
            judged = run.judged()
            made = judged.all_reports
            write_site(made, judged.frameworks, layout.reports)
        write_index(layout.reports, layout)
        statuses: dict[str, int] = {}
        for each in made:
            statuses[each.status] = statuses.get(each.status, 0) + 1
        faults = [(each.policy_id, each.report.error) for each in made if each.report.error is not None]
        faults += [(name or "frameworks.yaml", "; ".join(why)) for name, why in judged.faults.items()]
        self._misjudged = tuple(policy_id for policy_id, _ in faults)
        told = [f"{visible(policy_id)} could not be judged: {visible(why)}" for policy_id, why in faults]
        judged_so: list[tuple[str, str]] = [
            (each.policy_id, each.status) for each in made if each.policy_id not in self._misjudged
        ]
        judged_so += [(each.pack_id, each.status) for each in judged.frameworks]
        bad = [f"{visible(name)}: {status.replace('_', ' ')}" for name, status in judged_so if status in self._fail_on]
        told += [f"this run is not on record: {visible(run.missing)}"] if run.missing else []
        told += bad
        said = ", ".join(f"{many} {status.replace('_', ' ')}" for status, many in sorted(statuses.items()))
        of_frameworks = ", ".join(f"{each.pack_id} {each.status.replace('_', ' ')}" for each in judged.frameworks)
        said = "; ".join(filter(None, [said, visible(of_frameworks)]))
        outcome: Outcome = "failed" if faults else "no" if bad else "done"
        facts = {
            "policies": {each.policy_id: each.status for each in made},
            "frameworks": {each.pack_id: each.status for each in judged.frameworks},
            "index": str(layout.reports / "index.html"),
        }
        return Step("report", outcome, said or "there is no policy", facts, tuple(told))

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
