"""Question 1: at how many events in a rolling window a policy is violated.

The rules are in semantics.md, Counts in a rolling window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from auditlake.display.text import counted_events
from auditlake.engine.statements import Statement, statements
from auditlake.events.times import day_of, print_instant
from auditlake.findings.finding import Finding, canonical_group, finding_id
from auditlake.policies.condition import LONGEST, ConditionError, check_condition
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query, every, length, moments
from auditlake.policies.model import GROUP_COLUMNS, Policy
from auditlake.policies.question import Question, earlier

if TYPE_CHECKING:
    import yaml

    from auditlake.engine.model import Row
    from auditlake.policies.evaluate import Answers
    from auditlake.yaml_reader import Reader

_DAY_US = 86_400_000_000
_LONG_US = 2 * _DAY_US
"""From which window on levels are carried over midnights instead of arrivals."""
EPISODE = FindingKind(
    "threshold_exceeded", "episode",
    ("group", "start", "end", "ongoing", "started_before_period", "peak", "peak_at"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DailyPeak:
    """The largest rolling count of any group on one UTC day; None before the lake's first event."""

    date: date
    peak: int | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """The answer: counts in a rolling window."""

    window: str
    alert_threshold: int
    group_by: tuple[str, ...]
    where: str | None
    where_errors: int
    recent_events: int
    ungrouped_events: int
    future_events: int
    episodes: int
    daily_peaks: tuple[DailyPeak, ...]


def _condition(reader: Reader, node: yaml.Node, key: str) -> str | None:
    """Read a condition that may be run."""
    text = reader.text(node, key, expected="a condition")
    if text is None:
        return None
    try:
        check_condition(text, tried=not reader.in_use)
        return text.strip()
    except ConditionError as error:
        line, column = reader.inside(node, error.offset)
        reader.mistakes.append((line, column, f"{key}: {error}"))
        return None


class ThresholdKind(Kind):
    """Counts in a rolling window, and the stretches in which they are at the threshold or above it."""

    name = "threshold"
    keys = (
        Key("alert_threshold", {"type": "integer", "minimum": 1, "description":
            "From how many events within one window on there is a finding."}, asks=True),
        Key("window", length("window", "The length of the rolling window; 24h without this key.", default="24h"),
            needs="alert_threshold"),
        Key("group_by", {"type": "array", "uniqueItems": True, "items": {"enum": GROUP_COLUMNS, "title": "column"},
            "description": "The columns whose values are counted apart."}, needs="alert_threshold"),
        Key("where", {"type": ["string", "null"], "maxLength": LONGEST, "description":
            "A SQL condition over an event's columns; only events that meet it count."}, read=_condition,
            needs="alert_threshold"),
    )  # fmt: skip
    asked_by = "alert_threshold"
    finding_kinds = (EPISODE,)
    raises_alerts = True

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the rolling counts, and the totals of the last window and the period."""
        policy, values = inquiry.policy, values_of(inquiry.policy, inquiry.question)
        yield Query("rolling_counts", _rolling_counts(policy), values)
        yield Query("threshold_totals", _totals(policy), values)

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], Threshold | None]:
        """Return the episodes and the counts."""
        policy = answers.policy
        if policy.alert_threshold is None:
            return (), None
        episodes = [_episode(policy, row) for row in answers.rows["rolling_counts"]]
        recent, ungrouped, errors, future = answers.one("threshold_totals")
        first = answers.first_day
        days = ((day_of(number), peak) for number, peak in answers.rows["daily_peaks"])
        return episodes, Threshold(
            window=str(policy.window),
            alert_threshold=policy.alert_threshold,
            group_by=policy.group_by,
            where=policy.where,
            where_errors=errors,
            recent_events=recent,
            ungrouped_events=ungrouped,
            future_events=future,
            episodes=len(episodes),
            daily_peaks=tuple(DailyPeak(day, None if first is None or day < first else peak) for day, peak in days),
        )


def values_of(policy: Policy, question: Question) -> dict[str, object]:
    """Return the values that the statements of a threshold bind, by name."""
    window = timedelta(microseconds=policy.window.microseconds)
    look_back = earlier(question.since, window)
    origin = look_back.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "alert_threshold": policy.alert_threshold,
        "window_us": policy.window.microseconds,
        "look_back": look_back,
        "origin": origin,
        "span_us": ((question.until - origin + window) // timedelta(days=1) + 1) * _DAY_US,
        "window_start": earlier(question.as_of, window),
    }


def status_now(answers: Answers) -> Literal["compliant", "violation", "no_data"] | None:
    """Return the status over the last window before as_of; None of a policy without a threshold."""
    if answers.policy.alert_threshold is None:
        return None
    if answers.rows["current_counts"]:
        return "violation"
    (received,) = answers.one("presence_now")
    return "compliant" if received else "no_data"


def _episode(policy: Policy, row: Row) -> Finding:
    key, start, end, ongoing, before, peak, peak_at = row
    group = dict(zip(policy.group_by, group_values(key), strict=True)) or None
    number = finding_id(policy.id, EPISODE.name, canonical_group(group), "", print_instant(start))
    measures = {"ongoing": ongoing, "started_before_period": before, "peak": peak, "peak_at": peak_at}
    message = episode_message(policy, group or {}, peak)
    return Finding(number, EPISODE.name, message, group=group, start=start, end=end, measures=measures)


def episode_message(policy: Policy, group: Mapping[str, str | None], peak: int) -> str:
    """Return an episode in words; a value of its group that the reader may not see is None."""
    named = (f"{column} {'(hidden)' if value is None else value}" for column, value in group.items())
    whose = f" for {', '.join(named)}" if group else ""
    return f"{counted_events(peak)} within {policy.window}{whose}: the threshold is {policy.alert_threshold}"


def group_values(key: str | Sequence[str]) -> tuple[str, ...]:
    """Return the values of a group in the order of the policy's group_by: SQL gives a single one by itself."""
    return (key,) if isinstance(key, str) else tuple(key)


# The statements


def changes(policy: Policy) -> Iterator[Statement]:
    """Yield what makes the changes of a policy's counts, for several thresholds at once."""
    parts = statements("policies/rolling_counts.sql")
    yield from (*_arrivals(policy), *(parts[name] for name in ("changes", "rises", "falls")))


def _is_plain(policy: Policy) -> bool:
    """Return whether every governed event counts in one group: then type and time are all that the count needs."""
    return policy.where is None and not policy.group_by


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
