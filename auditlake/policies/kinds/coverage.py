"""Question 2: whether events of every required type came without long gaps (semantics.md, Missing required types)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from auditlake.engine.statements import Statement
from auditlake.events.times import day_of, print_instant
from auditlake.findings.finding import Finding, finding_id
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query, every, length, moments

if TYPE_CHECKING:
    from auditlake.policies.evaluate import Answers
    from auditlake.policies.model import Policy

MISSING = FindingKind("missing_required_type", "missing type", ("event_type",))
GAP = FindingKind("coverage_gap", "gap", ("event_type", "start", "end"))


@dataclass(frozen=True, slots=True)
class CoverageAnswer:
    """The answer, beside its findings."""

    max_gap: str | None
    silent_days: tuple[date, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    """How complete the fields are that the policy asks for."""


class CoverageKind(Kind):
    """Required types without any event, and gaps between events of a type."""

    name = "coverage"
    keys = (
        Key("coverage", {"enum": ("required", "optional"), "default": "required", "description":
            "Whether a required event type without any event in the period is a finding."}, asks=True),
        Key("max_gap", length("max_gap", "A longer stretch between two events of a required type is a finding.",
            type=["string", "null"]), asks=True),
    )  # fmt: skip
    finding_kinds = (MISSING, GAP)

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the one query over types and days; every report says which events of a required type there were."""
        max_gap = inquiry.policy.max_gap
        values = {"max_gap_us": max_gap.microseconds if max_gap else None}
        yield Query("required_types", _required_types(inquiry.policy), values)

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], CoverageAnswer]:
        """Return missing types and gaps, and the days without any governed event."""
        max_gap = answers.policy.max_gap
        heard = {day_of(number) for _, number, _ in answers.rows["type_day_counts"]}
        silent = tuple(day for day in answers.question.days if day not in heard)
        return _findings(answers), CoverageAnswer(str(max_gap) if max_gap else None, silent)


def _findings(answers: Answers) -> Iterator[Finding]:
    policy = answers.policy
    if policy.coverage == "required":
        for name, events, _, _ in answers.rows["required_types"]:
            if not events:
                number = finding_id(policy.id, MISSING.name, "", name, "")
                yield Finding(number, MISSING.name, f"Missing required event type: {name}", event_type=name)
    for name, start, end in answers.rows.get("coverage_gaps", ()):
        number = finding_id(policy.id, GAP.name, "", name, print_instant(start))
        until = f"until {print_instant(end)}" if end else "to the end"
        message = f"No {name} for longer than {policy.max_gap}: from {print_instant(start)} {until}"
        yield Finding(number, GAP.name, message, event_type=name, start=start, end=end)


def _required_types(policy: Policy) -> Iterator[Statement]:
    yield moments()
    yield from every("type_days")
    for part in every("required_types"):
        if part.name != "coverage_gaps" or policy.max_gap is not None:
            yield part
