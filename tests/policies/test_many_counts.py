"""Rolling counts of so many events that DuckDB's threads share a table are those that are counted at every change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from auditlake.engine.duck import connect, keep_rows
from auditlake.engine.duck_engine import DuckEngine
from auditlake.events.durations import Duration
from auditlake.events.schema import EventType
from auditlake.events.times import instant, micros
from auditlake.policies.evaluate import episodes
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.sweep import Numbers
from tests.soak import mostly

WINDOW = 1_000_000
SINCE = micros(instant(0)) + 40_000 * WINDOW
ROW_GROUP = 122_880
CASES = ((50, 40, 1), (50, 60, 7), (3, 5, 0), (0.3, 2, 40), (1, 1, 200), (0.3, 1, 20), (200, 190, 0), (1, 2, 3))
"""How many events of a group count at once, about; the threshold; and how many groups there are, 0 for none asked."""


def counted(times: Numbers, least: int, until: int) -> Iterator[tuple[int, int | None, int, int]]:
    """Yield start, end, peak and its instant of the episodes of one group in the period (SINCE, until]."""
    times.sort()
    at = np.unique(np.concatenate([times, times + WINDOW, [SINCE]]))
    at = at[(at >= SINCE) & (at <= until)]
    level = np.searchsorted(times, at, "right") - np.searchsorted(times, at - WINDOW, "right")
    turns = np.flatnonzero(np.diff(np.concatenate([[False], level >= least, [False]]).astype(int)))
    for begin, end in turns.reshape(-1, 2).tolist():
        top = begin + int(np.argmax(level[begin:end]))
        yield int(at[begin]), int(at[end]) if end < len(at) else None, int(level[top]), int(at[top])


FEW, MANY = 3 * ROW_GROUP + 1_000, 3_000_000


@pytest.mark.parametrize(
    ("number", "at_once", "least", "groups"),
    mostly([(number, *case) for case in CASES for number in (FEW, MANY)], always=[(FEW, *case) for case in CASES[:2]]),
)
def test_many_events(number: int, at_once: float, least: int, groups: int) -> None:
    """Ties, episodes that touch, events one window old, both ends of the period, and tables of several row groups."""
    rng = np.random.default_rng(number + least)
    until = SINCE + int(number / max(groups, 1) / at_once * WINDOW)
    times = rng.integers(SINCE - WINDOW, until + WINDOW, number)
    times[::3] -= times[::3] % WINDOW
    who = rng.integers(0, max(groups, 1), number)
    events = pa.table({
        "event_type": pa.repeat("login", number), "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "user_id": pa.array(np.char.mod("u%03d", np.arange(max(groups, 1)))).take(pa.array(who)),
    })  # fmt: skip
    found = list[tuple[int, str | tuple[()], int | None, int, int]]()
    for group in range(max(groups, 1)):
        name = f"u{group:03}" if groups else ()
        own = counted(times[who == group], least, until)
        found += [(start, name, end, peak, peak_at) for start, end, peak, peak_at in own]
    policy = Policy(
        "many", "Many", "", required_events=("login",), window=Duration("1s", WINDOW), alert_threshold=least,
        group_by=("user_id",) if groups else (),
    )  # fmt: skip
    connection = connect(threads=4)
    keep_rows(connection, "events", events)
    rows = episodes(DuckEngine(connection), policy, Question(instant(until), instant(SINCE), instant(until)))
    connection.close()
    assert len(rows) > 500
    assert sorted(found, key=lambda each: each[:2]) == [
        (micros(start), key if groups else (), None if end is None else micros(end), peak, micros(peak_at))
        for key, start, end, _, _, peak, peak_at in rows
    ]
    assert [(ongoing, before) for _, _, _, ongoing, before, _, _ in rows] == [
        (end is None, start == instant(SINCE)) for _, start, end, *_ in rows
    ]


@pytest.mark.soak
@pytest.mark.parametrize("first", ["types: [auth_failure], count: 2", "where: status is null"])
def test_many_steps(first: str) -> None:
    """Chains of so many events are those that one thread finds, which takes rows in their order."""
    rng, number = np.random.default_rng(1), 7 * ROW_GROUP
    times = SINCE + rng.integers(1, 30_000 * WINDOW, number)
    times[::2] -= times[::2] % WINDOW
    events = pa.table({
        "event_type": np.array(["auth_failure", "login", "data_access"])[rng.integers(0, 3, number)],
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "user_id": np.char.mod("u%03d", rng.integers(0, 150, number)), "status": pa.nulls(number, pa.string()),
        "source": pa.repeat("a", number), "event_id": np.char.mod("%d", np.arange(number)),
    })  # fmt: skip
    steps = f"[{{name: a, {first}}}, {{name: b, types: [login]}}, {{name: c, types: [data_access]}}]"
    text = f"""name: S
description: S
window: 10s
required_events: [auth_failure, login, data_access]
coverage: optional
group_by: [user_id]
sequence: {steps}
"""
    policy = load_policy(text, "s.yaml", "s", event_types=frozenset(EventType))
    question = Question(instant(int(times.max())), instant(SINCE), instant(int(times.max())))
    found = []
    for threads in (1, 4):
        connection = connect(threads=threads)
        keep_rows(connection, "events", events)
        found.append([*episodes(DuckEngine(connection), policy, question)])
        connection.close()
    assert len(found[0]) > 1000
    assert found[0] == found[1]
