"""One sync for all who wait: group commit.

Callers put their lines into a queue. A caller that finds no other at work lands all that is there in one write and one
sync, and wakes the others; one caller alone does just that. Whatever a signal handler raises, and wherever, none waits
for ever: there is no lock but the leader's, each step can be found half done, and what an interrupted leader had taken
the next one lands.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import RLock as Lock

from auditlake.errors import LakeError

Land = Callable[[bytes, list[object]], None]
"""Writes and syncs lines, or raises LakeError; the list gets an item as soon as they are on the disk.

Where something else is raised and the list is empty, the same lines come again: what was written of them is left out.
"""

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
        lead: The thread that holds it leads.
    """

    def __init__(self, land: Land, lead: Lock) -> None:
        self._land = land
        self._lead = lead
        self._queue: deque[_Call] = deque()
        self._taken: list[_Call] = []
        self._outcome: list[object] = []
        self._error: LakeError | None = None
        self._expected = 1
        self._pace = 0.0

    def submit(self, data: bytes) -> None:
        """Return once the lines are on the disk. Not for the thread that holds the lead.

        Raises:
            LakeError: What ``land`` raised; the lines are not claimed.
        """
        call = _Call(data)
        self._queue.append(call)
        try:
            while not call.done:
                self._lead_or_wait(call)
        except BaseException:
            with suppress(ValueError):
                self._queue.remove(call)  # then no thread lands it any more
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
        """Let a waiting thread see whether it is to lead now."""
        if self._queue:
            with suppress(IndexError):  # another thread has landed it just now
                self._queue[0].gate.put(None)

    def _land_all(self) -> None:
        self._settle()  # for a leader that could not even do this
        if len(self._queue) < self._expected:
            self._gather()
        self._outcome, self._error = [], None
        self._taken = list(self._queue)
        began = time.monotonic()
        try:
            self._land(b"".join([call.data for call in self._taken]), self._outcome)
        except LakeError as refusal:
            self._error = refusal
        finally:
            landed = len(self._taken)
            self._settle()
        self._pace = time.monotonic() - began
        self._expected = landed + len(self._queue)

    def _settle(self) -> None:
        """Tell the callers whose lines were taken how it went. After an interrupt none were: they wait for the next."""
        if self._outcome or self._error is not None:
            for call in self._taken:
                if not call.done:
                    call.settle(None if self._outcome else self._error)
            while self._queue and self._queue[0].done:
                self._queue.popleft()
        self._taken = []

    def _gather(self) -> None:
        """Wait a moment for those who were there last time: woken threads come back one by one.

        For no longer than the last landing took, so that it pays where it succeeds and costs little where it does not.
        """
        until = time.monotonic() + self._pace
        while len(self._queue) < self._expected and time.monotonic() < until:
            time.sleep(_STEP_SECONDS)
