"""What waits to be judged from the table: stretches, lots, and the state that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.alerts import late_events as room
from auditlake.alerts.breaches import Breach
from auditlake.alerts.late_events import Lot, Stretch, Waiting, clusters
from auditlake.alerts.state import PolicyState, State, read_state, write_state
from auditlake.disk.layout import Layout
from auditlake.landing.segments import Position
from tests.alerts.samples import alert

REACH = {"p": 10, "q": 10}


def stretch(first: int, last: int | None = None, group: str | None = "ann", policy_id: str = "p") -> Stretch:
    return Stretch(policy_id, None if group is None else (group,), first, first if last is None else last)


def lot(*stretches: Stretch) -> list[Stretch]:
    made = Lot()
    for each in stretches:
        made.add(each, 10)
    return list(made.stretches())


@given(st.lists(st.integers(0, 200), max_size=30))
def test_what_is_near_is_one_stretch(times: Sequence[int]) -> None:
    """Whatever the order, the stretches of a lot cover its events, and lie further apart than they reach."""
    found = lot(*(stretch(at) for at in times))

    assert all(any(each.first <= at <= each.last for each in found) for at in times)
    assert all(one.last + 10 < other.first for one, other in pairwise(found))
    assert {at for each in found for at in (each.first, each.last)} <= set(times)


def test_groups_and_policies_are_apart() -> None:
    """Stretches of different groups or policies are never one."""
    found = lot(stretch(1), stretch(2, group="ben"), stretch(3, policy_id="q"), stretch(4))

    assert found == [stretch(1, 4), stretch(2, group="ben"), stretch(3, policy_id="q")]


def test_too_many_stretches_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number, all of a policy are one stretch of all groups; later ones join it."""
    monkeypatch.setattr(room, "MOST_STRETCHES", 3)

    found = lot(*(stretch(100 * n, group=f"user {n}") for n in range(4)), stretch(305, group="ann"))

    assert found == [stretch(0, 305, None)]


def test_a_lot_waits_for_all_that_it_needs() -> None:
    """A lot is ready once every slot is committed as far as it needs; a later one does not hold it up."""
    waiting = Waiting()
    waiting.add([stretch(1)], {0: 5, 1: 9}, REACH)
    for position in (10, 20, 30):
        waiting.add([stretch(500)], {0: position}, REACH)

    assert waiting.take_ready({0: 5}) is None
    assert waiting.take_ready({0: 5, 1: 8}) is None
    first = waiting.take_ready({0: 5, 1: 9})
    assert first is not None
    assert list(first.stretches()) == [stretch(1)]
    assert waiting.take_ready({0: 29, 1: 9}) is None
    assert waiting.take_ready({0: 30, 1: 9}) is not None
    assert waiting.lots == []


def test_what_the_table_has_waits_for_nothing() -> None:
    """Stretches without needs are ready at once, whatever else waits."""
    waiting = Waiting()
    waiting.add([stretch(1)], {0: 5}, REACH)
    waiting.add([stretch(2)], {}, REACH)
    waiting.add([stretch(3)], {}, REACH)
    waiting.add([], {}, REACH)

    ready = waiting.take_ready({})
    assert ready is not None
    assert list(ready.stretches()) == [stretch(2, 3)]
    assert waiting.take_ready({}) is None


def test_clusters() -> None:
    """Stretches of a policy that are near in time are judged in one go."""
    given = lot(stretch(0), stretch(8, group="ben"), stretch(40), stretch(45, group="ben"), stretch(46, policy_id="q"))

    assert [[each.first for each in near] for near in clusters(given, REACH)] == [[0, 8], [40, 45], [46]]


def test_the_state_and_back(tmp_path: Path) -> None:
    """What is written down is read again as it was."""
    waiting = Lot({3: 70})
    waiting.add(stretch(5, 9), 0)
    waiting.add(stretch(1, group=None, policy_id="q"), 0)
    breaches = {("ann", 'b"\n'): [Breach(1, 9, [(1, 3)], [1]), Breach(20, 30, [(20, 4), (25, 3)], [])], (): []}
    state = State(
        judged=5, version=7, positions={0: Position(3, 9), 12: Position(1, 0)},
        policies={"p": PolicyState("digest", breaches)}, lots=(waiting,), outbox=((alert(1), ("call", "jsonl")),),
    )  # fmt: skip

    layout = Layout(tmp_path)
    layout.alerts.mkdir()
    write_state(layout, state)
    again = read_state(layout.alert_state)

    assert again is not None
    assert (again.judged, again.version, again.positions) == (5, 7, state.positions)
    assert again.policies["p"].breaches == {key: found for key, found in breaches.items() if found}
    assert list(again.lots[0].stretches()) == list(waiting.stretches())
    assert again.lots[0].needs == {3: 70}
    assert again.outbox == state.outbox


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format": 2}', '{"format": 1}', "\x00", '{"format": 1, "judged": []}']
)
def test_a_state_that_is_none(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the file holds, reading it gives a state or says that it is none."""
    (tmp_path / "state.json").write_text(text)

    assert read_state(tmp_path / "state.json") is None
    assert "cannot be used" in caplog.text


def test_no_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing was written down, that is no trouble."""
    assert read_state(tmp_path / "state.json") is None
    assert caplog.text == ""
