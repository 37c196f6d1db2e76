"""Lakes of format 2: the ledger's entries lie inside the commits, and tree and checkpoint follow from the log."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

import auditlake
from auditlake import AuditLake
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError, LedgerError
from auditlake.ledger import book, keys
from auditlake.ledger.held import commit_entry, held_entry
from auditlake.ledger.note import Signer, new_signer
from auditlake.ledger.tiles import Tiles
from auditlake.store import commit, turn
from auditlake.store.deltalog import is_newest
from auditlake.upkeep.doctor import examine
from auditlake.verify.prove import verify_proof
from auditlake.verify.tree import earlier_keys
from tests.lakes import entries_in_commits, lakes_of_format, make_lake
from tests.ledger.lakes import check_ledger, entries, says_its_format
from tests.soak import mostly
from tests.store.lakes import NOW, copied, ids, made, opened, write_events
from tests.verify.lakes import checked


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of format 2 with one ingest, a lake of format 1 with one, and a second input."""
    folder = tmp_path_factory.mktemp("template")
    write_events(folder / "0.jsonl", range(6))
    write_events(folder / "1.jsonl", range(4, 10))
    with entries_in_commits():
        made(folder / "lake").ingest(folder / "0.jsonl")
    with lakes_of_format(1):
        made(folder / "old").ingest(folder / "0.jsonl")
    return folder


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of that lake."""
    return opened(copied(template / "lake", tmp_path / "lake"))


@pytest.fixture
def old(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of the one of format 1."""
    return opened(copied(template / "old", tmp_path / "old"))


def edit_policy(lake: AuditLake) -> None:
    """Change a policy by hand."""
    path = lake.layout.policies / "failed_logins.yaml"
    path.write_text(path.read_text() + "# changed\n")


def kinds(lake: AuditLake) -> list[tuple[str, int | None]]:
    """The kind and the version of each entry."""
    return [(entry.kind, entry.version) for entry in entries(lake)]


def test_every_version_holds_its_entry(lake: AuditLake, template: Path) -> None:
    """Entries about no commit are commits without files, so the index of an entry is its version."""
    edit_policy(lake)
    lake.ingest(template / "1.jsonl")
    lake.ledger.rotate_key()
    lake.compact(grace_seconds=0)

    check_ledger(lake)
    assert kinds(lake) == [
        ("begin", 0), ("append", 1), ("policy-change", 2), ("append", 3), ("key-rotate", 4), ("rewrite", 5),
    ]  # fmt: skip
    held = [commit_entry(lake.layout, version) for version in range(6)]
    assert held == list(book.tiles(lake.layout).entries(0, 6))
    report = checked(lake)
    assert (report.problems, report.notices) == ((), ())
    assert "format_version = 2\n" in lake.layout.config.read_text()


def test_reports_name_the_last_change(lake: AuditLake, tmp_path: Path) -> None:
    """A decision is a version that changes no answer, so the report that was signed is to be had again after it."""
    signed = lake.report("failed_logins", as_of="2026-03-31")
    path = tmp_path / "report.json"
    path.write_bytes(signed.json())
    entry, _ = lake.findings.review("failed_logins", note="seen", by="eve", as_of="2026-03-31")
    again = lake.report("failed_logins", as_of="2026-03-31")

    assert lake.snapshot().version > 1
    assert entry.snapshot == again.report.evidence.snapshot == signed.report.evidence.snapshot == 1
    assert lake.report("failed_logins", snapshot=lake.snapshot().version).report.evidence.snapshot == 1
    assert lake.reperform(path).identical
    assert is_newest(lake.layout, 1)


STEPS: dict[str, tuple[Any, str, bool]] = {
    "before the commit": (commit, "_settle", False),
    "after the commit": (commit, "_settle", True),
    "the entry": (Tiles, "put_entry", True),
    "the tree": (Tiles, "put_hash", True),
    "the checkpoint": (book, "write", True),
    "tidying up": (Tiles, "tidy", True),
}


class Killed(BaseException):
    """What a writer dies of."""


def die_at(step: str, monkeypatch: pytest.MonkeyPatch, verb: Any) -> None:
    """Let a verb die at a step."""
    room, name, after = UPGRADE[step]
    original = getattr(room, name)

    def dying(*arguments: Any, **options: Any) -> None:
        if after:
            original(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(room, name, dying)
        with pytest.raises(Killed):
            verb()


@pytest.mark.parametrize("step", mostly(STEPS, always=["after the commit"]))
def test_a_dead_writer(step: str, lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit is in the ledger as soon as it is in the log; until it is in the tree, a verification names it."""
    die_at(step, monkeypatch, lambda: lake.ingest(template / "1.jsonl"))

    is_committed = step != "before the commit"
    assert lake.snapshot().version == 1 + is_committed
    report = checked(opened(lake.layout.root))
    waiting = [each.where for each in report.notices if "is not in the ledger's tree yet" in each.what]
    assert report.problems == ()
    assert waiting == (["version 2"] if step in {"after the commit", "the entry", "the tree"} else [])
    lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))
    check_ledger(lake)
    assert (checked(lake).problems, len(entries(lake))) == ((), 3 + is_committed)


@pytest.mark.soak
def test_a_rotation_whose_writer_died(lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key that a commit names signs with the old one once the next writer integrates that commit."""
    key = (lake.layout.ledger / "key.pub").read_text()
    die_at("after the commit", monkeypatch, lake.ledger.rotate_key)
    assert checked(lake, public_key=key).ok

    lake.ingest(template / "1.jsonl")
    assert (lake.layout.ledger / "key.pub").read_text() != key
    assert checked(lake, public_key=key).problems == checked(lake).problems == ()
    check_ledger(lake)


@pytest.mark.parametrize("public", [False, True], ids=["before the public half", "between the halves"])
def test_a_key_that_is_counted_is_installed(
    public: bool, lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer dies while it installs a key that a checkpoint counts, and another program commits: the key stays."""
    key = (lake.layout.ledger / "key.pub").read_text()

    def dying(layout: Layout, _: object, new: Signer) -> None:
        if public:
            (layout.ledger / "key.pub").write_text(f"{new.verifier}\n")
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(keys, "adopt_next", dying)
        lake.ledger.rotate_key()
    lake.layout.commit(3).write_text('{"commitInfo":{"operation":"OPTIMIZE"}}\n')
    lake.ingest(template / "1.jsonl")

    assert (lake.layout.ledger / "key.pub").read_text() != key
    assert [str(each) for each in checked(lake, public_key=key).problems] == [
        "version 3: is unknown to the ledger: another program made it"
    ]


@pytest.mark.soak
def test_the_tree_follows_from_the_log(lake: AuditLake, template: Path, tmp_path: Path) -> None:
    """Integrated again from an earlier state, tree and checkpoint have the same bytes; a kept checkpoint holds."""
    earlier = copied(lake.layout.ledger, tmp_path / "ledger")
    lake.ingest(template / "1.jsonl")
    edit_policy(lake)
    lake.ingest(write_events(tmp_path / "more.jsonl", range(20, 24)))
    newest = lake.ledger.checkpoint()
    shutil.rmtree(lake.layout.ledger / "tile")
    shutil.copytree(earlier / "tile", lake.layout.ledger / "tile")
    shutil.copy(earlier / "checkpoint", lake.layout.ledger)

    report = checked(lake, checkpoint=newest)
    assert (report.problems, len(report.notices)) == ((), 3)
    with changed(lake, 4, lambda text: text.replace('"kind":"append"', '"kind":"report"')):
        assert "was rewritten" in str(checked(lake, checkpoint=newest).problems)
    assert lake.ledger.checkpoint() == newest
    check_ledger(lake)


@pytest.mark.soak
def test_checkpoints_of_the_log_are_recorded(lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that only holds an entry records the checkpoint of the log which the commit before it made."""
    monkeypatch.setattr("auditlake.store.log_checkpoint.EVERY", 2)
    lake.ingest(template / "1.jsonl")
    edit_policy(lake)
    lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))

    assert lake.layout.delta_checkpoint(2).name in entries(lake)[3].details["delta_checkpoint"]
    unrecorded = lake.layout.delta_checkpoint(lake.snapshot().version).name  # of the newest version
    assert checked(lake).problems == ()
    assert [each.where for each in checked(lake).notices] == [f"events/_delta_log/{unrecorded}"]


@pytest.mark.parametrize("foreign", mostly([False, True], always=[True]))
@pytest.mark.parametrize("left", mostly([None, 0, 40, "zeros", "a hole"], always=["zeros"]))
def test_a_tail_that_a_power_cut_took(left: int | str | None, foreign: bool, lake: AuditLake, template: Path) -> None:
    """Partial tiles are not synced, since commits hold their entries: they are read there, and written again."""
    if foreign:
        lake.layout.commit(2).write_text('{"commitInfo":{"operation":"OPTIMIZE"}}\n')
    else:
        edit_policy(lake)
    wrong = ["version 2: is unknown to the ledger: another program made it"] if foreign else []
    lake.ingest(template / "1.jsonl")
    before, kept = entries(lake), lake.ledger.checkpoint()
    torn = [path for path in lake.layout.ledger.rglob("*.p/*") if path.is_file()]
    assert sorted(path.relative_to(lake.layout.root).as_posix() for path in torn) == [
        "ledger/tile/0/000.p/4", "ledger/tile/entries/000.p/4",
    ]  # fmt: skip
    for path in torn:
        cut(path, left)

    if left != "a hole":  # of which a reader sees that it is damaged
        assert entries(lake) == before
    report = checked(lake, checkpoint=kept)
    assert [*map(str, report.problems)] == wrong
    assert sorted(each.where for each in report.notices) == ["ledger/tile/0/000.p/4", "ledger/tile/entries/000.p/4"]
    assert lake.ledger.prove(ids(lake)[0])
    lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))
    if not foreign:
        check_ledger(lake)
    assert ([*map(str, checked(lake, checkpoint=kept).problems)], checked(lake).notices) == (wrong, ())


def cut(path: Path, left: int | str | None) -> None:
    """Leave so many bytes of a file, or zeros in their place; None lets it go."""
    data = path.read_bytes()
    if left is None:
        path.unlink()
    elif left == "a hole":
        begin = 512 if len(data) > 512 else 0
        path.write_bytes(data[:begin] + bytes(len(data[begin : begin + 512])) + data[begin + 512 :])
    else:
        path.write_bytes(bytes(len(data)) if left == "zeros" else data[: int(left)])


@pytest.mark.soak
def test_tiles_ahead_of_the_checkpoint(lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer died while it put several waiting entries into the tree: that is no damage for any reader."""
    path = book.checkpoint_path(lake.layout)
    before = path.read_bytes()
    monkeypatch.setattr(Tiles, "tidy", lambda *_: None)
    lake.ingest(template / "1.jsonl")
    lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))
    newest = lake.ledger.checkpoint()
    path.write_bytes(before)

    assert (checked(lake).problems, len(checked(lake).notices)) == ((), 2)
    assert earlier_keys(lake.layout) == {}
    found = examine(lake.layout, now=NOW)
    assert (found.problems, [each.action for each in found.changes]) == ((), ["finish"])
    assert lake.ledger.checkpoint() == newest


@pytest.mark.soak
def test_tiles_with_other_bytes(lake: AuditLake) -> None:
    """What is not the beginning of a partial tile was not left by a power cut."""
    for path in lake.layout.ledger.rglob("*.p/*"):
        before = path.read_bytes()
        path.write_bytes(b"x" + before[1:])
        assert not checked(lake).ok
        path.write_bytes(before)
    assert checked(lake).ok


@pytest.mark.soak
def test_a_tile_with_entries_that_lie_beside(old: AuditLake, template: Path) -> None:
    """It is whole before its checkpoint, since nothing else has those entries."""
    old.ledger.upgrade()
    old.ingest(template / "1.jsonl")
    (lost,) = old.layout.ledger.glob("tile/entries/*.p/*")
    lost.unlink()

    assert [each.where for each in checked(old).problems if "tile" in each.where]
    with pytest.raises(LedgerError, match="has no tile"):
        old.ingest(write_events(old.layout.root / "more.jsonl", range(20, 24)))


def test_another_program(lake: AuditLake, template: Path) -> None:
    """A commit of another program gets an entry that says so, a verification names it, and the places stay."""
    lake.layout.commit(2).write_text('{"commitInfo":{"operation":"OPTIMIZE"}}\n')
    lake.ingest(template / "1.jsonl")

    assert kinds(lake) == [("begin", 0), ("append", 1), ("foreign", 2), ("append", 3)]
    assert entries(lake)[2].policies == entries(lake)[1].policies
    before = entries(lake)
    for path in lake.layout.ledger.glob("tile/*/*.p/*"):
        path.unlink()
    assert entries(lake) == before
    lake.ledger.rotate_key()
    assert [str(each) for each in checked(lake).problems] == [
        "version 2: is unknown to the ledger: another program made it"
    ]


@contextmanager
def changed(lake: AuditLake, version: int, change: Any) -> Iterator[None]:
    """Change the entry that a commit holds, for a while."""
    before = lake.layout.commit(version).read_bytes()
    rewritten(lake, version, change)
    yield
    lake.layout.commit(version).write_bytes(before)


def rewritten(lake: AuditLake, version: int, change: Any) -> None:
    """Change the entry that a commit holds."""
    path = lake.layout.commit(version)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if info := line.get("commitInfo"):
            info["auditlake.entry"] = change(info["auditlake.entry"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


ATTACKS: dict[str, Any] = {
    "another entry": lambda text: text.replace('"kind":"append"', '"kind":"report"'),
    "an entry of another version": lambda text: text.replace('"version":1', '"version":0'),
    "none": lambda _: None,
    "no entry": lambda _: "x",
}


@pytest.mark.parametrize("attack", mostly(ATTACKS, always=["another entry"]))
def test_entries_changed_in_the_log(attack: str, lake: AuditLake, template: Path) -> None:
    """A changed entry in the log is found, and nothing is built on it."""
    rewritten(lake, 1, ATTACKS[attack])

    assert any("version 1" in each.where for each in checked(lake).problems)
    with pytest.raises(LedgerError, match="version 1"):
        lake.ingest(template / "1.jsonl")


@pytest.mark.parametrize("attack", mostly([name for name in ATTACKS if name != "none"], always=["another entry"]))
def test_entries_changed_before_they_are_integrated(
    attack: str, lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is not that of its commit gets no signature."""
    die_at("after the commit", monkeypatch, lambda: lake.ingest(template / "1.jsonl"))
    rewritten(lake, 2, lambda text: ATTACKS[attack](text).replace('"version":2', '"version":1'))

    assert not checked(lake).ok
    with pytest.raises(LedgerError):
        lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))


@pytest.mark.soak
def test_a_ledger_removed(lake: AuditLake, template: Path) -> None:
    """The log says that there was a ledger: none is begun anew."""
    shutil.rmtree(lake.layout.ledger)

    with pytest.raises(LedgerError, match="is gone"):
        lake.ingest(template / "1.jsonl")
    assert not checked(lake).ok


@pytest.mark.soak
def test_rules_changed_while_a_commit_is_prepared(
    lake: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit says what was in force when its turn began, and the next turn records the change."""
    original = commit._check

    def changing(*arguments: Any) -> None:
        original(*arguments)
        edit_policy(lake)

    with monkeypatch.context() as patch:
        patch.setattr(commit, "_check", changing)
        lake.ingest(template / "1.jsonl")
    assert entries(lake)[2].policies == entries(lake)[1].policies
    assert checked(lake).problems == ()
    lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))
    assert kinds(lake)[2:] == [("append", 2), ("policy-change", 3), ("append", 4)]
    check_ledger(lake)


# From format 1


def test_upgrade(old: AuditLake, template: Path, tmp_path: Path) -> None:
    """One commit; what was made before verifies after it, and entries go on behind those that there are."""
    edit_policy(old)
    old.ingest(template / "1.jsonl")
    event_id = ids(old)[0]
    kept, proof = old.ledger.checkpoint(), old.ledger.prove(event_id)
    key = (old.layout.ledger / "key.pub").read_text()
    before = kinds(old)

    assert old.ledger.upgrade() == 3
    lake = opened(old.layout.root)
    assert lake.ledger.upgrade() is None
    lake.ingest(write_events(tmp_path / "more.jsonl", range(20, 24)))
    assert kinds(lake) == [*before, ("upgrade", 3), ("append", 4)]
    assert entries(lake)[-2].details["entries_in_commits"] == {"index": len(before), "version": 3}
    check_ledger(lake)
    report = checked(lake, checkpoint=kept, public_key=key)
    assert (report.problems, report.notices, report.anchored) == ((), (), len(before))
    assert verify_proof(proof, public_key=key).size == len(before)
    assert verify_proof(lake.ledger.prove(event_id), public_key=key).size == len(before) + 2


UPGRADE = {**STEPS, "before lake.toml": (turn, "say_inside", False), "after lake.toml": (turn, "say_inside", True)}


@pytest.mark.parametrize("step", mostly(UPGRADE, always=["before lake.toml"]))
def test_an_upgrade_that_dies(step: str, old: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it dies, the lake is of one format or the other, and goes on."""
    die_at(step, monkeypatch, old.ledger.upgrade)

    lake = opened(old.layout.root)
    assert checked(lake).problems == ()
    lake.ingest(template / "1.jsonl")
    check_ledger(lake)
    assert says_its_format(lake)
    assert (lake.ledger.upgrade() is None) == (step != "before the commit")
    lake.ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))
    check_ledger(lake)
    assert checked(lake).problems == ()
    assert [entry.kind for entry in entries(lake)].count("upgrade") == 1


def test_a_format_written_by_hand(old: AuditLake, template: Path) -> None:
    """lake.toml with format 2 over a ledger of format 1 is a mistake: said in words, and nothing is written."""
    text = old.layout.config.read_text()
    old.layout.config.write_text(text.replace("format_version = 1", "format_version = 2"))
    lake = opened(old.layout.root)

    for verb in (lambda: lake.ingest(template / "1.jsonl"), lake.ledger.upgrade):
        with pytest.raises(LedgerError, match="says format_version = 2, and the lake is of format 1") as told:
            verb()
        assert "write 1 there again" in str(told.value.hint)
    assert [each.where for each in checked(lake).problems] == ["lake.toml"]
    old.layout.config.write_text(text.replace("format_version = 1", "'format_version' = 1"))
    with pytest.raises(LakeFormatError, match="on one line of its own"):
        old.ledger.upgrade()
    assert kinds(old) == [("begin", 0), ("append", 1)]


@pytest.mark.parametrize("upgraded", mostly([False, True], always=[False]))
def test_a_format_set_back_by_hand(upgraded: bool, lake: AuditLake, old: AuditLake, template: Path) -> None:
    """lake.toml with format 1 over a ledger of format 2 is told, and the next commit writes 2 there again."""
    if upgraded:
        old.ledger.upgrade()
        old.ingest(template / "1.jsonl")
        lake = opened(old.layout.root)
    text = lake.layout.config.read_text()
    lake.layout.config.write_text(text.replace("format_version = 2", "format_version = 1"))

    (told,) = checked(lake).problems
    assert (told.where, "says format_version = 1, and the lake is of format 2" in told.what) == ("lake.toml", True)
    opened(lake.layout.root).ingest(write_events(lake.layout.root / "more.jsonl", range(20, 24)))
    assert lake.layout.config.read_text() == text
    assert checked(lake).problems == ()


def test_a_deletion_made_up_behind_an_upgrade(old: AuditLake, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer had an upgrade counted before any other commit, so what follows one that is not is another's."""
    die_at("after the commit", monkeypatch, old.ledger.upgrade)
    data = json.loads(commit_entry(old.layout, 2) or b"") | {
        "kind": "delete", "version": 3, "previous_log": sha256(old.layout.commit(2).read_bytes()).hexdigest(),
    }  # fmt: skip
    del data["details"]["entries_in_commits"]
    entry = json.dumps(data, separators=(",", ":"), sort_keys=True)
    old.layout.commit(3).write_text(json.dumps({"commitInfo": {"auditlake.entry": entry}}) + "\n")

    assert [each.where for each in checked(old).problems] == ["version 3"]
    with pytest.raises(LedgerError, match="version 3 holds an entry"):
        old.ingest(template / "1.jsonl")


def test_a_program_that_does_not_know_the_format(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and what to do."""
    monkeypatch.setattr("auditlake.config.INSIDE", 1)

    with pytest.raises(LakeFormatError, match="has format version 2, this auditlake knows up to 1") as told:
        auditlake.open(lake.layout.root)
    assert "install that one" in str(told.value.hint)


@pytest.mark.parametrize("mark", [{}, {"entries_in_commits": {"index": 2, "version": 2}}], ids=["plain", "marked"])
def test_a_deletion_made_up(old: AuditLake, template: Path, mark: dict[str, Any]) -> None:
    """A commit of a lake of format 1 that holds an entry, whatever it says, is told as wrong, and never counted."""
    taking = json.loads(book.tiles(old.layout).entry(1)) | {
        "kind": "delete", "version": 2, "previous_log": sha256(old.layout.commit(1).read_bytes()).hexdigest(),
    }  # fmt: skip
    taking["taken"] = [[*part[:3], ""] for part in taking["parts"]]
    taking |= {"parts": [], "adds": [], "details": taking["details"] | mark}
    data = json.dumps(taking, separators=(",", ":"), sort_keys=True)
    old.layout.commit(2).write_text(json.dumps({"commitInfo": {"auditlake.entry": data}}) + "\n")

    assert any("version 2" in each.where and "is unknown" in each.what for each in checked(old).problems)
    old.ingest(template / "1.jsonl")
    assert any("version 2" in each.where and "is unknown" in each.what for each in checked(old).problems)
    assert "delete" not in [entry.kind for entry in entries(old)]


def made_up(lake: AuditLake, kind: str, *, signature: str | None = None, details: Any = None) -> None:
    """Let a stranger without the key commit an entry behind all others, as a writer that died would leave it."""
    version = lake.snapshot().version
    before = json.loads(commit_entry(lake.layout, version) or b"")
    entry = before | {key: [] for key in ("parts", "adds", "removes", "taken", "roots")} | {
        "kind": kind, "version": version + 1, "details": before["details"] | (details or {}),
        "previous_log": sha256(lake.layout.commit(version).read_bytes()).hexdigest(),
    }  # fmt: skip
    for name in ("marks", *(["key", "entries_in_commits"] if not details else [])):
        entry["details"].pop(name, None)
    text = json.dumps(entry, separators=(",", ":"), sort_keys=True)
    signed = {
        "copied": held_entry(lake.layout, version)[1], "another's": new_signer("a").sign_bytes(text.encode()),
    }  # fmt: skip
    more = {"auditlake.signature": b64encode(signed[signature]).decode()} if signature else {}
    info = {"commitInfo": {"auditlake.entry": text, **more}}
    lake.layout.commit(version + 1).write_text(json.dumps(info) + "\n")


MADE_UP: dict[str, dict[str, Any]] = {
    "append": {},
    "delete": {},
    "upgrade": {"entries_in_commits": {"index": 2, "version": 2}},
    "key-rotate": {"old": "a", "new": "b", "note": "c"},
}


@pytest.mark.parametrize("signature", mostly([None, "copied", "another's"], always=["copied"]))
@pytest.mark.parametrize("kind", mostly(MADE_UP, always=["append"]))
def test_an_entry_that_the_key_did_not_sign(kind: str, signature: str | None, lake: AuditLake, template: Path) -> None:
    """Who has the files and not the key commits nothing that counts: it is told, and no writer goes on behind it."""
    made_up(lake, kind, signature=signature, details=MADE_UP[kind])
    kept = lake.layout.ledger.joinpath("checkpoint").read_bytes()

    told = "the key of the lake did not sign"
    for full in (False, True):
        assert ("version 2", True) in {(each.where, told in each.what) for each in checked(lake, full=full).problems}
    with pytest.raises(LedgerError, match="version 2") as refused:
        lake.ingest(template / "1.jsonl")
    assert lake.layout.ledger.joinpath("checkpoint").read_bytes() == kept
    if kind in {"append", "delete"}:
        assert (told in str(refused.value), str(lake.layout.commit(2)) in str(refused.value.hint)) == (True, True)
    lake.layout.commit(2).unlink()
    lake.ingest(template / "1.jsonl")
    assert (checked(lake).problems, checked(lake).notices) == ((), ())


def test_an_entry_that_waits_in_an_unsigned_lake(tmp_path: Path, template: Path) -> None:
    """No key vouches for anything there: what waits is counted, and until then told."""
    with entries_in_commits():
        lake = make_lake(tmp_path / "lake", unsigned=True)
    made_up(lake, "report")

    assert [each.where for each in checked(lake).notices if "vouches" in each.what] == ["version 1"]
    lake.ingest(template / "1.jsonl")
    assert kinds(lake) == [("begin", 0), ("report", 1), ("append", 2)]
    assert checked(lake).problems == ()


def test_a_version_without_an_entry(lake: AuditLake, template: Path) -> None:
    """A checkpoint of the log may say that there is a version: without its entry nothing is signed."""
    lake.layout.commit(2).write_text('{"commitInfo":{"operation":"OPTIMIZE"}}\n')
    DeltaTable(str(lake.layout.events)).create_checkpoint()
    lake.layout.commit(2).unlink()
    kept = lake.layout.ledger.joinpath("checkpoint").read_bytes()

    assert f"events/_delta_log/{lake.layout.delta_checkpoint(2).name}" in {e.where for e in checked(lake).problems}
    with pytest.raises(LakeFormatError, match=r"00002\.json"):
        lake.ingest(template / "1.jsonl")
    assert lake.layout.ledger.joinpath("checkpoint").read_bytes() == kept
