"""A remap: a changed mapping derives the columns of the events that the lake has of a source anew.

The events' records stay as they are, and with them ids, times, order and batches; so does what an erasure took. The
ledger keeps the leaves of what changes, as it does for an erasure. An event that a hold matches, as it is or as it
would become, stops the whole.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from auditlake.context import LakeContext
from auditlake.display.text import count
from auditlake.errors import RetentionError, SourceError
from auditlake.events.schema import CANONICAL, SELF
from auditlake.events.times import print_instant
from auditlake.retention.cleanup import Cleanup
from auditlake.retention.commit_record import operator_or_user
from auditlake.retention.day_rewrite import Day
from auditlake.retention.derived_columns import Asked, derived_days, remapped_rows
from auditlake.retention.operation import Operation, carry_out
from auditlake.retention.planner import rules_of
from auditlake.retention.remap_plan import RemapPlan, retention_changes, types_as_json
from auditlake.retention.rules import RetentionRules
from auditlake.retention.side_files import left_everywhere
from auditlake.retention.terms import state_of, terms_of, with_holds_as_they_are
from auditlake.sources.catalog import Source, catalog_of
from auditlake.store.deltalog import Commits
from auditlake.store.failures import explained
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import read_snapshot
from auditlake.store.turn import writer_turn


@dataclass(frozen=True, slots=True)
class Remapped:
    """What a remap did."""

    plan: RemapPlan
    """The plan that was carried out; where that was done before, what the plan is now."""
    events: int
    """Events whose columns became others."""
    snapshot: int
    """The newest version after it."""
    certificate: str | None
    """The certificate's id; None where there was nothing to do."""
    was_done: bool = False
    """Whether the plan that was asked for had been carried out before."""


def plan(context: LakeContext, source: str, since: datetime | None, until: datetime | None) -> RemapPlan:
    """Return what a remap would do now; see :meth:`auditlake.facets.sources.Sources.remap_plan`."""
    asked = _asked(context, source, since, until)
    snapshot = read_snapshot(context.layout)
    rules = rules_of(context, context.now, commits=Commits(context.layout, snapshot.version))
    with explained(context.layout, "the plan"):
        return _plan(context, rules, snapshot, asked, None)


def remap(
    context: LakeContext,
    source: str,
    since: datetime | None,
    until: datetime | None,
    *,
    digest: str | None,
    accept_weaker: str | None,
    operator: str | None,
) -> Remapped:
    """Derive the columns of a source's events anew; see :meth:`auditlake.facets.sources.Sources.remap`.

    Raises:
        CommitError: The commit was refused; nothing was changed.
    """
    asked, now, layout = _asked(context, source, since, until), context.now, context.layout
    with explained(layout, "the remap"), writer_turn(context) as turn:
        cleanup = Cleanup(turn, context.config.grace_seconds)
        cleanup.complete_pending()
        rules = rules_of(context, now, commits=turn.commits)
        terms = with_holds_as_they_are(
            turn.commits, rules.policies, rules.all_holds, rules.default_retention, "remapped"
        )  # fmt: skip
        planned = _plan(context, rules, turn.snapshot, asked, turn.folder)
        if digest not in (None, planned.digest) and (before := cleanup.carried_out(digest)):
            return Remapped(planned, 0, turn.snapshot.version, before, was_done=True)
        _check(planned, digest, accept_weaker)
        if not planned.changed:
            return Remapped(planned, 0, turn.snapshot.version, None)
        operation = Operation(
            kind="remap",
            at=now,
            operator=operator_or_user(operator),
            days=tuple(
                Day(day.day, (), day.files, (), day.events, 0, day.changed, 0) for day in planned.changes
            ),
            mark=remapped_rows(turn.folder),
            terms=terms,
            leftovers=(),
            facts={"plan_digest": planned.digest, "remap": _facts(planned), "left": _left(context, planned)},
            weaker={"changes": list(planned.weaker), "reason": accept_weaker} if planned.weaker else None,
            summary=f"derived the columns of {count(planned.changed, 'event')} of {source} anew",
            details={"source": source, "mapping": planned.mapping, "mapping_digest": planned.mapping_digest},
        )  # fmt: skip
        done = carry_out(context, turn, rules, operation)
        cleanup.complete_pending(done)
    return Remapped(planned, planned.changed, done.version, done.certificate)


def _asked(context: LakeContext, name: str, since: datetime | None, until: datetime | None) -> Asked:
    event_types = context.config.event_types
    catalog = catalog_of(context.layout, event_types)
    if name in (CANONICAL, SELF):
        message = f"the events of {name} say themselves what they are, so there is no mapping to derive them by"
        raise SourceError(message, hint="only events of mapped sources are derived anew")
    if name not in catalog.sources:
        for fault in catalog.faults:
            raise fault
        hint = f"there are: {', '.join(catalog.inputs)}"
        raise SourceError(f"there is no source {name!r}", hint=hint)
    source = catalog[name]
    if source.outline is None and source.several:
        message = f"the details of an event of {name} are not the whole record that it was made from"
        raise SourceError(message, hint="its events cannot be derived anew")
    if since is not None and until is not None and until < since:
        raise SourceError(f"the period ends at {print_instant(until)}, before it begins at {print_instant(since)}")
    return Asked(source, catalog, event_types, since, until)


def _plan(
    context: LakeContext, rules: RetentionRules, snapshot: Snapshot, asked: Asked, keep: Path | None
) -> RemapPlan:
    days = tuple(derived_days(context.layout, rules, snapshot, asked, keep=keep))
    terms = terms_of(rules.policies, rules.all_holds, rules.default_retention)
    types = sum((day.types for day in days), Counter())
    return RemapPlan(
        context.config.id, asked.source.name, asked.source.version or asked.source.name, _digest(asked.source),
        asked.since, asked.until, rules.as_of, snapshot.version, days,
        tuple((hold.id, hold.digest) for hold in rules.holds), retention_changes(types, state_of(terms)),
        asked.underivable,
    )  # fmt: skip


def _digest(source: Source) -> str:
    if source.outline is not None:
        return source.mapping.digest
    return f"sha256:{hashlib.sha256(source.sql.encode()).hexdigest()}"


def _check(planned: RemapPlan, digest: str | None, accept_weaker: str | None) -> None:
    if digest is not None and digest != planned.digest:
        message = f"the plan has changed since it was shown: it is {planned.digest} now, not {digest}"
        raise RetentionError(message, hint="nothing was changed; look at auditlake remap --dry-run again")
    if held := [
        f"{hold} ({count(before, 'event')} as they are, {after:,} as they would become)"
        for hold, (before, after) in planned.held.items()
    ]:
        message = f"nothing was remapped, since a legal hold keeps events that would change: {', '.join(held)}"
        raise RetentionError(message, hint="name a period without them by --since and --until, or wait for the release")
    if planned.weaker and not (accept_weaker or "").strip():
        message = f"nothing was remapped, since events would be kept shorter: {'; '.join(planned.weaker)}"
        raise RetentionError(message, hint="if that is right: --accept-weaker REASON, which is recorded")


def _facts(planned: RemapPlan) -> Mapping[str, Any]:
    """Return what the certificate says of a remap only."""
    return {
        "source": planned.source, "mapping": planned.mapping, "mapping_digest": planned.mapping_digest,
        "since": planned.since and print_instant(planned.since),
        "until": planned.until and print_instant(planned.until),
        "events": planned.changed, "erased": planned.erased, "looked_at": planned.looked_at,
        "types": types_as_json(planned.types), "columns": dict(sorted(planned.columns.items())),
        "retention": [str(each) for each in planned.retention],
        "left": dict(sorted(planned.left.items())),
    }  # fmt: skip


def _left(context: LakeContext, planned: RemapPlan) -> list[str]:
    left = left_everywhere(context.layout, context.config.grace_seconds, removes=True)
    if planned.erased:
        left.append(
            f"{count(planned.erased, 'event')} of those that changed had been erased: their user_id, ip_address and "
            f"session_id stay, and so does what would have something of a personal place."
        )
    if planned.named_again:
        left.append(
            f"{count(planned.named_again, 'event')} got the user_id of a person of whom other events had been erased: "
            f"that person is to be erased again."
        )
    if planned.underivable:
        left.append(
            f"These columns stayed, since details do not have all that the mapping reads for them: "
            f"{', '.join(planned.underivable)}."
        )
    for why, events in planned.left.most_common():
        left.append(f"{count(events, 'event')} stayed: {why}.")
    return left
