"""How long events of each type are kept over all packs and policies, with who asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from auditlake.events.durations import Duration
from auditlake.findings.finding import Finding
from auditlake.frameworks.model import Asker, RetentionRow
from auditlake.frameworks.records.model import Case
from auditlake.policies.kinds.max_retention import contradictions_of
from auditlake.policies.model import Policy, longest_retention, shortest_limit


def retention_rows(event_types: Sequence[str], case: Case) -> tuple[RetentionRow, ...]:
    """Return a row for each type: the longest minimum, the longest time at hand, the shortest maximums.

    Where personal data must go before the event may, the event stays and its names become pseudonyms: a conflict.
    Where the event itself must, it stays, and that is a contradiction.

    Args:
        event_types: The types, in order.
        case: What the pack is judged by, with every policy of the lake.
    """
    return tuple(_row(name, case) for name in event_types)


@dataclass(frozen=True, slots=True)
class Opposed:
    """A type that must be gone before it may."""

    finding: Finding
    """What the policy finds that lets it stay the shortest, with the acceptance that covers it."""
    is_binding: bool
    """Whether both lengths are more than common practice or a default, which never make a control fail."""


def opposing(event_type: str, case: Case, limits: Iterable[Policy]) -> Opposed | None:
    """Return what contradicts each other about a type; None where nothing does.

    Args:
        event_type: The type.
        case: What the pack is judged by, with every policy of the lake.
        limits: The policies that may let it stay the shortest.
    """
    limit, keep = shortest_limit(event_type, limits, "event"), longest_retention(event_type, case.policies)
    found = () if limit is None else contradictions_of(limit, case.policies)
    finding = next((each for each in found if each.event_type == event_type), None)
    if limit is None or keep is None or finding is None:
        return None
    finding = replace(finding, accepted=case.acceptance(case.seen(limit.id, finding)))
    return Opposed(finding, limit.is_binding and keep.is_binding)


def _row(event_type: str, case: Case) -> RetentionRow:
    policies = [each for each in case.policies if event_type in each.required_events]
    keep = _asker([(each, each.retention_period) for each in policies], 1)
    hot = _asker([(each, each.hot) for each in policies], 1)
    cap = _asker([(each, each.max_retention) for each in policies], -1)
    gone = _asker([(each, each.max_event_retention) for each in policies], -1)
    conflict = keep is not None and cap is not None and cap.microseconds < keep.microseconds
    opposed = opposing(event_type, case, case.policies)
    return RetentionRow(event_type, keep, hot, cap, gone, conflict, opposed.finding if opposed else None)


def _asker(asked: Sequence[tuple[Policy, Duration | None]], sign: int) -> Asker | None:
    """Return who asks for the longest length, of sign 1, or the shortest, of sign -1; the first by id among equals."""
    lengths = sorted(
        ((length.microseconds * -sign, policy.id, length, policy) for policy, length in asked if length is not None),
        key=lambda each: each[:2],
    )
    if not lengths:
        return None
    _, policy_id, length, policy = lengths[0]
    return Asker(policy_id, str(length), length.microseconds, policy.clause, policy.basis)
