"""Adding and releasing holds: the file is written, and the Delta log records it, so that neither goes unnoticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from auditlake.context import LakeContext
from auditlake.errors import HoldError
from auditlake.packs.effective import lake_policies
from auditlake.policies.holds import (
    Hold,
    check_hold_id,
    chosen_hold,
    is_release_of,
    load_holds,
    released_hold,
    written_hold,
)
from auditlake.retention.commit_record import CommitRecord, operator_or_user
from auditlake.retention.terms import last_recorded, terms_of
from auditlake.storage.lake import write
from auditlake.store.deltalog import Commits
from auditlake.store.failures import explained
from auditlake.store.model import Change
from auditlake.store.turn import Turn, writer_turn


def add_hold(context: LakeContext, asked: Hold, *, operator: str | None) -> Hold:
    """Begin a hold. It counts from the moment its file is there.

    Raises:
        HoldError: It says something that a hold cannot, or there is one of that name.
    """
    check_hold_id(asked.id)
    layout, now, hold_id = context.layout, asked.created, asked.id
    hold, data = written_hold(asked, context.config.event_types)
    with explained(layout, "the hold"), writer_turn(context) as turn:
        if layout.hold(hold_id).exists():
            raise HoldError(f"the lake has a hold {hold_id!r} already", hint="choose another name; none is used twice")
        turn.notice(now)
        write(layout, layout.hold(hold_id), data)
        _record(context, turn, hold, "added", f"recorded the hold {hold_id}", operator, now)
    return hold


def release_hold(context: LakeContext, hold_id: str, reason: str, *, operator: str | None) -> Hold:
    """End a hold; its file stays.

    A release that was interrupted before it was recorded is recorded now. What was written into the file by hand is
    no release: the hold ends now, for the reason that the caller gives.

    Raises:
        HoldError: There is none of that name, it has ended, or there is no reason.
    """
    check_hold_id(hold_id)
    layout, now, event_types = context.layout, context.now, context.config.event_types
    with explained(layout, "the release"), writer_turn(context) as turn:
        hold = chosen_hold(load_holds(layout, event_types), hold_id)
        recorded = last_recorded(turn.commits) or {"holds": {}}
        turn.notice(now)
        if not is_release_of(hold, recorded["holds"].get(hold_id)):
            if not _was_released(turn.commits, hold_id):
                hold = replace(hold, released=None, released_because=None)
            hold, data = released_hold(hold, reason, now, event_types)
            write(layout, layout.hold(hold_id), data)
        _record(context, turn, hold, "released", f"recorded the release of the hold {hold_id}", operator, now)
    return hold


def _was_released(commits: Commits, hold_id: str) -> bool:
    """Return whether the newest commit about a hold recorded its release."""
    for version in range(commits.newest, -1, -1):
        about = (commits.metadata(version) or {}).get("hold") or {}
        if about.get("id") == hold_id:
            return bool(about["what"] == "released")
    return False


def _record(
    context: LakeContext, turn: Turn, hold: Hold, what: str, summary: str, operator: str | None, now: datetime
) -> None:
    """Commit that a hold began or ended.

    Only the hold's own part of the recorded terms moves on: a weaker policy is still noticed by the next apply.
    """
    recorded = last_recorded(turn.commits)
    if recorded is None:
        layout, config = context.layout, context.config
        policies, holds = lake_policies(layout, config.event_types), load_holds(layout, config.event_types)
        recorded = terms_of(policies, holds, config.default_retention)
    about = {"id": hold.id, "what": what, "digest": hold.digest}
    terms = {**recorded, "holds": {**recorded["holds"], hold.id: hold.digest}}
    record = CommitRecord("hold", now, operator_or_user(operator), summary, terms, hold=about)
    turn.commit(Change((), (), record.metadata(), data_change=False, details=record.details()))
