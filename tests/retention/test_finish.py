"""What follows a commit of retention: told by the log alone, whatever times files have, and seen by a verification."""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.retention import cleanup as finishing
from auditlake.retention.cleanup import Cleanup, certificate_paths
from auditlake.store.deltalog import keeps_quarantine
from tests.retention.lakes import DAY, NOW, Clock, bring, graced, made, policy_text, record
from tests.soak import mostly
from tests.store.lakes import data_files
from tests.templates import copy_of


def due_days(folder: Path) -> None:
    """Make a lake with a quarantine file and two days that are due, one of them mixed, without grace."""
    clock = Clock(NOW - 20 * DAY)
    lake = made(folder / "lake", {"two": policy_text(["login"], "2d"), "ten": policy_text(["logout"], "10d")}, clock)
    lake = graced(lake, "0h")
    lake.retention.apply(accept_weaker="a lake of tests")
    bring(lake, [{"event_type": "nothing", "timestamp": "2026-03-01T00:00:00Z"}], "bad.jsonl")
    kinds = [(9, "login"), (8, "login"), (8, "logout"), (1, "login")]
    bring(lake, (record(n, NOW - age * DAY, kind) for n, (age, kind) in enumerate(kinds)))


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with two days that are due."""
    return AuditLake(copy_of(due_days, tmp_path) / "lake", clock=Clock(NOW))


def die(*_: object) -> None:
    """What a kill does."""
    raise KeyboardInterrupt


def die_before_finish(lake: AuditLake) -> None:
    """An apply that dies right after its commit."""
    real, calls = Cleanup.complete_pending, iter([0])

    def complete_pending(*arguments: object) -> int:
        return real(*arguments) if next(calls, None) is not None else die()  # type: ignore[arg-type, return-value]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Cleanup, "complete_pending", complete_pending)
        lake.retention.apply()


@pytest.mark.parametrize(
    ("again", "touched"), mostly(product([False, True], [0, 4e9]), always=[(False, 4e9), (True, 0)])
)
def test_a_quarantine_file_that_came_again(again: bool, touched: float, tmp_path: Path) -> None:
    """A file that a dead apply was to remove goes, unless an ingest brought it again, whatever times files have."""
    due_days(tmp_path)  # no copy: a quarantine file says where its records came from
    lake = AuditLake(tmp_path / "lake", clock=Clock(NOW))
    (file,) = lake.layout.quarantine.iterdir()
    die_before_finish(lake)
    assert not keeps_quarantine(lake.layout, lake.snapshot().version, file)
    if again:
        version = lake.snapshot().version
        assert lake.ingest(lake.layout.root.parent / "bad.jsonl").snapshot == version + 1
    os.utime(file, (touched, touched))
    lake.retention.apply()

    assert file.exists() == again
    assert lake.ledger.verify().ok


PLACES = ("_remove_leftovers", "blank", "unlink_unused", "write", "render_certificate_page")


def problems(lake: AuditLake) -> list[str]:
    """What a verification finds wrong."""
    return [str(each) for full in (True, False) for each in lake.ledger.verify(full=full).problems]


@pytest.mark.parametrize(
    ("place", "grace"),
    mostly(product(PLACES, ["0h", "24h"]), always=[*product(PLACES, ["0h"]), ("unlink_unused", "24h")]),
)
def test_verify_while_it_is_finished(place: str, grace: str, lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong between the commit and the end of what follows it, nor if its writer dies there."""
    found: list[list[str]] = []

    def looked_at_and_dead(*_: object, **__: object) -> None:
        if lake.snapshot().version == before + 1:
            found.append(problems(lake))
            die()

    lake = graced(lake, grace)
    before = lake.snapshot().version
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        real = getattr(finishing, place)
        patch.setattr(finishing, place, lambda *a, **k: (looked_at_and_dead(), real(*a, **k))[1])
        lake.retention.apply()
    assert found == [[]]
    assert problems(lake) == []
    if grace == "24h":
        lake._context.clock.now += 1.9 * DAY  # type: ignore[attr-defined]
        assert problems(lake) == []
    lake.retention.apply()
    assert problems(lake) == []
    of_others = [each for each in lake.ledger.verify().notices if each.where != "runs/journal.jsonl"]
    assert of_others == [] or grace != "0h"


def test_files_that_wait_for_the_next_apply(lake: AuditLake) -> None:
    """Files whose grace is over go with the next apply, which may take a day to come; then they must have gone."""
    lake = graced(lake, "24h")
    lake.retention.apply()
    assert data_files(lake) > {file.path for file in lake.snapshot().files}
    lake._context.clock.now += 2 * DAY  # type: ignore[attr-defined]
    assert problems(lake) == []
    lake._context.clock.now += DAY / 24  # type: ignore[attr-defined]
    assert {each.partition(", and")[0][-18:] for each in problems(lake)} == {"deleted by entry 5"}


def test_what_a_night_looks_at_does_not_grow(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleanup reads the log as far back as files may wait for their grace, and renders the newest certificates."""
    clock, read, rendered = lake._context.clock, list[int](), list[object]()
    removals, render = finishing.removals, finishing.render_certificate_json
    monkeypatch.setattr(finishing, "committed_at", lambda _, version: version * 86_400.0)
    monkeypatch.setattr(finishing, "removals", lambda *given: (read.append(given[1]), removals(*given))[1])
    monkeypatch.setattr(finishing, "render_certificate_json", lambda given: (rendered.append(given), render(given))[1])
    lake, nights = graced(lake, "24h"), list[tuple[int, int]]()
    for night in range(6):
        bring(lake, [record(100 + night, NOW - 9 * DAY)], f"{night}.jsonl")
        clock.now += DAY  # type: ignore[attr-defined]
        read.clear()
        rendered.clear()
        assert lake.retention.apply().certificate
        nights.append((len(read), len(rendered)))

    assert nights[-1] == nights[2] != (0, 0)


def test_files_of_before_a_compaction_copied_back(lake: AuditLake) -> None:
    """What a compaction replaced before the rows were deleted is found as well if it is copied back."""
    bring(lake, [record(9, NOW - 9 * DAY)])
    for path in (day := lake.layout.events / "event_date=2026-03-23").iterdir():
        path.with_name(f"{path.name}.kept").hardlink_to(path)
    lake.compact(grace_seconds=0)
    lake.retention.apply()
    assert problems(lake) == []
    for path in day.iterdir():
        path.rename(path.with_suffix(""))
    assert len(problems(lake)) == 4


def test_folders_that_go_while_the_verifier_lists_them(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is unlinked just before it is read is none, and no alarm."""
    lake = graced(lake, "24h")
    lake.retention.apply()
    scandir = os.scandir

    def late(path: object = ".") -> object:
        if str(path).endswith("event_date=2026-03-23"):
            shutil.rmtree(str(path))
        return scandir(path)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", late)
        assert problems(lake) == []


def test_only_the_last_certificate_may_be_missing(lake: AuditLake) -> None:
    """The certificate of a deletion is not missed while its apply may not be done, and is once another has followed."""
    first = lake.retention.apply().certificate
    certificate_paths(lake.layout, first or "")[0].unlink()
    assert len(problems(lake)) == 2
    certificate_paths(lake.layout, first or "")[1].unlink()
    assert problems(lake) == []
    assert "is not there yet" in lake.ledger.verify().notices[0].what
    second = lake.retention.erase("user 0", reason="r", ticket="t").certificate
    assert problems(lake) == []
    certificate_paths(lake.layout, first or "")[0].unlink()
    assert [first in each and "is missing" in each for each in map(str, lake.ledger.verify().problems)] == [True]
    lake.retention.apply()
    assert certificate_paths(lake.layout, second or "")[0].exists()
    assert problems(lake) == []


def test_files_replaced_long_before_a_later_deletion(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a compaction had replaced on a day goes with a deletion there, though other days' came in between."""
    monkeypatch.setattr(finishing, "committed_at", lambda _, version: version * 86_400.0)
    for name in ("a", "b"):
        bring(lake, [record(50 + ord(name), NOW - DAY)], f"{name}.jsonl")
    lake.compact(grace_seconds=86_400)
    waiting = data_files(lake) - {file.path for file in lake.snapshot().files}
    for name in ("c", "d"):
        lake.retention.apply()
        bring(lake, [record(50 + ord(name), NOW - 9 * DAY)], f"{name}.jsonl")
    assert waiting <= data_files(lake)
    lake._context.clock.now += 3 * DAY  # type: ignore[attr-defined]
    lake.retention.apply()
    assert data_files(lake) == {file.path for file in lake.snapshot().files}
    assert waiting
    assert problems(lake) == []
