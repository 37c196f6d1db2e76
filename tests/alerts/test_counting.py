"""The rolling counts of one policy against the oracle, whatever the order in which events come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.alerts import tally as room
from auditlake.alerts.model import Group, Turn
from auditlake.alerts.tally import GRACE_US, Tally
from auditlake.events.durations import Duration
from auditlake.policies.model import Policy
from tests.oracle import count, episodes

S = 1_000_000
WINDOW = 20 * S
FAR = 10**12


def policy(threshold: int, window: int = WINDOW) -> Policy:
    return Policy("p", "P", "", ("login",), Duration("1d", 86_400 * S), threshold,
                  window=Duration(f"{window // S}s", window), group_by=("user_id",))  # fmt: skip


@dataclass(frozen=True)
class Arrival:
    at: int
    """When the event happened."""
    read: int
    """When it is read."""
    group: Group
    number: int


@dataclass
class Run:
    """A tally fed by a clock; what comes too late is judged from all that is known, as the lake would."""

    tally: Tally
    lateness: int
    turns: list[Turn] = field(default_factory=list)
    known: dict[Group, dict[int, int]] = field(default_factory=dict)
    late: list[tuple[Group, int]] = field(default_factory=list)

    def read(self, arrivals: Sequence[Arrival], now: int) -> None:
        for each in arrivals:
            known = self.known.setdefault(each.group, {})
            if each.number not in known and each.at <= now - self.lateness:
                self.late.append((each.group, each.at))
            known[each.number] = each.at
            self.tally.see(each.group, [(each.at, each.number)])
        self.turns += self.tally.judge(now, now - GRACE_US)

    def flush(self, now: int) -> None:
        policy, passed = self.tally.policy, now - GRACE_US
        window = policy.window.microseconds
        for group, at in self.late:
            times = sorted(self.known[group].values())
            for episode in episodes(times, policy.alert_threshold, window, at - window, min(at + window, now)):
                end = min(at + window, now) if episode["end"] is None else episode["end"]
                self.turns += self.tally.settle(group, episode["start"], end, 0, passed)
            self.turns += self.tally.resolve(group, passed)
        self.late.clear()

    def alerts(self, group: Group) -> list[int]:
        """The crossing instants alerted, repeats left out."""
        return sorted({turn.crossing for turn in self.turns if turn.kind != "resolved" and turn.group == group})

    def ends(self, group: Group) -> list[int]:
        return sorted(turn.at for turn in self.turns if turn.kind == "resolved" and turn.group == group)

    def episodes(self, group: Group, now: int = FAR) -> list[tuple[int, int]]:
        window = self.tally.policy.window.microseconds
        times = sorted(self.known[group].values())
        return [(each["start"], each["end"])
                for each in episodes(times, self.tally.policy.alert_threshold, window, -FAR, now)]  # fmt: skip


TIMES = st.integers(0, 60).map(lambda n: n * S) | st.sampled_from(
    (WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 5 * S + 1)
)
GROUPS = st.sampled_from((("a",), ("b",)))


@st.composite
def arrivals(draw: st.DrawFn, most_delay: int) -> list[Arrival]:
    """Events on a grid of seconds with ties, read so much later than they happened, in the order of reading."""
    drawn = draw(st.lists(st.tuples(TIMES, st.integers(-5, most_delay), GROUPS), max_size=24))
    return sorted(
        (Arrival(at, at + delay * S, group, number) for number, (at, delay, group) in enumerate(drawn)),
        key=lambda each: each.read,
    )


def replay(
    run: Run, events: Sequence[Arrival], every: int, repeats: Sequence[int], strides: Sequence[int] = (S // 2,)
) -> None:
    """Read in micro-batches, flush now and then, and let time pass, by some strides over and over."""
    left, now, step = list(events), -10 * S, 0
    while left or now < 200 * S:
        now += strides[step % len(strides)]
        batch = [each for each in left if each.read <= now]
        left = left[len(batch) :]
        step += 1
        run.read(
            [
                *batch,
                *(events[i] for i in repeats if i < len(events) and events[i].read + S <= now < events[i].read + 2 * S),
            ],
            now,
        )
        if step % every == 0:
            run.flush(now)
    run.flush(now)


@given(arrivals(0), st.integers(1, 5), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_in_order(events: list[Arrival], threshold: int, lateness: int) -> None:
    """Where events come as they happen, each episode has one alert, at its start, and one resolution, at its end."""
    run = Run(Tally(policy(threshold), lateness * S, -10 * S), lateness * S)

    replay(run, sorted(events, key=lambda each: (each.read, each.at)), 7, ())

    for group in run.known:
        times = run.known[group].values()
        given = [(turn.at, turn.count) for turn in run.turns if turn.group == group and turn.kind != "resolved"]
        assert given == [(start, count(list(times), start, WINDOW)) for start, _ in run.episodes(group)]
        assert run.ends(group) == [end for _, end in run.episodes(group)]


STRIDES = st.lists(st.sampled_from((S // 2, S // 2, 2 * S, 7 * S, 60 * S)), min_size=1, max_size=5)


REPEATS = st.lists(st.integers(0, 23), max_size=6)


@given(arrivals(60), st.integers(1, 5), st.integers(1, 30), st.integers(1, 40), REPEATS, STRIDES)
@settings(max_examples=250, deadline=None)
def test_in_any_order(
    events: list[Arrival], threshold: int, lateness: int, every: int, repeats: list[int], strides: list[int]
) -> None:
    """However late and often events come, and however seldom somebody looks: every alert has its episode, and back."""
    run = Run(Tally(policy(threshold), lateness * S, -10 * S), lateness * S)

    replay(run, events, every, repeats, strides)
    run.read([], 1000 * S)

    for group in run.known:
        found, given = run.episodes(group), run.alerts(group)
        assert all(any(start <= at < end for start, end in found) for at in given)
        assert all(any(start <= at < end for at in given) for start, end in found)
        assert len(run.ends(group)) >= len(given)
    assert run.tally._kept == {}


def test_past_episodes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was alerted is remembered for a while, and no more of it than a number, the newest; what is open is kept."""
    monkeypatch.setattr(room, "MOST_REMEMBERED", 3)
    tally = Tally(policy(1), S, 0)
    for number in range(6):
        tally.see((f"user {number}",), [(number * S, number)])
    tally.judge(10 * S, 10 * S - GRACE_US)
    tally.see(("open",), [(30 * S, 9)])
    tally.judge(30 * S, 30 * S)
    tally.forget_past(30 * S)
    assert sorted(tally.breaches) == [("open",), ("user 3",), ("user 4",), ("user 5",)]

    tally.judge(60 * S, 60 * S)
    tally.forget_past(60 * S)
    assert len(tally.breaches) == 3
    tally.forget_past(80 * S + room.REMEMBERED_US)
    assert tally.breaches == {}


def test_nobody_looks_for_a_while() -> None:
    """Events of the future that came and went since the last look are alerted, however long ago that was."""
    tally = Tally(policy(2), S, 0)
    tally.see(("ann",), [(3 * S, 1), (4 * S, 2)])
    assert tally.judge(0, -GRACE_US) == []

    turns = tally.judge(1000 * S, 1000 * S - GRACE_US)

    assert [(turn.kind, turn.at) for turn in turns] == [("threshold_exceeded", 4 * S), ("resolved", 23 * S)]
