"""The asker's end: a session at a desk answers as one of the lake's own does."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from auditlake.confined.frames import DATA, HEAD, SAID, STRETCH, Frames, FramesError, said
from auditlake.desk.messages import REPLY_BYTES, VERSION, error_of, queries_of
from auditlake.errors import DeskError
from auditlake.events.times import Instant, parse_instant
from auditlake.sandbox.model import Outcome
from auditlake.sandbox.values import sent

if TYPE_CHECKING:
    from auditlake.sandbox.answer import Answer
    from auditlake.sandbox.canned import CannedQuery


class DeskSession:
    """Questions at a desk, by the account of this process, on one snapshot. Close it, or use it in a ``with``.

    Args:
        path: The socket of the desk.
        snapshot: The version to read; the newest if None.
        as_of: Events after it do not exist; if None, nothing is left out.
        rows: At most so many rows an answer, instead of what the lake's owner says.

    Raises:
        DeskError: The desk cannot be reached, or has no room.
        RefusedError: This account may not ask there.
        SnapshotError: The snapshot is not there.
    """

    def __init__(
        self, path: str | Path, *, snapshot: int | None = None, as_of: Instant | None = None, rows: int | None = None
    ) -> None:
        self._line = _Line(path)
        try:
            until = as_of.isoformat() if isinstance(as_of, date) else as_of
            options = {"protocol": VERSION, "snapshot": snapshot, "as_of": until, "rows": rows}
            opened = self._line.ask({"open": options}, "opened")[0]
            self._read(opened)
        except BaseException:
            self.close()
            raise

    def _read(self, opened: Mapping[str, Any]) -> None:
        """Take what the desk says of the session."""
        try:
            self.principal = str(opened["principal"])
            """Who asks: the account."""
            self.id = str(opened["session"])
            """The session's id, on record with every question."""
            self.snapshot = int(opened["snapshot"])
            """The version of the lake that is read."""
            self.as_of: datetime | None = None if opened["as_of"] is None else parse_instant(opened["as_of"])
            """Events after it do not exist; None if none is left out."""
        except (KeyError, TypeError, ValueError) as error:
            raise DeskError("the desk told of no session") from error

    def sql(self, query: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Run one query; values bind as ``$name``. Ctrl-C stops the query, and the session goes on.

        Raises:
            RefusedError: It is not one query, or uses what is not allowed; nothing of it ran.
            StoppedError: It took more time or memory than it may.
            QueryError: It is wrong, or failed on the data.
            DeskError: The desk has closed, or could not put the question on record.
        """
        from auditlake.sandbox.answer import Answer

        done, data = self._line.ask({"ask": {"text": query, "values": sent(params)}}, "done")
        import pyarrow as pa

        try:
            table = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
            table.validate(full=True)
            return Answer(table, Outcome(**done["outcome"]), self.snapshot, str(done["event_id"]))
        except (pa.ArrowException, OSError, KeyError, TypeError) as error:
            raise DeskError("the desk gave what is no answer") from error

    def queries(self) -> dict[str, CannedQuery]:
        """Return every canned query of the lake, by name.

        Raises:
            DeskError: The desk cannot tell them.
        """
        return _queries(self._line)

    def close(self) -> None:
        """End the session."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DeskSession of {self.principal} on snapshot {self.snapshot}>"


def queries_at(path: str | Path) -> dict[str, CannedQuery]:
    """Return the canned queries of the lake behind a desk, by name, without a session.

    Raises:
        DeskError: The desk cannot be reached, has no room, or cannot tell them.
        RefusedError: This account may not ask there.
    """
    line = _Line(path)
    try:
        return _queries(line)
    finally:
        line.close()


def _queries(line: _Line) -> dict[str, CannedQuery]:
    message, _ = line.ask({"queries": {}}, "queries", whole=True)
    try:
        return queries_of(message)
    except (KeyError, TypeError) as error:
        raise DeskError("the desk told of no queries") from error


class _Line:
    """A connection to a desk, for one question at a time.

    Args:
        path: The socket.
    """

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(os.path.expanduser(path))  # noqa: PTH111 - Path's fails on ~somebody
        except OSError as error:
            self._socket.close()
            raise _unreached(path, error) from error
        self._socket.settimeout(0)
        number = self._socket.fileno()
        self._frames = Frames(number, number, {SAID: REPLY_BYTES, DATA: STRETCH})

    def ask(self, request: Mapping[str, Any], expected: str, *, whole: bool = False) -> tuple[dict[str, Any], bytes]:
        """Say something, and return what is answered under the key that is expected, and the rows before it.

        Args:
            request: What to say.
            expected: The key.
            whole: Whether the message is wanted, and not what it has under that key.

        Raises:
            DeskError: There is no answer.
            AuditLakeError: The answer is an error.
        """
        with self._lock:
            if self._socket.fileno() < 0:
                raise DeskError("this session is over", hint="open another one")
            try:
                with self._counted_ctrl_c() as pressed:
                    with suppress(FramesError):  # it may have said why it closed
                        self._frames.send(_packed(request))
                    message, data = self._answer(pressed)
            except FramesError:
                self.close()
                raise DeskError("the desk has closed the connection", hint="open another session") from None
            except BaseException:
                self.close()
                raise
        if pressed:
            raise KeyboardInterrupt
        if expected not in message:
            raise error_of(message)
        return message if whole else message[expected], data

    def _answer(self, pressed: Sequence[None]) -> tuple[dict[str, Any], bytes]:
        """Return what is answered; ask for an end of the question after a Ctrl-C."""
        data, asked_to_stop = bytearray(), False

        def look() -> None:
            nonlocal asked_to_stop
            if pressed and not asked_to_stop:
                asked_to_stop = True
                self._frames.send(_packed({"stop": {}}))

        self._frames.look = look
        try:
            while True:
                kind, payload = self._frames.take()
                if kind == SAID:
                    return said(kind, payload), bytes(data)
                data += payload
        finally:
            self._frames.look = lambda: None

    @contextmanager
    def _counted_ctrl_c(self) -> Iterator[Sequence[None]]:
        """Let a first Ctrl-C only be counted, so that the answer to what it stops can be taken; a second one is one."""
        pressed: list[None] = []
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield pressed
            return

        def press(*_: object) -> None:
            if pressed:
                raise KeyboardInterrupt
            pressed.append(None)

        signal.signal(signal.SIGINT, press)
        try:
            yield pressed
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _packed(message: Mapping[str, Any]) -> bytes:
    """Return a JSON object as a frame, in UTF-8: shorter than in ASCII, and a desk counts bytes."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return HEAD.pack(SAID, len(text)) + text


def _unreached(path: str | Path, error: OSError) -> DeskError:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return DeskError(f"no desk listens at {path}", hint="the lake's owner opens one: auditlake desk listen")
    if isinstance(error, PermissionError):
        return DeskError(f"this account may not connect to {path}", hint="the lake's owner sets who may")
    return DeskError(f"the desk at {path} cannot be reached: {error.strerror or error}")
