"""Section "Retention": how long governed events are kept, and what is due."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from auditlake.display.canonical_json import json_value
from auditlake.display.text import Fact, Text, count, moment, shown, spelled
from auditlake.policies.kinds.max_retention import MaxRetentionKind
from auditlake.policies.kinds.retention_due import RetentionAnswer
from auditlake.policies.model import RetentionConflict
from auditlake.reports.model import Detail, Report
from auditlake.reports.sections.model import Section

_IF_SAID = ("hot", "clause")
"""The keys that are there only where the policy says them."""


@dataclass(frozen=True, slots=True)
class Retention:
    """The variables of the fragment ``retention.html``."""

    template: ClassVar[str] = "sections/retention.html"
    retention_words: str
    """What is due, in a sentence."""
    retention: tuple[Fact, ...]
    """The numbers behind it."""
    conflicts: tuple[tuple[Text, ...], ...]
    """Conflicts: type, policy that keeps, its period, policy that limits, its period."""
    contradictions: tuple[tuple[Text, ...], ...]
    """Conflicts over the whole event: the same."""


def _body(report: Report, _: Detail) -> Retention | None:
    if report.is_unread:
        return None
    answer = report.retention
    conflicts = [each for each in answer.conflicts if not each.of] if answer else []
    contradictions = [each for each in answer.conflicts if each.of] if answer else []
    ends = report.measures.get(MaxRetentionKind.name)
    words = retention_words(answer) if answer or not ends else f"Events must be gone after {spelled(ends['longest'])}."
    return Retention(
        words, _facts(answer) if answer else (), tuple(map(_conflict_row, conflicts)),
        tuple(map(_conflict_row, contradictions)),
    )  # fmt: skip


def retention_words(answer: RetentionAnswer | None) -> str:
    """Say what is due."""
    if answer is None:
        return "The policy sets no retention period: it does not affect how long events are kept."
    kept = f"Governed events are kept for {spelled(answer.retention_period)}."
    older = answer.due + answer.kept_by_other_policies + answer.held
    if not older:
        return f"{kept} None is older than the cutoff, so nothing is due for deletion."
    return (
        f"{kept} {count(older, 'event is', 'events are')} older than the cutoff: {answer.due:,} due for deletion, "
        f"{answer.kept_by_other_policies:,} kept for other policies, {answer.held:,} under a legal hold."
    )


def _facts(answer: RetentionAnswer) -> tuple[Fact, ...]:
    oldest = None if answer.oldest_event is None else moment(answer.oldest_event)
    hot = () if answer.hot is None else (Fact("Readable without restoring", Text(spelled(answer.hot))),)
    clause = () if answer.clause is None else (Fact("Asked for by", shown(answer.clause)),)
    return (
        Fact("Retention period", Text(spelled(answer.retention_period))),
        *hot,
        *clause,
        Fact("Cutoff", Text(moment(answer.cutoff)), "the retention period of older events has passed"),
        Fact("Due for deletion", Text(f"{answer.due:,}")),
        Fact("Kept by other policies", Text(f"{answer.kept_by_other_policies:,}")),
        Fact("Under a legal hold", Text(f"{answer.held:,}")),
        Fact("Oldest governed event", shown(oldest)),
    )


def _conflict_row(conflict: RetentionConflict) -> tuple[Text, ...]:
    keeps, limits = (
        shown(f"{spelled(length)} ({clause})" if clause else spelled(length))
        for length, clause in (
            (conflict.retention_period, conflict.keep_clause), (conflict.max_retention, conflict.limit_clause)
        )
    )  # fmt: skip
    return (shown(conflict.event_type), shown(conflict.keep_policy), keeps, shown(conflict.limit_policy), limits)


def _json(report: Report, _: int) -> dict[str, Any]:
    answer = report.retention
    if answer is None:
        return {"retention": None}
    said = {name: value for name, value in asdict(answer).items() if name not in _IF_SAID or value is not None}
    return {"retention": json_value(said | {"conflicts": [each.as_dict() for each in answer.conflicts]})}


SECTION = Section(anchor="retention", title="Retention", body=_body, json=_json)
