"""Weaker rules: whoever recorded a change, only a deletion with a reason accepts it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.errors import RetentionError
from auditlake.ledger.sidecars import kept_path
from auditlake.retention.terms import shortened, state_of
from tests.ledger.lakes import entries
from tests.retention.lakes import DAY, NOW, Clock, bring, ids, made, policy_text, record
from tests.soak import mostly
from tests.templates import copy_of

WHY = {"reason": "Article 17", "ticket": "G-1"}
HOLD = {"reason": "r", "owner": "o", "ticket": "t"}
HAND = "reason: r\nowner: o\nticket: t\ncreated: 2026-01-01T00:00:00Z\n"


def accepted(folder: Path) -> None:
    """Make a lake with a policy of two days whose terms are accepted, and with old events."""
    lake = made(folder / "lake", {"two": policy_text(["login"], "2d")}, Clock(NOW - timedelta(hours=1)))
    lake.retention.apply(accept_weaker="tests")
    bring(lake, (record(n, NOW - n * DAY) for n in range(6)))


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with accepted terms."""
    return AuditLake(copy_of(accepted, tmp_path) / "lake", clock=Clock(NOW - timedelta(hours=1)))


def add(lake: AuditLake, retention: str, name: str = "new") -> None:
    """Add a policy, or replace it, through the verb."""
    file = lake.layout.root.parent / f"{name}.yaml"
    file.write_text(policy_text(["login"], retention))
    lake.policies.add(file, replace=True)


def shorten(lake: AuditLake) -> None:
    lake.layout.policy("new").write_text(policy_text(["login"], "2d"))


def unlink(lake: AuditLake) -> None:
    lake.layout.policy("new").unlink()


CHANGES: dict[str, tuple[Callable[[AuditLake], Any], str]] = {
    "shortened by hand": (shorten, "new"),
    "removed by hand": (unlink, "two"),
    "replaced by the verb": (lambda lake: add(lake, "2d"), "new"),
    "removed by the verb": (lambda lake: lake.policies.remove("new"), "two"),
}


@pytest.mark.parametrize("change", mostly(CHANGES, always=["shortened by hand", "removed by the verb"]))
def test_what_was_in_force_since_the_last_deletion(change: str, lake: AuditLake) -> None:
    """A policy that came and was weakened between two deletions asks for a reason, though commits recorded it all."""
    add(lake, "30d")
    bring(lake, [record(50, NOW)], "b.jsonl")
    do, keeper = CHANGES[change]
    do(lake)
    bring(lake, [record(51, NOW)], "c.jsonl")
    with lake.trail() as trail:  # what the apply flushes is a commit, too
        trail.log(AuditEvent("login", NOW, user_id="ann", event_id="e52"))

    with pytest.raises(RetentionError, match=rf"login were kept for 30d \(new\) and are kept for 2d \({keeper}\)"):
        lake.retention.apply()
    assert len(ids(lake)) == 9

    lake.retention.apply(accept_weaker="it was a mistake")
    assert lake.retention.plan().weaker == ()
    assert len(ids(lake)) == 6


def test_a_change_that_was_taken_back_by_hand(lake: AuditLake) -> None:
    """A policy that was prolonged and is short again is weaker than it was, though it is what a deletion recorded."""
    before = lake.layout.policy("two").read_text()
    add(lake, "30d", "two")
    lake.layout.policy("two").write_text(before)
    bring(lake, [record(50, NOW)], "b.jsonl")

    with pytest.raises(RetentionError, match=r"events of login were kept for 30d \(two\) and are kept for 2d"):
        lake.retention.apply()


def test_stronger_rules_need_no_reason(lake: AuditLake) -> None:
    """New policies and holds, recorded or not, are taken."""
    add(lake, "4d")
    lake.layout.policy("more").write_text(policy_text(["login"], "3d"))
    lake.layout.hold("mine").write_text(HAND + "user_ids: [nobody]\n")
    bring(lake, [record(50, NOW)], "b.jsonl")
    lake.holds.add("other", **HOLD, user_ids=["nobody"])
    assert lake.retention.plan().weaker == ()
    assert lake.retention.apply().plan.due == 1


def change_hold(lake: AuditLake) -> None:
    lake.layout.hold("mine").write_text(HAND + "user_ids: [nobody]\n")


@pytest.mark.parametrize(
    ("between", "said"),
    mostly(
        product(["nothing", "ingest", "hold"], ["gone", "changed"]),
        always=[("nothing", "gone"), ("ingest", "changed"), ("hold", "gone")],
    ),
)
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
        lake.holds.add("other", **HOLD, user_ids=["nobody"])
        assert [entry.details.get("by") for entry in entries(lake)[-2:]] == ["hand", None]

    with pytest.raises(RetentionError, match=f"the hold mine has {said}"):
        lake.retention.apply()
    with pytest.raises(RetentionError, match=f"the hold mine has {said}"):
        lake.retention.erase("user 0", **WHY)
    lake.retention.apply(accept_weaker="it was a mistake")
    assert lake.retention.plan().weaker == ()
    assert lake.ledger.verify().ok


def test_a_hold_made_by_hand_is_released(lake: AuditLake) -> None:
    """The verb that ends a hold demands a reason, and that is enough."""
    lake.layout.hold("mine").write_text(HAND)
    bring(lake, [record(50, NOW)], "b.jsonl")
    lake.holds.release("mine", reason="settled")
    assert lake.retention.plan().weaker == ()

    lake.layout.hold("mine").unlink()
    bring(lake, [record(51, NOW)], "c.jsonl")
    with pytest.raises(RetentionError, match="the hold mine has gone"):
        lake.retention.apply()


def test_each_weakening_is_said_once(lake: AuditLake) -> None:
    """What went is said once, and policies are nothing to an erasure, whatever they are called."""
    add(lake, "30d", "threshold")
    lake.holds.add("smith", **HOLD, user_ids=["nobody"])
    lake.layout.policy("threshold").unlink()
    assert lake.retention.erase("user 0", **WHY).events
    lake.layout.hold("smith").unlink()

    assert lake.retention.plan().weaker == (
        "the hold smith has gone", "events of login were kept for 30d (threshold) and are kept for 2d (two)",
    )  # fmt: skip


def test_a_lost_list_of_holds(lake: AuditLake) -> None:
    """Where the list that says which holds there were has gone, any may have."""
    lake.layout.hold("mine").write_text(HAND)
    bring(lake, [record(50, NOW)], "b.jsonl")
    kept_path(lake.layout, "holds", entries(lake)[-1].holds).unlink()

    with pytest.raises(RetentionError, match="which holds there were is not known"):
        lake.retention.apply()


def policy(types: list[str], keeps: str | None = None, limit: str | None = None) -> dict[str, Any]:
    """A policy's terms as a commit records them."""
    us = {name: int(text[:-1]) * 86_400_000_000 for name, text in (("keeps", keeps), ("limit", limit)) if text}
    return {
        "digest": "", "required_events": types, "retention_period": keeps, "retention_us": us.get("keeps"),
        "max_retention": limit, "max_retention_us": us.get("limit"),
    }  # fmt: skip


def ending(types: list[str], days: int) -> dict[str, Any]:
    """The terms of a policy after whose days the event must be gone."""
    return policy(types) | {"max_event_retention": f"{days}d", "max_event_retention_us": days * 86_400_000_000}


def terms(default: str | None = None, **policies: dict[str, Any]) -> dict[str, Any]:
    """What a commit records."""
    length = int(default[:-1]) * 86_400_000_000 if default else None
    return {"policies": policies, "holds": {}, "default_retention": default, "default_retention_us": length}


LOGIN, BOTH = ["login"], ["login", "logout"]
TERMS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "nothing changed": (terms("9d", a=policy(LOGIN, "5d", "3d")), terms("9d", a=policy(LOGIN, "5d", "3d")), []),
    "another policy keeps as long": (terms(a=policy(LOGIN, "5d")), terms(c=policy(LOGIN, "5d"), b=policy(BOTH)), []),
    "another policy keeps it longer all the time": (
        terms(a=policy(LOGIN, "5d"), b=policy(LOGIN, "9d")), terms(a=policy(LOGIN, "2d"), b=policy(LOGIN, "9d")), [],
    ),
    "the longest is shortened": (
        terms(a=policy(LOGIN, "5d"), b=policy(BOTH, "9d")), terms(a=policy(LOGIN, "5d"), b=policy(BOTH, "4d")),
        ["events of login were kept for 9d (b) and are kept for 5d (a)",
         "events of logout were kept for 9d (b) and are kept for 4d (b)"],
    ),
    "kept for ever before": (
        terms(), terms(a=policy(BOTH, "7d")), ["events of login, logout were kept for ever and are kept for 7d (a)"],
    ),
    "a policy that does not keep changes nothing": (terms(), terms(a=policy(LOGIN)), []),
    "no longer kept, and for ever then": (terms(a=policy(LOGIN, "5d")), terms(a=policy(LOGIN)), []),
    "no longer kept, and by the default then": (
        terms("3d", a=policy(LOGIN, "5d")), terms("3d"),
        ["events of login were kept for 5d (a) and are kept for 3d (default_retention)"],
    ),
    "longer than the default": (terms("3d"), terms("3d", a=policy(LOGIN, "4d")), []),
    "shorter than the default": (
        terms("3d"), terms("3d", a=policy(LOGIN, "2d")),
        ["events of login were kept for 3d (default_retention) and are kept for 2d (a)"],
    ),
    "a first default": (
        terms(a=policy(LOGIN)), terms("3d", a=policy(LOGIN)),
        ["events of login were kept for ever and are kept for 3d (default_retention)",
         "default_retention was for ever and is 3d"],
    ),
    "a shorter default": (terms("3d"), terms("2d"), ["default_retention was 3d and is 2d"]),
    "a longer default": (terms("3d"), terms("4d"), []),
    "no default any more": (terms("3d"), terms(), []),
    "a shorter limit": (
        terms(a=policy(LOGIN, "5d", "3d")), terms(a=policy(LOGIN, "5d", "2d")),
        ["personal data in events of login could stay for 3d (a) and may stay for 2d (a)"],
    ),
    "kept for ever, and gone at some time": (
        terms(), terms(a=ending(LOGIN, 3)), ["events of login were kept for ever and are kept for 3d (a)"],
    ),
    "gone sooner": (
        terms(a=ending(BOTH, 5)), terms(a=ending(BOTH, 4)),
        ["events of login, logout were kept for 5d (a) and are kept for 4d (a)"],
    ),
    "gone sooner, but for another policy": (
        terms(a=ending(LOGIN, 9), b=policy(LOGIN, "5d")), terms(a=ending(LOGIN, 3), b=policy(LOGIN, "5d")), [],
    ),
    "gone later than by the default": (terms("3d"), terms("3d", a=ending(LOGIN, 4)), []),
    "a longer limit, and none": (terms(a=policy(LOGIN, None, "3d"), b=policy(["logout"], "5d", "3d")),
                                 terms(a=policy(LOGIN, None, "4d"), b=policy(["logout"], "5d")), []),
}  # fmt: skip


@pytest.mark.parametrize("name", TERMS)
def test_what_is_weaker(name: str) -> None:
    """What stays shorter than it did is weaker, type by type, and nothing else is."""
    before, now, expected = TERMS[name]

    assert shortened([state_of(before)], now) == expected


def test_terms_of_earlier_versions() -> None:
    """Of terms that were recorded without a limit on personal data only the lengths are compared."""
    old = policy(LOGIN, "5d")
    del old["max_retention"], old["max_retention_us"]

    assert shortened([state_of(terms(a=old))], terms(a=policy(LOGIN, "5d"))) == []
    assert shortened([state_of(terms(a=old))], terms(a=policy(LOGIN, "4d", "3d"))) == [
        "events of login were kept for 5d (a) and are kept for 4d (a)"
    ]


def test_what_only_the_ledger_knows(lake: AuditLake) -> None:
    """A default_retention that was raised and lowered is noticed; a file that was not kept is not taken for nothing."""
    config = lake.layout.config.read_text()
    for number, length in enumerate(("9d", "30d", "9d")):
        lake.layout.config.write_text(config.replace("# default_ret", f'default_retention = "{length}"\n# default_ret'))
        lake = AuditLake(lake.layout.root, clock=lambda: NOW)
        bring(lake, [record(60 + number, NOW)], f"{number}.jsonl")
        if not number:
            lake.retention.apply(accept_weaker="tests")
    assert lake.retention.plan().weaker == ("default_retention was 30d and is 9d",)

    add(lake, "3d")
    add(lake, "4d")
    assert lake.ledger.verify(full=False).ok
    first = next(entry for entry in reversed(entries(lake)) if entry.kind == "policy-change").details["changed"]["new"][
        0
    ]
    kept_path(lake.layout, "policies", first).write_text("changed")
    assert [each.where for each in lake.ledger.verify(full=False).problems] == [f"ledger/policies/{first}"]
    kept_path(lake.layout, "policies", first).unlink()
    assert lake.retention.plan().weaker[1:] == (
        "what the policy new asked for before it was changed or removed is not known",
    )
