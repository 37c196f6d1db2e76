"""What the checks over records are handed, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from auditlake.events.times import print_instant
from auditlake.findings.decisions import Acceptance, Decisions, Seen
from auditlake.findings.finding import Finding, canonical_group, finding_id, subject_of
from auditlake.frameworks.facts import NO_FACTS, Facts
from auditlake.frameworks.model import CheckResult, Slot, Status
from auditlake.packs.model import Control, Pack, RecordCheck, qualified
from auditlake.packs.parameters import shown_value
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.reports.model import Report
from auditlake.runs.model import Entry, Schedule

NOTHING_CAME = "the lake holds no event in the period"
_NOTHING_DECIDED = Decisions(datetime.max.replace(tzinfo=UTC))
_ASKED = ("every", "within", "by", "level", "kept", "share", "ahead", "min", "hot", "max")


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a pack is judged by. Nothing of it is later than as_of."""

    pack: Pack
    question: Question
    reports: Mapping[str, Report] = field(default_factory=dict)
    """Of policies of the pack and of the lake's own, by qualified id, each over the period of the question."""
    policies: Sequence[Policy] = ()
    """Every policy of the lake: retention is judged over all of them."""
    decisions: Decisions = _NOTHING_DECIDED
    runs: Sequence[Entry] = ()
    """The journal of runs, by number."""
    schedules: Sequence[Schedule] = ()
    """Those that are declared, and those that were on record at some time of the period."""
    programs: Sequence[str] | None = None
    """The accounts that are no persons, as the lake's settings name them; None where they do not say."""
    facts: Facts = NO_FACTS

    def named(self, policies: Sequence[str]) -> tuple[str, ...]:
        """Return the qualified ids of policies of the pack, those aside that the lake cannot judge."""
        return tuple(qualified(self.pack.id, each) for each in policies if each not in self.pack.unready)

    def unready(self, policies: Sequence[str]) -> tuple[str, ...]:
        """Return the event types that the lake does not declare, for those of these policies that need them."""
        return tuple(sorted({name for each in policies for name in self.pack.unready.get(each, ())}))

    def governed(self, policies: Sequence[str]) -> frozenset[str]:
        """Return the event types that policies of the pack govern."""
        return frozenset(name for each in policies for name in self.pack.policies[each].required_events)

    def acceptance(self, seen: Seen) -> Acceptance | None:
        """Return the newest acceptance that covers a finding."""
        return next((each for each in reversed(self.decisions.acceptances) if each.covers(seen)), None)

    def seen(self, policy_id: str, finding: Finding) -> Seen:
        """Return a finding as the report shows it."""
        about = self.question
        subject = subject_of(policy_id, finding)
        return Seen(subject, finding.start, finding.end, about.as_of, about.until, about.since)


@dataclass(frozen=True, slots=True)
class Found:
    """What a check over records found, before it has an id."""

    kind: str
    message: str
    start: datetime | None = None
    end: datetime | None = None
    event_type: str | None = None
    group: Mapping[str, str] | None = None
    measures: Mapping[str, Any] = field(default_factory=dict)
    accepted: Acceptance | None = None
    """What covers it already, where it is a finding of a policy, too."""


def result(
    check: RecordCheck,
    control: Control,
    case: Case,
    reason: str,
    found: Sequence[Found] = (),
    *,
    otherwise: Status = "pass",
    slots: Sequence[Slot] = (),
    measures: Mapping[str, Any] | None = None,
) -> CheckResult:
    """Return what a check gave: a failure if it found anything that is not accepted.

    A policy that the lake cannot judge keeps it from passing.

    Args:
        check, control, case: What was judged.
        reason: Why it stands so.
        found: What it found.
        otherwise: How it stands if it found nothing.
        slots: The intervals that were judged.
        measures: What it counted.
    """
    findings = tuple(_finding(each, control, case) for each in found)
    status: Status = otherwise
    if any(each.accepted is None for each in findings):
        status = "fail"
    elif lacking := case.unready(check.of):
        status, reason = "not_evaluated", undeclared(lacking)
    elif findings and otherwise == "pass":
        status, reason = "exception", f"{reason}; accepted by {_owners(findings)}"
    asked = {name: shown_value(value) for name in _ASKED if (value := getattr(check, name)) not in (None, False)}
    asked |= {"max_of": check.max_of} if check.max_of == "event" else {}
    return CheckResult(
        check.kind, status, reason, findings=findings, slots=tuple(slots), of=case.named(check.of), asked=asked,
        measures=measures or {},
    )  # fmt: skip


def undeclared(types: Sequence[str]) -> str:
    """Return why a policy cannot be judged."""
    return f"the lake does not declare the event types {', '.join(types)}: lake.toml names them under event_types"


def _owners(findings: Sequence[Finding]) -> str:
    return ", ".join(sorted({each.accepted.owner for each in findings if each.accepted is not None}))


def _finding(found: Found, control: Control, case: Case) -> Finding:
    """Return a finding with its id and the acceptance that covers it, be it of the control's earlier id."""
    start = print_instant(found.start) if found.start else ""
    about = (found.kind, canonical_group(found.group), found.event_type or "", start)
    made = Finding(
        finding_id(f"{case.pack.id}/{control.id}", *about), found.kind, found.message, event_type=found.event_type,
        group=found.group, start=found.start, end=found.end, measures=found.measures,
    )  # fmt: skip
    ids = [each for each in (control.id, control.was) if each]
    covering = (case.acceptance(case.seen(f"{case.pack.id}/{each}", made)) for each in ids)
    return replace(made, accepted=next(filter(None, covering), found.accepted))
