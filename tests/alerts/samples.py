"""Alerts made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from auditlake.alerts.model import Alert
from auditlake.events.times import instant
from tests.alerts.lakes import BASE, SECOND

_ALERT = Alert(
    id="00", kind="threshold_exceeded", policy_id="watched", policy_name="Watched", severity="high",
    group={"user_id": "ann"}, at=instant(BASE), count=3, threshold=3, window="20s", late=False,
    raised_at=instant(BASE + SECOND), message="Watched: 3 events",
)  # fmt: skip


def alert(number: int, **fields: Any) -> Alert:
    """An alert of its own."""
    return replace(_ALERT, id=f"{number:016x}", **fields)
