"""Proofs that one event is in the ledger, and their check without the lake.

A proof is a JSON object that leads from the event's canonical bytes to a signed checkpoint, each step by an inclusion
proof of RFC 6962: the event in its part, the part in its batch, the batch's root in the text of an entry, the entry in
the tree of the checkpoint. Where one key followed another, the notes are with it in which each names the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.disk import evidence_json
from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.engine.duck import connect, view_events
from auditlake.engine.statements import statement
from auditlake.errors import LedgerError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.leaves import COLUMNS, Part
from auditlake.ledger.merkle import HASH_SIZE, inclusion_proof, leaf_hash, root, root_from_inclusion, subtrees
from auditlake.verify.checkpoints import SignedCheckpoint, read_checkpoint, vouched
from auditlake.verify.deltalog import read_log
from auditlake.verify.rows import as_appended, part_leaves
from auditlake.verify.tree import LedgerEntry, Tree, parse_entry, read_tree
from auditlake.verify.withdrawals import read_takings

FORMAT = "auditlake-proof/1"
_STEP = ("index", "size", "path", "root")
_KEYS: dict[str, tuple[str, ...]] = {
    "": ("format", "event", "canonical", "part", "batch", "entry", "checkpoint"),
    "event": COLUMNS, "part": ("batch", "day", *_STEP), "batch": _STEP, "entry": ("text", *_STEP),
}  # fmt: skip
"""What a proof of this form says at each of its places: nothing more, since nothing would vouch for it."""
_LATER = ("rotations",)
"""What proofs of this form do not have that are older than keys which follow one another."""
_ROTATION = ("old", "new", "note")
_NUMBERS = {"timestamp", "ingested_at", "batch", "seq"}
_EPOCH = date(1970, 1, 1)
_WHICH = "auditlake verify says which"


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof shows."""

    event: Mapping[str, Any]
    """Its columns; times in microseconds since 1970, ``salt`` in hexadecimal."""
    origin: str
    size: int
    """Entries that the checkpoint counts."""
    recorded: str
    """When the ledger took the event in, RFC 3339."""
    signed_by: str
    """The key; empty if it was not asked for."""


def canonical(event: Mapping[str, Any]) -> bytes:
    """Return the bytes of an event that are hashed (ledger/leaves.py), once more and without SQL.

    Raises:
        LedgerError: A column is not there, or of another type.
    """
    pieces = []
    for name in COLUMNS:
        value = event.get(name)
        if name not in event or (value is not None and type(value) is not (int if name in _NUMBERS else str)):
            raise LedgerError(f"the event's {name} is not what an event has: {value!r}")
        if name in _NUMBERS:
            pieces.append("" if value is None else str(value))
            pieces.append(";")
        else:
            pieces.append("" if value is None else str(len(str(value).encode())))
            pieces.append(f":{'' if value is None else value}")
    return "".join(pieces).encode()


# Making one


def prove(layout: Layout, event_id: str, *, source: str | None = None) -> bytes:
    """Return a proof that an event is in the ledger, as a JSON object.

    Args:
        layout: The lake.
        event_id: Which event.
        source: Its source, where several have an event of this id.

    Raises:
        LedgerError: There is no such event, or it is not the one that was recorded.
    """
    log = read_log(layout)
    files = [layout.events / path for path in sorted(log.live) if part_day_and_digest(path)]
    files = [file for file in files if is_file(file, within=layout.root)]
    try:
        note = read_file(layout.ledger / "checkpoint", within=layout.root)
    except OSError as error:
        raise LedgerError(f"the lake has no checkpoint: {error.strerror}") from error
    tree = read_tree(layout, (checkpoint := read_checkpoint(note)).size)
    if tree.problems or root(tree.hashes) != checkpoint.root:
        raise LedgerError("the ledger is damaged", hint="auditlake verify says where")
    with TemporaryDirectory(prefix="auditlake-") as spill, connect(temp=Path(spill), exact_try=False) as connection:
        view_events(connection, files, columns=FILE_COLUMNS)
        part = statement("ledger/leaves.sql", "event")
        result = connection.execute(part.text, {"event_id": event_id}).fetchall()
        event, day = _chosen([dict(zip((*COLUMNS, "day"), row, strict=True)) for row in result], event_id, source)
        day_files = [file for file in files if file.parent.name == f"event_date={day}"]
        view_events(connection, day_files, columns=FILE_COLUMNS)
        leaves = part_leaves(connection, event["batch"], day)
    takings, _ = read_takings(layout, tree.entries)
    if taking := takings.get((event["batch"], day)):
        try:
            leaves = as_appended(leaves, taking.replaced)
        except ValueError as error:
            raise LedgerError(f"the part of the event is not what was recorded: {error}", hint=_WHICH) from None
        if event["seq"] in taking.replaced:
            remapped = event["seq"] in taking.remapped
            what = "its columns were derived anew by a mapping" if remapped else "personal data in it was replaced"
            raise LedgerError(
                f"event {event_id!r} is not what was recorded any more: {what}",
                hint=f"auditlake verify names the certificate of {day}; a proof from before still holds",
            )
    entry, parts = _entry(tree.entries, event["batch"], event_id)
    return _spelled(event, day, leaves, (entry, parts), tree, note)


def _chosen(events: Sequence[dict[str, Any]], event_id: str, source: str | None) -> tuple[dict[str, Any], date]:
    if source is not None:
        events = [event for event in events if event["source"] == source]
    if len(events) != 1:
        sources = ", ".join(sorted(str(event["source"]) for event in events))
        what = f"{len(events)} events have the id {event_id!r}, of the sources {sources}" if events else ""
        hint = "say which source" if events else "auditlake flush brings what was logged into the table"
        raise LedgerError(what or f"the lake has no event with the id {event_id!r}", hint=hint)
    return events[0], _EPOCH + timedelta(days=events[0].pop("day"))


def _entry(entries: Sequence[LedgerEntry], batch: int, event_id: str) -> tuple[LedgerEntry, list[Part]]:
    for entry in entries:
        if parts := sorted(part for part in entry.parts if part.batch == batch):
            return entry, parts
    raise LedgerError(f"the ledger does not know the batch {batch} of event {event_id!r}")


def _spelled(
    event: Mapping[str, Any],
    day: date,
    leaves: Sequence[tuple[int, bytes]],
    found: tuple[LedgerEntry, Sequence[Part]],
    tree: Tree,
    note: bytes,
) -> bytes:
    entry, parts = found
    hashes = b"".join(leaf for _, leaf in leaves)
    place = [seq for seq, _ in leaves].index(event["seq"])
    which = [part.day for part in parts].index(day) if day in {part.day for part in parts} else -1
    if hashes[place * HASH_SIZE :][:HASH_SIZE] != leaf_hash(canonical(event)) or parts[which].root != root(hashes):
        raise LedgerError("the event, or one of its part, is not what was recorded", hint=_WHICH)
    above = b"".join(leaf_hash(part.data) for part in parts)
    rotations = [
        {name: str(each.fields["details"][name]) for name in _ROTATION}
        for each in tree.entries
        if each.fields["kind"] == "key-rotate"
    ]
    return json.dumps({
        "format": FORMAT,
        "event": event,
        "canonical": canonical(event).decode(),
        "part": {"batch": event["batch"], "day": day.isoformat(), **_path(place, len(leaves), hashes)},
        "batch": _path(which, len(parts), above),
        "entry": {"text": entry.data.decode(), **_path(entry.index, len(tree.bundle), tree.hashes)},
        "checkpoint": note.decode(),
        "rotations": rotations,
    }, indent=1, ensure_ascii=True).encode() + b"\n"  # fmt: skip


def _path(index: int, size: int, hashes: bytes) -> dict[str, Any]:
    path = [each.hex() for each in inclusion_proof(index, size, subtrees(hashes))]
    return {"index": index, "size": size, "path": path, "root": root(hashes).hex()}


# Checking one


def verify_proof(data: bytes, public_key: str | None) -> Proven:
    """Check a proof, without the lake.

    Args:
        data: The JSON object.
        public_key: Who must have signed the checkpoint (``NAME+ID+BASE64``), or have named the key that follows theirs,
            and so on to the one that signed it; no checkpoint is asked for if None.

    Raises:
        LedgerError: It does not hold, or is not a proof.
    """
    try:
        return _check(_known(evidence_json.parse(data)), public_key)
    except LedgerError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise LedgerError(f"that is not a proof: {reason}") from error


def _known(proof: Any) -> Mapping[str, Any]:
    """Give a proof that says what one of its form says, and nothing else.

    Raises:
        LedgerError: It is of another form.
        ValueError: It is not that.
    """
    if not isinstance(proof, dict) or proof.get("format") != FORMAT:
        raise LedgerError(f"that is not a proof of the format {FORMAT}")
    evidence_json.known(proof, _KEYS[""], "the proof", optional=_LATER)
    for name, keys in _KEYS.items():
        if name:
            evidence_json.known(proof[name], keys, f"its {name}")
    for each in proof.get("rotations", ()):
        evidence_json.known(each, _ROTATION, "one of its rotations")
    for name in ("part", "batch", "entry"):
        if any(type(proof[name][key]) is not int for key in ("index", "size")):
            raise ValueError(f"the index and size of its {name} are no whole numbers")
    return proof


def _check(proof: Mapping[str, Any], public_key: str | None) -> Proven:
    event, part, entry = proof["event"], proof["part"], proof["entry"]
    if canonical(event).decode() != proof["canonical"]:
        raise LedgerError("the canonical bytes are not those of the event")
    day = _EPOCH + timedelta(microseconds=event["timestamp"])
    if (part["batch"], part["day"]) != (event["batch"], day.isoformat()):
        raise LedgerError("the event is not of this batch and day")
    above = _root(leaf_hash(canonical(event)), part, "the event is not in the part")
    claimed = Part(part["batch"], day, part["size"], above)
    top = _root(leaf_hash(claimed.data), proof["batch"], "the part is not in the batch")
    text = entry["text"].encode("ascii")
    fields = parse_entry(text)
    if [part["batch"], proof["batch"]["size"], top.hex()] not in fields["roots"]:
        raise LedgerError("the entry does not have the root of the batch")
    checkpoint = read_checkpoint(proof["checkpoint"].encode())
    whole = _root(leaf_hash(text), entry, wrong := "the entry is not in the tree of the checkpoint")
    if (entry["size"], whole) != (checkpoint.size, checkpoint.root):
        raise LedgerError(wrong)
    signer = _signer(proof.get("rotations", ()), checkpoint, (public_key or "").strip())
    if public_key is not None and not checkpoint.is_signed_by(signer):
        hint = "if that key followed another one later, check with the older one, or have the proof made anew"
        raise LedgerError(f"the checkpoint is not signed by {signer}", hint=hint)
    return Proven(event, checkpoint.origin, checkpoint.size, fields["at"], (public_key or "").strip())


def _signer(rotations: Sequence[Mapping[str, str]], checkpoint: SignedCheckpoint, kept: str) -> str:
    """Who must have signed the checkpoint, given the key that was kept: the newest key that it leads to."""
    keys: list[str] = []
    for each in rotations:
        note = vouched(each["old"], each["new"], each["note"])
        if note is None or note.origin != checkpoint.origin or (keys and keys[-1] != each["old"]):
            raise LedgerError("one of the rotations does not name a new key, or the old one does not vouch for it")
        keys += [each["new"]] if keys else [each["old"], each["new"]]
    return keys[-1] if kept in keys else kept


def _root(leaf: bytes, step: Mapping[str, Any], wrong: str) -> bytes:
    path = [bytes.fromhex(each) for each in step["path"]]
    root = root_from_inclusion(leaf, step["index"], step["size"], path)
    if root is None or root.hex() != step["root"]:
        raise LedgerError(wrong)
    return root
