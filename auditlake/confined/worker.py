"""Work in a confined process: of one kind, piece by piece, each with an end to its time, memory and output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from auditlake.confined.frames import DATA, packed, send_data
from auditlake.confined.process import NONSENSE, ChildGone, Process

_CODE = "import sys; sys.path[:] = sys.argv[1:]; from auditlake.confined.work import main; main()"
_START_SECONDS = 60.0
_GRACE_SECONDS = 0.5


class FailedError(Exception):
    """A piece of work was not done; says why in one line."""

    def __init__(self, why: str, *, is_over: bool = False) -> None:
        super().__init__(why)
        self.is_over = is_over
        """Whether it came to a limit, and its process with it; otherwise it was told that it cannot be done."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a piece of work may take."""

    seconds: float
    memory: int
    """Bytes of address space beyond what the process has when it begins."""
    output: int
    """Bytes."""


@dataclass(slots=True)
class Worker:
    """A confined process for one kind of work, started when it is needed, and anew after one that had to be killed."""

    module: str
    """The module of auditlake whose ``work(told, parts)`` does it, and whose ``readable()`` names what it may read."""
    limits: Limits
    """Of each piece."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the process; it has none of the parent's."""
    holds: Sequence[str] = ()
    """The layers that the kernel holds the process to, once it has begun."""
    _child: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def run(self, told: Mapping[str, Any], *parts: bytes) -> bytes:
        """Do a piece of work.

        Args:
            told: What to do.
            parts: The bytes it is done with.

        Raises:
            FailedError: It failed, took more than it may, or could not begin.
        """
        try:
            return self._done(told, parts)
        except ChildGone as gone:
            self._child = None
            raise FailedError(str(gone), is_over=True) from gone
        except FailedError:
            raise
        except BaseException:  # as Ctrl-C: what it would send belongs to no question
            self.close()
            raise

    def _done(self, told: Mapping[str, Any], parts: Sequence[bytes]) -> bytes:
        child = self._child or self._begun()
        child.give_time(self.limits.seconds + _GRACE_SECONDS)
        child.send(packed({"told": dict(told), "sizes": [len(each) for each in parts]}))
        for each in parts:
            send_data(child.send, each)
        made = bytearray()
        while True:
            kind, payload = child.frame()
            if kind == DATA:
                made += payload
                if len(made) > self.limits.output:
                    child.end("it gave more than it may")
                continue
            said = child.told(kind, payload)
            if "failed" in said:
                if is_last := said.get("last") is True:
                    self.close()
                raise FailedError(str(said["failed"])[:1000], is_over=is_last)
            if said.get("done") != len(made):
                child.end(NONSENSE)
            return bytes(made)

    def _begun(self) -> Process:
        """Start a process, and have it lock itself in."""
        child = self._child = Process(_CODE, self.environment)
        child.give_time(_START_SECONDS)
        opening = {"work": self.module, "memory": self.limits.memory, "seconds": self.limits.seconds}
        child.send(packed(opening))
        said = child.told(*child.frame())
        if "broken" in said:
            self.close()
            raise FailedError(f"its process could not begin: {str(said['broken'])[:1000]}")
        if not isinstance(said.get("ready"), list):
            child.end(NONSENSE)
        self.holds = tuple(map(str, said["ready"]))
        return child
