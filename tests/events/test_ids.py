"""Ids for events that bring none."""

from __future__ import annotations

import os
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from auditlake.events import ids
from auditlake.events.ids import uuid7


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks of one test are nothing to the next."""
    monkeypatch.setattr(ids, "_series", ids._begin(0))


def test_ids_are_uuids_of_version_7() -> None:
    """An id is a UUID as RFC 9562 wants it: version 7, its variant, the time in milliseconds in front."""
    before = ids.machine.milliseconds()
    made = uuid.UUID(text := uuid7())

    assert text == str(made)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= ids.machine.milliseconds()


def test_ids_rise() -> None:
    """Ids of one process sort as they were made, and all differ."""
    made = [uuid7() for _ in range(20_000)]

    assert made == sorted(set(made))


def test_ids_of_threads_differ() -> None:
    """No two threads get the same id."""
    with ThreadPoolExecutor(8) as pool:
        made = [each for part in pool.map(lambda _: [uuid7() for _ in range(2000)], range(16)) for each in part]

    assert len(set(made)) == len(made)


def test_a_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the clock is set, ids differ and rise."""
    seeded, now = random.Random(7), [ids.machine.milliseconds()]
    monkeypatch.setattr(ids.machine, "milliseconds", lambda: now[0])
    made = []
    for _ in range(5000):
        now[0] += seeded.choice([0, 0, 0, 1, -1, 5000, -5000, -10_000_000])
        made.append(uuid7())

    assert made == sorted(set(made))
    assert {uuid.UUID(each).version for each in made} == {7}


def test_a_series_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """From whatever it starts, a series has room for as many ids as anybody can make in a millisecond."""
    for noise in (b"\x00", b"\xff"):
        monkeypatch.setattr(ids.os, "urandom", lambda n, noise=noise: noise * n)
        _, prefix, numbers = ids._begin(0xFFFFFFFFFFFF)
        number = next(numbers)
        assert number + 10**13 < 1 << 48
        assert uuid.UUID(f"{prefix}{number:012x}").variant == uuid.RFC_4122


def test_a_forked_child_has_ids_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one and the same millisecond, a child's ids are not its parent's."""
    monkeypatch.setattr(ids.machine, "milliseconds", lambda: 1 << 41)
    uuid7()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(uuid7() for _ in range(100)).encode())
        os._exit(0)
    ours = {uuid7() for _ in range(100)}
    os.waitpid(child, 0)
    theirs = os.read(reading, 36 * 100).decode()
    os.close(reading)
    os.close(writing)

    assert len(theirs) == 3600
    assert not ours & {theirs[i : i + 36] for i in range(0, 3600, 36)}
