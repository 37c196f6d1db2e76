"""Alerts by HTTP: each is kept on the disk until the receiver has taken it."""

from __future__ import annotations

import base64
import binascii
import hmac
import http.client
import json
from collections.abc import Mapping
from datetime import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from auditlake.alert_settings import checked_webhook
from auditlake.alerts.outbox import FailedError, Outbox, RejectedError
from auditlake.alerts.secrets import Secret, SecretError

_BUSY = frozenset({408, 425, 429})
"""The answers 4xx that are about the moment and not about the alert (RFC 9110, RFC 8470, RFC 6585)."""
_PREFIX = "whsec_"
_LEAST_KEY, _MOST_KEY = 24, 64
"""Bytes of a key: Standard Webhooks 1.0.0."""


class Webhook(Outbox):
    """Posts each alert as JSON, in order, until the receiver answers with 2xx.

    An alert that the receiver rejects (4xx) waits aside and is posted again later, while those after it are delivered.
    An alert is on the disk in ``LAKE/alerts/undelivered`` before it is posted and until it is taken, so it outlives a
    restart. Redirects are not followed. The body is :meth:`Alert.as_dict`; the header ``Idempotency-Key`` names the
    alert and its kind. With a secret, each post is signed as Standard Webhooks 1.0.0 says.

    Args:
        url: Where to; http or https. Or a secret that is that.
        headers: More headers, for instance ``Authorization``.
        signed_with: What signs: ``whsec_`` and a key in base64; several, one a line, while a key is changed.
        digest: When the alerts of a day are posted as one message, in UTC; each at once if None.
        timeout_seconds: How long to wait for the receiver.
        first_wait_seconds: How long to wait after a failure; twice as long after each further one, with some jitter.
        longest_wait_seconds: How long at most.

    Raises:
        ValueError: The URL is not one that can be posted to.
    """

    name = "webhook"

    def __init__(
        self, url: str | Secret, *, headers: Mapping[str, str] | None = None, signed_with: Secret | None = None,
        digest: time | None = None, timeout_seconds: float = 10.0, first_wait_seconds: float = 1.0,
        longest_wait_seconds: float = 300.0,
    ) -> None:  # fmt: skip
        super().__init__(
            digest=digest, first_wait_seconds=first_wait_seconds, longest_wait_seconds=longest_wait_seconds
        )
        self._url = url if isinstance(url, Secret) else checked_webhook(url)
        self._signed_with = signed_with
        self._headers = {"Content-Type": "application/json", "User-Agent": "auditlake", **(headers or {})}
        self._timeout = timeout_seconds
        self._opener = OpenerDirector()
        for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler):
            self._opener.add_handler(handler())

    @property
    def receiver(self) -> str:
        """Scheme and host of the URL: what follows may be a secret; or the name of the secret that is the URL."""
        if isinstance(self._url, Secret):
            return f"the URL of the secret {self._url.name}"
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname}"

    def body(self, document: Mapping[str, Any]) -> bytes:
        """Return what is posted."""
        return json.dumps(document, separators=(",", ":")).encode("ascii")

    def send(self, key: str, document: Mapping[str, Any]) -> None:
        """Post a message; see :meth:`Outbox.send`."""
        body = self.body(document)
        headers = {**self._headers, "Idempotency-Key": key, **self._signature(key, body)}
        request = Request(self._read_url(), body, headers, method="POST")  # noqa: S310
        try:
            self._opener.open(request, timeout=self._timeout).close()
        except HTTPError as error:
            error.close()
            why = f"it answered {error.code}"
            if 400 <= error.code < 500 and error.code not in _BUSY:
                raise RejectedError(why) from None
            raise FailedError(why) from None
        except http.client.HTTPException as error:
            raise FailedError(type(error).__name__) from None  # its text has what the receiver said

    def _read_url(self) -> str:
        if isinstance(self._url, str):
            return self._url
        try:
            return checked_webhook(self._url.read())
        except SecretError:
            raise
        except ValueError:
            raise SecretError(f"the secret {self._url.name} is no http:// or https:// URL") from None

    def _signature(self, key: str, body: bytes) -> dict[str, str]:
        """Return the headers that sign a post, now: Standard Webhooks 1.0.0, "Signature scheme"."""
        if self._signed_with is None:
            return {}
        at = str(int(self.now().timestamp()))
        signed = f"{key}.{at}.".encode("ascii") + body
        digests = (hmac.digest(each, signed, "sha256") for each in _keys(self._signed_with))
        signatures = " ".join(f"v1,{base64.b64encode(digest).decode('ascii')}" for digest in digests)
        return {"webhook-id": key, "webhook-timestamp": at, "webhook-signature": signatures}


def _keys(secret: Secret) -> list[bytes]:
    """Return the keys that sign.

    Raises:
        SecretError: They are none.
    """
    keys = []
    for line in secret.read().split():
        try:
            keys.append(base64.b64decode(line.removeprefix(_PREFIX), validate=True))
        except (binascii.Error, ValueError):
            keys.append(b"")
        if not _LEAST_KEY <= len(keys[-1]) <= _MOST_KEY:
            expected = f"{_PREFIX} and {_LEAST_KEY} to {_MOST_KEY} bytes in base64"
            raise SecretError(f"the secret {secret.name} cannot sign: expected {expected}")
    return keys
