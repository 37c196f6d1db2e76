"""What an input is: which source made it, and how it is cut into records. Its content counts first, its name second."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from auditlake.errors import UnrecognisedInputError
from auditlake.sources.model import Damage
from auditlake.sources.split import split_documents
from auditlake.sources.stream import PEEK

Format = Literal["lines", "documents", "csv", "parquet", "skip"]

_RECORDS = 20
_LINE_NAMES = (".jsonl", ".ndjson", ".log")
_WHITE = b" \t\r\n"
_KEY = re.compile(rb'"([A-Za-z0-9_]{1,40})"\s*:')
_OPENED_WRAPPER = re.compile(rb'\s*\{(?:[^{}\[\]]{0,4096},)?\s*"(?:Records|Events)"\s*:\s*\[')
_EMPTY_WRAPPER = re.compile(_OPENED_WRAPPER.pattern + rb"\s*\]")


@dataclass(frozen=True, slots=True)
class Recognised:
    """The answer: how to read an input.

    Args:
        source: The name of the source, as the SQL mapping is called.
        format: How to cut it: ``lines``, ``documents``, ``csv``, ``parquet``; ``skip`` is to be left out.
        notice: What the user should be told, or an empty string.
    """

    source: str
    format: Format
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """What a source's records look like: at least ``enough`` of these keys, or any of ``alone``."""

    keys: frozenset[str]
    enough: int
    looks_for: str
    alone: frozenset[str] = frozenset()
    tables: bool = False
    """Whether it also comes as CSV and Parquet."""
    wrappers: tuple[str, ...] = ()
    """The keys under which it wraps its records in one object."""
    leave_out: frozenset[str] = frozenset()
    """Keys that together mark a file which lies beside the records and holds none."""
    left_out: str = ""

    def fits(self, keys: frozenset[str]) -> bool:
        """Whether an object with these keys is one of its records."""
        return len(self.keys & keys) >= self.enough or bool(self.alone & keys)


SOURCES: dict[str, Marks] = {
    "auditlake": Marks(
        keys=frozenset({"event_type", "timestamp"}),
        enough=2,
        looks_for="JSON objects with the keys event_type and timestamp, or CSV or Parquet with these columns",
        tables=True,
    ),
    "cloudtrail": Marks(
        keys=frozenset(
            ("eventVersion", "eventSource", "eventName", "eventTime", "userIdentity", "eventID", "awsRegion")
        ),
        enough=3,
        alone=frozenset({"CloudTrailEvent"}),
        looks_for="JSON objects with at least three of the keys eventVersion, eventSource, eventName, eventTime, ..., "
        'or with CloudTrailEvent: one per line, in an array, or under "Records" or "Events"',
        wrappers=("Records", "Events"),
        leave_out=frozenset({"digestStartTime", "digestEndTime", "logFiles"}),
        left_out="a CloudTrail digest file, which holds no events",
    ),
}
"""The known sources by name."""


def recognise(peeked: bytes, name: str, sources: Sequence[str] = tuple(SOURCES)) -> Recognised:
    """Say what an input is.

    Args:
        peeked: Its first bytes, decompressed; fewer than :data:`~auditlake.sources.stream.PEEK` only if that is all.
        name: Its file name, or ``-``.
        sources: The sources to try, in this order. A single one was named by the user: then only the format is decided.

    Raises:
        UnrecognisedInputError: It is none of them.
    """
    head = peeked.removeprefix(b"\xef\xbb\xbf")
    named = sources[0] if len(sources) == 1 else None
    suffix = _suffix(name)
    tables = [source for source in sources if SOURCES[source].tables]
    if head.startswith(b"PAR1") and tables:
        return Recognised(tables[0], "parquet")
    if (tables and _table_columns(head) is not None) or (
        named in tables and suffix in (".csv", ".tsv") and head.strip()
    ):
        return Recognised(tables[0], "csv")
    if not head.strip(_WHITE):
        return Recognised(sources[0], "documents" if suffix == ".json" else "lines")
    form = _form(head, suffix)
    found = [frozenset(record) for record in _records(head, form)]
    if not found and head.lstrip(_WHITE)[:1] in (b"{", b"["):
        # The first record may be longer than what was looked at: then the keys in its beginning have to do.
        found = [frozenset(key.decode() for key in _KEY.findall(head[: 64 * 1024]))]
    for source in sources:
        marks = SOURCES[source]
        if marks.leave_out and found and all(marks.leave_out <= keys for keys in found):
            return Recognised(source, "skip", f"{name} is {marks.left_out}; it is left out")
    for source in sources:
        empty = _EMPTY_WRAPPER.match(head) and SOURCES[source].wrappers
        if named or empty or any(SOURCES[source].fits(keys) for keys in found):
            return Recognised(source, form)
    why = _impression(head)
    raise UnrecognisedInputError(
        f"{name} is not recognised ({why}); tried "
        + "; ".join(f"{source}: {SOURCES[source].looks_for}" for source in sources),
        why=why,
        hint="Name the source with --source if you know what it is; its records are then checked one by one.",
    )


def _suffix(name: str) -> str:
    bare = re.sub(r"\.(gz|zst|zstd)$", "", name.lower())
    return "." + bare.rpartition(".")[2] if "." in bare else ""


def _form(head: bytes, suffix: str) -> Format:
    """Whether it is cut into lines or into documents."""
    lines = [line for line in head.split(b"\n") if line.strip(_WHITE)][:_RECORDS]
    whole = [line for line in lines if isinstance(_value(line), dict)]
    first = _value(lines[0])
    if isinstance(first, dict):
        # One object on one line is the same either way, but several may follow that wrap their records each.
        keys = [key for marks in SOURCES.values() for key in marks.wrappers]
        wrapped = any(isinstance(first.get(key), list) for key in keys) and not _is_event(frozenset(first))
        return "documents" if wrapped or (suffix == ".json" and len(lines) == 1) else "lines"
    if isinstance(first, list) or _OPENED_WRAPPER.match(head):
        return "documents"
    if suffix in _LINE_NAMES:
        # A torn or foreign first line does not make a log a document.
        return "lines" if whole or lines[0].lstrip(_WHITE)[:1] != b"[" else "documents"
    if suffix == ".json" or lines[0].lstrip(_WHITE)[:1] == b"[":
        return "documents"
    return "lines" if 2 * len(whole) >= len(lines) or lines[0].lstrip(_WHITE)[:1] != b"{" else "documents"


def _is_event(keys: frozenset[str]) -> bool:
    return any(marks.fits(keys) for marks in SOURCES.values())


def _value(text: bytes) -> Any:
    """The JSON value, or None where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "infinity" not in error.msg:
            return None
    try:
        # Numbers of any size are valid.
        return json.loads(text, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        return None


class _Peeked:
    """What was looked at, as a stream; it breaks off, which here says nothing."""

    damage: Damage | None = None

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


def _records(head: bytes, form: Format) -> list[dict[str, Any]]:
    """The first records that are objects."""
    if form == "lines":
        texts = head.split(b"\n", 4 * _RECORDS)[: 4 * _RECORDS]
    else:
        texts = []
        for batch in split_documents(_Peeked(head), PEEK):
            texts += [batch.raw(i) for i in range(min(len(batch), 4 * _RECORDS))]
    values = (_value(text) for text in texts)
    return [value for value in values if isinstance(value, dict)][:_RECORDS]


def delimiter(header: str) -> str:
    """What separates the columns of a CSV header: a comma, a semicolon, a tab or a bar."""
    return max(",;\t|", key=header.count)


def _table_columns(head: bytes) -> list[str] | None:
    """The columns, if the first line is a CSV header with those of an event."""
    try:
        first = head.lstrip(_WHITE).partition(b"\n")[0][: 64 * 1024].decode().rstrip("\r")
        columns = next(csv.reader(io.StringIO(first), delimiter=delimiter(first)), [])
    except (UnicodeDecodeError, csv.Error):
        return None
    names = [column.strip() for column in columns]
    return names if {"event_type", "timestamp"} <= set(names) else None


def _impression(head: bytes) -> str:
    """What it looks like, to help whoever gave it."""
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return f"it looks like {what}"
    first = head.lstrip(_WHITE).partition(b"\n")[0][:60]
    return "it begins with " + ascii(first.decode("utf-8", "replace"))


_MAGIC = {
    b"\xff\xfe": "UTF-16 text; write it as UTF-8",
    b"\xfe\xff": "UTF-16 text; write it as UTF-8",
    b"PK\x03\x04": "a ZIP archive or an Excel file",
    b"PAR1": "Parquet",
    b"Obj\x01": "Avro",
    b"ORC": "ORC",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"%PDF": "PDF",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
}
