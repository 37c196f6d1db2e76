"""The data that reading inputs gives: input files, batches of records, and what could not become a record.

A record's *raw bytes* are what lay in the (decompressed) input, without line terminator and byte order mark. They are
what an event id is computed from and what goes into quarantine, so no parser's version ever stands in for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from auditlake.events.schema import CANONICAL_FIELDS

MAX_RECORD = 16 * 1024 * 1024
"""The longest record, in bytes, unless the caller sets another limit."""
MAX_DEPTH = 512
"""The deepest nesting a record may have: every later parser is recursive."""
KEPT = 64 * 1024
"""How much is kept of a record that is over the limit."""

NOT_JSON = "not valid JSON"
TOO_LONG = "too long"
TOO_DEEP = "nested too deeply"
NOT_UTF8 = "invalid UTF-8"
"""Of CSV rows and lines of text; a JSON record that is not UTF-8 is :data:`NOT_JSON`."""
WRONG_FIELDS = "wrong number of fields"
NOT_CSV = "not valid CSV"
NOT_A_ROW = "row cannot be written as JSON"
NO_PATTERN = "no pattern fits"
"""Only of lines that patterns cut into fields."""
NO_LENGTH = "message length does not fit"
"""Only of messages of syslog that say how long they are."""
NO_PAIR = "no key=value pair"
NO_AUDIT_LINE = "no line of auditd"
_TAIL = 256

FIELDS = (*CANONICAL_FIELDS, "exported_from")
"""The fields of a canonical event, and of one that a lake exported the source."""
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input to read.

    Args:
        name: What to call it in messages and in the chain of custody; always printable, ``-`` for standard input.
        path: Where it lies; None for standard input.
        within: The folder or pattern that led to it; empty where it was named itself.
        left_out: Why it is not to be opened; empty where it is.
        archive: The archive that it is a member of; empty where it is none.
        restore: Puts a member of an archive or a remote object to its path, where it is not there (any more).
        damaged: Whether bytes of a member of an archive could not be unpacked.
        modified: When it was last modified, in seconds since 1970, where its file does not say it; None if that does.
    """

    name: str
    path: Path | None
    within: str = ""
    left_out: str = ""
    archive: str = ""
    restore: Callable[[], None] | None = None
    damaged: bool = False
    modified: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A stretch of input that did not become a record, with everything needed to find it again."""

    record: int
    """Its running number among the input's records, from 0."""
    line: int
    """The line it starts on, from 1."""
    offset: int
    """Byte offset of its first byte in the decompressed stream."""
    length: int
    """Its whole length in bytes, however much of it is kept."""
    reason: str
    """Why, in one of a few fixed phrases that can be counted."""
    detail: str
    """What exactly, with a position where there is one; may be empty."""
    data: bytes
    """Its bytes; of a record over the limit the first 64 KiB."""
    sha256: str | None = None
    """SHA-256 (hex) of all its bytes, where ``data`` is not all of them."""
    field: str = ""
    """The field at fault; empty where it is the record as a whole."""
    value: str = ""
    """The field's value as it came, cut; empty where there is none to show."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with an input as a whole: some of it could not be read."""

    reason: str
    detail: str
    data: bytes = b""
    """What could not be read, or the first of it."""
    further: Callable[[], Iterable[Damage]] = tuple
    """Gives what else could not be read, while the input is open."""


class Chunks(Protocol):
    """What the splitters need of a stream: its bytes in pieces, and afterwards whether it broke off."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the decompressed bytes, in pieces of any size; an empty one where some are missing."""

    @property
    def damage(self) -> Damage | None:
        """Why some are missing; final once the iteration is over."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some consecutive records of one input, column by column, and what was rejected among them.

    Of the numbers in ``records`` and those of ``rejected`` each occurs once, and over all batches of an input together
    they run from 0 without a gap: that is what makes the summary add up.
    """

    records: Ints
    """Running number of each record in the input; strictly increasing."""
    lines: Ints
    """The line each starts on, from 1 (of Parquet: the row's number, from 1)."""
    offsets: Ints
    """Offset of each one's first byte in the decompressed stream (of Parquet: -1, there is none)."""
    lengths: Ints
    """Length of each one's raw bytes (of rows that have ``fields`` and no ``originals``: -1, none are made)."""
    texts: Any
    """``pyarrow.LargeStringArray``: each record's JSON text, valid UTF-8, perhaps with white space after it; or, where
    there are ``fields``, what makes it of the records at some places."""
    rejected: tuple[Rejected, ...] = ()
    originals: Any = None
    """The raw bytes where they are not the text itself, as a tuple or an array of Arrow: rows of CSV, lines of text."""
    header: bytes = b""
    """What an id is made from before the raw bytes of each record: a CSV file's header and its newline."""
    earlier: Mapping[int, bytes] = field(default_factory=dict)
    """By their place in the batch, records of which an earlier version made another JSON text, and that text."""
    fields: Any = None
    """``pyarrow.RecordBatch``: what the text of each record says, as :data:`FIELDS` of a canonical event, where the
    record came as a row of a table with no other fields; ``details`` and ``metadata`` as they came."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def text(self) -> Any:
        """The JSON texts of all records, as an array; they are made first where there are ``fields``."""
        return self.texts if self.fields is None else self.texts(range(len(self)))

    def text_of(self, places: Ints) -> Any:
        """Return the JSON texts of the records at some places."""
        return self.texts.take(pa.array(places)) if self.fields is None else self.texts(places.tolist())

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return int((self.texts if self.fields is None else self.fields).nbytes)

    def raw(self, i: int) -> bytes:
        """Return the original bytes of the batch's i-th record, without terminator and byte order mark."""
        if self.originals is not None:
            original = self.originals[i]
            return original if isinstance(original, bytes) else bytes(original.as_py())
        if self.fields is not None:
            return str(self.texts((i,))[0].as_py()).encode()
        _, offsets, data = self.texts.buffers()
        start = int(np.frombuffer(offsets, np.int64)[self.texts.offset + i])
        return bytes(memoryview(data)[start : start + int(self.lengths[i])])


def empty_batch(rejected: tuple[Rejected, ...]) -> Batch:
    """Return a batch without records, for what was rejected."""
    none = np.empty(0, np.int64)
    return Batch(none, none, none, none, pa.array([], pa.large_string()), rejected)


def reject(record: int, line: int, offset: int, reason: str, detail: str, data: bytes, max_record: int) -> Rejected:
    """Return a rejected record of which all bytes are here; cut to :data:`KEPT` if longer than ``max_record``."""
    if len(data) <= max_record:
        return Rejected(record, line, offset, len(data), reason, detail, data)
    digest = hashlib.sha256(data).hexdigest()
    return Rejected(record, line, offset, len(data), reason, detail, data[:KEPT], digest)


class Pending:
    """A record whose end has not come yet: it is collected, and no longer held once it is over the limit.

    Args:
        max_record: From which length on only the head, the length and the digest are kept.
        trim: What does not count where it stands at the end: white space between documents, one ``\\r`` of a line.
    """

    def __init__(self, offset: int, line: int, max_record: int, trim: bytes = b"\r") -> None:
        self.offset = offset
        self.line = line
        self.length = 0
        """Bytes so far, all of them."""
        self._max = max_record
        self._trim = trim
        self._pieces: list[bytes] = []
        self._head = b""
        self._digest: Any = None
        self._trimmed: tuple[int, Any] = (0, None)
        self._tail = b""

    def __len__(self) -> int:
        return self.length

    @property
    def over(self) -> bool:
        """Whether it has grown over the limit, so that its bytes are gone."""
        return self._digest is not None

    def append(self, piece: bytes | memoryview) -> None:
        """Add what comes next."""
        if not len(piece):
            return
        data = bytes(piece)
        if self.over:
            self._hash(data)
            return
        self._pieces.append(data)
        self.length += len(data)
        # One byte more than the limit may still be a terminator's "\r".
        if self.length > self._max + 1:
            whole = self.take()
            self._head, self._digest = whole[:KEPT], hashlib.sha256()
            self._hash(whole)

    def _hash(self, data: bytes) -> None:
        # The digest up to the last byte that counts is kept with the running one, so that white space of any length
        # at the end can be left out although it was never held.
        one = self._trim == b"\r"
        body = data.removesuffix(b"\r") if one else data.rstrip(self._trim)
        self._digest.update(body)
        if body or one:  # a "\r" that comes alone is the one that ends the line; those before it count
            self._trimmed = (self.length + len(body), self._digest.copy())
        self._digest.update(data[len(body) :])
        self.length += len(data)
        self._tail = (self._tail + data[-_TAIL:])[-_TAIL:]

    def take(self) -> bytes:
        """Return all bytes so far, and start over with none (not when over the limit)."""
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self.length = [], 0
        return whole

    def tail(self) -> bytes:
        """Return the last bytes, as many as a key and the white space around it may take."""
        got = self._tail
        for piece in reversed(self._pieces):
            got = piece[-_TAIL:] + got
            if len(got) >= _TAIL:
                break
        return got[-_TAIL:]

    def rejected(self, record: int, reason: str, detail: str) -> Rejected:
        """Return it as a rejected record; over the limit it is too long, whatever ``reason`` says."""
        if self.over:
            length, digest = self._trimmed
            # Shorter only where white space after the record passed the limit.
            size = f"{length} bytes" if length > self._max else f"{self.length} bytes with the white space behind it"
            why = f"{size}, at most {self._max} are allowed"
            return Rejected(record, self.line, self.offset, length, TOO_LONG, why, self._head, digest.hexdigest())
        data = b"".join(self._pieces)
        data = data.removesuffix(b"\r") if self._trim == b"\r" else data.rstrip(self._trim)
        return reject(record, self.line, self.offset, reason, detail, data, self._max)
