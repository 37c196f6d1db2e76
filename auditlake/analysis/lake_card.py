"""What a notebook shows of a lake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from auditlake.display.cards import Card, Fact
from auditlake.display.shown import cells, cut
from auditlake.errors import AuditLakeError
from auditlake.policies.model import Policy
from auditlake.store.delta import Snapshot

_HEADINGS = ("policy", "threshold", "window", "by", "keeps", "severity", "governs")


def lake_card(root: Path, snapshot: Snapshot, read_policies: Callable[[], Sequence[Policy]]) -> Card:
    """Return a lake in short: its size, and its policies.

    Args:
        root: The lake's folder.
        snapshot: Its newest snapshot.
        read_policies: Reads its policies; an error of theirs is shown.
    """
    days = {file.day for file in snapshot.files}
    facts = (
        Fact("events", f"{snapshot.rows:,}"),
        Fact("days", f"{len(days):,}" + (f", {min(days)} to {max(days)}" if days else "")),
        Fact("snapshot", str(snapshot.version)),
    )
    policies: Sequence[Policy] = ()
    note = ".sql(), .events(), .report(), .backtest(); what is logged is in every answer"
    try:
        policies = read_policies()
    except AuditLakeError as error:
        note = cut(f"its policies cannot be used: {error}")
    rows = [
        (each.id, each.alert_threshold, each.shown_window, ", ".join(each.group_by) or None,
         each.retention_period and str(each.retention_period), each.severity, ", ".join(each.required_events))
        for each in policies
    ]  # fmt: skip
    return Card("lake", cut(str(root)), "", facts, _HEADINGS if rows else (), cells(rows), note)
