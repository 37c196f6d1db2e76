"""What a report of a policy or of a framework says, as every form has it; nothing of it is escaped yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from auditlake.findings.decisions import Applicability, Statement, Weakening
from auditlake.findings.finding import Finding
from auditlake.packs.model import Shows
from auditlake.runs.model import Run

Outcome = Literal["fail", "not_evaluated", "no_data", "exception", "pass", "not_applicable"]
"""How a control stands. A policy that is violated fails, and one that could not be judged is not evaluated."""
OUTCOMES: Mapping[str, Outcome] = {
    "violation": "fail",
    "error": "not_evaluated",
    "no_data": "no_data",
    "compliant": "pass",
}
"""The statuses of policies as outcomes; one is an exception where it is compliant by acceptances alone."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at for an item."""

    kind: str
    """``policy``, or the kind of a check over auditlake's own records."""
    status: str
    """The report's own word."""
    outcome: Outcome
    reason: str
    policy: str = ""
    """Of a policy, its id."""
    findings: Sequence[Finding] = ()
    severity: str = ""
    """The policy's; empty of a check over records."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What it asks, as JSON values."""


@dataclass(frozen=True, slots=True)
class Item:
    """A control of a framework; of a policy's report there is one, which is the policy."""

    id: str
    title: str
    status: str
    """The report's own word."""
    outcome: Outcome
    reasons: tuple[str, ...]
    """Why it stands so; never empty."""
    shows: Shows | None = None
    """How much a log can show of a control: to be said beside its status. None of a policy."""
    basis: str | None = None
    """What the status rests on; None where nothing was looked at."""
    says: str = ""
    """What a pass says."""
    says_not: str = ""
    """What it does not say."""
    checks: tuple[Check, ...] = ()
    parts: tuple[str, ...] = ()
    """The controls whose worst status this one has."""
    severity: str = ""
    """The worst of its policies; empty where it has none."""
    statement: Statement | None = None
    applicability: Applicability | None = None
    weakenings: tuple[Weakening, ...] = ()

    @property
    def reason(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all its checks, each once, in order."""
        return tuple({each.id: each for check in self.checks for each in check.findings}.values())


@dataclass(frozen=True, slots=True)
class Judgement:
    """A report: of one policy, or of one pack, on one snapshot as of one instant over the period (since, until]."""

    kind: Literal["policy", "framework"]
    id: str
    """The policy's, or the pack's."""
    name: str
    about: str
    digest: str
    """``sha256:`` of the policy, or of the pack's file."""
    as_of: datetime
    since: datetime
    until: datetime
    generated_at: datetime
    status: str
    """The report's own word."""
    outcome: Outcome
    verdict: str
    """The status in words for people."""
    sentence: str
    """Why, or the numbers, in a sentence."""
    lake_id: str
    snapshot: int
    report: str
    """``sha256:`` of the report's canonical JSON, which the form was made of."""
    stem: str
    """The name of the report's files without their ending."""
    items: tuple[Item, ...]
    edition: str = ""
    revision: str = ""
    publisher: str = ""
    state: str = ""
    """What the framework is as of as_of; empty of a policy."""
    runs: tuple[Run, ...] = ()
    """Of a framework: the runs of the period that judged it."""


@dataclass(frozen=True, slots=True)
class FormOptions:
    """What a caller may ask of forms; each form takes what concerns it."""

    raw: bool = False
    """CSV: leave text as it is where a spreadsheet would run it."""
    plan: str | None = None
    """OSCAL: where the assessment plan is that the results belong to."""
    page: str | None = None
    """Text: the file of the page beside it."""
    annex: bool = True
    """PDF: whether the SQL is its annex."""
