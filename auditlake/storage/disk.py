"""The files of a lake in a folder of a local disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditlake.disk.durable import DRAFT, drafting, sync_file, sync_folder, write_whole
from auditlake.disk.files import check_folder, descriptor_of, open_file, read_file, remove_file
from auditlake.disk.rights import give, make_folder
from auditlake.storage.model import found

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder as :class:`auditlake.storage.model.Storage`.

    A file is synced before it gets its name, by ``link`` where it is new and by ``rename`` where it replaces another,
    and its folder is synced after that. No link of the file system is followed below the folder.
    """

    root: Path
    """The folder."""

    def names(self, folder: str = "", after: str = "") -> list[str]:
        """Return the names of all files below a folder, without the drafts of writers that died."""
        with suppress(FileNotFoundError, NotADirectoryError):
            check_folder(self.root / folder, within=self.root)
            return sorted(name for name in _below(self.root / folder, f"{folder}/" if folder else "") if name > after)
        return []

    def read(self, name: str, part: tuple[int, int] | None = None) -> bytes:
        """Return the bytes of a regular file."""
        path = self.root / name
        if part is None:
            return read_file(path, within=self.root)
        begin, end = part
        with open_file(path, within=self.root) as file:
            file.seek(begin)
            data = file.read(end - begin)
        if len(data) < end - begin:
            raise OSError(errno.EIO, f"this ends before byte {end}", str(path))
        return data

    def create(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make files; each folder is synced once, whatever it gets."""
        return self._create(files, is_ours=False)

    def _create(self, files: Mapping[str, bytes | Path], *, is_ours: bool) -> set[str]:
        """Make files; ``is_ours`` says that no other program makes the folders that they lie in."""
        paths = {name: self.root / name for name in files}
        folders = sorted({path.parent for path in paths.values()})
        self._make(folders, is_ours=is_ours)
        taken = {name for name, path in paths.items() if not self._link(path, files[name])}
        for folder in folders:
            sync_folder(folder)
        return taken

    def swap(self, name: str, data: bytes, seen: bytes | None) -> bool:
        """Replace a file, whose writers take turns by a lock that the caller holds; no other program is one of them."""
        current = None if seen is None else found(self, name)
        if seen is None or current == data:  # whose writer may have died before it was durable
            return not self._create({name: data}, is_ours=True)
        if current != seen:
            return False
        write_whole(self.root / name, data)
        return True

    def remove(self, names: Iterable[str], *, synced: bool = True) -> None:
        """Remove files, and links that lie in their place."""
        folders = set()
        for name in names:
            path = self.root / name
            with suppress(FileNotFoundError, NotADirectoryError):
                remove_file(path, within=self.root)
                folders.add(path.parent)
        for folder in sorted(folders) if synced else ():
            sync_folder(folder)

    def local(self, names: Sequence[str]) -> list[str]:
        """Return where the files lie."""
        paths = [self.root / name for name in names]
        for path in paths:
            os.close(descriptor_of(path, within=self.root))
        return [str(path) for path in paths]

    def _make(self, folders: Iterable[Path], *, is_ours: bool) -> None:
        """Make folders that are not there, and let their names be durable before there is a file in them.

        Who made one may have died before it was durable, or be a program that syncs nothing. So the parent of each is
        synced, once, and all folders above one that has no file. Ours is durable once it has a file.
        """
        unsettled: set[Path] = set()
        for folder in folders:
            check_folder(folder, within=self.root)
            if (is_there := folder.is_dir()) and is_ours and _has_file(folder):
                continue
            above = [each for each in folder.parents if each.is_relative_to(self.root)]
            if not is_there:
                for each in (*reversed(above), folder):
                    make_folder(each)
            unsettled.update(above[:1] if _has_file(folder) else above)
        for each in sorted(unsettled):
            sync_folder(each)

    def _link(self, path: Path, data: bytes | Path) -> bool:
        """Give bytes a name that none has; return whether it has them now."""
        if not isinstance(data, Path):
            with drafting(path) as (draft, file):
                file.write(data)
            try:
                return self._name(draft, path)
            finally:
                draft.unlink()
        give(data, path)
        sync_file(data)
        if is_ours := self._name(data, path):
            data.unlink()  # another file written under its name would be written into this one
        return is_ours

    def _name(self, draft: Path, path: Path) -> bool:
        """Link a draft to a name that none has; return whether its bytes have it now."""
        try:
            os.link(draft, path)
        except OSError as error:
            # A disk on a network may lose the answer to a link: what lies there decides.
            if self._holds(path, draft):
                return True
            if not isinstance(error, FileExistsError):
                raise
            return False
        return True

    def _holds(self, path: Path, other: Path) -> bool:
        """Return whether a file has the bytes of another, and see that they are durable."""
        try:
            with open_file(path, within=self.root) as one, other.open("rb") as two:
                while (piece := one.read(_PIECE)) == two.read(_PIECE):
                    if not piece:
                        os.fsync(one.fileno())
                        return True
        except OSError as error:
            if error.errno == errno.EIO:
                raise
        return False


def _below(folder: Path, prefix: str) -> Iterator[str]:
    """Yield the names of files below a folder, in no order."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield from _below(Path(entry.path), f"{prefix}{entry.name}/")
            elif not entry.name.endswith(DRAFT):
                yield prefix + entry.name


def _has_file(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_file(follow_symlinks=False) and not entry.name.endswith(DRAFT) for entry in entries)
