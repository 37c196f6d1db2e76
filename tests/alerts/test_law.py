"""The law of alerts: each lies in an episode of the report over the same events, and each episode has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake.alerts.model import Alert, Group
from auditlake.events.times import instant, micros
from tests.alerts.lakes import BASE, SECOND, Play, event, policy
from tests.oracle import Ev, episodes, grouped, matches
from tests.strategies import eq

WINDOW = 20 * SECOND
LATENESS = 10 * SECOND
FAR = 10**6 * SECOND
STEPS = (0, 0, SECOND, 2 * SECOND, 5 * SECOND, WINDOW - 1, WINDOW, WINDOW + 1)
DELAYS = (0, 0, 0, 3, 9, 11, 30, 70, -4, -15)
"""How many seconds after it happened an event is logged: in time, late, too late, ahead, far ahead."""
WHERES = ((None, None), ("status = 'failure'", lambda e: eq(e.status, "failure")))
GROUPINGS: tuple[tuple[str, ...], ...] = ((), ("user_id",), ("user_id", "ip_address"))
Stretches = dict[Group, list[tuple[int, int]]]
_numbers = count()


@dataclass(frozen=True)
class Logged:
    """An event, and when it is logged."""

    ev: Ev
    read: int
    trail: int


@dataclass(frozen=True)
class Case:
    """Everything that the alerts depend on."""

    logged: tuple[Logged, ...]
    threshold: int
    grouping: tuple[str, ...]
    where: int
    flushes: frozenset[int]
    """After how many events there is a flush."""
    restarts: dict[int, tuple[int, bool]]
    """After how many events the evaluator ends; for how many more it is not there; whether it crashed."""


@st.composite
def cases(draw: st.DrawFn, delays: Sequence[int]) -> Case:
    """Events on a grid of seconds with ties, some logged twice, by two writers."""
    at, logged = BASE, []
    for number, step in enumerate(draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=18))):
        at += step
        ev = Ev(
            "login" if draw(st.integers(0, 7)) else "logout", instant(at), f"e{number}",
            user_id=draw(st.sampled_from(("ann", "ann", "ben", None))),
            ip_address=draw(st.sampled_from(("10.0.0.1", "10.0.0.1", "::1", None))),
            status=draw(st.sampled_from(("failure", "failure", "success", None))),
        )  # fmt: skip
        for _ in range(1 + (draw(st.integers(0, 5)) == 0)):
            read = at + draw(st.sampled_from(delays)) * SECOND
            logged.append(Logged(ev, read, draw(st.integers(0, 1))))
    size = len(logged)
    return Case(
        tuple(sorted(logged, key=lambda each: each.read)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from(GROUPINGS)),
        draw(st.integers(0, 1)),
        draw(st.frozensets(st.integers(0, size), max_size=3)),
        draw(st.dictionaries(st.integers(0, size), st.tuples(st.integers(0, 6), st.booleans()), max_size=2)),
    )


def play_out(template: Path, folder: Path, case: Case, file: str | None = None, *, by_instant: bool = False) -> Play:
    """Log, evaluate, flush and restart as the case says; at the end everything is in the table, and long past.

    Args:
        template: A lake to copy.
        folder: Where to make the lake.
        case: What happens.
        file: A policy file; one that counts as the case says if None.
        by_instant: Whether to evaluate only when everything of an instant is logged.
    """
    file = file or policy(case.threshold, group_by=case.grouping, where=WHERES[case.where][0])
    play = Play(folder / f"law{next(_numbers)}", template, {"watched": file}, LATENESS)
    absent = 0
    play.now = BASE - SECOND
    play.evaluate()
    for number, each in enumerate(case.logged):
        ev, is_amid = (
            each.ev,
            by_instant and [each.read] == [next_.read for next_ in case.logged[number + 1 : number + 2]],
        )
        play.now = max(play.now, each.read)
        play.log(
            event(ev.at, ev.user_id, event_type=ev.event_type, event_id=ev.event_id, ip_address=ev.ip_address,
                  status=ev.status),
            trail=each.trail,
        )  # fmt: skip
        if number in case.restarts:
            absent, crash = case.restarts[number]
            play.stop(crash=crash)
        if absent:
            absent -= 1
        elif not is_amid:
            play.evaluate()
        if number in case.flushes:
            play.flush()
    play.evaluate()
    play.flush()
    play.evaluate()
    play.now += 1000 * SECOND
    play.evaluate()
    return play


def expected(case: Case) -> Stretches:
    """The episodes of every group."""
    events = {each.ev.event_id: each.ev for each in case.logged}.values()
    where = WHERES[case.where][1]
    groups = grouped([e for e in events if e.event_type == "login" and matches(where, e)], case.grouping)
    return {
        group: [(each["start"], each["end"]) for each in episodes(times, case.threshold, WINDOW, 0, BASE + FAR)]
        for group, times in groups.items()
    }


def by_group(alerts: Sequence[Alert]) -> dict[Group, list[int]]:
    given: dict[Group, list[int]] = {}
    for alert in alerts:
        given.setdefault(tuple(alert.group.values()), []).append(micros(alert.at))
    return given


def check_in_order(template: Path, folder: Path, case: Case) -> None:
    play = play_out(template, folder, case)
    given, ended, known = by_group(play.alerts), by_group(play.resolutions), expected(case)
    play.close()

    # What was given since the state was last written down is given again after a crash.
    tidy = (lambda found: sorted(set(found))) if any(crash for _, crash in case.restarts.values()) else list
    assert {group: tidy(found) for group, found in given.items()} == starts(known)
    assert {group: tidy(found) for group, found in ended.items()} == ends(known)
    for alert in play.sent.alerts:
        assert alert.late == (alert.raised_at - alert.at >= timedelta(microseconds=LATENESS))


def check_in_any_order(template: Path, folder: Path, case: Case) -> None:
    play = play_out(template, folder, case)
    given, known = by_group(play.alerts), expected(case)
    play.close()

    for group, instants in given.items():
        assert all(any(start <= at < end for start, end in known[group]) for at in instants)
    for group, stretches in known.items():
        assert all(any(start <= at < end for at in given.get(group, [])) for start, end in stretches)
    assert {alert.id for alert in play.alerts} == {alert.id for alert in play.resolutions}


def starts(known: Stretches) -> dict[Group, list[int]]:
    return {group: [start for start, _ in stretches] for group, stretches in known.items() if stretches}


def ends(known: Stretches) -> dict[Group, list[int]]:
    return {group: [end for _, end in stretches] for group, stretches in known.items() if stretches}


RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(cases((0,)))
@settings(RELAXED, max_examples=2)
def test_in_order(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """Where events come as they happen, each episode has one alert at its start and one resolution at its end."""
    check_in_order(template, tmp_path_factory.getbasetemp(), case)


@given(cases(DELAYS))
@settings(RELAXED, max_examples=2)
def test_in_any_order(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """However late events come, and whoever evaluates: each alert lies in an episode, and each episode has one."""
    check_in_any_order(template, tmp_path_factory.getbasetemp(), case)


@pytest.mark.soak
@given(cases((0,)))
@settings(RELAXED, max_examples=1000)
def test_in_order_at_length(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """The first of these over many more cases."""
    check_in_order(template, tmp_path_factory.getbasetemp(), case)


@pytest.mark.soak
@given(cases(DELAYS))
@settings(RELAXED, max_examples=1000)
def test_in_any_order_at_length(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """The second of these over many more cases."""
    check_in_any_order(template, tmp_path_factory.getbasetemp(), case)
