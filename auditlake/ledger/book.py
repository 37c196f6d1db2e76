"""The ledger of a lake: one entry for every commit, in a tree whose newest state is a signed checkpoint.

A commit is recorded in this order, each step durable before the next, under the lake's lock:

1. the entry, behind all others, where no checkpoint counts it yet;
2. the commit of the table, whose metadata has the entry's leaf;
3. the entry's hash in the tree;
4. the checkpoint, which counts it, and which also says the newest version and the SHA-256 of its log entry.

Log entries are thus covered by the checkpoint, and by the next entry ever after. The next writer finishes what a
dead writer left: an uncounted entry is counted if the table has its commit, and dropped if not.

A lake of format 2 has its entries inside its commits, so that one log entry decides both. Entries about no commit are
commits without files; one of kind ``upgrade`` takes a lake there. Tree and checkpoint follow from the log:
:func:`integrate` makes them, and again with the same bytes. Until then the key's signature in the commit vouches for an
entry, and none is counted without it. The leaf of a version has the place of the first such entry
and the number of versions since, as it says. A commit of another program gets an entry made of the one before.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from auditlake.disk.durable import make_folders
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.ledger.entry import KINDS, Entry, Record, dump, parse
from auditlake.ledger.held import ENTRY_KEY, SIGNATURE_KEY, commit_entry, commit_leaf, held_entry, log_digest
from auditlake.ledger.keys import (
    LedgerSettings,
    finish_rotation,
    make_key,
    next_signer,
    public_key_path,
    put_next,
    read_public_key,
    read_settings,
    read_signer,
)
from auditlake.ledger.merkle import leaf_hash, root
from auditlake.ledger.note import (
    VERSION_LINE,
    Checkpoint,
    Note,
    Signer,
    covered,
    new_signer,
    parse_checkpoint,
    parse_note,
    sign,
)
from auditlake.ledger.rules import (
    Rules,
    carried,
    details_of,
    digest_of_holds,
    keep_files,
    pack_files,
    read_rules,
    unrecorded,
)
from auditlake.ledger.sidecars import keep, kept_path
from auditlake.ledger.tiles import WIDTH, Tiles
from auditlake.storage.lake import storage_of, write

KEY = "key"
"""In the details of the first entry of a signed ledger: the public key that it begins with."""
_NEW_KEY = "auditlake/new-key"
"""Begins the line of a checkpoint by which a key names the one that follows it."""
_FOREIGN = "foreign"
"""The kind of the entry about a commit of another program, where entries lie inside commits."""

_IN_COMMITS = "entries_in_commits"
"""In the details of the first entry that lies in a commit: its index, and its version."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the newest checkpoint counts."""

    size: int
    root: bytes
    version: int
    """The newest version of the lake."""
    log: str
    """The SHA-256 of its log entry."""
    settings: LedgerSettings
    """What lake.toml says; read once for all that is built on this head."""
    is_inside: bool = False
    """Whether entries lie inside commits from here on."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An entry that waits for its commit."""

    index: int
    leaf: bytes
    version: int
    """The version after it."""
    signers: tuple[Signer, ...]
    """Who signs the checkpoint that counts it."""
    settings: LedgerSettings
    data: bytes
    """What it says."""

    @property
    def held(self) -> dict[str, str]:
        """Return what its commit holds where entries lie inside commits: it, and the signature that vouches for it."""
        said = {ENTRY_KEY: self.data.decode()}
        if self.signers:
            said[SIGNATURE_KEY] = b64encode(self.signers[0].sign_bytes(self.data)).decode()
        return said


def checkpoint_path(layout: Layout) -> Path:
    """Where the newest checkpoint lies."""
    return layout.ledger / "checkpoint"


def has_ledger(layout: Layout) -> bool:
    """Whether the lake has a ledger; one that is older than ledgers gets it with its next commit."""
    return checkpoint_path(layout).exists()


def tiles(layout: Layout) -> Tiles:
    """Return the tree of the lake's ledger."""
    return Tiles(storage_of(layout), layout.name(layout.ledger), partial(_from_log, layout))


def _from_log(layout: Layout, tile: int, width: int) -> list[bytes] | None:
    """Return so many entries of a tile from the commits that hold them; None where the first lies in none.

    What the checkpoint says is not checked here: who builds on the entries compares their root with it.
    """
    checkpoint = parse_checkpoint(parse_note(read_file(checkpoint_path(layout), within=layout.root)).text)
    first = covered(checkpoint)[0] + 1 - checkpoint.size + tile * WIDTH
    if (data := commit_entry(layout, first)) is None:
        return None
    entries = [data]
    for version in range(first + 1, first + width):
        data = commit_entry(layout, version) or _by_another(layout, parse_entry(layout, entries[-1]), version)
        entries.append(data)
    return entries


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


def read_head(layout: Layout, settings: LedgerSettings | None = None) -> Head | None:
    """Return what the newest checkpoint counts; None if the lake has no ledger.

    Args:
        layout: The lake.
        settings: What lake.toml says; it is read if None.

    Raises:
        LedgerError: It is damaged, not signed although the lake has a key, or of another lake.
    """
    if (note := read_note(layout)) is None:
        return None
    checkpoint, settings = parse_checkpoint(note.text), settings or read_settings(layout)
    if checkpoint.origin != settings.origin:
        raise LedgerError(f"the checkpoint is one of {checkpoint.origin}, this lake is {settings.origin}")
    return Head(checkpoint.size, checkpoint.root, *covered(checkpoint), settings)


def read_entry(layout: Layout, index: int) -> Entry:
    """One entry of the ledger."""
    return parse_entry(layout, tiles(layout).entry(index))


def parse_entry(layout: Layout, data: bytes) -> Entry:
    """Read an entry from its bytes."""
    return parse(data, lambda digest: storage_of(layout).read(layout.name(kept_path(layout, "aside", digest))))


def _signers(layout: Layout, settings: LedgerSettings) -> tuple[Signer, ...]:
    signer = read_signer(layout, settings)
    return () if signer is None else (signer,)


# Writing, under the lake's lock


def begin(layout: Layout, version: int, existing: Record, *, signed: bool = True) -> Head:
    """Open the ledger of a lake that has none, as of its newest version; a key is made if it is to be signed."""
    return complete(layout, _written(layout, _first(layout, version, existing, signed=signed)))


def begin_inside(layout: Layout, existing: Record, *, signed: bool = True) -> Prepared:
    """Return the entry that the first commit of a lake is to hold; :func:`integrate` opens the ledger with it."""
    return _first(layout, 0, _saying_so(existing, 0, 0), signed=signed)


def _saying_so(record: Record, index: int, version: int) -> Record:
    return replace(record, details={**record.details, _IN_COMMITS: {"index": index, "version": version}})


def nothing_counted(settings: LedgerSettings) -> Head:
    """Return the head of a ledger without entries, whose first one lies inside the first commit."""
    return Head(0, root(b""), -1, "", settings, is_inside=True)


def _first(layout: Layout, version: int, existing: Record, *, signed: bool) -> Prepared:
    make_folders(layout.ledger / "policies", below=layout.root)
    settings = read_settings(layout)
    keep_files(layout, pack_files(layout), "packs")
    if signed:
        existing = replace(existing, details={**existing.details, KEY: str(make_key(layout, settings))})
    return _entry(layout, read_rules(layout, settings), 0, existing, version, version)


def settle(layout: Layout, version: int, existing: Callable[[], Record]) -> Head:
    """Finish what a dead writer left, and open the ledger if there is none; give its head.

    Args:
        layout: The lake.
        version: Its newest version, which is durable.
        existing: Gives what a lake without a ledger holds.

    Raises:
        LedgerError: The ledger is damaged, or is not the one of this log: nothing must be built on it.
    """
    settings = read_settings(layout)
    head = read_head(layout, settings)
    if head is None:
        if any(commit_leaf(layout, each) or commit_entry(layout, each) for each in range(version, -1, -1)):
            message = f"the ledger of {layout.root} is gone: its log says that there was one"
            raise LedgerError(message, hint="restore LAKE/ledger from a backup")
        keep_files(layout, layout.policies.glob("*.yaml"), "policies")
        return begin(layout, version, existing())
    (tree := tiles(layout)).mend(head.size)
    if tree.root(head.size) != head.root:
        raise LedgerError("the ledger's tree is not that of its checkpoint", hint="restore LAKE/ledger from a backup")
    if head.version > version or log_digest(layout, head.version) != head.log:
        message = f"the log entry of version {head.version} is not the one that the ledger recorded"
        raise LedgerError(message, hint="the lake was changed or set back; restore it from a backup")
    finish_rotation(layout, settings, may_forget=False)  # or a key that is counted would not sign what follows
    head = integrate(layout, head, version)
    finish_rotation(layout, settings)
    if not head.is_inside:
        if settings.says_inside:
            message = f"{layout.config} says format_version = 2, and the lake is of format 1"
            raise LedgerError(message, hint="write 1 there again; auditlake upgrade takes a lake to format 2")
        head = _finish(layout, head)
        _check_log(layout, head, version)
    return head


def integrate(layout: Layout, head: Head, version: int) -> Head:
    """Put the entries of durable commits into the tree and sign the checkpoint that counts them; return the new head.

    Args:
        layout: The lake.
        head: What the ledger counts, which is so.
        version: The newest version of the lake.

    Raises:
        LedgerError: A commit holds an entry that is not its own.
        OSError: Some of it may have been written; the next writer does it again.
    """
    first = head.version + 1
    if head.is_inside or _lies_inside(layout, head):
        head = replace(head, is_inside=True)
    else:  # What other programs committed before the first one has none.
        begun = (v for v in range(first, version + 1) if b'"kind":"upgrade"' in (commit_entry(layout, v) or b""))
        first = next(begun, version + 1)
    if first > version:
        return head
    tree, size, signers = tiles(layout), head.size, _signers(layout, head.settings)
    for later in range(first, version + 1):
        own, signature = held_entry(layout, later)
        if own is None and not layout.commit(later).exists():
            message = f"the log has no entry of version {later}, and its newest version is {version}"
            raise LedgerError(message, hint="the log was changed; restore it from a backup")
        data = own or _by_another(layout, read_entry(layout, size - 1), later)
        entry = parse_entry(layout, data)
        if own:
            _check_entry(layout, head, entry, later, size)
            if signers and not signers[0].verifier.verifies(own, signature):
                message = f"the commit of version {later} holds an entry that the key of the lake did not sign"
                hint = f"no writer with the key made {layout.commit(later)}: find out who did, and take it away"
                raise LedgerError(message, hint=hint)
        if entry.kind == "key-rotate":
            _check_rotation(layout, replace(head, size=size, root=tree.root(size)), entry)
        signers += next_signer(head.settings, entry)
        synced = commit_entry(layout, later - size % WIDTH) is None  # or the log has all of its tile
        tree.put_entry(size, data, synced=synced)
        tree.put_hash(size, leaf_hash(data), synced=synced)
        size += 1
    head = Head(size, tree.root(size), version, log_digest(layout, version) or "", head.settings, is_inside=True)
    _count(layout, head, signers)
    return head


def _lies_inside(layout: Layout, head: Head) -> bool:
    """Return whether the last entry that is counted lies inside a commit, or is about one of another program."""
    return commit_entry(layout, head.version) is not None or read_entry(layout, head.size - 1).kind == _FOREIGN


def _check_entry(layout: Layout, head: Head, entry: Entry, version: int, index: int) -> None:
    """Refuse an entry that is not that of the version whose commit holds it."""
    own = (head.settings.lake_id, version, log_digest(layout, version - 1) if version else None)
    is_first = index == head.size and not (index and head.is_inside)
    place = {"index": index, "version": version} if is_first else None
    kinds = {"upgrade" if index else "begin"} if is_first else KINDS - {"upgrade", "begin", _FOREIGN}
    if index > head.size and not head.is_inside:
        kinds = frozenset()  # the writer of the first one had it counted before any other
    said = (entry.lake_id, entry.version, entry.previous_log, entry.details.get(_IN_COMMITS))
    takes = entry.kind == "upgrade" and (entry.parts or entry.adds or entry.removes or entry.taken)
    if said != (*own, place) or takes or entry.kind not in kinds:
        message = f"the commit of version {version} holds an entry of the ledger that is not its own"
        raise LedgerError(message, hint="the log was changed; restore it from a backup, and find out who changed it")


def _check_rotation(layout: Layout, head: Head, entry: Entry) -> None:
    """Refuse an entry that names a key for which the one before it, which has the tree so far, does not vouch."""
    old, new, note = (str(entry.details.get(name, "")) for name in ("old", "new", "note"))
    verifier, said = read_public_key(layout), parse_note(note.encode())
    head = replace(head, version=(entry.version or 0) - 1, log=entry.previous_log or "")
    is_vouched = verifier is not None and old == str(verifier) and said.signed_by(verifier)
    if not is_vouched or said.text != _checkpoint(head, f"{_NEW_KEY} {new}").text:
        message = f"the commit of version {entry.version} names a new key, and the old one does not vouch for it"
        raise LedgerError(message, hint="the log was changed; restore it from a backup, and find out who changed it")


def _by_another(layout: Layout, before: Entry, version: int) -> bytes:
    """Return the entry about a commit of another program: what was in force before it still is."""
    return _dumped(layout, replace(
        before, kind=_FOREIGN, parts=(), adds=(), removes=(), taken=(), details=carried(before.details),
        version=version, previous_log=log_digest(layout, version - 1),
    ))  # fmt: skip


def _finish(layout: Layout, head: Head) -> Head:
    tree = tiles(layout)
    if not tree.has_entry(head.size):
        return head
    data = tree.entry(head.size)
    leaf, entry = leaf_hash(data), parse_entry(layout, data)
    if entry.version is None or entry.version <= head.version or commit_leaf(layout, entry.version) != leaf.hex():
        tree.drop_entry(head.size)
        return head
    signers = _signers(layout, head.settings)
    return complete(layout, Prepared(head.size, leaf, entry.version, signers, head.settings, data))


def _check_log(layout: Layout, head: Head, version: int) -> None:
    """Refuse to go on where the ledger lacks an entry that a commit names."""
    for later in range(head.version + 1, version + 1):
        if commit_leaf(layout, later):
            message = f"the ledger has no entry of version {later}, which says that it has"
            raise LedgerError(message, hint="the ledger was set back; restore LAKE/ledger from a backup")


def prepare(layout: Layout, head: Head, version: int, record: Record) -> Prepared:
    """Write the entry of a commit that is to become this version, after those about what has changed since the last.

    Its leaf goes into the commit.

    Args:
        layout: The lake.
        head: What the ledger counts.
        version: The one that the commit is to make.
        record: What the entry is to say.

    Raises:
        LedgerError: The ledger cannot take it; nothing was changed.
    """
    rules = read_rules(layout, head.settings)
    for each in unrecorded(layout, read_entry(layout, head.size - 1), rules, record.at, about=record.kind):
        head = complete(layout, _written(layout, _entry(layout, rules, head.size, each, None, version - 1)))
    return _written(layout, _entry(layout, rules, head.size, record, version, version))


def inside(layout: Layout, head: Head, version: int, record: Record, rules: Rules, *, begins: bool = False) -> Prepared:
    """Make the entry that the commit of this version is to hold; nothing is written but what an entry has aside.

    Args:
        layout: The lake.
        head: What the ledger counts.
        version: The one that the commit is to make.
        record: What the entry is to say.
        rules: What was in force when the writer's turn began: an entry of its own about a later change would make this
            commit another version than its writer planned, so the next turn records that.
        begins: Whether entries lie inside commits from this one on.

    Raises:
        LedgerError: The ledger cannot take it; nothing was changed.
    """
    if begins:
        record = _saying_so(record, head.size, version)
    return _entry(layout, rules, head.size, record, version, version)


def record(layout: Layout, head: Head, version: int, event: Record, rules: Rules) -> Head:
    """Add an entry that is about no commit, while the lake is at this version, and return the new head."""
    return complete(layout, _written(layout, _entry(layout, rules, head.size, event, None, version)))


def _entry(layout: Layout, rules: Rules, index: int, event: Record, about: int | None, version: int) -> Prepared:
    settings = rules.settings
    more = details_of(layout, rules, read_entry(layout, index - 1).details if index else {})
    data = _dumped(layout, Entry(
        event.kind, event.at, event.parts, event.adds, event.removes, event.taken, {**event.details, **more},
        settings.lake_id, about, log_digest(layout, about - 1) if about else None, rules.policies,
        digest_of_holds(rules.holds),
    ))  # fmt: skip
    signers = _signers(layout, settings) + next_signer(settings, event)
    return Prepared(index, leaf_hash(data), version, signers, settings, data)


def _dumped(layout: Layout, entry: Entry) -> bytes:
    """Return the bytes of an entry, once what it has aside is durable."""
    dumped = dump(entry)
    if dumped.aside:
        keep(layout, "aside", dumped.aside)
    return dumped.data


def _written(layout: Layout, prepared: Prepared) -> Prepared:
    """Write an entry behind those that are counted, before its commit."""
    tiles(layout).put_entry(prepared.index, prepared.data)
    return prepared


def _checkpoint(head: Head, *more: str) -> Checkpoint:
    lines = (f"{VERSION_LINE} {head.version} {head.log}", *more)
    return Checkpoint(head.settings.origin, head.size, head.root, lines)


# Keys, under the lake's lock


def rotation(layout: Layout, head: Head, at: str) -> Record:
    """Make the key that is to sign from now on, and return what the entry about it says, vouched for by the old key.

    The old key signs a checkpoint of the tree before that entry which names the new one; that note is in the entry. The
    checkpoint that counts it has both signatures. The next writer finishes what a dead writer left.

    Raises:
        LedgerError: The lake is unsigned, or its key may be that of other lakes too.
    """
    settings = head.settings
    old = read_signer(layout, settings)
    if old is None:
        raise LedgerError("the lake is unsigned: it has no key to be followed by another")
    if old.name != settings.origin:
        message = f"the key {settings.key} is that of {old.name}, and may sign for other lakes too"
        raise LedgerError(message, hint="give the lake a key of its own")
    new = new_signer(settings.origin)
    put_next(settings, new)
    note = sign(_checkpoint(head, f"{_NEW_KEY} {new.verifier}").text, [old])
    details = {"old": str(old.verifier), "new": str(new.verifier), "note": bytes(note).decode()}
    return Record("key-rotate", at, details=details)


def complete(layout: Layout, prepared: Prepared) -> Head:
    """Count an entry, whose commit is durable if it is about one, and return the new head."""
    tree, size = tiles(layout), prepared.index + 1
    tree.put_hash(prepared.index, prepared.leaf)
    head = Head(size, tree.root(size), prepared.version, log_digest(layout, prepared.version) or "", prepared.settings)
    _count(layout, head, prepared.signers)
    return head


def _count(layout: Layout, head: Head, signers: Sequence[Signer]) -> None:
    """Sign the checkpoint of a head, whose tree is durable."""
    write(layout, checkpoint_path(layout), bytes(sign(_checkpoint(head).text, signers)))
    tiles(layout).tidy(head.size)
