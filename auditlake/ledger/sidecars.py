"""Files beside the ledger's entries, each named by the SHA-256 of its bytes, which an entry says.

==============  ====================================================================================================
``kept``        hashes of events that were removed or changed, so that the others of their part still verify
``marks``       the first bytes of the leaves of parts of a class that an entry appended
``holds``       the list of holds, where they were changed by hand
``policies``    a policy's file: what it asked for is still known when it has been changed since
``packs``       a pack's file, or ``frameworks.yaml``, likewise
``aside``       the lists of an entry that is long
==============  ====================================================================================================

What a file ``kept`` says is in :mod:`auditlake.ledger.kept`. One of an earlier version has 72 bytes of each event, in
the order of ``seq``: ``seq`` (8 bytes, big endian, signed), the leaf that it was appended with, and the leaf of what is
in its place now: zeros where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from auditlake.disk.layout import Layout
from auditlake.errors import StorageError
from auditlake.ledger.merkle import HASH_SIZE
from auditlake.storage.lake import storage_of, write

Folder = Literal["kept", "marks", "holds", "policies", "sources", "packs", "aside"]

_RECORD = 8 + 2 * HASH_SIZE
GONE = bytes(HASH_SIZE)
"""Stands for the leaf of an event that is not there any more."""


@dataclass(frozen=True, slots=True, order=True)
class Kept:
    """One event that was removed or changed."""

    seq: int
    original: bytes
    """The leaf that it was appended with."""
    present: bytes = GONE
    """The leaf of what is there instead."""


def pack(kept: Iterable[Kept]) -> bytes:
    """Return the bytes of a file of kept leaves as earlier versions wrote it."""
    return b"".join(each.seq.to_bytes(8, "big", signed=True) + each.original + each.present for each in sorted(kept))


def unpack_leaves(data: bytes) -> Iterator[Kept]:
    """Yield what a file of kept leaves says that an earlier version wrote."""
    for at in range(0, len(data), _RECORD):
        seq, leaves = data[at : at + 8], data[at + 8 : at + _RECORD]
        yield Kept(int.from_bytes(seq, "big", signed=True), leaves[:HASH_SIZE], leaves[HASH_SIZE:])


def keep(layout: Layout, folder: Folder, data: bytes) -> str:
    """Write a file, durably, and give its name."""
    path = kept_path(layout, folder, sha256(data).hexdigest())
    write(layout, path, data)
    return path.name


def read_kept(layout: Layout, folder: Folder, digest: str) -> bytes | None:
    """Return the bytes of the file of this name; None if it is not there, or has others.

    Raises:
        StorageError: The bucket has not said whether it is there.
    """
    try:
        data = storage_of(layout).read(layout.name(kept_path(layout, folder, digest)))
    except StorageError:
        raise
    except OSError:
        return None
    return data if sha256(data).hexdigest() == digest else None


def kept_path(layout: Layout, folder: Folder, digest: str) -> Path:
    """Return where the file of this name lies."""
    return layout.ledger / folder / digest
