"""One asker at the desk: a process of its own reads what they ask, opens their session, and answers.

Whatever an asker says is taken for hostile: requests are bounded, no wait is without an end, and who they are is what
the kernel says. All that an asker can break is this process, which serves nobody else.
"""

from __future__ import annotations

import logging
import select
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from auditlake.config import read_config
from auditlake.confined.frames import SAID, Frames, FramesError, GoneError, LateError, NonsenseError, packed
from auditlake.context import LakeContext
from auditlake.desk.messages import REQUEST_BYTES, VERSION, error_message, queries_message
from auditlake.desk.peers import account_of
from auditlake.disk.layout import Layout
from auditlake.display.text import count, visible
from auditlake.errors import (
    AuditLakeError,
    DeskError,
    EventError,
    LakeBusyError,
    LandingError,
    QueryError,
    SnapshotError,
    StorageError,
)
from auditlake.events.times import print_instant
from auditlake.machine import Clock
from auditlake.sandbox.canned import questions
from auditlake.sandbox.model import Interrupted
from auditlake.sandbox.open import open_session, without_numpy
from auditlake.sandbox.principals import Account, masking_of
from auditlake.sandbox.protocol import send_rows
from auditlake.sandbox.values import bound
from auditlake.storage.lake import bring_up_to_date

if TYPE_CHECKING:
    from auditlake.sandbox.session import Answer, AuditSession

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals on which a desk closes."""
_LOCK_SECONDS = 30.0
"""How long the opening of a session waits for a writer of the lake."""
_LAST_SECONDS = 1.0
"""How long an asker has to take the message that nothing more will come."""
_ABOUT_WHAT_IS_ASKED = (QueryError, SnapshotError, EventError)
"""Other errors are about the lake, and are its owner's business."""
_LOG = logging.getLogger("auditlake.desk")


def serve(connection: socket.socket, layout: Layout, clock: Clock) -> None:
    """Serve one connection in this process, until its end."""
    counter = Counter(connection, layout, clock)
    for number in ENDING:
        signal.signal(number, counter.close_soon)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    counter.serve()


class Counter:
    """Serves one connection, and then has nothing more to do.

    Args:
        connection: The connection.
        layout: The lake.
        clock: Where the present comes from.
    """

    def __init__(self, connection: socket.socket, layout: Layout, clock: Clock) -> None:
        connection.settimeout(0)
        self._connection = connection
        self._layout = layout
        config = read_config(layout)
        self._context = LakeContext(layout, config, clock, _LOCK_SECONDS)
        self._limits = config.desk
        self._end = time.monotonic() + config.desk.session_seconds
        self._frames = Frames(connection.fileno(), connection.fileno(), {SAID: REQUEST_BYTES})
        self._changes = select.poll()
        self._changes.register(connection, select.POLLIN)
        self._asks_no_more = False
        self._is_closing = False
        self._is_torn = False
        """Whether an answer was begun and not ended: nothing that is said after it makes sense."""
        self._session: AuditSession | None = None
        self._account: Account | None = None
        self._asked = 0

    def close_soon(self, *_: object) -> None:
        """Stop what runs, and end; a handler of signals."""
        self._is_closing = True

    def serve(self) -> None:
        """Serve until the asker has gone, or has to go."""
        why: AuditLakeError | None = None
        try:
            self._account = account = account_of(self._connection)
            while (request := self._request()) is not None:
                self._do(account, request)
        except GoneError:
            pass
        except LateError:
            why = DeskError(f"the desk ended this: {self._why_late()}")
        except NonsenseError:
            why = DeskError(f"expected a request of at most {REQUEST_BYTES:,} bytes, got something else")
        except Exception as error:  # noqa: BLE001 - the asker is told, and the owner
            why = self._told(error)
        finally:
            if self._session is not None:
                self._session.close()
        self._leave(why)

    def _leave(self, why: AuditLakeError | None) -> None:
        if why is not None and not self._is_torn:
            with suppress(FramesError):
                self._send(packed(error_message(why)), _LAST_SECONDS)
        reason = "" if why is None else f": {why}"
        if self._session is not None:
            self._log(logging.INFO, "closed", f"left after {count(self._asked, 'question')}{reason}")
        elif why is not None:
            self._log(logging.WARNING, "refused", f"was turned away{reason}")

    def _log(self, level: int, event: str, what: str) -> None:
        """Log what happens, in words and as facts."""
        account, session = self._account, self._session
        who = "an asker" if account is None else f"{account.name} (uid {account.uid})"
        facts: dict[str, Any] = {"event": event}
        if account is not None:
            facts |= {"account": account.name, "uid": account.uid}
        if session is not None:
            who += f", session {session.id},"
            facts |= {"session": session.id, "snapshot": session.snapshot, "questions": self._asked}
        _LOG.log(level, "%s", visible(f"{who} {what}"), extra={"facts": facts})

    # What is asked

    def _request(self) -> dict[str, Any] | None:
        """Return what is asked next; None once nothing more will be."""
        if self._asks_no_more:
            return None
        self._frames.look = self._check_closing
        self._frames.deadline = min(time.monotonic() + self._patience, self._end)
        self._frames.wait(self._connection.fileno(), select.POLLIN)
        if self._has_ended():
            return None
        self._frames.deadline = min(time.monotonic() + self._limits.transfer_seconds, self._end)
        return self._frames.take_said()

    def _has_ended(self) -> bool:
        """Return whether the asker, of whom there is something to be read, says nothing more."""
        try:
            return not self._connection.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:
            return True

    @property
    def _patience(self) -> float:
        """Seconds until the next request has to begin; the first one comes at once."""
        return self._limits.transfer_seconds if self._session is None else self._limits.idle_seconds

    def _why_late(self) -> str:
        if time.monotonic() >= self._end:
            return f"a session lasts {self._limits.session_seconds:g} s"
        return f"nothing came for {self._patience:g} s, or it took {self._limits.transfer_seconds:g} s on its way"

    def _check_closing(self) -> None:
        if self._is_closing:
            raise DeskError("the desk was closed")

    def _do(self, account: Account, request: Mapping[str, Any]) -> None:
        """Do what is asked, and answer."""
        if "stop" in request:  # it came when the answer was on its way already
            return
        if "queries" in request:
            self._tell_queries(account)
        elif self._session is None and isinstance(options := request.get("open"), Mapping):
            self._open(account, options)
        elif self._session is not None and isinstance(asked := request.get("ask"), Mapping):
            self._ask(self._session, asked)
        else:
            raise NonsenseError

    def _tell_queries(self, account: Account) -> None:
        masking_of(self._layout, account.name, account)  # who may not ask learns nothing else either
        self._send(packed(queries_message(questions(self._layout))))

    def _open(self, account: Account, options: Mapping[str, Any]) -> None:
        if options.get("protocol") != VERSION:
            raise DeskError(f"expected protocol {VERSION}, got {str(options.get('protocol'))[:20]!r}",
                            hint="this desk and who asks there need the same version of auditlake")  # fmt: skip
        snapshot, as_of, rows = (options.get(name) for name in ("snapshot", "as_of", "rows"))
        numbers = all(each is None or (type(each) is int and 0 <= each < 1 << 63) for each in (snapshot, rows))
        if not numbers or not isinstance(as_of, str | None):
            raise NonsenseError
        masking_of(self._layout, account.name, account)  # who may not ask starts no process
        try:
            bring_up_to_date(self._layout)
        except StorageError as error:
            self._log(logging.WARNING, "stale", f"the lake is as this host had it before: {error}")
        with without_numpy(self._layout):
            session = open_session(
                self._context, principal=account.name, account=account, snapshot=snapshot, as_of=as_of, rows=rows
            )  # fmt: skip
        session.look = self._look
        self._session = session
        self._log(logging.INFO, "opened", f"opened snapshot {session.snapshot}")
        until = None if session.as_of is None else print_instant(session.as_of)
        opened = {"principal": session.principal, "session": session.id, "snapshot": session.snapshot, "as_of": until}
        self._send(packed({"opened": opened}))

    def _ask(self, session: AuditSession, asked: Mapping[str, Any]) -> None:
        self._asked += 1
        text, values = asked.get("text"), asked.get("values")
        with suppress(ValueError, TypeError, KeyError, AttributeError):  # what makes no sense is refused, on record
            values = bound(values)  # type: ignore[arg-type]
        try:
            answer = session.sql(text, values)  # type: ignore[arg-type] # whatever it is, it is put on record
        except Exception as error:  # noqa: BLE001 - told, and the next question may be a better one
            self._send(packed(error_message(self._told(error, known=str(text)))))
            return
        self._give(answer)

    # What is answered

    def _give(self, answer: Answer) -> None:
        """Send an answer; the time for all of it is limited, however little is taken at a time."""
        self._frames.look = lambda: None
        self._frames.deadline = min(time.monotonic() + self._limits.transfer_seconds, self._end)
        self._is_torn = True
        send_rows(self._frames.send, answer.arrow())
        self._frames.send(packed({"done": {"outcome": asdict(answer.outcome), "event_id": answer.event_id}}))
        self._is_torn = False

    def _send(self, data: bytes, seconds: float | None = None) -> None:
        self._frames.look = lambda: None
        self._frames.deadline = time.monotonic() + (self._limits.transfer_seconds if seconds is None else seconds)
        self._frames.send(data)

    def _told(self, error: Exception, known: str = "") -> AuditLakeError:
        """Return what an asker is told of an error: nothing about the lake, which its owner finds in the log.

        Args:
            error: The error.
            known: What the asker said, and so may hear again.
        """
        root = str(self._layout.root)
        if isinstance(error, LakeBusyError):
            return DeskError("the lake is busy: another process has been writing for too long", hint="ask again later")
        if isinstance(error, _ABOUT_WHAT_IS_ASKED) and (root in known or root not in f"{error} {error.hint}"):
            return error
        self._log(logging.ERROR, "failed", f"got no answer: {type(error).__name__}: {error}")
        what = "the question cannot be put on record, so it is not answered"
        what = what if isinstance(error, LandingError) else "the desk cannot answer"
        return DeskError(what, hint="the lake's owner finds the reason in the log of the desk")

    # While a question runs

    def _look(self) -> None:
        """Find out whether the question that runs is to go on.

        Raises:
            Interrupted: It is not.
        """
        if self._is_closing:
            raise Interrupted("the desk was closed")
        if time.monotonic() > self._end:
            raise Interrupted("the session has lasted as long as it may")
        changes = self._changes.poll(0)
        if any(event & (select.POLLHUP | select.POLLERR) for _, event in changes):
            raise Interrupted("the asker has gone")
        if not changes or self._asks_no_more:
            return
        if self._has_ended():
            self._asks_no_more = True  # who closed one half of the connection still waits for the answer
            return
        raise Interrupted("the asker stopped it" if self._is_stopped() else "the asker said what makes no sense")

    def _is_stopped(self) -> bool:
        """Return whether it is a request to stop that came while a question runs; after another one nothing is read."""
        self._frames.look = lambda: None
        self._frames.deadline = time.monotonic() + self._limits.transfer_seconds
        with suppress(FramesError):
            if "stop" in self._frames.take_said():
                return True
        self._asks_no_more = True
        return False
