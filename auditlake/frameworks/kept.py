"""How long events of each type are kept over all packs and policies, with who asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from auditlake.events.durations import Duration
from auditlake.frameworks.model import Asker, RetentionRow
from auditlake.policies.model import Policy


def retention_rows(event_types: Sequence[str], policies: Sequence[Policy]) -> tuple[RetentionRow, ...]:
    """Return a row for each type: the longest minimum, the longest time at hand, the shortest time for names.

    Where personal data must go before the event may, the event stays and its names become pseudonyms: a conflict.

    Args:
        event_types: The types, in order.
        policies: Every policy of the lake.
    """
    return tuple(_row(name, [each for each in policies if name in each.required_events]) for name in event_types)


def _row(event_type: str, policies: Sequence[Policy]) -> RetentionRow:
    keep = _asker([(each, each.retention_period) for each in policies], 1)
    hot = _asker([(each, each.hot) for each in policies], 1)
    cap = _asker([(each, each.max_retention) for each in policies], -1)
    conflict = keep is not None and cap is not None and cap.microseconds < keep.microseconds
    return RetentionRow(event_type, keep, hot, cap, conflict)


def _asker(asked: Sequence[tuple[Policy, Duration | None]], sign: int) -> Asker | None:
    """Return who asks for the longest length, of sign 1, or the shortest, of sign -1; the first by id among equals."""
    lengths = sorted(
        ((length.microseconds * -sign, policy.id, length, policy) for policy, length in asked if length is not None),
        key=lambda each: each[:2],
    )
    if not lengths:
        return None
    _, policy_id, length, policy = lengths[0]
    return Asker(policy_id, str(length), length.microseconds, policy.clause)
