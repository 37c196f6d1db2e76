"""A damaged lake is told about in words; what was never acknowledged is set aside, and nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.disk.layout import Layout
from auditlake.errors import LakeError, LakeNotFoundError
from auditlake.ledger import keys
from auditlake.store.deltalog import newest_version
from auditlake.upkeep import doctor
from tests.ledger.lakes import make_old
from tests.soak import mostly
from tests.store.lakes import NOW, made, opened, write_events
from tests.verify.lakes import checked

LATER = NOW.replace(year=2027)


def files(root: Path) -> dict[str, bytes]:
    """Every file, but the lock's."""
    found = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != ".lock"}


def test_a_healthy_lake(lake: AuditLake, run: Callable[..., Any]) -> None:
    """Nothing is wrong with it, and a repair does nothing."""
    before = files(lake.layout.root)
    done = run("--lake", lake.layout.root, "doctor", "--repair", "--yes")

    assert (done.code, "nothing is wrong" in done.out) == (0, True)
    assert files(lake.layout.root) == before


def test_no_lake(tmp_path: Path) -> None:
    """Where nothing could be a lake, that is said."""
    with pytest.raises(LakeNotFoundError):
        doctor.examine(Layout(tmp_path), now=LATER)


def test_a_lost_key_of_the_pseudonyms(lake: AuditLake) -> None:
    """A key that deletions and erasures need is missed, with what can be done."""
    ((user,),) = lake.sql("select min(user_id) from events").fetchall()
    lake.retention.erase(user, reason="Article 17", ticket="G-1")
    lake.layout.pseudonyms.unlink()
    (told,) = [each.what for each in doctor.examine(lake.layout, now=LATER).problems if each.where == "pseudonyms.key"]

    assert "has gone" in told
    assert "restore it from a backup" in told


def test_a_lost_private_key(lake: AuditLake) -> None:
    """A signed lake without its private key, in which nothing more can be recorded, is told about; others need none."""
    (lake.layout.ledger / "key").unlink()
    (told,) = doctor.examine(lake.layout, now=LATER).problems

    assert (told.where, "the private key is not there" in told.what) == ("ledger/key", True)
    assert lake.ledger.verify(full=False).ok  # whoever verifies need not have it
    (lake.layout.ledger / "key.pub").unlink()
    assert doctor.examine(lake.layout, now=LATER).problems


def test_a_link_as_checkpoint_of_the_log(lake: AuditLake, tmp_path: Path) -> None:
    """A checkpoint of the Delta log that is no file of the lake is not opened, and set aside as a damaged one is."""
    path = max(lake.layout.log.glob("*.checkpoint.parquet"))
    path.rename(tmp_path / "kept")
    path.symlink_to(tmp_path / "kept")
    found = doctor.examine(lake.layout, now=LATER)

    assert f"events/_delta_log/{path.name}" in [each.where for each in found.changes]
    doctor.repair(lake.layout, found.changes, now=LATER, wait_seconds=1)
    assert checked(lake).ok
    assert not path.is_symlink()


def torn(lake: AuditLake) -> list[str]:
    """A log entry whose writer lost its power."""
    path = lake.layout.commit(newest_version(lake.layout) + 1)
    path.write_bytes(b'{"commitInfo":{"timest')
    return [f"set aside {path.relative_to(lake.layout.root)}: "]


def empty(lake: AuditLake) -> list[str]:
    """The same, of which nothing came to the disk."""
    path = lake.layout.commit(newest_version(lake.layout) + 1)
    path.touch()
    return [f"set aside {path.relative_to(lake.layout.root)}: "]


def stray(lake: AuditLake) -> list[str]:
    """A data file that no commit has."""
    known = lake.layout.events / lake.snapshot().files[0].path
    path = known.with_name(f"part-{'0' * 64}.parquet")
    shutil.copy(known, path)
    return [f"set aside {path.relative_to(lake.layout.root)}: "]


def tile(lake: AuditLake) -> list[str]:
    """A damaged file of the tree."""
    (path,) = lake.layout.ledger.glob("tile/0/*/*")
    path.write_bytes(b"x" * path.stat().st_size)
    return [f"rewrite {path.relative_to(lake.layout.root)}: "]


def log_checkpoint(lake: AuditLake) -> list[str]:
    """A damaged checkpoint of the Delta log."""
    path = max(lake.layout.log.glob("*.checkpoint.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    return [
        f"set aside {path.relative_to(lake.layout.root)}: ", "set aside events/_delta_log/_last_checkpoint: ",
    ]  # fmt: skip


def folder(lake: AuditLake) -> list[str]:
    """A folder that a copy left out."""
    shutil.rmtree(lake.layout.reports)
    return ["make reports: "]


def draft(lake: AuditLake) -> list[str]:
    """A small file that never had its name."""
    (lake.layout.policies / ".mine.yaml.0123.draft").write_text("name: ")
    os.utime(lake.layout.policies / ".mine.yaml.0123.draft", (0, 0))
    return ["set aside policies/.mine.yaml.0123.draft: "]


def uncounted(lake: AuditLake) -> list[str]:
    """A commit whose writer died before the checkpoint."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("auditlake.store.commit._count", die)
        lake.ingest(write_events(lake.layout.root.with_name("more.jsonl"), range(70, 73)))
    return ["finish ledger: "]


def die(*_: object, **__: object) -> None:
    """What a kill does."""
    raise KeyboardInterrupt


REPAIRED = (torn, empty, stray, tile, log_checkpoint, folder, draft, uncounted)


@pytest.mark.parametrize(
    "damage",
    mostly(REPAIRED, always=[torn, stray, tile, log_checkpoint, draft, uncounted]),
    ids=lambda each: each.__name__,
)
def test_repairs(
    damage: Callable[[AuditLake], list[str]], lake: AuditLake, tmp_path: Path, run: Callable[..., Any]
) -> None:
    """What can be repaired is listed, then done; nothing that was acknowledged is touched, and the lake goes on."""
    acknowledged = {row[0] for row in lake.sql("select event_id from events").fetchall()}
    expected = damage(lake)
    before = files(lake.layout.root)
    found = doctor.examine(lake.layout, now=LATER)
    assert [str(change).partition(": ")[0] + ": " for change in found.changes] == expected
    assert files(lake.layout.root) == before
    done = run("--lake", lake.layout.root, "doctor", "--repair", "--yes")
    assert done.code == 0, done.out
    assert all(f"to do: {change}" in done.out for change in expected)

    after = files(lake.layout.root)
    for change in expected:
        action, _, where = change.removesuffix(": ").rpartition(" ")
        if action == "set aside":
            (aside,) = [name for name in after if name.startswith("set-aside/") and name.endswith(f"/{where}")]
            assert after[aside] == before[where]
            assert where not in after
    report = checked(lake)
    assert report.ok, report.problems
    assert doctor.examine(lake.layout, now=LATER).changes == ()
    again = opened(lake.layout.root)
    assert {row[0] for row in again.sql("select event_id from events").fetchall()} >= acknowledged
    again.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    assert checked(again, full=False).ok


@pytest.mark.parametrize("damage", ["config", "log", "data", "entries", "checkpoint", "policy"])
def test_what_only_a_backup_repairs(damage: str, lake: AuditLake, run: Callable[..., Any]) -> None:
    """Damage to what was acknowledged is told with its place, and a repair leaves it as it is."""
    layout = lake.layout
    paths = {
        "config": layout.config, "log": layout.commit(3), "data": layout.events / lake.snapshot().files[0].path,
        "entries": min(layout.ledger.glob("tile/entries/*/*")), "checkpoint": layout.ledger / "checkpoint",
        "policy": layout.policy("failed_logins"),
    }  # fmt: skip
    paths[damage].write_bytes(b"{[damage")
    before = files(layout.root)
    done = run("--lake", layout.root, "doctor", "--repair", "--yes")

    assert done.code == 4
    assert "WRONG: " in done.out
    assert paths[damage].name.partition(".")[0] in done.out
    assert "set aside" not in done.out
    assert files(layout.root) == before


def test_files_of_a_version_that_the_log_lost(lake: AuditLake, run: Callable[..., Any]) -> None:
    """Data that the log forgot and the ledger knows is never set aside."""
    added = lake.snapshot().files
    newest = newest_version(lake.layout)
    lake.layout.commit(newest).unlink()
    done = run("--lake", lake.layout.root, "doctor", "--repair", "--yes")

    assert done.code == 4
    assert all((lake.layout.events / file.path).exists() for file in added)


def test_a_lake_without_a_ledger(lake: AuditLake, run: Callable[..., Any]) -> None:
    """Of a lake that is older than ledgers nothing is set aside: nobody knows what was acknowledged."""
    make_old(lake)
    stray(lake)
    torn(lake)
    before = files(lake.layout.root)

    assert run("--lake", lake.layout.root, "doctor", "--repair", "--yes").code == 4
    assert {name: data for name, data in files(lake.layout.root).items() if name in before} == before


def test_a_lake_that_changes_meanwhile(lake: AuditLake) -> None:
    """What was shown is done, or nothing."""
    stray(lake)
    found = doctor.examine(lake.layout, now=LATER)
    empty(lake)

    with pytest.raises(LakeError, match="has changed since"):
        doctor.repair(lake.layout, found.changes, now=LATER, wait_seconds=1)
    assert not (lake.layout.root / "set-aside").exists()


def test_a_rotation_that_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation that died half way is finished."""
    lake = made(tmp_path / "lake")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keys, "adopt_next", die)
        lake.ledger.rotate_key()
    found = doctor.examine(lake.layout, now=LATER)
    assert [change.action for change in found.changes] == ["finish"]
    doctor.repair(lake.layout, found.changes, now=LATER, wait_seconds=1)

    assert not (lake.layout.ledger / "key.next").exists()
    assert checked(lake).notices == ()


def foreign(lake: AuditLake, name: str, age: float = 0) -> Path:
    """A file such as another Delta writer makes, so many days before LATER."""
    known = lake.layout.events / lake.snapshot().files[0].path
    path = known.with_name(name)
    shutil.copy(known, path)
    os.utime(path, (LATER.timestamp() - age * 86_400,) * 2)
    return path


def asides(lake: AuditLake) -> list[str]:
    """What a repair would set aside."""
    return [each.where for each in doctor.examine(lake.layout, now=LATER).changes if each.action == "set aside"]


def test_what_another_writer_is_about_to_commit(lake: AuditLake) -> None:
    """A file of another Delta writer, which our lock does not hold up, is a stray once it is a week old."""
    foreign(lake, "part-00000-0123.c000.snappy.parquet", age=6.9)
    old = foreign(lake, "part-00001-0123.c000.snappy.parquet", age=7.1)
    foreign(lake, ".hidden.parquet", age=9)

    assert asides(lake) == [old.relative_to(lake.layout.root).as_posix()]


@pytest.mark.parametrize("escaped", ["part-a%2520b.parquet", "part-a%20b.parquet"])
def test_escaped_names(escaped: str, lake: AuditLake) -> None:
    """A committed file is no stray, whether the log escapes the name on the disk once more or not."""
    path = foreign(lake, "part-a%20b.parquet", age=30)
    added = path.with_name(escaped).relative_to(lake.layout.events).as_posix()
    action = {"add": {"path": added, "size": path.stat().st_size, "partitionValues": {}, "dataChange": True}}
    lake.layout.commit(newest_version(lake.layout) + 1).write_text(json.dumps(action))

    assert asides(lake) == []


def test_strays_beside_a_torn_entry(lake: AuditLake) -> None:
    """While entries of the log cannot be read, what they name is not known: no data file is set aside."""
    stray(lake)
    named = [each.partition(" aside ")[2].removesuffix(": ") for each in torn(lake)]
    assert asides(lake) == named
    lake.layout.commit(3).write_bytes(b"{")
    assert asides(lake) == named


def test_what_is_set_aside_in_one_second_is_kept(lake: AuditLake) -> None:
    """Two repairs of one second that set a file of one name aside keep both."""
    torn = lake.layout.commit(lake.snapshot().version + 1)
    for content in (b"", b"{"):
        torn.write_bytes(content)
        found = doctor.examine(lake.layout, now=LATER)
        doctor.repair(lake.layout, found.changes, now=LATER, wait_seconds=10)
    kept = sorted((lake.layout.root / "set-aside").rglob(torn.name))
    assert [path.read_bytes() for path in kept] == [b"", b"{"]
