"""The ledger's entries, and whether every file of its tree holds exactly what follows from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from auditlake.disk import evidence_json
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.errors import LedgerError
from auditlake.ledger.leaves import Part, batch_root
from auditlake.ledger.merkle import HASH_SIZE, leaf_hash, root
from auditlake.verify.checkpoints import Rotation, SignedCheckpoint, key_chain, read_checkpoint
from auditlake.verify.deltalog import DeltaLog, read_log
from auditlake.verify.model import Problem

_WIDTH = 256
_BLOCK = 512
_KEYS = ("roots", "kind", "lake_id", "at", "version", "previous_log", "policies", "holds", "details")
_CUT = "is not there whole, as a power cut may leave it: the next commit writes it again"
_LISTS = ("parts", "adds", "removes", "taken")
_CARRIED = ("default_retention", "sources", "packs", "runs")
"""What of the details of an entry is in force after it too."""
_LONG = ("policies", "details")
"""What lies aside too where an entry would be too long with it: all of it or none."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An entry as a verifier reads it."""

    index: int
    data: bytes
    fields: Mapping[str, Any]
    """Its JSON, with the lists that lie aside."""
    parts: tuple[Part, ...]


@dataclass(slots=True)
class Tree:
    """The entries of a ledger, as far as they can be read."""

    bundle: list[bytes] = field(default_factory=list)
    """Each entry's bytes."""
    entries: list[LedgerEntry] = field(default_factory=list)
    pending: list[LedgerEntry] = field(default_factory=list)
    """Those that commits hold and the checkpoint does not count yet."""
    notices: list[Problem] = field(default_factory=list)
    """What of the tree a power cut took, and the next writer makes again."""
    uncounted: bytes | None = None
    """An entry behind those that are counted: its writer died."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def hashes(self) -> bytes:
        """The leaves of the tree."""
        return b"".join(map(leaf_hash, self.bundle))

    @property
    def pending_hashes(self) -> bytes:
        """The leaves that the tree does not have yet."""
        return b"".join(leaf_hash(entry.data) for entry in self.pending)

    @property
    def history(self) -> list[LedgerEntry]:
        """Every entry that tells of the lake, whether or not the checkpoint counts it yet."""
        return [*self.entries, *self.pending]

    @property
    def inside(self) -> LedgerEntry | None:
        """The first entry that lies inside a commit, as do all after it; None if there is none."""
        return next((entry for entry in self.history if "entries_in_commits" in entry.fields["details"]), None)

    @property
    def first_key(self) -> str | None:
        """The public key that the first entry names; None if it names none."""
        return next((key for entry in self.entries[:1] for key in _strings(entry, "key") if key), None)

    def rotations(self, *, waiting: bool = False) -> list[Rotation]:
        """Return what entries say by which one key followed another, in order; also those that wait to be counted."""
        rotating = [e for e in (self.history if waiting else self.entries) if e.fields["kind"] == "key-rotate"]
        hashes = self.hashes + self.pending_hashes if rotating else b""
        return [
            Rotation(entry.index, root(hashes[: entry.index * HASH_SIZE]), *_strings(entry, "old", "new", "note"))
            for entry in rotating
        ]


def texts_of(entry: LedgerEntry, name: str) -> dict[str, str]:
    """Return a detail of an entry that names texts by texts; nothing where it is none."""
    value = entry.fields["details"].get(name)
    return {str(key): str(each) for key, each in value.items()} if isinstance(value, Mapping) else {}


def days_added(entries: Sequence[LedgerEntry], since: int) -> frozenset[date]:
    """Return the days of which an entry from that index on added files; of all where the ledger reaches less far."""
    first = since if type(since) is int and 0 <= since <= len(entries) else 0
    added = (part_day_and_digest(path) for each in entries[first:] for path, _, _ in each.fields["adds"])
    return frozenset(named[0] for named in added if named is not None)


def _strings(entry: LedgerEntry, *names: str) -> list[str]:
    return [str(entry.fields["details"].get(name, "")) for name in names]


def earlier_keys(layout: Layout) -> dict[str, int]:
    """Return the keys of a lake that others followed, each with how many entries the ledger had then.

    Raises:
        LedgerError: The ledger is damaged.
    """
    try:
        checkpoint = read_checkpoint(read_file(layout.ledger / "checkpoint", within=layout.root))
    except OSError as error:
        raise LedgerError(f"the lake has no checkpoint: {error.strerror}") from error
    tree = read_tree(layout, checkpoint, read_log(layout))
    rotations = tree.rotations()
    _, what = key_chain(rotations, tree.first_key)
    if tree.problems or what or root(tree.hashes) != checkpoint.root:
        raise LedgerError("the ledger is damaged", hint="auditlake verify says where")
    return {each.old: each.index for each in rotations}


def read_tree(layout: Layout, checkpoint: SignedCheckpoint, log: DeltaLog) -> Tree:
    """Read as many entries as a checkpoint counts, and compare every file of the tree with them.

    Args:
        layout: The lake.
        checkpoint: The newest one.
        log: The log, whose commits may hold entries: also some that it does not count, of which a writer may have put
            some into the tree.
    """
    tree, size = Tree(), checkpoint.size
    ledger = layout.ledger
    files = {path.relative_to(ledger).as_posix(): path for path in _files(ledger / "tile")}
    first, lost = checkpoint.version + 1 - size, set[str]()
    for tile in range(size // _WIDTH + 1):
        width, begin = min(size - tile * _WIDTH, _WIDTH), first + tile * _WIDTH
        if log.entries.get(begin) is not None:
            lost |= {_tile("entries", tile, _WIDTH), _tile(0, tile, _WIDTH)}
        if width:
            _read_bundle(layout, tree, files, tile, _held(layout, log, begin, width) if width < _WIDTH else [], width)
    more = files.get(_tile("entries", size // _WIDTH, size % _WIDTH + 1))
    if more is not None and len(longer := _split(read_file(more, within=layout.root)) or []) == size % _WIDTH + 1:
        tree.uncounted = longer[-1]
    _compare(layout, tree, files, size, log.after(checkpoint.version), lost)
    for index, data in enumerate(tree.bundle):
        try:
            tree.entries.append(read_entry(layout, index, data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
            tree.problems.append(Problem(f"entry {index}", f"cannot be read: {error}"))
    return tree


def read_entry(layout: Layout, index: int, data: bytes) -> LedgerEntry:
    """Read an entry, and the file of its lists if it has one.

    Raises:
        ValueError: It, or that file, is not what it should be; so do the errors of a type.
        OSError: That file is not there.
    """
    fields = parse_entry(data)
    if "aside" in fields:
        digest = str(fields["aside"])
        aside = read_file(layout.ledger / "aside" / Path(digest).name, within=layout.root)
        if sha256(aside).hexdigest() != digest:
            raise ValueError(f"ledger/aside/{digest} is damaged")
        wanted = _LISTS if _LONG[0] in fields else (*_LISTS, *_LONG)
        fields |= evidence_json.known(evidence_json.parse(aside), wanted, f"ledger/aside/{digest}")
    parts = tuple(_part(*row) for row in fields["parts"])
    batches: dict[int, list[Part]] = {}
    for part in parts:
        batches.setdefault(part.batch, []).append(part)
    if fields["roots"] != [
        [batch, len(own_parts), batch_root(own_parts).hex()] for batch, own_parts in sorted(batches.items())
    ]:
        raise ValueError("the roots of its batches are not those of their parts")
    _check_types(fields)
    return LedgerEntry(index, data, fields, parts)


def _part(batch: int, day: str, rows: int, top: str, name: str = "", types: Mapping[str, int] | None = None) -> Part:
    """Read a part; those of earlier versions have no class.

    Raises:
        ValueError: Its event types are not those of so many events; so does what cannot be read.
    """
    of_types = tuple(sorted((str(each), int(number)) for each, number in (types or {}).items()))
    if (types is not None) != bool(name) or (name and sum(number for _, number in of_types) != rows):
        raise ValueError(f"the event types of batch {batch} on {day} are not those of {rows} events")
    return Part(int(batch), date.fromisoformat(day), int(rows), bytes.fromhex(top), name, of_types)


def parse_entry(data: bytes) -> dict[str, Any]:
    """Give what an entry says, which may name a file of its lists instead of holding them.

    Raises:
        ValueError: It has a key twice, one that is not known, or is spelled in another way than entries are.
    """
    fields = evidence_json.parse(data)
    is_long = isinstance(fields, dict) and "aside" in fields
    lacks = _LONG if is_long and _LONG[0] not in fields else ()
    keys = [key for key in _KEYS if key not in lacks]
    evidence_json.known(fields, (*keys, *(("aside",) if is_long else _LISTS)), "the entry")
    if _spelled(fields) != data:
        raise ValueError("it is not spelled as entries are")
    return dict(fields)


def _spelled(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


_TYPES: dict[str, type | tuple[type, ...]] = {
    "kind": str, "at": str, "lake_id": str, "version": (int, type(None)), "previous_log": (str, type(None)),
    "policies": dict, "holds": str, "details": dict, "adds": list, "removes": list, "taken": list,
}  # fmt: skip
_ROWS = {"adds": (str, int, int), "removes": (str,), "taken": (int, str, int, str)}
_OF_CLASS = (*_ROWS["taken"], str, int)
"""What was taken of a part, where it says of which class: earlier versions did not."""


def _check_types(fields: Mapping[str, Any]) -> None:
    """Refuse an entry that would only be found odd later on."""
    for name, wanted in _TYPES.items():
        if not isinstance(fields[name], wanted):
            raise TypeError(f"{name} is {fields[name]!r}")
    for name, types in _ROWS.items():
        for row in fields[name]:
            values = row if isinstance(row, list) else [row]
            wanted = _OF_CLASS if name == "taken" and len(values) == len(_OF_CLASS) else types
            if len(values) != len(wanted) or not all(map(isinstance, values, wanted)):
                raise TypeError(f"{name} has {row!r}")
    for _, day, *_ in fields["taken"]:
        date.fromisoformat(day)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(".draft"))


def _tile(kind: int | str, index: int, width: int) -> str:
    name = f"{index % 1000:03d}"
    while index := index // 1000:
        name = f"x{index % 1000:03d}/{name}"
    return f"tile/{kind}/{name}" + (f".p/{width}" if width < _WIDTH else "")


def _held(layout: Layout, log: DeltaLog, begin: int, width: int) -> list[bytes]:
    """Return the entries of so many versions; none where the commit of the first one holds none, or one cannot be had.

    That of a commit of another program is made of the entry before: what was in force still is.
    """
    held: list[bytes] = []
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError):
        for version in range(begin, begin + width):
            if (data := log.entries.get(version)) is None:
                before = read_entry(layout, 0, held[-1]).fields if held else {}
                data = _spelled({key: before[key] for key in _KEYS} | {name: [] for name in ("roots", *_LISTS)} | {
                    "kind": "foreign", "version": version, "previous_log": log.digests[version - 1],
                    "details": {key: each for key, each in before["details"].items() if key in _CARRIED},
                })  # fmt: skip
            held.append(data)
        return held
    return []


def _read_bundle(
    layout: Layout, tree: Tree, files: Mapping[str, Path], tile: int, held: Sequence[bytes], width: int
) -> None:
    name = _tile("entries", tile, width)
    path = files.get(name)
    data = read_file(path, within=layout.root) if path else b""
    entries = _split(data) if path else None
    if held and _is_cut(data, _pack(held)):
        entries = [*held]
    elif path is None:
        tree.problems.append(Problem(f"ledger/{name}", "is not there"))
    elif entries is None or len(entries) < width:
        tree.problems.append(Problem(f"ledger/{name}", "is damaged: it does not hold whole entries"))
    tree.bundle += (entries or [])[:width]


def _split(data: bytes) -> list[bytes] | None:
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : end])
        if end > len(data):
            return None
        at = end
    return entries


def tile_files(bundle: Sequence[bytes]) -> dict[str, bytes]:
    """Every file that the tree of these entries has."""
    expected: dict[str, bytes] = {}
    for tile in range(-(-len(bundle) // _WIDTH)):
        entries = bundle[tile * _WIDTH : (tile + 1) * _WIDTH]
        expected[_tile("entries", tile, len(entries))] = _pack(entries)
    level, hashes, step = 0, b"".join(map(leaf_hash, bundle)), _WIDTH * HASH_SIZE
    while hashes:
        tiles = [hashes[at : at + step] for at in range(0, len(hashes), step)]
        expected |= {_tile(level, i, len(tile) // HASH_SIZE): tile for i, tile in enumerate(tiles)}
        level, hashes = level + 1, b"".join(root(tile) for tile in tiles if len(tile) == step)
    return expected


def _names(size: int) -> set[str]:
    """Return the names of the files that the tree of so many entries has."""
    counts: list[tuple[int | str, int]] = [("entries", size)]
    while size:
        counts.append((len(counts) - 1, size))
        size //= _WIDTH
    return {
        _tile(kind, at // _WIDTH, min(count - at, _WIDTH)) for kind, count in counts for at in range(0, count, _WIDTH)
    }


def _compare(
    layout: Layout, tree: Tree, files: Mapping[str, Path], size: int, waiting: Sequence[bytes], lost: Collection[str]
) -> None:
    """Every file of the tree is as it follows from the entries, but for partial tiles that a power cut may take."""
    if len(tree.bundle) < size:
        return  # said already
    more = waiting or ([] if tree.uncounted is None else [tree.uncounted])
    expected = tile_files([*tree.bundle, *more])

    def tell(name: str, what: str, data: bytes = b"", right: bytes | None = b"") -> None:
        stem, partial, _ = name.partition(".p/")
        if partial and stem in lost and right is not None and _is_cut(data, right):
            tree.notices.append(Problem(f"ledger/{name}", _CUT))
        else:
            tree.problems.append(Problem(f"ledger/{name}", what))

    for name in _names(size) - files.keys():
        tell(name, "is not there")
    for name, path in files.items():
        right = expected.get(name) or _shorter(name, expected)
        with suppress(FileNotFoundError):  # a writer has tidied it away meanwhile
            data = b"" if right is None else read_file(path, within=layout.root)
            if data != right:
                tell(name, "does not hold what follows from the entries", data, right)


def _is_cut(data: bytes, right: bytes) -> bool:
    """Return whether bytes are what a power cut may leave of others: the beginning, or zeros in the place of blocks."""
    blocks = ((data[at : at + _BLOCK], right[at : min(at + _BLOCK, len(data))]) for at in range(0, len(data), _BLOCK))
    return len(data) <= len(right) and all(block == own or not any(block) for block, own in blocks)


def _shorter(name: str, expected: Mapping[str, bytes]) -> bytes | None:
    """Return what a shorter partial tile holds, as it was at some time; None if there is none of that name."""
    stem, partial, width = name.rpartition(".p/")
    longer = next((data for each, data in expected.items() if each == stem or each.startswith(f"{stem}.p/")), b"")
    if not partial or not width.isdecimal():
        return None
    if not stem.startswith("tile/entries/"):
        return longer[: int(width) * HASH_SIZE] or None
    return _pack((_split(longer) or [])[: int(width)]) or None


def _pack(entries: Sequence[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in entries)
