"""What an asker and a desk say to each other, as JSON objects of one key.

An asker says ``open`` once, then ``ask`` as often as it likes; ``queries`` at any time between questions, and ``stop``
while one runs, which is not answered by itself. A desk answers ``opened``, ``done`` after the frames of rows,
``queries``, or ``error``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from auditlake.errors import (
    AuditLakeError,
    DeskError,
    EventError,
    QueryError,
    RefusedError,
    SandboxError,
    SnapshotError,
    StoppedError,
)
from auditlake.sandbox.canned import CannedQuery, Parameter
from auditlake.sandbox.model import MEGABYTE

VERSION = 1
"""What ``open`` says: how the two talk to each other."""
REQUEST_BYTES = 4 * MEGABYTE
"""Bytes of the longest request: a statement and its parameters have at most 1.1 million characters."""
REPLY_BYTES = 16 * MEGABYTE
"""Bytes of the longest JSON object that is taken from a desk."""

_ERRORS: dict[str, type[AuditLakeError]] = {
    each.__name__: each
    for each in (DeskError, EventError, QueryError, RefusedError, SandboxError, SnapshotError, StoppedError)
}


def error_message(error: AuditLakeError) -> dict[str, Any]:
    """Return the message that tells of an error."""
    return {"error": {"type": type(error).__name__, "message": str(error), "hint": error.hint}}


def error_of(message: Mapping[str, Any]) -> AuditLakeError:
    """Return the error that a message tells of."""
    told = message["error"] if isinstance(message.get("error"), Mapping) else {"message": "the desk said nothing"}
    kind = _ERRORS.get(str(told.get("type")), DeskError)
    return kind(str(told.get("message")), hint=str(told.get("hint", "")))


def queries_message(queries: Mapping[str, CannedQuery]) -> dict[str, Any]:
    """Return the message that tells of canned queries."""
    return {"queries": [asdict(each) for each in queries.values()]}


def queries_of(message: Mapping[str, Any]) -> dict[str, CannedQuery]:
    """Return the canned queries that a message tells of.

    Raises:
        KeyError, TypeError: It tells of none.
    """
    queries = (
        CannedQuery(**{**each, "parameters": tuple(Parameter(**parameter) for parameter in each["parameters"])})
        for each in message["queries"]
    )
    return {each.name: each for each in queries}
