"""The measure of a policy that names no other: how many events there are in a rolling window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from auditlake.engine.statements import Statement, statements
from auditlake.policies.condition import LONGEST
from auditlake.policies.kinds.model import Inquiry, Key, Query, every, length, moments
from auditlake.policies.kinds.threshold import ThresholdKind
from auditlake.policies.kinds.values import VALUES, read_condition, read_values
from auditlake.policies.model import Policy
from auditlake.policies.question import Question

_LONG_US = 2 * 86_400_000_000
"""From which window on levels are carried over midnights instead of arrivals."""


class CountKind(ThresholdKind):
    """Counts in a rolling window, and the stretches in which they are at the threshold or above it."""

    name = "count"
    keys = (
        Key("alert_threshold", {"type": "integer", "minimum": 1, "description":
            "From how many events within one window on there is a finding."}, asks=True),
        Key("window", length("window", "The length of the rolling window; 24h without this key.", default="24h")),
        Key("group_by", VALUES | {"description": "The columns, or expressions, whose values are counted apart."},
            read=read_values),
        Key("where", {"type": ["string", "null"], "maxLength": LONGEST, "description":
            "A SQL condition over an event's columns; only events that meet it count."}, read=read_condition),
    )  # fmt: skip
    default_threshold = None
    raises_alerts = True
    is_tallied = True

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the rolling counts, and the totals of the last window and the period."""
        policy, question = inquiry.policy, inquiry.question
        yield self._count("rolling_counts", _rolling_counts(policy), policy, question)
        yield self._count("threshold_totals", _totals(policy), policy, question)

    def by_day(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the same, without totals where all events count in one group: their number is known from the days."""
        for query in super().by_day(inquiry):
            if query.name == "episodes_by_day":
                yield replace(query, widened="arrivals")
            elif not _is_plain(inquiry.policy):
                yield query

    def few_days(self, inquiry: Inquiry) -> Query | None:
        """Return None: policies that count are asked together (:mod:`auditlake.policies.few_days`)."""
        return None

    def found(self, policy: Policy) -> Iterable[Statement]:
        """Return its own: arrivals are all that it needs."""
        return (part for part in _rolling_counts(policy) if part.name not in {"rolling_counts", "daily_peaks"})

    def machine(self, policy: Policy) -> Mapping[str, Statement]:
        """Return its own as well: peaks of days from arrivals."""
        return {**super().machine(policy), **{part.name: part for part in _rolling_counts(policy)}}

    def backtest(self, inquiry: Inquiry, thresholds: Sequence[int]) -> Query:
        """Return the query that counts the episodes of each threshold."""
        parts = statements("policies/rolling_counts.sql")
        changes = (parts[name] for name in ("changes", "rises"))
        listed = (*_arrivals(inquiry.policy), *changes, *every("backtest"))
        query = self._count("backtest", listed, inquiry.policy, inquiry.question)
        return replace(query, values={**query.values, "thresholds": list(thresholds)})

    def _count(self, name: str, parts: Iterable[Statement], policy: Policy, question: Question) -> Query:
        return replace(self._query(name, parts, policy, question), widened="arrivals")


def _is_plain(policy: Policy) -> bool:
    """Return whether every governed event counts in one group: then type and time are all that the count needs."""
    return policy.where is None and policy.scope is None and not policy.group_by


def _arrivals(policy: Policy) -> Iterator[Statement]:
    if _is_plain(policy):
        yield moments()
    yield from every("arrivals" if _is_plain(policy) else "arrivals_by_group")


def _rolling_counts(policy: Policy) -> Iterator[Statement]:
    yield from _arrivals(policy)
    yield from every("rolling_counts")
    yield from every("daily_peaks_long" if policy.window.microseconds > _LONG_US else "daily_peaks")


def _totals(policy: Policy) -> Iterator[Statement]:
    if _is_plain(policy):
        yield moments()
    yield from every("threshold_totals_plain" if _is_plain(policy) else "threshold_totals")
    yield from every("presence_now")
