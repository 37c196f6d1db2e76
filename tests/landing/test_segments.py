"""What lies in the landing, read by somebody who does not write it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake.disk.layout import Layout
from auditlake.landing import segments as room
from auditlake.landing.segments import Piece, Position, application, pieces, segments


def write(layout: Layout, slot: int, number: int, data: bytes) -> Path:
    path = layout.segment(slot, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class Held:
    """A slot that somebody holds."""

    def __init__(self, layout: Layout, slot: int) -> None:
        layout.slot(slot).mkdir(parents=True, exist_ok=True)
        self._path = layout.slot(slot) / "lock"

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def read(layout: Layout, since: Mapping[int, Position] | None = None) -> list[tuple[int, int, int, bytes, bytes]]:
    found = list(pieces(layout, since or {}))
    return [(each.segment.slot, each.segment.number, each.offset, each.data, each.torn) for each in found]


POSITIONS = st.builds(Position, st.integers(0, 2**27 - 1), st.integers(0, 2**36 - 1))


@given(POSITIONS, POSITIONS)
def test_positions_are_integers(one: Position, other: Position) -> None:
    """A position is an integer of 63 bits and back, in the same order."""
    assert Position.unpack(one.packed) == one
    assert 0 <= one.packed < 2**63
    assert (one < other) == (one.packed < other.packed)


def test_applications_are_named() -> None:
    """Each slot is an application of the table."""
    assert application(7) == "auditlake.landing.07"
    assert application(123) == "auditlake.landing.123"


def test_a_lake_without_landing_has_no_segments(layout: Layout) -> None:
    """A lake that was copied without its empty folders has nothing in its landing."""
    assert segments(layout) == ()
    assert read(layout) == []


def test_segments_are_in_order(layout: Layout) -> None:
    """Every segment by slot and number; other files are none."""
    for slot, number in ((1, 3), (0, 2), (0, 11), (100, 1)):
        write(layout, slot, number, b"x\n")
    (layout.landing / "flush.lock").touch()
    (layout.slot(0) / "0000000001.jsonl.old").touch()
    (layout.landing / "notes").mkdir()

    assert [(each.slot, each.number, each.size) for each in segments(layout)] == [
        (0, 2, 2), (0, 11, 2), (1, 3, 2), (100, 1, 2),
    ]  # fmt: skip


def test_only_the_newest_of_a_held_slot_is_open(layout: Layout) -> None:
    """A segment may grow if it is the newest of a slot that somebody holds."""
    for slot in (0, 1):
        for number in (1, 2):
            write(layout, slot, number, b"x\n")

    with Held(layout, 1):
        assert [each.open for each in segments(layout)] == [False, False, False, True]
    assert [each.open for each in segments(layout)] == [False] * 4


def test_looking_does_not_claim(layout: Layout) -> None:
    """Two may look at once, and both see that nobody holds the slot."""
    write(layout, 0, 1, b"x\n")
    (layout.slot(0) / "lock").touch()
    descriptor = os.open(layout.slot(0) / "lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)

    assert not segments(layout)[0].open
    os.close(descriptor)


def test_a_torn_line_is_a_dead_end(layout: Layout) -> None:
    """What follows the last newline where nobody appends any more is torn, and the next piece begins behind it."""
    write(layout, 0, 1, b"a\nbc")

    assert read(layout) == [(0, 1, 0, b"a\n", b""), (0, 1, 2, b"", b"bc")]
    assert [each.end for each in pieces(layout, {})] == [Position(1, 2), Position(1, 4)]
    assert read(layout, {0: Position(1, 4)}) == []


def test_a_line_being_written_is_left_alone(layout: Layout) -> None:
    """What follows the last newline of an open segment is not there yet; of an older one it is torn."""
    write(layout, 0, 1, b"a\nbc")
    write(layout, 0, 2, b"d\nef")

    with Held(layout, 0):
        assert read(layout) == [(0, 1, 0, b"a\n", b""), (0, 1, 2, b"", b"bc"), (0, 2, 0, b"d\n", b"")]


def test_positions_are_skipped(layout: Layout) -> None:
    """What lies below a position is not read; one beyond the end of a segment that was cut back reads nothing."""
    write(layout, 0, 1, b"a\n")
    write(layout, 0, 2, b"b\nc\n")
    write(layout, 1, 1, b"d\n")

    assert read(layout, {0: Position(2, 2)}) == [(0, 2, 2, b"c\n", b""), (1, 1, 0, b"d\n", b"")]
    assert read(layout, {0: Position(2, 9), 1: Position(5, 0)}) == []


def test_segments_that_are_removed_meanwhile_are_skipped(layout: Layout) -> None:
    """A segment that a flush removes while others are read is not missed."""
    paths = [write(layout, 0, number, b"x\n") for number in (1, 2)]
    found = pieces(layout, {})
    next(found)
    paths[1].unlink()

    assert list(found) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.lists(st.sampled_from([b"a", b"bc", b"\n"])).map(b"".join), start=st.integers(0, 9), held=st.booleans())
def test_pieces_are_what_is_there(
    data: bytes, start: int, held: bool, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a segment is cut into pieces, they are its bytes in order, whole lines but for a torn end."""
    monkeypatch.setattr(room, "_CHUNK", 3)
    write(layout, 0, 1, data)
    with Held(layout, 0):
        open_pieces = list(pieces(layout, {0: Position(1, start)}))
    found: list[Piece] = open_pieces if held else list(pieces(layout, {0: Position(1, start)}))

    lines = data[start:]
    if held:
        lines = lines[: lines.rfind(b"\n") + 1]
    assert b"".join(each.data + each.torn for each in found) == lines
    at = start
    for each in found:
        assert each.offset == at
        assert each.data.endswith(b"\n") or not each.data
        assert b"\n" not in each.torn
        at = each.end.offset
