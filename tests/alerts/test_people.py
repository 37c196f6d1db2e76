"""Alerts where people are: Slack, Teams and mail, signed posts, and one message a day."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake, testing
from auditlake.alert_settings import SinkSettings
from auditlake.alerts import outbox as room
from auditlake.alerts.chat import Slack, Teams
from auditlake.alerts.configured import outbox, tried
from auditlake.alerts.mail import Mail
from auditlake.alerts.model import Alert
from auditlake.alerts.outbox import FailedError, Outbox, RejectedError
from auditlake.alerts.secrets import Secret, SecretError
from auditlake.alerts.sinks import Dispatch, Place
from auditlake.alerts.upkeep import undelivered as undelivered_words
from auditlake.alerts.webhook import Webhook
from auditlake.cli.docs import FOLDER
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.events.times import micros
from auditlake.upkeep.doctor import examine
from tests.alerts.samples import alert
from tests.alerts.servers import MailServer, certificate
from tests.alerts.test_settings import with_alerts
from tests.alerts.test_webhook import Receiver, undelivered
from tests.lakes import create
from tests.waiting import HANG_SECONDS, until

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FAST = {"first_wait_seconds": 0.01, "longest_wait_seconds": 0.05}
HOSTILE = (
    "<!channel> <http://evil.test|click> &amp; *b* _i_ `c` [l](http://evil.test) {{DATE(2026-01-01)}} </td><script>"
)
LINES = "a\r\nBcc: victim@example.org\r\n.\r\nMAIL FROM:<x>\u202e\x1b[31m"
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def clock() -> testing.Clock:
    return testing.Clock(NOON)


@pytest.fixture
def place(tmp_path: Path, clock: testing.Clock) -> Place:
    return Place(tmp_path, tmp_path / "alerts", clock)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def mail_server(tls: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A server with STARTTLS, whose certificate this process trusts, and a password that it knows."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    monkeypatch.setenv("AUDITLAKE_SECRET_SMTP", "hunter2")
    server = MailServer(tls[1], password="hunter2")
    yield server
    server.close()


def mail(server: MailServer, **settings: Any) -> Mail:
    given = {"user": "auditlake", "password_from": "smtp"} | settings
    to = ("soc@example.org", "ciso@example.org")
    return Mail(
        SinkSettings("email", host="127.0.0.1", port=server.port, sender="audit@example.org", to=to, **given), **FAST
    )


def hostile(**fields: Any) -> Alert:
    """An alert with values that somebody chose who wants to be clicked."""
    names = {"policy_name": f"P {HOSTILE}", "message": f"M {HOSTILE}", "group": {"user_id": LINES, "x{{": HOSTILE}}
    return alert(1, **{**names, **fields})


def texts(value: Any) -> Iterator[str]:
    """Every text of a JSON value."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(each)


def sent(ours: Dispatch, alerts: list[Alert]) -> None:
    for each in alerts:
        ours.send(each)


# Slack and Teams


def post(sink: type[Slack | Teams], receiver: Receiver, place: Place, *alerts: Alert, **options: Any) -> list[Any]:
    """What the receiver gets of alerts whose URL is a secret."""
    os.environ["AUDITLAKE_SECRET_CHAT"] = receiver.url
    receiver.answers = [200] * len(alerts)
    ours = Dispatch([sink(Secret("chat"), **FAST, **options)], place)
    sent(ours, list(alerts))
    until(lambda: len(receiver.got) == len(alerts))
    ours.close(HANG_SECONDS)
    del os.environ["AUDITLAKE_SECRET_CHAT"]
    return receiver.got


def test_slack(receiver: Receiver, place: Place) -> None:
    """Slack gets a heading and plain text, in which no value is markup, mentions anybody or is a link."""
    said, resolved = post(Slack, receiver, place, hostile(), alert(1, kind="resolved"))
    shown = [block.get("text") or block["elements"][0] for block in said["blocks"]]

    assert {each["type"] for each in shown} == {"plain_text"}
    assert said["text"].startswith("Alert, high: P &lt;!channel&gt; &lt;http://evil.test|click&gt; &amp;amp;")
    assert not set("<>") & set(said["text"])
    assert (said["mrkdwn"], said["parse"], said["unfurl_links"]) == (False, "none", False)
    assert shown[0]["text"] == f"Alert, high: P {HOSTILE}"[:140]
    assert shown[1]["text"] == f"M {HOSTILE}"
    assert all(text.isprintable() for each in shown for text in each["text"].split("\n"))
    assert "count: 3 of 3 within 20s" in shown[2]["text"].split("\n")
    assert resolved["blocks"][0]["text"]["text"] == "Resolved: Watched"


def test_teams(receiver: Receiver, place: Place) -> None:
    """Teams gets an Adaptive Card of runs of text, which take no markup, and no function in them."""
    (said,) = post(Teams, receiver, place, hostile())
    (attachment,) = said["attachments"]
    card = attachment["content"]

    assert (said["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {each["type"] for each in card["body"]} == {"RichTextBlock"}
    assert {each["type"] for block in card["body"] for each in block["inlines"]} == {"TextRun"}
    assert card["body"][0]["inlines"][0]["color"] == "Attention"
    assert not any("{{" in text for text in texts(card))
    assert any("[l](http://evil.test)" in text for text in texts(card))


@pytest.mark.parametrize("sink", [Slack, Teams])
def test_a_long_day_fits(sink: type[Slack | Teams], receiver: Receiver, place: Place, clock: testing.Clock) -> None:
    """The alerts of a day are one message, no longer than its receiver takes, that says how many there are."""
    many = [
        alert(n, policy_name=f"Policy {n % 30} " + "ü" * 90, message="\u20ac" * 300, raised_at=NOON) for n in range(80)
    ]
    os.environ["AUDITLAKE_SECRET_CHAT"] = receiver.url
    receiver.answers = [200]
    ours = Dispatch([sink(Secret("chat"), digest=time(13), **FAST)], place)
    sent(ours, [*many, alert(1, kind="resolved", raised_at=NOON)])
    until(lambda: len(undelivered(place)) == 1 and len(list((place.folder / "undelivered").glob("*/day/[0-9]*"))) == 81)
    clock.move("1h")
    ours.close(HANG_SECONDS)
    del os.environ["AUDITLAKE_SECRET_CHAT"]

    (said,) = receiver.got
    if sink is Teams:
        assert 20_000 < int(receiver.headers[0]["content-length"]) <= 28_000
    assert any("80 alerts, 1 resolved" in text for text in texts(said))
    if sink is Slack:
        assert len(said["blocks"]) <= 50
        assert all(len(block["text"]["text"]) <= 3000 for block in said["blocks"] if block["type"] == "section")


# Mail


class Words(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect tags; nothing is loaded."""
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data


def test_mail(mail_server: MailServer, place: Place) -> None:
    """A mail goes to all addresses over TLS, signed in; as text and as a page, with no value as markup or header."""
    ours = Dispatch([mail(mail_server)], place)
    ours.send(hostile())
    until(lambda: mail_server.got)
    ours.close(HANG_SECONDS)

    (got,) = mail_server.got
    assert (got.encrypted, got.signed_in) == (True, "auditlake")
    assert (got.sender, got.to) == ("audit@example.org", ["soc@example.org", "ciso@example.org"])
    assert got.message["Subject"] == f"Alert, high: P {HOSTILE}"[:140]
    assert got.message["Bcc"] is None
    assert got.message["To"] == "soc@example.org, ciso@example.org"
    assert got.message["Date"] == "Tue, 24 Nov 2026 12:00:00 +0000"
    assert re.fullmatch(r"<[0-9a-f]{16}-threshold_exceeded\.[0-9a-f]{12}@example\.org>", got.message["Message-ID"])
    plain, page = (got.message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert f"M {HOSTILE}" in plain
    assert "user_id: a\\r\\nBcc: victim@example.org" in plain
    words = Words(page)
    assert f"M {HOSTILE}" in words.text
    assert "script" not in words.tags
    assert undelivered(place) == []


@pytest.mark.parametrize(
    ("answers", "kind", "why"),
    [
        ({"MAIL": ["451 later"]}, FailedError, "it answered 451 later"),
        ({"END": ["552 too large"]}, RejectedError, "it answered 552 too large"),
        ({"END": ["451 \x1b[31mlater"]}, FailedError, "it answered 451 "),
        ({"END": ["451 " + "x" * 400]}, FailedError, "it answered 451 " + "x" * 200),
        ({"RCPT": ["550 who", "550 who"]}, RejectedError, "it refused every recipient"),
        ({"RCPT": ["450 later", "550 who"]}, FailedError, "it refused every recipient"),
        ({"AUTH": ["535 hunter2 is wrong"]}, FailedError, "it answered 535 to the sign-in"),
        ({"DATA": ["drop"]}, FailedError, "Connection unexpectedly closed"),
        ({"STARTTLS": ["454 no TLS now"]}, FailedError, "it answered 454"),
    ],
)
def test_what_a_mail_server_answers(
    answers: dict[str, list[str]], kind: type[Exception], why: str, mail_server: MailServer, place: Place
) -> None:
    """What a server says is about this mail (5xx) or about now; it never says a password in our log."""
    mail_server.answers = answers
    sink = mail(mail_server)
    sink.place = place
    with pytest.raises(kind, match=re.escape(why)) as raised:
        sink.send("key", alert(1).as_dict())
    assert "hunter2" not in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300
    assert mail_server.got == []
    sink.send("key", alert(1).as_dict())
    assert len(mail_server.got) == 1


def test_the_end_of_an_episode_answers_its_beginning(mail_server: MailServer, place: Place) -> None:
    """So that a mail program shows both as one conversation."""
    sink = mail(mail_server)
    sink.place = place
    for kind in ("threshold_exceeded", "resolved"):
        sink.send(f"{alert(1).id}-{kind}", alert(1, kind=kind).as_dict())
    begun, ended = (each.message for each in mail_server.got)
    assert begun["In-Reply-To"] is None
    assert ended["Message-ID"] != begun["Message-ID"]
    assert ended["In-Reply-To"] == ended["References"] == begun["Message-ID"]


def test_some_recipients_and_an_odd_goodbye(
    mail_server: MailServer, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A mail that some got is delivered, which is logged for the others, and so is one whose server ends oddly."""
    mail_server.answers = {"RCPT": ["550 who"], "QUIT": ["500 what"]}
    sink = mail(mail_server)
    sink.place = place
    sink.send("key", alert(1).as_dict())
    assert [each.to for each in mail_server.got] == [["ciso@example.org"]]
    assert "was not mailed to soc@example.org" in caplog.text


def test_no_password_without_tls(
    tls: tuple[Path, ssl.SSLContext], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without STARTTLS, or with a certificate that nobody trusts, gets neither a password nor a mail."""
    monkeypatch.setenv("AUDITLAKE_SECRET_SMTP", "hunter2")
    for context, error in ((None, FailedError), (tls[1], ssl.SSLCertVerificationError)):
        server = MailServer(context, password="hunter2")
        sink = mail(server)
        sink.place = place
        with pytest.raises(error):
            sink.send("key", alert(1).as_dict())
        assert not {"AUTH", "DATA"} & set(server.said)
        server.close()


def test_other_ways_to_a_server(
    tls: tuple[Path, ssl.SSLContext], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS from the first byte, and none at all where lake.toml says so and no password is sent."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    monkeypatch.setenv("AUDITLAKE_SECRET_SMTP", "hunter2")
    server, plain_server = MailServer(tls[1], tls_at_once=True, password="hunter2"), MailServer(None)
    at_once = mail(server, tls="tls")
    at_once.place = place
    at_once.send("key", alert(1).as_dict())
    server.close()
    plain = mail(plain_server, tls="none", user=None, password_from=None)
    plain.place = place
    plain.send("key", alert(1).as_dict())
    plain_server.close()

    assert [(each.encrypted, each.signed_in) for each in (*server.got, *plain_server.got)] == [
        (True, "auditlake"),
        (False, None),
    ]


# Signed posts


def test_what_leaves_the_machine(receiver: Receiver, place: Place) -> None:
    """A webhook gets the fields that the guide's table names for it, and no others."""
    receiver.answers = [200]
    ours = Dispatch([Webhook(receiver.url, **FAST)], place)
    ours.send(alert(1))
    until(lambda: receiver.got)
    ours.close(HANG_SECONDS)
    text = (FOLDER / "guides" / "alerts.md").read_text().partition("## What leaves the machine")[2]
    (row,) = re.findall(r"^\| `webhook` \|(.*)$", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == set(receiver.got[0])


def test_signatures(receiver: Receiver, place: Place, monkeypatch: pytest.MonkeyPatch, clock: testing.Clock) -> None:
    """A post is signed with each key, anew each time, under an id that stays; the guide's own code checks it."""
    old = "whsec_" + base64.b64encode(b"o" * 24).decode()
    monkeypatch.setenv("AUDITLAKE_SECRET_SIEM", f"{KEY}\n{old}\n")
    bodies: list[bytes] = []
    answer = receiver.answer
    monkeypatch.setattr(receiver, "answer", lambda request, body: (bodies.append(body), answer(request, body)))
    ours = Dispatch([Webhook(receiver.url, signed_with=Secret("siem"), **FAST)], place)
    ours.send(hostile())
    until(lambda: receiver.got)
    ours.close(HANG_SECONDS)

    (headers,) = receiver.headers
    assert headers["webhook-id"] == headers["idempotency-key"] == f"{alert(1).id}-threshold_exceeded"
    assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + bodies[0]
    expected = [
        base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in (b"k" * 32, b"o" * 24)
    ]
    assert headers["webhook-signature"] == " ".join(f"v1,{each}" for each in expected)

    verify = recipe()
    at = NOON.timestamp() + 60
    assert verify(headers, bodies[0], [KEY], at) is True
    assert verify(headers, bodies[0], [old], at) is True
    assert verify(headers, bodies[0] + b" ", [KEY], at) is False
    assert verify(headers, bodies[0], ["whsec_" + base64.b64encode(b"x" * 32).decode()], at) is False
    assert verify({**headers, "webhook-id": "other"}, bodies[0], [KEY], at) is False
    assert verify(headers, bodies[0], [KEY], at + 600) is False
    assert verify(headers, bodies[0], [KEY], at - 1200) is False
    assert verify({**headers, "webhook-timestamp": "soon"}, bodies[0], [KEY], at) is False
    assert verify({**headers, "webhook-signature": "v1a,xx v2"}, bodies[0], [KEY], at) is False


def recipe() -> Any:
    """The function that the guide shows."""
    text = (FOLDER / "guides" / "alerts.md").read_text()
    (code,) = (
        block
        for block in re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        if "def is_genuine" in block
    )
    found: dict[str, Any] = {}
    exec(code, found)  # what the guide says is what is tried
    return found["is_genuine"]


@pytest.mark.parametrize("key", ["whsec_", "whsec_!!", "T0KEN!", "whsec_" + base64.b64encode(b"short").decode()])
def test_keys_that_cannot_sign(key: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is none is told without itself, and nothing is posted."""
    monkeypatch.setenv("AUDITLAKE_SECRET_SIEM", key)
    sink = Webhook("http://127.0.0.1:9/", signed_with=Secret("siem"))
    sink.place = place
    with pytest.raises(SecretError, match="the secret siem cannot sign") as raised:
        sink.send("key", {})
    assert key.removeprefix("whsec_") not in str(raised.value) or key == "whsec_"


# Secrets


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is a variable or a file of one folder, and what lake.toml can name is nothing else."""
    for name in ("AUDITLAKE_SECRETS", "CREDENTIALS_DIRECTORY", "AUDITLAKE_SECRET_MY_ONE"):
        monkeypatch.delenv(name, raising=False)
    assert Secret("x").variable == "AUDITLAKE_SECRET_X"
    with pytest.raises(
        SecretError, match="neither AUDITLAKE_SECRET_MY_ONE nor /etc/auditlake/secrets/my-one has the secret"
    ):
        Secret("my-one").read()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "my-one").write_text("from systemd\n")
    assert Secret("my-one").read() == "from systemd"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "my-one").write_text(" ")
    monkeypatch.setenv("AUDITLAKE_SECRETS", str(tmp_path / "own"))
    with pytest.raises(SecretError, match="is empty"):
        Secret("my-one").read()
    monkeypatch.setenv("AUDITLAKE_SECRET_MY_ONE", " from the environment ")
    assert Secret("my-one").read() == "from the environment"


def test_a_secret_that_comes_later(
    receiver: Receiver, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Alerts wait for a secret that is missing or no URL, and nothing of it is logged."""
    for wrong in ("", "ftp://127.0.0.1/T0KEN", "T0KEN with spaces"):
        monkeypatch.setenv("AUDITLAKE_SECRET_HOOK", wrong)
        ours = Dispatch([Webhook(Secret("hook"), **FAST)], place)
        if not wrong:
            ours.send(alert(1))
        until(lambda: len(undelivered(place)) == 1 and len(caplog.records) > 1)
        ours.close(HANG_SECONDS)
    monkeypatch.setenv("AUDITLAKE_SECRET_HOOK", receiver.url)
    ours = Dispatch([Webhook(Secret("hook"), **FAST)], place)
    until(lambda: receiver.got)
    ours.close(HANG_SECONDS)

    assert "AUDITLAKE_SECRET_HOOK" in caplog.text
    assert "the secret hook is no http:// or https:// URL" in caplog.text
    assert "T0KEN" not in caplog.text
    assert "token=secret" not in caplog.text


# Once a day


class Kept(Outbox):
    """A receiver in this process."""

    name = "kept"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**FAST, "digest": time(8), **options})
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.fails: list[Exception] = []

    @property
    def receiver(self) -> str:
        return "nowhere"

    def send(self, key: str, document: Any) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.got.append((key, dict(document)))


def rounds(place: Place, *alerts: Alert, **options: Any) -> Kept:
    """One process: it takes what there is, sends what is due, and ends."""
    sink = Kept(**options)
    ours = Dispatch([sink], place)
    sent(ours, list(alerts))
    until(lambda: not ours.outbox())
    ours.close(HANG_SECONDS)
    return sink


def ids(sink: Kept) -> list[list[str]]:
    return [[each["id"] for each in document["alerts"]] for _, document in sink.got]


def of(number: int, at: datetime) -> Alert:
    return alert(number, raised_at=at)


def test_one_message_a_day(place: Place, clock: testing.Clock) -> None:
    """Alerts wait for their time, then go as one message, each in one, across restarts and days without a process."""
    assert ids(rounds(place, of(1, NOON - timedelta(minutes=2)), of(2, NOON - timedelta(minutes=1)))) == []
    clock.move("19h")
    clock.move("59min")
    assert ids(rounds(place, of(3, NOON + timedelta(hours=19)))) == []
    clock.move("1min")
    first = rounds(place, of(4, NOON + timedelta(hours=20)))
    assert ids(first) == [[alert(n).id for n in (1, 2, 3)]]
    ((key, document),) = first.got
    assert key == f"{document['id']}-digest"
    assert set(document) == {"id", "kind", "since", "until", "alerts"}
    assert (document["kind"], document["until"]) == ("digest", "2026-11-25T08:00:00.000000Z")
    assert ids(rounds(place)) == []
    clock.move("1h")
    # Raised before the time of a message that has gone: it is in the next one, and there are never two of a day.
    assert ids(rounds(place, of(5, NOON + timedelta(hours=19)))) == []
    clock.move("3d")
    assert ids(rounds(place)) == [[alert(5).id, alert(4).id]]
    assert undelivered(place) in ([], ["day", "digested"])


def test_a_message_that_is_not_taken(place: Place, clock: testing.Clock) -> None:
    """It stays what it was until it is taken, under the same key; the next day has its own."""
    clock.move("20h")
    failed = Kept()
    failed.fails = [FailedError("no")] * 1000
    ours = Dispatch([failed], place)
    ours.send(of(1, NOON))
    until(lambda: any(name.endswith("-digest.json") for name in undelivered(place)) and len(failed.fails) < 999)
    ours.close(HANG_SECONDS)
    clock.move("1d")
    both = rounds(place, of(2, NOON + timedelta(hours=21)))
    assert ids(both) == [[alert(1).id], [alert(2).id]]
    assert len({key for key, _ in both.got}) == 2


def test_a_message_that_is_given_up(
    place: Place, clock: testing.Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a week without a receiver the alerts of a message are given up, and the operator is told how many."""
    monkeypatch.setattr("auditlake.alerts.outbox._LOOK_SECONDS", 0.05)
    failed = Kept()
    failed.fails = [FailedError("no")] * 10_000
    ours = Dispatch([failed], place)
    sent(ours, [of(1, NOON), of(2, NOON)])
    until(lambda: not ours.outbox())
    clock.move("2d")
    day = place.folder / "undelivered" / "kept" / "day"
    until(lambda: any(name.endswith("-digest.json") for name in undelivered(place)) and not [*day.glob("[0-9]*")])
    layout = Layout(place.root)
    assert list(undelivered_words(layout, clock())) == []
    clock.move("1d")
    (told,) = undelivered_words(layout, clock())
    assert told == "kept: 2 alerts not delivered yet; the first is given up at 2026-12-03 08:00:00 UTC"
    clock.move("7d")
    until(lambda: not any(name.endswith(".json") for name in undelivered(place)))
    ours.close(HANG_SECONDS)
    assert "2 alerts given up that could not be posted to nowhere" in caplog.text
    (told,) = undelivered_words(layout, clock())
    assert told.startswith("kept: 2 alerts given up so far, the last at 2026-12-04 12:00:00")
    clock.move("31d")
    assert list(undelivered_words(layout, clock())) == []


def test_killed_at_each_step(place: Place, clock: testing.Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a process dies between the alerts and their message, each alert is in one message, and none is lost."""
    for step, name in enumerate(("before", "written", "marked", "half removed")):
        rounds(place, *(of(10 * step + n, clock()) for n in range(3)))
        clock.move("1d")
        with monkeypatch.context() as patched:
            die(patched, name)
            dying = Kept()
            dying.open(place, "kept")
            with pytest.raises(Killed):
                dying._put_together()
            dying.close(0)
        after = rounds(place)
        assert [sorted(each) for each in ids(after)] == [[alert(10 * step + n).id for n in range(3)]], name
        assert ids(rounds(place)) == []


class Killed(BaseException):
    """The process ends here."""


def die(patched: pytest.MonkeyPatch, step: str) -> None:
    """Let the process end at a step of putting alerts together; its thread does nothing."""
    patched.setattr(Kept, "_start", lambda _: None)
    write, forget = room.write_whole, Kept._forget

    def killed(*_: Any) -> None:
        raise Killed

    def write_until(path: Path, data: bytes) -> None:
        if step == "before" or (step == "written" and path.name == "digested"):
            raise Killed
        write(path, data)

    def forget_some(self: Kept, names: list[str]) -> None:
        forget(self, names[:1])
        raise Killed

    patched.setattr(room, "write_whole", write_until)
    if step in {"marked", "half removed"}:
        patched.setattr(Kept, "_forget", killed if step == "marked" else forget_some)


def test_what_cannot_be_made_into_a_message(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """An alert that some sink cannot word, or a file that is no alert, waits aside and stops none of the others."""
    folder = place.folder / "undelivered" / "kept"
    folder.mkdir(parents=True)
    (folder / f"{micros(NOON):020d}-0000000000-x-x.json").write_text("[" * 100_000)
    sink = Kept(digest=None)
    sink.fails = [KeyError("message")]
    ours = Dispatch([sink], place)
    sent(ours, [of(1, NOON + timedelta(seconds=1)), of(2, NOON + timedelta(seconds=2))])
    until(lambda: len(sink.got) == 2)
    ours.close(HANG_SECONDS)
    assert sorted(document["id"] for _, document in sink.got) == [alert(1).id, alert(2).id]
    assert "it cannot be sent: KeyError" in caplog.text


# lake.toml


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    return create(tmp_path_factory.mktemp("sinks") / "lake")


SINKS = """[[alerts.sinks]]
kind = "slack"
url_from = "slack"
[[alerts.sinks]]
kind = "slack"
name = "managers"
url_from = "slack-managers"
digest = "07:30"
[[alerts.sinks]]
kind = "teams"
url_from = "teams"
[[alerts.sinks]]
kind = "webhook"
url = "https://siem.example.org/hook"
signed_with = "siem"
[[alerts.sinks]]
kind = "email"
host = "mail.example.org"
sender = "audit@example.org"
to = ["soc@example.org"]
user = "audit"
password_from = "smtp"
digest = "08:00"
"""


def test_settings(lake: AuditLake, tmp_path: Path) -> None:
    """Each table gives its sink; each is called by its name, or its kind and a number."""
    read = with_alerts(lake, '[alerts]\nwebhook = "https://example.org/x"', SINKS).config.alerts
    sinks = [Webhook(str(read.webhook)), *map(outbox, read.sinks)]
    ours = Dispatch(sinks, Place(tmp_path, tmp_path / "alerts", lambda: NOON))
    ours.close(0)

    assert [type(each) for each in sinks] == [Webhook, Slack, Slack, Teams, Webhook, Mail]
    assert [each.name for each in sinks] == ["webhook", "slack", "managers", "teams", "webhook-2", "email"]
    assert [each._digest for each in sinks] == [None, None, time(7, 30), None, None, time(8)]
    assert [each.receiver for each in sinks[1:]] == [
        "the URL of the secret slack", "the URL of the secret slack-managers", "the URL of the secret teams",
        "https://siem.example.org", "mail.example.org:587",
    ]  # fmt: skip


_HOOK, _MAIL = 'kind = "webhook"\nurl = "https://x"\n', 'kind = "email"\nhost = "h"\nsender = "a@b"\nto = ["a@b"]\n'
MISTAKES = {
    'kind = "pager"': "alerts.sinks.kind: expected one of webhook, slack, teams, email, got 'pager'",
    'url = "https://example.org"': "alerts.sinks.kind: expected one of webhook, slack, teams, email, got nothing",
    'kind = "slack"': "alerts.sinks.url_from: expected the name of a secret",
    'kind = "slack"\nurl = "https://x/T0KEN"': "url: not a setting of slack; expected some of url_from",
    'kind = "slack"\nurl_from = "https://x/T0KEN"': "url_from: expected the name of a secret",
    f'{_HOOK}url_from = "x"': "alerts.sinks.url or url_from: expected one of them",
    'kind = "webhook"\nurl = "ftp://T0KEN"': "alerts.sinks.url: expected an http:// or https:// URL",
    f'{_HOOK}signed_with = "T0KEN=="': "signed_with: expected the name of a secret",
    f'{_HOOK}to = ["a@b"]': "to: not a setting of webhook",
    f'{_HOOK}digest = "8:00"': "alerts.sinks.digest: expected a time of day in UTC such as '08:00'",
    f'{_HOOK}name = "a/b"': "alerts.sinks.name: expected small letters",
    f"{_HOOK}who = 1": "unknown key 'alerts.sinks.who'",
    'kind = "email"\nhost = "h"\nto = ["a@b"]': "alerts.sinks.sender: expected an address",
    'kind = "email"\nto = ["a@b\\nBcc: x@y"]': "alerts.sinks.to: expected a list of addresses",
    'kind = "email"\nhost = "h h"': "alerts.sinks.host: expected the name or address of a host",
    f'{_MAIL}user = "u"': "user: expected both user and password_from",
    f'{_MAIL}user = "u"\npassword_from = "T0KEN!"': "password_from: expected the name of a secret",
    f'{_MAIL}user = "u"\npassword_from = "p"\ntls = "none"': "tls: a password is sent over an encrypted connection",
    f'{_MAIL}tls = "none"': "alerts.sinks.tls: mail in clear text can be read and changed on the way",
    f"{_MAIL}clear_text = 1": "alerts.sinks.clear_text: expected true or false",
    f"{_MAIL}port = 0": "alerts.sinks.port: expected a number from 1 to 65535",
    f'{_HOOK}name = "a"\n[[alerts.sinks]]\n{_HOOK}name = "a"': "expected names that differ",
}


@pytest.mark.parametrize("table", MISTAKES)
def test_mistakes(table: str, lake: AuditLake) -> None:
    """A mistake in a table is told in a line, without what may be a secret in the wrong place."""
    with pytest.raises(LakeFormatError) as raised:
        with_alerts(lake, "[alerts]", "[[alerts.sinks]]", table)
    assert MISTAKES[table] in str(raised.value)
    assert "T0KEN" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "more", "is_told"),
    [("127.0.0.1", "", False), ("::1", "", False), ("localhost", "", False), ("relay", "clear_text = true", True)],
)
def test_mail_in_clear_text(host: str, more: str, is_told: bool, lake: AuditLake) -> None:
    """Mail without TLS goes to this machine alone, or where lake.toml says so twice; then doctor tells it."""
    table = f'kind = "email"\nhost = "{host}"\nsender = "a@b"\nto = ["a@b"]\ntls = "none"\n{more}'
    read = with_alerts(lake, "[alerts]", "[[alerts.sinks]]", table)
    told = [each.what for each in examine(read.layout, now=NOON).notices if each.where == "alerts"]
    assert bool(told) is is_told
    assert all("in clear text" in each for each in told)


def test_trying_them(lake: AuditLake, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place gets a test at once, and what fails is told; nothing is left behind."""
    monkeypatch.setenv("AUDITLAKE_SECRET_SLACK", receiver.url)
    receiver.answers = [200]
    read = with_alerts(
        lake,
        '[alerts]\nwebhook = "http://127.0.0.1:9/T0KEN"',
        SINKS.split('[[alerts.sinks]]\nkind = "teams"', maxsplit=1)[0],
    )
    outcomes = list(tried(read.layout, read.config.alerts, lambda: NOON))

    assert [(name, problem[:8]) for name, _, problem in outcomes] == [
        ("webhook", "<urlopen"), ("slack", ""), ("managers", "neither "),
    ]  # fmt: skip
    assert receiver.got[0]["blocks"][0]["text"]["text"] == "Test: A test of the alerts"
    assert "T0KEN" not in json.dumps(outcomes)
    assert not read.layout.alerts.exists()
