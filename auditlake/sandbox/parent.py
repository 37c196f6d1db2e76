"""The parent's side of one child: started in good time, told what to open, asked, and killed when it is time.

Whatever the child sends is taken for hostile: lengths are bounded, Arrow is validated, and no wait is without an end.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from auditlake.engine.arrow_rows import inexact
from auditlake.errors import SandboxError
from auditlake.sandbox.model import Opening, Outcome
from auditlake.sandbox.protocol import HEAD, ROWS, SAID, STRETCH, RowsOut, packed

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
_WAIT_SECONDS = 0.25
_GRACE_SECONDS = 0.5
"""The engine's own deadline comes first, and leaves the child alive."""
_LONGEST_TOLD = 1 << 20
"""Bytes of the longest JSON object that is taken from a child."""
_ROOM = 1 << 20
"""Bytes that an Arrow stream may have beyond what its batches were counted as."""
_NONSENSE = "it said what makes no sense"


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
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._deadline = 0.0
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
        self._deadline = time.monotonic() + _START_SECONDS
        self._send(packed({"open": asdict(opening)}))
        import pyarrow.ipc  # noqa: F401 - needed for the answer, and slow: now, while the child is at work

        while True:
            kind, payload = self._frame()
            reply = self._receive(kind, payload)
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
        self, text: str, values: Mapping[str, Any], seconds: float, output: int, give: Callable[[str], pa.Table]
    ) -> Reply:
        """Run a statement.

        Args:
            text: The statement.
            values: Its parameters, as the wire has them.
            seconds: After these it is killed; what ``give`` takes counts.
            output: The most bytes that are taken of its answer.
            give: Makes a view's table that it asks for.

        Raises:
            ChildGone: It ended, was killed at the deadline, or sent more than it may.
        """
        data = bytearray()
        self._deadline = time.monotonic() + seconds + _GRACE_SECONDS
        self._send(packed({"ask": {"text": text, "values": dict(values)}}))
        while True:
            kind, payload = self._frame()
            if kind == ROWS:
                data += payload
                if len(data) > output + _ROOM:
                    self._end("it gave more than it may")
                continue
            reply = self._receive(kind, payload)
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
        import pyarrow as pa

        with BufferedWriter(RowsOut(self._send), STRETCH) as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=8_192)
        self._send(packed({"end": True}))

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

    # Frames, with an end to every wait

    def _frame(self) -> tuple[bytes, bytes]:
        kind, length = HEAD.unpack(b"".join(self._read(HEAD.size)))
        if length > {SAID: _LONGEST_TOLD, ROWS: STRETCH}.get(kind, 0):
            self._end(_NONSENSE)
        return kind, b"".join(self._read(length))

    def _read(self, length: int) -> Iterator[bytes]:
        while length:
            self._wait(self._from, select.POLLIN)
            with suppress(BlockingIOError):
                if not (part := os.read(self._from, length)):
                    self._end(self._why_dead())
                length -= len(part)
                yield part

    def _send(self, data: Any) -> None:
        rest = memoryview(data)
        while rest:
            self._wait(self._to, select.POLLOUT)
            try:
                rest = rest[os.write(self._to, rest[:65_536]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._end(self._why_dead())

    def _wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        # In short waits: a signal just before a wait does not end it, and Ctrl-C would go unnoticed until the deadline.
        while (left := self._deadline - time.monotonic()) > 0:
            if poll.poll(min(left, _WAIT_SECONDS) * 1000):
                return
        self._end("it took longer than it may")

    def _why_dead(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            if code == -signal.SIGXCPU:
                return "it took longer than it may"
            if code == -signal.SIGKILL:
                return "its process was killed"
            return f"its process ended ({signal.Signals(-code).name if code < 0 else code}), perhaps for want of memory"
        return "its process no longer answers"

    def _receive(self, kind: bytes, payload: bytes) -> dict[str, Any]:
        message = None
        with suppress(ValueError, RecursionError):
            message = json.loads(payload)
        if kind != SAID or not isinstance(message, dict):
            self._end(_NONSENSE)
        return message
