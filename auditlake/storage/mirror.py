"""A lake in a bucket, as one host has it: the objects, and a copy of them in a folder of its disk.

What is written goes to the bucket first, which decides, and then to the copy; what is read is read from the copy, as
fast as from any disk. The copy is brought up to date when the lake is opened, and before each change.

Nearly all objects are made once: the log's entries, and what is named by its content or its place. Such a file is
fetched while the copy has none of its name, and its bytes must be those that its name says. A data file is fetched when
it is first asked for. Once the log has taken it away, it leaves the copy with the certificate of a deletion, or else as
a verification finds that the bucket has it no more: sessions under way may read it. The few that change go by
the tag of their last bytes. A version is whole by its log entry alone, so a bucket that others write to meanwhile is
no trouble: what says how far the lake has come is read before all else, and put into the copy after it. Only the
ledger's checkpoint must be that of before once all else is here, since a tile goes when there is a longer one.

Any host may write, one at a time by a lease. That is for speed: a commit is a PUT that only one of two writers gets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import count
from pathlib import Path

from auditlake.disk.chained import appending
from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import check_folder, remove_any
from auditlake.disk.layout import Layout
from auditlake.disk.lock import LOCK_SECONDS, exclusive, workspace
from auditlake.errors import LakeFormatError, StorageError
from auditlake.storage.bound import Bound
from auditlake.storage.disk import Disk
from auditlake.storage.hosts import give_up_shared
from auditlake.storage.known import Known
from auditlake.storage.model import found
from auditlake.storage.names import (
    AFTER_COMMITS,
    ALWAYS,
    ASKED,
    CHANGES,
    CONFIG,
    DATA,
    EDITED,
    HEADS,
    JOURNALS,
    KEY,
    LINE,
    LOG,
    MADE,
    digest_of,
    has_key,
    has_longer,
    is_edited,
    is_kept,
    is_ours,
    lies_in,
    line_name,
    live_files,
)
from auditlake.storage.objects import AT_ONCE, Listed, ObjectStore, digest_in
from auditlake.storage.ranges import Bucket

_SECONDS = 60.0
"""How long a bucket is looked at again whose ledger moves on meanwhile."""


class Mirror:
    """A lake in a bucket as :class:`auditlake.storage.model.Storage`.

    Args:
        layout: The folder of this host.
        objects: The bucket.
        most: How many bytes of data files the copy keeps; any number if None.
    """

    def __init__(self, layout: Layout, objects: ObjectStore, *, most: int | None = None) -> None:
        self.objects = objects
        self._layout = layout
        self._disk = Disk(layout.root)
        self._bound = Bound(layout.root, self.stored, most)
        self.bucket = Bucket(layout.root, objects, self.local, self._bound.missing)
        """Its data files, for DuckDB."""
        self._published: dict[str, str] = {}
        """The SHA-256 of each file that people edit which was written since the tags were written down."""

    def names(self, folder: str = "", after: str = "") -> list[str]:
        """Return the names of all files below a folder of the copy."""
        return self._disk.names(folder, after)

    def read(self, name: str, part: tuple[int, int] | None = None) -> bytes:
        """Return the bytes of a file of the copy; one of the ledger's that only the bucket has is fetched."""
        if name.rpartition("/")[0] in ASKED and not (self._layout.root / name).exists():
            data = self.objects.read(name)
            if digest_in(name) == digest_of(data):
                with suppress(StorageError):  # who may only read the copy
                    self._copy({name: data})
            return data
        return self._disk.read(name, part)

    def local(self, names: Sequence[str]) -> list[str]:
        """Return where files of the copy lie; those that only the bucket has are fetched.

        Raises:
            FileNotFoundError: The bucket has none of a name.
            StorageError: One is not what its name says.
        """
        self.local_again(names)
        return self._disk.local(names)

    def local_again(self, names: Sequence[str]) -> Sequence[str]:
        """Fetch those of some files that the copy has not, and return their names; see :meth:`local`."""
        away = self._bound.missing(names)
        if wrong := {*away}.difference(self.fetch(away)):
            self.objects.about(name := min(wrong))
            why = "its bytes are not those that its name says"
            raise StorageError(f"{self.objects.url}/{name}", why, hint="restore it from a backup")
        return away

    def create(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make files, in the bucket first."""
        for name, data in files.items():
            if has_key(name, data):
                raise StorageError(name, "it has a private key, and none may get into a bucket")
        taken = self.objects.make(files)
        ours = {name: data for name, data in files.items() if name not in taken}
        digests = {name: digest_of(data) for name, data in ours.items() if is_edited(name)}
        self._copy(ours)
        self._published |= digests
        return taken

    def swap(self, name: str, data: bytes, seen: bytes | None) -> bool:
        """Replace a file, in the bucket first."""
        if has_key(name, data):
            raise StorageError(name, "it has a private key, and none may get into a bucket")
        if not self.objects.swap(name, data, seen):
            return False
        self._copy({name: data})
        if is_edited(name):
            self._published[name] = digest_of(data)
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
        if self.objects.create({line_name(name.removesuffix(".jsonl"), number): line}):
            raise StorageError(name, f"another host has written entry {number} meanwhile", hint="run it again")

    def keep_entry(self, path: Path, data: bytes) -> None:
        """Put an entry of the log that the bucket has into the copy, if that has the one before it.

        Raises:
            OSError: The disk refused.
        """
        give_up_shared(self._layout, [data])
        if int(path.stem) and path.with_name(f"{int(path.stem) - 1:020d}.json").exists():
            self._copy({self._layout.name(path): data})

    def follow(self, name: str) -> None:
        """Bring the copy of a journal up to date.

        Raises:
            OSError: The bucket cannot be read, or the disk refused.
        """
        journal = name.removesuffix(".jsonl")
        self._follow(journal, self.objects.names(journal, self._last_line(journal)))

    def offer(self, files: Mapping[str, Path]) -> Collection[str]:
        """Put files of the copy into the bucket as :meth:`create` does; they stay where they are."""
        taken = self.objects.make(files)
        self._published |= {name: digest_of(path) for name, path in files.items() if is_edited(name)}
        return taken

    def push(self) -> None:
        """Put what people have edited in the copy into the bucket. The caller holds the lock of this host's folder.

        Raises:
            OSError: The bucket or the copy cannot be read, or the bucket refused.
        """
        for name in self._edits(Known.read(self._layout)):
            data = self._disk.read(name)
            if not (has_key(name, data) or self.swap(name, data, self.objects.found(name))):
                raise StorageError(name, "another host has replaced it meanwhile", hint="run it again")

    def update(self) -> None:
        """Bring the copy up to date. The caller holds the lock of this host's folder.

        Raises:
            LakeFormatError: The bucket has no lake, or another than the copy; or a file was edited here and elsewhere.
            StorageError: Its ledger moved on for a minute while this host looked, however often.
            OSError: The bucket cannot be read, or the disk refused.
        """
        known, brought, began = Known.read(self._layout), list[str](), time.monotonic()
        for looks in count(1):
            heads, here = self._get(HEADS), set(self.kept())
            listed, folders = self._news(known, heads, here)
            names = {name: each for name, each in listed.items() if is_kept(name) and not DATA.match(name)}
            brought += self.fetch([name for name in names if name not in here and not CHANGES.match(name)], names)
            if self._get(HEADS[:1]).items() <= heads.items():
                break  # what the checkpoint counts was there all the while: tiles go when it has moved on
            if time.monotonic() - began >= _SECONDS:
                why = f"its ledger moved on at each of {looks} looks in {_SECONDS:g} s"
                raise StorageError(self.objects.url, why, hint="hosts write all the while; try again")
        for journal in JOURNALS:
            self._follow(journal, listed)
        got = self._get(
            name
            for name in names.keys() - heads.keys()
            if CHANGES.match(name) and (known.tags.get(name) != names[name].tag or name not in here)
        )
        edits, kept = set(self._edits(known)), ""
        for name in sorted(edits & got.keys()):
            if (own := self._disk.read(name)) != got[name][0]:
                kept = self._set_aside(name, own)
        got |= {name: each for name, each in heads.items() if known.tags.get(name) != each[1] or name not in here}
        for name in sorted(got, key=lambda name: (name in HEADS, name == CONFIG)):
            self._copy({name: got[name][0]})
        gone = {name for name in here - names.keys() - heads.keys() if lies_in(name, folders)}
        self._disk.remove(sorted(n for n in gone if n not in edits and (not is_edited(n) or n in known.tags)))
        if any(name.startswith("certificates/") for name in brought):
            self._forget()
            self.drop_replaced([*self.data()])
            if asked := {name for name in here if name.rpartition("/")[0] in ASKED}:
                self._disk.remove(sorted(asked - self._lists(dict.fromkeys(ASKED, "")).keys()))
        tags = {name: tag for name, tag in known.tags.items() if name not in gone}
        tags |= {name: tag for name, (_, tag) in got.items()}
        digests = {name: digest_of(data) for name, (data, _) in got.items() if is_edited(name)}
        if tags != known.tags or digests:
            Known(tags, known.published | digests).write(self._layout)
        if kept:
            message = f"{kept} was changed here and by another host: that one's is in force"
            raise LakeFormatError(message, hint="bring what you want of it into the lake's file, and try again")

    def bring(self, names: Iterable[str]) -> Collection[str]:
        """Bring objects into the copy that it has not, and return which of them are there.

        Args:
            names: The objects, each of which is named by its content.

        Raises:
            OSError: The bucket cannot be read, or the disk refused.
        """
        asked = {*names}
        missing = self._bound.missing(asked)
        return asked.difference(missing) | {*self.fetch(missing)}

    def compare(self) -> list[str]:
        """Fetch every object, and return the names of those that are not what the copy has; nothing of them is kept.

        A file of the copy that is not what its name says is replaced where the bucket has the right one.

        Raises:
            OSError: The bucket cannot be read, or the disk refused.
        """
        listed = self.objects.listed()
        data = [name for name in listed if DATA.match(name)]
        self.drop_replaced({*self.data()}.difference(data))
        live = live_files(self._disk, {*data, *self.data()})
        names = [name for name in listed if is_kept(name) and not CHANGES.match(name)]
        here = {*self.kept()}
        # Of what has come since, no copy: this one is a version, and all that its log speaks of.
        names = [n for n in names if n in live or (not DATA.match(n) and (n in here or digest_in(n) is not None))]
        with workspace(self._layout.staging) as folder, ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            drafts = [folder / str(number) for number in range(len(names))]
            same = list(pool.map(self._is_same, names, drafts, [listed[name].size for name in names]))
        wrong = [name for name, is_same in zip(names, same, strict=True) if not is_same]
        lost = [name for name in (*here, *live) if name not in listed and not is_edited(name)]
        wrong += sorted(name for name in lost if not has_longer(name, listed))
        for journal in JOURNALS:
            for number, line in enumerate(self._lines(journal), 1):
                if self.objects.found(name := line_name(journal, number)) != line:
                    wrong.append(name)
        return wrong

    def keep_tags(self) -> None:
        """Write down what this process wrote, so that no process fetches it; if that fails, one does."""
        written = {name: tag for name, tag in self.objects.tags.items() if is_kept(name) and CHANGES.match(name)}
        if written or self._published:
            known = Known.read(self._layout)
            Known(known.tags | written, known.published | self._published).write(self._layout)
        self.objects.tags.clear()
        self._published.clear()

    def kept(self) -> Iterator[str]:
        """Yield the names of the files of the copy that a bucket has, without journals and data files."""
        for name in (*EDITED, *MADE, ".batch", ".history"):
            if (self._layout.root / name).is_dir():
                yield from filter(is_kept, self._disk.names(name))
            elif (self._layout.root / name).is_file():
                yield name

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield the lines of the journals of the copy, each with the name that it has in a bucket."""
        for journal in JOURNALS:
            yield from ((line_name(journal, number), line) for number, line in enumerate(self._lines(journal), 1))

    def _lines(self, journal: str) -> list[bytes]:
        return (found(self._disk, f"{journal}.jsonl") or b"").splitlines(keepends=True)

    def _last_line(self, journal: str) -> str:
        """Return the name of the last line that the copy has of a journal, of number 0 where it has none."""
        return line_name(journal, sum(line.endswith(b"\n") for line in self._lines(journal)))

    def stored(self, days: Collection[str] | None = None) -> dict[str, Listed]:
        """Return the data files in the bucket by name, as they are listed.

        Args:
            days: The folders to look into; all if None.

        Raises:
            OSError: The bucket cannot be read.
        """
        listed = self._lists(dict.fromkeys(["events"] if days is None else sorted(days), ""))
        return {name: each for name, each in listed.items() if DATA.match(name)}

    def data(self) -> Iterator[str]:
        """Yield the names of the data files of the copy."""
        return filter(DATA.match, self._disk.names("events"))

    def _news(
        self, known: Known, heads: Mapping[str, tuple[bytes, str]], here: Collection[str]
    ) -> tuple[dict[str, Listed], list[str]]:
        """Return the objects that the copy may not have, or not as they are, and the folders that it has all of.

        Raises:
            LakeFormatError: The bucket has no lake, or another than the copy.
            OSError: It cannot be read.
        """
        listed, folders = self.objects.top()
        if CONFIG not in listed:  # the copy may be all that is left
            known_as = "any more" if self._layout.fetched.exists() else "that was made whole"
            message = f"there is no lake at {self.objects.url} {known_as}; {self._layout.root} is this host's copy"
            raise LakeFormatError(
                message, hint="see to the bucket; an init that was interrupted goes on when run again"
            )
        whole = ["", *EDITED, *ALWAYS]
        last = max((name for name in here if name.startswith(LOG) and name.endswith(".json")), default="")
        if last and not known.tags and self.objects.found(last) != self._disk.read(last):
            # Never a copy of this bucket: a lake that was to get there, or got there from elsewhere meanwhile.
            message = f"the log in {self._layout.root} is another one than that of {self.objects.url}"
            raise LakeFormatError(message, hint="move the folder away, and open the lake by its address")
        after = last.removesuffix("json")
        with suppress(LookupError, ValueError, TypeError):  # the copy may have entries of after it, and not its file
            after = min(after, f"{LOG}{json.loads(heads[HEADS[1]][0])['version']:020d}.")
        some = {LOG.rstrip("/"): after} | {each: self._last_line(each) for each in JOURNALS}
        some |= dict.fromkeys(whole, "")
        listed |= self._lists({name: after for name, after in some.items() if name.partition("/")[0] in folders})
        is_new = any(known.tags.get(name) != tag for name, (_, tag) in heads.items())
        if is_new or any(name not in here and not CHANGES.match(name) and is_ours(name) for name in listed):
            listed |= self._lists(dict.fromkeys(AFTER_COMMITS, ""))
            with suppress(FileNotFoundError):
                listed[KEY] = self.objects.about(KEY)
            whole += (*AFTER_COMMITS, KEY)
        return listed, whole

    def _lists(self, folders: Mapping[str, str]) -> dict[str, Listed]:
        """Return the objects of some folders, those of each after a name."""
        with ThreadPoolExecutor(AT_ONCE, "auditlake-list") as pool:
            found = pool.map(self.objects.listed, folders.keys(), folders.values())
            return {name: each for listed in found for name, each in listed.items()}

    def _get(self, names: Iterable[str]) -> dict[str, tuple[bytes, str]]:
        """Return the bytes and tags of small objects, those that are there."""

        def one(name: str) -> tuple[bytes, str] | None:
            with suppress(FileNotFoundError):
                return self.objects.get(name)
            return None

        asked = list(names)
        with ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool:
            return {name: each for name, each in zip(asked, pool.map(one, asked), strict=True) if each is not None}

    def fetch(self, names: Sequence[str], listed: Mapping[str, Listed] | None = None) -> list[str]:
        """Bring objects into the copy that it has not, the log's entries last and in order; return which.

        One that was removed since, or is not what its name says, is passed over: a verification tells of it.
        """

        def one(name: str, draft: Path) -> bool:
            with suppress(FileNotFoundError):
                size = listed[name].size if listed is not None else None
                return digest_in(name) in (None, self.objects.fetch(name, draft, size))
            return False

        if not (order := sorted(names, key=lambda name: (name.startswith(LOG), name))):
            return []
        with (
            self._refused(order), workspace(self._layout.staging) as folder,
            ThreadPoolExecutor(AT_ONCE, "auditlake-get") as pool,
        ):  # fmt: skip
            drafts = [folder / str(number) for number in range(len(order))]
            brought = {
                name: draft
                for name, draft, is_whole in zip(order, drafts, pool.map(one, order, drafts), strict=True)
                if is_whole
            }
            entries = (draft for name, draft in brought.items() if name.startswith(LOG) and name.endswith(".json"))
            give_up_shared(self._layout, map(Path.read_bytes, entries))
            self._copy({name: draft for name, draft in brought.items() if not name.startswith(LOG)})
            for name, draft in brought.items():
                if name.startswith(LOG):
                    self._copy({name: draft})
        return list(brought)

    def _is_same(self, name: str, draft: Path, size: int) -> bool:
        """Return whether an object is what the copy has, and complete or mend the copy by it if its name says so."""
        try:
            digest = self.objects.fetch(name, draft, size)
        except FileNotFoundError:  # removed meanwhile
            return True
        try:
            own = None
            with suppress(OSError):
                own = digest_of(self._layout.root / name)
            if own != digest and digest_in(name) in ((digest,) if own else (digest, None)):
                self._copy({name: draft})
                return True
            return own == digest
        finally:
            draft.unlink(missing_ok=True)

    def _follow(self, journal: str, listed: Iterable[str]) -> None:
        """Write the lines of a journal into its file that the bucket has and the file has not."""
        prefix = f"{journal}/"
        last = max((name for name in listed if name.startswith(prefix) and LINE.match(name, len(prefix))), default="")
        path = self._layout.root / f"{journal}.jsonl"
        if not last:
            return
        with appending(path, within=self._layout.root) as file:
            numbers = range(file.lines().count(b"\n") + 1, int(last[len(prefix) : -len(".json")]) + 1)
            wanted = [line_name(journal, number) for number in numbers]
            got = self._get(wanted)
            lines = b"".join(got[name][0] for name in wanted if got.keys() >= set(wanted))
            if lines:
                file.append(lines.removesuffix(b"\n"))

    def drop_replaced(self, names: Collection[str]) -> None:
        """Remove those of some data files of the copy that the newest version has not."""
        self._disk.remove(sorted({*names} - live_files(self._disk, names)))

    def _forget(self) -> None:
        """Remove what this host counted and remembered: a deletion elsewhere may have taken events of it."""
        root = self._layout.root
        for lock in (self._layout.summaries_lock, self._layout.remembered_lock):
            if lock.parent.exists():
                check_folder(lock.parent, within=root)
                with exclusive(lock, wait_seconds=LOCK_SECONDS):
                    for path in {*lock.parent.iterdir()} - {lock}:
                        remove_any(path, within=root)

    def _edits(self, known: Known) -> Iterator[str]:
        """Yield the names of files that were edited in the copy since the bucket had them."""
        published = known.published | self._published
        for name in filter(is_edited, self.kept()):
            if digest_of(self._layout.root / name) != published.get(name):
                yield name

    def _set_aside(self, name: str, data: bytes) -> str:
        path = self._layout.root / "set-aside" / f"{name}.{sha256(data).hexdigest()[:8]}"
        make_folders(path.parent, below=self._layout.root)
        write_whole(path, data)
        return str(path)

    def _copy(self, files: Mapping[str, bytes | Path]) -> None:
        """Put what the bucket has into the copy, whatever that held."""
        with self._refused(files):
            for name in self._disk.create(files) if files else ():
                data = files[name]
                whole = data if isinstance(data, bytes) else data.read_bytes()
                if not self._disk.swap(name, whole, found(self._disk, name)):
                    raise StorageError(name, "another process has written to the copy meanwhile", hint="run it again")
        self._bound.hold(files)

    @contextmanager
    def _refused(self, names: Collection[str]) -> Iterator[None]:
        """Say of objects that the copy is to have what the disk refused."""
        try:
            yield
        except OSError as error:
            for name in names:
                self.objects.tags.pop(name, None)  # so that it is fetched
            if isinstance(error, StorageError):
                raise
            why = f"the bucket has it, and the copy in {self._layout.root} has not: {error.strerror or error}"
            raise StorageError(next(iter(names)), why, hint="see to the disk; opening the lake fetches it") from error
