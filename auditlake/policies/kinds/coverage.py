"""Question 2: whether events of every required type came without long gaps (semantics.md, Missing required types)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.engine.statements import Statement
from auditlake.events.durations import Duration
from auditlake.events.times import day_of, print_instant
from auditlake.findings.finding import Finding, finding_id
from auditlake.policies.condition import LONGEST
from auditlake.policies.hours import Hours, check_zone, parse_hours
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query, every, length, moments
from auditlake.policies.kinds.values import read_scope
from auditlake.policies.model import GapRule, Policy

if TYPE_CHECKING:
    from auditlake.policies.evaluate import Answers
    from auditlake.yaml_reader import Reader

MISSING = FindingKind("missing_required_type", "missing type", ("event_type",))
GAP = FindingKind("coverage_gap", "gap", ("event_type", "start", "end"))


_RULE: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["longest"], "dependentRequired": {"zone": ["within"]},
    "properties": {
        "longest": length("max_gap", "A longer silence is a finding."),
        "within": {"type": "string", "description": "The days and hours in which silence counts."},
        "zone": {"type": "string", "default": "UTC", "description": "By whose clocks, such as Europe/Berlin."},
    },
}  # fmt: skip
_MAX_GAP = length(
    "max_gap", "A longer stretch between two events of a required type is a finding; one length, or one for each type.",
    type=["string", "object", "null"], minProperties=1,
    additionalProperties={"anyOf": [_RULE["properties"]["longest"], _RULE]},
)  # fmt: skip


def read_max_gap(reader: Reader, node: yaml.Node, key: str) -> Duration | dict[str, GapRule] | None:
    """Read one length, or for each type a length or a rule."""
    if not isinstance(node, yaml.MappingNode):
        length_of_all: Duration | None = reader.duration(node, key)
        return length_of_all
    if not node.value:
        reader.wrong(node, f"{key}: expected at least one event type with its length, got no key")
    rules = {reader.event_type(name, key): _rule(reader, value, key) for name, value in node.value}
    return {name: rule for name, rule in sorted(rules.items(), key=str) if name and rule}


def _rule(reader: Reader, node: yaml.Node, key: str) -> GapRule | None:
    if not isinstance(node, yaml.MappingNode):
        longest = reader.duration(node, key)
        return longest and GapRule(longest)
    fields = reader.mapping(node, f"{key} of a type", tuple(_RULE["properties"]), _RULE["required"])
    longest = reader.duration(fields["longest"], key) if "longest" in fields else None
    zone = reader.parsed(fields["zone"], "zone", "a zone", check_zone) if "zone" in fields else "UTC"
    if "within" not in fields:
        if "zone" in fields:
            reader.wrong(fields["zone"], "zone: expected with 'within', which is missing")
        return longest and GapRule(longest)
    within = fields["within"]
    spans = reader.parsed(within, "within", "days and hours", parse_hours)
    return GapRule(longest, Hours(str(within.value), zone, spans)) if longest and zone and spans else None


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
        Key("coverage", {"enum": ("required", "proven", "optional"), "default": "required", "description":
            "Whether a required event type without any event is a finding: in the period; at any time up to its end; "
            "never."}, asks=True),
        Key("max_gap", _MAX_GAP, read=read_max_gap, asks=True),
        Key("scope", {"type": ["string", "null"], "maxLength": LONGEST, "description":
            "A SQL condition over an event's columns that narrows coverage, gaps, fields and threshold."},
            read=read_scope),
    )  # fmt: skip
    finding_kinds = (MISSING, GAP)

    def check(self, reader: Reader, fields: Mapping[str, yaml.Node], values: Mapping[str, Any]) -> None:
        """Refuse a length for a type that the policy does not govern."""
        if isinstance(values.get("max_gap"), dict):
            for key, _ in fields["max_gap"].value:
                if key.value in values["max_gap"] and key.value not in (values.get("required_events") or ()):
                    reader.wrong(key, f"max_gap: {key.value!r} is not among required_events")

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the one query over types and days; every report says which events of a required type there were."""
        max_gap = inquiry.policy.max_gap
        values = {"max_gap_us": max_gap.microseconds if isinstance(max_gap, Duration) else None}
        yield Query("required_types", _required_types(inquiry.policy), values)

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], CoverageAnswer]:
        """Return missing types and gaps, and the days without any governed event."""
        max_gap = answers.policy.max_gap
        heard = {day_of(number) for _, number, _ in answers.rows["type_day_counts"]}
        silent = tuple(day for day in answers.question.days if day not in heard)
        return _findings(answers), CoverageAnswer(str(max_gap) if isinstance(max_gap, Duration) else None, silent)


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
        if part.name != "coverage_gaps" or isinstance(policy.max_gap, Duration):
            yield part
