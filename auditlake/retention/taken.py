"""Which event types have lost events, by what the certificates in the commits say."""

from __future__ import annotations

from datetime import date

from auditlake.disk.layout import Layout
from auditlake.store.deltalog import Commits


def first_taken(layout: Layout, version: int) -> dict[str, date]:
    """Return each event type of which a deletion up to a version took events, with the first day of such events.

    Certificates of forms 1 to 3 do not say of which types they took events: those show nothing here.
    """
    first: dict[str, date] = {}
    for _, own in Commits(layout, version).of_retention():
        for name, taken in (own.get("certificate", {}).get("event_types") or {}).items():
            day = date.fromisoformat(taken["first_day"])
            first[name] = min(day, first.get(name, day))
    return first
