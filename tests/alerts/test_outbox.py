"""What lies in a sink's folder or is refused there holds up nothing else, and nothing is forgotten in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from auditlake import testing
from auditlake.alerts import sinks
from auditlake.alerts.sinks import CallSink, Dispatch, Place
from auditlake.events.times import micros
from tests.alerts.samples import alert
from tests.alerts.test_people import NOON, Kept, ids, rounds
from tests.waiting import HANG_SECONDS, until


@pytest.fixture
def clock() -> testing.Clock:
    return testing.Clock(NOON)


@pytest.fixture
def place(tmp_path: Path, clock: testing.Clock) -> Place:
    return Place(tmp_path, tmp_path / "alerts", clock)


@pytest.mark.parametrize("data", [b'{"id": "torn', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_alert_of_the_day(
    place: Place, clock: testing.Clock, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An alert of the day that cannot be read stays where it is and is logged, and the others are sent."""
    rounds(place, alert(1, raised_at=NOON))
    (day,) = place.folder.glob("undelivered/*/day")
    (day / f"{micros(NOON - timedelta(minutes=1)):020d}-0000000001-x-resolved.json").write_bytes(data)
    clock.move("21h")

    assert ids(rounds(place)) == [[alert(1).id]]
    assert len([*day.iterdir()]) == 1
    assert "alert x-resolved cannot be read" in caplog.text


def test_alerts_of_the_day_when_the_setting_goes(place: Place) -> None:
    """Where a sink has no time of day any more, what waited for it is sent one by one, in order."""
    assert ids(rounds(place, *(alert(n, raised_at=NOON + timedelta(seconds=n)) for n in range(3)))) == []
    assert [document["id"] for _, document in rounds(place, digest=None).got] == [alert(n).id for n in range(3)]
    assert not [*place.folder.rglob("*.json")]


def test_a_sink_that_cannot_keep_alerts(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk refuses one sink, that is logged, the others get their alerts, and it gets its own later."""
    monkeypatch.setattr(sinks, "_FIRST_WAIT", 0.01)
    (place.folder / "undelivered").mkdir(parents=True)
    in_the_way = place.folder / "undelivered" / "kept"
    in_the_way.write_text("in the way")
    got: list[str] = []
    kept = Kept(digest=None)
    ours = Dispatch([kept, CallSink(lambda given: got.append(given.id))], place)
    ours.send(alert(1))
    until(lambda: got and "could not be delivered to kept" in caplog.text)
    assert "alerts cannot be kept for nowhere" in caplog.text
    in_the_way.unlink()
    until(lambda: kept.got)
    ours.close(HANG_SECONDS)
