"""The parent's side of one child that answers statements: told what to open, asked, and killed when it is time.

Whatever the child sends is taken for hostile: what it says is checked, and Arrow is validated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from auditlake.confined.frames import DATA, packed
from auditlake.confined.process import NONSENSE, Process
from auditlake.engine.arrow_rows import inexact
from auditlake.errors import SandboxError
from auditlake.sandbox.model import Opening, Outcome
from auditlake.sandbox.protocol import send_rows
from auditlake.sandbox.received import Received

if TYPE_CHECKING:
    import pyarrow as pa

_CODE = (
    "import sys; sys.path[:] = sys.argv[1:]; sys.modules['numpy'] = None; "
    "from auditlake.sandbox.child import main; main()"
)
"""Arrow does without numpy, which takes as long to import as all the rest."""
_START_SECONDS = 60.0
_GRACE_SECONDS = 0.5
"""The engine's own deadline comes first, and leaves the child alive."""
_ROOM = 1 << 20
"""Bytes that an Arrow stream may have beyond what its batches were counted as."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a query gave."""

    outcome: Outcome
    rows: Received | None = None
    """The rows; of a query that gave any."""


class Child(Process):
    """A child process; it begins to import what it needs at once."""

    def __init__(self) -> None:
        super().__init__(_CODE)
        self.holds: tuple[str, ...] = ()
        """The layers that it has put on."""
        self.ready = False
        """Whether it can be asked."""
        self.lacks: dict[str, str] = {}
        """The layers that it could not put on, and why."""

    def open(self, opening: Opening) -> None:
        """Have it put the sandbox on and open the engine.

        Raises:
            SandboxError: It found that the sandbox does not hold, or could not open.
            ChildGone: It ended.
        """
        self.give_time(_START_SECONDS)
        self.send(packed({"open": opening.as_json()}))
        import pyarrow.ipc  # noqa: F401 - needed for the answer, and slow: now, while the child is at work

        while True:
            kind, payload = self.frame()
            reply = self.told(kind, payload)
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
        data = Received()
        self.give_time(seconds + _GRACE_SECONDS)
        self.look_with(look)
        self.send(packed({"ask": {"text": text, "values": dict(values)}}))
        while True:
            kind, payload = self.frame()
            if kind == DATA:
                data.add(payload)
                if data.size > output + _ROOM:
                    self.end("it gave more than it may")
                continue
            reply = self.told(kind, payload)
            if "need" in reply:
                self._hand_over(give(str(reply["need"])))
            elif isinstance(done := reply.get("done"), dict):
                return self._reply(self._outcome(done), data)
            else:
                self.end(NONSENSE)

    def _outcome(self, done: Mapping[str, Any]) -> Outcome:
        """How it ended, by the child's own account."""
        status, complete = done.get("status"), bool(done.get("complete", True))
        try:
            rows, seconds = int(done.get("rows", 0)), float(done.get("seconds", 0))
        except (TypeError, ValueError, OverflowError):
            self.end(NONSENSE)
        if not math.isfinite(seconds) or seconds < 0 or rows < 0:
            self.end(NONSENSE)
        if status not in {"success", "refused", "failed", "stopped"}:
            self.end(NONSENSE)
        return Outcome(status, str(done.get("reason", ""))[:1000], rows, seconds, complete)

    def _reply(self, outcome: Outcome, data: Received) -> Reply:
        """Return the rows that a child sent, if they are what Arrow takes for rows."""
        import pyarrow as pa

        if outcome.status != "success" or not data.size:
            return Reply(outcome)
        rows = 0
        try:
            for batch in data.reader():
                batch.validate()
                if why := inexact(batch):
                    return Reply(Outcome("failed", why, seconds=outcome.seconds))
                batch.validate(full=True)
                rows += batch.num_rows
        except (pa.ArrowException, OSError):
            self.end("it gave what are no rows")
        return Reply(replace(outcome, rows=rows), data)

    def _hand_over(self, table: pa.Table) -> None:
        send_rows(self.send, table)
        self.send(packed({"end": True}))
