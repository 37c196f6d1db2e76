"""What is usual in a lake, and a first policy made of it: a threshold above what was usual, to be finished by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from auditlake.analysis.backtest import backtest
from auditlake.context import LakeContext
from auditlake.display.text import count, visible
from auditlake.engine.duck import rows
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.statements import statement
from auditlake.errors import PolicyError
from auditlake.policies.loader import load_policy
from auditlake.policies.question import PeriodRequest, question
from auditlake.query.view import engine

if TYPE_CHECKING:
    import duckdb

_LOOKED_AT = timedelta(days=90)
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""When the newest event of an empty lake was; any instant would do."""
_LEAST = 3
"""The lowest threshold of a draft: twice on one day is no pattern."""
_TIMES = (1, 2, 5, 10)
"""What the first threshold is multiplied by, until it would have found little."""
_MOST_FOUND = 9
"""What is little: one in ten days."""
_MOST_TESTED = 4000
"""The highest threshold that a draft tests; the events of all tests of a policy are limited."""


@dataclass(frozen=True, slots=True)
class UsualType:
    """How much of an event type there is in the newest 90 days of a lake."""

    event_type: str
    events: int
    days: int
    """On how many days there was any."""
    usual: int
    """Events on a usual day: the median of these days."""
    busiest: int
    """Events on the busiest day."""
    silence: float | None
    """The longest time between one and the next, in seconds; None of a single event."""
    last: datetime


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """A first policy, to be finished by hand."""

    text: str
    """The YAML, with what was usual as comments."""
    no_data: tuple[str, ...]
    """The types asked for of which the lake has no event in these days."""


def usual_types(context: LakeContext) -> tuple[UsualType, ...]:
    """Return what the newest 90 days of a lake hold, by type."""
    with engine(context, None) as (connection, _):
        return _Seen(connection).types


def draft_policy(context: LakeContext, event_types: Sequence[str]) -> PolicyDraft:
    """Return a policy about these types whose threshold is above what was usual.

    Raises:
        PolicyError: None is named, or the lake does not know one of them.
    """
    asked = tuple(dict.fromkeys(event_types))
    _check(asked, context.config.event_types)
    with engine(context, None) as (connection, snapshot):
        seen = _Seen(connection)
        draft = _Draft(asked, seen)
        if draft.threshold is not None:
            policy = load_policy(draft.text(), file="draft", policy_id="draft", event_types=context.config.event_types)
            period = question(policy, PeriodRequest(since=seen.since), seen.until, context.config.report_period)
            tries = [draft.threshold * times for times in _TIMES]
            tested = backtest(DuckEngine(connection), policy, period, snapshot.version, thresholds=tries, windows=None)
            draft.found = {each: tested.episodes(each) for each in tries}
            draft.threshold = next((each for each in tries if draft.found[each] <= _MOST_FOUND), tries[-1])
    return PolicyDraft(draft.text(), tuple(name for name in asked if name not in seen.by_name))


def _check(asked: Sequence[str], known: frozenset[str]) -> None:
    if not asked:
        raise PolicyError("a policy is about one event type or several, got none", hint="name what it is about")
    for name in asked:
        if name not in known:
            close = get_close_matches(name[:64], sorted(known), 1)
            hint = f"did you mean {close[0]}?" if close else "add it to event_types of lake.toml"
            raise PolicyError(f"this lake knows no event type {name[:64]!r}", hint=hint)


class _Seen:
    """What the newest days of the view ``events`` hold."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        ((newest,),) = self._rows("newest")
        self.until: datetime = newest or _NEVER
        self.since = self.until - _LOOKED_AT
        self.types = tuple(UsualType(*row) for row in self._rows("types", since=self.since, until=self.until))
        self.by_name = {each.event_type: each for each in self.types}

    def _rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        part = statement("queries/usual.sql", name)
        return rows(self._connection, part.text, part.bind(values))

    def by_day(self, event_types: Sequence[str]) -> tuple[Counter[tuple[str | None, date]], bool]:
        """Return the events of each user on each day; of everybody on each day where most have no user."""
        found: Counter[tuple[str | None, date]] = Counter()
        for user, day, events in self._rows("groups", types=list(event_types), since=self.since, until=self.until):
            found[user, day] += events
        named = Counter({each: events for each, events in found.items() if each[0] is not None})
        if 2 * named.total() >= found.total():
            return named, True
        together: Counter[tuple[str | None, date]] = Counter()
        for (_, day), events in found.items():
            together[None, day] += events
        return together, False


class _Draft:
    """A policy about event types; its threshold is None where there is nothing to take it from."""

    def __init__(self, asked: Sequence[str], seen: _Seen) -> None:
        self._asked = asked
        self._seen = seen
        self._there = [seen.by_name[name] for name in asked if name in seen.by_name]
        self._by_day, self._is_grouped = seen.by_day(asked)
        self._most_days = _nineteen_of_twenty(self._by_day.values())
        self.threshold = max(_LEAST, 2 * self._most_days + 1) if self._there else None
        self.found: dict[int, int] = {}

    def text(self) -> str:
        """Return the YAML."""
        title = " and ".join(name.replace("_", " ") for name in self._asked)
        return "\n".join([
            self._begin(),
            f"name: {title[0].upper()}{title[1:]}",
            f"description: More {title} than usual",
            "required_events:",
            *(f"  - {name}    # {self._usual(name)}" for name in self._asked),
            "severity: medium",
            "",
            *self._coverage(),
            "",
            *self._asks(),
            "",
            "# retention_period: 1y    # without it the policy keeps nothing, and makes nothing due",
            *self._tests(),
            "",
        ])  # fmt: skip

    def _begin(self) -> str:
        if not self._there:
            return "# The lake has no such event in its newest 90 days: the threshold is a guess."
        since, until = self._seen.since, self._seen.until
        return f"# Drafted from {since:%Y-%m-%d} to {until:%Y-%m-%d}. Change what does not fit, then add it."

    def _usual(self, name: str) -> str:
        if (each := self._seen.by_name.get(name)) is None:
            return "no data: the lake has no such event in these days"
        return f"{each.usual:,} on a usual day, {each.busiest:,} on the busiest; on {count(each.days, 'day')}"

    def _coverage(self) -> list[str]:
        """Miss a type that comes on most days where it does not, and never one that is rare."""
        if len(self._there) < len(self._asked):
            return ["coverage: optional    # required: a type that never comes is a finding"]
        silences = [each.silence for each in self._there if each.silence is not None]
        longest = f"{max(silences) / 86_400:.1f} days" if silences else "not known"
        if min(each.days for each in self._there) >= _LOOKED_AT.days // 2:
            return [
                "coverage: required    # a period without one of these types is a finding",
                f"# max_gap: 3d    # so is a longer silence; the longest in these days: {longest}",
            ]
        return ["coverage: proven    # rare here: a period without them is no finding, a lake without them is one"]

    def _asks(self) -> list[str]:
        if self.threshold is None:
            return ["alert_threshold: 1", "window: 24h", "group_by: [user_id]"]
        (who, day), most = max(self._by_day.items(), key=lambda each: (each[1], each[0][1]))
        whose = "a user who caused any" if self._is_grouped else "everybody together"
        named = f" of {visible(str(who))}" if who is not None else ""
        found = ", ".join(f"{episodes:,} from {each:,} on" for each, episodes in self.found.items())
        return [
            f"# On 19 of 20 days {whose} had at most {self._most_days:,}; the most were {most:,}, on {day}{named}.",
            *([f"# Findings in these days: {found}."] if found else []),
            f"alert_threshold: {self.threshold}",
            "window: 24h",
            "group_by: [user_id]"
            if self._is_grouped
            else "# Few of these events have a user: all are counted together.",
        ]

    def _tests(self) -> list[str]:
        if self.threshold is None or self.threshold > _MOST_TESTED:
            return []
        event = f"type: {self._asked[0]}, at: 2026-11-02T08:00:00Z, user_id: ana"
        return [
            "",
            "tests:",
            "  - name: as many in one day",
            f"    events: [{{{event}, count: {self.threshold}, every: 1s}}]",
            "    expect: {episodes: 1}",
            "  - name: one fewer",
            f"    events: [{{{event}, count: {self.threshold - 1}, every: 1s}}]",
            "    expect: {episodes: 0}",
        ]


def _nineteen_of_twenty(numbers: Iterable[int]) -> int:
    """Return what 19 of 20 of the numbers do not exceed; 0 of none."""
    ordered = sorted(numbers)
    return ordered[(19 * len(ordered) - 1) // 20] if ordered else 0
