"""A consistent copy of a lake while others write to it: ``backup``. Restoring it is copying it back.

Data files never change, so they are copied before anything is held up. Then, under the lake's lock, come those that
were committed meanwhile and all that is small: log, ledger, landing, policies. No process that logs waits; what was
acknowledged before the backup began is in it.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from auditlake.collect.lines import shared_lines
from auditlake.context import LakeContext
from auditlake.disk.durable import make_folders, sync_file, sync_folder, write_whole
from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import undisturbed
from auditlake.disk.rights import FILE_MODE, Rights, give, keep
from auditlake.errors import LakeError
from auditlake.ledger.keys import read_settings
from auditlake.storage.lake import bring_beside, check_format, folder_of, is_begun, is_url, put_into_bucket
from auditlake.store.bookkeeping import settle_ledger
from auditlake.store.failures import explained
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import lost_file, read_snapshot, whole_files

_LEFT_OUT = {
    ".staging",
    ".ids",
    ".lock",
    ".collect",
    ".nightly",
    ".remembered",
    ".summaries",
    ".bucket",
    ".fetched",
    ".host",
}
_UNFINISHED = {".draft", ".started"}
"""The endings of what a process is at: in a copy nobody would finish it."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """What a backup copied."""

    path: str
    snapshot: int
    """The newest version in it."""
    files: int
    size: int
    """Bytes."""


def backup(context: LakeContext, destination: str | Path, *, key: bool) -> BackupSummary:
    """Copy a lake to a folder or into a bucket; see :meth:`auditlake.AuditLake.backup`."""
    if not is_url(destination):
        return _backup(context, Path(destination).absolute(), key=key)
    url = str(destination)
    check_format(context.layout)
    if is_begun(url):
        raise LakeError(f"a copy that did not get to {url} lies in {folder_of(url)}", hint="remove it, and try again")
    copied = _backup(context, folder_of(url), key=key)
    put_into_bucket(Layout(folder_of(url)), url)
    return replace(copied, path=url)


def _backup(context: LakeContext, destination: Path, *, key: bool) -> BackupSummary:
    layout = context.layout
    if destination.exists() or destination.is_symlink():
        raise LakeError(f"there is something at {destination} already", hint="name a new folder")
    if destination.resolve().is_relative_to(layout.root.resolve()):
        raise LakeError(f"a backup cannot lie in the lake itself: {destination}")
    draft = destination.with_name(f".{destination.name}.{secrets.token_hex(6)}.draft")
    with explained(layout, "the backup"):
        keep(draft, context.config.files)
        make_folders(draft, below=Path(draft.anchor))
        try:
            copy = _Copy(layout, draft)
            copy.data(read_snapshot(layout))
            bring_beside(layout)
            with undisturbed(layout.lock, wait_seconds=context.wait_seconds) as is_writable:
                # What cannot be finished here, the next writer of the copy finishes.
                snapshot = settle_ledger(layout)[0] if is_writable else read_snapshot(layout)
                version = copy.rest(snapshot, key=key)
            copy.sync()
            os.replace(draft, destination)
            sync_folder(destination.parent)
        finally:
            keep(draft, Rights())
            shutil.rmtree(draft, ignore_errors=True)
    return BackupSummary(str(destination), version, copy.files, copy.size)


class _Copy:
    """A copy on its way."""

    def __init__(self, layout: Layout, target: Path) -> None:
        self._layout = layout
        self._target = Layout(target)
        self.files = 0
        self.size = 0

    def data(self, snapshot: Snapshot) -> None:
        """Copy the data files of a snapshot; without the lock, so a compaction may remove some."""
        for file in snapshot.files:
            with suppress(FileNotFoundError):
                self._file(*whole_files(self._layout, [file]))

    def rest(self, snapshot: Snapshot, *, key: bool) -> int:
        """Copy all else, under the lake's lock, and return the version."""
        if lost := lost_file(self._layout, snapshot):
            raise LakeError(f"the lake lost a file: {lost}", hint="auditlake doctor says what else is wrong")
        live = {self._layout.events / file.path for file in snapshot.files}
        for file in snapshot.files:
            if not self._copied(self._layout.events / file.path).exists():
                self._file(*whole_files(self._layout, [file]))
        for path in sorted(self._target.events.glob("event_date=*/*")):
            if self._layout.events / path.relative_to(self._target.events) not in live:
                path.unlink()  # a compaction replaced it meanwhile
        secret = self._secret(key=key)
        for path in self._others(self._layout.root):
            if not any(_is_same(path, each) for each in secret):
                # A flush may remove segments that are in the table, and writers their drafts.
                with suppress(FileNotFoundError):
                    self._file(path)
        if lines := shared_lines(self._layout):
            write_whole(self._target.collected, lines)
            self.files, self.size = self.files + 1, self.size + len(lines)
        return snapshot.version

    def _secret(self, *, key: bool) -> list[Path]:
        """Return the private keys to leave out: all unless ``key``, and those that lie outside of the lake."""
        settings, root = read_settings(self._layout), self._layout.root.resolve()
        keys = [each for each in (settings.key, settings.next_key) if each.exists()]
        return [each for each in keys if not key or not each.is_relative_to(root)]

    def sync(self) -> None:
        """Make the names durable; the files are already."""
        for folder, _, _ in os.walk(self._target.root, topdown=False):
            sync_folder(Path(folder))

    def _others(self, folder: Path) -> Iterator[Path]:
        """Yield every file but the data files and what writers have not finished."""
        for path in sorted(folder.iterdir()):
            if path.name in _LEFT_OUT or path.name.startswith("event_date=") or path.suffix in _UNFINISHED:
                continue
            if path.is_symlink():
                continue  # it leads to what is not the lake's; where that matters, opening the lake refuses it
            if path.is_dir():
                make_folders(self._copied(path), below=self._target.root)
                yield from self._others(path)
            elif path.is_file():
                yield path

    def _file(self, path: Path) -> None:
        with open_file(path, within=self._layout.root) as source:
            copied = self._copied(path)
            make_folders(copied.parent, below=self._target.root)
            with copied.open("xb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        shutil.copystat(path, copied)
        if copied.stat().st_mode & ~FILE_MODE & 0o777:  # what is its owner's alone stays so
            give(copied, copied)
        if path.suffix == ".jsonl" and not path.is_relative_to(self._layout.quarantine):
            _cut(copied)
        sync_file(copied)
        self.files += 1
        self.size += copied.stat().st_size

    def _copied(self, path: Path) -> Path:
        return self._target.root / path.relative_to(self._layout.root)


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two names lead to one file, by links of whatever kind."""
    with suppress(FileNotFoundError):
        return path.samefile(other)
    return False


def _cut(lines: Path) -> None:
    """End a file that is appended to with its last whole line: its writer may have been in the middle of one."""
    with lines.open("r+b") as file:
        if os.fstat(file.fileno()).st_size:  # an empty file cannot be mapped
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                end = data.rfind(b"\n") + 1
            file.truncate(end)
