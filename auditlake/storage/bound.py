"""How many data files of a bucket a host keeps: as many as fit into a bound if there is one, those asked for last.

A file stays for an hour after a process asked for it, whatever the bound: who was told where it lies may not have
opened it yet. Who has opened it reads on when it is removed. A file stays too that the bucket does not list with as
many bytes: it may be nowhere else.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from auditlake.disk.files import remove_file
from auditlake.errors import StorageError
from auditlake.machine import Clock, system_clock
from auditlake.storage.names import DATA
from auditlake.storage.objects import Listed

VARIABLE = "AUDITLAKE_COPY_MB"
"""The variable of the environment that has the bound, in millions of bytes; without it there is none."""
STAYS_SECONDS = 3600.0
"""How long a file stays that was asked for."""
_SPARE = 8
"""A part of so many is cleared beyond what must go, so that files are not looked through for each one that comes."""


def most_bytes() -> int | None:
    """Return the bound of the environment; None if there is none.

    Raises:
        StorageError: It is no number.
    """
    if not (value := os.environ.get(VARIABLE, "")):
        return None
    if not value.isdecimal():
        raise StorageError(VARIABLE, f"expected a number of megabytes, got {value!r}", hint="unset it for no bound")
    return int(value) * 1_000_000


class Bound:
    """The data files of the copy of one lake.

    Args:
        root: The folder of the copy.
        stored: Lists the data files that the bucket has in some folders.
        most: How many bytes they may have; any number if None.
        clock: Where the present comes from.
    """

    def __init__(
        self,
        root: Path,
        stored: Callable[[Collection[str]], Mapping[str, Listed]],
        most: int | None,
        clock: Clock = system_clock,
    ) -> None:
        self._root, self._stored, self._most, self._clock = root, stored, most, clock
        self._room = 0
        """How many bytes may come before all files are looked through again."""

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return which files the copy has not; the others stay for a while."""
        if self._most is None:
            return [name for name in names if not (self._root / name).exists()]
        with self._locked(fcntl.LOCK_SH):
            now = int(self._clock().timestamp() * 10**9)
            return [name for name in names if not _is_there(self._root / name, now)]

    def hold(self, brought: Collection[str]) -> None:
        """Remove what is too much now that some files have come; what cannot go now goes another time."""
        if self._most is not None and (data := [name for name in brought if DATA.match(name)]):
            with suppress(OSError):
                self._room -= sum((self._root / name).lstat().st_size for name in data)
                if self._room <= 0:
                    self._room = self._cleared(self._most)

    def _cleared(self, most: int) -> int:
        """Remove what is beyond the bound and may go, and return how many bytes may come until this is done again."""
        files = {path: path.lstat() for path in self._root.glob("events/event_date=*/*")}
        held = sum(status.st_size for status in files.values())
        if held > most:
            held -= self._remove(self._first(files, held - most + most // _SPARE), files)
        return max(most - held, most // _SPARE)

    def _remove(self, going: Iterable[Path], files: Mapping[Path, os.stat_result]) -> int:
        """Remove those of some files that were not asked for meanwhile and are in the bucket; return their bytes."""
        names = {path: path.relative_to(self._root).as_posix() for path in going}
        stored, removed = self._stored({name.rpartition("/")[0] for name in names.values()}) if names else {}, 0
        with self._locked(fcntl.LOCK_EX):
            for path, name in names.items():
                seen = files[path]
                with suppress(FileNotFoundError):
                    is_same = path.lstat().st_atime_ns == seen.st_atime_ns
                    if is_same and name in stored and stored[name].size == seen.st_size:
                        remove_file(path, within=self._root)
                        removed += seen.st_size
        return removed

    def _first(self, files: Mapping[Path, os.stat_result], size: int) -> Iterator[Path]:
        """Yield the files that were not asked for the longest, until they have so many bytes."""
        until = self._clock().timestamp() - STAYS_SECONDS
        for path in sorted(files, key=lambda path: files[path].st_atime_ns):
            if size <= 0 or files[path].st_atime > until:
                break
            yield path
            size -= files[path].st_size

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Keep who removes files and who is told of them apart, for moments."""
        folder = os.open(self._root / "events", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, how)
            yield
        finally:
            os.close(folder)


def _is_there(path: Path, now: int) -> bool:
    """Return whether a file is there, which is asked for now, in nanoseconds since 1970."""
    with suppress(OSError):
        changed = path.lstat().st_mtime_ns
        with suppress(OSError):  # who may only read the copy
            os.utime(path, ns=(now, changed), follow_symlinks=False)
        return True
    return False
