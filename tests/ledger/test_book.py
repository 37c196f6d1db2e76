"""The ledger of a lake: an entry for every commit, whatever becomes of its writers; nothing is built on a false one."""

from __future__ import annotations

import shutil
import stat
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.errors import AuditLakeError, LedgerError
from auditlake.ledger import book, sidecars
from auditlake.ledger.entry import Record
from auditlake.ledger.keys import read_public_key
from auditlake.store import commit, turn
from auditlake.store.deltalog import newest_version
from tests.lakes import FORMAT, create, of_format_1
from tests.ledger.lakes import check_ledger, entries, make_old
from tests.soak import mostly
from tests.store.lakes import NOW, copied, made, opened, write_events


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of two ingests, and a third input."""
    folder = tmp_path_factory.mktemp("template")
    lake = made(folder / "lake")
    for number in range(3):
        write_events(folder / f"{number}.jsonl", range(4 * number, 4 * number + 6))
    lake.ingest(folder / "0.jsonl")
    lake.ingest(folder / "1.jsonl")
    return folder


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of that lake."""
    return opened(copied(template / "lake", tmp_path / "lake"))


def test_every_commit_has_an_entry(lake: AuditLake) -> None:
    """An ingest and a compaction are entries, with the roots of what came, and the checkpoint is signed."""
    lake.compact(grace_seconds=0)
    check_ledger(lake)

    found = entries(lake)
    assert [(entry.kind, entry.version) for entry in found] == [
        ("begin", 0), ("append", 1), ("append", 2), ("rewrite", 3),
    ]  # fmt: skip
    assert all(entry.lake_id == lake.config.id and "failed_logins" in entry.policies for entry in found)
    assert found[3].parts == ()
    assert {file.path for file in found[3].adds} <= {file.path for file in lake.snapshot().files}
    assert set(found[3].removes) <= {file.path for entry in found for file in entry.adds}
    verifier, note = read_public_key(lake.layout), book.read_note(lake.layout)
    assert verifier is not None and note is not None and note.signed_by(verifier)
    assert stat.S_IMODE((lake.layout.root / "ledger" / "key").stat().st_mode) == 0o600


def test_unsigned(tmp_path: Path, template: Path) -> None:
    """A lake without a key has the same ledger, and nobody's signature."""
    lake = create(tmp_path / "lake", unsigned=True, clock=lambda: NOW)
    lake.ingest(template / "0.jsonl")

    check_ledger(lake)
    note = book.read_note(lake.layout)
    assert note is not None and note.signatures == ()
    assert sorted(path.name for path in (lake.layout.root / "ledger").iterdir()) == [
        "checkpoint",
        "marks",
        "policies",
        "tile",
    ]


def test_a_key_elsewhere(tmp_path: Path, template: Path) -> None:
    """The key lies where lake.toml says; without it nothing is committed."""
    lake = made(tmp_path / "lake")
    key, moved = lake.layout.root / "ledger" / "key", tmp_path / "key"
    key.rename(moved)
    with pytest.raises(LedgerError, match="cannot be read"):
        lake.ingest(template / "0.jsonl")
    lake.layout.config.write_text(lake.layout.config.read_text() + f'[ledger]\nkey = "{moved}"\n')

    lake = opened(lake.layout.root)
    lake.ingest(template / "0.jsonl")
    check_ledger(lake)


@of_format_1
def test_an_old_lake_begins_a_ledger(lake: AuditLake, template: Path) -> None:
    """The next commit of a lake without a ledger begins one, whose first entry says what was there, and signs it."""
    make_old(lake)
    lake.ingest(template / "2.jsonl")

    check_ledger(lake)
    assert [(entry.kind, entry.version) for entry in entries(lake)] == [("begin", 2), ("append", 3)]
    assert read_public_key(lake.layout) is not None


class Killed(BaseException):
    """What a writer dies of."""


STEPS = {
    "the entry": "auditlake.ledger.tiles.Tiles.put_entry",
    "the commit": "auditlake.store.commit._settle",
    "the tree": "auditlake.ledger.tiles.Tiles.put_hash",
    "the checkpoint": "auditlake.ledger.book.sign",
    "tidying up": "auditlake.ledger.tiles.Tiles.tidy",
}


@pytest.mark.parametrize(
    ("step", "after"), mostly(product(STEPS, [False, True]), always=[("the entry", False), *product(STEPS, [True])])
)
def test_what_a_dead_writer_left_is_finished(
    step: str, after: bool, lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step a writer dies before or after, the next counts its entry if it was committed, else drops it."""
    folder, name = STEPS[step].rsplit(".", 1)
    with monkeypatch.context() as patch:
        module = commit if "commit" in folder else book if "book" in folder else book.Tiles
        original = getattr(module, name)

        def dying(*arguments: object, **options: object) -> object:
            if after:
                original(*arguments, **options)
            raise Killed

        patch.setattr(module, name, dying)
        with pytest.raises(Killed):
            lake.ingest(template / "2.jsonl")

    committed = (step != "the entry" or FORMAT > 1) and (step, after) != ("the commit", False)
    assert lake.snapshot().version == 2 + committed
    lake.ingest(template / "2.jsonl")  # duplicates alone make no commit
    lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))
    assert lake.snapshot().version == 4
    check_ledger(lake)


def test_entries_about_no_commit(lake: AuditLake, template: Path) -> None:
    """An entry that is about no commit lies between those of commits; one whose writer died is dropped."""
    said = Record("hold", "2026-04-01T00:00:00Z", details={"reason": "lawsuit"})
    head = book.read_head(lake.layout)
    assert head is not None
    rules = book.read_rules(lake.layout, head.settings)
    assert book.record(lake.layout, head, 2, said, rules).size == 4
    book._written(lake.layout, book._entry(lake.layout, rules, 4, said, None, 2))
    lake.ingest(template / "2.jsonl")

    check_ledger(lake)
    assert [entry.kind for entry in entries(lake)] == ["begin", "append", "append", "hold", "append"]
    assert entries(lake)[3].details == {"reason": "lawsuit"}


def refused(lake: AuditLake, file: Path, match: str) -> None:
    version = newest_version(lake.layout)
    with pytest.raises(AuditLakeError, match=match):
        lake.ingest(file)
    assert newest_version(lake.layout) == version


def test_nothing_is_built_on_a_ledger_that_is_gone(lake: AuditLake, template: Path) -> None:
    """A lake whose ledger is gone begins no other one."""
    shutil.rmtree(lake.layout.root / "ledger")

    refused(lake, template / "2.jsonl", "is gone")


@of_format_1
def test_nothing_is_built_on_a_ledger_that_was_set_back(lake: AuditLake, template: Path, tmp_path: Path) -> None:
    """A ledger that is older than the log is refused, and so is a log that is older than the ledger."""
    old = copied(lake.layout.root, tmp_path / "old")
    lake.ingest(template / "2.jsonl")
    newer = copied(lake.layout.root, tmp_path / "newer")
    shutil.rmtree(lake.layout.root / "ledger")
    shutil.copytree(old / "ledger", lake.layout.root / "ledger")
    more = write_events(tmp_path / "more.jsonl", range(30, 33))
    refused(lake, more, "no entry of version 3")

    shutil.rmtree(lake.layout.root)
    shutil.copytree(old, lake.layout.root)
    shutil.rmtree(lake.layout.root / "ledger")
    shutil.copytree(newer / "ledger", lake.layout.root / "ledger")
    refused(lake, more, "not the one that the ledger recorded")


@pytest.mark.parametrize(("name", "old", "new", "match"), [
    ("checkpoint", b"\n3\n", b"\n2\n", "not signed by the key"),
    ("checkpoint", b"auditlake", b"auditlate", "not signed by the key"),
    ("tile/0/000.p/3", b"", b"", "not that of its checkpoint|damaged"),
    ("key.pub", b"auditlake", b"auditlate", "damaged"),
    ("key", b"auditlake", b"auditlate", "damaged"),
])  # fmt: skip
def test_nothing_is_built_on_a_damaged_ledger(
    name: str, old: bytes, new: bytes, match: str, lake: AuditLake, template: Path
) -> None:
    """Where the checkpoint, the tree or a key is not what it was, nothing is committed."""
    path = lake.layout.root / "ledger" / name
    data = path.read_bytes()
    path.write_bytes(data.replace(old, new, 1) if old else bytes([data[0] ^ 1]) + data[1:])

    refused(lake, template / "2.jsonl", match)


def test_kept_leaves(lake: AuditLake) -> None:
    """Leaves of removed events are kept in a file named by its content, in the order of seq."""
    some = [sidecars.Kept(5, b"a" * 32), sidecars.Kept(-1, b"b" * 32, b"c" * 32)]
    path = sidecars.kept_path(lake.layout, "kept", sidecars.keep(lake.layout, "kept", sidecars.pack(some)))

    expected = b"\xff" * 8 + b"b" * 32 + b"c" * 32 + bytes(7) + b"\5" + b"a" * 32 + bytes(32)
    assert path.read_bytes() == expected
    assert path.name == sha256(expected).hexdigest()


@of_format_1
def test_doing_a_dead_writers_ingest_again_signs_it(
    lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest whose writer died before the ledger counted it is counted when the same input comes again."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(commit, "complete", die)
        with pytest.raises(KeyboardInterrupt):
            lake.ingest(template / "2.jsonl")
    assert not lake.ledger.verify(full=False).ok

    assert lake.ingest(template / "2.jsonl").landed == 0
    assert lake.ledger.verify().ok


def test_what_is_in_force_is_read_once(lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that is edited again while an edit is recorded is recorded by the next writer; both texts are kept."""
    path = lake.layout.policies / "failed_logins.yaml"
    digests: list[str] = []

    def edit() -> None:
        path.write_text(path.read_text() + "# edited\n")
        digests.append(sha256(path.read_bytes()).hexdigest())

    def noticed(*arguments: Any) -> Any:
        records = book.unrecorded(*arguments)
        edit()
        return records

    edit()
    with monkeypatch.context() as patch:
        patch.setattr(turn, "unrecorded", noticed)
        lake.holds.add("smith", reason="r", owner="o", ticket="t", user_ids=["alice"])
    lake.ingest(template / "2.jsonl")

    found = [each for each in entries(lake) if each.kind == "policy-change"]
    recorded = [each.policies["failed_logins"] for each in found]
    assert (recorded[0], recorded[-1]) == (digests[0], digests[-1])
    assert all(sidecars.kept_path(lake.layout, "policies", each.policies["failed_logins"]).exists() for each in found)
    check_ledger(lake)
