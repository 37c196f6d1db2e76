"""The law of alerts: each lies in an episode of the report over the same events, and each episode has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake.alerts.model import Alert, micros
from auditlake.reports.build import canonical_group, finding_id
from tests.alerts.lakes import BASE, SECOND, Play, event, policy
from tests.oracle import Ev, grouped, episodes, group_of, matches, text
from tests.strategies import eq

WINDOW = 20 * SECOND
LATENESS = 10 * SECOND
WHERES = ((None, None), ("status = 'failure'", lambda e: eq(e.status, "failure")))
GROUPINGS: tuple[tuple[str, ...], ...] = ((), ("user_id",), ("user_id", "ip_address"))
_numbers = count()


@dataclass(frozen=True)
class Logged:
    """An event, and when it is logged."""

    ev: Ev
    read: int
    trail: int


@dataclass(frozen=True)
class Case:
    logged: tuple[Logged, ...]
    threshold: int
    grouping: tuple[str, ...]
    where: int
    flushes: frozenset[int]
    """After how many events there is a flush."""
    restarts: dict[int, tuple[int, bool]]
    """After how many events the evaluator ends; until after how many more it is not there; whether it crashes."""


@st.composite
def cases(draw: st.DrawFn, delays: st.SearchStrategy[int]) -> Case:
    """Events on a grid of seconds with ties, some logged twice, by two writers."""
    steps = draw(st.lists(st.sampled_from((0, 0, SECOND, 2 * SECOND, 5 * SECOND, WINDOW - 1, WINDOW, WINDOW + 1)), min_size=1, max_size=18))
    at, logged = BASE, []
    for number, step in enumerate(steps):
        at += step
        ev = Ev("login" if draw(st.integers(0, 7)) else "logout", _instant(at), f"e{number}",
                user_id=draw(st.sampled_from(("ann", "ann", "ben", None))),
                ip_address=draw(st.sampled_from(("10.0.0.1", "10.0.0.1", "::1", None))),
                status=draw(st.sampled_from(("failure", "failure", "success", None))))  # fmt: skip
        for _ in range(1 + (draw(st.integers(0, 5)) == 0)):
            logged.append(Logged(ev, at + draw(delays) * SECOND, draw(st.integers(0, 1))))
    size = len(logged)
    return Case(
        tuple(sorted(logged, key=lambda each: each.read)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from(GROUPINGS)),
        draw(st.integers(0, 1)),
        draw(st.frozensets(st.integers(0, size), max_size=3)),
        draw(st.dictionaries(st.integers(0, size), st.tuples(st.integers(0, 6), st.booleans()), max_size=2)),
    )


def _instant(at: int):
    from auditlake.alerts.model import instant

    return instant(at)


def play_out(template: Path, folder: Path, case: Case) -> Play:
    """Log, evaluate, flush and restart as the case says; at the end everything is in the table, and long past."""
    text = policy(case.threshold, group_by=case.grouping, where=WHERES[case.where][0])
    play = Play(folder / f"lake{next(_numbers)}", template, {"watched": text}, LATENESS)
    absent = 0
    play.now = BASE - SECOND
    play.evaluate()
    for number, each in enumerate(case.logged):
        ev = each.ev
        play.now = max(play.now, each.read)
        play.log(
            event(ev.at, ev.user_id, event_type=ev.event_type, event_id=ev.event_id, ip_address=ev.ip_address,
                  status=ev.status),
            trail=each.trail,
        )  # fmt: skip
        if number in case.restarts:
            length, crash = case.restarts[number]
            play.stop(crash=crash)
            absent = length
        if absent:
            absent -= 1
        else:
            play.evaluate()
        if number in case.flushes:
            play.flush()
    play.evaluate()
    play.flush()
    play.evaluate()
    play.now += 1000 * SECOND
    play.evaluate()
    return play


def found(case: Case) -> dict[tuple[str, ...], list[tuple[int, int]]]:
    """The episodes of every group."""
    events = {each.ev.event_id: each.ev for each in case.logged}.values()
    where = WHERES[case.where][1]
    groups = grouped([e for e in events if e.event_type == "login" and matches(where, e)], case.grouping)
    far = BASE + 10**6 * SECOND
    return {group: [(each["start"], each["end"]) for each in episodes(times, case.threshold, WINDOW, 0, far)]
            for group, times in groups.items()}  # fmt: skip


def by_group(alerts: Sequence[Alert]) -> dict[tuple[str, ...], list[int]]:
    given: dict[tuple[str, ...], list[int]] = {}
    for alert in alerts:
        given.setdefault(tuple(alert.group.values()), []).append(micros(alert.at))
    return given


def check_in_order(template: Path, folder: Path, case: Case) -> None:
    play = play_out(template, folder, case)
    try:
        crashed = any(crash for _, crash in case.restarts.values())
        given, ended, expected = by_group(play.alerts), by_group(play.resolutions), found(case)
        for group, stretches in expected.items():
            starts, ends = given.get(group, []), ended.get(group, [])
            if crashed:
                starts, ends = sorted(set(starts)), sorted(set(ends))
            assert starts == [start for start, _ in stretches]
            assert ends == [end for _, end in stretches]
        assert set(given) <= set(expected)
        for alert in play.sent.alerts:
            assert alert.late == (alert.raised_at > alert.at + (alert.raised_at - alert.raised_at) and micros(alert.raised_at) - micros(alert.at) >= LATENESS)
    finally:
        play.close()


def check_in_any_order(template: Path, folder: Path, case: Case) -> None:
    play = play_out(template, folder, case)
    try:
        given, expected = by_group(play.alerts), found(case)
        for group, instants in given.items():
            assert all(any(start <= at < end for start, end in expected[group]) for at in instants)
        for group, stretches in expected.items():
            assert all(any(start <= at < end for at in given.get(group, [])) for start, end in stretches)
    finally:
        play.close()


RELAXED = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@given(cases(st.just(0)))
@RELAXED
def test_in_order(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """Where events come as they happen, each episode has one alert at its start and one resolution at its end."""
    check_in_order(template, tmp_path_factory.getbasetemp(), case)


@given(cases(st.sampled_from((0, 0, 0, 3, 9, 11, 30, 70, -4, -15))))
@RELAXED
def test_in_any_order(template: Path, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """However late events come, and whoever evaluates: each alert lies in an episode, and each episode has one."""
    check_in_any_order(template, tmp_path_factory.getbasetemp(), case)
