"""What a host proposes to commit, as data and as the bytes of an object, and how several become one commit.

A proposal has all that its commit needs but the ledger's entry: its data files, which lie in the bucket already, the
parts of what it appends, and how far the landing of its host comes with it. It is signed with the ledger's key, so none
is taken from who only may write to the bucket.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.errors import LedgerError
from auditlake.ledger.keys import read_public_key, read_settings, read_signer
from auditlake.ledger.leaves import Part
from auditlake.store.batches import OF_HOSTS, counts_of, moved_by, place_of
from auditlake.store.deltalog import EXACT
from auditlake.store.model import Change, DataFile, Snapshot

_FORMAT = 1
_SIGNED = b"auditlake/proposal\n"
"""Begins what is signed, so that it is nothing else."""
_BY_COMMITTER = (EXACT, "auditlake.batches.0")
"""The applications of which who commits says how far they come."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that a host has prepared on a version of the lake: an ingest or a flush."""

    host: int
    number: int
    base: int
    """The version."""
    since: Mapping[str, int]
    """How far the applications that move on had come in it; one that never committed is not in it."""
    change: Change
    """With the parts of all that it appends."""

    @property
    def place(self) -> tuple[int, int]:
        """Return what it is called by in the inbox: its host and number."""
        return self.host, self.number


def proposed(seen: Snapshot, change: Change) -> Proposal:
    """Return the proposal of a change that was prepared on a snapshot, with the parts of all that it appends."""
    transactions = {name: to for name, to in change.transactions.items() if name not in _BY_COMMITTER}
    since = {name: seen.transactions[name] for name in transactions if name in seen.transactions}
    own = replace(change, transactions=transactions, classes={})
    return Proposal(*place_of(change.metadata["batch"]), seen.version, since, own)


def dumped(layout: Layout, proposal: Proposal) -> bytes:
    """Return the bytes of a proposal: a signature in hexadecimal, which an unsigned lake has none of, and JSON.

    Raises:
        LedgerError: The lake is signed, and this host has no key of it.
    """
    change, settings = proposal.change, read_settings(layout)
    data = json.dumps({
        "format": _FORMAT, "lake_id": settings.lake_id, "host": proposal.host, "number": proposal.number,
        "base": proposal.base, "since": dict(proposal.since), "transactions": dict(change.transactions),
        "metadata": dict(change.metadata),
        "adds": [
            [file.path, file.size, file.rows, file.first and file.first.isoformat(),
             file.last and file.last.isoformat(), file.types]
            for file in change.adds
        ],
        "parts": [
            [part.batch, part.day.isoformat(), part.rows, part.root.hex(), part.retention_class, part.types,
             b64encode(marks).decode()]
            for part, marks in change.parts
        ],
    }).encode()  # fmt: skip
    signer = read_signer(layout, settings)
    return (signer.sign_bytes(_SIGNED + data).hex() if signer else "").encode() + b"\n" + data


def parsed(layout: Layout, place: tuple[int, int], data: bytes) -> Proposal:
    """Read a proposal.

    Args:
        layout: The lake.
        place: The host and the number that its object says.
        data: Its bytes.

    Raises:
        LedgerError: It is none of this lake and place, or not signed by the lake's key.
    """
    signature, _, text = data.partition(b"\n")
    verifier = read_public_key(layout)
    try:
        if verifier is not None and not verifier.verifies(_SIGNED + text, bytes.fromhex(signature.decode())):
            raise LedgerError("it is not signed by the key of the lake")
        fields = json.loads(text)
        if (fields["format"], fields["lake_id"]) != (_FORMAT, read_settings(layout).lake_id):
            raise LedgerError("it is of another lake, or of a newer auditlake")
        return _parsed(place, fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LedgerError(f"it cannot be read: {type(error).__name__}: {error}") from error


def _parsed(place: tuple[int, int], fields: Mapping[str, Any]) -> Proposal:
    adds = tuple(
        DataFile(
            path, _day(path), int(size), int(rows), first and datetime.fromisoformat(first),
            last and datetime.fromisoformat(last), types and tuple((name, int(number)) for name, number in types),
        )
        for path, size, rows, first, last, types in fields["adds"]
    )  # fmt: skip
    parts = tuple(
        (
            Part(batch, date.fromisoformat(day), rows, bytes.fromhex(root), name, tuple(map(tuple, types))),
            b64decode(marks, validate=True),
        )
        for batch, day, rows, root, name, types, marks in fields["parts"]
    )
    metadata, transactions = fields["metadata"], fields["transactions"]
    batches = {metadata["batch"], *(part.batch for part, _ in parts)}
    counter = f"auditlake.batches.{place[0]}"
    if (fields["host"], fields["number"]) != place or {place_of(batch) for batch in batches} != {place}:
        raise LedgerError("it is another one than its name says")
    is_own = all(name == counter or name.startswith(counts_of(place[0])) for name in transactions)
    if metadata["kind"] != "ingest" or transactions.get(counter) != place[1] or not is_own:
        raise LedgerError("it brings no events of its host alone")
    change = Change(adds, (), metadata, transactions=transactions, parts=parts)
    return Proposal(*place, int(fields["base"]), fields["since"], change)


def _day(path: str) -> date:
    if (named := part_day_and_digest(path)) is None:
        raise LedgerError(f"{path!r} is no name of a data file")
    return named[0]


def merged(layout: Layout, seen: Snapshot, proposals: Sequence[Proposal], now: datetime) -> Change:
    """Return the change that commits proposals on top of a snapshot, with how far all applications come."""
    changes = [each.change for each in proposals]
    transactions = {name: to for change in changes for name, to in change.transactions.items()}
    batches = [change.metadata["batch"] for change in changes]
    exact = {} if EXACT in seen.transactions else {EXACT: min(*batches, OF_HOSTS)}
    metadata = changes[0].metadata
    if len(changes) > 1:
        rows = sum(change.metadata["rows"] for change in changes)
        ingests = [change.metadata for change in changes]
        metadata = {"kind": "ingest", "at": now.isoformat(), "rows": rows, "ingests": ingests}
    return Change(
        tuple(file for change in changes for file in change.adds), (), metadata,
        transactions={**transactions, **exact, **moved_by(layout, seen, batches[0])},
        parts=tuple(pair for change in changes for pair in change.parts),
    )  # fmt: skip
