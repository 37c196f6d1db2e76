"""What arrives of an input, cut into whole lines, and these into the records that an ingest would find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditlake.sources.batches import unmarked
from auditlake.sources.model import TOO_LONG, Pending, Rejected, reject
from auditlake.sources.split_lines import records_of

_BOM = b"\xef\xbb\xbf"
_WHITE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines that follow one another in an input."""

    offset: int
    """Where the first of them begins, in bytes."""
    line: int
    """The number of that line, from 1."""
    data: bytes
    """The lines; the last lacks its newline only at the end of an input."""

    def records(self, max_record: int, *, plain: bool = False) -> Iterator[bytes | Rejected]:
        """Yield its records; one that is longer than ``max_record`` bytes as rejected.

        A record is a line without its terminator and without byte order marks before it, or each of several objects
        that stand side by side on one; blank lines are none (sources.split.split_lines).

        Args:
            max_record: Bytes of the longest record.
            plain: Whether the lines are no JSON: a line is one record then.
        """
        offset = self.offset
        for number, line in enumerate(self.data.split(b"\n"), self.line):
            record = line.removesuffix(b"\r")
            if len(record) > max_record:
                why = f"{len(record)} bytes, at most {max_record} are allowed"
                yield reject(0, number, offset, TOO_LONG, why, record, max_record)
            else:
                parts = [unmarked(record)] if plain else records_of(record)
                yield from (each for each in parts if each.strip(_WHITE))
            offset += len(line) + 1


class Lines:
    """Takes bytes as they come and gives whole lines; no more is held than the longest record.

    Args:
        offset: Where in the input the first byte to come stands, which begins a line.
        line: The number of that line, from 1.
        max_record: Bytes of the longest record.
    """

    def __init__(self, offset: int, line: int, max_record: int) -> None:
        self._max = max_record
        self._pending = Pending(offset, line, max_record)
        self._mark: bytes | None = None if offset else b""  # what may become a byte order mark; None once that is known

    @property
    def position(self) -> int:
        """Where the line begins whose end has not come yet: everything before it was given out."""
        return self._pending.offset

    @property
    def line(self) -> int:
        """The number of that line."""
        return self._pending.line

    @property
    def unfinished(self) -> int:
        """How many bytes of it have come."""
        return len(self._pending) + len(self._mark or b"")

    def feed(self, chunk: bytes) -> list[Stretch | Rejected]:
        """Take what comes next; give the lines that it completes, one that is too long to be held as rejected."""
        if self._mark is not None:
            chunk, self._mark = self._mark + chunk, None
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._mark = chunk
                return []
            if chunk.startswith(_BOM):
                chunk, self._pending = chunk[len(_BOM) :], Pending(len(_BOM), 1, self._max)
        last = chunk.rfind(b"\n") + 1
        if not last:
            self._pending.append(chunk)
            return []
        first = chunk.index(b"\n") + 1
        self._pending.append(chunk[: first - 1])
        found = self._end(chunk[first - 1 : first], chunk[first:last])
        self._pending.append(chunk[last:])
        return found

    def rest(self) -> list[Stretch | Rejected]:
        """Return the last line, which will get no newline any more."""
        self._pending.append(self._mark or b"")
        self._mark = None
        return self._end(b"", b"")

    def _end(self, newline: bytes, following: bytes) -> list[Stretch | Rejected]:
        """Return the line that has been collected, with the whole lines that follow it, and begin the next."""
        offset, line, found = self.position, self.line, list[Stretch | Rejected]()
        if self._pending.over:
            found.append(self._pending.rejected(0, "", ""))
            offset, line = offset + len(self._pending) + len(newline), line + len(newline)
        else:
            following = self._pending.take() + newline + following
        if following:
            found.append(Stretch(offset, line, following))
        self._pending = Pending(offset + len(following), line + following.count(b"\n"), self._max)
        return found
