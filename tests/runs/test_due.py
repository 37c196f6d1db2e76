"""Which runs were due and how they stand, against going through every quarter of an hour and looking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.events.durations import Duration, parse_duration
from auditlake.runs.due import Due, due_instants, due_runs, newest_due, next_due, schedules_between
from auditlake.runs.model import Declaration, Entry, FailedRun, Run, Schedule
from tests.runs.test_runs import RUN

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAYS, STEP = 3, 15
MINUTES = DAYS * 24 * 60
TIMES = {
    "1h": ["00:00", "00:15"],
    "6h": ["02:30"],
    "12h": ["00:00", "11:45"],
    "1d": ["00:15", "23:00"],
    "3d": ["06:00"],
}


def length(text: str) -> Duration:
    return parse_duration(text, "every")


def declared(number: int, at: datetime, *schedules: Schedule) -> Declaration:
    return Declaration(number, at, "0", "ops", {each.name: each for each in schedules})


NIGHTLY = Schedule("nightly", length("1d"), "00:15", ("all",), length("6h"))

schedules = st.builds(
    lambda name, timed, within: Schedule(name, length(timed[0]), timed[1], ("all",), length(within)),
    st.sampled_from(["a", "b"]),
    st.sampled_from([(every, at) for every, times in TIMES.items() for at in times]),
    st.sampled_from(["15min", "6h", "2d"]),
)
minutes = st.integers(0, MINUTES // STEP).map(lambda n: MONDAY + n * STEP * MINUTE)
declarations = st.builds(lambda at, own: declared(0, at, *own), minutes, st.lists(schedules, max_size=2))
runs = st.builds(
    lambda at, name, back, state, due, lasted: replace(
        RUN, at=at, finished=at + lasted * HOUR, schedule=name, as_of=at - back * HOUR, state=state,
        due=at - back * HOUR if due else None,
    ),
    minutes, st.sampled_from(["a", "a", "b", None]), st.integers(0, 30), st.sampled_from(["ok", "ok", "error"]),
    st.booleans(), st.integers(0, 9),
)  # fmt: skip
failures = st.builds(
    lambda at, name: FailedRun(0, "1" * 16, at + HOUR, at, "schedule", "0", "ops", name), minutes, st.sampled_from("ab")
)


def going_through(entries: list[Entry], until: datetime) -> Iterator[tuple[str, datetime, str, int | None]]:
    """Yield what was due and how it stands, found by looking at each quarter of an hour."""
    for number in range(0, MINUTES + 1, STEP):
        now = MONDAY + number * MINUTE
        before = [each for each in entries if isinstance(each, Declaration) and each.at <= now]
        for name, schedule in before[-1].schedules.items() if before and now <= until else ():
            at = int(schedule.at[:2]) * 60 + int(schedule.at[3:])
            minutes_of_grid = (now - datetime(1970, 1, 5, tzinfo=UTC)) // MINUTE
            if minutes_of_grid % (schedule.every.microseconds // 60_000_000) != at:
                continue
            latest = now + timedelta(microseconds=schedule.within.microseconds)
            own = [each for each in entries if isinstance(each, Run | FailedRun) and each.schedule == name]
            good = [each for each in own if isinstance(each, Run) and each.state == "ok"]
            good = [each for each in good if each.as_of is not None and each.as_of >= now]
            if good:
                first = min(good, key=lambda each: (each.at, each.number))
                yield name, now, "met" if first.at <= latest else "late", first.number
                continue
            bad = [each for each in own if isinstance(each, FailedRun) or each.state == "error"]
            tried = any((each.due == now) if each.due else (now <= each.began <= latest) for each in bad)
            yield name, now, "failed" if tried else "open" if until < latest else "missed", None


@settings(max_examples=150)
@given(
    first=st.lists(schedules, min_size=1, max_size=2),
    lines=st.lists(st.one_of(declarations, runs, runs, runs, failures), max_size=6),
    until=st.builds(lambda at, by: at + by * MINUTE, minutes, st.integers(-1, 1)),
)
def test_what_was_due_stands_as_going_through_time_finds(
    first: list[Schedule], lines: list[Entry], until: datetime
) -> None:
    """Whatever was declared, withdrawn, changed, run, failed and made up for, in whatever order."""
    there = [each for each in (declared(0, MONDAY, *first), *lines) if each.began <= until]
    there.sort(key=lambda each: each.finished if isinstance(each, Run) else each.at)  # as they were written
    entries = [replace(each, number=number) for number, each in enumerate(there, 1)]
    found = [(each.schedule, each.instant, each.state, each.run) for each in due_runs(entries, until)]
    assert sorted(found, key=lambda each: each[:2]) == sorted(going_through(entries, until), key=lambda each: each[:2])


@settings(max_examples=60)
@given(schedule=schedules, now=minutes, seconds=st.integers(-1, 1))
def test_the_grid_is_one_for_the_newest_the_next_and_all(schedule: Schedule, now: datetime, seconds: int) -> None:
    """The newest due instant is the last that is not later than now, and the next is the first after it."""
    now += timedelta(seconds=seconds)
    around = [*due_instants(schedule, now - 4 * 24 * HOUR, now + 4 * 24 * HOUR)]
    assert newest_due(schedule, now) == max(each for each in around if each <= now)
    assert next_due(schedule, now) == min(each for each in around if each > now)


def test_a_schedule_that_is_taken_away_still_says_what_was_due() -> None:
    """What was missed while it was in force stays missed; what came after it was due at no time."""
    entries = [declared(1, MONDAY, NIGHTLY), declared(2, MONDAY + 50 * HOUR), declared(3, MONDAY + 99 * HOUR, NIGHTLY)]
    found = [*due_runs(entries, MONDAY + 125 * HOUR)]
    assert [(each.instant - MONDAY, each.state) for each in found] == [
        (timedelta(minutes=15), "missed"), (timedelta(days=1, minutes=15), "missed"),
        (timedelta(days=2, minutes=15), "missed"), (timedelta(days=5, minutes=15), "open"),
    ]  # fmt: skip
    assert [*due_runs(entries, MONDAY + 125 * HOUR, since=MONDAY + 96 * HOUR)] == found[3:]
    assert found[3] == Due("nightly", MONDAY + 120 * HOUR + 15 * MINUTE, MONDAY + 126 * HOUR + 15 * MINUTE, "open")
    in_time = replace(RUN, at=found[0].latest, schedule="nightly", as_of=found[0].instant)
    for run, state in ((in_time, "met"), (replace(in_time, at=in_time.at + timedelta(microseconds=1)), "late")):
        assert next(due_runs([*entries, run], MONDAY + 125 * HOUR)).state == state
    between = [
        schedules_between(entries, MONDAY + a * HOUR, MONDAY + b * HOUR) for a, b in ((0, 9), (50, 60), (60, 99))
    ]
    assert [len(each) for each in between] == [1, 0, 1]
