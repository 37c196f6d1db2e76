"""The parent's side of a child process: started, fed, listened to, and killed when it is time.

Whatever the child sends is taken for hostile: lengths are bounded, and no wait is without an end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from auditlake.confined.frames import DATA, HEAD, SAID, STRETCH

NONSENSE = "it said what makes no sense"
LONGER = "it took longer than it may"
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    # No thread may be there before the kernel's layers are on: they would not bind it.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
}
_WAIT_SECONDS = 0.25
_LONGEST_TOLD = 1 << 20
"""Bytes of the longest JSON object that is taken from a child."""


class ChildGone(Exception):  # noqa: N818 - told in other words above
    """The child has ended, said what makes no sense, or taken too long; it is dead by now. Says why in a few words."""


class Process:
    """A child process; it begins to import what it needs at once.

    Args:
        code: What it runs; its arguments are where modules are found.
        environment: More variables for it; it has none of the parent's.
    """

    def __init__(self, code: str, environment: Mapping[str, str] = {}) -> None:
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *(each for each in map(os.path.abspath, filter(None, sys.path)) if each != package)]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, "-I", "-S", "-c", code, *paths],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**_ENVIRONMENT, **environment}, cwd="/", start_new_session=True, bufsize=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._deadline = 0.0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def give_time(self, seconds: float) -> None:
        """Let it take so many seconds from now on; it is killed by the wait that finds them over."""
        self._deadline = time.monotonic() + seconds

    def kill(self) -> None:
        """End it, and whatever it may have started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def end(self, why: str) -> NoReturn:
        """Kill it, and say why."""
        self.kill()
        raise ChildGone(why)

    # Frames, with an end to every wait

    def send(self, data: Any) -> None:
        """Write all of it to the child.

        Raises:
            ChildGone: It has ended, or taken too long.
        """
        rest = memoryview(data)
        while rest:
            self._wait(self._to, select.POLLOUT)
            try:
                rest = rest[os.write(self._to, rest[:65_536]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.end(self._why_dead())

    def frame(self) -> tuple[bytes, bytes]:
        """Return the kind and the payload of the next frame.

        Raises:
            ChildGone: It has ended, taken too long, or sent what is no frame.
        """
        kind, length = HEAD.unpack(b"".join(self._read(HEAD.size)))
        if length > {SAID: _LONGEST_TOLD, DATA: STRETCH}.get(kind, 0):
            self.end(NONSENSE)
        return kind, b"".join(self._read(length))

    def told(self, kind: bytes, payload: bytes) -> dict[str, Any]:
        """Return the JSON object of a frame.

        Raises:
            ChildGone: It is none.
        """
        message = None
        with suppress(ValueError, RecursionError):
            message = json.loads(payload)
        if kind != SAID or not isinstance(message, dict):
            self.end(NONSENSE)
        return message

    def _read(self, length: int) -> Iterator[bytes]:
        while length:
            self._wait(self._from, select.POLLIN)
            with suppress(BlockingIOError):
                if not (part := os.read(self._from, length)):
                    self.end(self._why_dead())
                length -= len(part)
                yield part

    def _wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        # In short waits: a signal just before a wait does not end it, and Ctrl-C would go unnoticed until the deadline.
        while (left := self._deadline - time.monotonic()) > 0:
            if poll.poll(min(left, _WAIT_SECONDS) * 1000):
                return
        self.end(LONGER)

    def _why_dead(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            if code == -signal.SIGXCPU:
                return LONGER
            if code == -signal.SIGKILL:
                return "its process was killed"
            return f"its process ended ({signal.Signals(-code).name if code < 0 else code}), perhaps for want of memory"
        return "its process no longer answers"
