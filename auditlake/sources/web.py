"""A single file by HTTPS, as an input."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from auditlake.errors import InputChangedError, SourceError
from auditlake.sources.remote import RemoteObject

TIMEOUT_SECONDS = 60.0
"""How long the server may be silent."""
WAITS = (1.0, 4.0)
"""Seconds before the second and the third try."""
_BLOCK = 1 << 20
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The answers that are about the moment (RFC 9110, RFC 8470, RFC 6585)."""


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to HTTPS alone."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if not newurl.lower().startswith("https://"):
            return None  # which makes the redirect an answer that is refused
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class WebFile:
    """A file that a server has.

    Args:
        url: Its URL, which may have a signature in its query.
        shown: The same without that.
    """

    named = True

    def __init__(self, url: str, shown: str) -> None:
        self.shown = shown
        self._url = url.partition("#")[0]
        self._opener = OpenerDirector()
        for handler in (ProxyHandler, HTTPSHandler, _Redirects, HTTPErrorProcessor, HTTPDefaultErrorHandler):
            self._opener.add_handler(handler())

    def objects(self) -> Iterator[RemoteObject]:
        """Yield the file as the server describes it."""
        for wait in (*WAITS, None):
            try:
                with self._answer() as answer:
                    found = self._described(answer)
                break
            except (OSError, http.client.HTTPException) as error:
                self._wait_or_refuse(error, wait)
        yield found

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """Copy the file, all of it in one answer."""
        for wait in (*WAITS, None):
            try:
                self._copy(found, target)
                return
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.filename == str(target):
                    raise
                self._wait_or_refuse(error, wait)

    def _copy(self, found: RemoteObject, target: Path) -> None:
        with target.open("wb") as file, self._answer() as answer:
            now = self._described(answer)
            if (now.version, now.size) != (found.version, found.size):
                raise InputChangedError(f"{found.name} changed since it was listed", hint="Read it again.")
            while block := answer.read(_BLOCK):
                file.write(block)
            if found.size not in (None, file.tell()):
                raise http.client.IncompleteRead(b"", found.size)

    @contextmanager
    def _answer(self) -> Iterator[http.client.HTTPResponse]:
        headers = {"User-Agent": "auditlake", "Accept-Encoding": "identity"}
        with self._opener.open(Request(self._url, headers=headers), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            yield answer

    def _described(self, answer: http.client.HTTPResponse) -> RemoteObject:
        length = answer.headers.get("Content-Length", "")
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        return RemoteObject(self.shown, self.shown, int(length) if length.isdecimal() else None, version[:200])

    def _wait_or_refuse(self, error: Exception, wait: float | None) -> None:
        """Wait for the next try, or raise: what the client says may name the URL, so it is not repeated."""
        if isinstance(error, HTTPError):
            error.close()
            if error.code in _BUSY and wait is not None:
                time.sleep(wait)
                return
            message = f"{self.shown} cannot be read: the server answered {error.code}"
            raise SourceError(message, hint="Check the URL, and that its signature is still valid.") from None
        if wait is not None:
            time.sleep(wait)
            return
        cause = error.reason if isinstance(error, URLError) else error
        why = {
            "TimeoutError": "the server did not answer in time",
            "IncompleteRead": "the server ended before the file did",
            "SSLCertVerificationError": "its certificate is not one that this machine trusts",
        }.get(type(cause).__name__, "the server cannot be reached")  # fmt: skip
        raise SourceError(f"{self.shown} cannot be read: {why}", hint="Try again later.") from None
