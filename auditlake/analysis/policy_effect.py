"""What changes with a policy that comes into a lake or leaves it: which events are kept longer, and which shorter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlake.context import LakeContext
from auditlake.packs.effective import lake_policies
from auditlake.policies.model import Policy
from auditlake.retention.planner import judged_days, rules_of
from auditlake.retention.rules import RetentionRules, named
from auditlake.retention.terms import kept, state_of, terms_of

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class TypeEffect:
    """What changes for the events of a type."""

    event_type: str
    events: int
    """How many of them the lake has."""
    newly_governed: bool
    """Whether no policy named the type before."""
    before: str
    """How long they were kept and by whom, e.g. ``for 30d (failed_logins)``, ``for ever``."""
    after: str
    """How long they are kept."""
    change: int
    """1: longer than before, -1: shorter, 0: as long."""
    becomes_due: int
    """How many of them are due for deletion, and were not before."""


@dataclass(frozen=True, slots=True)
class PolicyEffect:
    """What changes with a policy, or with those of a pack."""

    policy_id: str
    """The policy, or the pack that they are of."""
    as_of: datetime
    types: tuple[TypeEffect, ...]
    """The types that it names or named, in order."""
    pseudonymise: int
    """How many events would lose their personal data that would have kept it before."""
    unusable: tuple[str, ...]
    """Other policies of the lake that cannot be used: until they are mended nothing is deleted."""

    @property
    def becomes_due(self) -> int:
        """How many events are due for deletion, and were not before."""
        return sum(each.becomes_due for each in self.types)

    @property
    def takes(self) -> bool:
        """Whether the next ``retention apply`` takes anything that it would have left before."""
        return bool(self.becomes_due or self.pseudonymise)

    def as_dict(self) -> dict[str, Any]:
        """Return the effect as JSON values."""
        names = ("event_type", "events", "newly_governed", "before", "after", "becomes_due")
        return {
            "types": [{name: getattr(each, name) for name in names} for each in self.types],
            "becomes_due": self.becomes_due, "pseudonymise": self.pseudonymise, "unusable": list(self.unusable),
        }  # fmt: skip


def policy_effect(
    connection: duckdb.DuckDBPyConnection,
    context: LakeContext,
    as_of: datetime,
    policy_id: str,
    new: Policy | None,
) -> PolicyEffect:
    """Judge the ``events`` view of a connection by the lake's policies as they are, and as they would be.

    Args:
        connection: The engine, with the view.
        context: The lake.
        as_of: The instant to judge at.
        policy_id: The policy that comes, changes or goes.
        new: What it is to be; None if it goes.

    Raises:
        HoldError: A hold cannot be used.
        LakeFormatError: The key of the lake's pseudonyms has gone, or is another one.
    """
    return effect(connection, context, as_of, policy_id, (policy_id,), (new,) if new else ())


def effect(
    connection: duckdb.DuckDBPyConnection,
    context: LakeContext,
    as_of: datetime,
    name: str,
    gone: Collection[str],
    new: Sequence[Policy],
) -> PolicyEffect:
    """Judge the ``events`` view of a connection by the lake's policies as they are, and as they would be.

    Args:
        connection: The engine, with the view.
        context: The lake.
        as_of: The instant to judge at.
        name: The policy or pack that comes, changes or goes.
        gone: The ids of the policies whose place the new ones take.
        new: The policies that come.

    Raises:
        HoldError: A hold cannot be used.
        LakeFormatError: The key of the lake's pseudonyms has gone, or is another one.
    """
    config = context.config
    known = lake_policies(context.layout, config.event_types, tolerant=True)
    present = [each for each in known if each.is_readable]
    old = [each for each in present if each.id in gone]
    others = [each for each in present if each.id not in gone]
    before = rules_of(context, as_of, policies=present)
    after = replace(before, policies=tuple(sorted([*others, *new], key=lambda each: each.id)))
    (events, due), (_, due_then) = (_judged(connection, each) for each in (before, after))
    terms = [state_of(terms_of(each.policies, (), config.default_retention)) for each in (before, after)]
    governed = {each_type for each in present for each_type in each.required_events}

    def of_type(event_type: str) -> TypeEffect:
        was, becomes = (kept(state, event_type) for state in terms)
        assert was is not None
        assert becomes is not None
        longer, shorter = becomes.microseconds > was.microseconds, becomes.microseconds < was.microseconds
        return TypeEffect(
            event_type, events[event_type], event_type not in governed, str(was), str(becomes), longer - shorter,
            max(due_then[event_type] - due[event_type], 0),
        )  # fmt: skip

    types = sorted({each_type for each in (*old, *new) for each_type in each.required_events})
    lost = max(_over_limit(connection, after) - _over_limit(connection, before), 0)
    left_out = tuple(each.id for each in known if not each.is_readable and each.id not in gone)
    return PolicyEffect(name, as_of, tuple(map(of_type, types)), lost, left_out)


def _judged(connection: duckdb.DuckDBPyConnection, rules: RetentionRules) -> Sequence[Counter[str]]:
    """All events, and those that are due, by type."""
    events: Counter[str] = Counter()
    due: Counter[str] = Counter()
    for each in judged_days(connection, rules):
        events[each.event_type] += each.events
        due[each.event_type] += each.due
    return events, due


def _over_limit(connection: duckdb.DuckDBPyConnection, rules: RetentionRules) -> int:
    if not rules.limits:
        return 0
    return sum(events for *_, events in named(connection, rules.step("over_limit"), rules.eraser))
