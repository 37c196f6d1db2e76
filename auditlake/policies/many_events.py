"""A stretch of days that has many events is read once for all policies that group alike, and swept in arrays.

The statements of ``sql/policies`` say what the answers are; these are the same, in a third of the time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from auditlake.engine.duck import kept_rows
from auditlake.engine.duck_engine import DuckEngine, statement_errors
from auditlake.engine.model import Row, StatementError
from auditlake.events.times import instant, micros
from auditlake.policies.compile import compile_arrived
from auditlake.policies.condition import ConditionError
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, earlier

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlake.policies.sweep import Numbers, Pieces

IN_ARRAYS = "sweep in arrays"
"""What this plan is called."""
AT_ONCE = 4_000_000
"""About how many events are in memory at once; more, where that would be fewer than ``_WINDOWS`` windows."""
_WINDOWS = 4
MOST = 10_000_000
"""How many may be: statements may spill what has no room."""
MOST_BYTES = 500_000_000
"""How many bytes what is read of them may take."""
_DAY = 86_400_000_000
_NUMBER = 62
"""The bits of a number."""
Found = Mapping[str, Sequence[Row]]
"""The rows of each step of a query."""


def counted_by_day(
    engine: DuckEngine, policies: Sequence[Policy], question: Question, number: Mapping[int, int]
) -> Iterator[tuple[Policy, Mapping[str, Found]]]:
    """Yield policies with the rows of ``episodes_by_day`` and, where every event counts, of ``totals_by_day``; policies
    left out are to be asked by statements: they fail, or too much would be in memory.

    Args:
        engine: The engine, with ``events``.
        policies: Policies that :func:`auditlake.policies.few_days.is_counted` knows.
        question: The period.
        number: How many events each day has, counted since 1970.
    """
    import pyarrow as pa

    alike: dict[Any, list[Policy]] = {}
    for policy in policies:
        alike.setdefault((policy.group_by, policy.where, policy.scope), []).append(policy)
    for own in alike.values():
        window = max(policy.window.microseconds for policy in own)
        parts = list(_parts(question, window, number))
        if max((sum(number.get(day, 0) for day in _days(part, window)) for part in parts), default=0) > MOST:
            continue
        try:
            counts = [_counted(engine, own, part, window) for part in parts]
            answers = [_rows(policy, found) for policy, found in zip(own, zip(*counts, strict=True), strict=True)]
        except (StatementError, ConditionError, OverflowError, MemoryError, pa.ArrowException):
            continue
        yield from zip(own, answers, strict=True)


def _parts(question: Question, window: int, number: Mapping[int, int]) -> Iterator[Question]:
    """Yield the parts of a period that are read one after the other, each up to a midnight."""
    since, until = micros(question.since), micros(question.until)
    least, begins, events = max(_WINDOWS * window // _DAY, 1), since, 0
    for day in range((since + 1) // _DAY, until // _DAY):
        events += number.get(day, 0)
        if events >= AT_ONCE and day - (begins + 1) // _DAY >= least:
            ends = (day + 1) * _DAY - 1
            yield _question(begins, ends)
            begins, events = ends, 0
    yield _question(begins, until)


def _days(part: Question, window: int) -> range:
    """Return the days whose events are read for a part."""
    return range((micros(part.since) - window + 1) // _DAY, micros(part.until) // _DAY + 1)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was counted of a policy in a part of its period."""

    origin: int
    """The midnight from which instants are counted."""
    pieces: Pieces
    groups: pa.Array
    """Group keys as texts, JSON lists unless there is one column."""
    peaks: Sequence[Row]
    totals: Sequence[Row]


def _counted(engine: DuckEngine, policies: Sequence[Policy], part: Question, window: int) -> list[_Counted]:
    """Return what is counted of policies that group alike.

    Raises:
        StatementError: The events cannot be read.
        ConditionError: A group cannot be written down.
        OverflowError: Too much would be in memory, or a number has no room for a group and a time.
    """
    import numpy as np
    import pyarrow as pa

    from auditlake.policies.sweep import Asked, Sweep

    look_back = earlier(part.since, timedelta(microseconds=window))
    origin = micros(look_back) // _DAY * _DAY
    types = sorted({name for policy in policies for name in policy.required_events})
    step = compile_arrived(policies[0], types, look_back, part)
    with statement_errors():
        table = engine.arrow(step.sql, step.parameters)
    if table.nbytes > MOST_BYTES:
        raise OverflowError
    time, kind = table["t"].to_numpy() - origin, table["number"].to_numpy()
    groups, group = pa.array(["[]"]), None
    if policies[0].group_by:
        encoded = table["g"].dictionary_encode().combine_chunks()
        groups, group = encoded.dictionary, encoded.indices.fill_null(-1).to_numpy()
    counted = []
    for policy in policies:
        asked = Asked(
            policy.window.microseconds, int(policy.alert_threshold or 0), micros(part.since) - origin,
            micros(part.until) - origin,
        )  # fmt: skip
        if asked.bits + len(groups).bit_length() > _NUMBER:
            raise OverflowError
        is_own = np.array([False, *(name in policy.required_events for name in types)])[kind]
        totals = [] if group is None else _totals(time[is_own], group[is_own], asked.since, origin // _DAY)
        is_own &= time > asked.since - asked.window
        if group is not None:
            is_own &= group >= 0
        events = time[is_own]
        if group is not None:
            events += group[is_own].astype(np.int64) << asked.bits
        events.sort()
        sweep = Sweep(events, asked)
        peaks = [(origin // _DAY + day, peak) for day, peak in zip(asked.days, sweep.peaks().tolist(), strict=True)]
        counted.append(_Counted(origin, sweep.pieces(), groups, peaks, totals))
    return counted


def _totals(time: Numbers, group: Numbers, since: int, first_day: int) -> list[Row]:
    """Return the rows of ``totals_by_day``: how many events there are, and how many of them are in no group."""
    import numpy as np

    is_in = time > since
    day = time[is_in] // _DAY
    events, ungrouped = np.bincount(day), np.bincount(day, group[is_in] < 0)
    return [
        (first_day + each, number, number, int(ungrouped[each]), 0, 0)
        for each, number in enumerate(events.tolist()) if number
    ]  # fmt: skip


def _rows(policy: Policy, counted: Sequence[_Counted]) -> Mapping[str, Found]:
    """Return what was counted of a policy in the parts of its period as rows."""
    import pyarrow as pa

    tables = list[pa.Table]()
    for each in counted:
        of, origin = each.pieces, each.origin
        peak = pa.array(of.peak).cast(pa.string())
        tables.append(pa.table({
            "day": of.day + origin // _DAY, "group_key": each.groups.take(pa.array(of.group)),
            "start": of.start + origin, "end": pa.array(of.end + origin, mask=of.end < 0),
            "is_carried": of.is_carried, "peak": peak, "peak_at": of.peak_at + origin, "total": peak,
        }))  # fmt: skip
    table = pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("day", "group_key", "start")])
    table = table.append_column("parts", pa.repeat(1, len(table)))
    if len(policy.group_by) != 1:
        keys = table["group_key"].combine_chunks().dictionary_encode()
        lists = [json.loads(text) for text in keys.dictionary.to_pylist()]
        table = table.set_column(1, "group_key", pa.array(lists, pa.list_(pa.string())).take(keys.indices))
    episodes = {"episodes_by_day": kept_rows(table), "daily_peaks": [row for each in counted for row in each.peaks]}
    if policy.where is not None or policy.scope is not None:
        return {"episodes_by_day": episodes}  # what was read is no more than what counts
    totals = {"totals_by_day": [row for each in counted for row in each.totals]}
    return {"episodes_by_day": episodes, "totals_by_day": totals}


def _question(since: int, until: int) -> Question:
    return Question(instant(until), instant(since), instant(until))
