"""Logging events as they happen: checked, written down in one segment or another, acknowledged."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from threading import RLock
from typing import Any, Literal, Protocol, Self, get_args
from weakref import WeakMethod, WeakSet, finalize

from auditlake.disk.layout import Layout
from auditlake.errors import EventError, LakeError, LandingError
from auditlake.events.event import AuditEvent
from auditlake.events.ids import uuid7
from auditlake.landing.background import Background, Troubles
from auditlake.landing.group_commit import Group
from auditlake.landing.slot import Sync, sync_data
from auditlake.landing.writer import Writer

Durability = Literal["sync", "interval", "os"]
"""When the bytes of a logged event get to the disk: before ``log`` returns, soon after, or when the system likes."""

_FLUSH_WAIT_SECONDS = 10.0
"""How long ``close`` waits for a flush under way; one that is cut off harms nothing."""
_LONGEST_SEGMENT = 1 << 35

_log = logging.getLogger("auditlake.landing")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a lake takes."""

    event_types: frozenset[str]
    max_record: int
    """Bytes of the longest event as JSON."""


@dataclass(frozen=True, slots=True)
class TrailOptions:
    """How a trail is kept.

    Raises:
        LakeError: A value makes no sense.
    """

    durability: Durability = "sync"
    """``sync``: ``log`` returns once the event is on the disk; callers that wait share a sync. ``interval``: a kill of
    the process loses nothing, a power cut the events of the last ``interval_ms``. ``os``: as that, but how much a power
    cut takes is up to the operating system, on Linux usually the last half minute."""
    interval_ms: float = 100
    """Milliseconds between the syncs of ``interval``."""
    segment_bytes: int = 64 * 1024 * 1024
    """Bytes of a segment before the next one begins; at most 32 GiB."""
    segment_seconds: float = 3600
    """Age of a segment before the next one begins."""
    flush_seconds: float | None = 60
    """Seconds between flushes into the table by a thread of this process; none if None."""

    def __post_init__(self) -> None:
        if self.durability not in get_args(Durability):
            expected = ", ".join(get_args(Durability))
            raise LakeError(f"durability: expected one of {expected}, got {self.durability!r}")
        if not 0 < self.segment_bytes <= _LONGEST_SEGMENT:
            raise LakeError(f"segment_bytes: expected 1 to {_LONGEST_SEGMENT}, got {self.segment_bytes!r}")
        for name in ("interval_ms", "segment_seconds", "flush_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise LakeError(f"{name}: expected more than 0, got {value!r}")


class Companion(Protocol):
    """What works in this process for as long as a trail is open."""

    def start(self) -> None:
        """Begin, if it has not: called with the first event, and with the first in a forked child."""

    def stop(self) -> None:
        """Stop; called once the trail is closed."""


class Trail:
    """Logs events into a lake, from any number of threads; each process has trails of its own.

    A forked child may go on with its parent's trail: it gets a slot of its own. A signal handler may log, even if it
    interrupts a call of ``log``. Use it as a context manager, or close it; at the exit of the interpreter it is closed.

    Args:
        layout: The lake.
        terms: What the lake takes.
        options: How the trail is kept.
        flush: Brings what has landed into the table; called every ``flush_seconds`` by a thread of its own.
        beside: Begins with the first event and ends with the trail.
        sync: How bytes get to the disk.
        own: Whether these are auditlake's own events: their source is ``auditlake.self``, which no other trail can say.
    """

    def __init__(
        self,
        layout: Layout,
        terms: Terms,
        options: TrailOptions | None = None,
        *,
        flush: Callable[[], object] | None = None,
        beside: Companion | None = None,
        sync: Sync = sync_data,
        own: bool = False,
    ) -> None:
        self.options = options or TrailOptions()
        """How it is kept."""
        self._layout = layout
        self._types = terms.event_types
        self._max_record = terms.max_record
        self._terms = terms
        self._flush = flush
        self._companion = beside
        self._sync = sync
        self._own = own
        self._closed = False
        self._renew()
        _trails.add(self)

    def _renew(self) -> None:
        """Begin with nothing open and no caller waiting."""
        self._lock = RLock()
        options = self.options
        self._writer = Writer(
            self._layout, options.segment_bytes, options.segment_seconds, self._sync, own=self._own
        )  # fmt: skip
        # The collector may take the writer's files before it calls ``__del__``, not before this.
        finalize(self, _close, self._writer).atexit = False
        self._group = Group(self._land, self._lock) if self.options.durability == "sync" else None
        self._threads: list[Background] | None = None
        self._aside: Trail | None = None
        self._troubles = Troubles(_log, f"{self._layout.root} cannot be flushed; retrying")

    def __repr__(self) -> str:
        return f"<Trail {self.options.durability} {self._layout.root}>"

    def log(self, event: AuditEvent) -> str:
        """Record an event, as it is now, and give its id: its own, or a new UUID of version 7.

        Returns once the event is as durable as the trail promises; it is then in every answer.

        Raises:
            EventError: It is no event, its type is not known to the lake, or it is too long; nothing of it is kept.
            LandingError: The disk refused, or the trail is closed.
        """
        event_id, line = self._checked(event)
        self._append(line)
        return event_id

    def log_many(self, events: Iterable[AuditEvent]) -> list[str]:
        """Record events together and give their ids, as :meth:`log` does for one.

        If any of them cannot be recorded, none is.
        """
        checked = [self._checked(event) for event in events]
        if checked:
            self._append(b"".join([line for _, line in checked]))
        return [event_id for event_id, _ in checked]

    def append_lines(self, lines: Sequence[bytes]) -> None:
        """Record lines of another log as they came, together, each without its newline; as durable as :meth:`log`.

        Nothing is checked: what cannot be an event is quarantined with its bytes when it is flushed.

        Raises:
            LandingError: The disk refused, or the trail is closed.
        """
        if lines:
            self._append(b"".join([line + b"\n" for line in lines]))

    def sync(self) -> None:
        """Return once everything logged so far is on the disk, whatever the trail promises.

        Raises:
            LandingError: The disk refused; events since the last sync may be lost.
        """
        try:
            with self._lock:
                self._writer.sync()
        finally:
            self._wake()

    def close(self) -> None:
        """Sync, stop the threads, and give the slot back. Logging raises from then on.

        Raises:
            LandingError: The disk refused the sync; events since the last sync may be lost.
        """
        self._closed = True
        try:
            with self._lock:
                self._writer.close()
        finally:
            self._wake()
            aside, self._aside = self._aside, None
            threads, self._threads = self._threads or [], []
            for thread in threads:
                thread.stop(_FLUSH_WAIT_SECONDS)
            if aside is not None:
                aside.close()
            if self._companion is not None:
                self._companion.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()

    # What these need

    def _checked(self, event: AuditEvent) -> tuple[str, bytes]:
        """Return the id and the line of an event that can be recorded."""
        if not isinstance(event, AuditEvent):
            message = f"expected an AuditEvent, got {type(event).__name__}"
            raise EventError(message, hint="make one with auditlake.AuditEvent(event_type, timestamp, …)")
        if event.event_type not in self._types:
            raise _unknown(event.event_type, self._types)
        event_id, line = event.as_line(uuid7)
        if len(line) > self._max_record + 1:
            message = f"the event has {len(line) - 1} bytes as JSON, this lake takes at most {self._max_record}"
            raise EventError(message, hint="max_record in lake.toml")
        return event_id, line

    def _append(self, lines: bytes) -> None:
        if self._lock._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001 - as threading.Condition asks it
            self._beside(lines)
        elif self._group is not None:
            self._group.submit(lines)
        else:
            with self._lock:
                self._land(lines)

    def _land(self, lines: bytes, outcome: list[object] | None = None) -> None:
        """Write lines. The caller holds the lock."""
        if self._closed:
            raise LandingError("not recorded: the trail is closed", hint="log with another one")
        if self._threads is None:
            self._threads = self._started()
        self._writer.append(lines, outcome)

    def _wake(self) -> None:
        """Wake a caller that came while the lock was held for something else, so that it leads."""
        if self._group is not None:
            self._group.wake()

    def _beside(self, lines: bytes) -> None:
        """Log to a slot of its own what a signal handler logs while the call that it interrupts is at work."""
        if self._aside is None:
            self._aside = Trail(self._layout, self._terms, self.options, sync=self._sync, own=self._own)
        self._aside._append(lines)  # noqa: SLF001 - its own kind

    def _started(self) -> list[Background]:
        if self._companion is not None:
            self._companion.start()
        threads = []
        if self.options.durability == "interval":
            seconds = self.options.interval_ms / 1000
            threads.append(Background("auditlake-sync", seconds, WeakMethod(self._sync_behind)))
        if self._flush is not None and self.options.flush_seconds is not None:
            seconds = self.options.flush_seconds
            threads.append(Background("auditlake-flush", seconds, WeakMethod(self._flush_behind)))
        return threads

    def _sync_behind(self) -> None:
        """Sync what has been written while callers go on; a failure is raised by the next call."""
        with self._lock:
            segment = self._writer.segment
            length = segment.length if segment is not None else 0
        with suppress(OSError):
            if segment is not None:
                segment.sync(length, [])

    def _flush_behind(self) -> None:
        if self._flush is None:
            return
        try:
            self._flush()
            self._troubles.end()
        except Exception as error:  # noqa: BLE001 - whatever it is, logging goes on
            self._troubles.tell(error)
        except BaseException:  # noqa: BLE001 - see above
            # delta-rs panics, which is no Exception, in a forked child of a process that has used it.
            self._flush = None
            _log.exception("this process cannot flush; what it logs is safe, and is for another process to flush")

    def _forget(self) -> None:
        """Forget, in a forked child, the files, the lines and the threads: they are the parent's."""
        self._writer.forget()
        self._renew()


def _close(writer: Writer) -> None:
    with suppress(LandingError, OSError):
        writer.close()


def _unknown(name: str, types: Iterable[str]) -> EventError:
    close = get_close_matches(name[:64], sorted(types), n=3)
    message = f"event_type: this lake does not know {name[:64]!r}"
    hint = f"close to it: {', '.join(close)}" if close else "lake.toml can declare it: event_types"
    return EventError(message, hint=hint)


def keep_unfit(trail: object, record: AuditEvent | Mapping[Any, Any]) -> None:
    """Append an event that :meth:`Trail.log` refused and that must not be lost, as a line of JSON with an id.

    The next flush quarantines the line with its reason, or makes an event of it where it would of a file's line. What
    JSON cannot say stands in it as Python shows it.

    Args:
        trail: The trail, or a lake with one of its own.
        record: The event, or its fields.

    Raises:
        LandingError: The disk refused, or the trail is closed.
    """
    if isinstance(record, AuditEvent):
        line = record.as_line(uuid7)[1].removesuffix(b"\n")
    else:
        from auditlake.sources.python_events import shown_line  # with Arrow, which is slow to import

        line = shown_line({"event_id": uuid7(), **record})
    own: Any = getattr(trail, "_trail", trail)
    own.append_lines([line])


_trails: WeakSet[Trail] = WeakSet()


def _forget_all() -> None:
    for trail in list(_trails):
        trail._forget()  # noqa: SLF001 - the module's own


def _close_all() -> None:
    for trail in list(_trails):
        try:
            trail.close()
        except LandingError:
            _log.exception("a trail could not be closed in good order")


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
