"""The event: its columns and its vocabulary."""

from __future__ import annotations

from enum import StrEnum
from itertools import takewhile

COLUMNS: dict[str, str] = {
    "event_id": "varchar",
    "event_type": "varchar",
    "timestamp": "timestamptz",
    "user_id": "varchar",
    "action": "varchar",
    "resource": "varchar",
    "status": "varchar",
    "details": "varchar",
    "metadata": "varchar",
    "session_id": "varchar",
    "ip_address": "varchar",
    "source": "varchar",
    "ingested_at": "timestamptz",
    "batch": "bigint",
    "seq": "bigint",
    "salt": "blob",
    "event_date": "date",
}
"""Every column of the lake's table, in order, with its DuckDB type."""

FILE_COLUMNS: tuple[str, ...] = tuple(name for name in COLUMNS if name != "event_date")
"""What a Parquet file holds: all but the partition column."""

INTERNAL_COLUMNS: tuple[str, ...] = ("batch", "seq", "salt")
"""Columns for the ledger alone; readers do not see them."""

PUBLIC_COLUMNS: tuple[str, ...] = tuple(name for name in COLUMNS if name not in INTERNAL_COLUMNS)
"""What readers of events see, in order."""

TEXT_COLUMNS: tuple[str, ...] = ("user_id", "action", "resource", "status", "session_id", "ip_address")
"""Free text of an event; null where unknown."""

CANONICAL_FIELDS: tuple[str, ...] = tuple(takewhile(lambda name: name != "source", COLUMNS))
"""The keys of an event in canonical JSON; any other top-level key is kept in ``metadata`` under ``_extra``."""


MAX_RECORD = 16 * 1024 * 1024
"""Bytes of the longest input record that becomes an event, unless lake.toml sets another limit."""


CANONICAL = "auditlake"
"""The source of canonical events: what applications logged, and files of such events."""
SELF = "auditlake.self"
"""The source of events that auditlake writes about itself."""


class EventType(StrEnum):
    """The built-in event types; lake.toml may declare more."""

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
    ACCOUNT_CHANGE = "account_change"
    PRIVILEGE_USE = "privilege_use"
    AUDIT_LOG_ACCESS = "audit_log_access"
    AUDIT_LOG_CONTROL = "audit_log_control"
    DATA_EXPORT = "data_export"
    HUMAN_OVERSIGHT = "human_oversight"
    API_CALL = "api_call"
    NETWORK_CHANGE = "network_change"
    PROCESS_EXECUTION = "process_execution"


BUILT_IN_TYPES: frozenset[str] = frozenset(each.value for each in EventType)
"""The names of the built-in types."""
