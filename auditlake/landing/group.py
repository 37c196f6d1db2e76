"""One sync for all who wait: group commit.

Callers put their lines into a queue. Whoever finds nobody at work lands all that is there in one write and one sync,
and wakes the others; one caller alone does just that. Whatever a signal handler raises, and wherever, nobody waits for
ever and no line is landed twice: there is no lock but the leader's, and each step can be found half done.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import RLock as Lock

from auditlake.errors import LakeError, LandingError

Land = Callable[[bytes, list[object]], None]
"""Writes and syncs lines, or raises LakeError; the list gets an item as soon as they are on the disk."""

_PATIENCE_SECONDS = 1.0
"""When a waiting caller looks for itself: only after one was lost that should have woken it."""
_STEP_SECONDS = 0.000_05


class _Call:
    """What one caller wants to be landed."""

    __slots__ = ("data", "done", "error", "gate")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.done = False
        self.error: LakeError | None = None
        self.gate: SimpleQueue[None] = SimpleQueue()

    def wait(self) -> None:
        with suppress(Empty):
            self.gate.get(timeout=_PATIENCE_SECONDS)

    def settle(self, error: LakeError | None) -> None:
        self.error = error
        self.done = True
        self.gate.put(None)


class Group:
    """A queue of callers, of whom one at a time leads.

    Args:
        land: How lines get to the disk; one thread at a time calls it.
        lead: Whoever holds it leads.
    """

    def __init__(self, land: Land, lead: Lock) -> None:
        self._land = land
        self._lead = lead
        self._queue: deque[_Call] = deque()
        self._taken: list[_Call] = []
        self._expected = 1
        self._pace = 0.0

    def submit(self, data: bytes) -> None:
        """Return once the lines are on the disk. Not for whoever holds the lead.

        Raises:
            LakeError: What ``land`` raised, or whoever led was interrupted; the lines are not claimed.
        """
        call = _Call(data)
        self._queue.append(call)
        try:
            while not call.done:
                self._lead_or_wait(call)
        except BaseException:
            with suppress(ValueError):
                self._queue.remove(call)  # then nobody lands it any more
            self.wake()
            raise
        if call.error is not None:
            raise type(call.error)(str(call.error), hint=call.error.hint) from call.error

    def _lead_or_wait(self, call: _Call) -> None:
        held: list[bool] = []
        try:
            # In one call of C: no interrupt comes between taking the lock and knowing it.
            held.extend(map(self._lead.acquire, (False,)))
            if held[0]:
                self._land_all()
        finally:
            if held and held[0]:
                self._lead.release()
        if held[0]:
            self.wake()
        else:
            call.wait()

    def wake(self) -> None:
        """Let somebody who waits see whether it is to lead now."""
        with suppress(IndexError):
            self._queue[0].gate.put(None)

    def _land_all(self) -> None:
        error: LakeError = LandingError("not recorded: whoever was writing it was interrupted", hint="log it again")
        self._settle(error)  # of a leader that could not even do this
        self._gather()
        self._taken = list(self._queue)
        outcome: list[object] = []
        began = time.monotonic()
        try:
            self._land(b"".join([call.data for call in self._taken]), outcome)
        except LakeError as refusal:
            error = refusal
        finally:
            landed = len(self._taken)
            self._settle(None if outcome else error)  # an interrupt after the sync is nothing to the others
        self._pace = time.monotonic() - began
        self._expected = landed + len(self._queue)

    def _settle(self, error: LakeError | None) -> None:
        for call in self._taken:
            if not call.done:
                call.settle(error)
        while self._queue and self._queue[0].done:
            self._queue.popleft()
        self._taken = []

    def _gather(self) -> None:
        """Wait a moment for those who were there last time: woken threads come back one by one.

        For no longer than the last landing took, so that it pays where it succeeds and costs little where it does not.
        """
        if len(self._queue) < self._expected:
            until = time.monotonic() + self._pace
            while len(self._queue) < self._expected and time.monotonic() < until:
                time.sleep(_STEP_SECONDS)
