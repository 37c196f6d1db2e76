"""Programs that log: ``python -m tests.landing.worker VERB LAKE DURABILITY ARGUMENT...``.

What is acknowledged goes to standard output at once, one id a line.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from auditlake.disk.layout import Layout
from auditlake.errors import LandingError
from auditlake.landing.trail import Trail
from tests.landing.lakes import event, trail
from tests.waiting import HANG_SECONDS, until


def tell(text: str, descriptor: int = 1) -> None:
    """Write a line whole."""
    os.write(descriptor, f"{text}\n".encode())


def together(threads: int, work: Callable[[int], None]) -> list[Thread]:
    """Threads at work."""
    started = [Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    return started


def log(layout: Layout, durability: str, count: str, segment_bytes: str = "1000000") -> None:
    """Log one event after the other, and tell each."""
    with trail(layout, durability=durability, interval_ms=20, segment_bytes=int(segment_bytes)) as logged:
        for number in range(int(count)):
            try:
                tell(logged.log(event(number)))
            except LandingError as error:
                tell(f"refused {error}")


def crowd(layout: Layout, durability: str, threads: str, count: str, segment_bytes: str = "20000") -> None:
    """Log from many threads, in ones and in threes."""
    with trail(layout, durability=durability, interval_ms=5, segment_bytes=int(segment_bytes)) as logged:

        def work(thread: int) -> None:
            for number in range(int(count)):
                tell(logged.log(event(thread)))
                if number % 10 == 0:
                    tell("\n".join(logged.log_many([event(thread)] * 3)))

        for thread in together(int(threads), work):
            thread.join()


def interrupted(layout: Layout, durability: str, threads: str, interrupts: str, seed: str) -> None:
    """Log from the main thread, which is interrupted at random moments, and from others, which must not notice.

    Tell at last how many interrupts there were.
    """
    seeded, stop, happened = random.Random(int(seed)), Event(), []
    logged = trail(layout, durability=durability, interval_ms=2, segment_bytes=30_000)
    tell(logged.log(event()))  # what is imported for the first event is not made to be interrupted

    def work(thread: int) -> None:
        while not stop.is_set():
            try:
                tell(logged.log(event(thread)))
            except LandingError as error:
                tell(f"refused {error}")

    def interrupt(*_: object) -> None:
        happened.append(None)
        raise KeyboardInterrupt

    others = together(int(threads), work)
    signal.signal(signal.SIGALRM, interrupt)
    while len(happened) < int(interrupts):
        number = len(happened)
        try:
            signal.setitimer(signal.ITIMER_REAL, 10 ** seeded.uniform(-5, -2.5))
            while len(happened) == number:
                try:
                    tell(logged.log(event()))
                except LandingError as error:  # a background sync that was interrupted: raised once
                    tell(f"refused {error}")
        except KeyboardInterrupt:
            continue
    tell(logged.log(event()))
    stop.set()
    for thread in others:
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()
    logged.close()
    tell(f"interrupted {len(happened)}")


def handled(layout: Layout, durability: str, signals: str, seed: str) -> None:
    """Log from the main thread and from a signal handler that comes in between at random moments."""
    seeded, done = random.Random(int(seed)), [0]
    logged = trail(layout, durability=durability, interval_ms=2)
    tell(logged.log(event()))

    def handle(*_: object) -> None:
        done[0] += 1
        tell(logged.log(event(1)))
        if done[0] < int(signals):
            signal.setitimer(signal.ITIMER_REAL, 10 ** seeded.uniform(-5, -3))

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    while done[0] < int(signals):
        tell(logged.log(event()))
    logged.close()


def forking(layout: Layout, durability: str, children: str, count: str) -> None:
    """Fork again and again while threads log; the children log too, through the same trail."""
    stop, failed = Event(), []
    logged = trail(layout, durability=durability, interval_ms=2)

    def work(thread: int) -> None:
        while not stop.is_set():
            tell(logged.log(event(thread)))

    others = together(2, work)
    for number in range(int(children)):
        child = os.fork()
        if not child:
            _forked(logged, number, int(count))
        if number % 2:
            logged.log_many([])
        failed += [number] if os.waitpid(child, 0)[1] else []
        tell(logged.log(event(number)))
    stop.set()
    for thread in others:
        thread.join()
    assert failed == []
    # What the children had of it is gone with them, and the lock is still ours.
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    tell(f"slot {logged._writer._slot.number if logged._writer._slot else None}")
    sys.stdin.readline()
    logged.close()


def _forked(logged: Trail, number: int, count: int) -> None:
    code = 1
    try:
        for _ in range(count):
            tell(logged.log(event(number)))
        logged.close()
        code = 0
    finally:
        os._exit(code)


def killed(layout: Layout, durability: str, runs: str, seed: str) -> None:
    """Run writers of three threads, each killed once some of its events are acknowledged.

    Each writer tells into a file of its own, named by its number.
    """
    seeded = random.Random(int(seed))
    for run in range(int(runs)):
        told = os.open(layout.root.parent / f"told-{run}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        child = os.fork()
        if not child:
            _doomed(layout, durability, told)
        size = seeded.randint(1, 60) * len(f"{uuid.UUID(int=0)}\n")
        until(lambda told=told, size=size: os.fstat(told).st_size >= size)
        os.close(told)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _doomed(layout: Layout, durability: str, told: int) -> None:
    try:
        logged = trail(layout, durability=durability, interval_ms=2, segment_bytes=5000)

        def work(thread: int) -> None:
            while True:
                tell("\n".join(logged.log_many([event(thread)] * 2)), told)
                tell(logged.log(event(thread)), told)

        for thread in together(3, work):
            thread.join()
    finally:
        os._exit(1)


VERBS = {each.__name__: each for each in (log, crowd, interrupted, handled, forking, killed)}


def main(words: list[str]) -> None:
    """Do what is asked."""
    verb, lake, *rest = words
    VERBS[verb](Layout(Path(lake)), *rest)


if __name__ == "__main__":
    main(sys.argv[1:])
