"""A time stamp over the newest checkpoint, asked of an authority by HTTP (RFC 3161): ``anchor``.

This is the only part of auditlake besides alerts that opens a connection, and it does so only when told to.
"""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.storage.lake import write
from auditlake.verify.anchors import Anchor, anchors_path, check_stamp, decode, has_client, needs_client
from auditlake.verify.checkpoints import read_checkpoint

_TIMEOUT_SECONDS = 60.0
_MOST_BYTES = 1_000_000


def anchor(layout: Layout, note: bytes, url: str, *, roots: bytes | None) -> Anchor:
    """Have an authority stamp a checkpoint, and keep its response, durably.

    Args:
        layout: The lake.
        note: The checkpoint.
        url: The authority; http or https.
        roots: Certificates that its signature must lead to, PEM; it is not checked if None.

    Raises:
        LedgerError: The authority cannot be reached or refused, its response is not about this checkpoint, or the
            package for time stamps is not installed. Nothing is kept.
    """
    if not has_client():
        raise needs_client()
    from rfc3161_client import TimestampRequestBuilder
    from rfc3161_client.base import HashAlgorithm

    request = (
        TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True)
        .cert_request(cert_request=True).build()
    )  # fmt: skip
    response = _ask(url, request.as_bytes())
    stamp, checkpoint = decode(response), read_checkpoint(note)
    check_stamp(stamp, note, roots, request.nonce)
    stem = f"{checkpoint.size:012d}-{sha256(response).hexdigest()}"
    write(layout, anchors_path(layout) / f"{stem}.checkpoint", note)
    write(layout, anchors_path(layout) / f"{stem}.tsr", response)
    return Anchor(stamp.tst_info.gen_time, checkpoint.size, roots is not None, checkpoint)


def _ask(url: str, request: bytes) -> bytes:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LedgerError(f"{url!r} is not where a time stamp can be asked for: expected http:// or https://")
    headers = {"Content-Type": "application/timestamp-query", "User-Agent": "auditlake"}
    try:
        with urlopen(Request(url, request, headers), timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - http(s), see above
            data: bytes = answer.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        message = f"the authority at {parts.hostname} gave no time stamp: {error}"
        raise LedgerError(message, hint="nothing was kept; try again, or ask another") from error
    if len(data) > _MOST_BYTES:
        raise LedgerError(f"the authority at {parts.hostname} answered with more than {_MOST_BYTES} bytes")
    return data
