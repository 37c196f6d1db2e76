"""How long events may be kept at most (semantics.md, Retention): what is to go and may not is a contradiction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import yaml

from auditlake.display.text import Fact, shown, spelled
from auditlake.events.durations import Duration, length_of, parse_duration
from auditlake.findings.finding import Finding, canonical_group, finding_id
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query, length
from auditlake.policies.model import Part, Policy, longest_retention

if TYPE_CHECKING:
    from auditlake.policies.evaluate import Answers
    from auditlake.yaml_reader import Reader

CONTRADICTION = FindingKind("retention_contradiction", "contradiction of retention")
_PROPERTIES: dict[str, Any] = {
    "longest": length("max_retention", "How long it may be kept at most; a month counts 30 days, a year 365."),
    "of": {"enum": get_args(Part), "default": "personal_data", "description":
           "What must be gone then: personal data, which becomes pseudonyms, or the event as a whole."},
}  # fmt: skip
_NEEDED = ("longest",)
_MAX_RETENTION = length(
    "max_retention", "How long personal data may be kept at most; a month counts 30 days, a year 365. Of the event "
    "as a whole in the long form, {longest: 1y, of: event}.",
    type=["string", "object", "null"], additionalProperties=False, required=_NEEDED, properties=_PROPERTIES,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Most:
    """How long something may be kept at most."""

    longest: Duration
    of: Part = "personal_data"


def read_max_retention(reader: Reader, node: yaml.Node, key: str) -> Most | None:
    """Read a length, or a length with what it is of."""

    def read(text: str) -> Duration:
        return parse_duration(text, "max_retention")

    if not isinstance(node, yaml.MappingNode):
        longest = reader.parsed(node, key, "a length of time", read)
        return longest and Most(longest)
    fields = reader.mapping(node, key, tuple(_PROPERTIES), _NEEDED)
    longest = reader.parsed(fields["longest"], key, "a length of time", read) if "longest" in fields else None
    of: Any = reader.choice(fields["of"], "of", get_args(Part)) if "of" in fields else "personal_data"
    return Most(longest, of) if longest and of else None


class MaxRetentionKind(Kind):
    """How long personal data or events may be kept, and where other policies keep events for longer than that."""

    name = "max_retention"
    keys = (Key("max_retention", _MAX_RETENTION, read_max_retention, asks=True),)
    finding_kinds = (CONTRADICTION,)
    title = "Longest retention"

    def check(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Refuse events that must go before they may; what is of the event is a value of its own."""
        most, kept = values.get("max_retention"), values.get("retention_period")
        if not isinstance(most, Most):
            return
        if most.of == "personal_data":
            values["max_retention"] = most.longest
            return
        values |= {"max_retention": None, "max_event_retention": most.longest}
        if most.longest.microseconds < length_of(kept):
            counted = "; a month counts 30 days here and 31 there, a year 365 and 366"
            message = f"max_retention: expected at least the retention_period, which is {kept}, got {most.longest}"
            reader.wrong(fields["max_retention"], f"{message}{counted}")

    def is_asked(self, policy: Policy) -> bool:
        """Return whether the events of a policy must go: what becomes of personal data is no question."""
        return policy.max_event_retention is not None

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return nothing: policies contradict each other whatever the lake holds."""
        return ()

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], Any]:
        """Return a finding for each type that another policy keeps for longer."""
        policy = answers.policy
        if policy.max_event_retention is None:
            return (), None
        answer = {"longest": str(policy.max_event_retention), "of": "event"}
        return contradictions_of(policy, answers.policies), answer

    def facts(self, answer: Mapping[str, Any]) -> tuple[Fact, ...]:
        """Return how long its events may be kept."""
        note = "unless another policy or a legal hold keeps them"
        return (Fact("Events are gone after", shown(spelled(answer["longest"])), note),)


def contradictions_of(policy: Policy, policies: Sequence[Policy]) -> Iterator[Finding]:
    """Yield a finding for each event type that must go by a policy, and that another one keeps for longer.

    Args:
        policy: The policy; of one whose events need not go there are none.
        policies: Every policy of the lake.
    """
    most = policy.max_event_retention
    for event_type in policy.required_events if most else ():
        keep = longest_retention(event_type, policies)
        if keep is None or keep.id == policy.id or length_of(keep.retention_period) <= length_of(most):
            continue
        group = {"kept_by": keep.id}
        message = (
            f"{event_type} must be gone after {most}{_said(policy)}, and {keep.id} keeps it for "
            f"{keep.retention_period}{_said(keep)}: nothing of it is deleted before that"
        )
        yield Finding(
            finding_id(policy.id, CONTRADICTION.name, canonical_group(group), event_type, ""), CONTRADICTION.name,
            message, event_type=event_type, group=group,
            measures={"max_retention": str(most), "limit_clause": policy.shown_clause,
                      "retention_period": str(keep.retention_period), "keep_clause": keep.shown_clause},
        )  # fmt: skip


def _said(policy: Policy) -> str:
    return f" ({policy.shown_clause})" if policy.shown_clause else ""
