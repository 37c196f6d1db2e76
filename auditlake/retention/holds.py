"""Holds begin and end: the file is written, and the Delta log records it, so that neither goes unnoticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from auditlake.disk.durable import FOLDER_MODE, sync_folder, write_whole
from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive
from auditlake.errors import HoldError
from auditlake.events.durations import Duration
from auditlake.policies.holds import (
    Hold,
    HoldRequest,
    check_hold_id,
    chosen_hold,
    is_release_of,
    load_holds,
    new_hold,
    released_hold,
)
from auditlake.policies.loader import load_policies
from auditlake.retention.commit_record import Record
from auditlake.retention.terms import last_recorded, terms_of, with_hold
from auditlake.store import delta
from auditlake.store.bookkeeping import notice_changes
from auditlake.store.deltalog import commit_metadata
from auditlake.store.failures import explained


def add_hold(
    layout: Layout,
    hold_id: str,
    request: HoldRequest,
    event_types: frozenset[str],
    default_retention: Duration | None,
    *,
    operator: str,
    now: datetime,
    wait_seconds: float,
) -> Hold:
    """Begin a hold. It counts from the moment its file is there.

    Raises:
        HoldError: It says something that a hold cannot, or there is one of that name.
    """
    check_hold_id(hold_id)
    hold, data = new_hold(hold_id, request, now, event_types)
    with explained(layout, "the hold"), exclusive(layout.lock, wait_seconds=wait_seconds):
        layout.holds.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(layout.root)
        if layout.hold(hold_id).exists():
            raise HoldError(f"the lake has a hold {hold_id!r} already", hint="choose another name; none is used twice")
        notice_changes(layout, delta.read_snapshot(layout), now=now)
        write_whole(layout.hold(hold_id), data)
        said = f"recorded the hold {hold_id}"
        _record(layout, hold, "added", said, event_types, default_retention, operator=operator, now=now)
    return hold


def release_hold(
    layout: Layout,
    hold_id: str,
    reason: str,
    event_types: frozenset[str],
    default_retention: Duration | None,
    *,
    operator: str,
    now: datetime,
    wait_seconds: float,
) -> Hold:
    """End a hold; its file stays.

    Should a release have been interrupted before it was recorded, it is recorded now. What somebody wrote into the
    file by hand is none: the hold ends now, for the reason that is given.

    Raises:
        HoldError: There is none of that name, it has ended, or there is no reason.
    """
    check_hold_id(hold_id)
    with explained(layout, "the release"), exclusive(layout.lock, wait_seconds=wait_seconds):
        hold = chosen_hold(load_holds(layout, event_types), hold_id)
        seen = delta.read_snapshot(layout)
        recorded = last_recorded(layout, seen.version) or {"holds": {}}
        notice_changes(layout, seen, now=now)
        if not is_release_of(hold, recorded["holds"].get(hold_id)):
            if not _was_released(layout, hold_id):
                hold = replace(hold, released=None, released_because=None)
            hold, data = released_hold(hold, reason, now, event_types)
            write_whole(layout.hold(hold_id), data)
        said = f"recorded the release of the hold {hold_id}"
        _record(layout, hold, "released", said, event_types, default_retention, operator=operator, now=now)
    return hold


def _was_released(layout: Layout, hold_id: str) -> bool:
    """Whether the newest commit about a hold recorded its release."""
    for version in range(delta.newest_version(layout), -1, -1):
        said = (commit_metadata(layout, version) or {}).get("hold") or {}
        if said.get("id") == hold_id:
            return bool(said["what"] == "released")
    return False


def _record(
    layout: Layout,
    hold: Hold,
    what: str,
    said: str,
    event_types: frozenset[str],
    default_retention: Duration | None,
    *,
    operator: str,
    now: datetime,
) -> None:
    """Only the hold's own part of the recorded terms moves on: a weaker policy is still noticed by the next apply."""
    snapshot = delta.read_snapshot(layout)
    recorded = last_recorded(layout, snapshot.version)
    if recorded is None:
        policies, holds = load_policies(layout.policies, event_types), load_holds(layout, event_types)
        recorded = terms_of(policies, holds, default_retention)
    terms = with_hold(recorded, hold)
    record = Record("hold", now, operator, said, terms, hold={"id": hold.id, "what": what, "digest": hold.digest})
    delta.commit(layout, snapshot, delta.Change((), (), record.metadata(), data_change=False, details=record.details()))
