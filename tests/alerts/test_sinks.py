"""Sinks: what each does with an alert, and that none is in the way of another."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auditlake.alerts import sinks as room
from auditlake.alerts.model import Alert, Turn, alert_of
from auditlake.alerts.sinks import CallSink, Dispatch, JsonlSink, LogSink, Place, Sink, as_sinks
from auditlake.events.durations import Duration
from auditlake.events.times import instant
from auditlake.policies.model import Policy
from tests.alerts.lakes import BASE, SECOND
from tests.alerts.samples import alert
from tests.waiting import HANG_SECONDS, until


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path / "alerts", lambda: instant(BASE))


def dispatch(place: Place, *sinks: Sink | Callable[[Alert], object]) -> Dispatch:
    return Dispatch(as_sinks(sinks), place)


def test_an_alert_and_back() -> None:
    """An alert is JSON and back, and its instants are spelled to the microsecond."""
    made = alert(1, kind="resolved", late=True)

    written = json.loads(json.dumps(made.as_dict()))

    assert Alert.from_dict(written) == made
    assert written["at"] == "2026-11-24T06:00:00.000000Z"
    assert written["group"] == {"user_id": "ann"}


def test_messages_are_harmless() -> None:
    """Whatever a policy's name or a group's values are, the message is one line that a terminal can only show."""
    policy = Policy("p", "A\x1b[31m\nname", "", ("login",), Duration("1d", 86_400 * SECOND), 3,
                    window=Duration("1h", 3600 * SECOND), group_by=("user_id",))  # fmt: skip
    turn = Turn("threshold_exceeded", ("\u202e\r\nFAKE line" + "x" * 500,), BASE, BASE, 3)

    made = alert_of(policy, turn, now=BASE, lateness=SECOND)

    assert made.message.isprintable()
    assert len(made.message) < 250
    assert made.group["user_id"].startswith("\u202e\r\nFAKE")


@pytest.mark.parametrize(("number", "told", "resolved"), [
    (1, "P: 1 event within 1h of user_id ann, the threshold is 1", "P: below 1 event within 1h of user_id ann again"),
    (2, "P: 2 events within 1h of user_id ann, the threshold is 2", "P: below 2 events within 1h of user_id ann again"),
])  # fmt: skip
def test_messages_count(number: int, told: str, resolved: str) -> None:
    """One event is an event, and more are events."""
    policy = Policy("p", "P", "", ("login",), Duration("1d", 86_400 * SECOND), number,
                    window=Duration("1h", 3600 * SECOND), group_by=("user_id",))  # fmt: skip
    turn = Turn("threshold_exceeded", ("ann",), BASE, BASE, number)

    assert alert_of(policy, turn, now=BASE, lateness=SECOND).message == told
    assert alert_of(policy, replace(turn, kind="resolved"), now=BASE, lateness=SECOND).message == resolved


def test_logging(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Alerts are warnings of the logger auditlake.alerts, resolutions are information; each record has the alert."""
    with caplog.at_level(logging.INFO, "auditlake.alerts"):
        ours = dispatch(place, LogSink())
        ours.send(alert(1, late=True))
        ours.send(alert(1, kind="resolved"))
        ours.close(HANG_SECONDS)

    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("auditlake.alerts", "WARNING"), ("auditlake.alerts", "INFO"),
    ]  # fmt: skip
    assert ", late," in caplog.messages[0]
    assert caplog.records[0].alert["kind"] == "threshold_exceeded"  # type: ignore[attr-defined]


def test_a_callable_that_raises(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What a callable raises is logged, and it gets the next alert; so do the others."""
    got: list[str] = []

    def call(given: Alert) -> None:
        got.append(given.id)
        raise RuntimeError("no good")

    also: list[str] = []
    ours = dispatch(place, call, lambda given: also.append(given.id))
    for number in range(3):
        ours.send(alert(number))
    ours.close(HANG_SECONDS)

    assert got == also == [alert(number).id for number in range(3)]
    assert "no good" in caplog.text
    assert ours.outbox() == ()


def test_a_sink_that_hangs(place: Place) -> None:
    """A sink that never returns holds nobody up; its alerts stay in the outbox."""
    release, also = threading.Event(), []
    ours = dispatch(place, lambda _: release.wait(), lambda given: also.append(given.id))
    for number in range(20):
        ours.send(alert(number))
    until(lambda: len(also) == 20)
    until(lambda: len(ours.outbox()) == 20)

    assert {names for _, names in ours.outbox()} == {("call",)}
    release.set()
    ours.close(HANG_SECONDS)
    assert ours.outbox() == ()


def test_too_many_wait(place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What a sink cannot keep up with is given up beyond a number, the oldest first, and that is logged."""
    monkeypatch.setattr(room, "MOST_WAITING", 5)
    release, got = threading.Event(), []

    def call(given: Alert) -> None:
        release.wait()
        got.append(given.id)

    ours = dispatch(place, call)
    for number in range(30):
        ours.send(alert(number))
    assert len(ours.outbox()) <= 6
    release.set()
    ours.close(HANG_SECONDS)

    assert got[-5:] == [alert(number).id for number in range(25, 30)]
    assert len(got) <= 6
    assert "too slow" in caplog.text
    assert ours.outbox() == ()


def test_the_outbox_is_taken_up(place: Place) -> None:
    """What an earlier process could not deliver goes to the sinks that lack it, once, and to no others."""
    one: list[str] = []
    two: list[str] = []
    ours = dispatch(place, lambda given: one.append(given.id), lambda given: two.append(given.id))
    for _ in range(2):
        ours.take_up([(alert(1), ("call-2",)), (alert(2), ("gone",))])
    ours.close(HANG_SECONDS)

    assert (one, two) == ([], [alert(1).id])


def test_sinks_of_a_kind_are_numbered(place: Place) -> None:
    """Several sinks of a kind have names of their own, the same ones each time they are opened."""
    sinks = as_sinks([print, JsonlSink("a"), print, JsonlSink("b")])
    for _ in range(2):
        Dispatch(sinks, place).close(0)

    assert [sink.name for sink in sinks] == ["call", "jsonl", "call-2", "jsonl-2"]


def test_what_a_caller_means() -> None:
    """A callable, a sink, several of these, or none."""
    sink = CallSink(print)

    assert as_sinks(None) == []
    assert as_sinks(sink) == [sink]
    assert [type(each) for each in as_sinks(print)] == [CallSink]
    assert as_sinks([sink, None, [sink]]) == [sink, sink]  # type: ignore[list-item]


# JSON lines


def test_json_lines(place: Place, tmp_path: Path) -> None:
    """Each alert is a line of the file, which is private to its owner; a relative path begins in the lake."""
    ours = dispatch(place, JsonlSink("alerts.jsonl"))
    for number in range(3):
        ours.send(alert(number, group={"user_id": "a\nb\u2028"}))
    ours.close(HANG_SECONDS)

    file = tmp_path / "alerts.jsonl"
    lines = file.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [alert(number).id for number in range(3)]
    assert file.stat().st_mode & 0o777 == 0o600


def test_json_lines_are_one_write_each_and_synced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is one write, and is on the disk before the alert counts as delivered."""
    calls: list[str] = []
    for name in ("write", "fsync"):
        real = getattr(os, name)
        monkeypatch.setattr(room.os, name, lambda *args, _name=name, _real=real: (calls.append(_name), _real(*args))[1])
    sink = JsonlSink("alerts.jsonl")
    sink.open(place, "jsonl")
    sink.deliver(alert(1))
    first, calls[:] = list(calls), []
    sink.deliver(alert(2))

    assert first == ["write", "fsync", "fsync"]  # the last one is the folder's, for the new name
    assert calls == ["write", "fsync"]


def test_json_lines_after_a_torn_one(place: Place, tmp_path: Path) -> None:
    """A line that a crash cut off stays one by itself."""
    (tmp_path / "alerts.jsonl").write_text('{"id": "cut')
    sink = JsonlSink("alerts.jsonl")
    sink.open(place, "jsonl")
    sink.deliver(alert(1))

    torn, whole = (tmp_path / "alerts.jsonl").read_text().splitlines()
    assert (torn, json.loads(whole)["id"]) == ('{"id": "cut', alert(1).id)


def test_json_lines_on_a_full_disk(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that does not fit leaves nothing behind, and is tried again until it does."""
    real, full, refused = os.write, threading.Event(), []
    full.set()

    def write(descriptor: int, data: bytes) -> int:
        if full.is_set() and b"policy_id" in data:
            refused.append(data)
            return real(descriptor, data[:9])
        return real(descriptor, data)

    monkeypatch.setattr(room.os, "write", write)
    monkeypatch.setattr(room, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(room, "_LONGEST_WAIT", 0.02)
    ours = dispatch(place, JsonlSink("alerts.jsonl"))
    for number in range(3):
        ours.send(alert(number))
    until(lambda: len(refused) > 2)
    assert len(ours.outbox()) == 3
    full.clear()
    until(lambda: not ours.outbox())
    ours.close(HANG_SECONDS)

    lines = (tmp_path / "alerts.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [alert(number).id for number in range(3)]
