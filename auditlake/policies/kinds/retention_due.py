"""Question 3: which events have been kept long enough (semantics.md, Retention)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, get_args

from auditlake.engine.statements import Statement
from auditlake.events.durations import length_of
from auditlake.policies.kinds.model import Inquiry, Key, Kind, Query, every, length, moments
from auditlake.policies.model import Basis, Policy, RetentionConflict, conflicts_of, longest_retention
from auditlake.policies.question import Question, earlier

if TYPE_CHECKING:
    import yaml

    from auditlake.findings.finding import Finding
    from auditlake.policies.evaluate import Answers
    from auditlake.yaml_reader import Reader


@dataclass(frozen=True, slots=True)
class RetentionAnswer:
    """The answer, as far as a report gives it."""

    retention_period: str
    cutoff: datetime
    due: int
    kept_by_other_policies: int
    held: int
    oldest_event: datetime | None
    """The oldest governed event in the lake, up to as_of."""
    conflicts: tuple[RetentionConflict, ...]
    hot: str | None = None
    """How long events must be readable without restoring anything; None where the policy does not say."""
    clause: str | None = None
    """What asks for these lengths and what they are, where the policy says it."""


class RetentionDueKind(Kind):
    """How many events are past the retention period, kept by other policies, or under a hold."""

    name = "retention"
    keys = (
        Key("retention_period", length("retention_period",
            "How long governed events must be kept; a month counts 31 days, a year 366."), asks=True),
        Key("hot", length("hot", "How long events must be readable without restoring anything; as retention_period.",
            type=["string", "null"])),
        Key("clause", {"type": "string", "format": "line", "maxLength": 200, "description":
            "What asks for these lengths; shown where they contradict those of another policy."},
            needs=("retention_period", "max_retention", "hot")),
        Key("basis", {"enum": get_args(Basis), "description":
            "What these lengths are: in the clause, common practice, set by risk, or a default of others."},
            needs=("clause",)),
    )  # fmt: skip
    asked_by = "retention_period"

    def check(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Refuse events that must be readable for longer than they are kept."""
        hot, kept = values.get("hot"), values.get("retention_period")
        if hot and kept and hot.microseconds > kept.microseconds:
            reader.wrong(fields["hot"], f"hot: expected at most the retention_period, which is {kept}, got {hot}")

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the one query: over days where no hold and no instant within a day matters."""
        values = cutoffs_of(inquiry)
        statements = _by_day() if is_by_day(inquiry) else every("retention")
        oldest = every("oldest_event") if inquiry.policy.scope else ()
        yield Query("retention", (*statements, *oldest), values, is_scoped=False)

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], RetentionAnswer | None]:
        """Return the numbers: what is due is no finding."""
        policy = answers.policy
        if policy.retention_period is None:
            return (), None
        held, kept, due = answers.one("retention")
        by_type = answers.rows.get("oldest_event") or [(first,) for _, _, first, _ in answers.rows["required_types"]]
        return (), RetentionAnswer(
            retention_period=str(policy.retention_period),
            cutoff=_cutoff(policy, answers.question),
            due=due,
            kept_by_other_policies=kept,
            held=held,
            oldest_event=min((first for (first,) in by_type if first), default=None),
            conflicts=tuple(conflicts_of(policy, answers.policies)),
            hot=str(policy.hot) if policy.hot else None,
            clause=policy.shown_clause,
        )


def cutoffs_of(inquiry: Inquiry) -> dict[str, object]:
    """Return the policy's own cutoff, and that of each of its types."""
    policy, midnight = inquiry.policy, inquiry.question.midnight
    keepers = [longest_retention(name, [policy, *inquiry.policies]) for name in policy.required_events]
    cutoffs = [earlier(midnight, timedelta(microseconds=length_of(keeper.retention_period)))
               for keeper in keepers if keeper]  # fmt: skip
    return {"cutoff": _cutoff(policy, inquiry.question), "type_cutoffs": cutoffs}


def _cutoff(policy: Policy, question: Question) -> datetime:
    """Return it as it is, however long ago: it is shown. A length has at most 200 years, as_of is not before 1970."""
    return question.midnight - timedelta(microseconds=length_of(policy.retention_period))


def is_by_day(inquiry: Inquiry) -> bool:
    """Return whether whole days are past retention or are not: then counts of days are enough."""
    values: Any = cutoffs_of(inquiry)
    return all(each.time() == time.min for each in (values["cutoff"], *values["type_cutoffs"])) and not inquiry.holds


def _by_day() -> Iterator[Statement]:
    yield moments()
    yield from every("type_days")
    yield from every("retention_by_day")
