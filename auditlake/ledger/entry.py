"""The entries of the ledger: what each says, and the bytes that are hashed.

An entry is canonical JSON: keys sorted, no spaces, ASCII, whole numbers only; so it is read back to the same bytes. One
whose lists are long has them in a file of their own, named by its SHA-256, and holds that name instead. The roots of
the batches that it appends are always in it, so that no proof needs the lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

from auditlake.errors import LedgerError
from auditlake.ledger.leaves import Part, batch_root
from auditlake.ledger.tiles import LONGEST

KINDS = frozenset({
    "begin", "append", "rewrite", "delete", "erase", "remap", "hold", "policy-change", "mapping-change", "pack-change",
    "key-rotate", "report", "upgrade", "foreign",
})  # fmt: skip
"""What an entry may be about; ``begin`` opens a ledger, and says what was there before it. From the one of
kind ``upgrade`` on, entries lie inside commits; ``foreign`` is then about a commit of another program."""
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_SHORT = 16_384
"""Bytes of the longest entry that has its lists in it."""
_LONG = ("policies", "details")
"""What lies aside as well where it would make an entry too long, as hundreds of policies do."""
_LISTS = ("parts", "adds", "removes", "taken")


@dataclass(frozen=True, slots=True)
class EntryFile:
    """A data file that became part of the lake."""

    path: str
    """Below ``events/``; its name is made of the SHA-256 of its bytes."""
    size: int
    """Bytes."""
    rows: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Events of a part that were removed or changed."""

    batch: int
    day: date
    rows: int
    kept: str = ""
    """The SHA-256 of the file that keeps hashes, so that the rest still verifies (``ledger/kept.py``); empty where
    nothing of the part is left."""
    retention_class: str | None = None
    """The part's; None in an entry of an earlier version, whose files of kept leaves have another form."""
    gone: int = 0
    """How many of these events were removed, where the class is given."""


@dataclass(frozen=True, slots=True)
class Record:
    """What an entry is to say, as far as its caller knows it."""

    kind: str
    at: str
    """When, RFC 3339."""
    parts: tuple[Part, ...] = ()
    """What was appended."""
    adds: tuple[EntryFile, ...] = ()
    removes: tuple[str, ...] = ()
    """Paths of files that left the lake."""
    taken: tuple[Taken, ...] = ()
    """What was deleted, erased or derived anew."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """More, by kind: reasons, certificates."""


@dataclass(frozen=True, slots=True)
class Entry(Record):
    """One entry of the ledger."""

    lake_id: str = ""
    version: int | None = None
    """The version of the lake that it is about; None if it is not about one."""
    previous_log: str | None = None
    """The SHA-256 of the log entry of the version before."""
    policies: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of every policy's file, by id."""
    holds: str = ""
    """A SHA-256 over all files of holds; empty where there are none."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """An entry as bytes."""

    data: bytes
    """What is a leaf of the ledger."""
    aside: bytes = b""
    """What is in a file of its own; empty where all is in the entry."""


def canonical_json(value: Any) -> bytes:
    """JSON in the one way in which it is hashed.

    Raises:
        LedgerError: There is a number in it that is not whole.
    """
    _refuse_fractions(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _refuse_fractions(value: Any) -> None:
    values = [value]
    for each in values:  # which grows: an entry may have a hundred thousand
        if isinstance(each, dict):
            values += each.values()
        elif isinstance(each, list | tuple):
            values += each
        elif isinstance(each, float):
            raise LedgerError(f"an entry of the ledger cannot hold {each!r}: only whole numbers")


def dump(entry: Entry) -> Dumped:
    """Return the bytes of an entry.

    Raises:
        LedgerError: It holds what an entry cannot.
    """
    if entry.kind not in KINDS:
        raise LedgerError(f"{entry.kind!r} is no kind of entry: expected one of {', '.join(sorted(KINDS))}")
    lists: dict[str, Any] = {
        "parts": [_dumped_part(part) for part in entry.parts],
        "adds": [[file.path, file.size, file.rows] for file in entry.adds],
        "removes": list(entry.removes),
        "taken": [_dumped_taken(each) for each in entry.taken],
    }
    batches: dict[int, list[Part]] = {}
    for part in entry.parts:
        batches.setdefault(part.batch, []).append(part)
    roots = [[batch, len(own_parts), batch_root(own_parts).hex()] for batch, own_parts in sorted(batches.items())]
    whole: dict[str, Any] = {
        "roots": roots, "kind": entry.kind, "lake_id": entry.lake_id, "at": entry.at, "version": entry.version,
        "previous_log": entry.previous_log, "policies": dict(entry.policies), "holds": entry.holds,
        "details": dict(entry.details),
    }  # fmt: skip
    if len(data := canonical_json({**whole, **lists})) <= _SHORT:
        return Dumped(data)
    aside = canonical_json(lists)
    if len(data := canonical_json({**whole, "aside": sha256(aside).hexdigest()})) <= LONGEST:
        return Dumped(data, aside)
    lists |= {name: whole.pop(name) for name in _LONG}
    aside = canonical_json(lists)
    return Dumped(canonical_json({**whole, "aside": sha256(aside).hexdigest()}), aside)


def _dumped_part(part: Part) -> list[Any]:
    of_class = [part.retention_class, dict(part.types)] if part.retention_class else []
    return [part.batch, part.day.isoformat(), part.rows, part.root.hex(), *of_class]


def _dumped_taken(each: Taken) -> list[Any]:
    of_class = [each.retention_class, each.gone] if each.retention_class is not None else []
    return [each.batch, each.day.isoformat(), each.rows, each.kept, *of_class]


def parse(data: bytes, read_aside: Callable[[str], bytes]) -> Entry:
    """Read an entry.

    Args:
        data: Its bytes.
        read_aside: Gives the content of a file of lists by its SHA-256.

    Raises:
        LedgerError: It is not one, or the file of its lists is not the one that it names.
    """
    try:
        fields = json.loads(data)
        if "aside" in fields:
            fields |= _aside(fields.pop("aside"), read_aside)
        entry = _entry(fields)
    except LedgerError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LedgerError(f"an entry of the ledger cannot be read: {type(error).__name__}: {error}") from error
    if dump(entry).data != data:
        raise LedgerError("an entry of the ledger is not in its canonical form, or has keys that are not known")
    return entry


def _aside(digest: str, read_aside: Callable[[str], bytes]) -> dict[str, Any]:
    if not _DIGEST.match(digest):
        raise LedgerError(f"an entry of the ledger names a file {digest!r}: expected a SHA-256")
    data = read_aside(digest)
    if sha256(data).hexdigest() != digest:
        raise LedgerError(f"the file {digest} of an entry of the ledger is damaged")
    lists: dict[str, Any] = json.loads(data)
    return lists


def _entry(fields: Mapping[str, Any]) -> Entry:
    parts = tuple(
        Part(batch, date.fromisoformat(day), n, bytes.fromhex(root), *_class_and_types(*more))
        for batch, day, n, root, *more in fields["parts"]
    )
    return Entry(
        fields["kind"], fields["at"], parts,
        tuple(EntryFile(*file) for file in fields["adds"]),
        tuple(fields["removes"]),
        tuple(Taken(batch, date.fromisoformat(day), *more) for batch, day, *more in fields["taken"]),
        fields["details"], fields["lake_id"], fields["version"], fields["previous_log"], fields["policies"],
        fields["holds"],
    )  # fmt: skip


def _class_and_types(name: str = "", types: Mapping[str, int] | None = None) -> tuple[str, tuple[tuple[str, int], ...]]:
    return name, tuple(sorted((types or {}).items()))
