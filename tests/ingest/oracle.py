"""What ingesting canonical JSON lines means, as docs/reference/semantics.md has it: one record at a time."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from auditlake.events.schema import BUILT_IN_TYPES

TEXTS = ("event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "session_id", "ip_address")
JSONS = ("details", "metadata")
DEEPEST = 512


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    text: str

    def normal(self) -> str:
        """Every digit is kept as it came."""
        return self.text


class Members(list[tuple[str, Any]]):
    """An object with its keys in order, repeated ones too."""


class RefusedError(Exception):
    """Not an event; the argument is the reason."""


@dataclass(frozen=True)
class Kept:
    """A quarantined record."""

    line: int
    offset: int
    reason: str
    data: bytes


@dataclass
class Expected:
    """What an ingest of one file does."""

    landed: list[dict[str, Any]] = field(default_factory=list)
    duplicates: int = 0
    quarantined: list[Kept] = field(default_factory=list)
    read: int = 0


def ingested(data: bytes, lake: Iterable[Mapping[str, Any]] = ()) -> Expected:
    """What becomes of a file of lines in a lake that has these events."""
    expected, copies = Expected(), Counter[bytes]()
    known = {event["event_id"]: {**event} for event in lake}
    for line, offset, record in lines(data):
        expected.read += 1
        try:
            event = mapped(record)
        except RefusedError as why:
            expected.quarantined.append(Kept(line, offset, str(why), record))
            continue
        if event["event_id"] is None:
            copies[record] += 1
            event["event_id"] = content_id(record, copies[record])
        if (first := known.setdefault(event["event_id"], event)) is event:
            expected.landed.append(event)
        elif first == event:
            expected.duplicates += 1
        else:
            expected.quarantined.append(Kept(line, offset, "id_conflict", record))
    return expected


def content_id(record: bytes, occurrence: int, source: str = "auditlake") -> str:
    """The id of a record that brought none."""
    digest = hashlib.sha256(record).hexdigest()
    return hashlib.sha256(f"{source}\n{digest}\n{occurrence}".encode()).hexdigest()


BOM = b"\xef\xbb\xbf"
_NEXT = re.compile(rb"(?:[ \t\r]|\xef\xbb\xbf)*\{")


def lines(data: bytes) -> Iterable[tuple[int, int, bytes]]:
    """Number, offset and bytes of every record, of lines that are not blank; byte order marks before them are none."""
    at = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        marks = 0
        while line.startswith(BOM, marks):
            marks += len(BOM)
        if line[marks:].strip(b" \t\r"):
            for begin, record in side_by_side(line[marks:].removesuffix(b"\r")):
                yield number, at + marks + begin, record
        at += len(line) + 1


def side_by_side(line: bytes) -> list[tuple[int, bytes]]:
    """The objects that stand one behind the other on a line, with their offsets; the line if it is anything else."""
    found, begin, depth, in_text, at = [], 0, 0, False, 0
    while at < len(line):
        byte = line[at : at + 1]
        if in_text:
            at += byte == b"\\"
            in_text = byte != b'"'
        elif byte == b'"':
            in_text = True
        elif byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth = max(depth - 1, 0)
            if byte == b"}" and depth == 0 and (following := _NEXT.match(line, at + 1)):
                found.append((begin, line[begin : at + 1]))
                begin = following.end() - 1
        at += 1
    return [*found, (begin, line[begin:].rstrip(b" \t\r"))] if found else [(0, line)]


def mapped(record: bytes) -> dict[str, Any]:
    """The columns of an event; details and metadata as :func:`normal` has them.

    Raises:
        RefusedError: It is none.
    """
    value = strict(record)
    if not isinstance(value, Members):
        raise RefusedError("not a JSON object")
    fields = dict(value)
    if len(fields) < len(value):
        raise RefusedError("repeated key")
    if any(isinstance(fields.get(name), Members | list) for name in TEXTS):
        raise RefusedError("an object or array where text belongs")
    event: dict[str, Any] = {name: text(fields.get(name)) for name in TEXTS}
    event["event_id"] = event["event_id"] or None
    event["details"] = None if fields.get("details") is None else normal(fields["details"])
    event["metadata"] = extended(fields.get("metadata"), [pair for pair in value if pair[0] not in (*TEXTS, *JSONS)])
    if event["event_type"] is None:
        raise RefusedError("event_type is missing")
    if event["event_type"] not in BUILT_IN_TYPES:
        raise RefusedError("unknown event type")
    if event["timestamp"] is None:
        raise RefusedError("timestamp is missing")
    event["timestamp"] = instant(event["timestamp"])
    return event | {"source": "auditlake", "event_date": event["timestamp"].date()}


def extended(metadata: Any, extra: list[tuple[str, Any]]) -> str | None:
    """Metadata with the unknown fields under ``_extra``; what has no room for them moves to ``_value``."""
    if not extra:
        return None if metadata is None else normal(metadata)
    if metadata is None:
        return normal(Members([("_extra", Members(extra))]))
    if isinstance(metadata, Members) and "_extra" not in dict(metadata):
        return normal(Members([*metadata, ("_extra", Members(extra))]))
    return normal(Members([("_value", metadata), ("_extra", Members(extra))]))


def text(value: Any) -> str | None:
    """A text column: text as it is, a number or a boolean as JSON writes it."""
    return value if value is None or isinstance(value, str) else normal(value)


def normal(value: Any) -> str:
    """One way to write each JSON value."""
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(key)}:{normal(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(normal, value)) + "]"
    return value.normal() if isinstance(value, Number) else json.dumps(value)


def parsed(text: str) -> Any:
    """JSON with members in order and numbers as they are written."""
    return json.loads(text, object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=_refuse)


def strict(record: bytes) -> Any:
    """The JSON value of a record, by RFC 8259.

    Raises:
        RefusedError: It is none, or nested too deeply.
    """
    try:
        value = parsed(record.decode())
        _no_lone_surrogates(value)
    except (ValueError, RecursionError):
        raise RefusedError("not valid JSON") from None
    if _depth(value) > DEEPEST:
        raise RefusedError("nested too deeply")
    return value


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _no_lone_surrogates(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, list):
        for item in value:
            for each in item if isinstance(value, Members) else (item,):
                _no_lone_surrogates(each)


def _depth(value: Any) -> int:
    if isinstance(value, Members):
        return 1 + max((_depth(item) for _, item in value), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]| ?([+-])([0-9]{2}):?([0-9]{2}))?"
)


def instant(text: str) -> datetime:
    """The instant that a text means.

    Raises:
        RefusedError: It is none, or too long ago or ahead.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise RefusedError("not a time")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign = match[7] or "", -1 if match[8] == "-" else 1
    hours, minutes = int(match[9] or 0), int(match[10] or 0)
    if hour > 23 or minute > 59 or second > 60 or minutes > 59 or hours * 60 + minutes > 18 * 60:
        raise RefusedError("not a time")
    micros = 59_999_999 if second == 60 else second * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    # 400 years later the calendar is the same, and there is room on both sides.
    try:
        there = datetime(2000 + year % 400, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        raise RefusedError("not a time") from None
    there += timedelta(microseconds=micros) - sign * timedelta(hours=hours, minutes=minutes)
    year += there.year - (2000 + year % 400)
    if not 1970 <= year <= 9998:
        raise RefusedError("a time outside of 1970 to 9998")
    return there.replace(year=year)
