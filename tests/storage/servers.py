"""Servers of the protocols of object stores on loopback, each with a bucket.

That of S3 is in this process. Those of the others are programs that are looked for on PATH: ``azurite-blob`` (npm's
``azurite``), and ``fake-gcs-server``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

BUCKET = "lakes"
OWNER = "123456789012"
"""The account that moto's bucket belongs to."""
Answer = tuple[int, list[Any], bytes]
Forward = Callable[[str, str, dict[str, str], bytes], Answer]
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of the account that Azurite has, which everyone knows."""
_ACCOUNT = "devstoreaccount1"


@dataclass(frozen=True)
class Server:
    """A server of the protocol of a store."""

    scheme: str
    """That of its addresses."""
    forward: Forward
    """Passes a request on: method, path, headers and body."""
    secrets: tuple[str, ...]
    """What no message may tell."""
    environment: Callable[[str], dict[str, str]]
    """The variables that lead a client to a URL, with credentials."""


@contextmanager
def s3() -> Iterator[Server]:
    """moto, which compares what it gets with its checksum."""
    module = pytest.importorskip("moto.server")
    from moto.s3.models import s3_backends

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    if BUCKET not in s3_backends[OWNER]["aws"].buckets:
        s3_backends[OWNER]["aws"].create_bucket(BUCKET, "us-east-1")
    target = moto.get_host_and_port()
    changing = Lock()

    def forward(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT":  # as the store itself does
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            assert headers.get("x-amz-checksum-sha256") == digest
        # moto looks at a condition and stores in two steps, between which another request could come.
        with nullcontext() if method in {"GET", "HEAD"} else changing:
            return _ask(target, method, path, headers, body)

    yield Server("s3", forward, ("AKIATHEKEYID", "the-secret-key"), lambda url: {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIATHEKEYID", "AWS_SECRET_ACCESS_KEY": "the-secret-key",
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
    })  # fmt: skip
    moto.stop()


@contextmanager
def azure() -> Iterator[Server]:
    """Azurite, Microsoft's own emulator."""
    options = ["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence", "--blobHost"]
    with _program("azurite-blob", *options, "127.0.0.1", "--blobPort") as target:
        path, date, version = f"/{_ACCOUNT}/{BUCKET}", format_datetime(datetime.now(UTC), usegmt=True), "2021-08-06"
        signed = "\n".join(["PUT", *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{version}", f"/{_ACCOUNT}{path}",
                            "restype:container"])  # fmt: skip
        signature = base64.b64encode(hmac.digest(base64.b64decode(_KEY), signed.encode(), "sha256")).decode()
        headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {_ACCOUNT}:{signature}"}
        assert _ask(target, "PUT", f"{path}?restype=container", headers, b"")[0] == 201
        yield Server("az", partial(_ask, target), (_KEY,), lambda url: {
            "AZURE_STORAGE_ENDPOINT": f"{url}/{_ACCOUNT}", "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY, "AZURE_ALLOW_HTTP": "true",
        })  # fmt: skip


@contextmanager
def google() -> Iterator[Server]:
    """fake-gcs-server, which compares generations by one of Google's protocols, and is asked by the other one here."""
    options = ["-scheme", "http", "-backend", "memory", "-log-level", "error", "-host", "127.0.0.1", "-port"]
    account = {"disable_oauth": True, "client_email": "", "private_key": "the-secret-key", "private_key_id": ""}
    with _program("fake-gcs-server", *options) as target:
        made = _ask(target, "POST", "/storage/v1/b?project=p", {}, json.dumps({"name": BUCKET}).encode())
        assert made[0] == 200
        yield Server("gs", partial(_translated, target), ("the-secret-key",), lambda url: {
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account | {"gcs_base_url": url}), "GOOGLE_ALLOW_HTTP": "true",
        })  # fmt: skip


SERVERS = {"s3": s3, "az": azure, "gs": google}


@contextmanager
def _program(name: str, *options: str) -> Iterator[tuple[str, int]]:
    """Run a server, whose last option is its port."""
    if (path := shutil.which(name)) is None:
        pytest.skip(f"{name} is not on PATH")
    with socket.create_server(("127.0.0.1", 0)) as free:
        target = ("127.0.0.1", int(free.getsockname()[1]))
    with subprocess.Popen([path, *options, str(target[1])], stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with suppress(OSError), socket.create_connection(target):
                    break
                time.sleep(0.05)
            assert process.poll() is None, f"{name} does not run"
            yield target
        finally:
            process.terminate()


def _ask(target: tuple[str, int], method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    connection = http.client.HTTPConnection(*target)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()


def _translated(target: tuple[str, int], method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """Ask what Google's XML says by its JSON, as far as the server does not know the former."""
    bucket, _, name = map(unquote, urlsplit(path).path[1:].partition("/"))
    if method == "DELETE":
        return _ask(target, method, f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}", {}, b"")
    if method == "PUT":
        about = {"name": name, "contentType": "application/octet-stream"}
        parts = [json.dumps(about).encode(), body]
        whole = b"".join(b"--tests-part\r\nContent-Type: application/json\r\n\r\n%s\r\n" % each for each in parts)
        wanted = {each.lower(): value for each, value in headers.items()}.get("x-goog-if-generation-match")
        where = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        where += f"&ifGenerationMatch={wanted}" if wanted else ""
        kind = {"Content-Type": "multipart/related; boundary=tests-part"}
        status, _, answer = _ask(target, "POST", where, kind, whole + b"--tests-part--\r\n")
        made = json.loads(answer)
        if status != 200:
            return status, [], answer
        return status, [("ETag", f'"{made["etag"]}"'), ("x-goog-generation", made["generation"])], b""
    return _ask(target, method, path, headers | {"Host": "storage.googleapis.com"}, body)
