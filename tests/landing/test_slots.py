"""Slots: who gets which, which number comes next, and who holds them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction

from auditlake.disk.layout import Layout
from auditlake.landing import slot as room
from auditlake.landing.segments import Position, application, segments
from auditlake.landing.slot import Slot, claim


def begin(slot: Slot) -> Path:
    segment = slot.begin(os.fdatasync, 60)
    segment.close()
    return segment.path


def commit(layout: Layout, slot: int, position: Position) -> None:
    """What a flush does: the table says how far a slot has come."""
    table = DeltaTable(str(layout.events))
    properties = CommitProperties(app_transactions=[Transaction(application(slot), position.packed)])
    table.create_write_transaction([], "append", table.schema(), partition_by=["event_date"],
                                   commit_properties=properties)  # fmt: skip


def test_the_lowest_free_slot(layout: Layout) -> None:
    """A claim takes the lowest slot that nobody holds, and makes the next one where all are held."""
    held = [claim(layout) for _ in range(3)]
    assert [slot.number for slot in held] == [0, 1, 2]
    held[1].release()
    held.append(claim(layout))
    assert held[3].number == 1
    for slot in held:
        slot.release()


def test_claims_at_once(layout: Layout) -> None:
    """Of many that claim at once, each gets a slot of its own."""
    with ThreadPoolExecutor(16) as pool:
        held = list(pool.map(lambda _: claim(layout), range(16)))

    assert sorted(slot.number for slot in held) == list(range(16))
    for slot in held:
        slot.release()


def test_a_look_is_no_claim(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that looks at a lock at that moment does not drive a writer to another slot."""
    claim(layout).release()
    looking = os.open(layout.slot(0) / "lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(room.time, "sleep", lambda _: os.close(looking))

    slot = claim(layout)
    assert slot.number == 0
    slot.release()


def test_numbers_go_on(layout: Layout) -> None:
    """Each segment has the next number, across writers; one that could not be made has used up its number."""
    slot = claim(layout)
    assert [begin(slot) for _ in range(2)] == [layout.segment(0, 1), layout.segment(0, 2)]
    layout.segment(0, 3).mkdir()
    with pytest.raises(IsADirectoryError):
        begin(slot)
    assert begin(slot) == layout.segment(0, 4)
    slot.release()
    slot = claim(layout)
    assert begin(slot) == layout.segment(0, 5)
    slot.release()


def test_numbers_lie_above_what_is_committed(layout: Layout) -> None:
    """A number that a flush has brought home and removed is not used again."""
    for position, expected in ((Position(7, 100), 8), (Position(12, 0), 13)):
        slot = claim(layout)
        commit(layout, 0, position)
        commit(layout, 1, Position(99, 0))
        assert begin(slot) == layout.segment(0, expected)
        layout.segment(0, expected).unlink()
        slot.release()


def test_the_folder_is_read_before_the_table(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that a flush commits and removes while a writer looks is seen in one place or the other."""
    layout.slot(0).mkdir()
    layout.segment(0, 4).write_bytes(b"x\n")
    flushed = []

    def flushes_after(real: Callable[[Layout, Any], Any]) -> Callable[[Layout, Any], Any]:
        def look(layout: Layout, what: Any) -> Any:
            found = real(layout, what)
            if not flushed:
                flushed.append(what)
                commit(layout, 0, Position(4, 2))
                layout.segment(0, 4).unlink()
            return found

        return look

    for name in ("numbers", "transaction_version"):
        monkeypatch.setattr(room, name, flushes_after(getattr(room, name)))
    slot = claim(layout)
    assert begin(slot) == layout.segment(0, 5)
    assert flushed == [0]
    slot.release()


def test_a_segment_of_a_held_slot_may_grow(layout: Layout) -> None:
    """Readers see that a slot is held, for as long as it is."""
    slot = claim(layout)
    begin(slot)
    assert [each.open for each in segments(layout)] == [True]
    slot.release()
    assert [each.open for each in segments(layout)] == [False]
