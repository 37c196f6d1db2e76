"""A disk that is full or fails: one clear error, nothing claimed that is not there, and logging goes on when it can."""

from __future__ import annotations

import errno
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from auditlake.disk.layout import Layout
from auditlake.errors import LandingError
from auditlake.landing.segments import segments
from tests.landing.lakes import DURABILITIES, check, event, ids, lines, made, names, program, torn, trail
from tests.soak import mostly
from tests.store import strace
from tests.store.test_faults import fill, small_disk  # noqa: F401 - a fixture
from tests.waiting import HANG_SECONDS, until


class Failing:
    """A sync that fails when told to, and remembers which files it was asked for."""

    def __init__(self) -> None:
        self.fails = False
        self.asked: list[int] = []
        self.failed = Event()

    def __call__(self, descriptor: int) -> None:
        self.asked.append(os.fstat(descriptor).st_ino)
        if self.fails:
            self.fails = False
            self.failed.set()
            raise OSError(errno.EIO, "Input/output error")


# --- A full disk ---


@pytest.mark.parametrize("durability", mostly(DURABILITIES, always=["sync"]))
def test_full_disk(durability: str, small_disk: Path) -> None:  # noqa: F811
    """On a full disk, logging is one clear error and leaves nothing; when there is room, it goes on."""
    layout = made(small_disk / "lake").layout
    with trail(layout, durability=durability) as log:
        given = [log.log(event())]
        for leave in (0, 4096, 8192, 100_000):
            filler = fill(small_disk, leave)
            refused = 0
            while not refused:
                try:
                    given.append(log.log(event(details={"noise": "x" * 1500})))
                except LandingError as error:
                    refused += 1
                    assert "No space left on device" in str(error)
            with pytest.raises(LandingError, match="No space left on device"):
                log.log_many([event(details={"noise": "x" * 1500}) for _ in range(200)])
            assert ids(layout) == given
            filler.unlink()
            given.append(log.log(event()))
        assert check(layout, given) == Counter()
    assert torn(layout) == []


def test_full_disk_for_many(small_disk: Path) -> None:  # noqa: F811
    """While a disk fills up under many threads, each call that succeeds is there, and no other."""
    layout = made(small_disk / "lake").layout
    filler = fill(small_disk, 300_000)
    refused: list[LandingError] = []

    with trail(layout, segment_bytes=20_000) as log:

        def work(number: int) -> list[str]:
            given = []
            for _ in range(100):
                try:
                    given.append(log.log(event(number, details={"noise": "x" * 700})))
                except LandingError as error:
                    refused.append(error)
            return given

        with ThreadPoolExecutor(8) as pool:
            given = [each for part in pool.map(work, range(8)) for each in part]
        filler.unlink()
        given.append(log.log(event()))

    assert check(layout, given) == Counter()
    assert len(given) + len(refused) == 801
    assert len(refused) > 100
    assert torn(layout) == []


# --- A sync that fails ---


def test_a_failed_sync(layout: Layout) -> None:
    """An event whose sync failed is refused and not there; its segment is given up, and no sync asks for it again."""
    sync = Failing()
    with trail(layout, sync=sync) as log:
        given = [log.log(event(number)) for number in range(3)]
        sync.fails = True
        with pytest.raises(LandingError, match=r"not recorded: .*0000000001\.jsonl could not be synced: Input/output"):
            log.log(event(3))
        assert ids(layout) == given
        given += [log.log(event(number)) for number in range(4, 7)]

    assert names(layout) == ["0/1", "0/2"]
    assert ids(layout) == given
    first, second = (each.path.stat().st_ino for each in segments(layout))
    assert sync.asked == [first] * 4 + [second] * 3


def test_a_failed_sync_of_many(layout: Layout) -> None:
    """Every caller whose event was in a failed sync is told; the others' events are there."""
    sync = Failing()
    with trail(layout, sync=sync) as log:
        log.log(event())

        def work(number: int) -> list[str | None]:
            found: list[str | None] = []
            for turn in range(30):
                sync.fails = sync.fails or (number == 0 and turn % 10 == 5)
                try:
                    found.append(log.log(event(number)))
                except LandingError:
                    found.append(None)
            return found

        with ThreadPoolExecutor(8) as pool:
            found = [each for part in pool.map(work, range(8)) for each in part]

    given = [each for each in found if each is not None]
    assert len(given) < 240
    assert len(check(layout, given)) == 1
    assert len(names(layout)) == 1 + len([each for each in segments(layout) if each.number > 1])


def test_a_failed_sync_behind(layout: Layout) -> None:
    """With "interval", a sync that fails behind the callers is raised by the next call, once, and not tried again."""
    sync = Failing()
    with trail(layout, durability="interval", interval_ms=1, sync=sync) as log:
        given = [log.log(event())]
        until(lambda: log._writer.segment is not None and log._writer.segment.synced)
        sync.fails = True
        given.append(log.log(event(1)))
        assert sync.failed.wait(HANG_SECONDS)
        until(lambda: log._writer.segment.failure is not None)
        with pytest.raises(LandingError, match=r"what was logged before may be lost: .*0000000001\.jsonl"):
            log.log(event(2))
        asked = len(sync.asked)
        given.append(log.log(event(3)))

    assert ids(layout) == given
    assert names(layout) == ["0/1", "0/2"]
    assert segments(layout)[0].path.stat().st_ino not in sync.asked[asked:]


@pytest.mark.parametrize("durability", ["interval", "os"])
def test_a_failed_sync_that_was_asked_for(durability: str, layout: Layout) -> None:
    """A sync that a caller asks for and that fails is told, and so is one at the end or between two segments."""
    sync = Failing()
    log = trail(layout, durability=durability, interval_ms=60_000, sync=sync)
    log.log(event())
    for ask in (log.sync, lambda: log.log(event(details={"a": "x" * 3000})), log.close):
        log._writer._bytes = 1 << 20
        log.log(event())
        log._writer._bytes = 1000
        sync.fails = True
        with pytest.raises(LandingError, match="may be lost"):
            ask()
    assert len(ids(layout)) == 4
    assert not any(each.open for each in segments(layout))


def test_what_cannot_be_cut_back_is_not_claimed(layout: Layout) -> None:
    """Where even the cutting back fails, the event may be there, but its caller was told that it is not recorded."""
    sync = Failing()
    with trail(layout, sync=sync) as log:
        given = [log.log(event())]
        segment = log._writer.segment
        assert segment is not None

        class Stuck:
            def __init__(self, file: object) -> None:
                self.file = file

            def truncate(self, _: int) -> None:
                raise OSError(errno.EIO, "Input/output error")

            def __getattr__(self, name: str) -> object:
                return getattr(self.file, name)

        segment.file = Stuck(segment.file)  # type: ignore[assignment]
        sync.fails = True
        with pytest.raises(LandingError):
            log.log(event(1))
        given.append(log.log(event(2)))

    assert sorted(check(layout, given).values()) == [1]
    assert [line["user_id"] for line in lines(layout)] == ["user 0", "user 1", "user 2"]


def test_a_write_that_takes_parts(layout: Layout) -> None:
    """A write that takes only a part of the bytes is gone on with."""
    with trail(layout) as log:
        given = [log.log(event())]
        segment = log._writer.segment
        assert segment is not None

        class Slow:
            def __init__(self, file: object) -> None:
                self.file = file

            def write(self, data: bytes) -> int:
                return self.file.write(bytes(data[:100]))  # type: ignore[attr-defined, no-any-return]

            def __getattr__(self, name: str) -> object:
                return getattr(self.file, name)

        segment.file = Slow(segment.file)  # type: ignore[assignment]
        given += log.log_many([event(number) for number in range(10)])
        assert ids(layout) == given


# --- Seen from the outside ---


def told(text: str) -> tuple[list[str], list[str]]:
    """What a program said was recorded, and what it said was refused."""
    words = text.splitlines()
    return [line for line in words if len(line) == 36], [line for line in words if line.startswith("refused ")]


@strace.needed
@pytest.mark.parametrize("number", mostly([1, 2, 7, "3+2", "1+"], always=["3+2", "1+"]))
def test_the_kernel_refuses_a_sync(number: int | str, layout: Layout) -> None:
    """Where fdatasync fails, exactly those events are refused and not there, and none is claimed that is not."""
    done = program(
        "worker", "log", layout.root, "sync", 10, prefix=strace.spoilt("fdatasync", number, "error=EIO")
    )  # fmt: skip
    given, refused = told(done.stdout)

    assert len(refused) == {"3+2": 4, "1+": 10}.get(str(number), 1), done
    assert all("Input/output error" in line for line in refused)
    assert check(layout, given) == Counter()
    assert len(given) == 10 - len(refused)


def opens_before(tmp_path: Path, name: str) -> int:
    """Which of the opens in a writer's slot is the one of a file."""
    slot, log = made(tmp_path / "traced").layout.slot(0), tmp_path / "trace"
    root = slot.parents[1]
    assert program("worker", "log", root, "sync", 1, prefix=strace.traced(log, ["openat"])).returncode == 0
    opened = [call.text for call in strace.listing(log) if call.begins and (f"<{slot}>" in call.text.split(" = ")[0]
              or f'"{slot}"' in call.text)]  # fmt: skip
    return 1 + next(i for i, text in enumerate(opened) if f'"{name}"' in text)


@strace.needed
@pytest.mark.parametrize("call", mostly(["fsync", "mkdir", "openat"], always=["mkdir", "openat"]))
def test_the_kernel_refuses_a_name(call: str, layout: Layout, tmp_path: Path) -> None:
    """Where a folder or file cannot be made or synced, the event is refused, and the next one is there."""
    number = opens_before(tmp_path, layout.segment(0, 1).name) if call == "openat" else 1
    spoilt = [*strace.spoilt(call, number, "error=ENOSPC"), "-P", str(layout.slot(0))]
    done = program("worker", "log", layout.root, "sync", 5, prefix=spoilt)
    given, refused = told(done.stdout)

    assert [line[:40] for line in refused] == ["refused not recorded: a new segment coul"]
    assert "No space left on device" in refused[0]
    assert check(layout, given) == Counter()
    assert len(given) == 4


@strace.needed
def test_the_kernel_refuses_writes(layout: Layout) -> None:
    """Where writes to a segment fail, those events are refused and not there."""
    spoilt = [*strace.spoilt("write", "2+2", "error=EIO"), "-P", str(layout.segment(0, 1))]
    done = program("worker", "log", layout.root, "sync", 8, prefix=spoilt)
    given, refused = told(done.stdout)

    assert len(refused) == 4
    assert check(layout, given) == Counter()
    assert names(layout) == ["0/1"]
