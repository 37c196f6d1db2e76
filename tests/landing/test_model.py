"""Any order of logging, rotating, flushing, failing and crashing, against a plain list of what was acknowledged."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.disk.layout import Layout
from auditlake.errors import LandingError
from auditlake.landing import slot as room
from auditlake.landing.segments import START, Position, application, pieces, segments
from auditlake.landing.trail import Trail
from tests.landing.lakes import DURABILITIES, event, ids, trail


class Spoilt:
    """A file that takes so many bytes more and then none."""

    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self._room = room

    def write(self, data: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written: int = self._file.write(bytes(data)[: self._room])
        self._room -= written
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class World:
    """A landing, its writers, what a flush has taken, and what everybody has been told."""

    def __init__(self, layout: Layout, durability: str) -> None:
        self.layout = layout
        self.durability = durability
        self.writers: dict[int, Trail] = {}
        self.acknowledged: list[str] = []
        self.flushed: list[str] = []
        self.committed: dict[int, Position] = {}
        self.torn: list[bytes] = []
        self.injured: list[bytes] = []
        self.seen: dict[int, int] = {}
        self.failing = False

    def sync(self, descriptor: int) -> None:
        if self.failing:
            raise OSError(errno.EIO, "Input/output error")

    def writer(self, name: int) -> Trail:
        if name not in self.writers:
            self.writers[name] = trail(
                self.layout, durability=self.durability, interval_ms=60_000, segment_bytes=700, sync=self.sync
            )
        return self.writers[name]

    def log(self, name: int, count: int) -> None:
        logged = self.writer(name)
        events = [event(number) for number in range(count)]
        try:
            self.acknowledged += [logged.log(events[0])] if count == 1 else logged.log_many(events)
        except LandingError:
            # Only where something is wrong: a sync on the way from one segment to the next may have failed.
            assert self.failing or self.durability != "sync"

    def full(self, name: int, room: int) -> None:
        """Log where the disk has room for a few bytes only."""
        logged = self.writer(name)
        if logged._writer.segment is None:
            return
        segment = logged._writer.segment
        segment.file = Spoilt(segment.file, room)  # type: ignore[assignment]
        try:  # the next segment may come first, and for that one there is room
            self.acknowledged += logged.log_many([event(number) for number in range(3)])
        except LandingError as error:
            assert "No space left" in str(error)
        segment.file = segment.file._file if isinstance(segment.file, Spoilt) else segment.file

    def fail(self, name: int) -> None:
        """Log, and let the next sync fail."""
        self.failing = True
        try:
            self.log(name, 2)
            if name in self.writers:
                with pytest.raises(LandingError) if self._unsynced(name) else _nothing():
                    self.writers[name].sync()
        finally:
            self.failing = False

    def _unsynced(self, name: int) -> bool:
        segment = self.writers[name]._writer.segment
        return segment is not None and segment.synced < segment.length

    def rotate(self, name: int) -> None:
        segment = self.writer(name)._writer.segment
        if segment is not None:
            segment.until = 0

    def crash(self, name: int, torn: int) -> None:
        """End as a killed process does, in the middle of a line."""
        logged = self.writers.pop(name, None)
        if logged is not None and logged._writer.segment is not None:
            half = b'{"event_id":"half'[:torn]
            logged._writer.segment.file.write(half)
            self.injured += [half] if half else []
        if logged is not None:
            logged._writer.forget()

    def close(self, name: int) -> None:
        logged = self.writers.pop(name, None)
        if logged is not None:
            logged.close()

    def flush(self) -> None:
        """What a flush does, in its simplest form."""
        for piece in pieces(self.layout, self.committed):
            slot = piece.segment.slot
            assert self.committed.get(slot, START) < piece.end
            self.flushed += _ids(piece.data)
            self.torn += [piece.torn] if piece.torn else []
            self.committed[slot] = piece.end
        for segment in segments(self.layout):
            done = Position(segment.number, segment.size) <= self.committed.get(segment.slot, START)
            if done and not segment.open:
                segment.path.unlink()

    def check(self) -> None:
        pending = [each for piece in pieces(self.layout, self.committed) for each in _ids(piece.data)]
        assert Counter(self.flushed + pending) == Counter(self.acknowledged)
        for segment in segments(self.layout):
            assert segment.number >= self.seen.get(segment.slot, 0)
        for slot in {each.slot for each in segments(self.layout)}:
            self.seen[slot] = min(each.number for each in segments(self.layout) if each.slot == slot)

    def end(self) -> None:
        for name in list(self.writers):
            self.close(name)
        self.check()
        self.flush()
        assert Counter(self.flushed) == Counter(self.acknowledged)
        assert Counter(self.torn) == Counter(self.injured)
        assert ids(self.layout) == []


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _ids(data: bytes) -> list[str]:
    return [line.split(b'"')[3].decode() for line in data.splitlines()]


NAMES = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("log"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("log"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("log"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("full"), NAMES, st.integers(0, 700)),
    st.tuples(st.just("fail"), NAMES),
    st.tuples(st.just("rotate"), NAMES),
    st.tuples(st.just("crash"), NAMES, st.integers(0, 17)),
    st.tuples(st.just("close"), NAMES),
    st.tuples(st.just("flush")),
)


def play(steps: list[tuple[Any, ...]], durability: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="auditlake-test-"))
    world = World(Layout(folder), durability)
    reached = {"version": lambda _, name: {application(n): p.packed for n, p in world.committed.items()}.get(name)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "transaction_version", reached["version"])
        try:
            for name, *arguments in steps:
                getattr(world, name)(*arguments)
                world.check()
            world.end()
        finally:
            for logged in world.writers.values():
                logged._writer.forget()
            shutil.rmtree(folder)


@pytest.mark.parametrize("durability", DURABILITIES)
@settings(deadline=None, max_examples=25)
@given(steps=st.lists(STEPS, max_size=25))
def test_any_order(durability: str, steps: list[tuple[Any, ...]]) -> None:
    """Whatever happens in whatever order, what was acknowledged is there once, and nothing else but torn lines."""
    play(steps, durability)
