"""What commits of the table say of the ledger: the leaf of their entry, or the entry itself."""

from __future__ import annotations

import json
from hashlib import sha256

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.storage.lake import storage_of
from auditlake.storage.model import found

LEAF_KEY = "auditlake.ledger"
"""The key of a commit's custom metadata that holds the leaf of its entry, in hexadecimal."""
ENTRY_KEY = "auditlake.entry"
"""The key of a commit's custom metadata that holds the ledger's entry itself, as text."""


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
    return _said(layout, version, LEAF_KEY)


def commit_entry(layout: Layout, version: int) -> bytes | None:
    """Return the entry of the ledger that a version's commit holds; None if it holds none.

    Raises:
        LedgerError: The log entry is damaged.
        OSError: It cannot be read.
    """
    entry = _said(layout, version, ENTRY_KEY)
    return None if entry is None else entry.encode()


def _said(layout: Layout, version: int, key: str) -> str | None:
    """Return a text of a commit's custom metadata; None if it has none, or there is no such commit."""
    data = found(storage_of(layout), layout.name(layout.commit(version))) or b""
    if f'"{key}"'.encode() not in data:
        return None  # which spares reading all that it says of files
    try:
        told = (json.loads(line).get("commitInfo") for line in data.splitlines())
        value = next((info.get(key) for info in told if isinstance(info, dict)), None)
    except (ValueError, AttributeError, RecursionError) as error:
        message = f"the log entry {layout.commit(version)} cannot be read: {error}"
        raise LedgerError(message, hint="what it committed is not known; restore it from a backup") from error
    return value if isinstance(value, str) else None
