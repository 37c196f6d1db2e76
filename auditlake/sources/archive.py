"""Archives as the inputs in them: each member of a tar or ZIP archive is unpacked, read and removed by itself.

No name in an archive becomes a path: while a member is read, it lies in the ingest's folder under a random name. It
never takes more than half of the disk's free space, and one that unpacks to far more than any log does is given up.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from auditlake.errors import SourceError
from auditlake.sources.archive_members import Entry, Lost, lake_of, lies_in_a_lake
from auditlake.sources.batches import broken
from auditlake.sources.inputs import OF_A_LAKE
from auditlake.sources.model import Batch, Damage, InputFile
from auditlake.sources.stream import Stream
from auditlake.sources.tar_archive import tar_entries, tar_header
from auditlake.sources.zip_archive import ZIPS, why_no_logs, zip_entries

MEMBERS = 100_000
"""How many members an archive may have."""
NESTED = "an archive in an archive; unpack it first"

_PIECE = 1024 * 1024
_LOOK = 64 * 1024 * 1024  # so often free space is looked at


def archive_kind(head: bytes) -> str:
    """Return ``tar`` or ``zip`` by the (decompressed) beginning, or an empty text."""
    if head.startswith(ZIPS):
        return "zip"
    return "tar" if tar_header(head[:512]) is not None else ""


@dataclass(slots=True)
class Archive:
    """An archive that is being read."""

    stream: Stream
    kind: str
    folder: Path
    """Where members are unpacked."""
    lost: list[Lost] = field(default_factory=list)
    _again: _Again | None = None

    def members(self) -> Iterator[InputFile]:
        """Yield the members, each unpacked until the next is asked for; one that cannot be read has the reason.

        Raises:
            SourceError: There are too many, or one is too large for the disk.
        """
        origin, seen, lakes = self.stream.input, Counter[str](), set[str]()
        for index, entry in enumerate(self._entries(self.stream, self.lost)):
            if index >= MEMBERS:
                message = f"{origin.name} has more than {MEMBERS} members"
                raise SourceError(message, hint="Unpack it, and give the folder.")
            seen[entry.name] += 1
            again = f"#{seen[entry.name]}" if seen[entry.name] > 1 else ""
            name = f"{origin.name}!/{entry.name}{again}"
            # Of a lake whose settings come later in the archive, only what has a name of its own is known.
            lakes |= {lake} if (lake := lake_of(entry.name)) is not None else set()
            why = entry.left_out or (OF_A_LAKE if lies_in_a_lake(entry.name, lakes) else "")
            member = InputFile(name, None, origin.within or origin.name, why, archive=origin.name)
            if why:
                yield member
                continue
            path = self.folder / f"member-{os.urandom(8).hex()}"
            lost = len(self.lost)
            self._unpack(entry, path)
            damaged = len(self.lost) > lost
            yield replace(member, path=path, restore=partial(self._restore, index, path), damaged=damaged)
            path.unlink(missing_ok=True)

    def why_no_logs(self) -> str:
        """Return why it is a document, a program or unreadable; or an empty text."""
        return why_no_logs(self.stream) if self.kind == "zip" else ""

    def damages(self) -> Iterator[Batch]:
        """Yield the records that stand for what is damaged; the members are read by then."""
        number = 0
        for batch in broken(self.stream, 0, 1, self.stream.unpacked):
            number += 1
            yield batch
        yield from broken(_Stretches(self), number, 1, self.stream.unpacked)

    def _entries(self, stream: Stream, lost: list[Lost]) -> Iterator[Entry]:
        return tar_entries(stream, lost) if self.kind == "tar" else zip_entries(stream, lost)

    def _unpack(self, entry: Entry, path: Path) -> None:
        written = looked = 0
        with path.open("xb") as file:
            for piece in entry.pieces:
                written += len(piece)
                file.write(piece)
                if written - looked > _LOOK:
                    looked = written
                    self._leave_room(entry.name, written)

    def _leave_room(self, name: str, written: int) -> None:
        if shutil.disk_usage(self.folder).free < written:
            message = f"{self.stream.input.name}!/{name} needs more than half of the disk's free space"
            raise SourceError(message, hint="Unpack it where there is room, and give the folder.")

    def _restore(self, index: int, path: Path) -> None:
        """Unpack a member once more; in the order of the archive, this takes one pass over it."""
        if self._again is None or self._again.next > index:
            self.close()
            self._again = _Again(self)
        for entry in self._again.entries:
            self._again.next += 1
            if self._again.next > index:
                self._unpack(entry, path)
                return

    def close(self) -> None:
        """Let go of the second pass."""
        if self._again is not None:
            self._again.stack.close()
            self._again = None


class _Again:
    """The entries of an archive once more, from the first on."""

    def __init__(self, archive: Archive) -> None:
        self.stack = ExitStack()
        self.next = 0
        stream = self.stack.enter_context(archive.stream.again())
        self.entries = archive._entries(stream, [])  # noqa: SLF001 - its other half


class _Stretches:
    """What is lost of an archive, for :func:`broken`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def __iter__(self) -> Iterator[bytes]:
        yield from ()

    @property
    def damage(self) -> Damage | None:
        first = next(self._pieces(), None)
        return first and replace(first, further=self._further)

    def _further(self) -> Iterator[Damage]:
        pieces = self._pieces()
        next(pieces)
        yield from pieces

    def _pieces(self) -> Iterator[Damage]:
        if not self._archive.lost:
            return
        lost = sorted(self._archive.lost, key=lambda each: each.start)
        cuts = [
            (each, at, min(at + _PIECE, each.stop))
            for each in lost
            for at in range(each.start, max(each.stop, each.start + 1), _PIECE)
        ]
        raws = self._archive.stream.reread([at for _, at, _ in cuts], [stop - at for _, at, stop in cuts])
        for (each, _, _), data in zip(cuts, raws, strict=True):
            yield replace(each.damage, data=data)
