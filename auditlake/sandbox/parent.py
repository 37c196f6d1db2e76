"""The parent's side of one child: started in good time, told what to open, asked, and killed when it is time.

Whatever the child sends is taken for hostile: lengths are bounded, Arrow is validated, and no wait is without an end.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from auditlake.engine.arrow_rows import inexact
from auditlake.errors import SandboxError
from auditlake.sandbox.model import Opening, Outcome
from auditlake.sandbox.protocol import (
    ROWS,
    SAID,
    STRETCH,
    Frames,
    GoneError,
    LateError,
    NonsenseError,
    packed,
    said,
    send_rows,
)

if TYPE_CHECKING:
    import pyarrow as pa

_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    # No thread may be there before the sandbox is on: it would not bind it.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
}
_CODE = (
    "import sys; sys.path[:] = sys.argv[1:]; sys.modules['numpy'] = None; "
    "from auditlake.sandbox.child import main; main()"
)
"""Arrow does without numpy, which takes as long to import as all the rest."""
_START_SECONDS = 60.0
_GRACE_SECONDS = 0.5
"""The engine's own deadline comes first, and leaves the child alive."""
_LONGEST_TOLD = 1 << 20
"""Bytes of the longest JSON object that is taken from a child."""
_ROOM = 1 << 20
"""Bytes that an Arrow stream may have beyond what its batches were counted as."""
_NONSENSE = "it said what makes no sense"
_LATE = "it took longer than it may"


class ChildGone(Exception):  # noqa: N818 - told in other words above
    """The child has ended, said what makes no sense, or taken too long; it is dead by now. Says why in a few words."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a query gave."""

    outcome: Outcome
    table: pa.Table | None = None
    """The rows; of a query that gave any."""


class Child:
    """A child process; it begins to import what it needs at once."""

    def __init__(self) -> None:
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *(each for each in map(os.path.abspath, filter(None, sys.path)) if each != package)]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, "-I", "-S", "-c", _CODE, *paths],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT, cwd="/", start_new_session=True, bufsize=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        to, source = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(to, False)
        os.set_blocking(source, False)
        self._frames = Frames(source, to, {SAID: _LONGEST_TOLD, ROWS: STRETCH})
        self.holds: tuple[str, ...] = ()
        """The layers that it has put on."""
        self.ready = False
        """Whether it can be asked."""
        self.lacks: dict[str, str] = {}
        """The layers that it could not put on, and why."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def open(self, opening: Opening) -> None:
        """Have it put the sandbox on and open the engine.

        Raises:
            SandboxError: It found that the sandbox does not hold, or could not open.
            ChildGone: It ended.
        """
        with self._talking():
            self._open(opening)

    def _open(self, opening: Opening) -> None:
        self._frames.deadline = time.monotonic() + _START_SECONDS
        self._frames.send(packed({"open": asdict(opening)}))
        import pyarrow.ipc  # noqa: F401 - needed for the answer, and slow: now, while the child is at work

        while True:
            reply = self._frames.take_said()
            if "ready" in reply:
                self.holds = tuple(str(each) for each in reply["ready"])
                self.ready = True
                return
            if "lacks" in reply:
                self.lacks[str(reply["lacks"])] = str(reply.get("why", ""))
            elif "unsafe" in reply:
                self.kill()
                raise SandboxError(f"the sandbox does not hold: {reply['unsafe']}", hint="nothing was run")
            else:
                self.kill()
                raise SandboxError(f"the sandbox could not be opened: {reply.get('broken', 'it says nothing')}")

    def ask(
        self, text: str, values: Mapping[str, Any], seconds: float, output: int, give: Callable[[str], pa.Table],
        look: Callable[[], None] = lambda: None,
    ) -> Reply:  # fmt: skip
        """Run a statement.

        Args:
            text: The statement.
            values: Its parameters, as the wire has them.
            seconds: After these it is killed; what ``give`` takes counts.
            output: The most bytes that are taken of its answer.
            give: Makes a view's table that it asks for.
            look: Called now and then while the child is at work; what it raises ends the wait, and not the child.

        Raises:
            ChildGone: It ended, was killed at the deadline, or sent more than it may.
        """
        self._frames.deadline = time.monotonic() + seconds + _GRACE_SECONDS
        self._frames.look = look
        with self._talking():
            self._frames.send(packed({"ask": {"text": text, "values": dict(values)}}))
            return self._answer(output, give)

    def _answer(self, output: int, give: Callable[[str], pa.Table]) -> Reply:
        """Take an answer of at most so many bytes."""
        data = bytearray()
        while True:
            kind, payload = self._frames.take()
            if kind == ROWS:
                data += payload
                if len(data) > output + _ROOM:
                    self._end("it gave more than it may")
                continue
            reply = said(kind, payload)
            if "need" in reply:
                self._hand_over(give(str(reply["need"])))
            elif isinstance(done := reply.get("done"), dict):
                return self._reply(self._outcome(done), data)
            else:
                self._end(_NONSENSE)

    def _outcome(self, done: Mapping[str, Any]) -> Outcome:
        """How it ended, by the child's own account."""
        status, complete = done.get("status"), bool(done.get("complete", True))
        try:
            rows, seconds = int(done.get("rows", 0)), float(done.get("seconds", 0))
        except (TypeError, ValueError, OverflowError):
            self._end(_NONSENSE)
        if not math.isfinite(seconds) or seconds < 0 or rows < 0:
            self._end(_NONSENSE)
        if status not in {"success", "refused", "failed", "stopped"}:
            self._end(_NONSENSE)
        return Outcome(status, str(done.get("reason", ""))[:1000], rows, seconds, complete)

    def _reply(self, outcome: Outcome, data: bytearray) -> Reply:
        """Return the rows that a child sent, if they are what Arrow takes for a table."""
        import pyarrow as pa

        if outcome.status != "success" or not data:
            return Reply(outcome)
        try:
            table = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
            table.validate()
            if why := inexact(table):
                return Reply(Outcome("failed", why, seconds=outcome.seconds))
            table.validate(full=True)
        except (pa.ArrowException, OSError):
            self._end("it gave what are no rows")
        return Reply(replace(outcome, rows=table.num_rows), table)

    def _hand_over(self, table: pa.Table) -> None:
        send_rows(self._frames.send, table)
        self._frames.send(packed({"end": True}))

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

    def _end(self, why: str) -> NoReturn:
        self.kill()
        raise ChildGone(why)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """End the child where it cannot be talked to any more."""
        try:
            yield
        except GoneError:
            self._end(self._why_dead())
        except LateError:
            self._end(_LATE)
        except NonsenseError:
            self._end(_NONSENSE)

    def _why_dead(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            if code == -signal.SIGXCPU:
                return _LATE
            if code == -signal.SIGKILL:
                return "its process was killed"
            return f"its process ended ({signal.Signals(-code).name if code < 0 else code}), perhaps for want of memory"
        return "its process no longer answers"
