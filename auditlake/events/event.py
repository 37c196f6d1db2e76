"""An event made in Python."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auditlake.errors import EventError
from auditlake.events.schema import TEXT_COLUMNS, EventType
from auditlake.events.times import print_instant, utc

_YEARS = range(1970, 9999)


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
    _json: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given: object = self.event_type
        if not isinstance(given, str) or not given:
            raise EventError(f"event_type: expected a name, got {given!r}", hint="use auditlake.EventType")
        object.__setattr__(self, "event_type", str(self.event_type))
        if not isinstance(self.timestamp, datetime):
            raise EventError(f"timestamp: expected a datetime, got {type(self.timestamp).__name__}")
        object.__setattr__(self, "timestamp", _checked_instant(self.timestamp))
        for name in (*TEXT_COLUMNS, "event_id"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise EventError(f"{name}: expected text or None, got {type(value).__name__}")
        if self.ip_address is not None:
            _check_address(self.ip_address)
        # Written down now: changing a mapping that was handed in changes nothing later.
        object.__setattr__(self, "_json", _as_json(self))

    def to_json(self) -> str:
        """The event as one line of canonical JSON, without a newline."""
        return self._json


def _checked_instant(instant: datetime) -> datetime:
    try:
        converted = utc(instant)
    except OverflowError:
        converted = None
    if converted is None or converted.year not in _YEARS:
        raise EventError(f"timestamp: expected a year from 1970 to 9998, got {instant.isoformat()}")
    return converted


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError as error:
        message = f"ip_address: expected an IPv4 or IPv6 address or None, got {text!r}"
        raise EventError(message, hint="a host name belongs into details or metadata") from error


def _as_json(event: AuditEvent) -> str:
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
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the event cannot be written as JSON: {error}"
        raise EventError(message, hint="use text, numbers, true, false, None, lists and mappings only") from error
    return text


def _as_dict(value: Any) -> dict[str, Any]:
    """Python's json knows no mappings but its own."""
    if isinstance(value, Mapping):
        return dict(value)
    message = f"expected what JSON can say, got {type(value).__name__}"
    raise TypeError(message)


def _check_keys(where: str, value: Any, depth: int = 0) -> None:
    """Python's json would turn a key 1 into "1" in silence, and could so make two keys one."""
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


__all__ = ["AuditEvent", "EventType"]
