"""Events that cannot be logged as they are, and must not be lost: kept in the landing for the flush to judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditlake.events.event import AuditEvent
from auditlake.events.ids import uuid7


def keep_unfit(trail: object, record: AuditEvent | Mapping[Any, Any]) -> None:
    """Append an event that :meth:`Trail.log` refused, as a line of JSON with an id.

    The next flush quarantines the line with its reason, or makes an event of it where it would of a file's line. What
    JSON cannot say stands in it as Python shows it.

    Args:
        trail: The trail, or a lake with one of its own.
        record: The event, or its fields.

    Raises:
        LandingError: The disk refused, or the trail is closed.
    """
    if isinstance(record, AuditEvent):
        line = record.as_line(uuid7)[1].removesuffix(b"\n")
    else:
        from auditlake.sources.python_events import shown_line  # with Arrow, which is slow to import

        line = shown_line({"event_id": uuid7(), **record})
    own: Any = getattr(trail, "_trail", trail)
    own.append_lines([line])
