"""What a change report says: the evaluations from one report to the other, each with what it differs in from the last.

All instants are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

StepName = Literal["reported", "deleted", "late", "policy", "decisions", "time"]
What = Literal["new", "gone", "changed", "accepted", "reopened"]
Place = Literal["", "new_events", "left_period"]


@dataclass(frozen=True, slots=True)
class Point:
    """What one of the two reports was judged on."""

    as_of: datetime
    since: datetime
    """The period is (since, until]."""
    until: datetime
    generated_at: datetime
    snapshot: int
    journal: int
    """How many of the first entries of the journal of findings counted."""
    policy: str
    """``sha256:`` of the policy's file, or of the pack's."""
    status: str
    report: str
    """``sha256:`` of the report's canonical JSON."""
    run: int | None = None
    """The run's entry in the journal of runs; None of a report that no run on record made."""
    version: str | None = None
    """Of auditlake, where a run on record made the report."""
    settings: str | None = None
    """``sha256:`` of lake.toml, where a run on record made the report."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, as far as it is compared."""

    id: str
    policy: str
    """The policy, or ``pack/control`` of a check over records."""
    kind: str
    message: str
    event_type: str
    """Empty where it is about none."""
    group: str
    """The group as compact JSON text; empty where there is none."""
    start: datetime | None
    end: datetime | None
    """None where it runs on, or has no start."""
    peak: str
    """The highest measure as text; empty where its kind does not measure."""
    accepted_by: str
    """The owner of the acceptance that covers it; empty where none does."""

    @property
    def subject(self) -> tuple[str, str, str, str]:
        """What it has in common with the same finding in another report."""
        return self.policy, self.kind, self.group, self.event_type


@dataclass(frozen=True, slots=True)
class FindingChange:
    """What became of one finding in a step."""

    what: What
    before: Found | None
    after: Found | None
    place: Place = ""
    """Of the step ``time``: whether events after the earlier period brought it, or it lies before the later one."""

    @property
    def finding(self) -> Found:
        """The finding as it is after the step, or was before it went."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class ControlChange:
    """A control whose status a step changed."""

    control: str
    before: str
    """``absent`` where the pack did not have it."""
    after: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one evaluation gave."""

    status: str
    events: int
    """Governed events in the period; of a framework those of all its policies, each policy's own."""
    findings: int
    open: int
    """How many of the findings no acceptance covers."""
    events_by_type: Mapping[str, int]
    """Of a policy, by required type."""
    controls: Mapping[str, int]
    """Of a framework, how many controls have each status."""


@dataclass(frozen=True, slots=True)
class Step:
    """One evaluation, which differs from the one before it in one thing alone."""

    name: StepName
    why: str
    """What is different in it, in words."""
    numbers: Numbers
    changes: tuple[FindingChange, ...] = ()
    controls: tuple[ControlChange, ...] = ()

    def count(self, what: What) -> int:
        """Return to how many findings this happened."""
        return sum(each.what == what for each in self.changes)


@dataclass(frozen=True, slots=True)
class Changes:
    """What became different between two reports of a policy or a framework."""

    subject: str
    """The policy's id, or that of the pack."""
    name: str
    """What it is called."""
    is_framework: bool
    lake_id: str
    before: Point
    after: Point
    steps: tuple[Step, ...]
    """In order; the first is the earlier report. A step in which nothing differs is not there."""
    stopped: str = ""
    """Why the comparison ends with the earlier report: it cannot be given again as it was. Else empty."""
    notes: tuple[str, ...] = ()
    """What else a reader must know, in sentences."""

    @property
    def first(self) -> Numbers:
        """What the earlier report says."""
        return self.steps[0].numbers

    @property
    def last(self) -> Numbers:
        """What the later report says; what the earlier one says where the comparison ends there."""
        return self.steps[-1].numbers
