"""What an alert says, and how it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from auditlake.display.text import counted_events, visible
from auditlake.events.times import instant, parse_instant, print_instant
from auditlake.findings.finding import canonical_group, finding_id
from auditlake.policies.kinds import measure_of
from auditlake.policies.kinds.threshold import ThresholdKind, whose
from auditlake.policies.model import Policy

Kind = Literal["threshold_exceeded", "resolved"]
Group = tuple[str, ...]
"""The values of a policy's ``group_by``, in its order; empty where it has none."""

_SHOWN = 80
"""How many characters of a group's value a message shows."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A rolling count that reached its policy's threshold or fell below it; instants are microseconds since 1970."""

    kind: Kind
    group: Group
    crossing: int
    """When the count reached the threshold: an alert and its resolution share it."""
    at: int
    """When this happened."""
    count: int
    """How many events were in the window then."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A policy's threshold was reached, or the count has fallen below it again."""

    id: str
    """Names the episode: a resolution has the id of its alert. Delivery is at least once, so a receiver drops repeats
    by ``id`` and ``kind``. It is also the id of the report's finding, unless the report's period cuts the episode."""
    kind: Kind
    policy_id: str
    policy_name: str
    severity: str
    group: Mapping[str, str]
    """The columns of ``group_by`` and their values; empty where the policy has none."""
    at: datetime
    """When the count reached the threshold; of a resolution, when it fell below. UTC."""
    count: int
    """How many events were in the window at that instant, as far as they were known."""
    threshold: int
    window: str
    """The window as the policy writes it."""
    late: bool
    """Whether ``at`` lay further back than the lateness bound when this was raised."""
    raised_at: datetime
    """What the clock said when this was raised. UTC."""
    message: str
    """One line for people, harmless whatever the group's values are."""

    def as_dict(self) -> dict[str, Any]:
        """Return the alert as JSON has it: instants spelled ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
        return asdict(self) | {
            "group": dict(self.group),
            "at": print_instant(self.at),
            "raised_at": print_instant(self.raised_at),
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> Alert:
        """Return the alert of a dict that :meth:`as_dict` made.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        instants = {name: parse_instant(fields[name]) for name in ("at", "raised_at")}
        return Alert(**{**fields, **instants})


def alert_of(policy: Policy, turn: Turn, *, now: int, lateness: int) -> Alert:
    """Make the alert that tells of a turn, raised now; times and lengths are microseconds."""
    group = dict(zip(policy.group_by, turn.group, strict=True))
    (kind,) = measure_of(policy).finding_kinds
    start = print_instant(instant(turn.crossing))
    return Alert(
        id=finding_id(policy.id, kind.name, canonical_group(group), "", start),
        kind=turn.kind,
        policy_id=policy.id,
        policy_name=policy.name,
        severity=policy.severity,
        group=group,
        at=instant(turn.at),
        count=turn.count,
        threshold=int(policy.least),
        window=str(policy.window),
        late=turn.at <= now - lateness,
        raised_at=instant(now),
        message=_message(policy, turn),
    )


def _message(policy: Policy, turn: Turn) -> str:
    kind = measure_of(policy)
    if not kind.is_tallied:
        return visible(f"{policy.name}: {_told(kind, policy, turn)}")
    group = ", ".join(f"{column} {_short(value)}" for column, value in zip(policy.group_by, turn.group, strict=True))
    name, of = visible(policy.name), f" of {group}" if group else ""
    if turn.kind == "resolved":
        return f"{name}: below {counted_events(int(policy.least))} within {policy.window}{of} again"
    return f"{name}: {counted_events(turn.count)} within {policy.window}{of}, the threshold is {policy.alert_threshold}"


def _told(kind: ThresholdKind, policy: Policy, turn: Turn) -> str:
    group = {column: _short(value) for column, value in zip(policy.group_by, turn.group, strict=True)}
    if turn.kind == "resolved":
        what = kind.measured(policy.more, policy.least)
        return f"below {policy.least} {what} within {policy.window}{whose(group)} again"
    return kind.message(policy, group, turn.count)


def _short(value: str) -> str:
    return visible(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")
