"""Proofs that one event is in the ledger, and their check without the lake.

A proof is a JSON object that leads from the event's canonical bytes to a signed checkpoint, each step by an inclusion
proof of RFC 6962: the event in its part, the part in its batch, the batch's root in the text of an entry, the entry in
the tree of the checkpoint. Where one key followed another, the notes are with it in which each names the next.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from auditlake.disk import evidence_json
from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.engine.duck import connect, view_events
from auditlake.engine.statements import statement
from auditlake.errors import LedgerError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.leaves import COLUMNS, Key, Part
from auditlake.ledger.merkle import inclusion_proof, leaf_hash, levels, root_from_inclusion
from auditlake.storage.ranges import BUCKETS
from auditlake.verify.checkpoints import SignedCheckpoint, read_checkpoint, vouched
from auditlake.verify.deltalog import read_log
from auditlake.verify.kept_hashes import KeptHashes
from auditlake.verify.rows import as_appended, batch_leaves
from auditlake.verify.tree import LedgerEntry, parse_entry, read_tree
from auditlake.verify.withdrawals import Taking, read_takings

FORMAT = "auditlake-proof/2"
_EARLIER = "auditlake-proof/1"
"""The form of the proof of an event of a part that has no class; its place is the one in the order of ``seq``."""
_STEP = ("index", "size", "path", "root")
_KEYS: dict[str, tuple[str, ...]] = {
    "": ("format", "event", "canonical", "part", "batch", "entry", "checkpoint"),
    "event": COLUMNS, "part": ("batch", "day", *_STEP), "batch": _STEP, "entry": ("text", *_STEP),
}  # fmt: skip
"""What a proof of this form says at each of its places: nothing more, since nothing would vouch for it."""
_LATER = ("rotations",)
"""What proofs of this form do not have that are older than keys which follow one another."""
_ROTATION = ("old", "new", "note")
_CLASS = re.compile(r"[!-~]+\Z")
_NUMBERS = {"timestamp", "ingested_at", "batch", "seq"}
_EPOCH = date(1970, 1, 1)
_WHICH = "auditlake verify says which"
_WAYS = {
    "delete": "personal data in it was replaced", "erase": "personal data in it was replaced",
    "remap": "its columns were derived anew by a mapping",
}  # fmt: skip
"""What may have changed an event, by the kind of the entry."""


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


class ChangedEventError(LedgerError):
    """The event is there, and a certificate says that something in it was changed since."""


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
    with Prover(layout) as prover:
        return prover.prove(event_id, source=source)


class Prover:
    """Makes proofs of one lake as it is when it is opened; what several events share is computed once.

    Args:
        layout: The lake.

    Raises:
        LedgerError: The lake has no ledger, or a damaged one.
    """

    def __init__(self, layout: Layout) -> None:
        log = read_log(layout)
        files = [layout.events / path for path in sorted(log.live) if part_day_and_digest(path)]
        is_away = layout.root in BUCKETS  # a file that this host has not is read where it is
        self._files = [file for file in files if is_file(file, within=layout.root) or (is_away and not file.exists())]
        try:
            self._note = read_file(layout.ledger / "checkpoint", within=layout.root)
        except OSError as error:
            raise LedgerError(f"the lake has no checkpoint: {error.strerror}") from error
        checkpoint = read_checkpoint(self._note)
        self._tree = read_tree(layout, checkpoint, log)
        self._above = levels(self._tree.hashes)
        if self._tree.problems or self._above[-1] != checkpoint.root:
            raise LedgerError("the ledger is damaged", hint="auditlake verify says where")
        self._takings, _ = read_takings(layout, self._tree.entries)
        self._taken: defaultdict[tuple[int, date], list[Taking]] = defaultdict(list)
        for key, taking in self._takings.items():
            self._taken[key[:2]].append(taking)
        self._entries = {part.batch: each for each in reversed(self._tree.entries) for part in each.parts}
        self._rotations = [
            {name: str(each.fields["details"][name]) for name in _ROTATION}
            for each in self._tree.entries
            if each.fields["kind"] == "key-rotate"
        ]
        self._stack = ExitStack()
        self._viewed: date | None = None
        self._rows: dict[tuple[int, date], Sequence[tuple[str, int, bytes]]] = {}
        self._trees: dict[Key, _PartTree] = {}
        self._batches: dict[int, _Batch] = {}
        self._events: dict[tuple[str, date | None], list[dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        spill = self._stack.enter_context(TemporaryDirectory(prefix="auditlake-"))
        self._connection = self._stack.enter_context(connect(temp=Path(spill), exact_try=False))
        view_events(self._connection, self._files, columns=FILE_COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def expect(self, events: Iterable[tuple[str, date]]) -> None:
        """Read events that proofs are asked of next, a day at a time.

        Args:
            events: Their ids, each with its UTC day.
        """
        days: defaultdict[date, list[str]] = defaultdict(list)
        for event_id, day in events:
            days[day].append(event_id)
        self._events.clear()
        for day, event_ids in sorted(days.items()):
            self._read(event_ids, day)

    def prove(self, event_id: str, *, source: str | None = None, day: date | None = None) -> bytes:
        """Return a proof as :func:`prove` does; the arguments are those of :meth:`proof`."""
        proof = self.proof(event_id, source=source, day=day)
        return json.dumps(proof, indent=1, ensure_ascii=True).encode() + b"\n"

    def proof(self, event_id: str, *, source: str | None = None, day: date | None = None) -> dict[str, Any]:
        """Return a proof as JSON values.

        Args:
            event_id: Which event.
            source: Its source, where several have an event of this id.
            day: Its UTC day, where that is known: no other is looked at.

        Raises:
            LedgerError: There is no such event, or it is not the one that was recorded.
        """
        if (event_id, day) not in self._events:
            self._read([event_id], day)
        event, day = _chosen(self._events[event_id, day], event_id, source)
        leaf, number = leaf_hash(canonical(event)), event["batch"]
        for taking in self._taken.get((number, day), ()):
            if taking.has_changed(event["seq"], leaf):
                what = ", or ".join(dict.fromkeys(_WAYS[kind] for kind in taking.changing))
                raise ChangedEventError(
                    f"event {event_id!r} is not what was recorded any more: {what}",
                    hint=f"auditlake verify names the certificate of {day}; a proof from before still holds",
                )
        batch = self._batch(number, event_id)
        grown = self._part_tree(event["event_type"], number, day, batch.parts)
        if event["seq"] not in grown.places:
            raise LedgerError("the event, or one of its part, is not what was recorded", hint=_WHICH)
        step = {"index": batch.entry.index, "size": len(self._tree.bundle), **_step(self._above, batch.entry.index)}
        return _of_event(event, leaf, grown, batch) | {
            "entry": {"text": batch.entry.data.decode(), **step}, "checkpoint": self._note.decode(),
            "rotations": self._rotations,
        }  # fmt: skip

    def _read(self, event_ids: Sequence[str], day: date | None) -> None:
        self._view(day)
        part = statement("ledger/leaves.sql", "events_named")
        for each in event_ids:
            self._events[each, day] = []
        for row in self._connection.execute(part.text, {"event_ids": event_ids}).fetchall():
            self._events[row[0], day].append(dict(zip((*COLUMNS, "day"), row, strict=True)))

    def _batch(self, number: int, event_id: str) -> _Batch:
        if number not in self._batches:
            if (entry := self._entries.get(number)) is None:
                raise LedgerError(f"the ledger does not know the batch {number} of event {event_id!r}")
            parts = sorted((part for part in entry.parts if part.batch == number), key=attrgetter("key"))
            self._batches[number] = _Batch(entry, parts, levels(b"".join(leaf_hash(each.data) for each in parts)))
        return self._batches[number]

    def _view(self, day: date | None) -> None:
        """Let the view have the files of a day, or all of them."""
        if day != self._viewed:
            files = [file for file in self._files if day is None or file.parent.name == f"event_date={day}"]
            view_events(self._connection, files, columns=FILE_COLUMNS)
            self._viewed = day

    def _part_tree(self, event_type: str, batch: int, day: date, parts: Sequence[Part]) -> _PartTree:
        """Return the tree of the part that has an event type of a batch and day.

        Raises:
            LedgerError: The part is not what was recorded.
        """
        of_day = [(which, part) for which, part in enumerate(parts) if part.day == day]
        found = [each for each in of_day if not each[1].types or event_type in dict(each[1].types)]
        if len(found) != 1:
            raise LedgerError("the event is of no part that was recorded", hint=_WHICH)
        which, part = found[0]
        if part.key not in self._trees:
            if (batch, day) not in self._rows:
                self._view(day)
                self._rows[batch, day] = batch_leaves(self._connection, batch, day)
            rows = self._rows[batch, day]
            self._trees[part.key] = _tree_of(which, part, rows, [each for _, each in of_day], self._takings)
        return self._trees[part.key]


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch as the ledger has it."""

    entry: LedgerEntry
    parts: Sequence[Part]
    """In the order in which their leaves are hashed."""
    levels: Sequence[bytes]
    """The tree over them."""


@dataclass(frozen=True, slots=True)
class _PartTree:
    """The tree of a part as it was appended."""

    which: int
    """The part's place among those of its batch."""
    places: Mapping[int, int]
    """The place of each leaf that is still there, by the event's number."""
    levels: list[list[bytes | None]]
    """From the leaves up to the root, as far as they can be known."""


def _tree_of(
    which: int,
    part: Part,
    rows: Sequence[tuple[str, int, bytes]],
    of_day: Sequence[Part],
    takings: Mapping[Key, Taking],
) -> _PartTree:
    """Return the tree of a part.

    Args:
        which: Its place among those of its batch.
        part: The part.
        rows: What its batch has on its day: types, numbers and leaves, in order.
        of_day: The parts of its batch and day.
        takings: What was taken of parts.

    Raises:
        LedgerError: The part is not what was recorded.
    """
    changed = {
        present
        for each in of_day if (own := takings.get(each.key)) is not None and own.kept is not None
        for _, present in own.kept.changed.values()
    }  # fmt: skip
    there = [
        (seq, leaf) for name, seq, leaf in rows if leaf not in changed and (not part.types or name in dict(part.types))
    ]
    if not part.types:
        there.sort()
    taking = takings.get(part.key, Taking())
    try:
        there = as_appended(there, taking.replaced) if taking.kept is None and taking.replaced else there
    except ValueError as error:
        raise LedgerError(f"the part of the event is not what was recorded: {error}", hint=_WHICH) from None
    kept = taking.kept or KeptHashes(len(there))
    if len(kept.staying) != len(there) or not there:
        raise LedgerError("the event, or one of its part, is not what was recorded", hint=_WHICH)
    places = {seq: int(place) for (seq, _), place in zip(there, kept.staying, strict=True)}
    return _PartTree(which, places, kept.levels(b"".join(leaf for _, leaf in there)))


def _chosen(events: Sequence[dict[str, Any]], event_id: str, source: str | None) -> tuple[dict[str, Any], date]:
    if source is not None:
        events = [event for event in events if event["source"] == source]
    if len(events) != 1:
        sources = ", ".join(sorted(str(event["source"]) for event in events))
        what = f"{len(events)} events have the id {event_id!r}, of the sources {sources}" if events else ""
        hint = "say which source" if events else "auditlake flush brings what was logged into the table"
        raise LedgerError(what or f"the lake has no event with the id {event_id!r}", hint=hint)
    event = dict(events[0])
    return event, _EPOCH + timedelta(days=event.pop("day"))


def _of_event(event: Mapping[str, Any], leaf: bytes, grown: _PartTree, batch: _Batch) -> dict[str, Any]:
    """Return a proof from the event up to the root of its batch."""
    part, rows, index = batch.parts[grown.which], grown.levels, grown.places[event["seq"]]
    if (rows[0][index], len(rows[0]), rows[-1]) != (leaf, part.rows, [part.root]):
        raise LedgerError("the event, or one of its part, is not what was recorded", hint=_WHICH)
    of_class = {"class": part.retention_class} if part.retention_class else {}
    return {
        "format": FORMAT if of_class else _EARLIER,
        "event": event,
        "canonical": canonical(event).decode(),
        "part": {"batch": part.batch, "day": part.day.isoformat(), **of_class, "index": index, "size": part.rows,
                 "path": _siblings(rows, index), "root": part.root.hex()},
        "batch": {"index": grown.which, "size": len(batch.parts), **_step(batch.levels, grown.which)},
    }  # fmt: skip


def _step(tree: Sequence[bytes], index: int) -> dict[str, Any]:
    return {"path": [each.hex() for each in inclusion_proof(index, tree)], "root": tree[-1].hex()}


def _siblings(levels: Sequence[Sequence[bytes | None]], index: int) -> list[str]:
    """Return the hashes beside the path from an event's leaf to the root of its part (RFC 6962, 2.1.1)."""
    path = []
    for nodes in levels[:-1]:
        if (sibling := index ^ 1) < len(nodes):
            digest = nodes[sibling]
            assert digest is not None, "the root is known, and all that it is made of"
            path.append(digest.hex())
        index >>= 1
    return path


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
    if not isinstance(proof, dict) or proof.get("format") not in (FORMAT, _EARLIER):
        raise LedgerError(f"that is not a proof of the format {FORMAT} or {_EARLIER}")
    keys = _KEYS | ({"part": ("class", *_KEYS["part"])} if proof["format"] == FORMAT else {})
    evidence_json.known(proof, keys[""], "the proof", optional=_LATER)
    for name, own in keys.items():
        if name:
            evidence_json.known(proof[name], own, f"its {name}")
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
    claimed = Part(part["batch"], day, part["size"], above, _class_of(part))
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


def _class_of(part: Mapping[str, Any]) -> str:
    """Return the class that a proof names, which is hashed between the day and a number: no other text passes for them.

    Raises:
        LedgerError: It is no name of a class.
    """
    name = part.get("class", "")
    if not isinstance(name, str) or (not _CLASS.match(name) and "class" in part):
        raise LedgerError(f"{name!r} is no retention class")
    return name


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
