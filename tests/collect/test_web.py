"""Single files by HTTPS: taken when they are new, and never with what is secret in their URLs."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from auditlake.errors import AuditLakeError, LakeFormatError, SourceError
from auditlake.sources import web
from tests.collect.conftest import Collecting, event, ids


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@dataclass
class Site:
    """A server with one file."""

    url: str = ""
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: Callable[[], int] = lambda: 200
    cut: int = 0
    """Bytes that the answer lacks."""
    asked: int = 0


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Such a server on loopback, whose certificate this process trusts."""
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            status = state.status()
            self.send_response(status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            data = state.data if status == 200 else b""
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) - state.cut])

        def log_message(self, *_: object) -> None:
            pass

    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"https://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    monkeypatch.setattr(web, "WAITS", (0.0, 0.0))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_taken_when_it_is_new(site: Site, collecting: Collecting) -> None:
    """A file is read again once its server says that it is another one; no record or message has the signature."""
    site.data, site.headers = event("e1"), {"ETag": '"1"'}
    lake = collecting(f"{site.url}/logs/a.jsonl?X-Signature=s3cr3t")
    first, second = lake.routine.collect(), lake.routine.collect()
    site.data, site.headers = event("e1") + event("e2"), {"ETag": '"2"'}
    third = lake.routine.collect()

    assert (first.taken, second.known, third.taken, third.landed) == (1, 1, 1, 1)
    assert ids(lake) == ["e1", "e2"]
    assert first.places[0].path == f"{site.url}/logs/a.jsonl"
    for file in (path for path in lake.layout.root.rglob("*") if path.is_file()):
        assert file.name in {"lake.toml", "made"} or b"s3cr3t" not in file.read_bytes(), file


def test_a_file_without_a_version(site: Site, collecting: Collecting) -> None:
    """Where a server says nothing about the version, the file is read each time, and no event is doubled."""
    site.data = event("e1")
    lake = collecting(f"{site.url}/a.jsonl")

    done = [lake.routine.collect() for _ in range(2)]

    assert [(each.taken, each.landed, each.duplicates) for each in done] == [(1, 1, 0), (1, 0, 1)]


def test_a_busy_server_is_asked_again(site: Site, collecting: Collecting) -> None:
    """An answer about the moment is no end: the request is made again, and then the file is taken."""
    site.data = event("e1")
    answers = [503, 200, 429, 200]
    site.status = lambda: answers.pop(0)

    assert collecting(f"{site.url}/a.jsonl").routine.collect().taken == 1


def test_what_a_server_refuses(site: Site, collecting: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, a cut answer, a certificate of nobody and a redirect to plain HTTP are told in a line each."""
    lake = collecting(f"{site.url}/a.jsonl?sig=s3cr3t")

    def problem() -> str:
        (place,) = lake.routine.collect().places
        (line,) = [place.problem or place.told[0]]
        assert place.failed
        assert "s3cr3t" not in line
        assert line.startswith(f"{site.url}/a.jsonl cannot be read: ")
        return line

    site.data = event("e1")
    site.status = lambda: 403
    assert "answered 403" in problem()
    site.status, site.headers = lambda: 302, {"Location": "http://127.0.0.1:9/?s3cr3t"}
    assert "answered 302" in problem()
    site.status, site.headers, site.cut = lambda: 200, {}, 5
    assert "ended before the file did" in problem()
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in problem()
    assert ids(lake) == []


@pytest.mark.parametrize(
    "url", ["https://me:pw-s3cr3t@example.org/a", "http://example.org/?s3cr3t", "ftp://h/s3cr3t", "s3:///s3cr3t",
            "https://exa mple.org/s3cr3t", "s3://k:s3cr3t@bucket/a", "file:///s3cr3t"]
)  # fmt: skip
def test_urls_that_are_not_read(url: str, collecting: Collecting) -> None:
    """A URL with a name or password, of another scheme, or without a host is refused, and never repeated whole."""
    with pytest.raises(LakeFormatError, match=r"collect\.path: expected") as refused:
        collecting(url)
    assert "s3cr3t" not in str(refused.value)
    with pytest.raises(SourceError) as not_read:
        collecting().ingest(url)
    assert "pw-s3cr3t" not in str(not_read.value)
    assert "k:s3cr3t" not in str(not_read.value)
    assert "?s3cr3t" not in str(not_read.value)
    assert isinstance(not_read.value, AuditLakeError)


def test_ingest_takes_a_url(site: Site, collecting: Collecting) -> None:
    """The ingest verb reads a file by HTTPS, recognises it by its content, and names it without its query."""
    site.data = event("e1")
    done = collecting().ingest(f"{site.url}/download?file=3&sig=s3cr3t")

    assert [each.name for each in done.inputs] == [f"{site.url}/download"]
    assert done.landed == 1
