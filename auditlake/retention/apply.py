"""Deletion: what the plan says goes, in one commit, and the files that held it after the grace."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from auditlake.context import LakeContext
from auditlake.display.text import count
from auditlake.errors import RetentionError
from auditlake.events.times import Instant, judged_as_of
from auditlake.policies.model import Policy
from auditlake.retention.cleanup import Cleanup
from auditlake.retention.commit_record import operator_or_user
from auditlake.retention.day_rewrite import Day
from auditlake.retention.operation import Operation, carry_out
from auditlake.retention.plan import Costs, PartitionPlan, RetentionPlan
from auditlake.retention.planner import plan_snapshot, rules_of
from auditlake.retention.rules import DEFAULT, RetentionRules
from auditlake.retention.shorten import going_by
from auditlake.retention.side_files import left_everywhere, quarantine_files, report_files
from auditlake.retention.terms import terms_of
from auditlake.store.failures import explained
from auditlake.store.pseudonyms import pseudonyms
from auditlake.store.turn import writer_turn

_NOTHING = Costs()


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
    costs: Costs = _NOTHING
    """What became of files, and how long it took to write some of them anew."""


def apply(
    context: LakeContext, as_of: Instant | None, *, digest: str | None, accept_weaker: str | None, operator: str | None
) -> Applied:
    """Carry out the plan of a lake; see :meth:`auditlake.facets.retention.Retention.apply`.

    Where ``digest`` is that of a plan which was carried out already, perhaps by an apply that was interrupted, it is
    finished.
    """
    now = context.now
    instant = judged_as_of(as_of, now, RetentionError)
    with explained(context.layout, "the deletion"), writer_turn(context) as turn:
        cleanup = Cleanup(turn, context.config.grace_seconds)
        unlinked = cleanup.complete_pending()
        rules = rules_of(context, instant, commits=turn.commits)
        plan = plan_snapshot(context, rules, turn.snapshot, turn.commits)
        if digest not in (None, plan.digest) and (before := cleanup.carried_out(digest)):
            return Applied(plan, turn.snapshot.version, before, unlinked, was_done=True)
        _check(plan, digest, accept_weaker)
        if not plan.changes and not plan.leftovers and not plan.weaker:
            return Applied(plan, turn.snapshot.version, None, unlinked)
        if plan.pseudonymise:
            rules = replace(rules, names=pseudonyms(context.layout, make=True, commits=turn.commits))
        operation = Operation(
            kind="retention",
            at=now,
            operator=operator_or_user(operator),
            days=tuple(map(_day, plan.changes)),
            mark=rules.step("staying"),
            going=going_by(rules),
            terms=terms_of(rules.policies, rules.all_holds, rules.default_retention),
            leftovers=plan.leftovers,
            facts={
                "plan_digest": plan.digest,
                "rules": _rules(rules, plan),
                "event_types": _types(plan),
                "left": _left(context, rules, plan),
            },
            weaker={"changes": list(plan.weaker), "reason": accept_weaker} if plan.weaker else None,
        )
        done = carry_out(context, turn, rules, operation)
        unlinked += cleanup.complete_pending(done)
    return Applied(plan, done.version, done.certificate, unlinked, costs=replace(plan.costs, seconds=done.seconds))


def _check(plan: RetentionPlan, digest: str | None, accept_weaker: str | None) -> None:
    if digest is not None and digest != plan.digest:
        message = f"the plan has changed since it was shown: it is {plan.digest} now, not {digest}"
        raise RetentionError(message, hint="nothing was deleted; look at auditlake retention plan again")
    if plan.weaker and not (accept_weaker or "").strip():
        message = f"nothing was deleted, since the rules may have become weaker: {'; '.join(plan.weaker)}"
        raise RetentionError(message, hint="if that is right: --accept-weaker REASON, which is recorded")


def _day(each: PartitionPlan) -> Day:
    leaving = {file.path for file in each.leaving}
    staying = tuple(file for file in each.files if file.path not in leaving)
    return Day(
        each.day, each.dropped, each.rewritten, staying, each.events, each.deleted, each.pseudonymised, each.held
    )  # fmt: skip


def _rules(rules: RetentionRules, plan: RetentionPlan) -> list[dict[str, Any]]:
    """Return each rule by which something was done."""
    deleted: Counter[str] = Counter()
    pseudonymised: Counter[str] = Counter()
    for each in plan.changes:
        deleted.update(each.due)
        pseudonymised.update(each.pseudonymise)
    rows = [
        {"id": each.id, "name": each.name, "description": each.description,
         "controls": {name: list(ids) for name, ids in each.controls.items()}, "digest": each.digest,
         "retention_period": str(each.retention_period) if each.retention_period else None,
         **_most(each),
         "deleted": deleted[each.id], "pseudonymised": pseudonymised[each.id]}
        for each in rules.policies if deleted[each.id] or pseudonymised[each.id]
    ]  # fmt: skip
    if deleted[DEFAULT]:
        rows.append({
            "id": DEFAULT, "name": "Events that no policy keeps", "controls": {}, "digest": None,
            "description": "default_retention in lake.toml, for events whose type no policy keeps.",
            "retention_period": str(rules.default_retention), "max_retention": None,
            "deleted": deleted[DEFAULT], "pseudonymised": 0,
        })  # fmt: skip
    return rows


def _most(policy: Policy) -> dict[str, str | None]:
    """Return the longest time that a policy lets be kept, and of what where that is not personal data."""
    longest = policy.max_event_retention or policy.max_retention
    of = {"max_retention_of": "event"} if policy.max_event_retention else {}
    return {"max_retention": str(longest) if longest else None, **of}


def _types(plan: RetentionPlan) -> dict[str, dict[str, Any]]:
    """Return how many events of each type go, and the first and the last day of such events."""
    types: dict[str, dict[str, Any]] = {}
    for each in plan.changes:  # in the order of days
        for name, events in each.due_types.items():
            day = each.day.isoformat()
            gone = types.setdefault(name, {"deleted": 0, "first_day": day})
            gone |= {"deleted": gone["deleted"] + events, "last_day": day}
    return dict(sorted(types.items()))


def _left(context: LakeContext, rules: RetentionRules, plan: RetentionPlan) -> list[str]:
    layout = context.layout
    left = left_everywhere(layout, context.config.grace_seconds, removes=bool(plan.changes))
    gone = {each.path for each in plan.leftovers}
    why = "since a legal hold is active" if rules.holds else "since not all that they can hold is due"
    for files, what in ((quarantine_files(layout), "quarantine file"), (report_files(layout), "kept report file")):
        staying = sum(f"{path.parent.name}/{path.name}" not in gone for path in files)
        if staying:
            left.append(f"{count(staying, what)} {'stays' if staying == 1 else 'stay'}, {why}.")
    if plan.never_expire:
        it, never = ("it", "expires") if plan.never_expire == 1 else ("them", "expire")
        left.append(f"{count(plan.never_expire, 'event')} never {never}: no policy keeps {it}.")
    return left
