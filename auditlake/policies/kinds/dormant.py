"""The measure ``dormant``: how many entities came back after a long silence."""

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
    from auditlake.engine.model import Row

_SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["entity", "silence"],
    "description": "Entities that are seen again after a long silence.",
    "properties": {
        "entity": VALUES | {"minItems": 1, "description": "Who or what was silent; several are taken together."},
        "silence": length("window", "How long it was silent at least."),
    },
}  # fmt: skip


class DormantKind(SubjectKind):
    """Entities that are seen again after a long silence; the first event ever ends none."""

    name = "dormant"
    asked_by = "dormant"
    raises_alerts = True
    drawn = "How long each was silent"
    title = "Returns"
    meaning = "The number of returns after a silence"
    silence = "silence"
    required = ("entity", "silence")
    finding_kinds = (FindingKind("dormant", "awakening", MEASURED),)

    def __init__(self) -> None:
        self.keys = (Key("dormant", _SCHEMA, read=self.read, asks=True),)

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return one window for each return."""
        own, shared = statements("policies/dormant.sql"), statements("policies/subjects.sql")
        before = ("matching", "seen_again", "returns", "entities", "different")
        return (*(own[name] for name in before), shared["groups"], own["spans"])

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return who is awake in each episode."""
        shared, own = statements("policies/subjects.sql"), statements("policies/dormant.sql")
        return (shared["at_peaks"], own["evidence"])

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return who came back: since when it was silent, and for how many seconds."""
        names = policy.more["dormant"]["entity"]
        return {
            "awake": [
                {"entity": dict(zip(names, group_values(entity), strict=True)), "at": at, "silent_since": since,
                 "silence_seconds": (at - since).total_seconds()}
                for entity, at, since in rows
            ]
        }  # fmt: skip

    def traces(self, evidence: Mapping[str, Any]) -> tuple[Trace, ...]:
        """Return the silences."""
        return tuple(
            Trace(" with ".join(each["entity"].values()), each["silent_since"], each["at"],
                  f"silent for {length_in_words(each['at'] - each['silent_since'])}")
            for each in evidence["awake"]
        )  # fmt: skip

    def measured(self, asked: Mapping[str, Any], number: Number, said: Callable[[str], str] = str) -> str:
        """Return what is counted."""
        entities, silence = " with ".join(asked["dormant"]["entity"]), said(str(asked["dormant"]["silence"]))
        return f"return{'' if number == 1 else 's'} of {entities} after {silence} of silence"

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of returns; whose they are is said once."""
        is_own = answer.group_by == tuple(answer.asked["dormant"]["entity"])
        return super().words(answer, "" if is_own else apart, noun)
