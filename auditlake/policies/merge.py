"""The answers of days put together: exactly the rows that a policy's statements give over the whole period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from auditlake.engine.model import Row
from auditlake.events.times import instant, micros
from auditlake.policies.days import DAY, Part
from auditlake.policies.kinds import measure_of
from auditlake.policies.kinds.model import Inquiry
from auditlake.policies.kinds.retention_due import cutoffs_of
from auditlake.policies.model import Policy
from auditlake.policies.question import Question

Answer = Mapping[str, Sequence[Sequence[Any]]]
"""The rows of each step about one part of a day, without the day: JSON values, instants in microseconds."""
Answers = Sequence[tuple[Part, Answer]]
"""Those of a period, in order."""
Rows = dict[str, list[Row]]
AT = "at"
"""The key of an instant that stands among other values."""


@dataclass(slots=True)
class _Episode:
    """An episode, as far as it has come."""

    key: Any
    start: int
    before: bool
    peak: int
    peak_at: int
    total: int
    parts: int
    behind: Sequence[Sequence[Any]]
    end: int | None = None
    goes_on: bool = False


def episodes(policy: Policy, answers: Answers) -> Rows:
    """Return the rows of ``rolling_counts`` and of the steps beside it: pieces that go on over midnight are one."""
    kind, found = measure_of(policy), list[_Episode]()
    going_on: dict[Any, _Episode] = {}
    for place, (_, answer) in enumerate(answers):
        behind = _behind(answer)
        still = dict[Any, _Episode]()
        for key, start, end, is_carried, peak, peak_at, total, parts in answer["episodes_by_day"]:
            group = tuple(key) if isinstance(key, list) else key
            own = behind.get((is_carried, group, start), ())
            piece = _Episode(key, start, is_carried and not place, int(peak), peak_at, int(total), parts, own)
            episode = going_on.get(group) if is_carried else None
            if episode is None:
                found.append(episode := piece)
            elif piece.total * episode.parts > episode.total * piece.parts:
                episode.peak, episode.peak_at, episode.total, episode.parts = int(peak), peak_at, piece.total, parts
                if not kind.shows_start:
                    episode.behind = own
            episode.end, episode.goes_on = end, end is None
            if episode.goes_on:
                still[group] = episode
        going_on = still
    found.sort(key=lambda each: (each.start, each.key))
    tallied = _tallied(answers) if kind.tally(policy) else None
    rows: Rows = {
        "rolling_counts": [_row(each) for each in found],
        "daily_peaks": [
            (part.day, None if peak is None else int(peak))
            for part, answer in answers
            for (peak,) in answer["daily_peaks"]
        ],
        "current_counts": [(each.key, each.peak) for each in found if each.goes_on],
    }
    if kind.evidence(policy):
        rows["evidence"] = [
            (each.key, instant(each.start), *map(value, row if tallied is None else row[:-1]), *counted)
            for each in found
            for counted in [() if tallied is None else (tallied.get(_group(each.key), 0),)]
            for row in each.behind
        ]
    return rows


def _row(each: _Episode) -> Row:
    end = None if each.end is None else instant(each.end)
    return each.key, instant(each.start), end, each.goes_on, each.before, each.peak, instant(each.peak_at)


def _group(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key


def _behind(answer: Answer) -> dict[Any, list[Sequence[Any]]]:
    """Return what is behind the pieces of a day: by whether they are carried over, group and start."""
    rows: dict[Any, list[Sequence[Any]]] = {}
    for is_carried, name in ((True, "evidence_carried"), (False, "evidence_begun")):
        for key, start, *row in answer.get(name, ()):
            rows.setdefault((is_carried, _group(key), start[AT]), []).append(row)
    return rows


def _tallied(answers: Answers) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for _, answer in answers:
        for key, number in answer.get("tally_by_day", ()):
            counts[_group(key)] = counts.get(_group(key), 0) + number
    return counts


def value(given: Any) -> Any:
    """Return a value of a row, of what JSON has in its place."""
    if isinstance(given, list):
        return [value(each) for each in given]
    return instant(given[AT]) if isinstance(given, dict) else given


class Heard:
    """The events of all types in a stretch of time, by type and day.

    Args:
        answers: What was said of them by the day.
    """

    def __init__(self, answers: Answers) -> None:
        self._by_type: dict[str, list[_Day]] = {}
        self.received = False
        """Whether anything was received."""
        for part, answer in answers:
            for name, events, received, first, last in answer["events_by_day"]:
                self._by_type.setdefault(name, []).append(_Day(part.day, events, first, last))
                self.received = self.received or received > 0

    def days(self, event_type: str) -> Sequence[_Day]:
        """Return the days on which there are events of a type, in order."""
        return self._by_type.get(event_type, ())

    def number(self, types: Iterable[str]) -> int:
        """Return how many events of some types there are."""
        return sum(each.events for name in types for each in self.days(name))

    def first(self, types: Iterable[str] | None = None) -> datetime | None:
        """Return when the first event of some types was, or of all; None if there is none."""
        days = (self.days(name)[:1] for name in (self._by_type if types is None else types))
        return _instant(min((day.first for own in days for day in own), default=None))


class _Day(NamedTuple):
    """The events of a type on a day."""

    day: int
    events: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Times:
    """The events of all types that a policy's answers depend on."""

    ever: Heard
    """Up to as_of."""
    period: Heard
    window: Heard
    """The last window before as_of."""
    later: Heard
    """Later than as_of."""


def required_types(times: Times, inquiry: Inquiry, silences: Answers | None) -> Rows:
    """Return the rows of ``required_types`` and of the steps beside it.

    Args:
        times: The events of all types.
        inquiry: The policy, and what it is asked about.
        silences: Its gaps within days; None where it asks for none.
    """
    types = sorted(inquiry.policy.required_events)
    ends = {name: [days[0].first, days[-1].last] if (days := times.ever.days(name)) else [None, None] for name in types}
    rows: Rows = {
        "required_types": [(name, times.period.number([name]), *map(_instant, ends[name])) for name in types],
        "type_day_counts": [(name, each.day, each.events) for name in types for each in times.period.days(name)],
        "presence": [(times.period.received,)],
        "first_event": [(first,) for first in (times.ever.first(),) if first is not None],
    }
    if silences is not None:
        rows["coverage_gaps"] = list(_gaps(times.ever, inquiry.policy, inquiry.question, silences))
    return rows


def _gaps(ever: Heard, policy: Policy, question: Question, silences: Answers) -> Iterable[Row]:
    """Yield stretches longer than a type may be silent: within days, and from the last event of a day on."""
    limits = {name: rule.longest.microseconds for name, rule in policy.gap_rules.items()}
    as_of, since, until = (micros(each) for each in (question.as_of, question.since, question.until))
    stretches: list[tuple[str, int, int | None]] = [
        (name, start, end) for _, answer in silences for name, start, end in answer["silences_by_day"]
    ]
    for name in limits:
        days = ever.days(name)
        stretches += [(name, each.last, after.first) for each, after in pairwise(days)]
        stretches += [(name, each.last, None) for each in days[-1:]]
    for name, start, end in sorted(stretches, key=lambda each: each[:2]):
        reach = as_of if end is None else end
        if reach - start > limits[name] and start < until and reach > since:
            yield name, instant(start), _instant(end)


def retention(times: Times, inquiry: Inquiry) -> Rows:
    """Return the rows of ``retention`` where whole days are past retention, and nothing is on hold."""
    values: Any = cutoffs_of(inquiry)
    cutoff, types = micros(values["cutoff"]), inquiry.policy.required_events
    kept, due = 0, 0
    for name, own in zip(types, map(micros, values["type_cutoffs"]), strict=True):
        for each in times.ever.days(name):
            if each.day * DAY < cutoff:
                is_due = each.day * DAY < own
                due, kept = due + each.events * is_due, kept + each.events * (not is_due)
    return {"retention": [(0, kept, due)], "oldest_event": [(times.ever.first(types),)]}


def totals(policy: Policy, times: Times, own: Sequence[Answers]) -> Rows:
    """Return the rows of ``threshold_totals`` and of the step beside it.

    Args:
        policy: The policy.
        times: The events of all types.
        own: Its own totals over the period, over the last window, and later than as_of as far as not all events of its
            types are governed; none where all of these count in one group.
    """
    types = policy.required_events
    future = times.later.number(types)
    counts = (times.window.number(types), 0, 0, future, 0)
    if own:
        (_, _, ungrouped, errors, valueless), (_, recent, *_), (later, *_) = map(sums, own)
        counts = (recent, ungrouped, errors, later if policy.scope else future, valueless)
    return {"threshold_totals": [counts], "presence_now": [(times.window.received,)]}


def sums(answers: Answers) -> tuple[int, ...]:
    """Return the sums of ``totals_by_day``, without the day."""
    rows = [row for _, answer in answers for row in answer["totals_by_day"]]
    return tuple(sum(row[place] for row in rows) for place in range(5))


def fields(answers: Answers) -> Rows:
    """Return the rows of ``field_counts``."""
    counts: dict[tuple[str, str, int], tuple[int, int, int]] = {}
    for _, answer in answers:
        for name, source, lacking, events, first, last in answer["fields_by_day"]:
            before = counts.get((name, source, lacking), (0, first, last))
            counts[name, source, lacking] = (before[0] + events, min(before[1], first), max(before[2], last))
    return {
        "field_counts": [
            (*place, events, instant(first), instant(last)) for place, (events, first, last) in sorted(counts.items())
        ]
    }


def _instant(moment: int | None) -> datetime | None:
    return None if moment is None else instant(moment)
