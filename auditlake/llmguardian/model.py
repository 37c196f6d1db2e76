"""Events, policies and errors as LLMGuardian has them, and what they are in a lake."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any

from auditlake.errors import AuditLakeError, EventError
from auditlake.events import event as canonical
from auditlake.events.schema import TEXT_COLUMNS

ODD_ADDRESS = "_ip_address"
"""The key of ``metadata`` for an ip_address that is no address, such as ``localhost``."""


class AuditEventType(StrEnum):
    """The event types of LLMGuardian. Members are texts too; the lake knows these and others."""

    LOGIN = "login"
    LOGOUT = "logout"
    AUTH_FAILURE = "auth_failure"
    ACCESS_GRANTED = "access_granted"
    ACCESS_DENIED = "access_denied"
    PERMISSION_CHANGE = "permission_change"
    DATA_ACCESS = "data_access"
    DATA_MODIFICATION = "data_modification"
    DATA_DELETION = "data_deletion"
    CONFIG_CHANGE = "config_change"
    SYSTEM_ERROR = "system_error"
    SECURITY_ALERT = "security_alert"
    MODEL_ACCESS = "model_access"
    MODEL_UPDATE = "model_update"
    PROMPT_INJECTION = "prompt_injection"
    COMPLIANCE_CHECK = "compliance_check"
    POLICY_VIOLATION = "policy_violation"
    DATA_BREACH = "data_breach"


class MonitoringError(AuditLakeError):
    """The only error of the monitor: what it could not do.

    Args:
        message: What.
        context: More about it, e.g. the ``event_id`` to log an event with again.
    """

    def __init__(self, message: str, context: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        """What could not be done."""
        self.context: dict[str, Any] = dict(context or {})
        """More about it."""


@dataclass
class AuditEvent:
    """An event as LLMGuardian's callers make it. It may be changed at any time: what was logged stays as it was."""

    event_type: AuditEventType | str
    timestamp: datetime
    """When it happened; a naive one is UTC."""
    user_id: str
    action: str
    resource: str
    status: str
    details: dict[str, Any]
    metadata: dict[str, Any] | None = None
    session_id: str | None = None
    ip_address: str | None = None
    event_id: str | None = None
    """Its own id, of which LLMGuardian has none: logged again with the same one, it is the same event. A new one for
    each call of ``log_event`` if None."""


@dataclass
class CompliancePolicy:
    """A policy as LLMGuardian's callers make it, with what a lake's policy can ask besides."""

    name: str
    description: str
    required_events: AbstractSet[AuditEventType | str]
    retention_period: timedelta | None
    """How long events are kept; None, which LLMGuardian does not know: the policy says nothing about it."""
    alert_threshold: int | None
    """From how many events in one window on there is a violation; None, which LLMGuardian does not know: it does not
    count."""
    window: timedelta = timedelta(hours=24)
    """How far back events count towards the threshold."""
    group_by: Sequence[str] = ()
    """Columns such as ``user_id``: the threshold is counted for each of their values by itself."""
    where: str | None = None
    """A condition in SQL that an event must meet to count towards the threshold, e.g. ``status = 'failure'``."""
    severity: str = "medium"
    controls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Which controls of which frameworks it is evidence for."""


def type_name(event_type: object) -> str:
    """Return the name of an event type, which is text or a member of any enumeration of texts."""
    value = event_type.value if isinstance(event_type, Enum) else event_type
    if not isinstance(value, str) or not value:
        raise EventError(f"event_type: expected an AuditEventType or its name, got {event_type!r}")
    return str(value)


def recorded(event: AuditEvent, event_id: str) -> canonical.AuditEvent:
    """Return an event as a lake keeps it, with its present values.

    Numbers and truth values where text belongs become their JSON text, as in a file that is ingested. An ip_address
    that is no address goes into ``metadata``.

    Raises:
        EventError: It cannot be recorded.
    """
    texts = {name: _text(getattr(event, name)) for name in TEXT_COLUMNS}
    metadata = event.metadata
    if texts["ip_address"] is not None and not canonical.is_address(texts["ip_address"]):
        metadata = {ODD_ADDRESS: texts["ip_address"], **(metadata or {})}
        texts["ip_address"] = None
    return canonical.AuditEvent(
        event_type=type_name(event.event_type),
        timestamp=event.timestamp,
        details=event.details,
        metadata=metadata,
        event_id=event.event_id or event_id,
        **texts,
    )


def _text(value: Any) -> Any:
    if isinstance(value, Enum):
        value = value.value
    return json.dumps(value) if isinstance(value, bool | int | float) else value
