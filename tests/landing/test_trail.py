"""Logging events: what is recorded, what is refused, how segments follow each other, how a trail ends."""

from __future__ import annotations

import gc
import json
import logging
import shutil
import stat
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.disk.layout import Layout
from auditlake.errors import EventError, LakeError, LakeFormatError, LandingError
from auditlake.landing import trail as room
from auditlake.landing.segments import segments
from auditlake.landing.trail import TrailOptions
from tests.lakes import create
from tests.landing.lakes import DURABILITIES, NOW, check, event, ids, lines, made, names, torn, trail
from tests.soak import mostly
from tests.waiting import HANG_SECONDS, until


@pytest.mark.parametrize("durability", DURABILITIES)
def test_what_is_logged_is_there(durability: str, layout: Layout) -> None:
    """Once log has given the id, the event is a whole line of the landing, as canonical JSON with that id."""
    with trail(layout, durability=durability) as log:
        given = [log.log(event(number)) for number in range(20)]
        assert ids(layout) == given

    assert [line["user_id"] for line in lines(layout)] == [f"user {number}" for number in range(20)]
    assert {uuid.UUID(each).version for each in given} == {7}
    assert torn(layout) == []


def test_an_event_keeps_its_own_id(lake: AuditLake) -> None:
    """An event with an id is recorded with it; an empty id is none."""
    own = event(event_id="own")

    assert lake.log(own) == "own"
    assert lake.log_many([event(1), own, event(2, event_id="")])[1] == "own"
    (first, second, third, fourth) = lines(lake.layout)
    assert [first["event_id"], third["event_id"]] == ["own", "own"]
    assert first == json.loads(own.to_json())
    assert uuid.UUID(second["event_id"]).version == uuid.UUID(fourth["event_id"]).version == 7


def test_an_event_is_recorded_as_it_was_made(lake: AuditLake) -> None:
    """What happens to the mappings of an event after it was made changes nothing."""
    details = {"a": 1}
    made_event = event(details=details)
    details["a"] = 2
    lake.log(made_event)

    assert lines(lake.layout)[0]["details"] == {"a": 1}


@pytest.mark.parametrize("durability", DURABILITIES)
def test_several_together(durability: str, layout: Layout) -> None:
    """Events that are logged together lie together; none is none."""
    with trail(layout, durability=durability) as log:
        assert log.log_many([]) == []
        assert names(layout) == []
        assert log.log_many(event(number) for number in range(3)) == ids(layout)


WRONG: dict[str, tuple[Any, str]] = {
    "no event": ({"event_type": "login"}, "expected an AuditEvent, got dict"),
    "the JSON of an event": (event().to_json(), "expected an AuditEvent, got str"),
    "None": (None, "expected an AuditEvent, got NoneType"),
    "unknown type": (AuditEvent("loging", NOW), "this lake does not know 'loging'"),
    "too long": (event(details={"a": "x" * 2000}), "bytes as JSON, this lake takes at most 1000"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_leaves_nothing(name: str, layout: Layout) -> None:
    """What cannot be recorded is one clear error; alone or among others, nothing of it is kept."""
    wrong, message = WRONG[name]
    terms = room.Terms(frozenset({"login"}), 1000)
    with room.Trail(layout, terms) as log:
        with pytest.raises(EventError, match=message):
            log.log(wrong)
        with pytest.raises(EventError, match=message):
            log.log_many([event(1), wrong, event(2)])
        assert names(layout) == []
        assert [log.log(event(3))] == ids(layout)


def test_events_up_to_the_limit(layout: Layout) -> None:
    """An event is as long as its JSON, with its id and without the newline."""
    size = len(event(event_id="x").to_json())
    for most, fits in ((size, True), (size - 1, False)):
        with room.Trail(layout, room.Terms(frozenset({"login"}), most)) as log:
            if fits:
                log.log(event(event_id="x"))
            else:
                with pytest.raises(EventError, match="at most"):
                    log.log(event(event_id="x"))


def test_close_names_are_told(lake: AuditLake) -> None:
    """An unknown type is refused with the names that are like it, or with how to declare it."""
    with pytest.raises(EventError) as raised:
        lake.log(AuditEvent("logi", NOW))
    assert raised.value.hint == "close to it: login, logout"
    with pytest.raises(EventError) as raised:
        lake.log(AuditEvent("zzz" * 100, NOW))
    assert "lake.toml" in raised.value.hint
    assert len(str(raised.value)) < 150


def test_declared_types_are_known(tmp_path: Path) -> None:
    """A type that lake.toml declares can be logged."""
    lake = create(tmp_path / "lake", event_types=["badge_read"])
    assert lake.log(AuditEvent("badge_read", NOW)) == ids(lake.layout)[0]


@pytest.mark.parametrize(
    "options",
    [{"durability": "none"}, {"interval_ms": 0}, {"segment_bytes": 0}, {"segment_bytes": 1 << 36},
     {"segment_seconds": -1}, {"flush_seconds": 0}],
)  # fmt: skip
def test_settings_that_make_no_sense(options: dict[str, Any], lake: AuditLake) -> None:
    """A setting that cannot be meant is refused by name."""
    with pytest.raises(LakeError, match=next(iter(options))):
        lake.trail(**options)


# --- Segments ---


@pytest.mark.parametrize("durability", DURABILITIES)
def test_segments_are_full_at_some_size(durability: str, layout: Layout) -> None:
    """A segment that would become longer than it may is followed by the next one; a longer event has one of its own."""
    size = len(event().to_json()) + len('"event_id":"",') + 36 + 1
    with trail(layout, durability=durability, segment_bytes=3 * size) as log:
        given = [log.log(event()) for _ in range(7)]
        given.append(log.log(event(details={"a": "x" * 4 * size})))
        given.append(log.log(event()))
        assert [each.size // size for each in segments(layout)][:3] == [3, 3, 1]

    assert names(layout) == ["0/1", "0/2", "0/3", "0/4", "0/5"]
    assert ids(layout) == given


def test_segments_get_old(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that is old enough is followed by the next one, however the time of day is set meanwhile."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    now = time.monotonic()
    with trail(layout, segment_seconds=60) as log:
        given = [log.log(event())]
        monkeypatch.setattr(time, "monotonic", lambda: now + 50)
        given.append(log.log(event()))
        assert names(layout) == ["0/1"]
        monkeypatch.setattr(time, "monotonic", lambda: now + 70)
        given.append(log.log(event()))
        assert names(layout) == ["0/1", "0/2"]
    assert ids(layout) == given
    assert len(set(given)) == 3


def test_a_clock_that_is_set_back(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps back neither doubles an id nor starts or keeps a segment."""
    real, shift = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + shift[0])
    with trail(layout, durability="os", segment_seconds=3600) as log:
        given = []
        for step in range(300):
            shift[0] -= (step % 3) * 3_700_000_000_000
            given.append(log.log(event()))

    assert len(set(given)) == 300
    assert ids(layout) == given
    assert names(layout) == ["0/1"]


def test_each_writer_has_a_slot(layout: Layout) -> None:
    """Trails write to slots of their own; a slot that was given back is taken again, with a new segment."""
    first, second = trail(layout), trail(layout)
    first.log(event())
    second.log(event())
    assert names(layout) == ["0/1", "1/1"]
    first.close()
    with trail(layout) as third:
        third.log(event())
        assert names(layout) == ["0/1", "0/2", "1/1"]
    second.close()


def test_what_is_ours_is_private(layout: Layout) -> None:
    """Folders and files of the landing are for their owner only."""
    with trail(layout) as log:
        log.log(event())
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in layout.landing.rglob("*")}

    assert found == {
        layout.slot(0): 0o700, layout.slot(0) / "lock": 0o600, layout.segment(0, 1): 0o600,
    }  # fmt: skip


def test_a_lake_without_its_landing(layout: Layout) -> None:
    """What copies a lake may leave out empty folders."""
    layout.landing.rmdir()
    with trail(layout) as log:
        assert [log.log(event())] == ids(layout)


def test_a_lake_that_is_gone(layout: Layout, tmp_path: Path) -> None:
    """A lake that cannot be written to is one clear error, and logging works once it can be."""
    moved = layout.root.rename(tmp_path / "moved")
    with trail(layout) as log:
        with pytest.raises(LandingError, match="a new segment could not be made: No such file"):
            log.log(event())
        moved.rename(layout.root)
        assert [log.log(event())] == ids(layout)


def test_a_table_that_cannot_be_read(layout: Layout) -> None:
    """Where it is not known how far a slot was read, nothing is logged into it; the error says what is wrong."""
    entry = layout.commit(0)
    text = entry.read_bytes()
    entry.write_bytes(b"")
    for durability in DURABILITIES:
        with trail(layout, durability=durability) as log:
            with pytest.raises(LakeFormatError):
                log.log(event())
            entry.write_bytes(text)
            log.log(event())
            entry.write_bytes(b"")
    assert len(ids(layout)) == 3


# --- Durability ---


def test_sync_before_the_acknowledgement(layout: Layout) -> None:
    """With "sync", every call syncs what it wrote; with the others, none does."""
    for durability, expected in (("sync", 5), ("os", 0), ("interval", 0)):
        syncs: list[int] = []
        with trail(layout, durability=durability, interval_ms=60_000, sync=syncs.append) as log:
            for number in range(5):
                log.log(event(number))
                assert len(syncs) == (number + 1 if expected else 0)
            log.sync()
            assert len(syncs) == (expected or 1)
            log.log(event(6))
        assert len(syncs) == (expected or 1) + 1  # at the latest when it is closed


def test_sync_of_nothing(layout: Layout) -> None:
    """A trail that has logged nothing has nothing to sync, and makes nothing."""
    with trail(layout) as log:
        log.sync()
    assert names(layout) == []
    assert list(layout.landing.iterdir()) == []


def test_interval_syncs_behind(layout: Layout) -> None:
    """With "interval", a thread syncs what was written, and does nothing where nothing was."""
    synced = Event()
    syncs: list[int] = []

    def sync(descriptor: int) -> None:
        syncs.append(descriptor)
        synced.set()

    with trail(layout, durability="interval", interval_ms=1, sync=sync) as log:
        for count in (1, 2):
            synced.clear()
            log.log(event())
            assert synced.wait(HANG_SECONDS)
            segment = log._writer.segment
            assert segment is not None
            until(lambda segment=segment: segment.synced == segment.length)
            log._sync_behind()
            assert len(syncs) == count


def test_a_rotated_segment_is_synced(layout: Layout) -> None:
    """Before a segment is left for the next one, all of it is on the disk, with every durability."""
    for durability in ("interval", "os"):
        syncs: list[int] = []
        with trail(layout, durability=durability, interval_ms=60_000, segment_bytes=1, sync=syncs.append) as log:
            for number in range(3):
                log.log(event(number))
                assert len(syncs) == number


# --- The end ---


def test_a_closed_trail_takes_nothing(layout: Layout) -> None:
    """A trail that is closed says so; closing it again does nothing."""
    for durability in DURABILITIES:
        log = trail(layout, durability=durability)
        log.log(event())
        log.close()
        log.close()
        with pytest.raises(LandingError, match="closed"):
            log.log(event())
    assert len(ids(layout)) == 3
    assert [each.open for each in segments(layout)] == [False] * 3


def test_a_trail_that_was_never_used(layout: Layout) -> None:
    """A trail that logs nothing leaves nothing."""
    trail(layout).close()
    assert list(layout.landing.iterdir()) == []


def test_a_trail_that_nobody_holds_is_closed(layout: Layout) -> None:
    """A lake that is dropped gives its slot back, threads or not."""
    log = trail(layout, durability="interval", interval_ms=1, flush=lambda: None, flush_seconds=0.001)
    log.log(event())
    assert [each.open for each in segments(layout)] == [True]
    del log
    until(lambda: gc.collect() >= 0 and [each.open for each in segments(layout)] == [False])


def test_a_trail_in_a_circle_is_closed(layout: Layout) -> None:
    """A trail that only the collector can find is synced and closed before its files are taken."""
    for durability in DURABILITIES:
        synced: list[int] = []
        circle: list[object] = [trail(layout, durability=durability, interval_ms=60_000, sync=synced.append)]
        circle[0].beside = circle  # type: ignore[attr-defined]
        gc.collect(0)  # the collector looks at what is younger, the files, before it
        circle[0].log(event())  # type: ignore[attr-defined]
        del circle
        gc.collect()
        assert len(synced) == 1
    assert [each.open for each in segments(layout)] == [False] * 3


@pytest.mark.parametrize("durability", mostly(DURABILITIES, always=["interval"]))
def test_the_interpreter_exits(durability: str, layout: Layout) -> None:
    """At the exit of the interpreter everything logged is synced and the slot is free, though nobody closed it."""
    code = f"""
import os, sys, threading
from tests.landing.lakes import event, trail
from auditlake.disk.layout import Layout
from pathlib import Path
syncs = []
def sync(descriptor):
    os.fdatasync(descriptor)
    syncs.append(os.fstat(descriptor).st_size)
    sys.stdout.write(f"{{syncs[-1]}}\\n")
log = trail(Layout(Path({str(layout.root)!r})), durability={durability!r}, interval_ms=60_000, sync=sync)
log.log_many([event(n) for n in range(100)])
threading.Thread(target=lambda _: threading.Event().wait(), args=(log,), daemon=True).start()  # never garbage
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert int(done.stdout.split()[-1]) == layout.segment(0, 1).stat().st_size
    assert len(ids(layout)) == 100
    assert [each.open for each in segments(layout)] == [False]


def test_one_trail_for_a_lake(lake: AuditLake) -> None:
    """Every log of a lake goes to one trail, whichever threads call it."""
    threads = [Thread(target=lambda: [lake.log(event()) for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids(lake.layout))) == 160
    assert names(lake.layout) == ["0/1"]


# --- Beside it ---


def test_a_flush_in_the_background(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    """A flush runs beside the callers once something was logged; one that fails is told, and tried again. Of failures
    that follow each other, the same one is told once.
    """
    flushed, count = Event(), [0]
    today, tomorrow = LakeError("no flush today"), ValueError("nor tomorrow")
    failures = [today, today, None, today, today, tomorrow, tomorrow, today]

    def flush() -> None:
        count[0] += 1
        if failures and (failure := failures.pop()) is not None:
            raise failure
        if not failures:
            flushed.set()

    log = trail(layout, flush=flush, flush_seconds=0.001)
    assert log._threads is None
    with caplog.at_level(logging.ERROR, "auditlake.landing"):
        log.log(event())
        assert flushed.wait(HANG_SECONDS)
        flushing = log._threads or []
    log.close()
    told = [record.getMessage() + str(record.exc_info or "") for record in caplog.records]
    assert [("today" in each, "nor tomorrow" in each) for each in told] == [
        (True, False), (False, True), (True, False), (True, False),
    ]  # fmt: skip
    assert told[0] == f"{layout.root} cannot be flushed; retrying: no flush today"
    assert flushing
    assert not any(each._thread.is_alive() for each in flushing)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_lake_that_is_removed(durability: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where somebody removes the lake, logging says so, what goes on beside it says so once, and closing ends."""
    lake, rounds = create(tmp_path / "lake"), [0]

    def flush() -> None:
        rounds[0] += 1
        lake.flush()

    log = trail(lake.layout, flush=flush, durability=durability, interval_ms=1, flush_seconds=0.01)
    log.log(event())
    while lake.layout.root.exists():
        shutil.rmtree(lake.layout.root, ignore_errors=True)  # a flush may be at work in it
    with pytest.raises(LandingError, match="it has been removed"):
        until(lambda: log.log(event()) and durability == "os" and log.sync())
    with pytest.raises(LandingError, match="a new segment could not be made: No such file"):
        log.log(event())

    def wait_for_rounds(number: int) -> None:
        last = rounds[0] + number
        until(lambda: rounds[0] >= last)

    wait_for_rounds(3)
    told = len(caplog.records)
    wait_for_rounds(5)
    log.close()
    assert len(caplog.records) == told >= 1
    assert "cannot be flushed" in caplog.records[-1].getMessage()
    assert not lake.layout.root.exists()


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_another_lake_in_its_place(how: str, tmp_path: Path) -> None:
    """Where another lake is put in the place of one, logging goes on in it, in a slot that nobody else holds there."""
    layout = made(tmp_path / "lake").layout
    with trail(layout, segment_bytes=1000) as log:
        log.log(event())
        layout.root.rename(tmp_path / "old")
        if how == "removed":
            shutil.rmtree(tmp_path / "old")
        made(layout.root)
        with trail(layout) as other:
            given = [other.log(event(1))]
            while len(names(layout)) < 2:
                with suppress(LandingError):  # told once, where the segment was removed
                    found = log.log(event(2))
            given += [found, other.log(event(3)), log.log(event(4))]
            assert names(layout) == ["0/1", "1/1"]
            assert check(layout, given) == Counter()


def test_a_flush_that_can_never_be(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    """Where a flush fails for good, as in a forked child of a process that has used delta-rs, it is told once."""

    class PanicError(BaseException):
        pass

    count = [0]

    def flush() -> None:
        count[0] += 1
        raise PanicError

    with trail(layout, flush=flush, flush_seconds=0.001) as log:
        log.log(event())
        until(lambda: log._flush is None)
        log._flush_behind()
        log.log(event())
    assert count == [1]
    assert [record.name for record in caplog.records] == ["auditlake.landing"]
    assert "another process" in caplog.text


def test_a_slow_flush_holds_nobody_up(layout: Layout) -> None:
    """While a flush is at work, events are logged all the same."""
    begun, go_on = Event(), Event()

    def flush() -> None:
        begun.set()
        assert go_on.wait(HANG_SECONDS)

    with trail(layout, flush=flush, flush_seconds=0.001) as log:
        given = [log.log(event())]
        assert begun.wait(HANG_SECONDS)
        given += [log.log(event()) for _ in range(10)]
        assert ids(layout) == given
        go_on.set()


def test_no_flush_where_none_is_wanted(layout: Layout) -> None:
    """A trail without flush_seconds has no thread that flushes."""
    with trail(layout, flush=lambda: None, flush_seconds=None) as log:
        log.log(event())
        assert log._threads == []


def test_a_trail_says_what_it_is(layout: Layout) -> None:
    """A trail shows its durability and its lake."""
    with trail(layout, durability="os") as log:
        assert repr(log) == f"<Trail os {layout.root}>"
        assert log.options == TrailOptions(durability="os")


def test_a_landing_is_no_input(lake: AuditLake) -> None:
    """Each line of the landing is an event that an ingest takes, exactly as it was logged."""
    given = [lake.log(event(number, details={"n": number, "é": [1.5, None]})) for number in range(10)]
    copy = lake.layout.root.parent / "copy.jsonl"
    copy.write_bytes(lake.layout.segment(0, 1).read_bytes())
    summary = lake.ingest(copy)

    assert (summary.landed, summary.quarantined) == (10, 0)
    assert sorted(row[0] for row in lake.sql("select event_id from events")) == sorted(given)


def test_files_of_other_lakes_are_no_segments(tmp_path: Path) -> None:
    """A file that has the next segment's name already is not written to."""
    lake = made(tmp_path / "lake")
    lake.layout.slot(0).mkdir()
    with trail(lake.layout) as log:
        given = [log.log(event())]
        lake.layout.segment(0, 2).write_bytes(b"x\n")
        log._writer._bytes = 1
        with pytest.raises(LandingError, match="it is there already"):
            log.log(event())
        given.append(log.log(event()))
    lake.layout.segment(0, 2).unlink()
    assert not check(lake.layout, given)
    assert names(lake.layout) == ["0/1", "0/3"]
