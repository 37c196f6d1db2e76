"""What arrives of an input, cut into the records that an ingest of the same input would find."""

from __future__ import annotations

from auditlake.sources.model import TOO_LONG, Pending, Rejected, reject
from auditlake.sources.split_lines import records_of

_BOM = b"\xef\xbb\xbf"
_WHITE = b" \t\r\n"


class Lines:
    """Takes bytes as they come and gives whole lines; no more is held than the longest record.

    A record is a line without its terminator and without byte order marks before it, or each of several objects that
    stand side by side on one; blank lines are none (sources.split.split_lines).

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

    def feed(self, chunk: bytes) -> list[bytes | Rejected]:
        """Take what comes next; give the records that it completes, those that are too long as rejected."""
        if self._mark is not None:
            chunk, self._mark = self._mark + chunk, None
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._mark = chunk
                return []
            if chunk.startswith(_BOM):
                chunk, self._pending = chunk[len(_BOM) :], Pending(len(_BOM), 1, self._max)
        head, newline, rest = chunk.partition(b"\n")
        self._pending.append(head)
        if not newline:
            return []
        end = self.position + self.unfinished + len(newline) + len(rest)
        records = self._end()
        *middle, tail = rest.split(b"\n")
        offset, line = end - len(rest), self.line + 1
        for each in middle:
            records += self._records(each, offset, line)
            offset, line = offset + len(each) + 1, line + 1
        self._pending = Pending(end - len(tail), line, self._max)
        self._pending.append(tail)
        return records

    def rest(self) -> list[bytes | Rejected]:
        """Return the last line, which will get no newline any more."""
        end, line = self.position + self.unfinished, self.line
        self._pending.append(self._mark or b"")
        self._mark = None
        records = self._end()
        self._pending = Pending(end, line, self._max)
        return records

    def _end(self) -> list[bytes | Rejected]:
        """Return the records of the line that has been collected."""
        if self._pending.over:
            return [self._pending.rejected(0, "", "")]
        return self._records(self._pending.take(), self.position, self.line)

    def _records(self, line: bytes, offset: int, number: int) -> list[bytes | Rejected]:
        record = line.removesuffix(b"\r")
        if len(record) > self._max:
            why = f"{len(record)} bytes, at most {self._max} are allowed"
            return [reject(0, number, offset, TOO_LONG, why, record, self._max)]
        return [each for each in records_of(record) if each.strip(_WHITE)]
