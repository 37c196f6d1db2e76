"""A lake in a bucket, as one host has it: the objects, and a copy of them in a folder of its disk.

What is written goes to the bucket first, which decides, and then to the copy; what is read is read from the copy, as
fast as from any disk. The copy is brought up to date when the lake is opened, and before each change.

Nearly all objects are made once: the log's entries, and what is named by its content or its place. Such a file is
fetched while the copy has none of its name, and its bytes must be those that its name says. The few that change go by
the tag of their last bytes. A version is whole by its log entry alone, so a bucket that others write to meanwhile is
no trouble: what says how far the lake has come is read before all else, and put into the copy after it. Only the
ledger's checkpoint must be that of before once all else is here, since a tile goes when there is a longer one.

Any host may write, one at a time by a lease. That is for speed: a commit is a PUT that only one of two writers gets.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from auditlake.disk.chained import appending
from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import check_folder, remove_any
from auditlake.disk.layout import Layout
from auditlake.disk.lock import LOCK_SECONDS, exclusive, workspace
from auditlake.errors import LakeFormatError, StorageError
from auditlake.storage.disk import Disk
from auditlake.storage.model import found
from auditlake.storage.objects import AT_ONCE, Listed, ObjectStore, digest_in

CONFIG = "lake.toml"
"""The object that comes last into a bucket: a lake without it was not made whole."""
_LOG = "events/_delta_log/"
_HEADS = ("ledger/checkpoint", f"{_LOG}_last_checkpoint", ".history")
"""What says how far the lake has come: never in the copy before what it speaks of."""
_EDITED = ("policies", "holds", "packs", "sources", "queries", "templates", CONFIG, "frameworks.yaml",
           "auditor.yaml")  # fmt: skip
"""The folders and files of a lake that people edit, in the copy."""
_MADE = ("events", "ledger", "quarantine", "certificates", "runs/by")
"""The folders of files that auditlake makes."""
_NAME = re.compile(
    r"(events/(_delta_log|event_date=[\d-]+)|quarantine|certificates|policies|holds|packs/old|packs(?!/old\Z)|sources"
    r"|queries|templates|runs/by|ledger/(aside|kept|marks|holds|policies|sources|packs|anchors))/[^/.#][^/]*\Z"
    r"|ledger/tile/(\d|entries)/(x\d{3}/)*\d{3}(\.p/\d+)?\Z"
    r"|(ledger/checkpoint|ledger/key\.pub|lake\.toml|frameworks\.yaml|auditor\.yaml|\.batch|\.history)\Z"
)
"""Their names. None is the folder of another, and no key that signs is among them, wherever it lies."""
_LONGEST = 200
"""Bytes of the longest name."""
_CHANGES = re.compile(rf"({'|'.join(map(re.escape, _EDITED))})(/|\Z)|ledger/(checkpoint|key\.pub)\Z|\.|{_LOG}_")
"""How the names of objects begin that are replaced."""
_JOURNALS = ("findings/journal", "runs/journal")
"""What the folder of a journal is called, which has an object a line, and its file in the copy but for the ending."""
_LINE = re.compile(r"\d{10}\.json\Z")
_SECRET = b"PRIVATE+KEY+"
"""How a key begins that signs a ledger."""
_TRIES = 10
"""How often a bucket is looked at again whose ledger moves on meanwhile."""
_SMALL = 1 << 20
"""A key has fewer bytes."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the copy; nothing where that was lost."""

    tags: dict[str, str]
    """The tag of each object that changes, as the copy has it."""
    published: dict[str, str]
    """The SHA-256 of each file that people edit, as the bucket has it."""


class Mirror:
    """A lake in a bucket as :class:`auditlake.storage.model.Storage`.

    Args:
        layout: The folder of this host.
        objects: The bucket.
    """

    def __init__(self, layout: Layout, objects: ObjectStore) -> None:
        self.objects = objects
        self._layout = layout
        self._disk = Disk(layout.root)
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
        for name, data in files.items():
            if _has_key(name, data):
                raise StorageError(name, "it has a private key, and none may get into a bucket")
        taken = self.objects.make(files)
        ours = {name: data for name, data in files.items() if name not in taken}
        digests = {name: _digest(data) for name, data in ours.items() if _is_edited(name)}
        self._copy(ours)
        self._published |= digests
        return taken

    def swap(self, name: str, data: bytes, seen: bytes | None) -> bool:
        """Replace a file, in the bucket first."""
        if _has_key(name, data):
            raise StorageError(name, "it has a private key, and none may get into a bucket")
        if not self.objects.swap(name, data, seen):
            return False
        self._copy({name: data})
        if _is_edited(name):
            self._published[name] = _digest(data)
        return True

    def remove(self, names: Iterable[str], *, synced: bool = True) -> None:
        """Remove files, in the bucket first."""
        if gone := list(names):
            self.objects.remove(gone)
            self._disk.remove(gone, synced=synced)

    def append(self, name: str, before: bytes, line: bytes) -> None:
        """Put a line of a journal into the bucket, behind those that the copy has; the caller writes it into the copy.

        Raises:
            StorageError: Another host has written one meanwhile, or the bucket refused.
        """
        number = before.count(b"\n") + 1
        if self.objects.create({_line_name(name.removesuffix(".jsonl"), number): line}):
            raise StorageError(name, f"another host has written entry {number} meanwhile", hint="run it again")

    def follow(self, name: str) -> None:
        """Bring the copy of a journal up to date.

        Raises:
            OSError: The bucket cannot be read, or the disk refused.
        """
        self._follow(name.removesuffix(".jsonl"), self.objects.listed(name.removesuffix(".jsonl")))

    def push(self) -> None:
        """Put what people have edited in the copy into the bucket. The caller holds the lock of this host's folder.

        Raises:
            OSError: The bucket or the copy cannot be read, or the bucket refused.
        """
        for name in self._edits(self._known()):
            data = self._disk.read(name)
            if not (_has_key(name, data) or self.swap(name, data, self.objects.found(name))):
                raise StorageError(name, "another host has replaced it meanwhile", hint="run it again")

    def update(self) -> None:
        """Bring the copy up to date. The caller holds the lock of this host's folder.

        Raises:
            LakeFormatError: The bucket has no lake; or a file was edited here and elsewhere.
            OSError: The bucket cannot be read, or the disk refused.
        """
        known, brought = self._known(), list[str]()
        for _ in range(_TRIES):
            heads, here = self._get(_HEADS), set(self.kept())
            listed = self._listed()
            names = {name: each for name, each in listed.items() if _is_kept(name)}
            brought += self._fetch([name for name in names if name not in here and not _CHANGES.match(name)], names)
            if self._get(_HEADS[:1]).items() <= heads.items():
                break  # what the checkpoint counts was there all the while: tiles go when it has moved on
        else:
            raise StorageError(self.objects.url, "it is changed all the while", hint="try again")
        for journal in _JOURNALS:
            self._follow(journal, listed)
        got = self._get(
            name
            for name in names.keys() - heads.keys()
            if _CHANGES.match(name) and (known.tags.get(name) != names[name].tag or name not in here)
        )
        edits, kept = set(self._edits(known)), ""
        for name in sorted(edits & got.keys()):
            if (own := self._disk.read(name)) != got[name][0]:
                kept = self._set_aside(name, own)
        got |= {name: each for name, each in heads.items() if known.tags.get(name) != each[1] or name not in here}
        for name in sorted(got, key=lambda name: (name in _HEADS, name == CONFIG)):
            self._copy({name: got[name][0]})
        self._remove(here - names.keys() - heads.keys(), known, edits)
        if any(name.startswith("certificates/") for name in brought):
            self._forget()
        tags = {name: tag for name, tag in known.tags.items() if name in names}
        tags |= {name: tag for name, (_, tag) in got.items()}
        digests = {name: _digest(data) for name, (data, _) in got.items() if _is_edited(name)}
        if tags != known.tags or digests:
            self._keep(_Known(tags, known.published | digests))
        if kept:
            message = f"{kept} was changed here and by another host: that one's is in force"
            raise LakeFormatError(message, hint="bring what you want of it into the lake's file, and try again")

    def bring(self, sizes: Mapping[str, int]) -> Collection[str]:
        """Bring objects into the copy that it has not, and return which of them are there.

        Args:
            sizes: The bytes of each object, which is named by its content.

        Raises:
            OSError: The bucket cannot be read, or the disk refused.
        """
        there = {name for name in sizes if (self._layout.root / name).is_file()}
        return there | {*self._fetch([*sizes.keys() - there], {name: Listed("", size) for name, size in sizes.items()})}

    def compare(self) -> list[str]:
        """Fetch every object, and return the names of those that are not what the copy has; nothing of them is kept.

        A file of the copy that is not what its name says is replaced where the bucket has the right one.

        Raises:
            OSError: The bucket cannot be read, or the disk refused.
        """
        listed = self._listed()
        names = [name for name in listed if _is_kept(name) and not _CHANGES.match(name)]
        with workspace(self._layout.staging) as folder, ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            drafts = [folder / str(number) for number in range(len(names))]
            same = list(pool.map(self._is_same, names, drafts, [listed[name].size for name in names]))
        wrong = [name for name, is_same in zip(names, same, strict=True) if not is_same]
        wrong += [name for name in self.kept() if name not in listed and not _is_edited(name)]
        for journal in _JOURNALS:
            lines = (found(self._disk, f"{journal}.jsonl") or b"").splitlines(keepends=True)
            for number, line in enumerate(lines, 1):
                if self.objects.found(name := _line_name(journal, number)) != line:
                    wrong.append(name)
        return wrong

    def keep_tags(self) -> None:
        """Write down what this process wrote, so that no process fetches it; if that fails, one does."""
        written = {name: tag for name, tag in self.objects.tags.items() if _is_kept(name) and _CHANGES.match(name)}
        if written or self._published:
            known = self._known()
            self._keep(_Known(known.tags | written, known.published | self._published))
        self.objects.tags.clear()
        self._published.clear()

    def kept(self) -> Iterator[str]:
        """Yield the names of the files of the copy that a bucket has, journals aside."""
        for name in (*_EDITED, *_MADE, ".batch", ".history"):
            if (self._layout.root / name).is_dir():
                yield from filter(_is_kept, self._disk.names(name))
            elif (self._layout.root / name).is_file():
                yield name

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield the lines of the journals of the copy, each with the name that it has in a bucket."""
        for journal in _JOURNALS:
            lines = (found(self._disk, f"{journal}.jsonl") or b"").splitlines(keepends=True)
            yield from ((_line_name(journal, number), line) for number, line in enumerate(lines, 1))

    def _listed(self) -> dict[str, Listed]:
        listed = self.objects.listed()
        if CONFIG not in listed:  # the copy may be all that is left
            known = "any more" if self._layout.fetched.exists() else "that was made whole"
            message = f"there is no lake at {self.objects.url} {known}; {self._layout.root} is this host's copy"
            raise LakeFormatError(
                message, hint="see to the bucket; an init that was interrupted goes on when run again"
            )
        return listed

    def _get(self, names: Iterable[str]) -> dict[str, tuple[bytes, str]]:
        """Return the bytes and tags of small objects, those that are there."""

        def one(name: str) -> tuple[bytes, str] | None:
            with suppress(FileNotFoundError):
                return self.objects.get(name)
            return None

        asked = list(names)
        with ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            return {name: each for name, each in zip(asked, pool.map(one, asked), strict=True) if each is not None}

    def _fetch(self, names: Sequence[str], listed: Mapping[str, Listed]) -> list[str]:
        """Bring objects into the copy that it has not, the log's entries last and in order; return which.

        One that was removed since, or is not what its name says, is passed over: a verification tells of it.
        """

        def one(name: str, draft: Path) -> bool:
            with suppress(FileNotFoundError):
                return digest_in(name) in (None, self.objects.fetch(name, draft, listed[name].size))
            return False

        if not names:
            return []
        order = sorted(names, key=lambda name: (name.startswith(_LOG), name))
        with workspace(self._layout.staging) as folder, ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            drafts = [folder / str(number) for number in range(len(order))]
            brought = {
                name: draft
                for name, draft, is_whole in zip(order, drafts, pool.map(one, order, drafts), strict=True)
                if is_whole
            }
            self._copy({name: draft for name, draft in brought.items() if not name.startswith(_LOG)})
            for name, draft in brought.items():
                if name.startswith(_LOG):
                    self._copy({name: draft})
        return list(brought)

    def _is_same(self, name: str, draft: Path, size: int) -> bool:
        """Return whether an object is what the copy has, and mend the copy by it if its name says so."""
        try:
            digest = self.objects.fetch(name, draft, size)
        except FileNotFoundError:  # removed meanwhile
            return True
        try:
            own = None
            with suppress(OSError):
                own = _digest(self._layout.root / name)
            if own != digest == digest_in(name):
                self._copy({name: draft})
                return True
            return own == digest
        finally:
            draft.unlink(missing_ok=True)

    def _follow(self, journal: str, listed: Iterable[str]) -> None:
        """Write the lines of a journal into its file that the bucket has and the file has not."""
        prefix = f"{journal}/"
        last = sum(name.startswith(prefix) and _LINE.match(name, len(prefix)) is not None for name in listed)
        path = self._layout.root / f"{journal}.jsonl"
        if not last:
            return
        with appending(path, within=self._layout.root) as file:
            have = file.lines().count(b"\n")
            wanted = [_line_name(journal, number) for number in range(have + 1, last + 1)]
            got = self._get(wanted)
            lines = b"".join(got[name][0] for name in wanted if got.keys() >= set(wanted))
            if lines:
                file.append(lines.removesuffix(b"\n"))

    def _remove(self, gone: Iterable[str], known: _Known, edits: Collection[str]) -> None:
        """Remove files of the copy that the bucket has not any more, and data files only where the log says so."""
        leaving = {name for name in gone if name not in edits and (not _is_edited(name) or name in known.tags)}
        leaving -= {name for name in leaving if name.startswith(_LOG)}
        left = {name.rpartition("/")[2].encode(): name for name in leaving if name.startswith("events/")}
        for entry in reversed(self._disk.names(_LOG.rstrip("/")) if left else ()):
            for line in self._disk.read(entry).splitlines() if left and entry.endswith(".json") else ():
                for part in [part for part in left if part in line]:
                    if line.startswith((b'{"add"', b'{"remove"')):
                        name = left.pop(part)
                        leaving -= {name} if line.startswith(b'{"add"') else set()
        self._disk.remove(sorted(leaving))

    def _forget(self) -> None:
        """Remove what this host counted and remembered: a deletion elsewhere may have taken events of it."""
        root = self._layout.root
        for lock in (self._layout.summaries_lock, self._layout.remembered_lock):
            if lock.parent.exists():
                check_folder(lock.parent, within=root)
                with exclusive(lock, wait_seconds=LOCK_SECONDS):
                    for path in {*lock.parent.iterdir()} - {lock}:
                        remove_any(path, within=root)

    def _edits(self, known: _Known) -> Iterator[str]:
        """Yield the names of files that were edited in the copy since the bucket had them."""
        published = known.published | self._published
        for name in filter(_is_edited, self.kept()):
            if _digest(self._layout.root / name) != published.get(name):
                yield name

    def _set_aside(self, name: str, data: bytes) -> str:
        path = self._layout.root / "set-aside" / f"{name}.{sha256(data).hexdigest()[:8]}"
        make_folders(path.parent, below=self._layout.root)
        write_whole(path, data)
        return str(path)

    def _copy(self, files: Mapping[str, bytes | Path]) -> None:
        """Put what the bucket has into the copy, whatever that held."""
        try:
            for name in self._disk.create(files) if files else ():
                data = files[name]
                whole = data if isinstance(data, bytes) else data.read_bytes()
                if not self._disk.swap(name, whole, found(self._disk, name)):
                    raise StorageError(name, "another process has written to the copy meanwhile", hint="run it again")
        except OSError as error:
            for name in files:
                self.objects.tags.pop(name, None)  # so that it is fetched
            why = f"the bucket has it, and the copy in {self._layout.root} has not: {error.strerror or error}"
            raise StorageError(next(iter(files)), why, hint="see to the disk; opening the lake fetches it") from error

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
    """Put a lake of this host's folder into its bucket, and return the names that are taken; again, it is finished.

    The first log entry comes first, which only one of two writers gets, and ``lake.toml`` last.

    Raises:
        OSError: It may lie there in part.
    """
    first = f"{_LOG}{0:020d}.json"
    files = {name: data for name in mirror.kept() if not _has_key(name, data := mirror.read(name))}
    for some in ({first}, files.keys() - {first, CONFIG}, {CONFIG}):
        if taken := mirror.create({name: files[name] for name in sorted(some)}):
            return taken
        if first in some and (taken := mirror.objects.create(dict(mirror.lines()))):
            return taken
    mirror.keep_tags()
    return ()


def _is_kept(name: str) -> bool:
    """Return whether a bucket and its copies have a file; a name that leads elsewhere is none."""
    return _NAME.match(name) is not None and name.isprintable() and len(name.encode()) <= _LONGEST


def _is_edited(name: str) -> bool:
    return name.partition("/")[0] in _EDITED


def _line_name(journal: str, number: int) -> str:
    return f"{journal}/{number:010d}.json"


def _has_key(name: str, data: bytes | Path) -> bool:
    """Return whether a file has a private key; events and quarantine have what logs had."""
    if name.startswith(("events/", "quarantine/")) or (isinstance(data, Path) and data.stat().st_size > _SMALL):
        return False
    return _SECRET in (data if isinstance(data, bytes) else data.read_bytes())


def _digest(data: bytes | Path) -> str:
    if isinstance(data, bytes):
        return sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
