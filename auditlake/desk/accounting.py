"""Every question is an event of the lake: written down, durably, before its answer is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditlake.clock import Clock
from auditlake.config import LakeConfig
from auditlake.desk.model import Outcome
from auditlake.events.event import AuditEvent
from auditlake.events.schema import EventType
from auditlake.landing.trail import Terms, Trail, TrailOptions
from auditlake.store.layout import Layout


class Accounts:
    """Writes down who asked what and how it ended, as ``audit_log_access`` of the source ``auditlake.self``.

    Args:
        layout: The lake.
        config: Its settings.
        clock: Where the present comes from.
        principal: Who asks.
        session: The session's id.
        snapshot: What it reads.
    """

    def __init__(
        self, layout: Layout, config: LakeConfig, clock: Clock, *, principal: str, session: str, snapshot: int
    ) -> None:
        terms = Terms(config.event_types, config.max_record)
        self._trail = Trail(layout, terms, TrailOptions(flush_seconds=None), own=True)
        self._clock = clock
        self._principal = principal
        self._session = session
        self._snapshot = snapshot

    def record(self, text: str, values: Mapping[str, Any], outcome: Outcome) -> str:
        """Write a question and its outcome down, and give the event's id once it is on the disk.

        Raises:
            AuditLakeError: It could not be written: then nothing may be answered.
        """
        details: dict[str, Any] = {
            "query": str(text).encode("utf-8", "backslashreplace").decode("utf-8"),
            "parameters": dict(values),
            "snapshot": self._snapshot,
            "rows": outcome.rows,
            "milliseconds": round(outcome.seconds * 1000),
            "outcome": outcome.status,
        }
        if outcome.reason:
            details["reason"] = outcome.reason.encode("utf-8", "backslashreplace").decode("utf-8")
        if not outcome.complete:
            details["complete"] = False
        return self._trail.log(
            AuditEvent(
                EventType.AUDIT_LOG_ACCESS,
                self._clock(),
                user_id=self._principal,
                action="query",
                resource=f"snapshot {self._snapshot}",
                status=outcome.status,
                details=details,
                session_id=self._session,
            )
        )

    def close(self) -> None:
        """Give the slot back."""
        self._trail.close()
