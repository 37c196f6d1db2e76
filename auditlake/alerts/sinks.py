"""Where alerts go. Each sink has a thread of its own, so that none waits for another, and no caller for a sink."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from auditlake.alerts.model import Alert
from auditlake.disk.durable import sync_folder
from auditlake.disk.files import descriptor_of
from auditlake.events.times import print_instant
from auditlake.machine import Clock

MOST_WAITING = 10_000
"""How many alerts wait for one sink at most; then the oldest are given up."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_LOG = logging.getLogger("auditlake.alerts.watch")


@dataclass(frozen=True, slots=True)
class Place:
    """What a sink may need to know of the lake."""

    root: Path
    """The lake's folder; a sink's relative paths begin there."""
    folder: Path
    """``LAKE/alerts``."""
    clock: Clock


class Sink:
    """Where alerts go."""

    name = "sink"
    """What it is called in messages; several of a name are numbered."""
    called: str | None = None
    """What lake.toml calls it; if None, what its kind is called."""
    tries_again = False
    """Whether an alert that could not be delivered is tried again, before all that come after it."""

    def open(self, place: Place, name: str) -> None:  # noqa: ARG002 - for those that need it
        """Get ready, in the process that evaluates."""
        self.name = name

    def deliver(self, alert: Alert) -> None:
        """Take an alert; whatever is raised means that it was not taken. Called by one thread at a time."""
        raise NotImplementedError

    def close(self, wait_seconds: float) -> None:
        """Let go, within about so many seconds."""


class LogSink(Sink):
    """Python's ``logging``, logger ``auditlake.alerts``: WARNING for alerts, INFO for resolutions.

    The record's ``alert`` is the alert as a dict.
    """

    name = "log"

    def __init__(self) -> None:
        self._log = logging.getLogger("auditlake.alerts")

    def deliver(self, alert: Alert) -> None:
        """Log one line."""
        level = logging.INFO if alert.kind == "resolved" else logging.WARNING
        late = ", late" if alert.late else ""
        text = f"{alert.message} ({alert.severity}, at {print_instant(alert.at)}{late}, {alert.id})"
        self._log.log(level, "%s", text, extra={"alert": alert.as_dict()})


class CallSink(Sink):
    """A Python callable; what it raises is logged, and the next alert comes all the same."""

    name = "call"

    def __init__(self, call: Callable[[Alert], object]) -> None:
        self._call = call

    def deliver(self, alert: Alert) -> None:
        """Call it."""
        self._call(alert)


class JsonlSink(Sink):
    """A file of JSON lines, one for each alert, each written at once and synced.

    Args:
        path: The file; if relative, in the lake's folder.
        follow: Whether a file outside of the lake may be a link: not where only lake.toml names it, which may have come
            with a lake from elsewhere.
    """

    name = "jsonl"
    tries_again = True

    def __init__(self, path: str | Path, *, follow: bool = True) -> None:
        self._path = Path(path)
        self._follow = follow

    def open(self, place: Place, name: str) -> None:
        """Find the file's place."""
        super().open(place, name)
        self._root, self._path = place.root, place.root / self._path

    def deliver(self, alert: Alert) -> None:
        """Append a line. The file is opened anew each time: it may have been rotated."""
        line = json.dumps(alert.as_dict(), separators=(",", ":")).encode("ascii") + b"\n"
        is_new = not self._path.exists()
        outside = None if self._follow else self._path.parent
        within = self._root if self._path.is_relative_to(self._root) else outside
        descriptor = descriptor_of(self._path, within=within, flags=os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # a line that was cut off, by a crash, stays one by itself
            if (written := os.write(descriptor, line)) < len(line):
                if os.fstat(descriptor).st_size == size + written:
                    os.ftruncate(descriptor, size)
                raise OSError(f"only {written} of {len(line)} bytes could be written to {self._path}")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self._path.parent)


def as_sinks(sinks: Callable[[Alert], object] | Sink | Iterable[Callable[[Alert], object] | Sink] | None) -> list[Sink]:
    """Return the sinks that a caller means: a callable, a sink, several of these, or none."""
    if sinks is None:
        return []
    if isinstance(sinks, Sink):
        return [sinks]
    if callable(sinks):
        return [CallSink(sinks)]
    return [sink for each in sinks for sink in as_sinks(each)]


class _Courier:
    """Brings alerts to one sink, in order, in a thread of its own."""

    def __init__(self, sink: Sink, done: Callable[[Alert, str], None]) -> None:
        self.sink = sink
        self._done = done
        self._waiting: deque[Alert] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._given_up = 0

    def put(self, alert: Alert) -> None:
        """Let an alert wait for its delivery; beyond a number, the oldest is given up."""
        dropped = None
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                dropped = self._waiting.popleft()
                self._given_up += 1
            self._waiting.append(alert)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"auditlake-{self.sink.name}", daemon=True)
                self._thread.start()
            self._changed.notify()
        if dropped is not None:
            self._done(dropped, self.sink.name)
            if self._given_up == 1 or self._given_up % 1000 == 0:
                _LOG.error("alert sink %s is too slow: %d alerts given up", self.sink.name, self._given_up)

    def close(self, wait_seconds: float) -> None:
        """Deliver what waits, as far as that is possible in so many seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        while (alert := self._next()) is not None:
            wait = _FIRST_WAIT
            while not self._deliver(alert):
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, wait):
                        return
                wait = min(2 * wait, _LONGEST_WAIT)
            self._done(alert, self.sink.name)

    def _next(self) -> Alert | None:
        """Return the alert to deliver next; None once all are delivered."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting.popleft() if self._waiting else None

    def _deliver(self, alert: Alert) -> bool:
        """Whether the alert is done with."""
        try:
            self.sink.deliver(alert)
        except BaseException as error:  # noqa: BLE001 - a sink is foreign code, and may even want to exit
            what = "it is tried again" if self.sink.tries_again else "it is given up"
            _LOG.error("alert %s could not be delivered to %s, %s: %r", alert.id, self.sink.name, what, error)
            return not self.sink.tries_again
        return True


class Dispatch:
    """Hands alerts to all sinks, and knows which sink still lacks which alert.

    Args:
        sinks: The sinks.
        place: What they need to know of the lake.
    """

    def __init__(self, sinks: Sequence[Sink], place: Place) -> None:
        self._guard = threading.Lock()
        self._lacking: dict[int, tuple[Alert, set[str]]] = {}
        self._couriers: dict[str, _Courier] = {}
        for sink in sinks:
            base = sink.called or type(sink).name
            names = chain([base], (f"{base}-{number}" for number in count(2)))
            sink.open(place, next(name for name in names if name not in self._couriers))
            self._couriers[sink.name] = _Courier(sink, self._delivered)
        self._took_up = False

    def take_up(self, outbox: Iterable[tuple[Alert, Sequence[str]]]) -> None:
        """Deliver what an earlier process raised and some sinks lack, by their names; only the first time."""
        if not self._took_up:
            self._took_up = True
            for alert, names in outbox:
                self._send(alert, names)

    def may_take_up(self) -> None:
        """Let what another host raised meanwhile be taken up too."""
        self._took_up = False

    def send(self, alert: Alert) -> None:
        """Hand an alert to every sink; never waits for one."""
        self._send(alert, tuple(self._couriers))

    def outbox(self) -> tuple[tuple[Alert, tuple[str, ...]], ...]:
        """Return the alerts that some sink still lacks."""
        with self._guard:
            return tuple((alert, tuple(sorted(names))) for alert, names in self._lacking.values())

    def close(self, wait_seconds: float) -> None:
        """Deliver what waits, as far as that is possible in so many seconds, and let go."""
        deadline = time.monotonic() + wait_seconds
        for courier in self._couriers.values():
            courier.close(max(deadline - time.monotonic(), 0.0))
        for courier in self._couriers.values():
            with suppress(Exception):
                courier.sink.close(max(deadline - time.monotonic(), 0.0))

    def _send(self, alert: Alert, names: Iterable[str]) -> None:
        known = [name for name in names if name in self._couriers]
        if not known:
            return
        with self._guard:
            self._lacking[id(alert)] = (alert, set(known))
        for name in known:
            self._couriers[name].put(alert)

    def _delivered(self, alert: Alert, name: str) -> None:
        with self._guard:
            _, lacking = self._lacking[id(alert)]
            lacking.discard(name)
            if not lacking:
                del self._lacking[id(alert)]
