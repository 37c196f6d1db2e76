"""A policy: what is governed and what is asked of it. Read from YAML, never changed afterwards."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal

from auditlake.events.durations import Duration, length_of
from auditlake.policies.hours import Hours

Number = int | Decimal
"""A threshold, or what is held against it; a whole one is an ``int``."""
Severity = Literal["low", "medium", "high", "critical"]
Coverage = Literal["required", "proven", "optional"]
Basis = Literal["mandatory", "customary", "by_risk", "default"]
Part = Literal["personal_data", "event"]
_DAY = Duration("24h", 86_400_000_000)

SEVERITIES: tuple[str, ...] = ("low", "medium", "high", "critical")
PLACEHOLDERS: tuple[str, ...] = ("-", "unknown", "n/a", "none", "null")
"""Words that say that there is no value, beside nothing at all."""


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One of the tests that a policy file carries."""

    name: str
    events: tuple[Mapping[str, Any], ...]
    """Events in short form: ``event_type`` (or ``type``), ``timestamp`` (or ``at``) and any other event column."""
    expect: Mapping[str, Any]
    """What must be found: any of ``status``, ``episodes``, ``missing``, ``gaps``, ``incomplete``, ``total``,
    ``peak``."""
    as_of: str | None = None
    """The instant to judge at; the newest event's time if not given."""
    since: str | None = None
    """Start of the period; if not given, ``as_of`` less the retention period, or 90 days where there is none."""
    line: int = 0
    """Where in the file the test starts, 1-based."""


@dataclass(frozen=True, slots=True)
class GapRule:
    """How long events of a type may stay away."""

    longest: Duration
    within: Hours | None = None
    """The hours in which silence counts; None: always."""

    def __str__(self) -> str:
        return f"{self.longest} within {self.within}" if self.within else str(self.longest)

    @property
    def asked(self) -> dict[str, str]:
        """The rule as JSON values."""
        hours = {"within": self.within.text, "zone": self.within.zone} if self.within else {}
        return {"longest": str(self.longest), **hours}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What events must say."""

    any_of: tuple[str, ...]
    """Columns, ``details.a.b`` or ``metadata.a.b``, as they were written; one that is filled is enough."""
    at_least: Number = 1
    """The share of a type's events that must say it, more than 0 and at most 1; at most six decimals."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of a lake. It asks what it says: a threshold, coverage, retention, at least one of them."""

    id: str
    """The file's name without ``.yaml``: ``^[a-z0-9][a-z0-9_-]{0,63}$``."""
    name: str
    description: str
    required_events: tuple[str, ...]
    """The governed event types, sorted, without repeats, never empty."""
    retention_period: Duration | None = None
    """How long governed events must be kept (months 31 d, years 366 d); None: the policy neither keeps any nor lets any
    go."""
    alert_threshold: Number | None = None
    """k: from how many events in one window on there is a breach; at least 1, and whole unless it is held against a sum
    or an average. None: the policy counts nothing."""
    window: Duration = _DAY
    """W: the length of the rolling window; of no meaning without a threshold, as ``group_by`` and ``where`` are."""
    group_by: tuple[str, ...] = ()
    """Columns or expressions that the threshold is counted by, as they were written."""
    where: str | None = None
    """A SQL condition that narrows the threshold question, as it was written; what runs is DuckDB's spelling of it."""
    measure: str = "count"
    """What is held against the threshold: the name of one of the kinds that measure."""
    coverage: Coverage = "required"
    """Whether each type must have come in the period, at some time, or need not."""
    max_gap: Duration | Mapping[str, GapRule] | None = None
    """How long events of a type may stay away: one length for all types, or for each type its own; None: for ever."""
    max_retention: Duration | None = None
    """How long personal data may be kept at the most (months 30 d, years 365 d)."""
    max_event_retention: Duration | None = None
    """How long the event as a whole may be kept at the most, which is ``max_retention`` with ``of: event``; counted
    alike. The event goes then, unless another policy keeps it: that is a contradiction, and it stays."""
    scope: str | None = None
    """A SQL condition that narrows coverage, gaps, fields and threshold, and never retention, as it was written. An
    event on which it is null or fails is in scope."""
    fields: Mapping[str, FieldRule] = field(default_factory=dict)
    """What each governed event must say, by name."""
    placeholders: tuple[str, ...] = PLACEHOLDERS
    """The words that count as nothing in a field."""
    hot: Duration | None = None
    """How long governed events must be readable without restoring anything (months 31 d, years 366 d)."""
    clause: str | None = None
    """What asks for the lengths of retention, to be shown where they contradict those of others."""
    basis: Basis | None = None
    """What these lengths are: in the clause, common practice, set by risk, or a default of others."""
    severity: Severity = "medium"
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Framework name to control ids."""
    tests: tuple[PolicyTest, ...] = ()
    digest: str = ""
    """``sha256:`` and the hex digest of the policy file's bytes."""
    text: str = ""
    """The policy file as it was read."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """The values of keys that have no field above, by name: those of other question kinds."""
    fault: str | None = None
    """Why its file cannot be used, with the places in it; then it asks nothing, and only stands for the file."""

    def value(self, key: str) -> Any:
        """Return the value of a key of its file; None where it has none."""
        return getattr(self, key) if key in _FIELDS else self.more.get(key)

    @property
    def content(self) -> bytes:
        """The policy file's bytes, which the digest is over: the text, perhaps with a mark ahead of it."""
        own = self.text.encode()
        is_whole = not self.digest or f"sha256:{hashlib.sha256(own).hexdigest()}" == self.digest
        return own if is_whole else codecs.BOM_UTF8 + own

    @property
    def is_readable(self) -> bool:
        """Whether its file could be read."""
        return self.fault is None

    @property
    def least(self) -> Number:
        """The threshold, for those who deal with no policy that has none."""
        assert self.alert_threshold is not None, f"{self.id} has no threshold"
        return self.alert_threshold

    @property
    def shown_clause(self) -> str | None:
        """What asks for its lengths of retention, and what they are."""
        return ", ".join(filter(None, [self.clause, (self.basis or "").replace("_", " ")])) or None

    @property
    def is_binding(self) -> bool:
        """Whether its lengths of retention are more than common practice or a default of others."""
        return self.basis not in ("customary", "default")

    @property
    def asked_max_retention(self) -> str | dict[str, str] | None:
        """The longest time that it lets be kept as a JSON value: of personal data a length, else with what it is of."""
        if self.max_event_retention is not None:
            return {"longest": str(self.max_event_retention), "of": "event"}
        return str(self.max_retention) if self.max_retention else None

    @property
    def shown_max_retention(self) -> str | None:
        """The same on one line."""
        if self.max_event_retention is not None:
            return f"{self.max_event_retention} of the event"
        return str(self.max_retention) if self.max_retention else None

    @property
    def shown_window(self) -> str | None:
        """The window as it was written; None where there is no threshold that it would belong to."""
        return None if self.alert_threshold is None else str(self.window)

    @property
    def narrowed_by(self) -> str | None:
        """The scope, where it may leave an event out: packs whose parameter for it has no value say ``true``."""
        return None if self.scope == "true" else self.scope

    @property
    def gap_rules(self) -> dict[str, GapRule]:
        """How long events may stay away, of each type that may not do so for ever."""
        if isinstance(self.max_gap, Duration):
            return dict.fromkeys(self.required_events, GapRule(self.max_gap))
        return dict(self.max_gap or {})

    @property
    def asked_max_gap(self) -> str | dict[str, dict[str, str]] | None:
        """The same as a JSON value: a length, or a rule for each type; None where the policy does not ask."""
        if self.max_gap is None or isinstance(self.max_gap, Duration):
            return str(self.max_gap) if self.max_gap else None
        return {name: rule.asked for name, rule in self.max_gap.items()}

    @property
    def shown_max_gap(self) -> str | None:
        """The same on one line."""
        if self.max_gap is None or isinstance(self.max_gap, Duration):
            return str(self.max_gap) if self.max_gap else None
        return "; ".join(f"{name}: {rule}" for name, rule in self.max_gap.items())


_FIELDS = frozenset(field.name for field in fields(Policy))


@dataclass(frozen=True, slots=True)
class RetentionConflict:
    """A policy's ``max_retention`` that is shorter than another's ``retention_period`` for a common type.

    Of personal data, that becomes pseudonyms. Of the event, the two contradict each other, and the event stays.
    """

    event_type: str
    keep_policy: str
    """The policy that requires the event to be kept."""
    retention_period: str
    limit_policy: str
    """The policy that limits personal data, or the event."""
    max_retention: str
    keep_clause: str | None = None
    """What asks for the events, where the policy says it."""
    limit_clause: str | None = None
    """What limits them."""
    of: Literal["event"] | None = None
    """``event`` where the whole event must go."""

    def as_dict(self) -> dict[str, str]:
        """Return the conflict as JSON values, without what does not concern it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def conflicts_of(policy: Policy, policies: Sequence[Policy]) -> Iterator[RetentionConflict]:
    """Yield where a limit is shorter than what must be kept, for types that the policy shares."""
    by_id = sorted(policies, key=lambda each: each.id)
    own = [each for each in by_id if each.id == policy.id]
    for limit in by_id:
        longest = limit.max_event_retention or limit.max_retention
        for keep in by_id if limit.id == policy.id else own:
            if limit.id == keep.id or longest is None:
                continue
            if longest.microseconds < length_of(keep.retention_period):
                for name in sorted(set(limit.required_events) & set(keep.required_events)):
                    yield RetentionConflict(
                        name, keep.id, str(keep.retention_period), limit.id, str(longest),
                        keep.shown_clause, limit.shown_clause, "event" if limit.max_event_retention else None,
                    )  # fmt: skip


def conflicts(policies: Sequence[Policy]) -> tuple[RetentionConflict, ...]:
    """Return every conflict between policies, once."""
    return tuple(dict.fromkeys(each for policy in policies for each in conflicts_of(policy, policies)))


def longest_retention(event_type: str, policies: Sequence[Policy]) -> Policy | None:
    """Return the policy that keeps events of a type the longest, the first among equals; None if none keeps it."""
    keepers = [policy for policy in policies if policy.retention_period and event_type in policy.required_events]
    return max(keepers, key=lambda policy: length_of(policy.retention_period), default=None)


def shortest_limit(event_type: str, policies: Iterable[Policy], of: Part) -> Policy | None:
    """Return the policy that limits personal data, or the event, of a type to the shortest time, the first by id among
    equals; None if none does.
    """
    limits = (
        (length_of(each.max_event_retention if of == "event" else each.max_retention), each.id, each)
        for each in policies if event_type in each.required_events
    )  # fmt: skip
    return min((each for each in limits if each[0]), key=lambda each: each[:2], default=(0, "", None))[2]


def kept_by_none(by_type: Mapping[str, int], policies: Sequence[Policy]) -> dict[str, int]:
    """Return the event types, with their counts, of which no policy says how long they are kept."""
    return asked_by_none(by_type, [each for each in policies if each.retention_period or each.max_event_retention])


def asked_by_none(by_type: Mapping[str, int], policies: Sequence[Policy]) -> dict[str, int]:
    """Return the event types, with their counts, that no policy names."""
    named = {name for policy in policies for name in policy.required_events}
    return {name: events for name, events in sorted(by_type.items()) if name not in named}
