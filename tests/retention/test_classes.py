"""What leaves together lies together: files and parts go whole, and where they cannot, little is kept of what went."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from auditlake import AuditLake
from auditlake.store.file_types import with_types
from auditlake.verify.prove import verify_proof
from tests.lakes import before_classes
from tests.ledger.oracle import leaf
from tests.retention.lakes import DAY, NOW, Clock, bring, graced, ids, made, policy_text, record
from tests.templates import copy_of

TYPES = ("login", "logout", "data_access")
TWO = {"two": policy_text(["login"], "2d"), "five": policy_text(["logout"], "5d")}


def three_types(folder: Path) -> None:
    """Make a lake of six days with eight events of each of three types a day: kept for two days, for five, for ever."""
    lake = graced(made(folder / "lake", TWO, Clock(NOW - 20 * DAY)), "0h")
    lake.retention.apply(accept_weaker="tests")
    lake._context.clock.now = NOW  # type: ignore[attr-defined]
    events = (
        (n, day, name) for n, (day, name, _) in enumerate((d, t, k) for d in range(6) for t in TYPES for k in range(8))
    )
    bring(lake, (record(n, NOW - day * DAY, name) for n, day, name in events))


def three_types_before_classes(folder: Path) -> None:
    """Make the same lake as earlier versions did."""
    with before_classes():
        three_types(folder)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """The lake in classes."""
    return AuditLake(copy_of(three_types, tmp_path) / "lake", clock=Clock(NOW))


@pytest.fixture
def older(tmp_path: Path) -> AuditLake:
    """The lake before classes."""
    return AuditLake(copy_of(three_types_before_classes, tmp_path) / "lake", clock=Clock(NOW))


def kept(lake: AuditLake, folder: str = "kept") -> list[int]:
    """The sizes of the files that the ledger keeps of parts, or of marks."""
    return sorted(path.stat().st_size for path in (lake.layout.ledger / folder).glob("*"))


def types_of(lake: AuditLake) -> list[tuple[str, ...]]:
    """The event types of each file, by day."""
    files = sorted(with_types(lake.layout, lake.snapshot()).files, key=lambda file: (file.day, file.types))
    return [tuple(name for name, _ in file.types or ()) for file in files]


def check_proofs(lake: AuditLake, event_ids: Iterable[str]) -> None:
    """Each of these events has a proof that holds."""
    for event_id in event_ids:
        assert verify_proof(lake.ledger.prove(event_id), None).event["event_id"] == event_id


def test_files_and_parts_go_whole(lake: AuditLake) -> None:
    """On an ordinary night no file is read or written, nothing is kept, and in the end not even marks."""
    assert sorted(types_of(lake)) == [("data_access",)] * 6 + [("login",)] * 6 + [("logout",)] * 6
    before = {file.path for file in lake.snapshot().files}
    assert {each.action for each in lake.retention.plan().changes} == {"drop"}
    lake.retention.apply()

    assert {file.path for file in lake.snapshot().files} < before
    assert (kept(lake), len(kept(lake, "marks"))) == ([], 3)
    assert lake.ledger.verify().ok
    lake._context.clock.now = NOW + 9 * DAY  # type: ignore[attr-defined]
    lake.retention.apply()
    assert (kept(lake), len(kept(lake, "marks"))) == ([], 1)
    assert lake.ledger.verify().ok
    assert set(types_of(lake)) == {("data_access",)}


def test_what_a_guess_can_confirm(lake: AuditLake) -> None:
    """No leaf of an event that went with its part is kept, unless it was alone in it; that of one that went singly is.

    The log goes on saying how many events of each type a file had, and when the first and the last of them were.
    """
    bring(lake, [record(900, alone := NOW - 5 * DAY + timedelta(seconds=7))], "alone.jsonl")
    leaves = {row["event_id"]: leaf(row) for row in every_row(lake)}
    lake.layout.policy("data").write_text(policy_text(["data_access"], "4d"))
    lake.holds.add("one", reason="r", owner="o", ticket="t", user_ids=["user 1"], event_types=["data_access"])
    lake.retention.apply(accept_weaker="tests")

    gone = leaves.keys() - set(ids(lake))
    known = b"".join(path.read_bytes() for path in lake.layout.ledger.rglob("*") if path.is_file())
    confirmed = {each for each in gone if leaves[each] in known or leaves[each].hex().encode() in known}
    singly = {each for each in gone - {"e900"} if TYPES[int(each[1:]) // 8 % 3] == "data_access"}
    assert len(singly) > 3
    assert len(gone - singly) > 20
    assert "e900" in confirmed
    assert confirmed - {"e900"} <= singly
    assert confirmed & singly
    log = "".join(path.read_text() for path in lake.layout.log.glob("*.json"))
    assert alone.strftime("%Y-%m-%dT%H:%M:%S") in log


def every_row(lake: AuditLake) -> list[dict[str, Any]]:
    """The rows of the files of the newest snapshot, as they are hashed."""
    files = [lake.layout.events / file.path for file in lake.snapshot().files]
    return [row for path in files for row in pq.ParquetFile(path).read().to_pylist()]


def test_a_hold_in_a_class(lake: AuditLake) -> None:
    """Where a hold keeps some of a class, the others leave subtrees; once it ends, all goes, what is kept too."""
    (held,) = [f"e{n}" for n in range(24 * 5 + 3, 24 * 5 + 4)]
    lake.holds.add("h", reason="r", owner="o", ticket="t", user_ids=["user 0"], until=NOW - 5 * DAY)
    lake.retention.apply()
    assert lake.ledger.verify().ok, lake.ledger.verify().problems
    assert all(size < 8 * 33 for size in kept(lake))
    staying = set(ids(lake))
    check_proofs(lake, [each for each in (held, "e0", "e140") if each in staying])
    sizes = kept(lake)
    lake.holds.release("h", reason="done", operator="ann")
    lake.retention.apply()
    assert sizes
    assert kept(lake) == []
    assert lake.ledger.verify().ok


def test_policies_change(lake: AuditLake) -> None:
    """Where types of a class part later, the file is rewritten once, in the classes of now, and the plan says so."""
    for name in TWO:
        lake.layout.policy(name).unlink()
    lake.layout.policy("one").write_text(policy_text(["login", "logout", "data_access"], "4d"))
    bring(lake, (record(1000 + n, NOW - DAY, TYPES[n % 3]) for n in range(9)), "more.jsonl")
    assert TYPES[2:] + TYPES[:2] in types_of(lake)
    lake.layout.policy("one").write_text(policy_text(["login"], "9h"))
    plan = lake.retention.plan()
    assert [len(each.rewritten) for each in plan.changes if each.rewritten] == [1]
    lake.retention.apply(accept_weaker="tests")
    assert ("data_access", "logout") in types_of(lake)
    assert lake.ledger.verify().ok
    check_proofs(lake, ["e1001", "e1002"])


@pytest.mark.parametrize("many", [False, True])
def test_before_classes(older: AuditLake, many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier version wrote is rewritten into classes by the first deletion; its parts stay what they were.

    So it is in both ways of hashing.
    """
    monkeypatch.setattr("auditlake.retention.operation.expect", lambda _: many)
    assert len(older.snapshot().files) == 6
    older.retention.apply()

    assert ("login",) not in types_of(older)[:3]
    report = older.ledger.verify()
    assert report.ok, report.problems
    assert {part.retention_class for batch in report.batches for part in batch.parts} == {""}
    check_proofs(older, ["e20", "e140"])
    older._context.clock.now = NOW + 9 * DAY  # type: ignore[attr-defined]
    older.retention.apply()
    assert older.ledger.verify().ok
    assert len(kept(older)) == 6


def test_reclass(older: AuditLake) -> None:
    """compact --reclass brings files into classes at once: the same rows, and every part verifies as before."""
    before = ids(older)
    assert older.compact(grace_seconds=0).days == 0
    done = older.compact(grace_seconds=0, reclass=True)

    assert (done.days, done.files_before, done.files_after) == (6, 6, 18)
    assert ids(older) == before
    assert older.compact(grace_seconds=0, reclass=True).days == 0
    assert older.ledger.verify().ok
    assert {each.action for each in older.retention.plan().changes} == {"drop"}
    older.retention.apply()
    assert older.ledger.verify().ok


def test_what_is_touched_comes_over(older: AuditLake) -> None:
    """A compaction and an erasure sort days that they touch into today's classes; others stay as they were written."""
    bring(older, (record(1000 + n, NOW - DAY, TYPES[n % 3], user_id="ann") for n in range(3)), "more.jsonl")
    day, sorted_day = tuple(sorted(TYPES)), [(name,) for name in sorted(TYPES)]
    assert older.compact(grace_seconds=0).days == 1
    assert sorted(types_of(older)) == sorted([*[day] * 5, *sorted_day])

    bring(older, [record(1003, NOW - 2 * DAY, user_id="bob")], "bob.jsonl")
    older.retention.erase("bob", reason="r", ticket="t")
    assert sorted(types_of(older)) == sorted([*[day] * 4, *sorted_day * 2])
    assert older.ledger.verify().ok
