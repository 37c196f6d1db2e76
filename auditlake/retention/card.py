"""What a notebook shows of a retention plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from auditlake.display.cards import Card, CardFact, cells, cut
from auditlake.display.text import count, moment

if TYPE_CHECKING:
    from auditlake.retention.plan import RetentionPlan

_SHOWN = 20
_BECOMES = {"drop": "goes as a whole", "rewrite": "is written anew", "keep": "stays"}
_HEADINGS = ("day", "becomes", "events", "due", "held", "pseudonymised")


def _left_out(what: str, types: Mapping[str, int]) -> list[CardFact]:
    return [CardFact(what, cut(", ".join(f"{name} ({events:,})" for name, events in types.items())))] if types else []


def plan_card(plan: RetentionPlan) -> Card:
    """The days that change, and what somebody should know before."""
    changes = plan.changes
    rows = [
        (each.day, _BECOMES[each.action], each.events, each.deleted, each.held, each.pseudonymised)
        for each in changes[:_SHOWN]
    ]
    facts = [
        CardFact("as of", moment(plan.as_of)),
        CardFact("snapshot", str(plan.snapshot)),
        CardFact("due", f"{count(plan.due, 'event')} on {count(sum(bool(each.due) for each in changes), 'day')}"),
        CardFact("held", f"{plan.held:,}"),
        CardFact("pseudonymised", f"{plan.pseudonymise:,}"),
        CardFact("never expire", f"{plan.never_expire:,}"),
        *_left_out("kept by no policy", plan.kept_by_no_policy),
        *_left_out("asked about by no policy", plan.asked_by_no_policy),
        *(
            CardFact("conflict", cut(f"{each.event_type}: {each.limit_policy}, {each.keep_policy}"))
            for each in plan.conflicts
        ),
        *(CardFact("weaker", cut(sentence)) for sentence in plan.weaker),
    ]
    more = f"the first {_SHOWN} of {count(len(changes), 'day')} that change" if len(changes) > _SHOWN else ""
    note = "; ".join(filter(None, [more, "nothing is deleted before auditlake retention apply"]))
    headings = _HEADINGS if rows else ()
    return Card("retention plan", plan.digest[:19], "", tuple(facts), headings, cells(rows), note)
