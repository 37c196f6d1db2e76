"""What is deleted and erased is in the ledger: verify says under whose rule, and finds whatever else was done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.errors import RetentionError
from auditlake.ledger.book import read_entry, read_head
from auditlake.ledger.entry import Entry
from auditlake.ledger.sidecars import kept_path
from tests.retention.lakes import DAY, NOW, Clock, bring, made, policy_text, record
from tests.templates import copy_of

WHY = {"reason": "Article 17", "ticket": "G-1"}
HOLD = {"reason": "r", "owner": "o", "ticket": "t"}


def six_days(folder: Path) -> None:
    """Make a lake with an event of each of two types for six days in one batch, of three people, without grace."""
    clock = Clock(NOW - 11 * DAY)
    policies = {"two": policy_text(["login"], "2d"), "long": policy_text(["logout"], "4d", "3d")}
    lake = made(folder / "lake", policies, clock)
    lake.layout.config.write_text(lake.layout.config.read_text().replace('grace = "24h"', 'grace = "0h"'))
    lake = AuditLake(lake.layout.root, clock=clock)
    lake.retention.apply(accept_weaker="tests")
    bring(lake, (record(n, NOW - n // 2 * DAY, ("login", "logout")[n % 2]) for n in range(12)))


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of six days of which some are due."""
    return AuditLake(copy_of(six_days, tmp_path) / "lake", clock=Clock(NOW))


def told(lake: AuditLake) -> dict[str, tuple[str, str]]:
    """The verdict on each part of the one batch: on ``28 2d``, what was kept for two days of the 28th."""
    report = lake.ledger.verify()
    assert report.ok, report.problems
    assert lake.ledger.verify(full=False).ok
    parts = (part for batch in report.batches for part in batch.parts)
    return {f"{part.day:%d} {part.retention_class}": (part.verdict, part.detail) for part in parts}


def last(lake: AuditLake) -> Entry:
    """The newest entry of the ledger."""
    head = read_head(lake.layout)
    assert head is not None
    return read_entry(lake.layout, head.size - 1)


def test_deleted_and_erased(lake: AuditLake) -> None:
    """Each day says what became of its events, under which policy, when, and with which certificate."""
    before = told(lake)
    assert set(before.values()) == {("verified", "")}
    first = lake.retention.apply().certificate
    then = told(lake)
    by = f"(certificate {first})"

    gone = ("deleted", f"deleted under policy long, two on 2026-04-01 {by}")
    named = ("erased", f"erased under policy long, two on 2026-04-01, 1 row {by}")
    assert {name for name, what in then.items() if what == gone} == {"27 2d", "27 4d/3d", "28 2d", "29 2d"}
    assert {name for name, what in then.items() if what == named} == {"28 4d/3d", "29 4d/3d"}
    assert {then[f"{day} {name}"] for day in ("30", "31", "01") for name in ("2d", "4d/3d")} == {("verified", "")}
    second = lake.retention.erase("user 0", **WHY).certificate
    after = told(lake)
    erased = ("erased", f"erased on 2026-04-01, 1 row (certificate {second})")
    assert {name for name, what in after.items() if what == erased} == {"01 2d", "31 4d/3d"}
    assert after["28 2d"] == then["28 2d"]
    lake.compact(grace_seconds=0)
    assert told(lake) == after


def test_max_retention_is_erasure(lake: AuditLake) -> None:
    """Where only personal data went, no event is said to be deleted; deleted later, both are told."""
    lake.layout.policy("two").write_text(policy_text(["login"], "9d"))
    lake.layout.policy("long").write_text(policy_text(["logout"], "9d", "3d"))
    first = lake.retention.apply(accept_weaker="tests").certificate
    erased = f"erased under policy long on 2026-04-01, 1 row (certificate {first})"
    assert told(lake)["28 4d/3d"] == ("erased", erased)

    lake._context.clock.now = NOW + 6 * DAY  # type: ignore[attr-defined]
    second = lake.retention.apply(accept_weaker="tests").certificate
    assert told(lake)["28 4d/3d"] == (
        "deleted", f"{erased}; deleted under policy long, two on 2026-04-07 (certificate {second})",
    )  # fmt: skip


def test_what_the_entries_say(lake: AuditLake) -> None:
    """Holds, deletions, weaker rules and erasures each have an entry of their kind, with who and why."""
    lake.holds.add("h", **HOLD, until=NOW - 6 * DAY, operator="ann")
    entry = last(lake)
    assert (entry.kind, entry.details["operator"], entry.details["hold"]["what"]) == ("hold", "ann", "added")
    assert entry.holds
    lake.layout.policy("two").write_text(policy_text(["login"], "1d"))
    done = lake.retention.apply(accept_weaker="counsel agreed")
    entry = last(lake)
    assert (entry.kind, entry.version, entry.details["certificate"]) == ("delete", done.snapshot, done.certificate)
    assert entry.details["weaker"]["reason"] == "counsel agreed"
    assert (entry.details["policies"], entry.details["grace_seconds"]) == (["long", "two"], 0)
    assert sum(each.rows for each in entry.taken) == done.plan.due + done.plan.pseudonymise
    lake.retention.erase("user 0", **WHY)
    assert last(lake).kind == "erase"
    assert lake.ledger.verify().ok


def test_quarantine(lake: AuditLake) -> None:
    """Quarantine files that went or were written anew are not missing; what took their places must stay as it is."""
    bad = lake.layout.root.parent / "bad.jsonl"
    bad.write_text("".join(
        json.dumps({"event_type": "login", "timestamp": "never", "user_id": user}) + "\n" for user in ("ann", "bob")
    ))  # fmt: skip
    lake.ingest(bad)
    lake.retention.erase("ann", **WHY)
    assert lake.ledger.verify().ok
    lake.retention.erase("bob", **WHY)
    assert lake.ledger.verify().ok
    (file,) = lake.layout.quarantine.iterdir()
    data = file.read_bytes()
    file.write_bytes(data.replace(b"bad.jsonl", b"BAD.jsonl"))
    assert not lake.ledger.verify().ok
    file.unlink()
    assert not lake.ledger.verify().ok
    lake.ingest(bad)
    file.write_bytes(data)
    assert lake.ledger.verify().ok
    lake._context.clock.now = NOW + 30 * DAY  # type: ignore[attr-defined]
    lake.retention.apply()
    assert not list(lake.layout.quarantine.iterdir())
    assert lake.ledger.verify().ok


ATTACKS: dict[str, Callable[[AuditLake], object]] = {
    "kept leaves": lambda lake: kept_path(lake.layout, "kept", last(lake).taken[-1].kept).write_bytes(b""),
    "certificate": lambda lake: (
        lake.layout.certificates / f"{last(lake).details['certificate']}.json").write_bytes(b"{}"),
    "no certificate": lambda lake: (lake.layout.certificates / f"{last(lake).details['certificate']}.json").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ATTACKS))
def test_what_proves_a_deletion_is_changed(name: str, lake: AuditLake) -> None:
    """Certificates and kept leaves that are changed or gone are found."""
    lake.retention.apply()
    assert lake.ledger.verify().ok
    ATTACKS[name](lake)
    assert not lake.ledger.verify().ok


def test_a_partition_is_copied_back(lake: AuditLake) -> None:
    """A deleted day that lies there again is found, and within the grace its files are only named."""
    day = lake.layout.events / "event_date=2026-03-27"
    shutil.copytree(day, lake.layout.root.parent / "kept")
    lake.retention.apply()
    assert not day.exists()
    shutil.copytree(lake.layout.root.parent / "kept", day)
    lake._context.clock.now += timedelta(seconds=1)  # type: ignore[attr-defined]
    report = lake.ledger.verify()

    assert {"was deleted by entry" in each.what for each in report.problems} == {True}


def test_the_grace_of_the_lake(lake: AuditLake) -> None:
    """Files that stay for the grace are named until it is over, however long it is."""
    lake.layout.config.write_text(lake.layout.config.read_text().replace('grace = "0h"', 'grace = "72h"'))
    lake = AuditLake(lake.layout.root, clock=lake._context.clock)
    lake.retention.apply()
    lake._context.clock.now = NOW + 2 * DAY  # type: ignore[attr-defined]
    assert lake.ledger.verify().ok
    lake._context.clock.now = NOW + 4 * DAY  # type: ignore[attr-defined]
    assert lake.ledger.verify().ok  # whoever unlinks them may take a day to come
    lake._context.clock.now = NOW + 4.1 * DAY  # type: ignore[attr-defined]
    assert not lake.ledger.verify().ok


def test_what_the_last_entry_knew(lake: AuditLake) -> None:
    """A policy or a hold that only the ledger knows of is missed as well when its file has gone."""
    new = lake.layout.root.parent / "new.yaml"
    new.write_text(policy_text(["login"], "20d"))
    lake.policies.add(new)
    lake.layout.policy("new").unlink()
    with pytest.raises(RetentionError, match=r"events of login were kept for 20d \(new\) and are kept for 2d"):
        lake.retention.apply()
    lake.layout.policy("new").write_text(policy_text(["login"], "20d"))
    lake.layout.hold("by-hand").write_text("reason: r\nowner: o\nticket: t\ncreated: 2026-01-01T00:00:00Z\n")
    assert lake.retention.plan().weaker == ()
    bring(lake, [record(100, NOW)])
    lake.layout.hold("by-hand").unlink()

    with pytest.raises(RetentionError, match="the hold by-hand has gone"):
        lake.retention.apply()
    with pytest.raises(RetentionError, match="the hold by-hand has gone"):
        lake.retention.erase("user 0", **WHY)
    lake.retention.apply(accept_weaker="tests")
    assert lake.retention.plan().weaker == ()
    assert lake.ledger.verify().ok
