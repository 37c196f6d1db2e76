"""An event made in Python: of the fields of a call, or of a mapping of them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from types import NoneType
from typing import Any, Required, TypedDict

import orjson

from auditlake.errors import EventError
from auditlake.events.schema import CANONICAL_FIELDS, TEXT_COLUMNS, EventType
from auditlake.events.times import parse_instant, print_instant, utc

_YEARS = range(1970, 9999)
_TEXT = frozenset((str, NoneType))
_SCALARS = frozenset((str, bool, NoneType))
WHOLE_NUMBERS = range(-(1 << 63), 1 << 64)
"""Those that orjson writes."""
_PLAIN_DEPTH = 32
"""How many levels the quick way looks at: orjson goes to 254, and deeper events are rare."""


class EventFields(TypedDict, total=False):
    """The fields of an event as keywords; each is described at :class:`AuditEvent`."""

    event_type: Required[str]
    timestamp: datetime | str | None
    """Text is RFC 3339; now if None."""
    user_id: str | None
    action: str | None
    resource: str | None
    status: str | None
    details: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    session_id: str | None
    ip_address: str | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One audit event.

    >>> from datetime import datetime, UTC
    >>> AuditEvent(EventType.LOGIN, datetime(2026, 11, 24, 9, 30, tzinfo=UTC), user_id="alice").event_type
    'login'

    Raises:
        EventError: A field has a type or a value that cannot be recorded.
    """

    event_type: str
    """One of :class:`EventType`, or a type that the lake declares."""
    timestamp: datetime
    """When it happened; a naive one is UTC, any other is converted."""
    user_id: str | None = None
    action: str | None = None
    resource: str | None = None
    status: str | None = None
    details: Mapping[str, Any] | None = None
    """Anything JSON can say about it."""
    metadata: Mapping[str, Any] | None = None
    session_id: str | None = None
    ip_address: str | None = None
    event_id: str | None = None
    """Its own id; two events of a source with the same id must be the same event. Made from content if None."""
    _json: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if type(self.event_type) is not str or not self.event_type:
            object.__setattr__(self, "event_type", _checked_type(self.event_type))
        instant = self.timestamp
        if type(instant) is not datetime or instant.tzinfo is not UTC or not 1970 <= instant.year <= 9998:
            object.__setattr__(self, "timestamp", _checked_instant(instant))
        # Written down now: changing a mapping that was handed in changes nothing later.
        object.__setattr__(self, "_json", _plain_json(self) or _any_json(self))

    def to_json(self) -> str:
        """Return the event as one line of canonical JSON, without a newline."""
        return self._json.decode()

    def as_line(self, make_id: Callable[[], str]) -> tuple[str, bytes]:
        """Return its id, or a new one if it has none, and its canonical JSON with that id and a newline."""
        if self.event_id:
            return self.event_id, self._json + b"\n"
        new = make_id()
        rest = self._json[1:] if self.event_id is None else self._json.removeprefix(b'{"event_id":"",')
        return new, b'{"event_id":"%b",%b\n' % (new.encode(), rest)


def as_event(record: object, now: Callable[[], datetime], /, **keywords: Any) -> AuditEvent:
    """Return an event as it is, and of a mapping of an event's fields the event.

    Args:
        record: The event or the mapping; None if the fields are keywords.
        now: Gives the time of an event that has none.
        **keywords: The fields.

    Raises:
        EventError: It is neither, has a key that no event has, or a value that cannot be recorded.
    """
    if record is None or keywords:
        if record is not None:
            raise EventError("expected an event or its fields as keywords, got both")
        record = keywords
    if isinstance(record, AuditEvent):
        return record
    if not isinstance(record, Mapping):
        message = f"expected an AuditEvent or a mapping of its fields, got {type(record).__name__}"
        raise EventError(message, hint="an event has an event_type at least")
    fields = dict(record)
    if unknown := [key for key in fields if key not in CANONICAL_FIELDS]:
        close = get_close_matches(str(unknown[0])[:64], CANONICAL_FIELDS, n=3)
        message = f"{str(unknown[0])[:64]}: an event has no such field"
        raise EventError(message, hint=f"close to it: {', '.join(close)}" if close else "put it into details")
    if "event_type" not in fields:
        raise EventError("event_type: expected a name, and it is missing", hint="use auditlake.EventType")
    return AuditEvent(**fields | {"timestamp": _as_timestamp(fields.get("timestamp"), now)})


def _as_timestamp(value: Any, now: Callable[[], datetime]) -> Any:
    if value is None:
        return now()
    try:
        return parse_instant(value) if isinstance(value, str) else value
    except ValueError as error:
        raise EventError(f"timestamp: {error}") from error


def _checked_type(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise EventError(f"event_type: expected a name, got {name!r}", hint="use auditlake.EventType")
    return str(name)


def _checked_instant(instant: object) -> datetime:
    if not isinstance(instant, datetime):
        raise EventError(f"timestamp: expected a datetime, got {type(instant).__name__}")
    try:
        converted = utc(instant)
    except OverflowError:
        converted = None
    if converted is None or converted.year not in _YEARS:
        raise EventError(f"timestamp: expected a year from 1970 to 9998, got {instant.isoformat()}")
    return converted


def _plain_json(event: AuditEvent) -> bytes | None:
    """Return the canonical JSON of a plain event, as nearly all are, written by orjson exactly as Python's json does.

    None means that the event needs the slower way, not that it is refused.
    """
    instant, details, metadata, address = event.timestamp, event.details, event.metadata, event.ip_address
    texts = (event.user_id, event.action, event.resource, event.status, event.session_id, event.event_id)
    if not (
        _TEXT.issuperset(map(type, texts))
        and (address is None or (type(address) is str and is_address(address)))
        and (details is None or is_plain(details))
        and (metadata is None or is_plain(metadata))
    ):
        return None
    fields: dict[str, Any] = {
        "event_type": event.event_type,
        # orjson leaves out microseconds that are zero.
        "timestamp": instant if instant.microsecond else print_instant(instant),
        "user_id": event.user_id,
        "action": event.action,
        "resource": event.resource,
        "status": event.status,
        "details": details,
        "metadata": metadata,
        "session_id": event.session_id,
        "ip_address": address,
    }
    if event.event_id is not None:
        fields = {"event_id": event.event_id} | fields
    try:
        return orjson.dumps(fields, None, orjson.OPT_UTC_Z)
    except TypeError:  # half a character
        return None


def is_plain(value: object, depth: int = 0) -> bool:
    """Say whether orjson writes a mapping or list as Python's json does: no subclasses in it, no odd floats."""
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return False
        items: Any = value.values()
    elif type(value) in {list, tuple} and depth:
        items = value
    else:
        return False
    for item in items:
        kind = type(item)
        if kind in _SCALARS:
            continue
        if kind is int:
            if item not in WHOLE_NUMBERS:
                return False
        elif kind is float:
            # Python writes 1e-05 and 1e+16 with zeros and signs of its own, and refuses NaN.
            if not (item == 0 or 1e-4 <= abs(item) < 1e16):
                return False
        elif depth == _PLAIN_DEPTH or not is_plain(item, depth + 1):
            return False
    return True


def _any_json(event: AuditEvent) -> bytes:
    """Return the canonical JSON of any event.

    Raises:
        EventError: A field has a type or a value that cannot be recorded.
    """
    for name in (*TEXT_COLUMNS, "event_id"):
        value = getattr(event, name)
        if value is not None and not isinstance(value, str):
            raise EventError(f"{name}: expected text or None, got {type(value).__name__}")
    if event.ip_address is not None and not is_address(event.ip_address):
        message = f"ip_address: expected an IPv4 or IPv6 address or None, got {event.ip_address!r}"
        raise EventError(message, hint="a host name belongs into details or metadata")
    fields: dict[str, Any] = {"event_id": event.event_id} if event.event_id is not None else {}
    fields |= {"event_type": event.event_type, "timestamp": print_instant(event.timestamp)}
    for name in ("user_id", "action", "resource", "status", "details", "metadata", "session_id", "ip_address"):
        fields[name] = getattr(event, name)
    for name in ("details", "metadata"):
        if fields[name] is not None and not isinstance(fields[name], Mapping):
            raise EventError(f"{name}: expected a mapping or None, got {type(fields[name]).__name__}")
    _check_keys("event", fields)
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_dict)
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the event cannot be written as JSON: {error}"
        raise EventError(message, hint="use text, numbers, true, false, None, lists and mappings only") from error


@lru_cache(maxsize=4096)
def _is_short_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_address(text: str) -> bool:
    """Say whether it is an IPv4 or IPv6 address, whatever its zone; applications see the same ones again and again."""
    address = text.partition("%")[0]
    return len(address) <= 45 and _is_short_address(address)


def _as_dict(value: Any) -> dict[str, Any]:
    """Return a mapping as a dict, the only one that Python's json knows."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"expected what JSON can say, got {type(value).__name__}")


def _check_keys(where: str, value: Any, depth: int = 0) -> None:
    """Refuse keys that are no text: Python's json would write 1 as "1" and could so make two keys one."""
    if depth > 500:
        raise EventError(f"{where[:60]}…: nested too deeply")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise EventError(f"{where}: expected text as a key, got {key!r}")
            _check_keys(f"{where}.{key}", item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(where, item, depth + 1)


__all__ = ["AuditEvent", "EventFields", "EventType", "as_event"]
