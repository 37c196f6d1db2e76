"""Question 1: from when to when a measure of a policy's events is at its threshold or above.

What all measures have in common: the window, the episodes, their peaks. Every measure is a set of intervals; the count
of those that contain an instant is the measure at that instant (semantics.md, Counts in a rolling window).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from auditlake.display.text import count, spelled
from auditlake.engine.arrow_rows import ArrowRows
from auditlake.engine.statements import Statement, statements
from auditlake.events.times import day_of, print_instant
from auditlake.findings.finding import Finding, canonical_group, finding_id
from auditlake.findings.many import EpisodeColumns
from auditlake.policies.condition import key_sql
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query, every
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number, Policy
from auditlake.policies.question import Question, earlier

if TYPE_CHECKING:
    import yaml

    from auditlake.engine.model import Row
    from auditlake.policies.evaluate import Answers
    from auditlake.yaml_reader import Reader

_DAY_US = 86_400_000_000
MEASURED = ("group", "start", "end", "ongoing", "started_before_period", "peak", "peak_at")
"""The keys of a finding that is an episode."""
EPISODE = FindingKind("threshold_exceeded", "episode", MEASURED)

ROLLING = (
    "changes", "rises", "bounds", "episodes", "rolling_counts", "daily_peaks", "unjudged",
)  # fmt: skip
"""The statements after the intervals that find the episodes of a period, in order."""
FOUND = ROLLING[:4]
"""Those up to the table ``episodes``."""
TRIED = ("changes", "rises", "falls", "backtest")
"""Those that count the episodes of several thresholds."""

OUT = "An event exactly one window old no longer counts."
"""What is said of windows."""

Place = tuple[tuple[str, ...], datetime]
"""Which episode: the values of its group, and its start."""


@dataclass(frozen=True, slots=True)
class DailyPeak:
    """The largest measure of any group on one UTC day; None before the lake's first event."""

    date: date
    peak: Number | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """The answer: what was measured in a rolling window."""

    window: str
    alert_threshold: Number
    group_by: tuple[str, ...]
    where: str | None
    where_errors: int
    recent_events: int
    ungrouped_events: int
    future_events: int
    episodes: int
    daily_peaks: tuple[DailyPeak, ...]
    measure: str = "count"
    """What is held against the threshold: the name of the kind."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The keys of the policy that are the measure's own."""
    valueless_events: int = 0
    """Matching events in a group that have no value to measure."""
    unjudged: int = 0
    """Stretches of time that have too little past to be compared with."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Something that was seen behind an episode, from when to when."""

    name: str
    first: datetime
    last: datetime
    note: str = ""
    """How often, or what else is to be said."""
    instants: tuple[datetime, ...] = ()
    """When it was seen, of many instants the first; none where these are not known one by one."""
    more: int = 0
    """How many more there are."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an episode's peak is compared with."""

    past: tuple[int, ...]
    """The numbers before it, the oldest first."""
    actual: int
    usual: int
    limit: int
    """From which number on, or up to which, it is unusual."""


class ThresholdKind(Kind):
    """A measure. A subclass gives its intervals as the table ``spans(g, rise, fall)``; the rest is the same for all."""

    answer_key = "threshold"
    finding_kinds = (EPISODE,)
    drawn: str = ""
    """The title of the picture of an episode's evidence."""
    is_linked = False
    """Whether each row of that picture follows from the one before."""
    looks_far_back = False
    """Whether it reads events that are older than one window before the period."""
    counts_intervals = True
    """Whether the measure is the number of its intervals; any other has statements of its own after these."""
    shows_start = False
    """Whether its evidence is of the beginning of an episode instead of its peak."""
    default_threshold: int | None = 1
    """The threshold of a policy that names none; None: a policy has to name one."""
    instead: tuple[Key, ...] = ()
    """Keys of every policy that are read in another way with this measure."""
    of_nothing: int | None = 0
    """What it is where there is no event; None where it is nothing then."""
    floor = ""
    """What is said of the threshold, where to reach it is not enough for an episode."""
    title = "Counts"
    """The name of its section on a page."""
    meaning = "The number of counted events"
    """What it is, to be followed by the window."""
    is_of_values = False
    """Whether it is made of values of events, so that of a single one it is that value."""
    has_steps = False
    """Whether it looks only at events of some step."""
    is_tallied = False
    """Whether the evaluator of alerts counts by itself; any other measure it asks of the lake."""
    has_windows = True
    """Whether other windows can be tried."""

    def is_asked(self, policy: Policy) -> bool:
        """Return whether a policy asks it."""
        return policy.alert_threshold is not None and policy.measure == self.name

    # What a measure says of itself

    def complete(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Add to the values of a policy's file what follows from them, and note what does not fit together."""
        values.setdefault("alert_threshold", self.default_threshold)

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return the statements whose last makes the table ``spans``, in microseconds since 1970: where an interval
        of group ``g`` begins and where one ends, either may be null. They make the table ``groups`` as well. There
        are none where a measure finds its episodes by a machine of its own.
        """
        return ()

    def machine(self, policy: Policy) -> Mapping[str, Statement]:
        """Return the statements that find the episodes, by name: those of :data:`ROLLING` and :data:`TRIED` that there
        are, ``current_counts``, and ``shown``, which finds the events behind peaks.
        """
        return {
            part.name: part for file in ("spans", "rolling_counts", "daily_peaks_long", "backtest", "samples")
            for part in every(file) if (file, part.name) != ("rolling_counts", "changes")
        }  # fmt: skip

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return the statements that find what is behind the episodes; the last is named ``evidence``."""
        return ()

    def tally(self, policy: Policy) -> Iterable[Statement]:
        """Return the statement ``tally_by_day`` where the last column of the evidence counts something of the whole
        period: it counts the same for each group and day.
        """
        return ()

    def own_slots(self, policy: Policy) -> Mapping[str, str]:
        """Return the SQL of its slots. Those that have SQL without it are ``has_value``, whether an event can be
        measured, ``is_grouped``, whether it is in a group, and ``has_failed``, whether a condition of the measure
        cannot be evaluated.
        """
        return {}

    def values(self, policy: Policy, question: Question) -> Mapping[str, object]:
        """Return the values that only its own statements bind."""
        return {}

    def history_start(self, policy: Policy, question: Question) -> datetime:
        """Return the instant after which all events lie that it reads: a window before the period."""
        return earlier(question.since, timedelta(microseconds=policy.window.microseconds))

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return the evidence of one episode, from its rows of ``evidence`` without group and start."""
        return {}

    def looked_back(
        self, policy: Policy, evidence: Mapping[str, Any], peak_at: datetime
    ) -> Iterable[tuple[datetime, datetime]]:  # fmt: skip
        """Return from when to when older events decide on an episode: its history is too short where the lake has none
        of then, or not all any more.
        """
        return ()

    def traces(self, evidence: Mapping[str, Any]) -> tuple[Trace, ...]:
        """Return what was seen behind an episode, to be drawn; from its evidence, which is not empty."""
        return ()

    def comparison(self, evidence: Mapping[str, Any], peak: Number) -> Comparison | None:
        """Return what an episode is compared with, to be drawn; from its evidence."""
        return None

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of the measure.

        Args:
            answer: What was asked.
            apart: What it is grouped by, to be put after a noun.
            noun: What a count counts, as a noun that fits a number.
        """
        of = "rolling count" if answer.measure == "count" else "measure"
        least, many, window = f"{answer.alert_threshold:,}", noun(2), spelled(answer.window)
        return Words(
            title=self.title,
            heading=f"{self.title} in a rolling window",
            measured=many,
            meaning=f"{self.meaning} in the window that ends at an instant. {OUT}",
            stretch=f"The longest stretch of time on which the {of} of one group is at or above the threshold.",
            charted=f"Highest rolling count {{}}: {many}{apart} within {window}",
            highest="count",
            line="threshold",
            reached=f"The threshold of {least} is reached",
            limit=f"of {least} or more",
            found=f"at least {least} {noun(answer.alert_threshold)}{apart} within {window}",
            none=f"No window of {window} contained {least} or more {many}{apart}",
        )

    def looked_at(self, policy: Policy) -> Sequence[tuple[Sequence[str], str | None]]:
        """Return the event types and conditions of the events that alone it looks at; any of them is enough, no types
        are all, and it looks at every event where there are none. Its statement over these has the slot
        ``steps_of_event``.
        """
        return ()

    def asked(self, policy: Policy) -> dict[str, Any]:
        """Return the keys of a policy that are the measure's own, as JSON values."""
        return {}

    def expressions(self, policy: Policy) -> Iterable[str]:
        """Return the conditions and values of a policy that are the measure's own, as they were written."""
        return ()

    def number(self, measure: int) -> Number:
        """Return a measure as it is told, from what SQL has."""
        return measure

    def measured(self, asked: Mapping[str, Any], number: Number, said: Callable[[str], str] = str) -> str:
        """Return what the measure counts, as a noun that fits a number.

        Args:
            asked: The keys of the policy that are the measure's own.
            number: How many.
            said: How a length of time is said.
        """
        return "event" if number == 1 else "events"

    def told(
        self, policy: Policy, group: Mapping[str, str | None], peak: Number, evidence: Mapping[str, Any]
    ) -> str:  # fmt: skip
        """Return an episode in words, with what its evidence adds to its message."""
        return self.message(policy, group, peak)

    def message(self, policy: Policy, group: Mapping[str, str | None], peak: Number) -> str:
        """Return an episode in words; a value of its group that the reader may not see is None."""
        what = f"{peak} {self.measured(policy.more, peak)} within {policy.window}{whose(group)}"
        return f"{what}: the threshold is {policy.alert_threshold}"

    # What all of them do

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the episodes of the period, the groups at the threshold at as_of, and the totals."""
        policy, question = inquiry.policy, inquiry.question
        parts, machine = tuple(self.intervals(policy)), self.machine(policy)
        steps = [machine[name] for name in ROLLING if name in machine]
        if question.as_of == question.until:
            # The same intervals: they are made once.
            steps.insert(0, machine["current_counts"])
        else:
            now = replace(question, since=question.as_of, until=question.as_of)
            yield self._query("current_counts", (*parts, machine["current_counts"]), policy, now)
        yield self._query("rolling_counts", (*parts, *steps, *self.evidence(policy)), policy, question)
        totals = statements("policies/threshold_totals.sql")["threshold_totals"]
        yield self._query("threshold_totals", (totals, *every("presence_now")), policy, question)

    def by_day(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the episodes cut at midnights, the peaks, and the totals of each day."""
        if self.looks_far_back:
            return
        policy, question = inquiry.policy, inquiry.question
        found, peaks = (*self.found(policy), self.cutting()["pieces"]), self.machine(policy)["daily_peaks"]
        yield self._cut(inquiry, found, peaks)
        yield self._query("totals_by_day", (statements("policies/by_day.sql")["totals_by_day"],), policy, question)

    def few_days(self, inquiry: Inquiry) -> Query | None:
        """Return what :meth:`by_day` asks of episodes in a few statements, for days that have few events; None if there
        is no such way.
        """
        if self.looks_far_back or not self.counts_intervals:
            return None
        parts, policy = statements("policies/few_days.sql"), inquiry.policy
        query = self._cut(inquiry, (*self.intervals(policy), parts["levels"], parts["pieces"]), parts["daily_peaks"])
        return replace(query, values={**query.values, "thresholds": [policy.alert_threshold]})

    def found(self, policy: Policy) -> Iterable[Statement]:
        """Return the statements up to the table ``episodes``."""
        machine = self.machine(policy)
        return (*self.intervals(policy), *(machine[name] for name in FOUND if name in machine))

    def cutting(self) -> Mapping[str, Statement]:
        """Return the statements that cut the episodes at midnights, by name: ``pieces``, ``carried`` and ``begun``."""
        return statements("policies/by_day.sql")

    def _cut(self, inquiry: Inquiry, found: Iterable[Statement], peaks: Statement) -> Query:
        """Return the query of the episodes of each day, by the statements up to the table ``pieces``."""
        policy, cutting = inquiry.policy, self.cutting()
        parts = [*found, *self.tally(policy), peaks, statements("policies/by_day.sql")["episodes_by_day"]]
        # In the place of the episodes the pieces that are carried over midnight, and then the others.
        for pieces in ("carried", "begun") if (behind := tuple(self.evidence(policy))) else ():
            parts.append(replace(cutting[pieces], name="episodes"))
            parts.append(replace(behind[-1], name=f"evidence_{pieces}"))
        query = self._query("episodes_by_day", parts, policy, inquiry.question)
        return replace(query, enough="episodes_by_day")

    def backtest(self, inquiry: Inquiry, thresholds: Sequence[int]) -> Query:
        """Return the query that counts the episodes of each threshold."""
        machine = self.machine(inquiry.policy)
        parts = (*self.intervals(inquiry.policy), *(machine[name] for name in TRIED if name in machine))
        query = self._query("backtest", parts, inquiry.policy, inquiry.question)
        return replace(query, values={**query.values, "thresholds": list(thresholds)})

    def _query(self, name: str, parts: Iterable[Statement], policy: Policy, question: Question) -> Query:
        bounds = {"since": question.since, "until": question.until}
        values = {**bounds, **values_of(policy, question), **self.values(policy, question)}
        slots = {"has_value": "true", "has_failed": "false", "is_grouped": f"({key_sql(policy.group_by)}) is not null"}
        slots |= self.own_slots(policy)
        return Query(name, parts, values, slots, widened="changes")

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], Threshold | None]:
        """Return the episodes and the numbers beside them."""
        policy = answers.policy
        if not self.is_asked(policy):
            return (), None
        behind: dict[Place, list[Row]] = {}
        for key, start, *row in answers.rows.get("evidence", ()):
            behind.setdefault((group_values(key), start), []).append(tuple(row))
        begins = min((first for _, _, first, _ in answers.rows["required_types"] if first), default=None)
        history = partial(_history, answers, begins)
        make = partial(self._episode, policy, behind=behind, history=history)
        rows, episodes = answers.rows["rolling_counts"], list[Finding]()  # type: tuple[Sequence[Row], Sequence[Finding]]
        if isinstance(rows, ArrowRows) and not self.evidence(policy) and not self.looks_far_back:
            episodes = EpisodeColumns.of(self.finding_kinds[0].name, rows, policy.group_by, make)
        else:
            episodes = [make(row) for row in rows]
        recent, ungrouped, errors, future, valueless = answers.one("threshold_totals")
        first = answers.first_day
        days = [
            (day_of(number), None if peak is None else self.number(peak))
            for number, peak in answers.rows["daily_peaks"]
        ]
        ((unjudged,),) = answers.rows.get("unjudged", [(0,)])
        return episodes, Threshold(
            window=str(policy.window),
            alert_threshold=policy.least,
            group_by=policy.group_by,
            where=policy.where,
            where_errors=errors,
            recent_events=recent,
            ungrouped_events=ungrouped,
            future_events=future,
            episodes=len(episodes),
            daily_peaks=tuple(DailyPeak(day, None if first is None or day < first else peak) for day, peak in days),
            measure=self.name,
            asked=self.asked(policy),
            valueless_events=valueless,
            unjudged=unjudged,
        )

    def _episode(
        self, policy: Policy, row: Row, behind: Mapping[Place, Sequence[Row]],
        history: Callable[[Iterable[tuple[datetime, datetime]]], Mapping[str, datetime]],
    ) -> Finding:  # fmt: skip
        key, start, end, ongoing, before, measure, peak_at = row
        peak = self.number(measure)
        (kind,), values = self.finding_kinds, group_values(key)
        group = dict(zip(policy.group_by, values, strict=True)) or None
        number = finding_id(policy.id, kind.name, canonical_group(group), "", print_instant(start))
        measures = {"ongoing": ongoing, "started_before_period": before, "peak": peak, "peak_at": peak_at}
        evidence = self.about(behind.get((values, start), ()), policy)
        return Finding(
            number, kind.name, self.told(policy, group or {}, peak, evidence), group=group, start=start, end=end,
            measures=measures, evidence={**evidence, **history(self.looked_back(policy, evidence, peak_at))},
        )  # fmt: skip


def _history(
    answers: Answers, begins: datetime | None, looked_back: Iterable[tuple[datetime, datetime]]
) -> Mapping[str, datetime]:
    """Return since when the lake has history, where that is later than what is looked back at.

    Args:
        answers: What is known of the policy.
        begins: The first event of the policy's types that the lake has; None: it has none.
        looked_back: From when to when it is looked at.
    """
    ends = list[datetime]()
    for after, until in looked_back:
        if (whole := answers.whole_since(after, until)) is not None:
            ends.append(whole)
        if begins is not None and after < begins:
            ends.append(begins)
    return {"history_since": max(ends)} if ends else {}


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


def seen_times(listed: Sequence[Mapping[str, Any]], name: Callable[[Mapping[str, Any]], str]) -> tuple[Trace, ...]:
    """Return what was seen several times as traces."""
    return tuple(
        Trace(
            name(each), each["first"], each["last"], count(each["events"], "event"), tuple(each.get("instants", ())),
            each["events"] - len(each.get("instants", ())),
        ) for each in listed
    )  # fmt: skip


def whose(group: Mapping[str, str | None]) -> str:
    """Return a group in words, to follow what it did; a value that the reader may not see is None."""
    named = (f"{column} {'(hidden)' if value is None else value}" for column, value in group.items())
    return f" for {', '.join(named)}" if group else ""


def group_values(key: str | Sequence[str]) -> tuple[str, ...]:
    """Return the values of a group in the order of the policy's group_by: SQL gives a single one by itself."""
    return (key,) if isinstance(key, str) else tuple(key)


def groups() -> Statement:
    """Return the statement that numbers the groups of the table ``matching``."""
    return statements("policies/spans.sql")["groups"]
