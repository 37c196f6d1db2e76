"""Checkpoints of the log: they change no answer, they are never torn, and nobody reads the whole log again."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from auditlake import AuditLake
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.store import log_checkpoint
from auditlake.store.deltalog import Commits, commit_metadata, foreign_versions, keeps_quarantine, transaction_version
from auditlake.store.model import Change
from auditlake.store.snapshot import read_snapshot
from auditlake.upkeep import doctor
from tests.soak import mostly
from tests.store import strace
from tests.store.lakes import check, cli, commit, copied, expected, ids, made, opened, write_events

EVERY = 3


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints come sooner than they do in earnest."""
    monkeypatch.setattr(log_checkpoint, "EVERY", EVERY)


def grow(path: Path, commits: int, *, bad: int = 0) -> AuditLake:
    """A lake with so many ingests of one event each; the first one brings bad lines too."""
    lake = made(path)
    for number in range(commits):
        lake.ingest(write_events(path.parent / "events.jsonl", [number], bad=0 if number else bad))
    return lake


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the lakes that tests begin with."""
    return tmp_path_factory.mktemp("templates")


Grown = Callable[..., AuditLake]


@pytest.fixture
def grown(templates: Path, tmp_path: Path) -> Grown:
    """Copies a lake that was grown so once."""

    def make(commits: int, *, bad: int = 0) -> AuditLake:
        return opened(copied(template(commits, bad), tmp_path / "lake"))

    def template(commits: int, bad: int) -> Path:
        path = templates / f"{commits}_{bad}"
        if not path.exists() and commits == 1:
            grow(path, 1, bad=bad)
        elif not path.exists():
            copied(template(commits - 1, bad), path)
            opened(path).ingest(write_events(templates / "events.jsonl", [commits - 1]))
        return path

    return make


def checkpoints(layout: Layout) -> list[int]:
    return sorted(int(path.name[:20]) for path in layout.log.glob("*.checkpoint.parquet"))


def program(every: int, mutation: str = "") -> tuple[str, ...]:
    """The command line with checkpoints so often, and perhaps a change to it."""
    return (sys.executable, "-c", "import auditlake.store.log_checkpoint as c, auditlake.storage.disk as s\n"
            f"c.EVERY = {every}\n{mutation}\nfrom auditlake.__main__ import main; main()")  # fmt: skip


# --- What there is ---


def test_no_answer_changes(grown: Grown, tmp_path: Path) -> None:
    """With checkpoints, each snapshot holds what it held, every log entry stays, and only the pointer's is named."""
    lake = grown(8)

    assert checkpoints(lake.layout) == [3, 6]
    assert json.loads((lake.layout.log / "_last_checkpoint").read_bytes())["version"] == 6
    assert [lake.layout.commit(n).exists() for n in range(9)] == [True] * 9
    for version in (0, 1, 5, 6, 8):
        assert ids(lake, version) == expected(range(version))
    assert check(lake) == expected(range(8))
    assert lake.compact(grace_seconds=0).snapshot == 9
    assert checkpoints(lake.layout) == [3, 6, 9]
    assert [ids(lake, version) for version in (3, 7, 9)] == [expected(range(n)) for n in (3, 7, 8)]


def test_a_checkpoint_is_what_readers_use(grown: Grown, tmp_path: Path) -> None:
    """A table without the entries before its checkpoint has the same files, sizes, counts and bounds."""
    lake = grown(7)
    snapshot = lake.snapshot()

    for version in range(6):
        lake.layout.commit(version).unlink()

    assert lake.snapshot() == snapshot
    assert ids(lake) == expected(range(7))


def test_transactions_survive(tmp_path: Path) -> None:
    """How far applications have come is the same before and after checkpoints and compactions, at every version."""
    lake = made(tmp_path / "lake")
    asked = ("one", "two", "three")
    reached: dict[str, int] = {}
    then = [dict(reached)]
    for step, name in enumerate(("one", "two", "one", "", "two", "", "")):
        seen = read_snapshot(lake.layout, applications=asked)
        assert seen.transactions == reached
        reached |= {name: 10 * step + 1} if name else {}
        moves = {name: reached[name]} if name else {}
        commit(lake, Change((), (), {"kind": "ingest", "step": step}, transactions=moves), seen)
        then.append(dict(reached))
        if step == 4:
            lake.ingest(write_events(tmp_path / "a.jsonl", [1]))
            lake.ingest(write_events(tmp_path / "b.jsonl", [1, 0, 2]))
            assert lake.compact(grace_seconds=0).days == 1
            then += [dict(reached)] * 3

    assert checkpoints(lake.layout) == [3, 6, 9]
    for version, was in enumerate(then):
        assert read_snapshot(lake.layout, version, applications=asked).transactions == was
    for name in asked:
        assert transaction_version(lake.layout, name) == reached.get(name)


def test_a_long_log_without_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lake that has none gets one with its next commit, however long its log is."""
    monkeypatch.setattr(log_checkpoint, "EVERY", 1000)
    lake = grow(tmp_path / "lake", 4)
    assert checkpoints(lake.layout) == []
    monkeypatch.setattr(log_checkpoint, "EVERY", EVERY)

    lake.ingest(write_events(tmp_path / "more.jsonl", range(9)))

    assert checkpoints(lake.layout) == [5]
    assert check(lake) == expected(range(9))


def test_a_lost_checkpoint(grown: Grown, tmp_path: Path) -> None:
    """Where the last checkpoint and its pointer are gone, the entries are all there is, and the next one is made of
    them."""
    lake = grown(5)
    for path in lake.layout.log.glob("*checkpoint*"):
        path.unlink()

    assert check(lake) == expected(range(5))
    lake.ingest(write_events(tmp_path / "more.jsonl", range(6)))
    assert checkpoints(lake.layout) == [6]
    assert check(lake) == expected(range(6))


# --- What cannot be done ---


def test_a_checkpoint_that_cannot_be_written(grown: Grown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a checkpoint fails, the commit stands, the lake is as without it, and the next commit makes it."""
    lake = grown(2)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(log_checkpoint, "_write", fail)
        assert lake.ingest(write_events(tmp_path / "third.jsonl", range(3))).snapshot == 3
    assert checkpoints(lake.layout) == []
    assert check(lake) == expected(range(3))

    lake.ingest(write_events(tmp_path / "fourth.jsonl", range(4)))
    assert checkpoints(lake.layout) == [4]
    assert check(lake) == expected(range(4))


def test_a_checkpoint_that_is_there_stays(grown: Grown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has other bytes is not replaced, since the pointer may name it; the pointer stays too."""
    layout = grown(3).layout
    path = layout.delta_checkpoint(3)
    pq.write_table(pq.read_table(path), path, compression="gzip")
    before = path.stat().st_ino, path.read_bytes(), layout.delta_pointer.read_bytes()

    monkeypatch.setattr(log_checkpoint, "last_checkpoint", lambda _: 0)  # as where the disk refuses to read it once
    log_checkpoint._write(layout, tmp_path / "staged", 3)
    assert (path.stat().st_ino, path.read_bytes(), layout.delta_pointer.read_bytes()) == before


def test_a_checkpoint_that_says_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that has other files than the log entries say is thrown away."""
    real = DeltaTable.create_checkpoint

    def lose_a_file(self: DeltaTable) -> None:
        real(self)
        (made,) = Path(self.table_uri.removeprefix("file://")).glob("_delta_log/*.checkpoint.parquet")
        without_a_file(made)

    monkeypatch.setattr(DeltaTable, "create_checkpoint", lose_a_file)

    lake = grow(tmp_path / "lake", 4)

    assert checkpoints(lake.layout) == []
    assert check(lake) == expected(range(4))


def without_a_file(path: Path) -> None:
    """Take the last file out of a checkpoint."""
    table = pq.read_table(path)
    last = [row for row, add in enumerate(table["add"].to_pylist()) if add][-1]
    pq.write_table(table.take([row for row in range(table.num_rows) if row != last]), path)


@pytest.mark.parametrize("commits", mostly([3, 4], always=[4]))
def test_a_checkpoint_of_a_stranger(commits: int, grown: Grown, tmp_path: Path) -> None:
    """One with other bytes is read if it says what the entries say; a lake whose does not is refused in words."""
    lake = grown(commits)
    path = lake.layout.delta_checkpoint(3)
    honest = path.read_bytes()
    pq.write_table(pq.read_table(path), path, compression="gzip")
    assert check(lake) == expected(range(commits))

    without_a_file(path)
    for verb in (lambda: lake.report("failed_logins"), lambda: lake.ingest(write_events(tmp_path / "a", [9]))):
        with pytest.raises(
            LakeFormatError, match=r"3\.checkpoint\.parquet does not say of the lake's files"
        ) as refused:
            verb()
    assert "doctor --repair" in str(refused.value.hint)
    mended(lake)
    assert check(opened(lake.layout.root)) == expected(range(commits))
    path.write_bytes(honest)
    assert check(opened(lake.layout.root)) == expected(range(commits))


@pytest.mark.parametrize("name", mostly([
    "3.checkpoint.0000000001.0000000001.parquet", "3.checkpoint.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.parquet",
    "1.00000000000000000003.compacted.json",
], always=["3.checkpoint.0000000001.0000000001.parquet"]))  # fmt: skip
def test_a_checkpoint_of_another_form(name: str, grown: Grown) -> None:
    """Readers of Delta tables would take the files from it, so the lake is refused in words until it has gone."""
    lake = grown(3)
    (lake.layout.log / f"{'0' * 19}{name}").write_bytes(b"")
    with pytest.raises(LakeFormatError, match="is no file of auditlake's"):
        lake.statistics()

    mended(lake)
    assert check(opened(lake.layout.root)) == expected(range(3))


def mended(lake: AuditLake) -> None:
    """Do what doctor proposes."""
    now = datetime(2027, 1, 1, tzinfo=UTC)
    doctor.repair(lake.layout, doctor.examine(lake.layout, now=now).changes, now=now, wait_seconds=1)


def test_what_another_program_left(grown: Grown, tmp_path: Path) -> None:
    """A pointer that cannot be read, or to a checkpoint that is not there in one file, is passed over."""
    lake = grown(2)
    pointer = lake.layout.log / "_last_checkpoint"
    for data in (b"", b"{", b"[]", b'{"version": "x"}', b'{"version": null}', b'{"size": 3}', b'{"version": 1}'):
        pointer.write_bytes(data)
        assert log_checkpoint.last_checkpoint(lake.layout) == 0
    pointer.unlink()

    lake.ingest(write_events(tmp_path / "third.jsonl", range(3)))
    assert log_checkpoint.last_checkpoint(lake.layout) == 3


# --- Kills, and the order of what is done ---


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of five commits and one checkpoint, and an input that brings the next one."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log_checkpoint, "EVERY", EVERY)
        grow(folder / "lake", 5)
    write_events(folder / "new.jsonl", range(8))
    return folder


def traced(template: Path, folder: Path, mutation: str = "") -> Path:
    """Make the next commit in a copy of the lake, ``folder/lake``, and list the calls that change the disk."""
    log, root = folder / "trace", copied(template / "lake", folder / "lake")
    done = cli(root, "ingest", template / "new.jsonl", prefix=strace.traced(log, (*strace.CALLS, "openat")),
               program=program(EVERY, mutation))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert checkpoints(Layout(root)) == [3, 6]
    return log


@pytest.fixture(scope="module")
def trace(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calls of a run that nothing disturbs, beside its lake."""
    return traced(template, tmp_path_factory.mktemp("trace"))


def points_after_the_commit(log: Path) -> list[tuple[str, int]]:
    """Every call that changes the disk from the commit's link on, as strace counts them by thread."""
    every = [call for call in strace.listing(log) if call.begins]
    linked = next(i for i, call in enumerate(every) if call.name == "link" and f"{6:020d}.json" in call.text)
    before = strace.Counter((call.pid, call.name) for call in every[:linked])
    points: dict[tuple[str, int], None] = {}
    for call in every[linked:]:
        before[call.pid, call.name] += 1
        if call.name != "openat" or "O_CREAT" in call.text:
            points[call.name, before[call.pid, call.name]] = None
    return list(points)


def kill_at_calls(template: Path, log: Path, tmp_path: Path, most: int) -> None:
    points = strace.evenly(points_after_the_commit(log), most)
    assert {"fsync", "rename", "link", "mkdir"} <= {call for call, _ in points} or most < 30

    def work(run: int) -> tuple[Path, int]:
        call, number = points[run]
        root = copied(template / "lake", tmp_path / f"lake{run}")
        prefix = strace.spoilt(call, number, "signal=SIGKILL")
        return root, cli(root, "ingest", template / "new.jsonl", prefix=prefix, program=program(EVERY)).returncode

    died = 0
    with ThreadPoolExecutor(2) as pool:
        for root, code in pool.map(work, range(len(points))):
            died += code != 0
            lake = opened(root)
            assert check(lake) in (expected(range(5)), expected(range(8)))
            assert ids(lake, 4) == expected(range(4))
            lake.ingest(template / "new.jsonl")
            lake.ingest(write_events(tmp_path / "last.jsonl", range(9)))
            assert checkpoints(lake.layout)[-1] >= 6
            assert check(lake) == ids(lake) == expected(range(9))
    assert died >= len(points) * 2 // 3  # threads share work as they like, so some calls come under another count


def test_after_a_large_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that takes long to replay has a checkpoint at once; small ones after it wait for theirs."""
    lake = made(tmp_path / "lake")
    with monkeypatch.context() as patch:
        patch.setattr("auditlake.store.log_checkpoint.LARGE", 2_000)
        lake.ingest(write_events(tmp_path / "events.jsonl", range(30)))
    lake.ingest(write_events(tmp_path / "events.jsonl", [31]))

    assert checkpoints(lake.layout) == [1]
    assert check(lake) == ids(lake) == expected([*range(30), 31])


@strace.needed
def test_killed_at_a_chosen_call(template: Path, trace: Path, tmp_path: Path) -> None:
    """Killed at a call of the checkpoint, it leaves a lake that opens, with every event once."""
    kill_at_calls(template, trace, tmp_path, 1)


@strace.needed
@pytest.mark.soak
def test_killed_at_every_call(template: Path, trace: Path, tmp_path: Path) -> None:
    """The same at every call."""
    kill_at_calls(template, trace, tmp_path, 10_000)


def missing_syncs(log: Path) -> list[str]:
    """What a checkpoint builds on before it is on the disk."""
    root = log.with_name("lake")
    synced: dict[str, list[int]] = {}
    moves: dict[str, tuple[int, str]] = {}
    for at, call in enumerate(strace.listing(log)):
        if call.name in {"fsync", "fdatasync"} and call.ends and (path := re.match(r"\(\d+<([^>]*)>", call.text)):
            synced.setdefault(path[1], []).append(at)
        elif call.name.startswith(("rename", "link")) and call.begins:
            origin, target = re.findall(r'"([^"]*)"', call.text)[:2]
            moves[Path(target).name] = (at, origin)
    made, from_draft = moves[f"{6:020d}.checkpoint.parquet"]
    named, from_pointer = moves["_last_checkpoint"]
    committed, entry = moves[f"{6:020d}.json"]
    folder = str(root / "events" / "_delta_log")
    needed = {
        "the checkpoint before it gets its name": (from_draft, 0, made),
        "the pointer before it gets its name": (from_pointer, 0, named),
        "the checkpoint's name before the pointer's": (folder, made, named),
        "the log entry before it gets its name": (entry, 0, committed),
        "the log entry's name before the checkpoint's": (folder, committed, made),
    }
    return [what for what, (path, after, before) in needed.items()
            if not any(after < at < before for at in synced.get(path, ()))]  # fmt: skip


@strace.needed
def test_all_is_synced_in_order(trace: Path) -> None:
    """A checkpoint is synced before it gets its name, and its name before the pointer to it."""
    assert missing_syncs(trace) == []


MUTANTS = {
    "s.sync_file = lambda _: None": [
        "the checkpoint before it gets its name", "the log entry before it gets its name",
    ],
    "s.sync_folder = lambda _: None": [
        "the checkpoint's name before the pointer's", "the log entry's name before the checkpoint's",
    ],
}  # fmt: skip


@strace.needed
@pytest.mark.parametrize("mutation", mostly(MUTANTS, always=[]))
def test_a_missing_sync_is_noticed(mutation: str, template: Path, tmp_path: Path) -> None:
    """A program without one of its syncs fails the test above."""
    assert missing_syncs(traced(template, tmp_path, mutation)) == MUTANTS[mutation]


@pytest.mark.parametrize("torn", [lambda data: data[: len(data) // 2], lambda data: bytes(len(data))])
def test_a_torn_checkpoint_is_what_we_must_not_leave(
    grown: Grown, torn: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Under its final name a torn checkpoint makes the table unreadable even without its pointer; in staging it is
    nothing."""
    lake = grown(4)
    (made,) = lake.layout.log.glob("*.checkpoint.parquet")
    data = made.read_bytes()
    (lake.layout.log / "_last_checkpoint").unlink()
    draft = lake.layout.staging / "1-dead" / made.name
    draft.parent.mkdir()
    (draft.parent / "alive").touch()
    shutil.move(made, draft)
    draft.write_bytes(torn(data))
    assert check(opened(lake.layout.root)) == expected(range(4))

    made.write_bytes(torn(data))

    with pytest.raises(LakeFormatError, match="cannot be read"):
        lake.snapshot()


# --- The summary of the log ---


def without_summary(lake: AuditLake, newest: int) -> object:
    aside = lake.layout.history.rename(lake.layout.root / "aside")
    try:
        return Commits(lake.layout, newest).history
    finally:
        aside.rename(lake.layout.history)


def test_the_summary_says_what_the_entries_say(grown: Grown, tmp_path: Path) -> None:
    """What old versions were is the same with the summary and without, for every version."""
    lake = grown(4, bad=1)
    lake.layout.commit(5).write_text('{"commitInfo":{}}\n')
    for number in range(6, 10):
        lake.ingest(write_events(tmp_path / "more.jsonl", [number], bad=2 if number == 7 else 0))

    assert json.loads(lake.layout.history.read_bytes())["version"] == 9
    for version in range(10):
        assert Commits(lake.layout, version).history == without_summary(lake, version)
    assert foreign_versions(lake.layout, 9) == [5]
    for file in lake.layout.quarantine.iterdir():
        assert keeps_quarantine(lake.layout, 9, file)
    assert keeps_quarantine(lake.layout, 4, lake.layout.quarantine / commit_metadata(lake.layout, 1)["quarantine"])
    assert not keeps_quarantine(lake.layout, 4, lake.layout.quarantine / commit_metadata(lake.layout, 7)["quarantine"])


SPOILT = (
    b"", b"{", b"[]", b"null", b'{"version": 3}', b'{"version": 99, "entry": "", "others": [], "quarantine": []}',
    b'{"version": 3, "entry": "0", "others": [[2, null]], "quarantine": []}',
)  # fmt: skip


@pytest.mark.parametrize("spoilt", mostly(SPOILT, always=[SPOILT[n] for n in (1, 4, 5, 6)]))
def test_a_summary_that_is_not_of_this_log(grown: Grown, spoilt: bytes, tmp_path: Path) -> None:
    """A summary that is damaged, or of another log, is passed over and written again with the next checkpoint."""
    lake = grown(5)
    lake.layout.history.write_bytes(spoilt)

    assert foreign_versions(lake.layout, 5) == []
    lake.ingest(write_events(tmp_path / "more.jsonl", range(6)))
    assert json.loads(lake.layout.history.read_bytes())["version"] == 6
    assert foreign_versions(lake.layout, 6) == []


@strace.needed
@pytest.mark.parametrize(
    "words", mostly(["ingest new.jsonl", "ingest bad.jsonl", "stats", "flush"], always=["ingest new.jsonl", "stats"])
)
def test_old_entries_are_not_read(words: str, template: Path, tmp_path: Path) -> None:
    """No verb opens log entries before the checkpoint, but for the one that the summary is compared with."""
    root = copied(template / "lake", tmp_path / "lake")
    files = {"new.jsonl": template / "new.jsonl", "bad.jsonl": write_events(tmp_path / "bad.jsonl", [], bad=1)}

    done = cli(root, *(files.get(word, word) for word in words.split()),
               prefix=strace.traced(tmp_path / "trace", ["openat", "open"]), program=program(1000))  # fmt: skip

    assert done.returncode == ("bad.jsonl" in words), done.stderr
    read = {int(found[1]) for call in strace.listing(tmp_path / "trace")
            if (found := re.search(r"/lake/events/_delta_log/(\d{20})\.json\"", call.text))}  # fmt: skip
    assert min(read, default=3) >= 3
