"""Rolling counts from counts of slices of time first: rows are read only where these leave something open.

A count changes by one where an event comes and where it leaves the window. Sums over slices say exactly what it is at
the end of each, and between which bounds it lies within. So an episode begins or ends only in slices whose bounds
enclose the threshold, and a peak lies only in one whose upper bound reaches the best that is known of its day. The
answers are those of ``sql/policies/by_day.sql``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from auditlake.engine.model import Engine, Row, Summaries, Summary
from auditlake.engine.statements import statement
from auditlake.engine.timings import answered_by
from auditlake.events.times import micros
from auditlake.policies.compile import filled
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, earlier

_FILE = "policies/bounds.sql"
_DAY_US = 86_400_000_000
_SLICE_US = 60_000_000
"""How long a slice is: that of the summary."""


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where it takes less work to ask counts first than to sort all events, as measured."""

    events: int = 500_000
    """From how many counted events on: below, the statements take longer than the rows."""
    in_a_slice: float = 4
    """From how many of them in a slice on: below, slices are hardly fewer than events."""
    near: float = 0.4
    """Up to which share of them lies in slices that have to be looked at: above, all of them are sorted sooner."""


CROSSOVER = Crossover()


class DayRows(Protocol):
    """The events of a lake, of some days at a time, and what is known of them without their rows."""

    @property
    def engine(self) -> Engine:
        """Return where statements run: ``events`` are those that were shown last."""

    @property
    def summaries(self) -> Summaries:
        """Return what lays summaries out on that engine."""

    def show(self, days: Collection[int], types: Collection[str] | None) -> None:
        """Let ``events`` be those of some types, of any if None, on some days, or more; days are counted since 1970."""

    def number(self, days: Collection[int]) -> int:
        """Return how many events some days have."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How much of a policy's counts the bounds leave open."""

    events: int
    """How many events count."""
    near: int
    """How many of them lie in slices that have to be looked at; all of them where that was not found out."""
    why_not: str | None
    """Why it takes less work to sort all of them; None where it does not."""


def without_bounds(policy: Policy) -> str | None:
    """Return what of a policy cannot be answered from counts of all events by type; None where it all can."""
    if policy.alert_threshold is None or policy.fault is not None:
        return "no threshold"
    if policy.measure != "count":
        return f"the measure {policy.measure}"
    named = (name for name in ("scope", "where", "group_by") if getattr(policy, name))
    return next(named, None) or ("a window of parts of minutes" if policy.window.microseconds % _SLICE_US else None)


class Bounds:
    """Asks for counts first.

    Args:
        rows: The events.
        crossover: Where that takes less work; where it was measured to if None.
    """

    def __init__(self, rows: DayRows, *, crossover: Crossover | None = None) -> None:
        self._rows, self._crossover = rows, crossover or CROSSOVER
        self._laid_out: set[int] = set()
        self._policy: Policy | None = None
        self._values: dict[str, object] = {}

    def by_day(self, policy: Policy, question: Question) -> Mapping[str, Sequence[Row]] | None:
        """Return the rows of ``episodes_by_day`` and ``daily_peaks``; None where sorting the events is less work."""
        if (settled := self.settled(policy, question)).why_not is not None:
            return None
        answered_by(policy.id, f"bounds first, {settled.near:,} of {settled.events:,} events looked at")
        self._rows.show([day for (day,) in self._run("days_looked_at")], policy.required_events)
        for name in ("near", "levels", "stretches", "pieces"):
            self._run(name)
        episodes = self._run("episodes_by_day", "policies/by_day.sql")
        return {"episodes_by_day": episodes, "daily_peaks": self._run("daily_peaks")}

    def settled(self, policy: Policy, question: Question) -> Settled:
        """Return how much the bounds leave open."""
        window = policy.window.microseconds
        since, until = micros(question.since), micros(question.until)
        look_back = earlier(question.since, timedelta(microseconds=window))
        days = range((micros(look_back) + 1) // _DAY_US, until // _DAY_US + 1)
        events, least = self._rows.number(days), self._crossover.events
        if (reason := without_bounds(policy)) is not None or events < least:
            return Settled(events, events, reason or f"fewer than {least:,} events")
        self._lay_out(days)
        cut = _cut(micros(look_back), since, until - window, until)
        self._policy = policy
        self._values = {
            "types": list(policy.required_events), "alert_threshold": policy.alert_threshold, "window_us": window,
            "slice_us": _SLICE_US, "slices_cut": cut, "since_us": since, "until_us": until,
            "look_back_us": micros(look_back), "look_back": look_back, "until": question.until,
        }  # fmt: skip
        self._rows.show({each // _DAY_US for each in cut}, policy.required_events)
        for name in ("summed", "groups", "counts"):
            self._run(name)
        ((events, slices),) = self._run("counted")
        if events < least:
            return Settled(events, events, f"fewer than {least:,} events count")
        if events < slices * self._crossover.in_a_slice:
            return Settled(events, events, f"fewer than {self._crossover.in_a_slice:g} events in a minute")
        for name in ("turns", "bounds", "beginnings", "kept", "looked_at"):
            self._run(name)
        ((near,),) = self._run("to_look_at")
        is_much = near > events * self._crossover.near
        return Settled(events, near, "the counts leave too much open" if is_much else None)

    def events_by_day(self, question: Question) -> list[Row] | None:
        """Return the rows of ``events_by_day``, of all types; None where it takes less work to read the events."""
        since, until = micros(question.since), micros(question.until)
        days = range((since + 1) // _DAY_US, until // _DAY_US + 1)
        if self._rows.number(days) < self._crossover.events:
            return None
        self._lay_out(days)
        cut = _cut(since, until)
        self._rows.show({each // _DAY_US for each in cut}, None)
        part = statement(_FILE, "events_by_day")
        return self._rows.engine.rows(part.text, {"slices_cut": cut, "since_us": since, "until_us": until})

    def _lay_out(self, days: Collection[int]) -> None:
        if not self._laid_out.issuperset(days):
            self._laid_out.update(days)
            part = statement("summaries/minutes.sql", "minutes")
            self._rows.summaries.lay_out(Summary(part.name, part.text), self._laid_out)

    def _run(self, name: str, file: str = _FILE) -> Sequence[Row]:
        assert self._policy is not None
        part = statement(file, name)
        return self._rows.engine.step(name, filled(part, self._policy), part.bind(self._values))


def _cut(*instants: int) -> list[int]:
    """Return the slices that have events on both sides of an instant."""
    return sorted({each - each % _SLICE_US for each in instants if each >= 0 and (each + 1) % _SLICE_US})
