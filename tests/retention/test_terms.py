"""Weaker rules: whoever recorded a change, only a deletion with a reason accepts it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.errors import RetentionError
from auditlake.ledger.kept import holds_path
from tests.ledger.lakes import entries
from tests.retention.lakes import DAY, NOW, Clock, bring, ids, made, policy_text, record

WHY = {"reason": "Article 17", "ticket": "G-1"}
HOLD = {"reason": "r", "owner": "o", "ticket": "t"}
HAND = "reason: r\nowner: o\nticket: t\ncreated: 2026-01-01T00:00:00Z\n"


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with a policy of two days whose terms are accepted, and with old events."""
    lake = made(tmp_path / "lake", {"two": policy_text(["login"], "2d")}, Clock(NOW - timedelta(hours=1)))
    lake.retention_apply(accept_weaker="tests")
    bring(lake, (record(n, NOW - n * DAY) for n in range(6)))
    return lake


def add(lake: AuditLake, retention: str, name: str = "new") -> None:
    """Add a policy, or replace it, through the verb."""
    file = lake.layout.root.parent / f"{name}.yaml"
    file.write_text(policy_text(["login"], retention))
    lake.add_policy(file, replace=True)


def shorten(lake: AuditLake) -> None:
    lake.layout.policy("new").write_text(policy_text(["login"], "2d"))


def unlink(lake: AuditLake) -> None:
    lake.layout.policy("new").unlink()


CHANGES: dict[str, tuple[Callable[[AuditLake], Any], str]] = {
    "shortened by hand": (shorten, "changed"),
    "removed by hand": (unlink, "gone"),
    "replaced by the verb": (lambda lake: add(lake, "2d"), "changed"),
    "removed by the verb": (lambda lake: lake.remove_policy("new"), "gone"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_in_force_since_the_last_deletion(change: str, lake: AuditLake) -> None:
    """A policy that came and was weakened between two deletions asks for a reason, though commits recorded it all."""
    add(lake, "30d")
    bring(lake, [record(50, NOW)], "b.jsonl")
    do, said = CHANGES[change]
    do(lake)
    bring(lake, [record(51, NOW)], "c.jsonl")
    with lake.trail() as trail:  # what the apply flushes is a commit, too
        trail.log(AuditEvent("login", NOW, user_id="ann", event_id="e52"))

    with pytest.raises(RetentionError, match=f"the policy new has {said} since the ledger recorded it"):
        lake.retention_apply()
    assert len(ids(lake)) == 9

    lake.retention_apply(accept_weaker="it was a mistake")
    assert lake.retention_plan().weaker == ()
    assert len(ids(lake)) == 6


def test_a_change_that_was_taken_back_by_hand(lake: AuditLake) -> None:
    """A policy that was prolonged and is short again is weaker than it was, though it is what a deletion recorded."""
    before = lake.layout.policy("two").read_text()
    add(lake, "30d", "two")
    lake.layout.policy("two").write_text(before)
    bring(lake, [record(50, NOW)], "b.jsonl")

    with pytest.raises(RetentionError, match="the policy two has changed since the ledger recorded it"):
        lake.retention_apply()


def test_stronger_rules_need_no_reason(lake: AuditLake) -> None:
    """New policies and holds, recorded or not, are taken."""
    add(lake, "4d")
    lake.layout.policy("more").write_text(policy_text(["logout"], "4d"))
    lake.layout.hold("mine").write_text(HAND + "user_ids: [nobody]\n")
    bring(lake, [record(50, NOW)], "b.jsonl")
    lake.add_hold("other", **HOLD, user_ids=["nobody"])
    assert lake.retention_plan().weaker == ()
    assert lake.retention_apply().plan.due == 1


def change_hold(lake: AuditLake) -> None:
    lake.layout.hold("mine").write_text(HAND + "user_ids: [nobody]\n")


@pytest.mark.parametrize("said", ["gone", "changed"])
@pytest.mark.parametrize("between", ["nothing", "ingest", "hold"])
def test_a_hold_made_by_hand(between: str, said: str, lake: AuditLake) -> None:
    """A hold that somebody put there is recorded with the next entry, and missed when it is gone or changed."""
    lake.layout.hold("mine").write_text(HAND)
    bring(lake, [record(50, NOW)], "b.jsonl")
    noticed = entries(lake)[-2]
    assert (noticed.kind, noticed.details) == ("hold", {"by": "hand"})
    lake.layout.hold("mine").unlink() if said == "gone" else change_hold(lake)
    if between == "ingest":
        bring(lake, [record(51, NOW)], "c.jsonl")
    elif between == "hold":
        lake.add_hold("other", **HOLD, user_ids=["nobody"])
        assert [entry.details.get("by") for entry in entries(lake)[-2:]] == ["hand", None]

    with pytest.raises(RetentionError, match=f"the hold mine has {said}"):
        lake.retention_apply()
    with pytest.raises(RetentionError, match=f"the hold mine has {said}"):
        lake.erase("user 0", **WHY)
    lake.retention_apply(accept_weaker="it was a mistake")
    assert lake.retention_plan().weaker == ()
    assert lake.verify().ok


def test_a_hold_made_by_hand_is_released(lake: AuditLake) -> None:
    """The verb that ends a hold demands a reason, and that is enough."""
    lake.layout.hold("mine").write_text(HAND)
    bring(lake, [record(50, NOW)], "b.jsonl")
    lake.release_hold("mine", reason="settled")
    assert lake.retention_plan().weaker == ()

    lake.layout.hold("mine").unlink()
    bring(lake, [record(51, NOW)], "c.jsonl")
    with pytest.raises(RetentionError, match="the hold mine has gone"):
        lake.retention_apply()


def test_each_weakening_is_said_once(lake: AuditLake) -> None:
    """A policy or a hold that went is named once, and policies are nothing to an erasure, whatever they are called."""
    add(lake, "30d", "threshold")
    lake.add_hold("smith", **HOLD, user_ids=["nobody"])
    lake.layout.policy("threshold").unlink()
    assert lake.erase("user 0", **WHY).events
    lake.layout.hold("smith").unlink()

    assert lake.retention_plan().weaker == (
        "the hold smith has gone", "the policy threshold has gone since the ledger recorded it",
    )  # fmt: skip


def test_a_lost_list_of_holds(lake: AuditLake) -> None:
    """Where the list that says which holds there were has gone, any may have."""
    lake.layout.hold("mine").write_text(HAND)
    bring(lake, [record(50, NOW)], "b.jsonl")
    holds_path(lake.layout, entries(lake)[-1].holds).unlink()

    with pytest.raises(RetentionError, match="which holds there were is not known"):
        lake.retention_apply()
