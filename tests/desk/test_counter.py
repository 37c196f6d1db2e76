"""What one asker can do to a counter of the desk: ask, be answered, and be sent away."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

import auditlake
from auditlake.confined.frames import HEAD, packed
from auditlake.desk import counter
from auditlake.desk.client import DeskSession, queries_at
from auditlake.desk.messages import REQUEST_BYTES, VERSION
from auditlake.errors import (
    DeskError,
    LakeBusyError,
    LakeFormatError,
    LandingError,
    QueryError,
    RefusedError,
    StoppedError,
)
from auditlake.machine import login_name
from tests.desk.desks import EVERYTHING, OPEN, Hall, MadeUp, asks, connected, message, received, set_desk, told
from tests.sandbox.lakes import make_lake
from tests.waiting import HANG_SECONDS, until

PATIENT = dict.fromkeys(("idle_seconds", "session_seconds", "transfer_seconds"), HANG_SECONDS)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> auditlake.AuditLake:
    return make_lake(tmp_path_factory.mktemp("counter") / "lake")


@pytest.fixture
def hall(lake: auditlake.AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    """Counters with all the time there is, at which this account may ask."""
    (lake.layout.root / "auditor.yaml").write_text(EVERYTHING)
    set_desk(lake, **PATIENT)
    session = MadeUp()
    monkeypatch.setattr(counter, "open_session", lambda *_, **__: session)
    opened = Hall(lake, tmp_path / "s", session)
    yield opened
    opened.close()


def test_values(hall: Hall) -> None:
    """A question and its values arrive as they were, whatever their kinds, and so does the answer."""
    values = {
        "text": "ü\u202e'", "n": -(1 << 100), "x": 0.5, "no": None, "yes": True, "day": date(2026, 11, 2),
        "at": datetime(2026, 11, 2, 3, 4, 5, 6, UTC), "list": ["a", 1, False],
    }  # fmt: skip
    with DeskSession(hall.path) as session:
        answer = session.sql("select 'ü'", values)
        session.sql("\ud800")

    assert hall.session.asked == [("select 'ü'", values), ("\ud800", {})]
    assert answer.fetchall() == [(b"x",)]
    assert (answer.snapshot, answer.event_id, answer.complete) == (7, "event-1", True)
    assert (session.principal, session.id, session.as_of) == ("someone", "session-1", None)
    assert hall.session.is_closed.wait(HANG_SECONDS)


GARBAGE = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(4096),
    "a huge frame": HEAD.pack(b"J", 1 << 62),
    "a frame just too long": HEAD.pack(b"J", REQUEST_BYTES + 1),
    "rows": HEAD.pack(b"A", 3) + b"abc",
    "no JSON": HEAD.pack(b"J", 1) + b"{",
    "no UTF-8": HEAD.pack(b"J", 2) + b"\xff\xfe",
    "no object": HEAD.pack(b"J", 3) + b"[1]",
    "deep": HEAD.pack(b"J", 1_000_000) + b"[" * 1_000_000,
    "a huge number": HEAD.pack(b"J", 10_007) + b'{"ask":' + b"9" * 9_999 + b"}",
    "nothing that is known": packed({"sudo": {}}),
    "a question before all": asks("select 1"),
    "a snapshot that is no number": packed({"open": {"protocol": VERSION, "snapshot": True}}),
    "a negative number": packed({"open": {"protocol": VERSION, "rows": -1}}),
    "an instant that is no text": packed({"open": {"protocol": VERSION, "as_of": 1}}),
    "opened twice": OPEN + OPEN,
    "a question that is no object": OPEN + packed({"ask": "select 1"}),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(name: str, hall: Hall) -> None:
    """What is no request is told as that, in a line, and ends the connection; nothing of it is asked."""
    with connected(hall.path) as asker:
        asker.sendall(GARBAGE[name])
        *_, last = told(received(asker))

    assert last["error"]["message"] == f"expected a request of at most {REQUEST_BYTES:,} bytes, got something else"
    assert hall.session.asked == []


def test_another_version(hall: Hall) -> None:
    """An asker that speaks otherwise is told so."""
    with connected(hall.path) as asker:
        asker.sendall(packed({"open": {"protocol": "\x1b[31m2"}}))
        (last,) = told(received(asker))

    assert "expected protocol 1" in last["error"]["message"]


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ({"text": 7}, (7, None)),
        ({}, (None, None)),
        ({"text": "a", "values": "b"}, ("a", "b")),
        ({"text": "a", "values": {"x": {"kind": "day", "text": "?"}}}, ("a", {"x": {"kind": "day", "text": "?"}})),
        ({"text": "a", "values": {"x": {"kind": []}}}, ("a", {"x": {"kind": []}})),
    ],
)
def test_odd_questions_reach_the_record(asked: object, recorded: tuple[object, object], hall: Hall) -> None:
    """A question of the wrong kind gets to the session as it is, which puts it on record and refuses it."""
    with connected(hall.path) as asker:
        asker.sendall(OPEN + packed({"ask": asked}))
        assert "opened" in message(asker)
        message(asker)

    assert hall.session.asked == [recorded]


@pytest.mark.parametrize(
    ("sent", "settings", "why"),
    [
        (b"", {"transfer_seconds": 0.05}, "nothing came for 0.05 s"),
        (OPEN[:5], {"transfer_seconds": 0.05}, "took 0.05 s on its way"),
        (OPEN + asks("select 1")[:-1], {"transfer_seconds": 0.3}, "took 0.3 s on its way"),
        (OPEN, {"idle_seconds": 0.05}, "nothing came for 0.05 s"),
        (OPEN, {"session_seconds": 0.3}, "a session lasts 0.3 s"),
    ],
)
def test_waiting_has_an_end(sent: bytes, settings: dict[str, float], why: str, hall: Hall) -> None:
    """Who sends nothing, too slowly, nothing more, or for too long is told so, and sent away."""
    set_desk(hall.lake, **PATIENT | settings)
    with connected(hall.path) as asker:
        with suppress(BrokenPipeError):  # it may be sent away before
            asker.sendall(sent)
        *_, last = told(received(asker))

    assert why in last["error"]["message"]
    assert hall.session.asked == []


def test_one_byte_at_a_time(hall: Hall) -> None:
    """The time of a request does not begin anew with each byte of it."""
    set_desk(hall.lake, **PATIENT | {"transfer_seconds": 0.2})
    with connected(hall.path) as asker, pytest.raises(OSError):
        for byte in HEAD.pack(b"J", 100_000) + b"{" * 100_000:
            asker.sendall(bytes([byte]))
            threading.Event().wait(0.01)


def test_an_answer_that_is_not_taken(hall: Hall) -> None:
    """Who does not take an answer is sent away, and hears nothing after its torn end."""
    hall.session.size = 1 << 24
    set_desk(hall.lake, **PATIENT | {"transfer_seconds": 0.3})
    with connected(hall.path) as asker:
        asker.sendall(OPEN + asks("select 1"))
        assert hall.session.is_closed.wait(HANG_SECONDS)
        data = received(asker)

    assert len(data) < 1 << 24
    assert b"error" not in data


def test_half_closed(hall: Hall) -> None:
    """Who asks no more still gets the answer to what was asked."""
    with connected(hall.path) as asker:
        asker.sendall(OPEN + asks("endless"))
        asker.shutdown(socket.SHUT_WR)
        assert hall.session.is_at_work.wait(HANG_SECONDS)
        until(lambda: hall.counters[0]._asks_no_more)
        hall.session.is_enough.set()
        assert [next(iter(each)) for each in told(received(asker))] == ["opened", "done"]


def test_who_has_gone(hall: Hall) -> None:
    """The question of an asker who has gone is stopped, and its session ends."""
    with connected(hall.path) as asker:
        asker.sendall(OPEN + asks("endless"))
        assert hall.session.is_at_work.wait(HANG_SECONDS)

    assert hall.session.is_closed.wait(HANG_SECONDS)
    assert hall.session.ended == ["the asker has gone"]


def test_stop(hall: Hall) -> None:
    """A question can be stopped and the next one asked; a stop that comes too late is no request."""
    with connected(hall.path) as asker:
        asker.sendall(OPEN + asks("endless"))
        assert hall.session.is_at_work.wait(HANG_SECONDS)
        asker.sendall(packed({"stop": {}}) + packed({"stop": {}}) + asks("select 1"))
        assert [next(iter(message(asker))) for _ in range(3)] == ["opened", "error", "done"]

    assert hall.session.ended == ["the asker stopped it"]


def test_garbage_while_a_question_runs(hall: Hall) -> None:
    """Anything else stops the question, and ends the connection after its answer."""
    with connected(hall.path) as asker:
        asker.sendall(OPEN + asks("endless"))
        assert hall.session.is_at_work.wait(HANG_SECONDS)
        asker.sendall(bytes(100))
        assert [next(iter(each)) for each in told(received(asker))] == ["opened", "error"]

    assert hall.session.ended == ["the asker said what makes no sense"]


def test_closing(hall: Hall) -> None:
    """A desk that closes stops what runs, and says so to who waits and to who does not."""
    with connected(hall.path) as idle, connected(hall.path) as asker:
        asker.sendall(OPEN + asks("endless"))
        assert hall.session.is_at_work.wait(HANG_SECONDS)
        until(lambda: len(hall.counters) == 2)
        for each in hall.counters:
            each.close_soon()
        assert [each["error"]["message"] for each in told(received(idle))] == ["the desk was closed"]
        said = [each["error"]["message"] for each in told(received(asker))[1:]]
        assert said == ["stopped: the desk was closed", "the desk was closed"]


def test_the_end_of_a_session_stops_its_question(hall: Hall) -> None:
    """A question does not outlast its session."""
    set_desk(hall.lake, **PATIENT | {"session_seconds": 2})
    with pytest.raises(StoppedError, match="as long as it may"), DeskSession(hall.path) as session:
        session.sql("endless")


def test_what_is_told_of_errors(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with a question is told; what is wrong with the lake is for its owner's log."""
    root = hall.lake.layout.root
    hall.session.errors = {
        "a": RefusedError("refused: no", hint="ask otherwise"),
        "b": QueryError(f"the query failed: {root}/events"),
        "c": LakeFormatError("auditor.yaml cannot be understood: principals.mallory"),
        "d": LandingError("not recorded: no space left on device"),
        "e": LakeBusyError(f"the lake is busy: {root}/.lock"),
        "f": ValueError(f"{root} is odd"),
    }
    said = {}
    with DeskSession(hall.path) as session:
        for text in hall.session.errors:
            with pytest.raises(QueryError) as raised:
                session.sql(text)
            said[text] = raised.value
        assert session.sql("select 1").fetchall() == [(b"x",)]

    assert (type(said["a"]), str(said["a"]), said["a"].hint) == (RefusedError, "refused: no", "ask otherwise")
    generic = "the desk cannot answer"
    assert [str(said[each]) for each in "bcf"] == [generic] * 3
    assert str(said["d"]) == "the question cannot be put on record, so it is not answered"
    assert "busy" in str(said["e"])
    assert str(root) not in "".join(f"{each}{each.hint}" for each in said.values())
    assert [word in caplog.text for word in (f"{root}/events", "mallory", "no space left", f"{root} is odd")] == [
        True
    ] * 4


def test_who_may_ask(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    """An account that the file does not name learns not even the canned queries, and a broken file keeps all out."""
    (hall.lake.layout.root / "auditor.yaml").write_text("principals: {someone-else: everything}\n")
    with pytest.raises(RefusedError, match="names neither this account nor a group of it"):
        queries_at(hall.path)
    (hall.lake.layout.root / "auditor.yaml").write_text("principals: {someone-else: nothing}\n")
    with pytest.raises(DeskError, match="the desk cannot answer") as refused:
        queries_at(hall.path)
    assert "someone-else" not in f"{refused.value}{refused.value.hint}"
    assert "1:27" in caplog.text or "someone-else" in caplog.text


def test_canned_queries(hall: Hall) -> None:
    """Canned queries come as they are in the lake, with parameters; a broken file of them is the owner's matter."""
    folder = hall.lake.layout.root / "queries"
    folder.mkdir()
    (folder / "own.sql").write_text("-- name: mine($n)\n-- Ours.\n-- $n (number, 3): how many\nfrom range($n)\n")
    with DeskSession(hall.path) as session:
        queries = session.queries()
    assert queries["mine"].values({}, datetime.now(UTC)) == {"n": 3}
    assert (queries["mine"].what, queries["mine"].own, "failed_logins" in queries) == ("Ours.", True, True)
    (folder / "own.sql").write_text("nothing")
    with pytest.raises(DeskError, match="the desk cannot answer"):
        queries_at(hall.path)
    (folder / "own.sql").unlink()
    folder.rmdir()


def test_ctrl_c(hall: Hall) -> None:
    """Ctrl-C stops the question, and the session goes on; a second one, of a desk that does not answer, ends it."""
    with DeskSession(hall.path) as session:

        def press() -> None:
            assert hall.session.is_at_work.wait(HANG_SECONDS)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=press)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            session.sql("endless")
        thread.join()
        assert hall.session.ended == ["the asker stopped it"]
        assert session.sql("select 1").fetchall() == [(b"x",)]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_desk_that_goes(hall: Hall) -> None:
    """What a desk that is gone, closed or mad gives is an error, and the session is over."""
    session = DeskSession(hall.path)
    hall.counters[0].close_soon()
    assert hall.session.is_closed.wait(HANG_SECONDS)
    with pytest.raises(DeskError, match="the desk was closed"):
        session.sql("select 1")
    session.close()
    with pytest.raises(DeskError, match="this session is over"):
        session.sql("select 1")
    with pytest.raises(DeskError, match="no desk listens"):
        DeskSession(hall.path.with_name("none"))


@pytest.mark.parametrize(
    "answer",
    [b"", bytes(50), packed({"opened": {}}), packed({"opened": 1}), packed({"error": 1}), packed({}),
     HEAD.pack(b"J", 1 << 40), HEAD.pack(b"A", 1 << 40)],
)  # fmt: skip
def test_a_mad_desk(answer: bytes, tmp_path: Path) -> None:
    """An answer that makes no sense is an error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()

        def reply() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(DeskError):
            DeskSession(tmp_path / "s")
        thread.join()


def test_the_account_is_of_this_process(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    """The log of the desk has the account, as words and as facts."""
    caplog.set_level("INFO", "auditlake.desk")
    with DeskSession(hall.path) as session:
        session.sql("select 1")
    assert hall.session.is_closed.wait(HANG_SECONDS)
    until(lambda: any(record.facts["event"] == "closed" for record in caplog.records))
    (record,) = (record for record in caplog.records if record.facts["event"] == "closed")
    assert record.facts == {
        "event": "closed", "account": login_name(), "uid": os.getuid(), "session": "session-1", "snapshot": 7,
        "questions": 1,
    }  # fmt: skip
