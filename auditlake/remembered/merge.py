"""The answers of days put together: exactly the rows that a policy's statements give over the whole period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auditlake.engine.model import Row
from auditlake.policies.kinds import measure_of
from auditlake.policies.kinds.model import Inquiry
from auditlake.policies.kinds.retention_due import cutoffs_of
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.remembered.parts import DAY, Part, instant, micros

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
    return instant(given[AT]) if isinstance(given, dict) else given


@dataclass(slots=True)
class _Seen:
    """What is known of the events of a type."""

    events: int = 0
    ever: int = 0
    first: int | None = None
    last: int | None = None
    by_day: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """The events of all types by day: up to as_of, of the period, of the last window, and later than as_of."""

    ever: Answers
    period: Answers
    window: Answers
    later: Answers

    def received(self) -> bool:
        """Return whether anything was received in the period."""
        return _received(self.period)

    def received_now(self) -> bool:
        """Return whether anything was received in the last window."""
        return _received(self.window)

    def recent(self, types: Sequence[str]) -> int:
        """Return how many events of some types there are in the last window."""
        return _number(self.window, types)

    def future(self, types: Sequence[str]) -> int:
        """Return how many events of some types are later than as_of."""
        return _number(self.later, types)

    @property
    def first(self) -> datetime | None:
        """When the lake's first event was."""
        firsts = (row[3] for _, answer in self.ever for row in answer["events_by_day"])
        return _instant(min(firsts, default=None))

    def required_types(self, inquiry: Inquiry, silences: Answers | None) -> Rows:
        """Return the rows of ``required_types`` and of the steps beside it."""
        policy = inquiry.policy
        seen = self._seen(policy.required_events)
        rows: Rows = {
            "required_types": [
                (name, each.events, _instant(each.first), _instant(each.last)) for name, each in seen.items()
            ],
            "type_day_counts": [(name, *day) for name, each in seen.items() for day in sorted(each.by_day.items())],
            "presence": [(self.received(), self.first)],
        }
        if silences is not None:
            rows["coverage_gaps"] = list(self._gaps(policy, inquiry.question, silences))
        return rows

    def _seen(self, types: Sequence[str]) -> dict[str, _Seen]:
        seen = {name: _Seen() for name in sorted(types)}
        for _, answer in self.ever:
            for name, events, _, first, last in answer["events_by_day"]:
                if each := seen.get(name):
                    each.ever += events
                    each.first = first if each.first is None else min(first, each.first)
                    each.last = last if each.last is None else max(last, each.last)
        for part, answer in self.period:
            for name, events, *_ in answer["events_by_day"]:
                if each := seen.get(name):
                    each.events += events
                    each.by_day[part.day] = events
        return seen

    def _gaps(self, policy: Policy, question: Question, silences: Answers) -> Iterable[Row]:
        """Yield stretches longer than a type may be silent: within days, and from the last event of a day on."""
        limits = {name: rule.longest.microseconds for name, rule in policy.gap_rules.items()}
        as_of, since, until = (micros(each) for each in (question.as_of, question.since, question.until))
        stretches: list[tuple[str, int, int | None]] = [
            (name, start, end) for _, answer in silences for name, start, end in answer["silences_by_day"]
        ]
        last_of: dict[str, int] = {}
        for _, answer in self.ever:
            for name, _, _, first, last in answer["events_by_day"]:
                if name in limits:
                    if name in last_of:
                        stretches.append((name, last_of[name], first))
                    last_of[name] = last
        stretches += [(name, last, None) for name, last in last_of.items()]
        for name, start, end in sorted(stretches, key=lambda each: each[:2]):
            reach = as_of if end is None else end
            if reach - start > limits[name] and start < until and reach > since:
                yield name, instant(start), _instant(end)

    def retention(self, inquiry: Inquiry) -> Rows:
        """Return the rows of ``retention`` where whole days are past retention, and nothing is on hold."""
        values: Any = cutoffs_of(inquiry)
        cutoff, types = micros(values["cutoff"]), inquiry.policy.required_events
        cutoffs = {name: micros(each) for name, each in zip(types, values["type_cutoffs"], strict=True)}
        kept, due = 0, 0
        for part, answer in self.ever:
            if part.day * DAY < cutoff:
                for name, events, *_ in answer["events_by_day"]:
                    if name in cutoffs:
                        is_due = part.day * DAY < cutoffs[name]
                        due, kept = due + events * is_due, kept + events * (not is_due)
        firsts = (each.first for each in self._seen(types).values() if each.first is not None)
        return {"retention": [(0, kept, due)], "oldest_event": [(_instant(min(firsts, default=None)),)]}


def totals(policy: Policy, heard: Heard, own: Sequence[Answers]) -> Rows:
    """Return the rows of ``threshold_totals`` and of the step beside it.

    Args:
        policy: The policy.
        heard: The events of all types.
        own: Its own totals over the period, over the last window, and later than as_of as far as not all events of its
            types are governed; none where all of these count in one group.
    """
    types = policy.required_events
    counts = (heard.recent(types), 0, 0, heard.future(types), 0)
    if own:
        (_, _, ungrouped, errors, valueless), (_, recent, *_), (later, *_) = map(_sums, own)
        counts = (recent, ungrouped, errors, later if policy.scope else heard.future(types), valueless)
    return {"threshold_totals": [counts], "presence_now": [(heard.received_now(),)]}


def _sums(answers: Answers) -> tuple[int, ...]:
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


def _received(answers: Answers) -> bool:
    return any(row[2] for _, answer in answers for row in answer["events_by_day"])


def _number(answers: Answers, types: Sequence[str]) -> int:
    return sum(row[1] for _, answer in answers for row in answer["events_by_day"] if row[0] in types)


def _instant(moment: int | None) -> datetime | None:
    return None if moment is None else instant(moment)
