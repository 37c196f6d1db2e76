"""The webhook, against a receiver that fails in every way before it works."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from auditlake.alerts import outbox as room
from auditlake.alerts.sinks import CallSink, Dispatch, Place
from auditlake.alerts.webhook import Webhook
from auditlake.events.times import instant
from tests.alerts.lakes import BASE
from tests.alerts.samples import alert
from tests.waiting import HANG_SECONDS, until


class Receiver:
    """A server that answers as it is told."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        """The bodies that were answered with 200, in order."""
        self.headers: list[dict[str, str]] = []
        self.asked = 0
        self.elsewhere = 0
        """How often somebody followed a redirect."""
        self.answers: list[int | str] = []
        """What the next requests get; 200 after that."""
        self.always: int | str = 200
        self.rejected: dict[str, int] = {}
        """Alert id to the answer that it always gets."""
        self.release = threading.Event()
        self._guard = threading.Lock()
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ours.answer(self, body)

            def do_GET(self) -> None:
                ours.elsewhere += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?token=secret"

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._guard:
            self.asked += 1
            what = self.answers.pop(0) if self.answers else self.rejected.get(json.loads(body)["id"], self.always)
        if what == "hang":
            self.release.wait()
            return
        if what == "drop":
            request.connection.close()
            return
        if what == 200:
            with self._guard:
                self.got.append(json.loads(body))
                self.headers.append({name.lower(): value for name, value in request.headers.items()})
        request.send_response(int(what))
        if what in {301, 302, 307, 308}:
            request.send_header("Location", "/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def ids(self) -> list[str]:
        return [each["id"] for each in self.got]

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path / "alerts", lambda: instant(BASE))


def hook(url: str, **options: Any) -> Webhook:
    """One that does not wait for long."""
    return Webhook(url, first_wait_seconds=0.01, longest_wait_seconds=0.05, **options)


def undelivered(place: Place) -> list[str]:
    return sorted(path.name for path in (place.folder / "undelivered").glob("*/*") if path.name != "given_up")


def test_alerts_are_posted(receiver: Receiver, place: Place) -> None:
    """Each alert is posted as JSON, in order, with what a receiver needs to drop repeats; nothing is left."""
    ours = Dispatch([hook(receiver.url, headers={"Authorization": "Bearer x"})], place)
    for number in range(3):
        ours.send(alert(number, group={"user_id": 'a"\nb'}))
    ours.send(alert(0, kind="resolved"))
    until(lambda: len(receiver.got) == 4)
    ours.close(HANG_SECONDS)

    assert receiver.got[0] == alert(0, group={"user_id": 'a"\nb'}).as_dict()
    assert receiver.ids() == [alert(number).id for number in (0, 1, 2, 0)]
    assert receiver.headers[3]["idempotency-key"] == f"{alert(0).id}-resolved"
    assert receiver.headers[0]["content-type"] == "application/json"
    assert receiver.headers[0]["authorization"] == "Bearer x"
    assert undelivered(place) == []


@pytest.mark.parametrize("failures", [[500], [503, 500, 429], ["drop"], [408], [302, 301, 308], [500, "drop", 302]])
def test_what_fails_is_tried_again(
    receiver: Receiver, place: Place, failures: list[int | str], caplog: pytest.LogCaptureFixture
) -> None:
    """Until the receiver takes an alert, it is posted again, and those behind it wait; redirects are not followed."""
    receiver.answers = list(failures)
    ours = Dispatch([hook(receiver.url)], place)
    for number in range(3):
        ours.send(alert(number))
    until(lambda: len(receiver.got) == 3)
    ours.close(HANG_SECONDS)

    assert receiver.ids() == [alert(number).id for number in range(3)]
    assert receiver.asked == 3 + len(failures)
    assert receiver.elsewhere == 0
    assert undelivered(place) == []
    assert "secret" not in caplog.text


@pytest.mark.parametrize("code", [400, 403, 404, 410, 413, 422, 451])
def test_a_rejected_alert_waits_aside(
    receiver: Receiver, place: Place, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An alert that its receiver rejects is named and posted again, and those after it are delivered meanwhile."""
    receiver.rejected = {alert(1).id: code}
    ours = Dispatch([hook(receiver.url)], place)
    for number in range(4):
        ours.send(alert(number, raised_at=instant(BASE + number)))
    until(lambda: len(receiver.got) == 3 and receiver.asked > 5 and len(undelivered(place)) == 1)
    assert receiver.ids() == [alert(number).id for number in (0, 2, 3)]
    (waiting,) = undelivered(place)
    assert alert(1).id in waiting

    receiver.rejected = {}
    until(lambda: len(receiver.got) == 4)
    ours.close(HANG_SECONDS)
    assert undelivered(place) == []
    assert f"alert {alert(1).id}-{alert(1).kind} could not be posted" in caplog.text
    assert f"waits aside and is tried again: it answered {code}" in caplog.text


def test_a_file_that_cannot_be_read_waits_aside(
    receiver: Receiver, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies among the undelivered alerts and is no file, or cannot be read, stops none of them."""
    (place.folder / "undelivered" / "webhook" / "00000000000000000000-x.json").mkdir(parents=True)
    read = room.read_file

    def refuse_one(path: Path, **options: Any) -> bytes:
        if alert(0).id in path.name:
            raise PermissionError(13, "Permission denied")
        return read(path, **options)

    monkeypatch.setattr(room, "read_file", refuse_one)
    ours = Dispatch([hook(receiver.url)], place)
    for number in range(2):
        ours.send(alert(number, raised_at=instant(BASE + number)))
    until(lambda: receiver.got)
    ours.close(HANG_SECONDS)

    assert receiver.ids() == [alert(1).id]
    assert len(undelivered(place)) == 2


def test_a_receiver_that_hangs(receiver: Receiver, place: Place) -> None:
    """A receiver that never answers is given up after the timeout, and asked again."""
    receiver.answers = ["hang", "hang"]
    posting = hook(receiver.url, timeout_seconds=0.05)
    ours = Dispatch([posting], place)
    ours.send(alert(1))
    until(lambda: receiver.asked >= 2)
    posting._timeout = HANG_SECONDS
    until(lambda: receiver.got)
    ours.close(HANG_SECONDS)

    assert receiver.asked >= 3
    assert set(receiver.ids()) == {alert(1).id}


def test_undelivered_alerts_outlive_a_restart(receiver: Receiver, place: Place) -> None:
    """What was not taken is on the disk, and is posted by the next process, in order, before what is new."""
    receiver.always = 500
    first = Dispatch([hook(receiver.url)], place)
    for number in range(3):
        first.send(alert(number, raised_at=instant(BASE + number)))
    until(lambda: len(undelivered(place)) == 3 and receiver.asked > 2)
    first.close(HANG_SECONDS)
    assert [name.partition("-")[2][11:27] for name in undelivered(place)] == [alert(n).id for n in range(3)]
    assert first.outbox() == ()

    receiver.always = 200
    second = Dispatch([hook(receiver.url)], place)
    second.send(alert(3, raised_at=instant(BASE + 3)))
    until(lambda: len(receiver.got) == 4)
    second.close(HANG_SECONDS)

    assert receiver.ids() == [alert(number).id for number in range(4)]
    assert undelivered(place) == []


def test_a_restart_posts_although_nothing_comes(receiver: Receiver, place: Place) -> None:
    """What an earlier process left is posted without a new alert."""
    receiver.always = 500
    first = Dispatch([hook(receiver.url)], place)
    first.send(alert(1))
    until(lambda: receiver.asked > 0)
    first.close(HANG_SECONDS)
    receiver.always = 200
    second = Dispatch([hook(receiver.url)], place)
    until(lambda: receiver.got)
    second.close(HANG_SECONDS)

    assert receiver.ids() == [alert(1).id]


def test_the_too_old_are_given_up(receiver: Receiver, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """An alert that has waited for a week is given up, which is logged; one that has waited for six days is posted."""
    receiver.always = 500
    first = Dispatch([hook(receiver.url)], place)
    for number in (6, 8):
        first.send(alert(number, raised_at=instant(BASE) - timedelta(days=number)))
    until(lambda: len(undelivered(place)) == 1 and receiver.asked > 2)
    first.close(HANG_SECONDS)
    receiver.always = 200
    second = Dispatch([hook(receiver.url)], place)
    until(lambda: receiver.got)
    second.close(HANG_SECONDS)

    assert receiver.ids() == [alert(6).id]
    assert "given up" in caplog.text


def test_the_too_many_are_given_up(
    receiver: Receiver, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond a number, the alerts that wait the longest are given up, which is logged."""
    monkeypatch.setattr(room, "MOST_UNDELIVERED", 3)
    receiver.always = 500
    first = Dispatch([hook(receiver.url)], place)
    for number in range(6):
        first.send(alert(number, raised_at=instant(BASE + number)))
    until(lambda: len(undelivered(place)) == 3)
    first.close(HANG_SECONDS)
    receiver.always = 200
    second = Dispatch([hook(receiver.url)], place)
    until(lambda: len(receiver.got) == 3)
    second.close(HANG_SECONDS)

    assert receiver.ids() == [alert(number).id for number in (3, 4, 5)]
    assert "given up" in caplog.text


def test_a_failing_webhook_is_in_nobodys_way(receiver: Receiver, place: Place) -> None:
    """Another sink gets its alerts at once while the webhook waits."""
    receiver.always = "hang"
    got: list[str] = []
    ours = Dispatch([hook(receiver.url), CallSink(lambda given: got.append(given.id))], place)
    for number in range(5):
        ours.send(alert(number))
    until(lambda: len(got) == 5)

    assert receiver.got == []
    receiver.release.set()
    receiver.always = 200
    until(lambda: len(receiver.got) == 5)
    ours.close(HANG_SECONDS)


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/x", "file:///etc/passwd", "example.org/x", "http://", "https:///x", "http://a b/", "",
     "javascript:1",
     "http://user:password@example.org/", "http://example.org:port/", "http://example.org/\n", "http://exämple.org/"],
)  # fmt: skip
def test_what_is_no_url_to_post_to(url: str) -> None:
    """Only http and https URLs without credentials are taken."""
    with pytest.raises(ValueError, match="webhook"):
        Webhook(url)
