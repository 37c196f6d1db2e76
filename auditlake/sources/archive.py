"""Archives as the inputs in them: each member of a tar or ZIP archive is unpacked, read and removed by itself.

No name in an archive becomes a path: while a member is read, it lies in the ingest's folder under a random name. It
never takes more than half of the disk's free space, and one that unpacks to far more than any log does is given up.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from auditlake.errors import SourceError
from auditlake.sources.archive_members import Entry, lake_of, lies_in_a_lake
from auditlake.sources.batches import broken, damages
from auditlake.sources.damaged import Gap
from auditlake.sources.inputs import OF_A_LAKE
from auditlake.sources.model import Batch, Damage, InputFile
from auditlake.sources.stream import Stream
from auditlake.sources.tar_archive import tar_entries, tar_header
from auditlake.sources.zip_archive import ZIPS, why_no_logs, zip_entries

MEMBERS = 100_000
"""How many members an archive may have."""
NESTED = "an archive in an archive; unpack it first"

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
    lost: list[Gap] = field(default_factory=list)
    _again: Generator[tuple[int, Entry], None, None] | None = None
    _next: int = 0

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
            member = InputFile(
                name, None, origin.within or origin.name, why, archive=origin.name, modified=entry.modified
            )
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
        yield from broken(chain(damages(self.stream), self._lost_pieces()), 0, 1, self.stream.unpacked)

    def _lost_pieces(self) -> Iterator[Damage]:
        cuts = [(each, *piece) for each in sorted(self.lost, key=lambda each: each.start) for piece in each.pieces()]
        if cuts:
            raws = self.stream.reread([at for _, at, _ in cuts], [stop - at for _, at, stop in cuts])
            yield from (replace(each.damage, data=data) for (each, _, _), data in zip(cuts, raws, strict=True))

    def _entries(self, stream: Stream, lost: list[Gap]) -> Iterator[Entry]:
        return tar_entries(stream, lost) if self.kind == "tar" else zip_entries(stream, lost)

    def _unpack(self, entry: Entry, path: Path) -> None:
        written = looked = 0
        with path.open("xb") as file:
            for piece in entry.pieces:
                written += len(piece)
                file.write(piece)
                if written - looked > _LOOK:
                    looked = written
                    if shutil.disk_usage(self.folder).free < written:
                        name = f"{self.stream.input.name}!/{entry.name}"
                        message = f"{name} needs more than half of the disk's free space"
                        raise SourceError(message, hint="Unpack it where there is room, and give the folder.")

    def _restore(self, index: int, path: Path) -> None:
        """Unpack a member once more; in the order of the archive, this takes one pass over it."""
        if self._again is None or self._next > index:
            self.close()
            self._again = self._entries_again()
        for at, entry in self._again:
            self._next = at + 1
            if at == index:
                self._unpack(entry, path)
                return

    def _entries_again(self) -> Generator[tuple[int, Entry], None, None]:
        with self.stream.again() as stream:
            yield from enumerate(self._entries(stream, []))

    def close(self) -> None:
        """Let go of the second pass."""
        if self._again is not None:
            self._again.close()
            self._again = None
