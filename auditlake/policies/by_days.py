"""Measures that are judged stretch by stretch of days, each with the events that its window reaches back to.

The statements are those that remembered days are asked by, so what goes on over midnight is put together by one rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from auditlake.engine.model import ByTime, Row, Script, SliceEngine, Turn
from auditlake.events.times import instant, micros
from auditlake.policies.by_group import SliceFiles, columns_of, told
from auditlake.policies.compile import CompiledQuery, compile_by_day, compile_policy
from auditlake.policies.day_rows import day_and_rest
from auditlake.policies.days import DAY, parts_of
from auditlake.policies.merge import episodes, sums
from auditlake.policies.model import Policy
from auditlake.policies.question import Question

_ASKED = ("episodes_by_day", "totals_by_day")
_ANSWERS = (*_ASKED, "daily_peaks", "evidence_carried", "evidence_begun", "tally_by_day")
_NOW = "current_counts"


def by_days(engine: SliceEngine, policy: Policy, question: Question, files: SliceFiles) -> dict[str, list[Row]]:
    """Return the rows of a policy's measure, as the statements of ``sql/policies`` give them over the whole period.

    Of ``threshold_totals`` they have what events of the period alone decide.

    Raises:
        EngineError: The engine failed.
    """
    window, since, until = policy.window.microseconds, micros(question.since), micros(question.until)
    days: dict[int, dict[str, list[Any]]] = {part.day: defaultdict(list) for part in parts_of(since, until)}
    start = (since + 1) // DAY * DAY - 1
    # A stretch is as long as its window at least: what lies before it is read a second time at most.
    fewest = -(-len(days) // max(1, files.rows // engine.in_a_part))
    length = max(fewest, -(-window // DAY), 1) * DAY
    turns = tuple(_turns(policy, start, length, question))
    script = Script(policy.required_events, ByTime(start, length, window), _columns(turns), turns, _ANSWERS, files.rows)
    for answers in engine.parts(script, files.files, files.batches):
        for name, given in answers.items():
            for row in given:
                day, rest = day_and_rest(name, row)
                days[day][name].append(rest)
    found = [(part, days[part.day]) for part in parts_of(since, until)]
    rows = episodes(policy, found)
    at_peaks = ((key, micros(start), micros(peak_at)) for key, start, *_, peak_at in rows["rolling_counts"])
    rows["behind_peaks"] = [(key, start, peak_at - window + 1, peak_at) for key, start, peak_at in at_peaks]
    _, _, ungrouped, errors, valueless = sums(found)
    rows["threshold_totals"] = [(0, ungrouped, errors, 0, valueless)]
    if question.as_of != question.until:
        rows[_NOW] = _now(engine, policy, question, files)
    return rows


def _turns(policy: Policy, start: int, length: int, question: Question) -> Iterator[Turn]:
    since, until = micros(question.since), micros(question.until)
    while start < until:
        begins, ends = instant(max(start, since)), instant(min(start + length, until))
        asked = Question(ends, begins, ends)
        yield Turn(*(_told(compile_by_day(policy, asked, only=_ASKED, wide=wide)) for wide in (False, True)))
        start += length


def _now(engine: SliceEngine, policy: Policy, question: Question, files: SliceFiles) -> list[Row]:
    """Return the groups at the threshold at as_of, which lies after the period."""
    turn = Turn(*(_told(compile_policy(policy, [policy], question, only=_NOW, wide=wide)) for wide in (False, True)))
    dealt = ByTime(micros(question.as_of) - 1, 1, policy.window.microseconds)
    script = Script(policy.required_events, dealt, _columns([turn]), (turn,), (_NOW,), files.rows)
    (answers,) = engine.parts(script, files.files, files.batches)
    return [*answers[_NOW]]


def _told(queries: Collection[CompiledQuery]) -> tuple[Any, ...]:
    return tuple(told(step) for query in queries for step in query.steps)


def _columns(turns: Collection[Turn]) -> tuple[str, ...]:
    return columns_of(*{sql for turn in turns for _, sql, _ in turn.steps})
