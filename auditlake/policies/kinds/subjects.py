"""What ``first_seen`` and ``dormant`` have in common: subjects that were not seen for long before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from auditlake.events.durations import Duration
from auditlake.policies.condition import key_sql
from auditlake.policies.kinds.threshold import Threshold, ThresholdKind, whose
from auditlake.policies.kinds.values import read_values
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number, Policy
from auditlake.policies.question import Question, earlier

if TYPE_CHECKING:
    import yaml

    from auditlake.yaml_reader import Reader

LISTS = ("value", "entity")


class SubjectKind(ThresholdKind):
    """A measure of subjects that were not seen for long: its key holds their values and lengths of time."""

    looks_far_back = True
    silence: str
    """Which of its lengths nothing is seen for."""
    required: tuple[str, ...]

    def read(self, reader: Reader, node: yaml.Node, key: str) -> dict[str, Any]:
        """Read the values and lengths of its key."""
        (known,) = (each.schema["properties"] for each in self.keys)
        fields = reader.mapping(node, key, tuple(known), self.required)
        values: dict[str, Any] = {"value": (), "entity": ()}
        for name, value in fields.items():
            listed = name in LISTS
            values[name] = read_values(reader, value, name) if listed else reader.duration(value, "window")
            if listed and name in self.required and not values[name] and not value.value:
                reader.wrong(value, f"{name}: expected at least one column or expression, got an empty list")
        return values

    def complete(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Group by the entity where nothing else is said."""
        super().complete(reader, fields, values)
        values.setdefault("group_by", values[self.name]["entity"])

    def own_slots(self, policy: Policy) -> Mapping[str, str]:
        """Return the entity and the value of an event."""
        own = policy.more[self.name]
        return {
            "entity_of_event": key_sql(own["entity"]), "value_of_event": key_sql(own["value"]),
            "has_value": f"({key_sql((*own['entity'], *own['value']))}) is not null",
        }  # fmt: skip

    def values(self, policy: Policy, question: Question) -> Mapping[str, object]:
        """Return how long nothing is seen, and how far that makes the question look back."""
        own = policy.more[self.name]
        lengths = {f"{name}_us": value.microseconds for name, value in own.items() if isinstance(value, Duration)}
        start = self.history_start(policy, question)
        return {**lengths, "silence_us": own[self.silence].microseconds, "history_start": start}

    def history_start(self, policy: Policy, question: Question) -> datetime:
        """Return the instant a silence and a window before the period; of a few subjects older events are read too."""
        silence: Duration = policy.more[self.name][self.silence]
        return earlier(question.since, timedelta(microseconds=silence.microseconds + policy.window.microseconds))

    def asked(self, policy: Policy) -> dict[str, Any]:
        """Return the values and lengths as they were written."""
        own = policy.more[self.name]
        return {self.name: {key: list(value) if key in LISTS else str(value) for key, value in own.items() if value}}

    def expressions(self, policy: Policy) -> Iterable[str]:
        """Return what subjects are told by."""
        own = policy.more[self.name]
        return (*own["entity"], *own["value"])

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of subjects; where one is enough, nothing is said of a window."""
        words = super().words(answer, apart, noun)
        if answer.alert_threshold > 1:
            return words
        return replace(words, found=f"a {noun(1)}{apart}", none=f"There was no {noun(1)}{apart}")

    def message(self, policy: Policy, group: Mapping[str, str | None], peak: Number) -> str:
        """Return an episode in words."""
        what = self.measured(policy.more, peak)
        what = f"{peak} {what}" if policy.least > 1 or peak > 1 else what
        return f"{what[0].upper()}{what[1:]}{whose(group)}"

    def looked_back(
        self, policy: Policy, evidence: Mapping[str, Any], peak_at: datetime
    ) -> Iterable[tuple[datetime, datetime]]:  # fmt: skip
        """Return for each subject the stretch in which it was not seen."""
        silence = timedelta(microseconds=policy.more[self.name][self.silence].microseconds)
        for each in (*evidence.get("new", ()), *evidence.get("awake", ())):
            yield earlier(each["at"], silence), each["at"]
