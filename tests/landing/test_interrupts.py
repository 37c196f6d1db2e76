"""An interrupt at each single point where Python lets one in: no lock stays held, no half line, nothing twice."""

from __future__ import annotations

import gc
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock, Thread
from types import FrameType
from typing import Any

import pytest

import auditlake
from auditlake.disk.layout import Layout
from auditlake.errors import LandingError
from auditlake.landing import slot as room
from auditlake.landing.group_commit import Group, _Call
from auditlake.landing.segments import pieces, segments
from auditlake.landing.trail import Trail
from tests.landing.lakes import DURABILITIES, check, event, ids, lines, made, torn, trail
from tests.soak import mostly
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""Where a file has been opened and nobody knows it yet, it is closed with its object, and Python remarks on that."""
OURS = str(Path(auditlake.__file__).parent)


@pytest.fixture(autouse=True)
def _undisturbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some thousand calls are made here, none of them about the disk, and no other trail is to end among them."""
    monkeypatch.setattr(room, "sync_folder", lambda _: None)
    gc.disable()
    yield
    gc.enable()


class Interrupt:
    """Raises KeyboardInterrupt at the n-th point: where a function begins, and where a call of C has returned."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.raised = False

    def __call__(self, frame: FrameType, kind: str, argument: Any) -> None:
        if kind not in {"call", "c_return"} or not frame.f_code.co_filename.startswith(OURS):
            return
        if not self._left:
            self.raised = True
            raise KeyboardInterrupt
        self._left -= 1


def interrupted_everywhere(
    act: Callable[[int], Any], prepare: Callable[[int], object] = lambda _: None
) -> Iterator[tuple[int, Any]]:
    """Do something again and again, interrupted one point later each time, until it comes to its end; what it gave."""
    for at in range(5000):
        interrupt, given = Interrupt(at), None
        prepare(at)
        sys.setprofile(interrupt)
        try:
            given = act(at)
        except (
            KeyboardInterrupt,
            LandingError,
        ):  # an interrupt in a sync by the way is told as the lost sync it may be
            pass
        finally:
            sys.setprofile(None)
        yield at, given
        if not interrupt.raised:
            return
    raise AssertionError


def in_another_thread(act: Callable[[], Any]) -> Any:
    """What it gives there; it must not wait for ever."""
    found: list[Any] = []
    thread = Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join(HANG_SECONDS)
    assert not thread.is_alive(), "something is still held"
    return found[0]


def log_through(log: Trail, number: int) -> str:
    """Log, perhaps after the error that tells of an interrupted sync."""
    for _ in range(2):
        try:
            return log.log(event(number))
        except LandingError as error:
            assert "may be lost" in str(error)
    raise AssertionError


@pytest.mark.parametrize("durability", DURABILITIES)
def test_in_log(durability: str, layout: Layout) -> None:
    """Interrupted at any point of log, it leaves whole lines, and the next call of any thread goes on."""
    points, given = 0, []
    with trail(layout, durability=durability, interval_ms=60_000) as log:
        given.append(log.log(event()))
        for at, found in interrupted_everywhere(lambda number: log.log(event(number))):
            points = at
            given += [found] if found else []
            given.append(in_another_thread(lambda: log_through(log, -1)))
    assert points > 20
    check(layout, given)
    assert torn(layout) == []


@pytest.mark.parametrize("durability", mostly(DURABILITIES, always=["sync"]))
def test_in_the_next_segment(durability: str, layout: Layout) -> None:
    """The same where the call begins a new segment."""
    points, given = 0, []
    with trail(layout, durability=durability, interval_ms=60_000, segment_bytes=1) as log:
        given.append(log.log(event()))
        for at, found in interrupted_everywhere(lambda number: log.log(event(number))):
            points = at
            given += [found] if found else []
            given.append(in_another_thread(lambda: log_through(log, -1)))
    assert points > 40
    check(layout, given)
    assert torn(layout) == []


def test_in_the_first_event(layout: Layout, tmp_path: Path) -> None:
    """Interrupted at any point of the first call, which takes a slot, the slot is neither lost nor held twice."""
    points, logs = 0, []

    def prepare(number: int) -> None:
        shutil.copytree(layout.root, tmp_path / f"{number}")
        logs.append(trail(Layout(tmp_path / f"{number}")))

    for at, found in interrupted_everywhere(lambda number: logs[-1].log(event(number)), prepare):
        points, copy = at, Layout(tmp_path / f"{at}")
        given = [found] if found else []
        given.append(in_another_thread(lambda: log_through(logs[-1], -1)))
        logs.pop().close()
        assert not any(each.open for each in segments(copy))
        assert {each.slot for each in segments(copy)} == {0}
        check(copy, given)
    assert points > 80


@pytest.mark.parametrize("durability", DURABILITIES)
def test_in_close(durability: str, tmp_path: Path) -> None:
    """Interrupted at any point of close, it can be closed again, and then nothing is held."""
    layout = made(tmp_path / "lake").layout
    given, logs = [], []

    def end(number: int) -> None:
        logs[-1].close()

    logs.append(trail(layout, durability=durability, interval_ms=60_000))
    given.append(logs[-1].log(event()))
    for _ in interrupted_everywhere(end):
        try:
            logs[-1].close()
        except LandingError as error:
            assert "interrupted" in str(error)
        assert not any(each.open for each in segments(layout))
        logs.append(trail(layout, durability=durability, interval_ms=60_000))
        given.append(logs[-1].log(event()))
    logs[-1].close()
    assert check(layout, given) == Counter()


def test_leading_others(layout: Layout) -> None:
    """Interrupted at any point while it lands what others wait for, each of them is told what is true of its line."""
    landed: list[bytes] = []

    def land(data: bytes, outcome: list[object]) -> None:
        landed.extend(data.splitlines())
        outcome.append(None)

    points = told = 0
    group = Group(land, RLock())
    waiting: list[_Call] = []

    def lead(number: int) -> None:
        waiting[:] = [_Call(f"{number}-{n}\n".encode()) for n in range(3)]
        group._queue.extend(waiting)
        group._expected = 1
        group.submit(f"{number}\n".encode())

    for at, _ in interrupted_everywhere(lead):
        points = at
        in_another_thread(lambda at=at: group.submit(f"{at} later\n".encode()))
        for call in waiting:
            assert call.done
            told += call.error is not None
            assert call.error is not None or landed.count(call.data.strip()) == 1
        assert group._queue == type(group._queue)()
    assert points > 15
    assert told < 3 * points
    assert Counter(landed).most_common(1)[0][1] == 1


# --- Certain moments ---


class Outcome(list):  # type: ignore[type-arg]
    """Interrupted just after the sync."""

    def extend(self, items: Any) -> None:
        super().extend(items)
        raise KeyboardInterrupt


def test_just_after_the_sync(layout: Layout) -> None:
    """An interrupt after a sync does not make the next event pass for synced."""
    syncs: list[int] = []
    with trail(layout, sync=syncs.append) as log:
        log.log(event())
        with pytest.raises(KeyboardInterrupt):
            log._writer.append(b'{"event_id":"a"}\n', Outcome())
        done = len(syncs)
        outcome: list[object] = []
        log._writer.append(b'{"event_id":"b"}\n', outcome)
        assert len(syncs) == done + 1
        assert len(outcome) == 1


def test_just_after_the_write(layout: Layout) -> None:
    """After an interrupt between a write and its being known, a later failure cuts off nothing acknowledged."""
    with trail(layout, durability="os") as log:
        log.log(event())
        segment = log._writer.segment
        assert segment is not None

        class Odd:
            """Interrupts the first write, and has no room for the third."""

            def __init__(self, file: Any) -> None:
                self.file = file
                self.turn = 0

            def write(self, data: bytes) -> int:
                self.turn += 1
                if self.turn == 3:
                    self.file.write(data[:50])
                    raise OSError(28, "No space left on device")
                written: int = self.file.write(data)
                if self.turn == 1:
                    raise KeyboardInterrupt
                return written

            def __getattr__(self, name: str) -> Any:
                return getattr(self.file, name)

        segment.file = odd = Odd(segment.file)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            log.log(event(1))
        given = [log.log(event(2))]
        if log._writer.segment is not None and log._writer.segment.file is not odd:
            odd.turn = 2
            log._writer.segment.file = odd2 = Odd(log._writer.segment.file)  # type: ignore[assignment]
            odd2.turn = 2
        with pytest.raises(LandingError):
            log.log(event(3))
        given.append(log.log(event(4)))
    check(layout, given)
    assert {line["user_id"] for line in lines(layout)} >= {"user 0", "user 2", "user 4"}


def test_in_a_sync_that_was_asked_for(layout: Layout) -> None:
    """A sync that nobody saw the end of is not done again on the same file: it could succeed without the bytes."""
    turns: list[int] = []

    def sync(descriptor: int) -> None:
        turns.append(descriptor)
        if len(turns) == 1:
            raise KeyboardInterrupt

    with trail(layout, durability="os", sync=sync) as log:
        given = [log.log(event())]
        with pytest.raises(KeyboardInterrupt):
            log.sync()
        with pytest.raises(LandingError, match=r"may be lost: .* interrupted"):
            log.sync()
        assert len(turns) == 1
        given.append(log.log(event(1)))
        log.sync()
        assert len(turns) == 2
    assert ids(layout) == given
    assert [each.number for each in segments(layout)] == [1, 2]


def test_what_a_reader_saw_is_followed_by_nothing_else(layout: Layout) -> None:
    """Lines of a refused write that a flush has taken meanwhile do not hide those that come after them."""
    seen: list[Any] = []
    with trail(layout) as log:
        given = [log.log(event())]
        segment = log._writer.segment
        assert segment is not None

        class Full:
            """Takes two lines and a half, which a flush sees, and no more."""

            def __init__(self, file: Any) -> None:
                self.file = file

            def write(self, data: bytes) -> int:
                if len(data) > 300 and not seen:
                    lengths = [len(line) + 1 for line in bytes(data).splitlines()]
                    return int(self.file.write(bytes(data)[: lengths[0] + lengths[1] + 40]))
                if not seen:
                    seen.extend(pieces(layout, {}))
                    raise OSError(28, "No space left on device")
                return int(self.file.write(data))

            def __getattr__(self, name: str) -> Any:
                return getattr(self.file, name)

        segment.file = Full(segment.file)  # type: ignore[assignment]
        with pytest.raises(LandingError, match="No space left"):
            log.log_many([event(number) for number in range(3)])
        assert len(seen[-1].data.splitlines()) == 3
        given += [log.log(event(number)) for number in range(5)]
        behind = [line for piece in pieces(layout, {0: seen[-1].end}) for line in piece.data.splitlines()]
    assert len(behind) == 5
    assert ids(layout) == given
