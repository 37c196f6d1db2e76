"""Who evaluates a lake: one process of those that could, and another as soon as it dies.

The one that holds the flock on ``LAKE/alerts/watch.lock`` evaluates, in a thread of its own; the others ask for the
lock now and then. Of the hosts of a lake in a bucket a lease elects one. What it knows lies in the bucket, where the
next one finds it; the others only bring what they raised earlier to its receivers. Nothing here is slow to import or to
start: a process that logs does not wait for it.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from auditlake.config import LakeConfig
from auditlake.context import LakeContext
from auditlake.disk.durable import make_folders
from auditlake.disk.files import descriptor_of
from auditlake.disk.layout import Layout
from auditlake.disk.lock import try_lock
from auditlake.errors import LakeBusyError
from auditlake.landing.background import Troubles
from auditlake.landing.trail import Terms, Trail, TrailOptions
from auditlake.machine import Clock
from auditlake.storage.lake import bring_up_to_date, fetch, lease_of

if TYPE_CHECKING:
    from auditlake.alerts.evaluator import Evaluator
    from auditlake.alerts.model import Alert
    from auditlake.alerts.sinks import Sink

    Alerts = Callable[[Alert], object] | Sink | Iterable[Callable[[Alert], object] | Sink] | None

POLL_SECONDS = 0.25
"""How long the evaluator sleeps where there is nothing to do: an alert comes within about twice that."""
_ASK_SECONDS = 1.0
_LOOK_SECONDS = 5.0
"""How long a host waits before it looks again what is new in the bucket, and which host evaluates."""
_CLOSE_SECONDS = 5.0
"""How long a trail that is closed waits for its evaluator; what is not alerted by then, the next one alerts."""
_LONGEST_WAIT = 30.0
_END_SECONDS = 3.0
_LOG = logging.getLogger("auditlake.alerts.watch")
_PANIC = "PanicException"
"""What delta-rs raises in a forked child of a process that has used it."""
_FORKING = threading.Lock()
"""Held where a lock's descriptor is opened, so that a child inherits only those that were noted."""
_HELD: set[int] = set()
"""Descriptors of held locks: a child that kept one would keep the lock from all processes after its parent's death."""


_WATCHES: weakref.WeakSet[Watch] = weakref.WeakSet()


@contextmanager
def elected(layout: Layout) -> Iterator[bool]:
    """Try to become the one that evaluates a lake, until the end of the context; whether it worked."""
    make_folders(layout.alerts, below=layout.root)
    with _FORKING:
        descriptor = descriptor_of(layout.alerts / "watch.lock", within=layout.root, flags=os.O_RDWR | os.O_CREAT)
        _HELD.add(descriptor)
    try:
        yield try_lock(descriptor)
    finally:
        with _FORKING:
            if descriptor in _HELD:
                _HELD.discard(descriptor)
                os.close(descriptor)


class _Session:
    """The time in which one process evaluates a lake."""

    def __init__(
        self, layout: Layout, config: LakeConfig, clock: Clock, sinks: Sequence[Sink], lateness: int | None,
        threads: int | None,
    ) -> None:  # fmt: skip
        from auditlake.alerts.sinks import Dispatch, Place

        self._dispatch = Dispatch(sinks, Place(layout.root, layout.alerts, clock))
        self._evaluator: Evaluator | None = None
        self._lake = layout, config, clock
        self._lateness, self._threads = lateness, threads
        self._lease, self._leading, self._looked = lease_of(layout, for_alerts=True), ExitStack(), 0.0
        self.is_leading = self._lease is None
        """Whether no other host evaluates the lake."""

    def lead(self, *, wait: bool = False) -> str | None:
        """Let this host evaluate for all hosts, if no other one does; else return the name of that.

        Args:
            wait: Whether to wait for as long as a dead one is taken for alive.

        Raises:
            StorageError: The bucket cannot be asked, or must not be written.
        """
        layout, lease = self._lake[0], self._lease
        if lease is None:
            return None
        if self.is_leading and not lease.is_held:  # another one may have it
            self._let_go()
        if time.monotonic() >= self._looked + _LOOK_SECONDS or wait:
            self._looked = time.monotonic()
            if not self.is_leading and lease.taken_within(None if wait else 0):
                fetch(layout, layout.alert_state)
                self._leading.enter_context(lease.renewed())
                self.is_leading = True
            if self.is_leading:
                bring_up_to_date(layout)
        return None if self.is_leading else lease.holder[0]

    def _let_go(self) -> None:
        """Let another host evaluate, which knows what this one wrote down."""
        self._leading.close()
        if self._lease is not None:
            self.is_leading = False
            self._dispatch.may_take_up()
            with suppress(OSError):
                self._lake[0].alert_state.unlink(missing_ok=True)
        if self._evaluator is not None:
            self._evaluator.close()
            self._evaluator = None

    def round(self, *, is_last: bool = False) -> bool:
        """Evaluate what there is now; whether there is more. After a failure, the next round begins anew."""
        if self.lead() is not None:
            return False
        if self._evaluator is None:
            from auditlake.alerts.evaluator import Evaluator  # slow to import

            self._evaluator = Evaluator(*self._lake, self._dispatch, lateness=self._lateness, threads=self._threads)
        try:
            return self._evaluator.cycle(at_once=is_last)
        except BaseException:
            self._evaluator.close()
            self._evaluator = None
            raise

    def end(self, wait_seconds: float) -> None:
        """Deliver, as far as that is possible in so many seconds, and write down where it stands."""
        self._dispatch.close(wait_seconds)
        if self._evaluator is not None and (self._lease is None or self._lease.is_held):
            self._evaluator.save()
        self._let_go()


class Watch:
    """Evaluates a lake in a thread, whenever no other process does; once it was started.

    Args:
        layout: The lake.
        config: Its settings.
        clock: Where the present comes from.
        sinks: Where alerts go beside ``logging`` and the sinks of lake.toml: a callable, a sink, several of these. A
            callable is called in this process only while this process evaluates.
        lateness: Microseconds; that of the settings if None.
        threads: As many as DuckDB may use: one, so that it takes little from who logs; of the cores if None.
    """

    def __init__(
        self, layout: Layout, config: LakeConfig, clock: Clock, sinks: Alerts = None, *, lateness: int | None = None,
        threads: int | None = 1,
    ) -> None:  # fmt: skip
        self._layout = layout
        self._session = partial(_Session, layout, config, clock, all_sinks(config, sinks), lateness, threads)
        self._troubles = Troubles(_LOG, f"the alerts of {layout.root} cannot be evaluated, it is tried again")
        self._process = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.is_evaluating = False
        """Whether it is this process that evaluates the lake; not before its first round is done."""
        self.is_waiting = False
        """Whether it is another process that does, as far as this one has seen."""

    def start(self) -> None:
        """Begin, if it has not: also in a child of the process that began, which has no threads yet. Cheap."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._stopping, self.is_evaluating = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="auditlake-watch", daemon=True)
        self._thread.start()
        _WATCHES.add(self)

    def stop(self, *, wait_seconds: float | None = None) -> None:
        """Evaluate what was logged until now, deliver, write down where it stands, and let another process go on.

        Args:
            wait_seconds: How long to wait for that, five seconds if None; the thread ends with the process in any case.
        """
        self.ask_to_stop()
        if self._process == os.getpid() and self._thread is not None:
            self._thread.join(_CLOSE_SECONDS if wait_seconds is None else wait_seconds)
            self._process, self._thread = 0, None

    def ask_to_stop(self) -> None:
        """Begin to stop, without waiting."""
        if self._process == os.getpid():
            self._stopping.set()

    def _run(self) -> None:
        while self._layout.config.exists():
            is_last = self._stopping.is_set()
            try:
                with elected(self._layout) as is_elected:
                    self.is_waiting = not is_elected
                    if is_elected:
                        self._evaluate()
                        return
            except Exception as error:  # noqa: BLE001 - no caller waits for this thread
                self._troubles.tell(error)
            except BaseException as error:
                if type(error).__name__ != _PANIC:
                    raise
                _LOG.error("alerts cannot be evaluated in this process, a forked child of one that has read the lake; "
                           "auditlake watch can, or another process that logs")  # fmt: skip
                return
            if is_last:
                return
            # Not all that wait are to ask at once.
            self._stopping.wait(_ASK_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311

    def _evaluate(self) -> None:
        """Evaluate until told to stop; after a failure from the beginning, each time a little later."""
        session, wait = self._session(), POLL_SECONDS
        try:
            while True:
                is_last = self._stopping.is_set()
                try:
                    has_more, wait = session.round(is_last=is_last), POLL_SECONDS
                    self.is_evaluating, self.is_waiting = session.is_leading, not session.is_leading
                    self._troubles.end()
                except Exception as error:  # noqa: BLE001 - no caller waits for this thread
                    if not threading.main_thread().is_alive():
                        return  # the interpreter ends, and some of it has; the next process goes on from here
                    self._troubles.tell(error)
                    has_more, wait = False, min(2 * wait, _LONGEST_WAIT)
                if (is_last and not has_more) or not self._layout.config.exists():
                    return
                if not has_more:
                    self._stopping.wait(wait)
        finally:
            self.is_evaluating = False
            session.end(_END_SECONDS)


def open_trail(
    context: LakeContext, flush: Callable[[], object], alerts: Alerts | bool, options: TrailOptions
) -> Trail:
    """Open a trail on a lake, and beside it, where that is asked for, evaluate what is logged.

    Args:
        context: The lake.
        flush: Brings what has landed into the table.
        alerts: Whether this process evaluates the policies while no other one does, from the first event until the
            trail is closed. If None, it does where lake.toml says where alerts go (``[alerts]``). A callable, a sink or
            several of these are told besides ``logging`` and what lake.toml names.
        options: How the trail is kept.

    Raises:
        LakeError: The lake lies in a bucket, and this host cannot bring what it logs there.
    """
    if context.layout.bucket.exists():
        from auditlake.store.turn import check_may_commit

        check_may_commit(context.layout)
    config = context.config
    if alerts is None:
        alerts = config.alerts.is_sent or config.alerts.jsonl is not None
    watch = None
    if alerts is not False:
        watch = Watch(context.layout, config, context.clock, None if alerts is True else alerts)
    terms = Terms(config.event_types, config.max_record)
    return Trail(context.layout, terms, options, flush=flush, beside=watch)


def evaluate_once(
    layout: Layout, config: LakeConfig, clock: Clock, sinks: Alerts = None, *, lateness: int | None = None
) -> None:
    """Evaluate all that was logged until now, deliver, and return.

    Raises:
        LakeBusyError: Another process evaluates this lake.
        AuditLakeError: The lake cannot be read.
    """
    with elected(layout) as is_elected:
        if not is_elected:
            raise LakeBusyError("another process evaluates the alerts of this lake", hint="it raises them as well")
        session = _Session(layout, config, clock, all_sinks(config, sinks), lateness, None)
        try:
            if (host := session.lead(wait=True)) is not None:
                raise LakeBusyError(f"the host {host} evaluates the alerts of this lake", hint="it raises them as well")
            while session.round(is_last=True):
                pass
        finally:
            session.end(_LONGEST_WAIT)


def all_sinks(config: LakeConfig, extra: Alerts) -> list[Sink]:
    """Return every sink: ``logging``, those of lake.toml, and those of a caller."""
    from auditlake.alerts.sinks import JsonlSink, LogSink, as_sinks

    sinks: list[Sink] = [LogSink()]
    if config.alerts.jsonl is not None:
        sinks.append(JsonlSink(config.alerts.jsonl, follow=False))
    if config.alerts.is_sent:
        from auditlake.alerts.configured import outboxes

        sinks += outboxes(config.alerts)
    return [*sinks, *as_sinks(extra)]


def _in_child() -> None:
    """In a child of this process: let go of its locks, and of its threads, which are not there."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()
    _FORKING.release()


def _at_exit() -> None:
    watches = list(_WATCHES)
    for watch in watches:
        watch.ask_to_stop()
    for watch in watches:
        watch.stop()


os.register_at_fork(before=_FORKING.acquire, after_in_parent=_FORKING.release, after_in_child=_in_child)
atexit.register(_at_exit)
