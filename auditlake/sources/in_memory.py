"""Lines in memory as an input: a stretch of a file to which a process may still append."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from auditlake.events.schema import CANONICAL

if TYPE_CHECKING:
    from auditlake.sources.model import Batch, Damage, InputFile

TORN = "torn line"
ID_ROOM = 128
"""Bytes by which a record that came without an id may have grown since its length was checked, by having got one."""


@dataclass(frozen=True, slots=True)
class MemoryLines:
    """A stretch of a file of JSON lines as an input. A record's place is that in the file, not in the stretch.

    Args:
        name: What to call the file.
        offset: Where in it the stretch begins, in bytes.
        line: The number of the line that begins there, from 1.
        data: Whole lines.
        torn: What follows them where the file ends in the middle of a line for good.
        source: Whose canonical events they are, or which mapping is for them.
        format: How a mapping's lines are cut, as recognition calls it.
        modified: When the file was last modified, in seconds since 1970.
        before: How often records came in the file before this stretch, by their SHA-256 (hex).
    """

    name: str
    offset: int
    line: int
    data: bytes
    torn: bytes
    source: str = CANONICAL
    format: str = "lines"
    modified: float | None = None
    before: Mapping[str, int] = field(default_factory=dict)
    path: ClassVar[Path | None] = None
    """It is not to be opened."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.data) + len(self.torn)


class MemoryStream:
    """Lines in memory, as an ingest reads any stream."""

    damage: Damage | None = None
    """Nothing is ever wrong with the whole."""

    def __init__(self, stretch: MemoryLines) -> None:
        self._stretch = stretch
        whole = hashlib.sha256(stretch.data)
        whole.update(stretch.torn)
        self.sha256 = whole.hexdigest()
        """Of all bytes, in hex."""
        self.size = stretch.size
        """How many bytes there are."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the whole lines, in one chunk."""
        yield self._stretch.data

    @property
    def input(self) -> InputFile:
        """What the stretch is of."""
        from auditlake.sources.model import InputFile  # with Arrow, which is slow to import

        return InputFile(self._stretch.name, None, modified=self._stretch.modified)

    def records(self, cut: Callable[[MemoryStream], Iterator[Batch]], max_record: int) -> Iterator[Batch]:
        """Yield the lines as records; the torn one is rejected.

        Args:
            cut: Cuts the lines.
            max_record: Bytes of the longest record.
        """
        from auditlake.sources.model import empty_batch, reject

        stretch, number = self._stretch, 0
        for batch in cut(self):
            number += len(batch) + len(batch.rejected)
            moved = [
                replace(each, line=each.line + stretch.line - 1, offset=each.offset + stretch.offset)
                for each in batch.rejected
            ]
            lines, offsets = batch.lines + (stretch.line - 1), batch.offsets + stretch.offset
            yield replace(batch, lines=lines, offsets=offsets, rejected=tuple(moved))
        if stretch.torn:
            line, offset = stretch.line + stretch.data.count(b"\n"), stretch.offset + len(stretch.data)
            why = "its writer ended before the line did"
            yield empty_batch((reject(number, line, offset, TORN, why, stretch.torn, max_record),))

    def reread(self, offsets: Sequence[int], lengths: Sequence[int]) -> Iterator[bytes]:
        """Yield records again, by their place in the file."""
        for offset, length in zip(offsets, lengths, strict=True):
            start = int(offset) - self._stretch.offset
            yield self._stretch.data[start : start + int(length)]

    def pause(self) -> None:
        """Do nothing: it owns no file."""

    def close(self) -> None:
        """Do nothing: it owns no file."""
