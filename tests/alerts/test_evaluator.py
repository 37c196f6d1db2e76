"""The evaluator on small lakes: what counts, what does not, and what survives."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from itertools import product
from pathlib import Path

import duckdb
import pytest

from auditlake import AuditEvent
from auditlake.alerts import evaluator as room
from auditlake.alerts import live_batches
from auditlake.disk.layout import Layout
from auditlake.events.times import instant
from auditlake.landing.segments import Position
from tests.alerts.conftest import Make
from tests.alerts.lakes import BASE, HOUR, MINUTE, SECOND, Play, event, policy
from tests.soak import mostly

THREE = {"watched": policy(3)}


def told(play: Play) -> list[tuple[str, dict[str, str], int, int]]:
    """Of each alert and resolution: kind, group, seconds after BASE, count."""
    return [
        (alert.kind, dict(alert.group), (alert.at - instant(BASE)) // timedelta(seconds=1), alert.count)
        for alert in play.sent.alerts
    ]


def write(layout: Layout, *lines: str) -> None:
    """Lines of a writer that checks nothing."""
    path = layout.segment(7, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def raw(number: int, **fields: object) -> str:
    """A line that no trail would write."""
    plain = {"event_id": f"r{number}", "event_type": "login", "timestamp": "2026-11-24T06:00:00Z", "user_id": "ann"}
    return json.dumps({**plain, **fields})


def test_a_storm_is_one_alert(make: Make) -> None:
    """Fifty logins at a threshold of three are one alert, raised at the third (defect B5)."""
    play = make(THREE, lateness=10 * MINUTE)
    for number in range(50):
        play.now = BASE + number * SECOND // 10
        play.log(event(play.now))
        if number % 10 == 0:
            play.evaluate()
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 0, 3)]
    assert play.alerts[0].at == instant(BASE + SECOND // 5)


@pytest.mark.parametrize("number", [4, None])
def test_a_number_that_was_anothers_too(number: int | None, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a host gives its number up, what it reads in the landing from then on counts, wherever it had come to."""
    numbers = [3, number]
    monkeypatch.setattr(room, "host_number", lambda _: numbers[0])
    play = make(THREE, lateness=10 * MINUTE)
    play.now = BASE
    play.log(event(BASE))
    play.evaluate()
    assert play.evaluator is not None
    play.evaluator._positions = dict.fromkeys(play.evaluator._positions, Position(99, 0))
    numbers.pop(0)
    play.log(event(BASE), event(BASE))
    play.evaluate()

    assert len(play.alerts) == 1


def test_old_events_alert_late(make: Make) -> None:
    """Fifty failures dated thirty hours ago alert once they are flushed, as late (defect B9)."""
    play = make({"watched": policy(3, window="24h", types="[auth_failure]")}, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(event(BASE - 30 * HOUR + n * SECOND, event_type="auth_failure") for n in range(50)))
    play.evaluate()
    assert told(play) == []

    play.flush()
    play.evaluate()

    assert [(alert.kind, alert.late, alert.count) for alert in play.sent.alerts] == [
        ("threshold_exceeded", True, 3), ("resolved", True, 0),
    ]  # fmt: skip
    assert play.alerts[0].at == instant(BASE - 30 * HOUR + 2 * SECOND)


def test_a_condition_that_fails_stops_no_other_policy(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A policy whose condition DuckDB cannot evaluate is named and left out; the others alert."""
    play = make({"odd": policy(1, where="action = 'odd'"), **THREE}, lateness=10 * MINUTE)
    counted = live_batches.rows

    def fail(connection: duckdb.DuckDBPyConnection, sql: str, values: object = None) -> list[tuple[object, ...]]:
        if "'odd'" in sql:
            raise duckdb.NotImplementedException("Not implemented Error: this is new")
        return counted(connection, sql, values)  # type: ignore[arg-type]

    play.evaluate()
    monkeypatch.setattr(live_batches, "rows", fail)
    with caplog.at_level(logging.ERROR):
        play.log(*(event(BASE + number * SECOND) for number in range(3)))
        play.evaluate()
        play.log(*(event(BASE + HOUR + number * SECOND) for number in range(3)))
        play.now = BASE + HOUR + MINUTE
        play.evaluate()
    assert [kind for kind, *_ in told(play)].count("threshold_exceeded") == 2
    assert caplog.text.count("policy odd is not evaluated") == 1


def test_old_events_alert_although_nobody_watched(make: Make) -> None:
    """The same where the evaluator begins only after the flush."""
    play = make({"watched": policy(3, window="24h")}, lateness=10 * MINUTE)
    play.log(*(event(BASE - 30 * HOUR + n * SECOND) for n in range(50)))
    play.flush()
    play.evaluate()

    assert [alert.late for alert in play.alerts] == [True]


def test_late_events_wait_over_a_restart(make: Make) -> None:
    """Late events that are not flushed yet alert although the evaluator that read them is gone."""
    play = make({"watched": policy(3, window="24h")}, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(event(BASE - 30 * HOUR) for _ in range(3)))
    play.evaluate()
    play.stop()
    play.evaluate()
    assert told(play) == []
    play.flush()
    play.evaluate()

    assert [(alert.kind, alert.late) for alert in play.sent.alerts] == [
        ("threshold_exceeded", True),
        ("resolved", True),
    ]


def test_late_events_that_are_not_all_judged(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the table and was not judged before the evaluator ended is judged by the next one."""
    play = make({"watched": policy(3, window="24h")}, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(event(BASE - 30 * HOUR) for _ in range(3)))
    play.evaluate()
    play.flush()
    with monkeypatch.context() as patch:
        patch.setattr(room, "_LATE_SECONDS", -1.0)
        assert play.cycle()
        play.stop()
    assert told(play) == []
    play.evaluate()

    assert len(play.alerts) == 1


def test_late_events_of_several_policies(make: Make) -> None:
    """All that a flush brought is judged before there is nothing more to do, whichever policies wait for it."""
    play = make({name: policy(3, window="24h") for name in ("one", "two")}, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(event(BASE - 30 * HOUR) for _ in range(3)))
    play.evaluate()
    play.flush()
    play.evaluate()

    assert sorted(alert.policy_id for alert in play.alerts) == ["one", "two"]


def test_late_events_count_for_what_comes_after_them(make: Make) -> None:
    """An event that is too late to be judged at its time counts in windows that are not past yet."""
    play = make({"watched": policy(3, window="1h")}, lateness=10 * MINUTE)
    play.evaluate()
    play.log(event(BASE - 30 * MINUTE))
    play.evaluate()
    play.log(event(BASE), event(BASE))
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 0, 3)]
    play.flush()
    play.evaluate()
    assert len(play.alerts) == 1


@pytest.mark.parametrize(
    ("ahead", "restarted"),
    mostly(
        product([5 * SECOND, 5 * MINUTE, 3 * HOUR], [False, True]),
        always=[(5 * SECOND, False), (5 * MINUTE, True), (3 * HOUR, False)],
    ),
)
def test_future_events_wait_for_the_clock(make: Make, ahead: int, restarted: bool) -> None:
    """Events of the future count once the clock has reached them, near or far, flushed or not."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(event(BASE + ahead) for _ in range(3)))
    play.evaluate()
    play.flush()
    for at in range(BASE, BASE + ahead, ahead // 5):
        play.now = at
        play.evaluate()
    assert told(play) == []
    if restarted:
        play.stop()
    play.now = BASE + ahead
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, ahead // SECOND, 3)]


def test_far_future_events_count_with_later_ones(make: Make) -> None:
    """An event dated hours ahead counts together with those that are logged when its time has come."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.log(event(BASE + HOUR))
    play.evaluate()
    play.now = BASE + HOUR
    play.log(event(play.now), event(play.now))
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 3600, 3)]


@pytest.mark.parametrize("between", mostly(["nothing", "flush", "restart", "crash"], always=["flush", "crash"]))
def test_duplicates_count_once(make: Make, between: str) -> None:
    """The same event, however often it is logged, counts once."""
    play = make(THREE, lateness=10 * MINUTE)
    same = event(BASE, event_id="same")
    play.log(same, event(BASE), same)
    play.evaluate()
    if between == "flush":
        play.flush()
    elif between != "nothing":
        play.stop(crash=between == "crash")
    play.log(same, trail=1)
    play.evaluate()
    assert told(play) == []
    play.log(event(BASE))
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 0, 3)]


@pytest.mark.parametrize("restarted", mostly([False, True], always=[True]))
def test_conflicts_do_not_count(make: Make, restarted: bool) -> None:
    """What comes under a known id and says something else ends in quarantine, and does not alert."""
    play = make(THREE, lateness=10 * MINUTE)
    play.log(event(BASE, event_id="a"), event(BASE, event_id="b", action="one"))
    play.evaluate()
    if restarted:
        play.stop()
    play.log(event(BASE - SECOND, event_id="b", action="two"))
    play.evaluate()
    play.now = BASE + 30 * MINUTE
    summary = play.lake.flush()
    play.evaluate()

    assert told(play) == []
    assert summary.quarantined == 1


def test_what_is_quarantined_never_alerts(make: Make) -> None:
    """Lines that an ingest would refuse count nowhere."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    good = raw(0)
    write(
        play.lake.layout, good, raw(1),
        raw(2, event_type="no such type"), raw(3, timestamp="yesterday"), raw(4, timestamp="1969-01-01T00:00:00Z"),
        raw(5, user_id=["ann"]), raw(6)[:-1], good[:-1] + ', "event_id": "r7"}', "[]", "NaN", raw(8) + "x",
        raw(9).replace('"ann"', '"ann", "details": NaN'),
    )  # fmt: skip
    play.evaluate()
    assert told(play) == []
    write(play.lake.layout, raw(10))
    play.evaluate()

    assert [kind for kind, *_ in told(play)] == ["threshold_exceeded"]


def test_lines_without_an_id_count_each(make: Make) -> None:
    """Two equal lines that bring no id are two events."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    line = raw(0, event_id=None)
    write(play.lake.layout, line, line)
    play.evaluate()
    write(play.lake.layout, line)
    play.evaluate()

    assert [kind for kind, *_ in told(play)] == ["threshold_exceeded"]


def test_unknown_groups_are_never_pooled(make: Make) -> None:
    """Events without a user belong to no group."""
    play = make(THREE)
    play.log(*(event(BASE, None) for _ in range(9)), event(BASE), event(BASE))
    play.evaluate()

    assert told(play) == []


def test_conditions_are_those_of_reports(make: Make) -> None:
    """A condition that fails on an event leaves it out, and no other."""
    play = make({"watched": policy(2, where="cast(resource as integer) > 5", group_by=())}, lateness=HOUR)
    play.log(event(BASE, resource="no number"), event(BASE, resource="7"), event(BASE, resource="3"))
    play.evaluate()
    assert told(play) == []
    play.log(event(BASE, resource="8"))
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {}, 0, 2)]


def test_groups_of_several_columns(make: Make) -> None:
    """A group is named by all of its columns, and an alert has the id of the report's finding."""
    play = make({"watched": policy(2, group_by=("user_id", "ip_address"))}, lateness=HOUR)
    for address in ("10.0.0.1", "::1", "10.0.0.1"):
        play.log(event(BASE, ip_address=address))
    play.evaluate()
    play.now += HOUR

    assert told(play) == [("threshold_exceeded", {"user_id": "ann", "ip_address": "10.0.0.1"}, 0, 2)]
    (finding,) = play.lake.report("watched", pages=False).report.violations
    assert play.alerts[0].id == finding.id


def test_what_was_ingested_counts(make: Make, tmp_path: Path) -> None:
    """Events of files count with those that are logged; what files bring of long ago alerts nobody."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.lake.ingest([event(BASE - HOUR) for _ in range(5)])
    play.lake.ingest([event(BASE), event(BASE)])
    play.evaluate()
    play.log(event(BASE))
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 0, 3)]


@pytest.mark.parametrize("restarted", mostly([False, True], always=[True]))
def test_remapped_events_are_not_new(make: Make, restarted: bool) -> None:
    """Events that get a watched type by a remap alert nobody, also after a restart; what comes then does."""
    play = make(THREE, lateness=10 * MINUTE)
    mapping = play.lake.layout.root / "sources" / "doors.yaml"
    mapping.parent.mkdir()
    mapping.write_text(
        "source: doors\nmatch: [at]\ntimestamp: at\nuser_id: who\naction: who\nevent_type: [api_call: true]\n"
    )
    play.evaluate()
    file = play.lake.layout.root.parent / f"{play.lake.layout.root.name}.jsonl"
    at = instant(BASE - HOUR).isoformat()
    file.write_text("".join(json.dumps({"at": at, "who": "ben", "n": n}) + "\n" for n in range(5)))
    play.lake.ingest(file, source="doors")
    play.evaluate()
    mapping.write_text(mapping.read_text().replace("api_call", "login"))
    assert play.lake.sources.remap("doors", accept_weaker="tests").events == 5
    if restarted:
        play.stop()
    play.evaluate()
    assert told(play) == []
    play.log(*(event(BASE) for _ in range(3)))
    play.evaluate()
    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 0, 3)]


def test_what_was_removed_before_it_was_read(make: Make) -> None:
    """Events alert that a flush took out of the landing before the evaluator had read them, late ones too."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(event(BASE) for _ in range(3)), *(event(BASE - HOUR, "ben") for _ in range(3)))
    play.end_trails()
    play.flush()
    assert not list(play.lake.layout.landing.glob("*/*.jsonl"))
    play.evaluate()

    assert sorted((user["user_id"], at) for kind, user, at, _ in told(play) if kind != "resolved") == [
        ("ann", 0), ("ben", -3600),
    ]  # fmt: skip


def test_a_lagging_evaluator_misses_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads a little at a time, while segments come and go under it, counts every event once."""
    monkeypatch.setattr(room, "_BATCH_BYTES", 1)
    monkeypatch.setattr(room, "_CYCLE_BYTES", 1)
    play = make({"watched": policy(22)}, lateness=10 * MINUTE)
    play.evaluate()
    for number in range(7):
        play.log(*(event(BASE) for _ in range(3)), trail=number % 2)
        if number % 3 == 0:
            play.end_trails()
        if number % 4 == 0:
            play.flush()
        play.cycle()
    play.evaluate()
    assert told(play) == []
    play.log(event(BASE))
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 0, 22)]


def test_memory_is_bounded(make: Make) -> None:
    """However many events are in the window, each group keeps a few; groups that fell silent are forgotten."""
    play = make({"watched": policy(5, window="1h"), "all": policy(5, window="24h", group_by=())}, lateness=MINUTE)
    play.evaluate()
    for number in range(15):
        play.now = BASE + number * 10 * SECOND
        play.log_many(event(play.now - n * 1000, f"user {n % 20}") for n in range(200))
        play.evaluate()
        assert play.kept <= 21 * 4 * 5
    play.now += 2 * HOUR
    play.evaluate()
    assert play.kept <= 2 * 5
    play.now += 25 * HOUR
    play.evaluate()

    assert play.kept == 0
    assert len(play.resolutions) == len(play.alerts) == 21


def test_the_clock_ends_an_episode(make: Make) -> None:
    """Where nothing more comes, an episode ends when the clock has passed its end, and the resolution names it."""
    play = make(THREE, lateness=10 * MINUTE)
    play.log(event(BASE - 2 * SECOND), event(BASE - SECOND), event(BASE))
    play.evaluate()
    for seconds in (10, 17, 18, 19):
        play.now = BASE + seconds * SECOND
        play.evaluate()

    assert told(play) == [
        ("threshold_exceeded", {"user_id": "ann"}, 0, 3), ("resolved", {"user_id": "ann"}, 18, 2),
    ]  # fmt: skip
    assert play.alerts[0].id == play.resolutions[0].id
    assert play.resolutions[0].raised_at == instant(BASE + 19 * SECOND)


def test_an_episode_that_goes_on_after_all(make: Make) -> None:
    """Should an event come that makes an ended episode go on, its alert is given again under the same id."""
    play = make(THREE, lateness=10 * MINUTE)
    play.log(event(BASE), event(BASE), event(BASE + SECOND))
    play.now = BASE + SECOND
    play.evaluate()
    play.now = BASE + 22 * SECOND
    play.evaluate()
    play.log(*(event(BASE + 15 * SECOND) for _ in range(3)))
    play.evaluate()
    play.now = BASE + MINUTE
    play.evaluate()

    kinds = [(alert.kind, (alert.at - instant(BASE)) // timedelta(seconds=1)) for alert in play.sent.alerts]
    assert kinds == [("threshold_exceeded", 1), ("resolved", 20), ("threshold_exceeded", 1), ("resolved", 35)]
    assert len({alert.id for alert in play.sent.alerts}) == 1


def test_a_restart_repeats_and_misses_nothing(make: Make) -> None:
    """After a restart an episode under way has its alert, and what came meanwhile gets one."""
    play = make(THREE, lateness=10 * MINUTE)
    play.log(*(event(BASE) for _ in range(3)))
    play.evaluate()
    play.stop()
    play.now += 5 * SECOND
    play.log(event(play.now), *(event(play.now, "ben") for _ in range(3)))
    play.evaluate()
    play.stop()
    play.now += HOUR
    play.evaluate()

    assert told(play) == [
        ("threshold_exceeded", {"user_id": "ann"}, 0, 3),
        ("threshold_exceeded", {"user_id": "ben"}, 5, 3),
        ("resolved", {"user_id": "ann"}, 20, 0),
        ("resolved", {"user_id": "ben"}, 25, 0),
    ]


@pytest.mark.parametrize("hours", mostly([1, 40, 24 * 20], always=[40]))
def test_an_absence(make: Make, hours: int) -> None:
    """Episodes that came and went while nobody watched are alerted afterwards, each once."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.stop()
    play.log(*(event(BASE + MINUTE) for _ in range(3)))
    play.now += HOUR // 2
    play.flush()
    play.log(*(event(BASE + 2 * MINUTE) for _ in range(3)))
    play.now = BASE + hours * HOUR
    play.evaluate()
    play.flush()
    play.evaluate()
    play.stop()
    play.evaluate()

    assert sorted(at for kind, _, at, _ in told(play) if kind == "threshold_exceeded") == [60, 120]
    assert sorted(at for kind, _, at, _ in told(play) if kind == "resolved") == [80, 140]


def test_an_alert_is_written_down_at_once(make: Make) -> None:
    """A crash after the alerts of a moment were given does not repeat them."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(event(BASE) for _ in range(3)))
    play.evaluate()
    play.stop(crash=True)
    play.evaluate()

    assert len(play.alerts) == 1


def test_an_absence_without_a_flush(make: Make) -> None:
    """Episodes that came and went while nobody watched are alerted at once, in the table or not."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.stop()
    play.log(*(event(BASE + MINUTE) for _ in range(3)))
    play.now += HOUR
    play.evaluate()

    assert [(kind, at) for kind, _, at, _ in told(play)] == [("threshold_exceeded", 60), ("resolved", 80)]


def test_a_crash_may_repeat_but_misses_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the state was never written, the same alerts come again under the same ids."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    monkeypatch.setattr(room.Evaluator, "save", lambda _: None)
    play.log(*(event(BASE) for _ in range(3)))
    play.evaluate()
    play.stop(crash=True)
    play.evaluate()

    assert len(play.alerts) == 2
    assert len({alert.id for alert in play.alerts}) == 1


def test_a_state_that_cannot_be_used(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged state is told of, and does not keep alerts from coming."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.stop()
    (play.lake.layout.alerts / "state.json").write_text('{"format": 1, "judged"')
    play.log(*(event(BASE) for _ in range(3)))
    with caplog.at_level(logging.WARNING, "auditlake.alerts.watch"):
        play.evaluate()

    assert len(play.alerts) == 1
    assert "state.json cannot be used" in caplog.text


def test_a_state_that_cannot_be_written(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Alerts come although the state cannot be written, and that is logged."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    (play.lake.layout.alerts / "state.json").unlink()
    (play.lake.layout.alerts / "state.json").mkdir()
    play.log(*(event(BASE) for _ in range(3)))
    play.evaluate()

    assert len(play.alerts) == 1
    assert "cannot be written" in caplog.text


def test_the_clock_goes_back(make: Make) -> None:
    """After a clock that was a day ahead, counts are right again, and an episode under way is not lost."""
    play = make(THREE, lateness=10 * MINUTE)
    play.log(*(event(BASE) for _ in range(2)))
    play.evaluate()
    play.now = BASE + 24 * HOUR
    play.evaluate()
    play.now = BASE + SECOND
    play.evaluate()
    play.log(event(BASE + SECOND))
    play.evaluate()

    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 1, 3)]


def test_policies_come_and_go(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """An added policy counts what is there, a broken one stays as it was, a removed one is closed."""
    play = make({}, lateness=10 * MINUTE)
    file = play.lake.layout.policy("added")
    play.log(event(BASE), event(BASE))
    play.flush()
    play.log(event(BASE))
    play.evaluate()
    assert told(play) == []

    file.write_text(policy(3))
    play.evaluate()
    assert told(play) == [("threshold_exceeded", {"user_id": "ann"}, 0, 3)]

    file.write_text("name: broken\n")
    play.evaluate()
    assert "added.yaml" in caplog.text
    play.log(*(event(BASE, "ben") for _ in range(3)))
    play.evaluate()
    assert [group["user_id"] for _, group, *_ in told(play)] == ["ann", "ben"]

    play.now += 5 * SECOND
    file.unlink()
    play.evaluate()
    assert [(alert.kind, alert.message) for alert in play.sent.alerts[2:]] == [
        ("resolved", "Watched: the policy was removed")
    ] * 2
    play.log(*(event(play.now, "cy") for _ in range(3)))
    play.evaluate()
    assert len(play.sent.alerts) == 4


def test_a_changed_policy_counts_anew(make: Make) -> None:
    """Another threshold is another question; another description is not."""
    play = make(THREE, lateness=10 * MINUTE)
    play.log(*(event(BASE) for _ in range(3)))
    play.evaluate()
    file = play.lake.layout.policy("watched")
    file.write_text(policy(3) + "severity: critical\n")
    play.evaluate()
    assert len(play.sent.alerts) == 1

    file.write_text(policy(4))
    play.evaluate()
    assert [(alert.kind, alert.message) for alert in play.sent.alerts[1:]] == [
        ("resolved", "Watched: the policy was changed")
    ]
    play.log(event(BASE))
    play.evaluate()
    assert [(alert.kind, alert.threshold) for alert in play.sent.alerts[2:]] == [("threshold_exceeded", 4)]


def test_a_policy_without_a_threshold_is_not_evaluated(make: Make) -> None:
    """One that never had a threshold alerts of nothing, and one that has it no more is closed."""
    beat = "name: Beat\ndescription: d\nrequired_events: [login]\nmax_gap: 1h\n"
    play = make({**THREE, "beat": beat}, lateness=10 * MINUTE)
    play.log(*(event(BASE) for _ in range(3)))
    play.evaluate()
    play.lake.layout.policy("watched").write_text(beat)
    play.log(*(event(BASE, "ben") for _ in range(3)))
    play.evaluate()

    assert [(alert.kind, alert.message) for alert in play.sent.alerts[1:]] == [
        ("resolved", "Watched: the policy was changed")
    ]


def test_the_first_instants_of_all(make: Make) -> None:
    """Events of the first moments of 1970 are judged like any other."""
    play = make(THREE, lateness=10 * MINUTE)
    play.evaluate()
    play.log(*(AuditEvent("login", instant(n), user_id="ann") for n in range(3)))
    play.flush()
    play.evaluate()

    assert [(alert.at, alert.late) for alert in play.alerts] == [(instant(2), True)]
