"""Alerts by mail: SMTP, encrypted unless lake.toml says otherwise, as plain text and as a page that loads nothing."""

from __future__ import annotations

import hashlib
import logging
import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, ClassVar

from auditlake.alert_settings import SinkSettings
from auditlake.alerts.notice import Notice, NoticeFact, notice_of
from auditlake.alerts.outbox import FailedError, Outbox, RejectedError
from auditlake.alerts.secrets import Secret
from auditlake.display.templates import render
from auditlake.display.text import visible

_LOG = logging.getLogger("auditlake.alerts.watch")
_LONGEST_ANSWER = 200
_COLOURS = {"attention": "#b3261e", "warning": "#8a5a00", "good": "#1e6b2e", "default": "#4a4a4a"}


@dataclass(frozen=True, slots=True)
class MailPage:
    """The page of a mail."""

    template: ClassVar[str] = "alerts/mail.html"

    title: str
    """The heading."""
    colour: str
    """Its colour."""
    text: str
    """What happened."""
    facts: tuple[NoticeFact, ...]
    """Facts."""
    lines: tuple[str, ...]
    """Of the alerts of a day: what they say."""
    source: str
    """Where it comes from."""


class Mail(Outbox):
    """Mails each alert to all addresses at once.

    Args:
        settings: The server, the addresses, and how it signs in.
        timeout_seconds: How long to wait for the server.
        options: How long to wait after failures: see :class:`Outbox`.
    """

    name = "email"

    def __init__(self, settings: SinkSettings, *, timeout_seconds: float = 30.0, **options: float) -> None:
        super().__init__(digest=settings.digest, **options)
        self._settings = settings
        self._timeout = timeout_seconds

    @property
    def receiver(self) -> str:
        """The server."""
        return f"{self._settings.host}:{self._settings.used_port}"

    def send(self, key: str, document: Mapping[str, Any]) -> None:
        """Mail a message; see :meth:`Outbox.send`."""
        settings = self._settings
        begun = f"{document.get('id')}-threshold_exceeded" if document.get("kind") == "resolved" else ""
        message = self.message(key, notice_of(document, self.lake), begun)
        try:
            with self._signed_in() as server:
                refused = server.send_message(message, str(settings.sender), settings.to)
        except smtplib.SMTPRecipientsRefused as error:
            _raise_for(min(code for code, _ in error.recipients.values()), "it refused every recipient")
        except smtplib.SMTPAuthenticationError as error:
            raise FailedError(f"it answered {error.smtp_code} to the sign-in") from None  # and may repeat what was said
        except smtplib.SMTPResponseException as error:
            is_own = isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError)
            said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else ""
            _raise_for(error.smtp_code if is_own else 0, f"it answered {error.smtp_code} {_bounded(said)}")
        except smtplib.SMTPException as error:
            raise FailedError(_bounded(str(error)) or type(error).__name__) from None
        if refused:
            _LOG.warning("alert %s was not mailed to %s: %s refused these", key, ", ".join(refused), self.receiver)

    def message(self, key: str, notice: Notice, begun: str = "") -> EmailMessage:
        """Return the mail of a notice; the same key gives the same Message-ID.

        Args:
            key: What names the message.
            notice: What it says.
            begun: Of the end of an episode, the key of the mail that told of its beginning, which this one answers.
        """
        sender = str(self._settings.sender)
        lake = hashlib.sha256(self.lake.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        message = EmailMessage(policy=SMTP)
        message["From"] = sender
        message["To"] = ", ".join(self._settings.to)
        message["Subject"] = notice.title
        message["Date"] = format_datetime(self.now())
        domain = sender.partition("@")[2]
        message["Message-ID"] = f"<{key}.{lake}@{domain}>"
        if begun:
            message["In-Reply-To"] = message["References"] = f"<{begun}.{lake}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_plain(notice))
        page = MailPage(notice.title, _COLOURS[notice.tone], notice.text, notice.facts, notice.lines, notice.source)
        message.add_alternative(render(page) + "\n", subtype="html")
        return message

    @contextmanager
    def _signed_in(self) -> Iterator[smtplib.SMTP]:
        """Give a connection over which the password may go, and has gone."""
        settings, context = self._settings, ssl.create_default_context()
        host, port = str(settings.host), settings.used_port
        if settings.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=self._timeout, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=self._timeout)
        try:
            if settings.tls == "starttls":
                server.starttls(context=context)
            if settings.user is not None and settings.password_from is not None:
                server.login(settings.user, Secret(settings.password_from).read())
            yield server
        finally:
            with suppress(smtplib.SMTPException, OSError):  # what was taken is taken
                server.quit()
            server.close()


def _bounded(said: str) -> str:
    """Return what a server said, in one line that acts on no terminal."""
    return visible(said[:_LONGEST_ANSWER])[:_LONGEST_ANSWER]


def _raise_for(code: int, why: str) -> None:
    """Raise what an answer means: from 500 on it is about this mail, and below about now."""
    raise RejectedError(why) if code >= 500 else FailedError(why)


def _plain(notice: Notice) -> str:
    facts = "".join(f"{fact.label}: {fact.value}\n" for fact in notice.facts)
    lines = "".join(f"- {line}\n" for line in notice.lines)
    return "\n".join(filter(None, (f"{notice.title}\n", f"{notice.text}\n", facts, lines, f"-- \n{notice.source}\n")))
