"""A place in a file that was read, in a form that outlives the process and knows the file again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.storage.hosts import read_as_host, spelled
from auditlake.store.deltalog import transaction_version

EDGE = 1024
"""How many bytes at the beginning of a file, and at the end of what was read of it, have to be the same."""
_CANONICAL, _MAPPED = 1, 2
"""The formats of a bookmark: of canonical events, and of lines that a mapping is for."""


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
class Known:
    """How far a path is followed."""

    places: tuple[Place, ...] = ()
    """The places in its files, the older file first; none before the first time."""
    source: str = ""
    """Which mapping is for its lines; empty for canonical events."""
    form: str = ""
    """How the lines are cut, as recognition calls it; empty until their source is known."""
    commits: int = 0
    """How many commits brought what lies before the places into the table."""
    upcoming: tuple[Place, ...] | None = None
    """The places once there is one commit more, where one was begun."""

    def after(self, commits: int) -> Known:
        """Return the same once the table says how many commits there are. A commit that was begun and did not come
        about leaves :attr:`upcoming`.
        """
        if self.upcoming is None or commits <= self.commits:
            return replace(self, commits=commits)
        return replace(self, places=self.upcoming, commits=commits, upcoming=None)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The file that keeps the places of one followed path."""

    path: str
    """The followed path, absolute."""
    file: Path
    lock: Path
    layout: Layout

    def application(self, host: int | None) -> str:
        """Return the Delta application whose transactions count the commits of its lines.

        Args:
            host: The number of the host, where others follow files of the same paths, as
                :func:`auditlake.storage.hosts.spelled` takes it.
        """
        return f"auditlake.tail.{spelled(host)}{self.file.stem}"

    def commits(self) -> tuple[int | None, int | None]:
        """Return the number of this host, and how many commits brought lines of the path, which its copy has; None if
        none did.
        """
        return read_as_host(self.layout, lambda host: (host, transaction_version(self.layout, self.application(host))))

    def read(self) -> Known:
        """Return what was written last.

        Raises:
            LakeFormatError: The file cannot be understood.
        """
        try:
            raw = json.loads(read_file(self.file, within=self.file.parent))
            if (form := raw["format"]) not in (_CANONICAL, _MAPPED):
                message = f"{self.file} has format {form!r}, this auditlake knows {_CANONICAL} and {_MAPPED}"
                raise LakeFormatError(message, hint="a newer auditlake wrote it: use that one")
            places, upcoming = _places(raw["places"]), raw.get("upcoming")
            earlier = "lines" if any(each.position for each in places) else ""  # when none but these were followed
            return Known(
                places, raw.get("source", ""), raw.get("form", earlier), raw.get("commits", 0),
                None if upcoming is None else _places(upcoming),
            )  # fmt: skip
        except FileNotFoundError:
            return Known()
        except (ValueError, TypeError, KeyError) as error:
            message = f"{self.file} cannot be understood: {error}"
            hint = "remove it to begin at the file's start: what landed already is not landed again"
            raise LakeFormatError(message, hint=hint) from error

    def write(self, known: Known) -> None:
        """Replace what is known, durably."""
        content: dict[str, Any] = {"format": _MAPPED if known.source else _CANONICAL, "path": self.path}
        places = [asdict(each) for each in known.places]
        content |= asdict(known) if known.source else {"places": places, "form": known.form}
        write_whole(self.file, json.dumps(content, indent=1).encode())


def _places(raw: Any) -> tuple[Place, ...]:
    return tuple(Place(**each) for each in raw)


def bookmark(layout: Layout, path: str) -> Bookmark:
    """Return the bookmark of a path in a lake; make the folder where there is none."""
    folder = layout.landing / "tails"
    make_folders(folder, below=layout.root)
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    spelled = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Bookmark(spelled, folder / f"{name}.json", folder / f"{name}.lock", layout)
