"""Leaves of events that were removed or changed, kept so that the others of their part still verify.

Where only some events of a part go, a file ``LAKE/ledger/kept/<SHA-256 of its bytes>`` has 72 bytes for each, in the
order of ``seq``: ``seq`` (8 bytes, big endian, signed), the leaf that it was appended with, and the leaf of the event
that is in its place now: zeros where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.ledger.merkle import HASH_SIZE

_NUMBER = 8
_SIZE = _NUMBER + 2 * HASH_SIZE
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
    """Return the bytes of the file."""
    return b"".join(
        each.seq.to_bytes(_NUMBER, "big", signed=True) + each.original + each.present for each in sorted(kept)
    )


def unpack(data: bytes) -> list[Kept]:
    """Return what a file says.

    Raises:
        LedgerError: It is not whole, or not in order.
    """
    kept = [
        Kept(
            int.from_bytes(data[at : at + _NUMBER], "big", signed=True),
            data[at + _NUMBER : at + _NUMBER + HASH_SIZE],
            data[at + _NUMBER + HASH_SIZE : at + _SIZE],
        )
        for at in range(0, len(data), _SIZE)
    ]
    if len(data) % _SIZE or any(a.seq >= b.seq for a, b in pairwise(kept)):
        raise LedgerError(f"kept leaves are damaged: {len(data)} bytes")
    return kept


def keep(layout: Layout, kept: Iterable[Kept]) -> str:
    """Write the file, durably, and give its name."""
    data = pack(kept)
    path = kept_path(layout, digest := sha256(data).hexdigest())
    make_folders(path.parent, below=layout.root)
    write_whole(path, data)
    return digest


def keep_marks(layout: Layout, marks: bytes) -> str:
    """Write the marks of appended events to ``ledger/marks/<SHA-256>``, durably, and give that name."""
    path = layout.ledger / "marks" / sha256(marks).hexdigest()
    make_folders(path.parent, below=layout.root)
    write_whole(path, marks)
    return path.name


def keep_holds(layout: Layout, listed: str) -> None:
    """Write a list of holds to ``ledger/holds/<SHA-256>``, durably: entries say that digest."""
    path = holds_path(layout, sha256(listed.encode()).hexdigest())
    make_folders(path.parent, below=layout.root)
    write_whole(path, listed.encode())


def holds_path(layout: Layout, digest: str) -> Path:
    """Return the path of a list of holds that was changed by hand."""
    return layout.ledger / "holds" / digest


def keep_policy(layout: Layout, content: bytes) -> None:
    """Write a policy's file to ``ledger/policies/<SHA-256>``, durably: entries say that digest.

    What a policy asked for when it has been changed since is then still known.
    """
    path = policy_path(layout, sha256(content).hexdigest())
    if not path.exists():
        make_folders(path.parent, below=layout.root)
        write_whole(path, content)


def policy_path(layout: Layout, digest: str) -> Path:
    """Where a policy's file lies as it was when an entry recorded it."""
    return layout.ledger / "policies" / digest


def kept_path(layout: Layout, digest: str) -> Path:
    """Where a file of kept leaves lies."""
    return layout.ledger / "kept" / digest
