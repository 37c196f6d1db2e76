"""Days that the log counts are not read, and what is said of types and days is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import auditlake
from auditlake import AuditLake
from auditlake.engine.duck import EventsView
from auditlake.engine.duck_engine import DuckEngine
from auditlake.events.durations import parse_duration
from auditlake.events.times import MICROSECOND, micros
from auditlake.ingest import day_files
from auditlake.policies.compile import compile_policy, moments_of
from auditlake.policies.days import DAY
from auditlake.policies.evaluate import Runner
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.query.view import judging_engine
from tests.lakes import create
from tests.store.test_foreign_readers import without_types

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 9
CLASS = ("auth_failure", "login", "logout")
"""Types that have a retention class of their own."""
TYPES = (*CLASS, "data_access", "api_call")
HOURS = (timedelta(0), timedelta(hours=7), timedelta(days=1) - MICROSECOND)
EVENTS = [
    (name, FIRST + timedelta(days=day) + at)
    for (place, name), day, (number, at) in product(enumerate(TYPES), range(DAYS), enumerate(HOURS))
    if (place + day + number) % 4 and (name, day) not in (("login", 0), ("logout", 8), ("login", 4))
]
INSTANTS = [FIRST + timedelta(days=day) + at for day in range(-1, DAYS + 1) for at in (*HOURS, -MICROSECOND)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake whose days have one file for each class, one of them two, and one a file whose types are unknown."""
    lake = create(tmp_path_factory.mktemp("counted") / "lake", clock=lambda: FIRST + timedelta(days=DAYS))
    made = [auditlake.AuditEvent(name, at, event_id=f"{name} {at}") for name, at in EVENTS]
    late = [event for event in made if event.timestamp.day == 3 and event.timestamp.hour == 7]
    lake.ingest([event for event in made if event not in late])
    lake.ingest(late)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_files, "write_classes", without_types)
        lake.ingest([auditlake.AuditEvent("login", FIRST + timedelta(days=5, hours=1), event_id="old")])
    return lake


ALL = [*EVENTS, ("login", FIRST + timedelta(days=5, hours=1))]


@pytest.fixture(scope="module")
def engine(lake: AuditLake) -> Iterator[DuckEngine]:
    """An engine that policies are judged on."""
    with judging_engine(lake._context, lake.snapshot().version) as (opened, _):
        yield opened


@pytest.fixture(scope="module")
def policy(lake: AuditLake) -> Policy:
    """A policy that asks which events there were, and which are due."""
    return replace(lake.policies.get("authentication_monitoring"), alert_threshold=None)


def asked(engine: DuckEngine, policy: Policy, question: Question) -> dict[str, Any]:
    """What the statements say of types and days."""
    rows: dict[str, Any] = {}
    for only in ("required_types", "retention"):
        queries = partial(compile_policy, policy, [policy], question, only=only)
        rows |= Runner(engine, moments_of([policy])).answers(queries)[1]
    return {name: list(rows[name]) for name in ("required_types", "type_day_counts", "retention")}


def told(policy: Policy, question: Question) -> dict[str, Any]:
    """The same in plain Python."""
    own = [(name, at) for name, at in ALL if name in policy.required_events and at <= question.as_of]
    period = [(name, at) for name, at in own if question.since < at <= question.until]
    seen = {name: [at for other, at in own if other == name] for name in sorted(policy.required_events)}
    days = Counter((name, micros(at) // DAY) for name, at in period)
    cutoff = question.midnight - timedelta(microseconds=policy.retention_period.microseconds)  # type: ignore[union-attr]
    return {
        "required_types": [
            (name, sum(other == name for other, _ in period), min(ats, default=None), max(ats, default=None))
            for name, ats in seen.items()
        ],
        "type_day_counts": [(name, day, number) for (name, day), number in sorted(days.items())],
        "retention": [(0, 0, sum(at < cutoff for _, at in own))],
    }


@settings(deadline=None, max_examples=40)
@given(
    types=st.one_of(st.just(CLASS), st.lists(st.sampled_from(TYPES), min_size=1, unique=True).map(tuple)),
    instants=st.lists(st.sampled_from(INSTANTS), min_size=2, max_size=3, unique=True).map(sorted),
    kept=st.integers(0, DAYS),
)
def test_answers_are_those_of_rows(
    engine: DuckEngine, policy: Policy, types: tuple[str, ...], instants: list[datetime], kept: int
) -> None:
    """Whatever days an instant cuts and the log counts: numbers, first and last instants are those of the events."""
    length = parse_duration(f"{kept + 1}d", "retention_period")
    policy = replace(policy, required_events=types, retention_period=length)
    question = Question(instants[-1], *instants[:2])
    assert asked(engine, policy, question) == told(policy, question)


def test_whole_days_are_counted_by_the_log(engine: DuckEngine, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days of whose files the log says the types are not read, but for the first and last of each type."""
    counted: list[Any] = []
    run = DuckEngine.uncounted

    def noted(own: DuckEngine, sql: str, *rest: Any) -> Any:
        counted.append(run(own, sql, *rest))
        read = own.rows("select distinct day from type_days")
        assert {*counted[-1]}.isdisjoint(day for (day,) in read)
        return counted[-1]

    monkeypatch.setattr(DuckEngine, "uncounted", noted)
    begins, ends = FIRST - MICROSECOND, FIRST + timedelta(days=DAYS)
    first = micros(FIRST) // DAY
    asked(engine, policy, Question(ends, begins, ends))
    # The first and the last day of a type, the day with a file of which the log is silent, and none else.
    assert {day - first for day in counted[0]} == {2, 3, 4, 6}
    asked(engine, policy, Question(ends, begins + timedelta(days=2, hours=9), ends))
    assert {day - first for day in counted[-1]} == {3, 4, 6}
    asked(engine, replace(policy, required_events=("login",)), Question(ends, begins, ends))
    assert {day - first: numbers for day, numbers in counted[-1].items()} == {
        day: {"login": 2} for day in (2, 3, 6, 7)
    }  # those of the other types in these files are not


def test_late_events_do_not_count(engine: DuckEngine, policy: Policy) -> None:
    """An event after as_of is in no number, and its day is the last one of no type."""
    until = FIRST + timedelta(days=4, hours=1)
    question = Question(until, FIRST, until)
    assert asked(engine, policy, question) == told(policy, question)


def test_what_is_to_be_checked_is_counted_from_rows(
    lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of one policy believes the log's numbers; an evidence pack and a report that is made again do not."""
    asked_of_log: list[Any] = []
    run = EventsView.show_uncounted

    def noted(own: EventsView, *about: Any) -> Any:
        asked_of_log.append(run(own, *about))
        return asked_of_log[-1]

    monkeypatch.setattr(EventsView, "show_uncounted", noted)
    (report,) = lake.reports("authentication_monitoring", cache=False)
    assert any(asked_of_log)
    path, *_ = report.write(tmp_path)
    asked_of_log.clear()
    lake.evidence("authentication_monitoring", tmp_path / "pack.zip")
    assert lake.reperform(path).identical
    assert not any(asked_of_log)
