"""The files behind one followed path: the one that has the name now, those that had it before, and copies of them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from auditlake.errors import SourceError
from auditlake.sources.model import Rejected
from auditlake.tail.identify import Occurrences
from auditlake.tail.lines import Lines, Stretch
from auditlake.tail.place import EDGE, Place, edges, fingerprint

CHUNK = 1024 * 1024
"""How many bytes are read, landed and synced at a time."""
_MOST_LINKS = 40
"""How many links lead to a file at most, as Linux has it."""
LOOK_BACK = 256 * 1024 * 1024
"""How many bytes before a place are read again to know how often their records came."""


class Input:
    """One open file and how far it is read. At a place other than the beginning, what stands before it is counted.

    Args:
        descriptor: The file, open for reading; closed with the input.
        max_record: Bytes of the longest record.
        position: Where to go on, at the beginning of a line.
        line: The number of that line.
        occurrences: Of the records before it, where they are known already.
        plain: Whether its lines are no JSON.
    """

    def __init__(
        self,
        descriptor: int,
        max_record: int,
        position: int = 0,
        line: int = 1,
        occurrences: Occurrences | None = None,
        *,
        plain: bool = False,
    ) -> None:
        self.descriptor = descriptor
        self.changed = os.fstat(descriptor).st_mtime_ns
        """The file's time of change when it was last looked at, in ns."""
        self.occurrences = occurrences or Occurrences()
        self.lines = Lines(position, line, max_record)
        """What has been read of it."""
        self._first, self._last = edges(descriptor, position)
        if occurrences is None:
            self._count_back(position, max_record, plain=plain)

    def _count_back(self, position: int, max_record: int, *, plain: bool) -> None:
        start = max(position - LOOK_BACK, 0)
        lines = Lines(start, 1, max_record)
        cut = start > 0  # then the first record is perhaps the end of one
        for at in range(start, position, CHUNK):
            found = lines.feed(os.pread(self.descriptor, min(CHUNK, position - at), at))
            records = [
                each for one in found if isinstance(one, Stretch) for each in one.records(max_record, plain=plain)
            ]
            for record in records[1:] if cut else records:
                if isinstance(record, bytes):
                    self.occurrences.count(record)
            cut = cut and not found

    def read(self, until: int | None = None) -> list[Stretch | Rejected] | None:
        """Return the lines that the next bytes complete; None where there are none, or the file is not what
        it was.

        Args:
            until: How far to read at most, in bytes; the file's end if None.
        """
        if not self.intact():
            return None
        most = CHUNK if until is None else max(0, min(CHUNK, until - self._seen))
        chunk = os.pread(self.descriptor, most, self._seen)
        self._first = (self._first + chunk[:EDGE])[:EDGE]
        self._last = (self._last + chunk[-EDGE:])[-EDGE:]
        return self.lines.feed(chunk) if chunk else None

    @property
    def _seen(self) -> int:
        return self.lines.position + self.lines.unfinished

    def place(self) -> Place:
        """Where it is now."""
        status, edge = os.fstat(self.descriptor), fingerprint(self._first, self._last)
        where = (self.lines.position, self.lines.line, self._seen)
        return Place(*where, status.st_size, self.changed, status.st_dev, status.st_ino, edge)

    @property
    def modified(self) -> float:
        """When the file was last modified, in seconds since 1970."""
        return os.fstat(self.descriptor).st_mtime

    def untouched(self) -> bool:
        """Whether nothing can have happened to the file that one would not see: one of which nothing was read yet can
        have been written, copied and cut.
        """
        return self.intact() and (self._seen > 0 or self.changed == os.fstat(self.descriptor).st_mtime_ns)

    def intact(self) -> bool:
        """Whether the file still has what was read of it: not once it has been cut and perhaps written anew."""
        return edges(self.descriptor, self._seen) == (self._first, self._last)

    def has(self, place: Place) -> bool:
        """Whether a place is in this file, or in one that it is a copy of."""
        return place.fits(self.descriptor) and (place.seen > 0 or place.is_at(os.fstat(self.descriptor)))

    def is_at(self, descriptor: int) -> bool:
        """Whether another descriptor is of the same file."""
        return os.path.sameopenfile(self.descriptor, descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)


class _Name:
    """A name that the followed file has, and what it is called once it is rotated: the same with a number or a date
    behind it or before its suffix. What a link leads to may have its own date, which the file before it had not.
    """

    def __init__(self, path: Path, *, is_target: bool = False) -> None:
        self.path = path
        number = r"[.-]\d[\d.:T_-]*"
        stem, suffix = re.escape(path.stem), re.escape(path.suffix)
        if is_target and (dated := re.fullmatch(rf"(.*?[^\d.:T_-])({number})", path.stem)):
            stem = rf"{re.escape(dated[1])}(?:{number})?"
        self._rotated = re.compile(rf"(?:{stem}{suffix}{number}|{stem}{number}{suffix})\Z")

    def had(self, name: str) -> bool:
        """Whether a file of the same folder, by its name now, may have had this name before."""
        return self._rotated.match(name) is not None and name != self.path.name


class Family:
    """A path and the names that its file gets when it is rotated, in its own folder; a file that was renamed may have
    any name there. Where the path is a link, that goes for what it leads to as well, wherever that lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def current(self) -> int | None:
        """Open the file that has the name now; return None where there is none.

        Raises:
            SourceError: It cannot be read, or is no file.
        """
        try:
            return self._opened(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def find(self, known: Place) -> int | None:
        """Open the file in which the place is: the very file if it is there, else a copy of it."""
        copies: list[int] = []
        for path, inode, is_current, had in self._siblings():
            named = is_current or had
            if (inode != known.inode and not named) or (descriptor := self._tried(path)) is None:
                continue
            if known.fits(descriptor):
                if known.is_at(os.fstat(descriptor)):
                    copies.insert(0, descriptor)
                    continue
                if known.seen and named:
                    copies.append(descriptor)
                    continue
            os.close(descriptor)
        for each in copies[1:]:
            os.close(each)
        return copies[0] if copies else None

    def since(self, changed: int, known: Sequence[int]) -> list[int]:
        """Open the files that had the name before and were changed then or later, the oldest first, without
        those known.
        """
        descriptors = []
        for path, _, _, had in self._siblings():
            descriptor = self._tried(path) if had else None
            if descriptor is None:
                continue
            last = os.fstat(descriptor).st_mtime_ns
            if last >= changed and not any(os.path.sameopenfile(descriptor, each) for each in known):
                descriptors.append((last, descriptor))
            else:
                os.close(descriptor)
        return [descriptor for _, descriptor in sorted(descriptors)]

    def _siblings(self) -> list[tuple[Path, int, bool, bool]]:
        """Return the files of the folders, by name: path, inode, whether it has the name now, whether it may
        have had it.
        """
        siblings = []
        for folder, names in self._folders().items():
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file():
                        has = any(entry.name == name.path.name for name in names)
                        had = any(name.had(entry.name) for name in names)
                        siblings.append((Path(entry.path), entry.inode(), has, had))
        return sorted(siblings)

    def _folders(self) -> dict[str, list[_Name]]:
        """Return the names that the file has on the way that links lead, by the folder that they lie in."""
        folders: dict[str, list[_Name]] = {}
        path = self.path
        for hop in range(_MOST_LINKS):
            folders.setdefault(os.path.realpath(path.parent), []).append(_Name(path, is_target=hop > 0))
            try:
                path = path.parent / path.readlink()
            except OSError:  # it is no link
                break
        return folders

    def _tried(self, path: Path) -> int | None:
        with suppress(OSError):
            return self._opened(path)
        return None

    def _opened(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(None, "it is no file; a pipe is followed as standard input: auditlake tail - < PIPE")
        return descriptor
