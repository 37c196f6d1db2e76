"""What goes on beside the callers: a daemon thread that does something every so often."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread, current_thread


class Background:
    """Does something every so many seconds, until it is stopped or its owner is gone.

    Args:
        name: Of the thread.
        seconds: How long it waits before each time.
        act: Gives what to do, None when its owner is gone; a weak reference to a method is such a thing. What it does
            must not raise.
    """

    def __init__(self, name: str, seconds: float, act: Callable[[], Callable[[], None] | None]) -> None:
        self._stop = Event()
        self._thread = Thread(target=_run, args=(self._stop, seconds, act), name=name, daemon=True)
        self._thread.start()

    def stop(self, wait_seconds: float) -> None:
        """End the thread; what it is doing just now may take so long to end."""
        self._stop.set()
        if self._thread is not current_thread():
            self._thread.join(wait_seconds)


def _run(stop: Event, seconds: float, act: Callable[[], Callable[[], None] | None]) -> None:
    while not stop.wait(seconds):
        do = act()
        if do is None:
            return
        do()
        del do  # or its owner would live as long as the thread
