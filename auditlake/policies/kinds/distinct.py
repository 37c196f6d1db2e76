"""The measure ``distinct``: how many different values there are in a rolling window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditlake.engine.statements import Statement, statements
from auditlake.policies.condition import key_sql
from auditlake.policies.kinds.model import Key
from auditlake.policies.kinds.threshold import ThresholdKind, Trace, group_values, groups, seen_times
from auditlake.policies.kinds.values import VALUES, read_tuple
from auditlake.policies.model import Number, Policy

if TYPE_CHECKING:
    from auditlake.engine.model import Row


class DistinctKind(ThresholdKind):
    """Different values of a column or an expression, or of several taken together."""

    name = "distinct"
    keys = (
        Key("distinct", VALUES | {"type": ["array", "string"], "description":
            "The column or expression, or a list taken together, whose different values are counted."},
            read=read_tuple, needs=("alert_threshold",)),
    )  # fmt: skip
    asked_by = "distinct"
    raises_alerts = True
    drawn = "Values seen in the window of the peak"
    default_threshold = None
    title = "Different values"
    meaning = "The number of different values of the counted events"

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return for each value the union of the windows of its events."""
        return (statements("policies/distinct.sql")["matching"], groups(), *unions(policy))

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return the values that count at the peak of each episode."""
        return (statements("policies/distinct.sql")["evidence"],)

    def own_slots(self, policy: Policy) -> Mapping[str, str]:
        """Return the value of an event."""
        value = key_sql(policy.more["distinct"])
        return {"value_of_event": value, "has_value": f"({value}) is not null"}

    def asked(self, policy: Policy) -> dict[str, Any]:
        """Return what is told apart."""
        return {"distinct": list(policy.more["distinct"])}

    def expressions(self, policy: Policy) -> Iterable[str]:
        """Return what is told apart."""
        return tuple(policy.more["distinct"])

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return the values seen, each with its first and last event in the window of the peak."""
        names = policy.more["distinct"]
        return {
            "values": [
                {"value": dict(zip(names, group_values(value), strict=True)), "first": first, "last": last,
                 "events": events}
                for value, first, last, events in rows
            ]
        }  # fmt: skip

    def traces(self, evidence: Mapping[str, Any]) -> tuple[Trace, ...]:
        """Return the values."""
        return seen_times(evidence["values"], lambda each: " with ".join(each["value"].values()))

    def measured(self, asked: Mapping[str, Any], number: Number, said: Callable[[str], str] = str) -> str:
        """Return what is counted."""
        values = " with ".join(asked["distinct"])
        return f"value of {values}" if number == 1 else f"different values of {values}"


def unions(policy: Policy) -> Iterable[Statement]:
    """Return the statements that make, of the matching events, the union of the windows of each value."""
    parts, valued = statements("policies/distinct.sql"), "valued" if policy.group_by else "valued_of_all"
    return (parts[name] for name in ("different", valued, "spans"))
