"""What readers see of a landing: everything once, flushed or not, by the rules of an ingest."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake import AuditEvent, AuditLake
from auditlake.landing import positions
from auditlake.store.snapshot import read_snapshot
from tests.landing.flushing import held, left, line, once, opened, put, seen, stored
from tests.landing.lakes import NOW, event, made, trail
from tests.soak import mostly
from tests.store.lakes import copied
from tests.templates import copy_of

PUBLIC = "select * exclude (ingested_at) from events order by all"


def test_what_was_logged_is_in_the_next_answer(lake: AuditLake) -> None:
    """Events, SQL and statistics have an event at once, and have it once when it is flushed."""
    with trail(lake.layout) as log:
        for number in range(1, 3):
            log.log(event(number))
            assert len(lake.events().fetchall()) == number
            assert lake.sql("select count(distinct event_id) from events").fetchall() == [(number,)]
            assert lake.statistics().total_events == number
            if number == 1:
                lake.flush()
        before = lake.sql(PUBLIC).fetchall()
        lake.flush()
        assert lake.sql(PUBLIC).fetchall() == before
    assert lake.sql(PUBLIC).fetchall() == before
    assert stored(lake).total() == 2


def test_the_columns_are_those_of_flushed_events(lake: AuditLake) -> None:
    """A logged event has every column with the type and the value that it has once it is flushed."""
    with trail(lake.layout) as log:
        log.log(AuditEvent(
            "login", NOW - timedelta(days=3, microseconds=1), user_id="a", action="é\u2028", resource="/", status="ok",
            details={"n": [1, 2.50, None]}, metadata={"k": {}}, session_id="s", ip_address="::1", event_id="own",
        ))  # fmt: skip
    before = lake.sql("describe events").fetchall(), lake.sql("from events").fetchall()
    shown = lake.events().arrow()

    lake.flush()

    assert (lake.sql("describe events").fetchall(), lake.sql("from events").fetchall()) == before
    assert lake.events().arrow().equals(shown)


def test_filters_and_order(lake: AuditLake, tmp_path: Path) -> None:
    """Logged events come in the order of time among the others, and filters hold for them."""
    hours = [NOW - timedelta(hours=5 - n) for n in range(6)]
    flushed, logged = hours[::2], hours[1::2]
    lake.ingest([AuditEvent("login", at, user_id="a") for at in flushed])
    with trail(lake.layout) as log:
        log.log_many([AuditEvent("logout", at, user_id="b") for at in logged])

    assert [at for (at,) in lake.sql("select timestamp from events order by timestamp")] == hours
    assert [row[2] for row in lake.events()] == hours
    assert [row[2] for row in lake.events(event_type="logout", limit=2)] == logged[:2]
    assert [row[2] for row in lake.events(since=hours[1], until=hours[3])] == hours[1:4]
    assert len(lake.events(user_id="b").fetchall()) == 3
    statistics = lake.statistics(as_of=hours[-1])
    assert statistics.events_by_type == {"login": 3, "logout": 3}
    assert (statistics.first_event, statistics.last_event) == (hours[0], hours[5])


def test_policies_count_logged_events(lake: AuditLake) -> None:
    """How a policy stands, with its episodes, counts logged events as those that are flushed."""
    with trail(lake.layout) as log:
        log.log_many([AuditEvent("auth_failure", NOW, user_id="mallory") for _ in range(9)])

    before = lake.statistics(as_of=NOW)
    lake.flush()
    after = lake.statistics(as_of=NOW)

    assert before.recent_violations == after.recent_violations != ()
    assert before.policies == after.policies


def test_old_snapshots_have_no_landing(lake: AuditLake) -> None:
    """A snapshot that is named holds what was committed with it, whatever has been logged since."""
    put(lake.layout, 0, 1, line(0))
    lake.flush()
    put(lake.layout, 0, 2, line(1))

    assert seen(lake) == once(0, 1)
    assert seen(lake, 1) == once(0)
    assert seen(lake, 0) == Counter()
    assert len(lake.events(snapshot=1).fetchall()) == 1


def test_rows_can_be_asked_again(lake: AuditLake) -> None:
    """Rows are of the moment at which they were asked for, however often and late they are fetched."""
    put(lake.layout, 0, 1, line(0))
    rows = lake.sql("select event_id from events order by all")
    assert rows.fetchall() == [("e0",)]

    put(lake.layout, 0, 2, line(1))
    lake.flush()

    assert rows.fetchall() == [("e0",)]
    assert rows.pl().rows() == [("e0",)]
    assert seen(lake) == once(0, 1)


def test_nothing_is_written(lake: AuditLake) -> None:
    """Reading changes nothing on the disk."""
    put(lake.layout, 0, 1, line(0) + line(0, status="x") + b"{\n{")
    before = sorted((path, path.stat().st_mtime_ns) for path in lake.layout.root.rglob("*"))

    assert seen(lake) == once(0)
    assert lake.statistics().total_events == 1

    assert sorted((path, path.stat().st_mtime_ns) for path in lake.layout.root.rglob("*")) == before


def test_an_empty_landing_costs_nothing(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing lies in the landing, or nothing new, no ingest is tried."""
    monkeypatch.setattr("auditlake.ingest.ingest.preview", None)
    assert seen(lake) == Counter()
    put(lake.layout, 0, 1, line(0) + b"{")
    with held(lake.layout, 0):
        lake.flush()
        assert left(lake.layout) == ["00/0000000001.jsonl"]
        assert seen(lake) == once(0)


# --- As a flush would have it ---

LINES = st.one_of(
    st.builds(line, st.integers(0, 5)),
    st.builds(lambda number, status: line(number, status=status), st.integers(0, 5), st.sampled_from("xy")),
    st.sampled_from([b"\n", b"{}\n", b"x\n", b"\0\0\n", b"\xc3\n", b"null\n", b" " + line(3), line(4)[:-1] + b"\r\n"]),
    st.builds(lambda user: f'{{"event_type":"login","timestamp":"2026-04-01","user_id":"{user}"}}\n'.encode(),
              st.sampled_from("ab")),
)  # fmt: skip
SEGMENTS = st.lists(st.builds(lambda lines, tail: b"".join(lines) + tail, st.lists(LINES, max_size=4),
                              st.sampled_from([b"", b"", b"{", b"\0\0", line(5)[:30]])), max_size=3)  # fmt: skip


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A lake of three events to copy."""
    with tempfile.TemporaryDirectory() as folder:
        lake = made(Path(folder) / "lake")
        (Path(folder) / "first.jsonl").write_bytes(line(0) + line(1) + line(2))
        lake.ingest(Path(folder) / "first.jsonl")
        yield lake.layout.root


def same_as_flushed(slots: list[list[bytes]], open_slots: set[int], template: Path) -> None:
    """Whatever lies in the landing, readers see what they see when it is flushed; twice is as good as once."""
    with tempfile.TemporaryDirectory() as folder:
        lake = opened(copied(template, Path(folder) / "lake"))
        writers = []
        for slot, segments in enumerate(slots):
            for number, data in enumerate(segments, 1):
                put(lake.layout, slot, number, data)
            if segments and slot in open_slots:
                writers.append(held(lake.layout, slot))
                writers[-1].__enter__()
        before = lake.sql(PUBLIC).fetchall()
        lake.flush()
        assert lake.sql(PUBLIC).fetchall() == before
        assert lake.sql(PUBLIC, snapshot=lake.snapshot().version).fetchall() == before
        version = lake.snapshot().version
        assert lake.flush().snapshot == version
        for writer in writers:
            writer.__exit__(None, None, None)
        lake.flush()
        assert lake.sql(PUBLIC, snapshot=lake.snapshot().version).fetchall() == before
        assert left(lake.layout) == []


SLOTS = st.lists(SEGMENTS, max_size=3)
OPEN = st.sets(st.integers(0, 2))


@given(slots=SLOTS, open_slots=OPEN)
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_as_flushed(slots: list[list[bytes]], open_slots: set[int], template: Path) -> None:
    """Readers see of any landing what they see once it is flushed: duplicates once, conflicts and bad lines not."""
    same_as_flushed(slots, open_slots, template)


@pytest.mark.soak
@given(slots=SLOTS, open_slots=OPEN)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_as_flushed_often(slots: list[list[bytes]], open_slots: set[int], template: Path) -> None:
    """The same for many more landings."""
    same_as_flushed(slots, open_slots, template)


# --- While others are at work ---


def two_slots(folder: Path) -> None:
    """Make a lake of an event, with more in three segments of two slots."""
    lake = made(folder / "lake")
    (folder / "first.jsonl").write_bytes(line(8))
    lake.ingest(folder / "first.jsonl")
    put(lake.layout, 0, 1, line(0) + line(1))
    put(lake.layout, 0, 2, line(2))
    put(lake.layout, 1, 1, line(3))


def flush_at(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch, name: str, *, when: str, more: Callable[[], object]
) -> None:
    """Let a flush, and then more, happen the first time that a reader is at some place."""
    real = getattr(positions, name)
    todo = [lambda: opened(lake.layout.root).flush(), more]

    def busy(*arguments: Any, **options: Any) -> Any:
        work, todo[:] = list(todo), []
        if when == "before":
            for each in work:
                each()
            return real(*arguments, **options)
        found = real(*arguments, **options)
        found = list(found) if name == "pieces" else found
        for each in work:
            each()
        return found

    monkeypatch.setattr(positions, name, busy)


PLACES, WHEN = ("slots", "read_committed", "pieces"), ("before", "after")
MORE = ("nothing", "the same slot", "a new slot", "a new slot, flushed", "a compaction")


@pytest.mark.parametrize(
    ("name", "when", "more"),
    mostly(product(PLACES, WHEN, MORE), always=[
        *zip(PLACES, ["after", "before", "after"], ["a new slot, flushed"] * 3, strict=True),
        ("pieces", "after", "a compaction"), ("read_committed", "after", "the same slot"),
    ]),
)  # fmt: skip
def test_a_flush_while_a_reader_reads(
    name: str, when: str, more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a flush comes in between, a reader sees each event once, and those that were there when it began."""
    lake = opened(copy_of(two_slots, tmp_path) / "lake")
    layout = lake.layout

    def a_new_slot() -> None:
        put(layout, 2, 1, line(4))

    def flushed() -> None:
        a_new_slot()
        opened(layout.root).flush()
        put(layout, 2, 2, line(5))

    also: dict[str, Callable[[], object]] = {
        "nothing": lambda: None, "the same slot": lambda: put(layout, 0, 3, line(4)), "a new slot": a_new_slot,
        "a new slot, flushed": flushed, "a compaction": lambda: opened(layout.root).compact(grace_seconds=60),
    }  # fmt: skip
    flush_at(lake, monkeypatch, name, when=when, more=also[more])

    found = seen(lake)

    assert set(found.values()) == {1}
    assert once(0, 1, 2, 3, 8) <= found
    monkeypatch.undo()
    assert found <= seen(lake)


@pytest.mark.parametrize("cut", [1, 2])
def test_an_open_segment_is_flushed_while_a_reader_reads(
    cut: int, lake: AuditLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a segment that was read further than it was flushed, what is flushed comes from the table and the rest from
    the landing."""
    put(lake.layout, 0, 1, line(0) + line(1) + line(2))
    path = lake.layout.segment(0, 1)
    with held(lake.layout, 0):
        whole = path.read_bytes()

        def flush_a_part() -> None:
            path.write_bytes(whole[: cut * len(line(0))])
            opened(lake.layout.root).flush()
            path.write_bytes(whole)

        real = positions.pieces
        todo = [flush_a_part]

        def busy(*arguments: Any) -> Any:
            found = list(real(*arguments))
            if todo:
                todo.pop()()
            return found

        monkeypatch.setattr(positions, "pieces", busy)
        assert seen(lake) == once(0, 1, 2)
        assert stored(lake) == once(*range(cut))
        monkeypatch.undo()
        lake.flush()
    assert stored(lake) == once(0, 1, 2)


def test_positions_are_kept_through_compaction(lake: AuditLake) -> None:
    """After compactions and checkpoints a segment that is still being written is not shown or flushed again."""
    path = put(lake.layout, 0, 1, line(0))
    with held(lake.layout, 0):
        for number in range(1, 4):
            lake.flush()
            path.write_bytes(path.read_bytes() + line(number))
        lake.compact(grace_seconds=0)
        assert read_snapshot(lake.layout).version == 4
        assert seen(lake) == once(0, 1, 2, 3)
        assert lake.flush().landed == 1
    assert stored(lake) == once(0, 1, 2, 3)
