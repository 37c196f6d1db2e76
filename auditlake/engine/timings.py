"""Where the time of a task goes: what spends it notes it, as long as a caller wants to know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter


@dataclass(slots=True)
class Timings:
    """What was noted; it grows as the task goes on."""

    seconds: dict[str, float] = field(default_factory=dict)
    """How long each stage took, by its name; what a stage within it took is not in it."""
    statements: int = 0
    """How many SQL statements ran."""
    plans: dict[str, str] = field(default_factory=dict)
    """How each policy was answered, by its id."""
    _stack: list[str] = field(default_factory=list)
    _since: float = 0

    def turn(self, name: str | None) -> None:
        """Begin a stage within the one that goes on; end it if the name is None."""
        now = perf_counter()
        if self._stack:
            self.seconds[self._stack[-1]] = self.seconds.get(self._stack[-1], 0) + now - self._since
        if name is None:
            self._stack.pop()
        else:
            self._stack.append(name)
        self._since = now


_wanted: ContextVar[Timings | None] = ContextVar("timings", default=None)


@contextmanager
def timed() -> Iterator[Timings]:
    """Note where the time goes within this."""
    timings = Timings()
    token = _wanted.set(timings)
    try:
        yield timings
    finally:
        _wanted.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time within this as that of a stage."""
    if (timings := _wanted.get()) is None:
        yield
        return
    timings.turn(name)
    try:
        yield
    finally:
        timings.turn(None)


@contextmanager
def statement_run() -> Iterator[None]:
    """Count the time within this as that of a statement."""
    if (timings := _wanted.get()) is not None:
        timings.statements += 1
    with stage("asking"):
        yield


def answered_by(policy_id: str, plan: str) -> None:
    """Note how a policy was answered; the first note of it stays."""
    if (timings := _wanted.get()) is not None:
        timings.plans.setdefault(policy_id, plan)
