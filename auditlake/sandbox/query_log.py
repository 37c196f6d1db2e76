"""Every question is an event of the lake: written down, durably, before its answer is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from itertools import islice
from typing import Any

from auditlake.config import LakeConfig
from auditlake.disk.layout import Layout
from auditlake.errors import EventError, LandingError
from auditlake.events.event import AuditEvent
from auditlake.events.ids import uuid7
from auditlake.events.schema import EventType
from auditlake.landing.trail import Terms, Trail, TrailOptions
from auditlake.machine import Clock, login_name
from auditlake.sandbox.model import Outcome
from auditlake.sandbox.principals import Account

_CUTS = (1_000_000, 10_000, 100)
"""Characters of the longest text of a question that is put on record, and where that makes too long an event, fewer."""


class QueryLog:
    """Writes down who asked what and how it ended, as ``audit_log_access`` of the source ``auditlake.self``.

    Args:
        layout: The lake.
        config: Its settings.
        clock: Where the present comes from.
        principal: Who asks.
        session: The session's id.
        snapshot: What it reads.
        account: The account that asks at a desk; None for the user of this process.
    """

    def __init__(
        self, layout: Layout, config: LakeConfig, clock: Clock, *, principal: str, session: str, snapshot: int,
        account: Account | None = None,
    ) -> None:  # fmt: skip
        terms = Terms(config.event_types, config.max_record)
        self._trail = Trail(layout, terms, TrailOptions(flush_seconds=None), own=True)
        self._clock = clock
        self._principal = principal
        self._session = session
        self._snapshot = snapshot
        self._who = {"system_user": login_name()} if account is None else account.as_recorded()
        self.lines: list[str] = []
        """The events of the session so far, as JSON."""

    def record(self, text: object, values: object, outcome: Outcome) -> str:
        """Write a question and its outcome down, and give the event's id once it is on the disk.

        Args:
            text: The statement, or what was given as one.
            values: Its parameters, or what was given as such.
            outcome: How it ended.

        Raises:
            AuditLakeError: It could not be written: then nothing may be answered.
        """
        for most in _CUTS:
            event = self._event(_shown(text, most), _shown(values, most), outcome)
            try:
                event_id = self._trail.log(event)
            except EventError:  # longer than the lake takes: what is far too long loses its end
                continue
            except LandingError as error:
                message = f"the question cannot be put on record, so it is not answered: {error}"
                hint = "where the lake cannot be written, ask a copy of it: auditlake backup makes one"
                raise LandingError(message, hint=hint) from error
            self.lines.append(event.to_json())
            return event_id
        raise LandingError("the question cannot be put on record: the lake takes no event as long as it is")

    def _event(self, text: Any, values: Any, outcome: Outcome) -> AuditEvent:
        details: dict[str, Any] = {
            "query": text,
            "parameters": values,
            **self._who,
            "snapshot": self._snapshot,
            "rows": outcome.rows,
            "milliseconds": round(outcome.seconds * 1000),
            "outcome": outcome.status,
        }
        if outcome.reason:
            details["reason"] = _shown(outcome.reason, _CUTS[1])
        if not outcome.complete:
            details["complete"] = False
        return AuditEvent(
            EventType.AUDIT_LOG_ACCESS,
            self._clock(),
            user_id=self._principal,
            action="query",
            resource=f"snapshot {self._snapshot}",
            status=outcome.status,
            details=details,
            session_id=self._session,
            event_id=uuid7(),
        )

    def close(self) -> None:
        """Give the slot back."""
        self._trail.close()


def _shown(value: object, most: int, depth: int = 4) -> Any:
    """Return a parameter as JSON can have it, with no text or list longer than ``most``."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        cut = "" if len(value) <= most else f"… ({len(value):,} characters)"
        return value[:most].encode("utf-8", "backslashreplace").decode("utf-8") + cut
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else _shown(hex(value), most)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping) and depth:
        items = islice(value.items(), most)
        return {str(_shown(name, most, 0)): _shown(each, most, depth - 1) for name, each in items}
    if isinstance(value, list | tuple) and depth:
        return [_shown(each, most, depth - 1) for each in value[:most]]
    return value.isoformat() if isinstance(value, date) else f"<{type(value).__name__}>"
