"""Which objects of a bucket are files of a lake: their names, and what each kind of name says of its file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

from auditlake.storage.model import Storage

CONFIG = "lake.toml"
"""The object that comes last into a bucket: a lake without it was not made whole."""
LOG = "events/_delta_log/"
HEADS = ("ledger/checkpoint", f"{LOG}_last_checkpoint", ".history")
"""What says how far the lake has come: never in the copy before what it speaks of."""
EDITED = ("policies", "holds", "packs", "sources", "queries", "templates", CONFIG, "frameworks.yaml", "auditor.yaml")
"""The folders and files of a lake that people edit, in the copy."""
KEY = "ledger/key.pub"
ASKED = ("ledger/aside", "ledger/kept", "ledger/marks")
"""The folders of what lies beside the ledger's entries: a file comes when it is asked for."""
NEEDED = ASKED[:2]
"""Those without which no entry and no part is known: marks only say where rows differ."""
AFTER_COMMITS = ("ledger/holds", "ledger/packs", "ledger/policies", "ledger/sources", "ledger/tile", "quarantine",
                 "runs/by")  # fmt: skip
"""The folders of files that auditlake makes: where no commit, certificate or run came, there is nothing new in them."""
ALWAYS = ("certificates", "ledger/anchors")
"""Those of which it makes one without a commit, or after it."""
MADE = (LOG.rstrip("/"), "ledger", "quarantine", "runs/by", "certificates")
"""All of them but those of data files."""
DATA = re.compile(r"events/event_date=[\d-]+/[^/.#][^/]*\Z")
"""The names of data files."""
_ACTION = re.compile(rb'^\{"(add|remove)":\{.*?"path":"([^"]*)"', re.MULTILINE)
"""How the log says of a data file that it is part of the lake from a version on, or is not any more."""
_NAME = re.compile(
    r"(events/(_delta_log|event_date=[\d-]+)|quarantine|certificates|policies|holds|packs/old|packs(?!/old\Z)|sources"
    r"|queries|templates|runs/by|ledger/(aside|kept|marks|holds|policies|sources|packs|anchors))/[^/.#][^/]*\Z"
    r"|ledger/tile/(\d|entries)/(x\d{3}/)*\d{3}(\.p/\d+)?\Z"
    r"|(ledger/checkpoint|ledger/key\.pub|lake\.toml|frameworks\.yaml|auditor\.yaml|\.batch|\.history)\Z"
)
"""Their names. None is the folder of another, and no key that signs is among them, wherever it lies."""
_LONGEST = 200
"""Bytes of the longest name."""
CHANGES = re.compile(rf"({'|'.join(map(re.escape, EDITED))})(/|\Z)|ledger/(checkpoint|key\.pub)\Z|\.|{LOG}_")
"""How the names of objects begin that are replaced."""
JOURNALS = ("findings/journal", "runs/journal")
"""What the folder of a journal is called, which has an object a line, and its file in the copy but for the ending."""
LINE = re.compile(r"\d{10}\.json\Z")
_SECRET = b"PRIVATE+KEY+"
"""How a key begins that signs a ledger."""
_SMALL = 1 << 20
"""A key has fewer bytes."""


def is_kept(name: str) -> bool:
    """Return whether a bucket and its copies have a file; a name that leads elsewhere is none."""
    return _NAME.match(name) is not None and name.isprintable() and len(name.encode()) <= _LONGEST


def is_ours(name: str) -> bool:
    """Return whether an object is a file of the lake, or a line of one."""
    folder, _, line = name.rpartition("/")
    return LINE.match(line) is not None if folder in JOURNALS else is_kept(name)


def lies_in(name: str, folders: Collection[str]) -> bool:
    """Return whether a name is one of some files or folders, or below one; the empty name has what lies in none."""
    return ("" in folders and "/" not in name) or any(f"{name}/".startswith(f"{each}/") for each in folders if each)


def actions(entry: bytes) -> Iterator[tuple[str, bool]]:
    """Yield the names of the data files that an entry of the log is about, with whether it adds the file."""
    for action, path in _ACTION.findall(entry):
        yield f"events/{unquote(path.decode())}", action == b"add"


def live_files(log: Storage, names: Iterable[str]) -> set[str]:
    """Return those of some data files that the newest version of a log has."""
    left, live = {*names}, set[str]()
    for entry in reversed(log.names(LOG.rstrip("/")) if left else []):
        if left and entry.endswith(".json"):
            found_here = [(name, is_add) for name, is_add in actions(log.read(entry)) if name in left]
            left.difference_update(name for name, _ in found_here)
            live.update(name for name, is_add in found_here if is_add)
    return live


def is_edited(name: str) -> bool:
    """Return whether people edit a file."""
    return name.partition("/")[0] in EDITED


def has_longer(name: str, names: Collection[str]) -> bool:
    """Return whether a name is of a part of a tile, and one of others is of the whole tile or of a longer part."""
    tile, _, size = name.rpartition(".p/")
    parts = (each.rpartition(".p/") for each in names if is_kept(each))
    return bool(tile) and (tile in names or any(of == tile and int(each) > int(size) for of, _, each in parts))


def line_name(journal: str, number: int) -> str:
    """Return the name of the object that has a line of a journal; lines are counted from 1."""
    return f"{journal}/{number:010d}.json"


def has_key(name: str, data: bytes | Path) -> bool:
    """Return whether a file has a private key; events and quarantine have what logs had."""
    if name.startswith(("events/", "quarantine/")) or (isinstance(data, Path) and data.stat().st_size > _SMALL):
        return False
    return _SECRET in (data if isinstance(data, bytes) else data.read_bytes())


def digest_of(data: bytes | Path) -> str:
    """Return the SHA-256 of bytes, or of those of a file, in hexadecimal."""
    if isinstance(data, bytes):
        return sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
