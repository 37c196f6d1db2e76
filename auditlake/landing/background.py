"""What goes on beside the callers: a thread that does something every so often, and what it tells of failures."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from threading import Event, Thread, current_thread

from auditlake.errors import AuditLakeError


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


class Troubles:
    """Logs what goes wrong again and again once, until something else does or it goes well in between.

    Args:
        logger: Where to.
        what: What fails, and what comes of it.
    """

    def __init__(self, logger: Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._told = ""

    def tell(self, error: BaseException) -> None:
        """Log that it failed: one line for an error of auditlake, and a traceback for any other."""
        message = f"{type(error).__name__}: {error}"
        if message == self._told:
            return
        self._told = message
        if isinstance(error, AuditLakeError | OSError):
            self._logger.error("%s: %s", self._what, error)
        else:
            self._logger.error(self._what, exc_info=error)

    def end(self) -> None:
        """Note that it went well."""
        self._told = ""


def _run(stop: Event, seconds: float, act: Callable[[], Callable[[], None] | None]) -> None:
    while not stop.wait(seconds):
        do = act()
        if do is None:
            return
        do()
        del do  # or its owner would live as long as the thread
