"""A place in a file that was read, in a form that outlives the process and knows the file again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError

EDGE = 1024
"""How many bytes at the beginning of a file, and at the end of what was read of it, have to be the same."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: everything before it is in the landing."""

    position: int
    """Bytes from the start."""
    line: int
    """The number of the line that begins there, from 1."""
    seen: int
    """How far the file was read; from the position on, a line that was not whole."""
    size: int
    """How many bytes it had."""
    changed: int
    """Its time of change when it was last looked at, in ns: what had its name later was changed later."""
    device: int
    inode: int
    fingerprint: str
    """SHA-256 (hex) of the first bytes and of the last ones that were read, 1 KiB each where there are so many."""

    def is_at(self, status: os.stat_result) -> bool:
        """Whether this is the very file; another one can have got its number once it was removed."""
        return (status.st_dev, status.st_ino) == (self.device, self.inode)

    def fits(self, descriptor: int) -> bool:
        """Whether this open file begins with what was read, wherever it lies now."""
        return fingerprint(*edges(descriptor, self.seen)) == self.fingerprint


def edges(descriptor: int, seen: int) -> tuple[bytes, bytes]:
    """Return the first bytes of an open file, and the last before ``seen``; shorter where it does not have them."""
    edge = min(seen, EDGE)
    return os.pread(descriptor, edge, 0), os.pread(descriptor, edge, seen - edge)


def fingerprint(first: bytes, last: bytes) -> str:
    """See :attr:`Place.fingerprint`."""
    return hashlib.sha256(first + last).hexdigest()


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The file that keeps the places of one followed path."""

    path: str
    """The followed path, absolute."""
    file: Path
    lock: Path

    def read(self) -> tuple[Place, ...]:
        """Return the places that were written last, the older file first; none before the first time.

        Raises:
            LakeFormatError: The file cannot be understood.
        """
        try:
            raw = json.loads(read_file(self.file, within=self.file.parent))
            if raw["format"] != _FORMAT:
                message = f"{self.file} has format {raw['format']!r}, this auditlake knows {_FORMAT}"
                raise LakeFormatError(message, hint="a newer auditlake wrote it: use that one")
            return tuple(Place(**each) for each in raw["places"])
        except FileNotFoundError:
            return ()
        except (ValueError, TypeError, KeyError) as error:
            message = f"{self.file} cannot be understood: {error}"
            hint = "remove it to begin at the file's start: what landed already is not landed again"
            raise LakeFormatError(message, hint=hint) from error

    def write(self, places: Sequence[Place]) -> None:
        """Replace the places, durably."""
        content = {"format": _FORMAT, "path": self.path, "places": [asdict(each) for each in places]}
        write_whole(self.file, json.dumps(content, indent=1).encode())


def bookmark(layout: Layout, path: str) -> Bookmark:
    """Return the bookmark of a path in a lake; make the folder where there is none."""
    folder = layout.landing / "tails"
    make_folders(folder, below=layout.root)
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    spelled = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Bookmark(spelled, folder / f"{name}.json", folder / f"{name}.lock")
