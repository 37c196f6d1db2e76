"""The ledger of a lake: one entry for every commit, in a tree whose newest state is a signed checkpoint.

A commit is recorded in this order, each step durable before the next, under the lake's lock:

1. the entry, behind all others, where no checkpoint counts it yet;
2. the commit of the table, whose metadata has the entry's leaf;
3. the entry's hash in the tree;
4. the checkpoint, which counts it, and which also says the newest version and the SHA-256 of its log entry.

Log entries are thus covered by the checkpoint, and by the next entry ever after. The next writer finishes what a
dead writer left: an uncounted entry is counted if the table has its commit, and dropped if not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.ledger.entry import Dumped, Entry, EntryFile, Taken, dump, parse
from auditlake.ledger.keys import (
    LedgerSettings,
    adopt_next,
    drop_next,
    make_key,
    public_key_path,
    put_next,
    read_next,
    read_public_key,
    read_settings,
    read_signer,
)  # fmt: skip
from auditlake.ledger.leaves import Part
from auditlake.ledger.merkle import leaf_hash
from auditlake.ledger.note import Checkpoint, Note, Signer, Verifier, new_signer, parse_checkpoint, parse_note, sign
from auditlake.ledger.sidecars import keep_holds, keep_policy, policy_path
from auditlake.ledger.tiles import WIDTH, Tiles

LEAF_KEY = "auditlake.ledger"
"""The key of a commit's custom metadata that holds the leaf of its entry, in hexadecimal."""
KEY = "key"
"""In the details of the first entry of a signed ledger: the public key that it begins with."""
_NEW_KEY = "auditlake/new-key"
"""Begins the line of a checkpoint by which a key names the one that follows it."""
DEFAULT_RETENTION = "default_retention"
"""In the details of every entry: the one of lake.toml, where it sets one."""
_DEFAULT = re.compile(b'"%s":"[^"]*"' % DEFAULT_RETENTION.encode())
_VERSION = "auditlake/version"
"""Begins the line of a checkpoint that says the newest version and the SHA-256 of its log entry."""

Committed = Callable[[int], str | None]
"""Gives the leaf that the commit of a version names; None if it names none."""


@dataclass(frozen=True, slots=True)
class Record:
    """What an entry is to say."""

    kind: str
    at: str
    parts: tuple[Part, ...] = ()
    adds: tuple[EntryFile, ...] = ()
    removes: tuple[str, ...] = ()
    taken: tuple[Taken, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


Existing = Callable[[], Record]
"""Gives what a lake holds that has no ledger yet."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the newest checkpoint counts."""

    size: int
    root: bytes
    version: int
    """The newest version of the lake."""
    log: str
    """The SHA-256 of its log entry."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An entry that waits for its commit."""

    index: int
    leaf: bytes
    version: int
    """The version after it."""
    signers: tuple[Signer, ...]
    """Who signs the checkpoint that counts it."""


def checkpoint_path(layout: Layout) -> Path:
    """Where the newest checkpoint lies."""
    return layout.ledger / "checkpoint"


def has_ledger(layout: Layout) -> bool:
    """Whether the lake has a ledger; one that is older than ledgers gets it with its next commit."""
    return checkpoint_path(layout).exists()


def tiles(layout: Layout) -> Tiles:
    """Return the tree of the lake's ledger."""
    return Tiles(layout.ledger)


# Reading


def read_note(layout: Layout) -> Note | None:
    """Read the newest checkpoint as the signed note that it is; return None if the lake has no ledger.

    Raises:
        LedgerError: It is damaged, not signed although the lake has a key, or of a signed ledger that has lost its key.
    """
    try:
        note = parse_note(read_file(checkpoint_path(layout), within=layout.root))
    except FileNotFoundError:
        return None
    verifier = read_public_key(layout)
    if verifier is None and (note.signatures or KEY in read_entry(layout, 0).details):
        message = f"the ledger is signed, and its public key {public_key_path(layout)} is not there"
        hint = "restore it from where you kept it, or from a backup: a signed ledger is never continued unsigned"
        raise LedgerError(message, hint=hint)
    if verifier is not None and not note.signed_by(verifier):
        message = f"the checkpoint {checkpoint_path(layout)} is not signed by the key of the lake"
        raise LedgerError(message, hint="it was changed; restore it from a backup, and find out who changed it")
    return note


def read_head(layout: Layout) -> Head | None:
    """Return what the newest checkpoint counts; None if the lake has no ledger.

    Raises:
        LedgerError: It is damaged, not signed although the lake has a key, or of another lake.
    """
    if (note := read_note(layout)) is None:
        return None
    checkpoint, origin = parse_checkpoint(note.text), read_settings(layout).origin
    if checkpoint.origin != origin:
        raise LedgerError(f"the checkpoint is one of {checkpoint.origin}, this lake is {origin}")
    for line in checkpoint.extensions:
        name, _, rest = line.partition(" ")
        version, _, log = rest.partition(" ")
        if name == _VERSION and version.isdecimal():
            return Head(checkpoint.size, checkpoint.root, int(version), log)
    raise LedgerError("the checkpoint does not say the version of the lake")


def read_entry(layout: Layout, index: int) -> Entry:
    """One entry of the ledger."""
    return _parse(layout, tiles(layout).entry(index))


def rules_since(layout: Layout, size: int, kinds: Collection[str]) -> Iterator[tuple[Entry, str | None]]:
    """Yield the entries among the first ``size`` under which other rules may have been in force, the newest first.

    Those are the newest one, those of some kinds, and those whose ``default_retention`` is another than that of the
    entry after it. Of all others only the bytes are read.

    Args:
        layout: The lake.
        size: How many entries count.
        kinds: Which entries may have other policies than the entry before.

    Returns:
        Each with the ``default_retention`` that it says.
    """
    wanted = [f'"kind":"{kind}"'.encode() for kind in kinds]
    tree = tiles(layout)
    after: str | bytes | None = ""
    for first in range((size - 1) // WIDTH * WIDTH, -1, -WIDTH):
        for data in reversed(list(tree.entries(first, min(first + WIDTH, size)))):
            match = _DEFAULT.search(data)
            now = match and match[0]
            if now != after or any(each in data for each in wanted):
                entry = _parse(layout, data)
                yield entry, entry.details.get(DEFAULT_RETENTION)
            after = now


def _parse(layout: Layout, data: bytes) -> Entry:
    return parse(data, lambda digest: read_file(layout.ledger / "aside" / digest, within=layout.root))


def _signers(layout: Layout) -> tuple[Signer, ...]:
    signer = read_signer(layout)
    return () if signer is None else (signer,)


# Writing, under the lake's lock


def begin(layout: Layout, version: int, existing: Record, *, signed: bool = True) -> Head:
    """Open the ledger of a lake that has none, as of its newest version; a key is made if it is to be signed."""
    ledger = layout.ledger
    make_folders(ledger / "policies", below=layout.root)
    if signed:
        existing = replace(existing, details={**existing.details, KEY: str(make_key(layout))})
    return _complete(layout, _put(layout, 0, existing, version, version))


def settle(layout: Layout, version: int, committed: Committed, existing: Existing) -> Head:
    """Finish what a dead writer left, and open the ledger if there is none; give its head.

    Args:
        layout: The lake.
        version: Its newest version, which is durable.
        committed: Which leaves commits name.
        existing: What a lake without a ledger holds.

    Raises:
        LedgerError: The ledger is damaged, or is not the one of this log: nothing must be built on it.
    """
    _finish_rotation(layout)
    head = read_head(layout)
    if head is None:
        if any(committed(each) for each in range(version, -1, -1)):
            message = f"the ledger of {layout.root} is gone: its log says that there was one"
            raise LedgerError(message, hint="restore LAKE/ledger from a backup")
        _keep_policies(layout)
        return begin(layout, version, existing())
    if tiles(layout).root(head.size) != head.root:
        raise LedgerError("the ledger's tree is not that of its checkpoint", hint="restore LAKE/ledger from a backup")
    head = _finish(layout, head, committed)
    _check_log(layout, head, version, committed)
    return head


def _finish(layout: Layout, head: Head, committed: Committed) -> Head:
    tree = tiles(layout)
    if not tree.has_entry(head.size):
        return head
    data = tree.entry(head.size)
    leaf, entry = leaf_hash(data), _parse(layout, data)
    if entry.version is None or entry.version <= head.version or committed(entry.version) != leaf.hex():
        tree.drop_entry(head.size)
        return head
    return _complete(layout, Prepared(head.size, leaf, entry.version, _signers(layout)))


def _check_log(layout: Layout, head: Head, version: int, committed: Committed) -> None:
    """Refuse to go on where the log and the ledger are not of one history."""
    if head.version > version or _log_digest(layout, head.version) != head.log:
        message = f"the log entry of version {head.version} is not the one that the ledger recorded"
        raise LedgerError(message, hint="the lake was changed or set back; restore it from a backup")
    for later in range(head.version + 1, version + 1):
        if committed(later):
            message = f"the ledger has no entry of version {later}, which says that it has"
            raise LedgerError(message, hint="the ledger was set back; restore LAKE/ledger from a backup")


def prepare(layout: Layout, version: int, record: Record, committed: Committed, existing: Existing) -> Prepared:
    """Write the entry of a commit that is to become this version; its leaf goes into the commit.

    Raises:
        LedgerError: The ledger cannot take it; nothing was changed.
    """
    head = settle(layout, version - 1, committed, existing)
    head = _notice(layout, head, version - 1, record.at, about=record.kind)
    return _put(layout, head.size, record, version, version)


def complete(layout: Layout, prepared: Prepared) -> None:
    """Count the entry of a commit that is durable."""
    _complete(layout, prepared)


def record(layout: Layout, version: int, event: Record, committed: Committed, existing: Existing) -> int:
    """Add an entry that is about no commit, while the lake is at this version; give its index."""
    head = _notice(layout, settle(layout, version, committed, existing), version, event.at)
    return _complete(layout, _put(layout, head.size, event, None, version)).size - 1


def notice(layout: Layout, version: int, at: str, committed: Committed, existing: Existing, *, by: str = "hand") -> int:
    """Add entries about policies and holds that are not those of the last entry; give how many entries there are now.

    Args:
        layout: The lake, which is at this version.
        version: Its newest version, which is durable.
        at: When, RFC 3339.
        committed: Which leaves commits name.
        existing: What a lake without a ledger holds.
        by: Who changed the policies: "auditlake" where a verb did, "hand" where a person changed files.
    """
    return _notice(layout, settle(layout, version, committed, existing), version, at, by).size


def _notice(layout: Layout, head: Head, version: int, at: str, by: str = "hand", *, about: str = "") -> Head:
    """Add what entries are needed before one is added that is about something."""
    last = read_entry(layout, head.size - 1)
    changed = last.policies != (now := policy_digests(layout))
    if changed or not policy_path(layout, "").is_dir():  # an earlier version kept none
        _keep_policies(layout)
    if changed:
        change = Record("policy-change", at, details=_changes(last.policies, now, by))
        head = _complete(layout, _put(layout, head.size, change, None, version))
    listed = list_holds(hold_files(layout))
    if about != "hold" and last.holds != digest_of_holds(listed):  # the entry about a hold says what was done to it
        if listed:
            keep_holds(layout, listed)
        head = _complete(layout, _put(layout, head.size, Record("hold", at, details={"by": "hand"}), None, version))
    return head


def _keep_policies(layout: Layout) -> None:
    """Keep the files of all policies; those that init writes are in the terms of its commit, and need not be."""
    for path in layout.policies.glob("*.yaml"):
        keep_policy(layout, read_file(path, within=layout.root))


def _changes(before: Mapping[str, str], now: Mapping[str, str], by: str) -> dict[str, Any]:
    return {
        "by": by,
        "added": {name: now[name] for name in sorted(now.keys() - before.keys())},
        "changed": {
            name: [before[name], now[name]] for name in sorted(before) if now.get(name, before[name]) != before[name]
        },
        "removed": {name: before[name] for name in sorted(before.keys() - now.keys())},
    }


def _put(layout: Layout, index: int, event: Record, about: int | None, version: int) -> Prepared:
    settings = read_settings(layout)
    dumped = dump(_entry(layout, settings, event, about))
    _put_aside(layout, dumped)
    tiles(layout).put_entry(index, dumped.data)
    return Prepared(index, leaf_hash(dumped.data), version, _signers(layout))


def _put_aside(layout: Layout, dumped: Dumped) -> None:
    if dumped.aside:
        path = layout.ledger / "aside" / dumped.aside_digest
        make_folders(path.parent, below=layout.root)
        write_whole(path, dumped.aside)


def _entry(layout: Layout, settings: LedgerSettings, event: Record, version: int | None) -> Entry:
    rules = {DEFAULT_RETENTION: settings.default_retention} if settings.default_retention else {}
    return Entry(
        event.kind, settings.lake_id, event.at, version,
        _log_digest(layout, version - 1) if version else None,
        event.parts, event.adds, event.removes, event.taken, policy_digests(layout),
        digest_of_holds(list_holds(hold_files(layout))), {**event.details, **rules},
    )  # fmt: skip


def hold_files(layout: Layout) -> list[Path]:
    """Return the files of holds, in order of their names."""
    return sorted(layout.root.glob("holds/*.yaml"))


def list_holds(files: Sequence[Path]) -> str:
    """Return the list of holds, one ``NAME SHA-256`` a line, for their files in order of their names."""
    return "".join(f"{path.name} {sha256(read_file(path, within=path.parent)).hexdigest()}\n" for path in files)


def digest_of_holds(listed: str) -> str:
    """Return what an entry says of a list of holds."""
    return sha256(listed.encode()).hexdigest() if listed else ""


def policy_digests(layout: Layout) -> dict[str, str]:
    """Return what an entry says of policies: the SHA-256 of every policy's file, by id."""
    files = sorted(layout.policies.glob("*.yaml"))
    return {path.stem: sha256(read_file(path, within=path.parent)).hexdigest() for path in files}


def _log_digest(layout: Layout, version: int) -> str | None:
    try:
        return sha256(read_file(layout.commit(version), within=layout.root)).hexdigest()
    except FileNotFoundError:
        return None


def _checkpoint(layout: Layout, head: Head, *more: str) -> Checkpoint:
    lines = (f"{_VERSION} {head.version} {head.log}", *more)
    return Checkpoint(read_settings(layout).origin, head.size, head.root, lines)


# Keys, under the lake's lock


def rotate(layout: Layout, version: int, at: str, committed: Committed, existing: Existing) -> Verifier:
    """Let a new key sign from now on, and give its public half; the entry about it is vouched for by the old key.

    The old key signs a checkpoint of the tree before that entry which names the new one; that note is in the entry. The
    checkpoint that counts it has both signatures. The next writer finishes what a dead writer left.

    Raises:
        LedgerError: The lake is unsigned, or its key may be that of other lakes too.
    """
    head = _notice(layout, settle(layout, version, committed, existing), version, at)
    old, settings = read_signer(layout), read_settings(layout)
    if old is None:
        raise LedgerError("the lake is unsigned: it has no key to be followed by another")
    if old.name != settings.origin:
        message = f"the key {settings.key} is that of {old.name}, and may sign for other lakes too"
        raise LedgerError(message, hint="give the lake a key of its own")
    new = new_signer(settings.origin)
    put_next(layout, new)
    note = sign(_checkpoint(layout, head, f"{_NEW_KEY} {new.verifier}").text, [old])
    details = {"old": str(old.verifier), "new": str(new.verifier), "note": bytes(note).decode()}
    prepared = _put(layout, head.size, Record("key-rotate", at, details=details), None, version)
    _complete(layout, replace(prepared, signers=(old, new)))
    adopt_next(layout, new)
    return new.verifier


def _finish_rotation(layout: Layout) -> None:
    """Install a key that was to follow if a checkpoint has its signature, and forget it if none has."""
    if (new := read_next(layout)) is None:
        return
    if parse_note(read_file(checkpoint_path(layout), within=layout.root)).signed_by(new.verifier):
        adopt_next(layout, new)
    else:
        drop_next(layout)


def _complete(layout: Layout, prepared: Prepared) -> Head:
    tree, size = tiles(layout), prepared.index + 1
    tree.put_hash(prepared.index, prepared.leaf)
    head = Head(size, tree.root(size), prepared.version, _log_digest(layout, prepared.version) or "")
    checkpoint = _checkpoint(layout, head)
    write_whole(checkpoint_path(layout), bytes(sign(checkpoint.text, prepared.signers)))
    tree.tidy(size)
    return head
