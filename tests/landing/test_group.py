"""Group commit by itself, over a landing that is only a list."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, RLock, Thread

import pytest

from auditlake.errors import LakeError, LandingError
from auditlake.landing import group_commit as room
from auditlake.landing.group_commit import Group
from tests.waiting import HANG_SECONDS, until


class Disk:
    """Lands lines slowly, or not at all."""

    def __init__(self) -> None:
        self.landed: list[bytes] = []
        self.batches: list[int] = []
        self.before: Callable[[bytes], None] = lambda _: None
        self.after: Callable[[bytes], None] = lambda _: None
        self.group = Group(self.land, RLock())

    def land(self, data: bytes, outcome: list[object]) -> None:
        self.before(data)
        lines = data.splitlines()
        self.landed += lines
        self.batches.append(len(lines))
        outcome.append(None)
        self.after(data)


def submit_all(group: Group, lines: list[bytes]) -> dict[bytes, BaseException | None]:
    """Submit each line in a thread of its own; return what each call raised."""
    found: dict[bytes, BaseException | None] = {}

    def work(line: bytes) -> None:
        try:
            group.submit(line + b"\n")
            found[line] = None
        except BaseException as error:
            found[line] = error

    threads = [Thread(target=work, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()
    return found


LINES = [f"{number:03d}".encode() for number in range(40)]


def test_one_caller_alone() -> None:
    """One caller lands its own line, each time."""
    disk = Disk()
    for line in LINES:
        disk.group.submit(line + b"\n")

    assert disk.landed == LINES
    assert disk.batches == [1] * 40


def test_callers_share_a_landing() -> None:
    """Callers that come during a landing share the next one."""
    disk, first, go_on = Disk(), Event(), Event()

    def before(data: bytes) -> None:
        if data == b"first\n":
            first.set()
            assert go_on.wait(HANG_SECONDS)

    disk.before = before
    leader = Thread(target=disk.group.submit, args=(b"first\n",))
    leader.start()
    assert first.wait(HANG_SECONDS)
    threads = [Thread(target=disk.group.submit, args=(line + b"\n",)) for line in LINES]
    for thread in threads:
        thread.start()
    until(lambda: len(disk.group._queue) == 41)
    go_on.set()
    for thread in [leader, *threads]:
        thread.join(HANG_SECONDS)

    assert disk.batches == [1, 40]
    assert sorted(disk.landed) == sorted([b"first", *LINES])


def test_every_caller_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers are woken, and do not have to look for themselves."""
    monkeypatch.setattr(room, "_PATIENCE_SECONDS", 3600)
    disk = Disk()
    for _ in range(20):
        assert set(submit_all(disk.group, LINES).values()) == {None}
    assert sorted(disk.landed) == sorted(LINES * 20)


def test_a_refusal_is_raised_in_all_its_callers() -> None:
    """Every caller whose line the disk refuses gets that error as its own; the next ones go on."""
    disk = Disk()

    def before(data: bytes) -> None:
        if b"007\n" in data:
            raise LandingError("no", hint="try")

    disk.before = before
    found = submit_all(disk.group, LINES)
    refused = {line for line, error in found.items() if error is not None}

    assert b"007" in refused
    assert {line for line in LINES if line not in refused} == set(disk.landed)
    assert all(isinstance(error, LandingError) and error.hint == "try" for error in found.values() if error)
    assert len({id(error) for error in found.values() if error}) == len(refused)


def test_other_errors_keep_their_kind() -> None:
    """An error of the lake is raised as what it is."""
    disk = Disk()

    class OtherError(LakeError):
        pass

    def before(_: bytes) -> None:
        raise OtherError("no")

    disk.before = before
    with pytest.raises(OtherError, match="no"):
        disk.group.submit(b"x\n")


def test_an_interrupted_leader() -> None:
    """Interrupted before its landing is done, a leader alone takes the error: the next one lands what it had taken."""
    disk, gathered, interrupted = Disk(), Event(), Event()

    def before(data: bytes) -> None:
        if not gathered.is_set():
            gathered.set()
            until(lambda: len(disk.group._queue) == len(LINES))
        if b"007\n" in data and not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    disk.before = before
    found = submit_all(disk.group, LINES)
    refused = {line: error for line, error in found.items() if error is not None}

    assert [type(error) for error in refused.values()] == [KeyboardInterrupt]
    assert sorted(line for line in LINES if line not in refused) == sorted(set(disk.landed) - set(refused))
    assert len(disk.landed) == len(set(disk.landed))


def test_an_interrupt_after_the_landing() -> None:
    """Interrupted when its landing is done, a leader takes the error, and its followers have theirs recorded."""
    disk = Disk()

    def after(data: bytes) -> None:
        if b"007\n" in data:
            raise KeyboardInterrupt

    disk.after = after
    found = submit_all(disk.group, LINES)

    assert [type(error) for error in found.values() if error] == [KeyboardInterrupt]
    assert sorted(disk.landed) == sorted(LINES)


def test_a_leader_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next leader releases the followers of one that was lost after its landing, and lands nothing again."""
    monkeypatch.setattr(room, "_PATIENCE_SECONDS", 0.01)
    disk = Disk()
    real, spoilt = disk.group._settle, []

    def settle() -> None:
        if disk.group._taken and not spoilt:
            spoilt.extend(disk.group._taken)
            raise KeyboardInterrupt
        real()

    monkeypatch.setattr(disk.group, "_settle", settle)
    others = [room._Call(line + b"\n") for line in LINES]
    disk.group._queue.extend(others)
    with pytest.raises(KeyboardInterrupt):
        disk.group.submit(b"first\n")
    disk.group.submit(b"second\n")

    assert all(call.done and call.error is None for call in others)
    assert disk.landed == [*LINES, b"first", b"second"]


def test_a_follower_that_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that gives up while it waits leaves nothing behind, and hands on the lead that it was to take."""
    monkeypatch.setattr(room, "_PATIENCE_SECONDS", 3600)
    disk, first, go_on, gone = Disk(), Event(), Event(), Event()

    def before(data: bytes) -> None:
        if data == b"first\n":
            first.set()
            assert go_on.wait(HANG_SECONDS)

    disk.before = before
    real = room._Call.wait

    def wait(call: room._Call) -> None:
        if call.data == b"gone\n":
            real(call)
            gone.set()
            raise KeyboardInterrupt
        real(call)

    monkeypatch.setattr(room._Call, "wait", wait)
    leader = Thread(target=disk.group.submit, args=(b"first\n",))
    leader.start()
    assert first.wait(HANG_SECONDS)
    errors: list[BaseException] = []

    def give_up() -> None:
        try:
            disk.group.submit(b"gone\n")
        except KeyboardInterrupt as error:
            errors.append(error)

    giving_up = Thread(target=give_up)
    giving_up.start()
    until(lambda: len(disk.group._queue) == 2)
    other = Thread(target=disk.group.submit, args=(b"other\n",))
    other.start()
    until(lambda: len(disk.group._queue) == 3)
    go_on.set()
    assert gone.wait(HANG_SECONDS)
    for thread in (leader, giving_up, other):
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()

    assert disk.landed == [b"first", b"other"]
    assert len(errors) == 1
