"""The measure ``first_seen``: how many values are new, of an entity or of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditlake.display.text import length as length_in_words
from auditlake.engine.statements import Statement, statements
from auditlake.policies.kinds.model import FindingKind, Key, length
from auditlake.policies.kinds.subjects import SubjectKind
from auditlake.policies.kinds.threshold import MEASURED, Threshold, Trace, group_values
from auditlake.policies.kinds.values import VALUES
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number, Policy

if TYPE_CHECKING:
    import yaml

    from auditlake.engine.model import Row
    from auditlake.yaml_reader import Reader

_SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["value", "memory"],
    "description": "Values that were not seen for as long as is remembered.",
    "properties": {
        "value": VALUES | {"minItems": 1, "description": "What may be new; several are taken together."},
        "entity": VALUES | {"description": "Whose it is; without it the value is new to all."},
        "memory": length("window", "For how long a value is remembered."),
        "learn": length("window", "How long an entity must have been known before anything of it is new."),
    },
}  # fmt: skip


class FirstSeenKind(SubjectKind):
    """Values that an entity, or any, did not have for as long as is remembered."""

    name = "first_seen"
    asked_by = "first_seen"
    raises_alerts = True
    drawn = "When each new value came, and was seen before"
    title = "New values"
    meaning = "The number of values that were new when they came,"
    silence = "memory"
    required = ("value", "memory")
    finding_kinds = (FindingKind("first_seen", "new value", MEASURED),)

    def __init__(self) -> None:
        self.keys = (Key("first_seen", _SCHEMA, read=self.read, asks=True),)

    def read(self, reader: Reader, node: yaml.Node, key: str) -> dict[str, Any]:
        """Read the values and lengths; what is to be learned must be remembered."""
        values = super().read(reader, node, key)
        learn, memory = values.get("learn"), values.get("memory")
        if learn and memory and not learn.microseconds < memory.microseconds:
            reader.wrong(node, f"{key}: expected 'learn' shorter than 'memory'")
        return values

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return one window for each new value."""
        own, shared = statements("policies/first_seen.sql"), statements("policies/subjects.sql")
        named = policy.more["first_seen"]
        yield from (
            own["matching"],
            shared["groups"],
            own["entities"],
            statements("policies/distinct.sql")["different"],
        )
        yield from (own["sightings"], own["returns"])
        if named.get("learn"):
            yield from (own["entity_times"], own["learned"])
        is_told = {*policy.group_by} <= {*named["entity"], *named["value"]}
        yield own["spans_by_subject" if is_told else "spans"]

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return the new values of each episode."""
        own, shared = statements("policies/first_seen.sql"), statements("policies/subjects.sql")
        learn = policy.more["first_seen"].get("learn")
        return (
            *(() if learn else (own["entity_times"],)),
            shared["at_peaks"], own["returns_from_long_ago"], own["evidence"],
        )  # fmt: skip

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return what is new: its value, when it came, when it was seen last and since when its entity is known."""
        own = policy.more["first_seen"]
        return {
            "new": [
                {"value": dict(zip(own["value"], group_values(value), strict=True)),
                 "entity": dict(zip(own["entity"], group_values(entity), strict=True)), "at": at, "last_seen": last,
                 "known_since": known}
                for entity, value, at, last, known in rows
            ]
        }  # fmt: skip

    def traces(self, evidence: Mapping[str, Any]) -> tuple[Trace, ...]:
        """Return the new values, each from when it was seen last."""
        return tuple(
            Trace(" with ".join(each["value"].values()), each["last_seen"] or each["at"], each["at"],
                  f"not seen for {length_in_words(each['at'] - each['last_seen'])}" if each["last_seen"]
                  else "never seen before")
            for each in evidence["new"]
        )  # fmt: skip

    def measured(self, asked: Mapping[str, Any], number: Number, said: Callable[[str], str] = str) -> str:
        """Return what is counted."""
        own = asked["first_seen"]
        values = f"{' with '.join(own['value'])} not seen for {said(str(own['memory']))}"
        return f"new value of {values}" if number == 1 else f"new values of {values}"

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of new values: new to whom, and counted by what if that differs."""
        entities = tuple(answer.asked["first_seen"].get("entity", ()))
        if entities and entities != answer.group_by:
            apart = f" to the same {' with '.join(entities)}, counted{apart or ' all together'}"
        return super().words(answer, apart, noun)
