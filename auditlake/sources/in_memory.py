"""Lines that are at hand already: a stretch of a file to which somebody may still append."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.events.schema import CANONICAL

if TYPE_CHECKING:
    from auditlake.sources.model import Batch, Damage

TORN = "torn line"
ID_ROOM = 128
"""Bytes by which a record that came without an id may have grown since its length was checked, by having got one."""


@dataclass(frozen=True, slots=True)
class MemoryLines:
    """A stretch of a file of JSON lines as an input. Where a record stands is told as of the file, not of the stretch.

    Args:
        name: What to call the file.
        offset: Where in it the stretch begins, in bytes.
        line: The number of the line that begins there, from 1.
        data: Whole lines.
        torn: What follows them where the file ends in the middle of a line for good.
        source: Whose canonical events they are.
    """

    name: str
    offset: int
    line: int
    data: bytes
    torn: bytes
    source: str = CANONICAL

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.data) + len(self.torn)

    @property
    def path(self) -> Path | None:
        """None: it is not to be opened."""
        return None


class MemoryStream:
    """What an ingest needs to know of held lines as of any stream."""

    damage: Damage | None = None
    """Nothing is ever wrong with the whole."""

    def __init__(self, given: MemoryLines) -> None:
        self._given = given
        whole = hashlib.sha256(given.data)
        whole.update(given.torn)
        self.sha256 = whole.hexdigest()
        """Of all bytes, in hex."""
        self.size = given.size
        """How many bytes there are."""

    def __iter__(self) -> Iterator[bytes]:
        """The whole lines, in one chunk."""
        yield self._given.data

    def records(self, max_record: int) -> Iterator[Batch]:
        """The lines as records; the torn one is rejected."""
        from auditlake.sources.model import empty_batch, reject  # with Arrow, which is slow to import
        from auditlake.sources.split import split_lines

        given, number = self._given, 0
        for batch in split_lines(self, max_record + ID_ROOM):
            number += len(batch) + len(batch.rejected)
            moved = [
                replace(each, line=each.line + given.line - 1, offset=each.offset + given.offset)
                for each in batch.rejected
            ]
            lines, offsets = batch.lines + (given.line - 1), batch.offsets + given.offset
            yield replace(batch, lines=lines, offsets=offsets, rejected=tuple(moved))
        if given.torn:
            line, offset = given.line + given.data.count(b"\n"), given.offset + len(given.data)
            why = "its writer ended before the line did"
            yield empty_batch((reject(number, line, offset, TORN, why, given.torn, max_record),))

    def reread(self, offsets: Sequence[int], lengths: Sequence[int]) -> Iterator[bytes]:
        """Records again, by their place in the file."""
        for offset, length in zip(offsets, lengths, strict=True):
            start = int(offset) - self._given.offset
            yield self._given.data[start : start + int(length)]

    def pause(self) -> None:
        """There is nothing to let go of."""

    def close(self) -> None:
        """There is nothing to let go of."""
