"""What commits of the table say of the ledger: the leaf of their entry, or the entry itself."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.storage.lake import storage_of
from auditlake.storage.model import found

LEAF_KEY = "auditlake.ledger"
"""The key of a commit's custom metadata that holds the leaf of its entry, in hexadecimal."""
ENTRY_KEY = "auditlake.entry"
"""The key of a commit's custom metadata that holds the ledger's entry itself, as text."""
SIGNATURE_KEY = "auditlake.signature"
"""The key of a commit's custom metadata that holds the signature over that entry, in base64."""


def log_digest(layout: Layout, version: int) -> str | None:
    """Return the SHA-256 of a version's log entry, in hexadecimal; None if there is none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return sha256(read_file(layout.commit(version), within=layout.root)).hexdigest()
    except FileNotFoundError:
        return None


def commit_leaf(layout: Layout, version: int) -> str | None:
    """Return the leaf of the ledger entry that a version's commit names, in hexadecimal; None if it names none.

    Raises:
        LedgerError: The log entry is damaged.
        OSError: It cannot be read.
    """
    return _text(_said(layout, version, LEAF_KEY), LEAF_KEY)


def commit_entry(layout: Layout, version: int) -> bytes | None:
    """Return the entry of the ledger that a version's commit holds; None if it holds none.

    Raises:
        LedgerError: The log entry is damaged.
        OSError: It cannot be read.
    """
    return held_entry(layout, version)[0]


def held_entry(layout: Layout, version: int) -> tuple[bytes | None, bytes]:
    """Return the entry that a version's commit holds as for :func:`commit_entry`, and the signature over it, if any."""
    said = _said(layout, version, ENTRY_KEY)
    entry, signature = _text(said, ENTRY_KEY), b""
    with suppress(ValueError):
        signature = b64decode(_text(said, SIGNATURE_KEY) or "", validate=True)
    return None if entry is None else entry.encode(), signature


def _text(said: Mapping[str, Any], key: str) -> str | None:
    return value if isinstance(value := said.get(key), str) else None


def _said(layout: Layout, version: int, key: str) -> dict[str, Any]:
    """Return a commit's custom metadata where it has a key; nothing if it has not, or there is no such commit."""
    data = found(storage_of(layout), layout.name(layout.commit(version))) or b""
    if f'"{key}"'.encode() not in data:
        return {}  # which spares reading all that it says of files
    try:
        told = (json.loads(line).get("commitInfo") for line in data.splitlines())
        return next((info for info in told if isinstance(info, dict)), {})
    except (ValueError, AttributeError, RecursionError) as error:
        message = f"the log entry {layout.commit(version)} cannot be read: {error}"
        raise LedgerError(message, hint="what it committed is not known; restore it from a backup") from error
