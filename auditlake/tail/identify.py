"""The id of a record that brought none, given to it before it lands: the one that an ingest of its file gives it."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson

from auditlake.events.json_tokens import scalars
from auditlake.events.schema import CANONICAL_FIELDS, TEXT_COLUMNS
from auditlake.events.times import parse_instant
from auditlake.sources.strictjson import repeated_key, why_not_json

SOURCE = "auditlake"
"""The mapping of what lands."""
WINDOW = 128 * 1024
"""Of how many different records the number of their occurrences is known."""

_NEARLY_EXPORTED = frozenset(CANONICAL_FIELDS) - {"event_id"} | {"source", "ingested_at"}
"""With an id besides, a record is one that a lake exported, whose source and ingested_at are not its own."""
_TEXTS = ("event_id", "event_type", "timestamp", *TEXT_COLUMNS)


class Occurrences:
    """Counts how often each record came in one input, as far as its window of different records reaches.

    A record that comes again behind the window counts as its first occurrence, so it has the id of the first, and is
    taken for that one: for records that carry a time, this cannot be told from the same line delivered twice.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._numbers: OrderedDict[bytes, int] = OrderedDict()  # a dict takes ever longer to find its first

    def count(self, record: bytes) -> tuple[str, int]:
        """Return the SHA-256 of a record, and its number among equal records, from 1."""
        digest = hashlib.sha256(record)
        key = digest.digest()[:16]
        number = self._numbers.get(key, 0) + 1
        self._numbers[key] = number
        self._numbers.move_to_end(key)
        if len(self._numbers) > self._window:
            self._numbers.popitem(last=False)
        return digest.hexdigest(), number


def identified(record: bytes, occurrences: Occurrences, event_types: frozenset[str]) -> tuple[bytes, bool]:
    """Return the record as it goes into the landing, and whether it can become an event.

    Only a record that can become an event and has no id gets one; every other goes as it is, since those that are
    refused later are kept with exactly their bytes.
    """
    digest, number = occurrences.count(record)
    fields = _fields(record)
    if fields is None or not _is_event(fields, event_types):
        return record, False
    if fields.get("event_id") not in (None, "") or ("event_id" not in fields and fields.keys() >= _NEARLY_EXPORTED):
        return record, True
    event_id = hashlib.sha256(f"{SOURCE}\n{digest}\n{number}".encode()).hexdigest()
    return _with_id(record, event_id, "event_id" in fields), True


def _fields(record: bytes) -> Mapping[str, Any] | None:
    """Return the fields of a JSON object that repeats none; None if it is anything else."""
    if why_not_json(record) is not None or not record.lstrip().startswith(b"{") or repeated_key(record) is not None:
        return None
    try:
        fields: Mapping[str, Any] = orjson.loads(record)
    except orjson.JSONDecodeError:  # a number that no double holds
        fields = json.loads(record, parse_int=len, parse_float=len)
    return fields


def _is_event(fields: Mapping[str, Any], event_types: frozenset[str]) -> bool:
    """Whether the mapping of canonical events takes it (sql/sources/auditlake.sql, sql/ingest/stage.sql)."""
    if any(isinstance(fields.get(name), dict | list) for name in _TEXTS) or fields.get("event_type") not in event_types:
        return False
    try:
        parse_instant(fields["timestamp"])
    except (KeyError, TypeError, ValueError):
        return False
    return True


def _with_id(record: bytes, event_id: str, has_empty: bool) -> bytes:
    """Return the same object with an id; all else stays byte for byte what it was."""
    if has_empty:
        text = record.decode()
        (empty,) = (each for each in scalars(text) if each.path == ("event_id",) and not each.is_key)
        return f'{text[: empty.start]}"{event_id}"{text[empty.stop :]}'.encode()
    return b'{"event_id":"%b",%b' % (event_id.encode(), record.partition(b"{")[2])
