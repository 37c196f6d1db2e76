"""The desk: lets accounts in as far as there is room, a process for each, and sees to it that all of them end.

This process reads nothing that an asker sends, and stays without threads, so that it can fork.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from auditlake.config import DeskSettings
from auditlake.confined.frames import packed
from auditlake.confined.kernel import refuse_threads
from auditlake.desk.counter import ENDING, serve
from auditlake.desk.door import Door
from auditlake.desk.messages import error_message
from auditlake.desk.peers import uid_of
from auditlake.disk.layout import Layout
from auditlake.display.text import count
from auditlake.errors import DeskError
from auditlake.machine import Clock

_CLOSE_SECONDS = 10.0
"""How long a session has to put on record what it stopped."""
_BEYOND_SECONDS = 120.0
"""How much longer than it may a session lasts before it is killed."""
_PAUSE_SECONDS = 0.2
_SET_DEATH_SIGNAL = 1
_LOG = logging.getLogger("auditlake.desk")


@dataclass(frozen=True, slots=True)
class _Served:
    """A process that serves an account."""

    uid: int
    until: float
    """When it is killed, by the monotonic clock."""


class Desk:
    """Listens until SIGTERM or Ctrl-C.

    Args:
        layout: The lake.
        limits: How many sessions there may be; each session reads lake.toml itself.
        clock: Where the present comes from.
        door: The socket.
    """

    def __init__(self, layout: Layout, limits: DeskSettings, clock: Clock, door: Door) -> None:
        self._layout = layout
        self._limits = limits
        self._clock = clock
        self._door = door
        self._served: dict[int, _Served] = {}
        """By process."""
        self._closing = False

    def run(self) -> None:
        """Serve.

        Raises:
            DeskError: This process cannot fork safely.
        """
        try:
            refuse_threads()
        except OSError as error:
            raise DeskError(f"a desk cannot be opened in this process: {error}") from error
        with self._signals() as woken:
            poll = select.poll()
            poll.register(self._door.listening, select.POLLIN)
            poll.register(woken, select.POLLIN)
            _LOG.info("listening at %s", self._door.name, extra={"facts": {"event": "listening"}})
            while not self._closing:
                ready = dict(poll.poll(self._milliseconds()))
                if woken in ready:
                    os.read(woken, 512)
                self._reap()
                self._kill_overdue()
                if self._door.listening.fileno() in ready and not self._closing:
                    self._admit(woken)
            self._door.close()
            self._end_all()
        _LOG.info("the desk is closed", extra={"facts": {"event": "ended"}})

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Give a descriptor that can be read once a signal came."""

        def close(*_: object) -> None:
            self._closing = True

        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        handlers = dict.fromkeys(ENDING, close) | {signal.SIGCHLD: lambda *_: None}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        last = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(last)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(woken)
            os.close(wake)

    def _milliseconds(self) -> int | None:
        """How long to wait, at most."""
        if not self._served:
            return None
        return max(int((min(each.until for each in self._served.values()) - time.monotonic()) * 1000) + 1, 1)

    # Those who come

    def _admit(self, woken: int) -> None:
        try:
            connection, _ = self._door.listening.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # no descriptor is left, or no memory
            _LOG.error("nobody can be let in: %s", error.strerror)
            time.sleep(_PAUSE_SECONDS)
            return
        with connection:
            try:
                uid = uid_of(connection)
            except OSError:
                return
            if (why := self._full(uid)) is not None:
                _turn_away(connection, why)
                return
            self._serve(connection, uid, woken)

    def _full(self, uid: int) -> str | None:
        """Why there is no room for another session of an account; None if there is."""
        if len(self._served) >= self._limits.sessions:
            return f"the desk serves {count(self._limits.sessions, 'session')} at once, and has as many"
        most = self._limits.sessions_per_account
        if sum(each.uid == uid for each in self._served.values()) >= most:
            return f"an account has at most {count(most, 'session')} at once"
        return None

    def _serve(self, connection: socket.socket, uid: int, woken: int) -> None:
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # for a child that has no handlers of its own yet
        try:
            if (pid := os.fork()) == 0:
                self._in_child(connection, woken, parent)
        except OSError as error:
            _LOG.error("nobody can be served: %s", error.strerror)
            _turn_away(connection, "there is no room for another process")
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        last = self._limits.session_seconds + self._limits.seconds + self._limits.transfer_seconds
        self._served[pid] = _Served(uid, time.monotonic() + last + _BEYOND_SECONDS)

    def _in_child(self, connection: socket.socket, woken: int, parent: int) -> NoReturn:
        code = 1
        try:
            os.close(woken)
            os.close(signal.set_wakeup_fd(-1))
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._door.listening.close()
            ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
            if os.getppid() == parent:
                serve(connection, self._layout, self._clock)
                code = 0
        except BaseException as error:  # noqa: BLE001 - it must not go on as if it were the desk
            with suppress(Exception):
                _LOG.error("a session failed: %s: %s", type(error).__name__, error)
        finally:
            os._exit(code)

    # Those who go

    def _reap(self) -> None:
        while self._served:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._served.clear()
                return
            if pid == 0:
                return
            self._served.pop(pid, None)

    def _kill_overdue(self) -> None:
        for pid, each in self._served.items():
            if time.monotonic() > each.until:
                _LOG.error("a session of uid %d did not end and was killed", each.uid,
                           extra={"facts": {"event": "killed", "uid": each.uid}})  # fmt: skip
                os.kill(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        """Have every session stop what runs and put that on record; kill those that do not."""
        for pid in self._served:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _CLOSE_SECONDS
        while self._served and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        for pid in self._served:
            os.kill(pid, signal.SIGKILL)
        for pid in self._served:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _turn_away(connection: socket.socket, why: str) -> None:
    """Say why there is no answer, as far as that can be said without waiting."""
    with suppress(OSError):
        connection.settimeout(0)
        connection.send(packed(error_message(DeskError(why, hint="try again when another session has ended"))))
