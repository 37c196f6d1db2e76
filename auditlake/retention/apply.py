"""Deletion: what the plan says goes, in one commit, and the files that held it after the grace."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive, workspace
from auditlake.display.text import count
from auditlake.errors import RetentionError
from auditlake.policies.holds import load_holds
from auditlake.retention.cleanup import carried_out, finish
from auditlake.retention.day_rewrite import DayRewrite
from auditlake.retention.operation import Day, Deed, carry_out, left_everywhere
from auditlake.retention.plan import PartitionPlan, RetentionPlan
from auditlake.retention.planner import Settings, judge_of, plan_snapshot
from auditlake.retention.rules import DEFAULT, Judge
from auditlake.retention.side_files import quarantine_files, report_files
from auditlake.retention.terms import terms_of
from auditlake.store import delta
from auditlake.store.failures import explained
from auditlake.store.pseudonyms import pseudonyms


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did."""

    plan: RetentionPlan
    """The plan that was carried out; where that was done before, what the plan is now."""
    snapshot: int
    """The newest version after it."""
    certificate: str | None
    """The certificate's id; None where there was nothing to do."""
    unlinked: int
    """Data files that were removed from the disk, those of earlier applies among them."""
    was_done: bool = False
    """Whether the plan that was asked for had been carried out before, so that only files were left to be removed."""


def apply(
    layout: Layout,
    settings: Settings,
    *,
    as_of: datetime,
    digest: str | None,
    accept_weaker: str | None,
    operator: str,
    now: datetime,
    wait_seconds: float,
) -> Applied:
    """Carry out the plan of a lake, judged at ``as_of``.

    Args:
        layout: The lake.
        settings: What lake.toml says.
        as_of: The instant to judge at, not after now.
        digest: The plan that was seen; nothing is done if there is another one by now. One that was carried out, by
            an apply that was interrupted perhaps, is finished.
        accept_weaker: Why weaker rules than recorded are right; refused without.
        operator: Who does it.
        now: The present.
        wait_seconds: How long to wait while another process writes.

    Raises:
        RetentionError: The plan has changed, or the rules have become weaker; nothing was deleted.
        CommitError: The commit was refused; nothing was deleted.
    """
    if as_of > now:
        raise RetentionError(f"as of {as_of.isoformat()} lies ahead", hint="nothing is deleted before its time")
    with (
        explained(layout, "the deletion"),
        exclusive(layout.lock, wait_seconds=wait_seconds),
        workspace(layout.staging) as folder,
    ):
        snapshot = delta.read_snapshot(layout)
        delta.sync_log(layout, snapshot.version)  # files are unlinked below because of what it says
        unlinked = finish(layout, snapshot, settings.grace_seconds)
        judge = judge_of(layout, settings, as_of)
        plan = plan_snapshot(layout, settings, judge, snapshot)
        if digest not in (None, plan.digest) and (before := carried_out(layout, snapshot.version, digest)):
            return Applied(plan, snapshot.version, before, unlinked, was_done=True)
        _check(plan, digest, accept_weaker)
        if not plan.changes and not plan.leftovers and not plan.weaker:
            return Applied(plan, snapshot.version, None, unlinked)
        if plan.pseudonymise:
            judge = replace(judge, names=pseudonyms(layout, make=True))
        deed = _deed(layout, settings, judge, plan, accept_weaker)
        version, name = carry_out(
            layout, folder, snapshot, judge, deed, lake_id=settings.id, operator=operator, now=now,
            grace_seconds=settings.grace_seconds,
        )  # fmt: skip
        unlinked += finish(layout, delta.read_snapshot(layout), settings.grace_seconds)
    return Applied(plan, version, name, unlinked)


def _check(plan: RetentionPlan, digest: str | None, accept_weaker: str | None) -> None:
    if digest is not None and digest != plan.digest:
        message = f"the plan has changed since it was shown: it is {plan.digest} now, not {digest}"
        raise RetentionError(message, hint="nothing was deleted; look at auditlake retention plan again")
    if plan.weaker and not (accept_weaker or "").strip():
        message = f"nothing was deleted, since the rules may have become weaker: {'; '.join(plan.weaker)}"
        raise RetentionError(message, hint="if that is right: --accept-weaker REASON, which is recorded")


def _deed(layout: Layout, settings: Settings, judge: Judge, plan: RetentionPlan, accept_weaker: str | None) -> Deed:
    holds = load_holds(layout, settings.event_types)
    return Deed(
        kind="retention",
        days=tuple(_day(each) for each in plan.changes),
        mark=judge.step("staying"),
        terms=terms_of(judge.policies, holds, judge.default_retention),
        leftovers=plan.leftovers,
        said={"plan_digest": plan.digest, "rules": _rules(judge, plan), "left": _left(layout, settings, judge, plan)},
        weaker={"changes": list(plan.weaker), "reason": accept_weaker} if plan.weaker else None,
    )


def _day(each: PartitionPlan) -> Day:
    rewrite = DayRewrite(each.day, each.files, each.deleted, each.pseudonymised)
    return Day(rewrite, each.events, each.held, each.action == "drop")


def _rules(judge: Judge, plan: RetentionPlan) -> list[dict[str, Any]]:
    """Each rule by which something was done."""
    deleted: Counter[str] = Counter()
    pseudonymised: Counter[str] = Counter()
    for each in plan.changes:
        deleted.update(each.due)
        pseudonymised.update(each.pseudonymise)
    rules = [
        {"id": each.id, "name": each.name, "description": each.description,
         "controls": {name: list(ids) for name, ids in each.controls.items()}, "digest": each.digest,
         "retention_period": str(each.retention_period) if each.retention_period else None,
         "max_retention": str(each.max_retention) if each.max_retention else None,
         "deleted": deleted[each.id], "pseudonymised": pseudonymised[each.id]}
        for each in judge.policies if deleted[each.id] or pseudonymised[each.id]
    ]  # fmt: skip
    if deleted[DEFAULT]:
        rules.append({
            "id": DEFAULT, "name": "Events that no policy keeps", "controls": {}, "digest": None,
            "description": "default_retention in lake.toml, for events whose type no policy keeps.",
            "retention_period": str(judge.default_retention), "max_retention": None,
            "deleted": deleted[DEFAULT], "pseudonymised": 0,
        })  # fmt: skip
    return rules


def _left(layout: Layout, settings: Settings, judge: Judge, plan: RetentionPlan) -> list[str]:
    left = left_everywhere(layout, settings.grace_seconds, removes=bool(plan.changes))
    gone = {each.path for each in plan.leftovers}
    why = "since a legal hold is active" if judge.holds else "since not all that they can hold is due"
    for files, what in ((quarantine_files(layout), "quarantine file"), (report_files(layout), "kept report file")):
        staying = sum(f"{path.parent.name}/{path.name}" not in gone for path in files)
        if staying:
            left.append(f"{count(staying, what)} {'stays' if staying == 1 else 'stay'}, {why}.")
    if plan.never_expire:
        it, never = ("it", "expires") if plan.never_expire == 1 else ("them", "expire")
        left.append(f"{count(plan.never_expire, 'event')} never {never}: no policy keeps {it}.")
    return left
