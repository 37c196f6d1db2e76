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


METADATA_KEYS: dict[str, str] = {
    "verb": "what the call does: `create`, `read`, `update` or `delete`",
    "target_kind": "what it is done to: `user`, `role`, `group`, `policy`, `app`, `key`, or another kind of the source",
    "credential": "the credential that it is about: `password`, `mfa`, `token`, `key` or `certificate`",
    "mfa": "whether a second factor was used: true or false",
    "actor_type": "what kind of identity acted, in the words of the source",
    "user_name": "the name of whoever acted, where `user_id` is an id",
    "on_behalf_of": "for whom it was done",
    "impersonated": "as whom it was done",
    "error_code": "why it failed, as the source's code",
    "error_message": "why it failed, in words",
    "reason": "why it was done, refused or found, as the source says",
    "user_agent": "the program that made the call",
    "country": "where the call came from",
    "account": "the account, tenant, organisation or project",
    "region": "the region of the cloud",
    "visibility": "who can see it now, such as `public` or `private`",
    "model": "the model that was used",
    "provider": "who runs the model, or the cloud",
    "tokens": "how many tokens the call took",
    "severity": "how grave the source says it is",
    "mapping": "the mapping that made the event, and its version",
}
"""The keys of ``metadata`` that mean the same in every source: what they say; a source fills those that it has."""


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
