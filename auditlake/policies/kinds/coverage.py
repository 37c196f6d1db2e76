"""Question 2: whether events of every required type came without long gaps (semantics.md, Missing required types)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.engine.statements import Statement, statement, statements
from auditlake.events.durations import Duration
from auditlake.events.times import MICROSECOND, day_of, print_instant
from auditlake.findings.finding import Finding, finding_id
from auditlake.policies.condition import LONGEST, condition_tree
from auditlake.policies.hours import Hours, check_zone, offsets, parse_hours
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query, every, length, moments
from auditlake.policies.kinds.values import read_scope
from auditlake.policies.model import GapRule, Policy
from auditlake.policies.question import Question, earlier

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
_MINUTE = 60_000_000
_LONGEST_WEEKS = 200 * 366 // 7
"""The most weeks that the hours of a length may take to pass: 200 years, the most that any length may be."""
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
    if not (longest and zone and spans):
        return None
    hours = Hours(str(within.value), zone, spans)
    most = _LONGEST_WEEKS * hours.of_week
    if longest.microseconds > most:
        message = f"{key}: {longest} within {hours.text!r} take more than 200 years; write at most {most // _MINUTE}min"
        reader.wrong(fields["longest"], message)
    return GapRule(longest, hours)


@dataclass(frozen=True, slots=True)
class CoverageAnswer:
    """The answer, beside its findings."""

    max_gap: str | None
    """How long events may stay away, on one line; None where the policy does not ask."""
    silent_days: tuple[date, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    """How complete the fields are that the policy asks for."""
    gap_rules: Mapping[str, GapRule] = field(default_factory=dict)
    """The same of each type, where these differ; else empty."""
    is_proven: bool = False
    """Whether it is enough that a type came at some time."""
    proven: Mapping[str, date] = field(default_factory=dict)
    """The types of which nothing is left, each with the first day of which a certificate says that events were deleted;
    of a policy to which that matters."""
    scope: str | None = None
    """What narrows the answers to coverage, gaps, fields and threshold."""
    narrowed_by: str | None = None
    """The scope, where it may leave an event out."""
    scope_unknown: int = 0
    """Governed events of the period of which it could not be told; they count as in scope."""
    placeholders: tuple[str, ...] = ()
    """The words that count as nothing in a field; of a policy that asks for fields."""


class CoverageKind(Kind):
    """Required types without any event, and gaps between events of a type."""

    name = "coverage"
    keys = (
        Key("coverage", {"enum": ("required", "proven", "optional"), "default": "required", "description":
            "When a required event type is a finding: required, if the period has no event of it; proven, if there is "
            "none at any time up to the period's end; optional, never."}, asks=True),
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
        policy, slots = inquiry.policy, {}
        if policy.scope is not None:
            slots["scope_of_event"] = condition_tree(policy.scope).sql(dialect="duckdb")
        yield Query("required_types", _required_types(policy), _gap_values(policy, inquiry.question), slots)

    def by_day(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the gaps within days, without a scope or hours: what else is asked is known of all events."""
        policy = inquiry.policy
        rules = policy.gap_rules
        if rules and policy.scope is None and not any(rule.within for rule in rules.values()):
            values = {
                "gap_types": list(rules),
                "longest_us": [rule.longest.microseconds for rule in rules.values()],
            }
            yield Query("silences_by_day", (moments(), statements("policies/by_day.sql")["silences_by_day"]), values)

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], CoverageAnswer]:
        """Return missing types and gaps, and the days without any governed event."""
        policy = answers.policy
        heard = {day_of(number) for _, number, _ in answers.rows["type_day_counts"]}
        silent = tuple(day for day in answers.question.days if day not in heard)
        seen = _seen_ever(answers)
        ((unknown,),) = answers.rows.get("scope_unknown", [(0,)])
        return _findings(answers, seen), CoverageAnswer(
            max_gap=policy.shown_max_gap,
            silent_days=silent,
            gap_rules={} if isinstance(policy.max_gap, Duration) else policy.gap_rules,
            proven={name: day for name, (is_seen, day) in seen.items() if not is_seen and day is not None},
            is_proven=policy.coverage == "proven",
            scope=policy.scope,
            narrowed_by=policy.narrowed_by,
            scope_unknown=unknown,
            placeholders=policy.placeholders if policy.fields else (),
        )


def _seen_ever(answers: Answers) -> dict[str, tuple[bool, date | None]]:
    """Return of each type that must be proven whether an event of it came up to the period's end, and the first day
    of which a certificate says that events of it were deleted.
    """
    if answers.policy.coverage != "proven":
        return {}
    until = answers.question.until
    over = (until + MICROSECOND).date()  # the day that is not over by then
    lost = {name: answers.first_deleted(name) for name, *_ in answers.rows["required_types"]}
    return {
        name: (first is not None and first <= until, None if (day := lost[name]) is None or day >= over else day)
        for name, _, first, _ in answers.rows["required_types"]
    }


def _findings(answers: Answers, seen: Mapping[str, tuple[bool, date | None]]) -> Iterator[Finding]:
    policy = answers.policy
    within = "" if policy.narrowed_by is None else " in scope"
    never = [name for name, (is_seen, day) in seen.items() if not is_seen and day is None]
    missing = {name: f"Never seen{within}: {name}" for name in never}
    if policy.coverage == "required":
        missing = {
            name: f"Missing required event type{within}: {name}"
            for name, events, _, _ in answers.rows["required_types"] if not events
        }  # fmt: skip
    for name, message in missing.items():
        yield Finding(finding_id(policy.id, MISSING.name, "", name, ""), MISSING.name, message, event_type=name)
    rules = policy.gap_rules
    for name, start, end in answers.rows.get("coverage_gaps", ()):
        number = finding_id(policy.id, GAP.name, "", name, print_instant(start))
        until = f"until {print_instant(end)}" if end else "to the end"
        message = f"No {name} for longer than {rules[name]}: from {print_instant(start)} {until}"
        yield Finding(number, GAP.name, message, event_type=name, start=start, end=end)


def _required_types(policy: Policy) -> Iterator[Statement]:
    yield moments()
    yield from every("type_days")
    for part in every("required_types"):
        if part.name != "coverage_gaps":
            yield part
        elif gaps := gaps_of(policy):
            yield gaps
    if policy.scope is not None:
        yield from every("scope_unknown")


def gaps_of(policy: Policy) -> Statement | None:
    """Return the statement that finds the gaps in which a policy's types were silent; None where it does not ask."""
    if not policy.max_gap:
        return None
    if isinstance(policy.max_gap, Duration):
        return statement("policies/required_types.sql", "coverage_gaps")
    within = any(rule.within for rule in policy.max_gap.values())
    return statement(f"policies/{'gaps_in_hours' if within else 'gaps_by_type'}.sql", "coverage_gaps")


def _gap_values(policy: Policy, question: Question) -> dict[str, object]:
    """Return what the statements that look for gaps bind."""
    if policy.max_gap is None or isinstance(policy.max_gap, Duration):
        return {"max_gap_us": policy.max_gap.microseconds if policy.max_gap else None}
    rules = policy.max_gap
    hours = {name: rule.within for name, rule in rules.items() if rule.within}
    # So far back that a type would be silent for longer than it may: twice as many weeks as that takes, since clocks
    # that are put forward leave hours out.
    weeks = [2 * -(-rules[name].longest.microseconds // each.of_week) + 4 for name, each in hours.items()]
    first = earlier(question.since, timedelta(weeks=max(weeks, default=0)))
    around = timedelta(weeks=2)
    last = min(question.as_of, datetime.max.replace(tzinfo=UTC) - around) + around
    changes = [
        (name, *change)
        for name, each in hours.items() for change in offsets(each.zone, earlier(first, around), last)
    ]  # fmt: skip
    spans = [(name, *span) for name, each in hours.items() for span in each.spans]
    return {
        "gap_types": list(rules), "longest_us": [rule.longest.microseconds for rule in rules.values()],
        **_columns(("week_types", "opens_us", "closes_us"), spans),
        **_columns(("zone_types", "changes_us", "ahead_us"), changes), "measured_from": first,
    }  # fmt: skip


def _columns(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
