"""The parent's side of a child process: started, fed, listened to, and killed when it is time.

Whatever the child sends is taken for hostile: lengths are bounded, and no wait is without an end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from auditlake.confined.frames import DATA, SAID, STRETCH, Frames, GoneError, LateError, NonsenseError, said

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
        # For an owner that does not end it: the collector may take the pipes before ``__del__``, not before this.
        self._finalizer = weakref.finalize(self, _kill_own, self._process, os.getpid())
        self._finalizer.atexit = False  # it ends with its parent anyway
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        to, source = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(to, False)
        os.set_blocking(source, False)
        self._frames = Frames(source, to, {SAID: _LONGEST_TOLD, DATA: STRETCH})
        self._frames.deadline = 0.0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def give_time(self, seconds: float) -> None:
        """Let it take so many seconds from now on; it is killed by the wait that finds them over."""
        self._frames.deadline = time.monotonic() + seconds

    def look_with(self, look: Callable[[], None]) -> None:
        """Have something called now and then while it is waited for; what that raises ends the wait, not the child."""
        self._frames.look = look

    def kill(self) -> None:
        """End it, and whatever it may have started."""
        _kill(self._process)
        self._finalizer.detach()

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
        with self._talking():
            self._frames.send(data)

    def frame(self) -> tuple[bytes, bytes]:
        """Return the kind and the payload of the next frame.

        Raises:
            ChildGone: It has ended, taken too long, or sent what is no frame.
        """
        with self._talking():
            return self._frames.take()

    def told(self, kind: bytes, payload: bytes) -> dict[str, Any]:
        """Return the JSON object of a frame.

        Raises:
            ChildGone: It is none.
        """
        with self._talking():
            return said(kind, payload)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """End the child where it cannot be talked to any more."""
        try:
            yield
        except GoneError:
            self.end(self._why_dead())
        except LateError:
            self.end(LONGER)
        except NonsenseError:
            self.end(NONSENSE)

    def _why_dead(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            if code == -signal.SIGXCPU:
                return LONGER
            if code == -signal.SIGKILL:
                return "its process was killed"
            return f"its process ended ({signal.Signals(-code).name if code < 0 else code}), perhaps for want of memory"
        return "its process no longer answers"


def _kill_own(process: subprocess.Popen[bytes], parent: int) -> None:
    """End a child, but not from a fork of its parent."""
    if os.getpid() == parent:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
