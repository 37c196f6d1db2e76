"""A mail server on loopback that answers as it is told: SMTP with STARTTLS or TLS, and a sign-in."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Mailed:
    """A mail that the server took."""

    sender: str
    to: list[str]
    message: EmailMessage
    raw: bytes
    encrypted: bool
    signed_in: str | None


@dataclass
class Session:
    """What one connection has said so far."""

    encrypted: bool
    signed_in: str | None = None
    sender: str = ""
    to: list[str] = field(default_factory=list)


class MailServer:
    """Takes mail; ``answers`` has, by the word of a command, what the next ones get instead.

    An answer is a line such as ``451 later``, or ``drop``: the connection is cut.
    """

    def __init__(self, context: ssl.SSLContext | None, *, tls_at_once: bool = False, password: str = "") -> None:
        self.got: list[Mailed] = []
        self.answers: dict[str, list[str]] = {}
        self.said: list[str] = []
        """Every command, without what follows AUTH."""
        ours = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                ours.talk(self, context if tls_at_once else None, context, password)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                """A client that goes is no matter."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def talk(
        self, handler: socketserver.StreamRequestHandler, at_once: ssl.SSLContext | None,
        context: ssl.SSLContext | None, password: str,
    ) -> None:  # fmt: skip
        """Serve one connection."""
        session, line = Session(encrypted=at_once is not None), Line(handler.connection, at_once)
        try:
            line.say("220 mail.example.org")
            while text := line.hear():
                word, _, rest = text.decode().strip().partition(" ")
                word = word.upper()
                self.said.append(word if word == "AUTH" else text.decode().strip())
                if queued := self.answers.get(word):
                    if (answer := queued.pop(0)) == "drop":
                        return
                    line.say(answer)
                elif word == "STARTTLS" and context is not None:
                    line.say("220 go")
                    session, line = Session(encrypted=True), Line(line.connection, context)
                else:
                    line.say(self._answer(word, rest, session, context, password))
                    if word == "QUIT":
                        return
                    if word == "DATA":
                        self._take(line, session)
        except OSError:  # the client does not trust the certificate, or has gone
            pass
        finally:
            line.connection.close()

    def _answer(self, word: str, rest: str, session: Session, context: ssl.SSLContext | None, password: str) -> str:
        if word == "EHLO":
            offers = ["250-mail.example.org"]
            offers += ["250-STARTTLS"] if context is not None and not session.encrypted else []
            return "\r\n".join([*offers, "250 AUTH PLAIN"])
        if word == "AUTH":
            _, user, given = base64.b64decode(rest.split()[1]).decode().split("\0")
            if not session.encrypted or given != password:
                return f"535 {given} is not the password of {user}"
            session.signed_in = user
        if word == "MAIL":
            session.sender, session.to = rest.partition("<")[2].partition(">")[0], []
        if word == "RCPT":
            session.to.append(rest.partition("<")[2].partition(">")[0])
        return {"DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 welcome"}.get(word, "250 fine")

    def _take(self, line: Line, session: Session) -> None:
        lines = []
        while (text := line.hear()) != b".\r\n":
            if not text:
                return
            lines.append(text.removeprefix(b".") if text.startswith(b"..") else text)
        after = self.answers.get("END", [])
        if (answer := after.pop(0) if after else "250 taken").startswith("250"):
            raw = b"".join(lines)
            message = message_from_bytes(raw, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.got.append(Mailed(session.sender, session.to, message, raw, session.encrypted, session.signed_in))
        line.say(answer)


class Line:
    """A connection, encrypted or not."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            self.connection = connection if context is None else context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            raise
        self._reader = self.connection.makefile("rb")

    def say(self, text: str) -> None:
        """Send a line."""
        self.connection.sendall(f"{text}\r\n".encode())

    def hear(self) -> bytes:
        """Return the next line; nothing at the end."""
        return self._reader.readline()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate of 127.0.0.1; return its file, and what a server does with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
