"""A lake in a bucket, as one host has it: the objects, and a copy of them in a folder of its disk.

What is written goes to the bucket first, which decides, and then to the copy; what is read is read from the copy, as
fast as from any disk. So the files of the lake get to the bucket in the order in which a writer on a disk makes them,
and what a host that dies leaves there is what it would leave on a disk: the next writer finishes it.

The copy is brought up to date when the lake is opened, and before each change. It is taken from two equal listings, so
it is what the bucket held at one instant.

One folder writes: the object ``.writer`` names it, and each other only reads. That is checked before anything is
written, and does not make up for a lock: who removes that object sees to it that the other folder's host is at rest.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from auditlake.disk.durable import write_whole
from auditlake.disk.files import check_folder, remove_any
from auditlake.disk.layout import Layout
from auditlake.disk.lock import LOCK_SECONDS, exclusive, workspace
from auditlake.errors import LakeFormatError, StorageError, WrittenElsewhereError
from auditlake.storage.disk import Disk
from auditlake.storage.model import found
from auditlake.storage.objects import AT_ONCE, ObjectStore

WRITER = ".writer"
"""The object that names the folder that writes."""
_TRIES = 5
"""How often a bucket is looked at again that changes meanwhile."""
_EDITED = ("policies", "holds", "packs", "sources", "queries", "templates", "lake.toml", "frameworks.yaml",
           "auditor.yaml")  # fmt: skip
"""The folders and files of a lake that people edit, in the copy."""
_KEPT = (*_EDITED, "events", "ledger", "quarantine", "certificates", "findings", "runs", ".batch", ".history")
"""Those that are in its bucket, but for what a host has of its own in them."""
_NAME = re.compile(
    r"(events|quarantine|certificates|policies|holds|packs|sources|queries|templates|runs/by)/."
    r"|ledger/(tile|aside|kept|marks|holds|policies|sources|packs|anchors)/."
    r"|(ledger/checkpoint|ledger/key\.pub|findings/journal\.jsonl|runs/journal\.jsonl)\Z"
    r"|(lake\.toml|frameworks\.yaml|auditor\.yaml|\.batch|\.history)\Z"
)
"""How the names of their files begin, or what they are. No key that signs is among them, wherever it lies."""
_SECRET = b"PRIVATE+KEY+"
"""How a key begins that signs a ledger: no file that people edit and that has one gets into the bucket."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the copy; nothing where that was lost."""

    tags: dict[str, str]
    """The tag of each object that it has."""
    published: dict[str, str]
    """The SHA-256 of each file that people edit, as the bucket has it."""


class Mirror:
    """A lake in a bucket as :class:`auditlake.storage.model.Storage`.

    Args:
        layout: The folder of this host.
        objects: The bucket.
        token: What this folder is known by.
    """

    def __init__(self, layout: Layout, objects: ObjectStore, token: str) -> None:
        self.objects = objects
        self._layout = layout
        self._disk = Disk(layout.root)
        self._who = json.dumps({"folder": str(layout.root), "host": socket.gethostname(), "token": token}).encode()
        self._is_writer = False
        self._published: dict[str, str] = {}
        """The SHA-256 of each file that people edit which was written since the tags were written down."""

    def names(self, folder: str = "", after: str = "") -> list[str]:
        """Return the names of all files below a folder of the copy."""
        return self._disk.names(folder, after)

    def read(self, name: str, part: tuple[int, int] | None = None) -> bytes:
        """Return the bytes of a file of the copy."""
        return self._disk.read(name, part)

    def local(self, names: Sequence[str]) -> list[str]:
        """Return where files of the copy lie."""
        return self._disk.local(names)

    def create(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make files, in the bucket first."""
        self.claim()
        taken = self.objects.make(files)
        ours = {name: data for name, data in files.items() if name not in taken}
        self._published |= {name: _digest(data) for name, data in ours.items() if _is_edited(name)}
        self._copy(ours)
        return taken

    def swap(self, name: str, data: bytes, seen: bytes | None) -> bool:
        """Replace a file, in the bucket first."""
        self.claim()
        if not self.objects.swap(name, data, seen):
            return False
        if _is_edited(name):
            self._published[name] = _digest(data)
        self._replace(name, data)
        return True

    def remove(self, names: Iterable[str], *, synced: bool = True) -> None:
        """Remove files, in the bucket first."""
        if gone := list(names):
            self.claim()
            self.objects.remove(gone)
            for name in gone:
                self._published.pop(name, None)
            self._disk.remove(gone, synced=synced)

    def claim(self) -> None:
        """See that this folder is the one that writes.

        Raises:
            WrittenElsewhereError: Another one is.
            OSError: The bucket cannot be asked.
        """
        if self._is_writer:
            return
        there = found(self.objects, WRITER)
        if there != self._who and (there is not None or self.objects.create({WRITER: self._who})):
            raise _written_elsewhere(self.objects.url, self.objects.read(WRITER))
        self._is_writer = True

    def append(self, name: str, before: bytes, line: bytes) -> None:
        """Write a line behind those that a file of the bucket has; the caller writes it into the copy.

        Raises:
            OSError: It may have been written.
        """
        self.claim()
        if not self.objects.swap(name, before + line, before or None):
            raise StorageError(name, "the bucket has other lines than the copy here", hint="run it again")

    def push(self) -> None:
        """Put what people have edited in the copy into the bucket. The caller holds the lock of this host's folder.

        Raises:
            WrittenElsewhereError: The lake is written by another host.
            OSError: The bucket or the copy cannot be read, or the bucket refused.
        """
        self.claim()
        published = self._known().published | self._published
        for name in filter(_is_edited, self.kept()):
            data = self._disk.read(name)
            if _digest(data) != published.get(name) and _SECRET not in data:
                self.swap(name, data, found(self.objects, name))

    def pull(self, *, anew: bool = False) -> None:
        """Bring the copy up to date. The caller holds the lock of this host's folder.

        Args:
            anew: Whether every object is fetched and compared with its copy, and not only what is new by its tag.

        Raises:
            LakeBusyError: Another process counted for too long, of whose counts a deletion is to take some.
            LakeFormatError: The bucket is changed all the while, or has no lake any more.
            OSError: The bucket cannot be read, or the disk refused.
        """
        self._is_writer = False  # who writes may have changed as well
        for _ in range(_TRIES):
            listed = {name: tag for name, tag in self.objects.listed().items() if _is_kept(name)}
            known, there = self._known(), set(self.kept())
            if "lake.toml" in known.tags and "lake.toml" not in listed:  # the copy may be all that is left
                message = f"there is no lake at {self.objects.url} any more, and {self._layout.root} has a copy of it"
                raise LakeFormatError(message, hint="see to the bucket, and to what the environment says of it")
            changed = [name for name, tag in listed.items() if anew or known.tags.get(name) != tag or name not in there]
            gone = sorted(known.tags.keys() - listed.keys())
            if not changed and not gone:
                break
            with workspace(self._layout.staging) as folder:
                drafts = {name: folder / str(number) for number, name in enumerate(changed)}
                if not self._fetched(drafts, listed):
                    continue
                for _, some in groupby(sorted(changed, key=_rank), _rank):
                    self._copy({name: drafts[name] for name in some})
                self._disk.remove(gone)
            if any(name.startswith("certificates/") and known.tags.get(name) != listed[name] for name in changed):
                self._forget()
            break
        else:
            raise LakeFormatError(f"{self.objects.url} is changed all the while", hint="try again")
        published = {name: _digest(self._disk.read(name)) for name in changed if _is_edited(name)}
        if known.tags != listed or published:
            self._keep(_Known(listed, known.published | published))

    def _forget(self) -> None:
        """Remove what this host counted and remembered: a deletion elsewhere may have taken events of it."""
        root = self._layout.root
        for lock in (self._layout.summaries_lock, self._layout.remembered_lock):
            if lock.parent.exists():
                check_folder(lock.parent, within=root)
                with exclusive(lock, wait_seconds=LOCK_SECONDS):
                    for path in {*lock.parent.iterdir()} - {lock}:
                        remove_any(path, within=root)

    def keep_tags(self) -> None:
        """Write down what this process wrote, so that no process fetches it; if that fails, one does."""
        if self.objects.tags or self._published:
            known, written = self._known(), {name: tag for name, tag in self.objects.tags.items() if _is_kept(name)}
            self._keep(_Known(known.tags | written, known.published | self._published))
            self.objects.tags.clear()
            self._published.clear()

    def _fetched(self, drafts: Mapping[str, Path], listed: Mapping[str, str]) -> bool:
        """Fetch objects, and return whether the bucket is as it was listed."""
        with ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            try:
                tags = list(pool.map(self.objects.fetch, drafts.keys(), drafts.values()))
            except FileNotFoundError:
                return False
        same = all(listed[name] == tag for name, tag in zip(drafts, tags, strict=True))
        return same and {name: tag for name, tag in self.objects.listed().items() if _is_kept(name)} == listed

    def kept(self) -> Iterator[str]:
        """Yield the names of the files of the copy that a bucket has."""
        for name in _KEPT:
            if (self._layout.root / name).is_dir():
                yield from filter(_is_kept, self._disk.names(name))
            elif (self._layout.root / name).is_file():
                yield name

    def _copy(self, files: Mapping[str, bytes | Path]) -> None:
        for name in self._disk.create(files) if files else ():
            data = files[name]
            self._replace(name, data if isinstance(data, bytes) else data.read_bytes())

    def _replace(self, name: str, data: bytes) -> None:
        """Put the bytes of the bucket into the copy, whatever that held."""
        if not self._disk.swap(name, data, found(self._disk, name)):
            raise StorageError(name, "another process has written to the copy meanwhile", hint="run it again")

    def _known(self) -> _Known:
        with suppress(OSError, ValueError, KeyError, TypeError):
            fields = json.loads(self._disk.read(self._layout.name(self._layout.fetched)))
            return _Known(dict(fields["tags"]), dict(fields["published"]))
        return _Known({}, {})

    def _keep(self, known: _Known) -> None:
        published = {name: digest for name, digest in known.published.items() if name in known.tags}
        fields = {"tags": known.tags, "published": published}
        write_whole(self._layout.fetched, json.dumps(fields).encode(), synced=False)


def publish(mirror: Mirror) -> Collection[str]:
    """Put a new lake into its bucket, ``lake.toml`` last; return the names that are taken.

    Raises:
        OSError: It may lie there in part.
    """
    for _, some in groupby(sorted(mirror.kept(), key=_rank), _rank):
        files = {name: data for name in some if _SECRET not in (data := mirror.read(name)) or not _is_edited(name)}
        if taken := mirror.create(files):
            return taken
    mirror.keep_tags()
    return ()


def _is_kept(name: str) -> bool:
    """Return whether a bucket and its copies have a file; a name that leads elsewhere is none."""
    is_plain = not any(part in {"", ".", ".."} or "\0" in part for part in name.split("/"))
    return is_plain and _NAME.match(name) is not None


def _is_edited(name: str) -> bool:
    return name.partition("/")[0] in _EDITED


def _digest(data: bytes | Path) -> str:
    return sha256(data if isinstance(data, bytes) else data.read_bytes()).hexdigest()


def _rank(name: str) -> int:
    """Return when a file is made: never before what it names."""
    if name == "lake.toml":
        return 6
    if name in {"ledger/checkpoint", "events/_delta_log/_last_checkpoint", ".history", ".batch"}:
        return 5
    if name.startswith("events/_delta_log/"):
        return 4 if name.endswith(".parquet") else 2
    return 1 if name.startswith("ledger/tile/entries/") else 3 if name.startswith("ledger/tile/") else 0


def _written_elsewhere(url: str, claim: bytes) -> WrittenElsewhereError:
    who = "another folder"
    with suppress(ValueError, KeyError, TypeError):
        fields = json.loads(claim)
        who = f"the folder {fields['folder']} of the host {fields['host']}"
    return WrittenElsewhereError(
        url,
        f"it is written by {who}, and this one only reads",
        hint=f"write there; if it is lost, remove the object {WRITER}: the next folder that writes takes its place",
    )
