"""Whatever somebody does to a lake behind its back is found: each attack is a test of its own."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake import AuditLake
from auditlake.disk.layout import part_day_and_digest
from auditlake.errors import LedgerError
from auditlake.ledger import book, keys
from auditlake.ledger.note import new_signer, parse_checkpoint, parse_note, sign
from auditlake.store import commit
from auditlake.store.file_types import file_types, type_names
from auditlake.store.model import DataFile
from auditlake.verify.model import VerifyReport
from tests.lakes import create
from tests.ledger.lakes import classes, entries
from tests.soak import mostly
from tests.store.lakes import copied, made, opened, write_events
from tests.verify.lakes import DELETED, ERASED, checked, delete_day, rows_in, write_day


def wrong(report: VerifyReport) -> str:
    """All that is wrong, as one text."""
    parts = [part for batch in report.batches for part in batch.parts if part.verdict in {"MISSING", "CHANGED"}]
    assert not report.ok
    return "\n".join([*map(str, report.problems), *(f"{part.day} {part.verdict}: {part.detail}" for part in parts)])


# --- Bytes ---


def guarded(root: Path) -> list[Path]:
    """Every file of the lake that the ledger answers for."""
    folders = [root / name for name in ("events", "ledger", "quarantine", "certificates")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if path.name != "key"]


def change_bytes(lake: AuditLake, times: int) -> None:
    """Change one byte of any file, and see that it is found; each kind of file gets its share."""
    seeded = Random(times)
    files = guarded(lake.layout.root)
    kinds = {path.parent.name if path.suffix != ".parquet" else path.suffix + path.parent.name[:5] for path in files}
    assert len(kinds) >= 8
    for number in range(times):
        path = files[number % len(files)]
        data = path.read_bytes()
        at = seeded.randrange(len(data))
        changed = bytearray(data)
        changed[at] ^= 1 << seeded.randrange(8)
        path.write_bytes(changed)
        report = checked(lake)
        path.write_bytes(data)
        assert not report.ok, (path, at)
    assert checked(lake).ok


def test_changed_bytes(lake: AuditLake) -> None:
    """A single changed byte in data, log, tiles, checkpoints, keys, certificates or quarantine is found."""
    change_bytes(lake, 10)


@pytest.mark.soak
def test_a_thousand_changed_bytes(lake: AuditLake) -> None:
    """The same, a thousand times."""
    change_bytes(lake, 1000)


DAMAGE = ("gone", "empty", "half", "zeros", "noise", "twice")


def is_in_the_log(lake: AuditLake, tile: Path) -> bool:
    """Whether commits hold all that follows from a tile: its first entry, and so all others."""
    return tile.parents[1].name in {"0", "entries"} and entries(lake)[0].details.get("entries_in_commits") is not None


def damage(how: str, lake: AuditLake, files: Sequence[Path]) -> None:
    """Damage one file at a time, and see that it is found."""
    assert files
    for path in files:
        data = path.read_bytes()
        if how == "gone":
            path.unlink()
        else:
            half = data[: len(data) // 2]
            new = {"empty": b"", "half": half, "zeros": bytes(len(data)), "noise": Random(1).randbytes(len(data))}
            path.write_bytes(new.get(how, data + data))
        report = checked(lake)
        path.write_bytes(data)
        told = {each.where: each.what for each in report.notices}.get(path.relative_to(lake.layout.root).as_posix(), "")
        if how == "gone" and "checkpoint" in path.name and path.parent == lake.layout.log:
            assert "is gone" in told  # readers do without it
        elif how not in {"noise", "twice"} and path.parent.name.endswith(".p") and is_in_the_log(lake, path):
            assert "as a power cut may leave it" in told  # and it is made again
        else:
            assert not report.ok, path


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_files(how: str, lake: AuditLake) -> None:
    """A file that is gone, cut, zeroed, replaced by noise or longer than it was is found; none stops the search."""
    damage(how, lake, guarded(lake.layout.root)[DAMAGE.index(how) :: 6 * len(DAMAGE)])  # a sixth of them


@pytest.mark.soak
@pytest.mark.parametrize("how", DAMAGE)
def test_any_damaged_file(how: str, lake: AuditLake) -> None:
    """The same of every file in every way."""
    damage(how, lake, guarded(lake.layout.root))


# --- Rows ---

Rows = list[dict[str, object]]


def forge(lake: AuditLake, change: Callable[[Rows], Rows], day: date | None = None) -> str:
    """Change the rows of a day as somebody does who knows the format: new file, its name, and the log entries."""
    of_class = classes(entries(lake))

    def part_of(row: dict[str, Any]) -> tuple[int, str]:
        return row["batch"], of_class.get((row["batch"], row["timestamp"].date(), row["event_type"]), "")

    def largest(rows: Rows) -> int:
        return max(Counter(map(part_of, rows)).values())

    files = [file for file in lake.snapshot().files if file.day == day or (day is None and file.day != ERASED)]
    old = max(files, key=lambda file: largest(rows_in(lake, file)))
    rows = rows_in(lake, old)
    sizes = Counter(map(part_of, rows))  # the rows of the largest part come first
    new = write_day(lake, old.day, change(sorted(rows, key=lambda row: (-sizes[part_of(row)], part_of(row)))))
    (lake.layout.events / old.path).unlink()
    for path in [*lake.layout.log.glob("*.json")]:
        text = path.read_text()
        if old.path in text:
            path.write_text(text.replace(old.path, new.path).replace(f'"size":{old.size}', f'"size":{new.size}'))
    return wrong(checked(lake))


def test_rows_removed(lake: AuditLake) -> None:
    """A row that was removed is found: its part has one too few."""
    told = forge(lake, lambda rows: rows[1:])

    assert "rows instead of" in told
    assert re.search(r"1 row (at the beginning|after row \d+) is gone", told)


def test_rows_added(lake: AuditLake) -> None:
    """A row that was added is found, in a batch that there is or in one that there is not."""
    told = forge(lake, lambda rows: [*rows, {**rows[0], "seq": 999}])

    assert "rows instead of" in told
    assert re.search(r"row 999 of events/event_date=\S+\.parquet is added", told)


def test_rows_twice(lake: AuditLake) -> None:
    """A row that is there twice is named, with its file."""
    assert re.search(r"row \d+ of events/event_date=\S+\.parquet is there twice", forge(
        lake, lambda rows: [*rows, rows[0]]
    ))  # fmt: skip


def test_rows_of_a_new_batch(lake: AuditLake) -> None:
    """A row of a batch that never was is unknown to the ledger."""
    told = forge(lake, lambda rows: [*rows, {**rows[0], "batch": 99}])

    assert re.search(r"rows of batch 99 that the ledger does not know: row \d+ of events/event_date=\S+\.parquet", told)


def test_rows_changed(lake: AuditLake) -> None:
    """A changed field is found, also one that became empty instead of null."""
    seqs: list[object] = []

    def change(rows: Rows) -> Rows:
        seqs.append(rows[-1]["seq"])
        return [*rows[:-1], {**rows[-1], "resource": ""}]

    told = forge(lake, change)
    assert "other rows than were appended" in told
    assert re.search(rf"; row {seqs[0]} of events/event_date=\S+\.parquet is not what was appended", told)


def test_rows_swapped(lake: AuditLake) -> None:
    """Two rows that changed places in their batch are found."""
    assert "other rows than were appended" in forge(lake, lambda rows: [
        {**rows[0], "seq": rows[1]["seq"]}, {**rows[1], "seq": rows[0]["seq"]}, *rows[2:],
    ])  # fmt: skip


def test_rows_re_dated(lake: AuditLake) -> None:
    """A row that was moved to another day, or only to another second, is found."""
    assert "rows instead of" in forge(
        lake, lambda rows: [{**rows[0], "timestamp": rows[0]["timestamp"] + timedelta(days=1)}, *rows[1:]]
    )


def test_rows_re_dated_by_a_second(lake: AuditLake) -> None:
    """The same within the day."""
    assert "other rows than were appended" in forge(
        lake, lambda rows: [{**rows[0], "timestamp": rows[0]["timestamp"] + timedelta(seconds=1)}, *rows[1:]]
    )


def test_the_order_of_rows_in_a_file_means_nothing(lake: AuditLake) -> None:
    """The same rows in another order in the file are the same rows; that the file is another one is found."""
    told = forge(lake, lambda rows: rows[::-1])

    assert "CHANGED" not in told
    assert "is part of the lake and unknown to the ledger" in told


def test_rows_changed_beside_erased_ones(lake: AuditLake) -> None:
    """Of a day with erased events, only the row that somebody changed is named."""
    told = forge(lake, lambda rows: [{**rows[0], "action": "other"}, *rows[1:]], day=ERASED)

    assert re.search(r"; row \d+ of events/event_date=2026-03-03/\S+\.parquet is not what was appended", told)


# --- Files and versions ---


def test_a_file_that_nobody_knows(lake: AuditLake) -> None:
    """A stray file in a partition, or beside them, changes no answer, and is named."""
    (known, *_) = [file for file in lake.snapshot().files if file.day == ERASED]
    strays = [lake.layout.events / "event_date=2026-03-03" / "stray.parquet", lake.layout.events / "stray.parquet"]
    for stray in strays:
        shutil.copy(lake.layout.events / known.path, stray)
    report = checked(lake)

    assert report.ok
    assert [notice.where for notice in report.notices] == [
        "events/event_date=2026-03-03/stray.parquet", "events/stray.parquet",
    ]  # fmt: skip
    assert all("no answer reads it" in notice.what for notice in report.notices)
    assert lake.sql("select count(*) from events").fetchall() == [(lake.snapshot().rows,)]


def test_a_partition_copied_back(tmp_path: Path) -> None:
    """A partition that is there again after its deletion is found, whether or not the log has it again."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "a.jsonl", range(9)))
    files = [file for file in lake.snapshot().files if file.day == DELETED]
    kept = {file.path: (lake.layout.events / file.path).read_bytes() for file in files}
    delete_day(lake, DELETED)
    assert checked(lake).ok
    for path, data in kept.items():
        (lake.layout.events / path).parent.mkdir(exist_ok=True)
        (lake.layout.events / path).write_bytes(data)
    assert "is there again" in wrong(checked(lake))

    entry = {"add": {"path": files[0].path, "size": files[0].size, "partitionValues": {"event_date": str(DELETED)}}}
    lake.layout.commit(lake.snapshot().version + 1).write_text(json.dumps(entry))
    told = wrong(checked(lake))
    assert "is unknown to the ledger" in told
    assert "it was deleted, and has rows again" in told


def test_a_version_of_another_program(lake: AuditLake, tmp_path: Path) -> None:
    """A commit that is not ours is unknown to the ledger, also once ours lie behind it."""
    version = lake.snapshot().version + 1
    lake.layout.commit(version).write_text('{"commitInfo":{"operation":"WRITE"}}\n')
    assert f"version {version}: is unknown to the ledger" in wrong(checked(lake))
    lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))

    assert f"version {version}: is unknown to the ledger: another program made it" in wrong(checked(lake))


def test_a_whole_lake_rolled_back(lake: AuditLake, tmp_path: Path) -> None:
    """A lake that was replaced by its backup of last week verifies by itself, and not against a kept checkpoint."""
    backup = copied(lake.layout.root, tmp_path / "backup")
    lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    kept = book.checkpoint_path(lake.layout).read_bytes()
    shutil.rmtree(lake.layout.root)
    shutil.copytree(backup, lake.layout.root)

    assert checked(lake).ok
    assert "was set back" in wrong(checked(lake, checkpoint=kept))
    lake.ingest(write_events(tmp_path / "c.jsonl", range(70, 75)))
    assert "was rewritten" in wrong(checked(lake, checkpoint=kept))


def test_the_end_of_the_log_cut_off(lake: AuditLake) -> None:
    """A log without its newest entries is found."""
    lake.layout.commit(lake.snapshot().version).unlink()

    assert "is not the one that the checkpoint covers" in wrong(checked(lake))


def test_a_re_signed_history(tmp_path: Path) -> None:
    """A lake that somebody wrote anew, with the ids of the old one and a key of his own, is found by the kept key."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "a.jsonl", range(9)))
    kept, key = book.checkpoint_path(lake.layout).read_bytes(), str(keys.read_public_key(lake.layout))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.config.uuid.uuid4", lambda: lake.config.id)
        forged = made(tmp_path / "forged")
    forged.ingest(write_events(tmp_path / "b.jsonl", range(1, 9)))

    assert checked(forged).ok
    assert "are signed by other keys than" in wrong(checked(forged, public_key=key))
    assert "was rewritten" in wrong(checked(forged, checkpoint=kept))


def test_a_checkpoint_with_another_signature(lake: AuditLake) -> None:
    """A checkpoint that another key of the same name signed, or nobody, is found."""
    path = book.checkpoint_path(lake.layout)
    note = parse_note(path.read_bytes())
    for signers in ([], [new_signer(parse_checkpoint(note.text).origin)]):
        path.write_bytes(bytes(sign(note.text, signers)))
        assert "is not signed by" in wrong(checked(lake))


def test_a_public_key_removed(lake: AuditLake) -> None:
    """A lake cannot be made unsigned by removing its public key."""
    keys.public_key_path(lake.layout).unlink()

    assert "is not there, and the ledger is signed" in wrong(checked(lake))


def test_a_lake_that_was_made_unsigned(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """A lake that lost its keys is neither continued nor verified, with the signature taken off the checkpoint too."""
    path = book.checkpoint_path(lake.layout)
    kept = path.read_bytes()
    for name in ("key", "key.pub"):
        (lake.layout.ledger / name).unlink()
    for note in (kept, kept.partition(b"\n\n")[0] + b"\n\n"):
        path.write_bytes(note)
        with pytest.raises(LedgerError, match=r"is signed, and its public key .*key.pub is not there") as raised:
            opened(lake.layout.root).ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
        assert "restore it from where you kept it" in (raised.value.hint or "")
        assert "ledger/key.pub: is not there, and the ledger is signed: restore it" in wrong(checked(lake))
        assert run("--lake", lake.layout.root, "verify").code == 4
        shown = run("--lake", lake.layout.root, "doctor")
        assert (shown.code, "restore it from where" in shown.out, "to do" in shown.out) == (4, True, False)


def test_an_unsigned_lake_whose_kept_checkpoint_is_signed(tmp_path: Path) -> None:
    """Where no entry says that there was a key, the checkpoint that was kept does."""
    lake = create(tmp_path / "lake", unsigned=True)
    note = parse_note(book.checkpoint_path(lake.layout).read_bytes())
    kept = bytes(sign(note.text, [new_signer(parse_checkpoint(note.text).origin)]))

    assert checked(lake).ok
    assert "is unsigned, and the kept checkpoint is signed" in wrong(checked(lake, checkpoint=kept))


def test_a_checkpoint_of_the_delta_log_that_lies(lake: AuditLake) -> None:
    """A checkpoint of the Delta log that leaves out a file is found, also where the ledger does not know it yet."""
    path = max(lake.layout.log.glob("*.checkpoint.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    told = wrong(checked(lake))

    assert "is not what the ledger recorded" in told


def test_a_checkpoint_of_the_delta_log_without_types(lake: AuditLake) -> None:
    """A checkpoint of the Delta log that claims other event types of a file than the entries do is found."""
    path = max(lake.layout.log.glob("*.checkpoint.parquet"))
    table = pq.read_table(path)
    adds = [
        add and {**add, "tags": [(name, '{"login":1}') for name, _ in add["tags"] or ()]}
        for add in table["add"].to_pylist()
    ]
    column = table.schema.get_field_index("add")
    pq.write_table(table.set_column(column, "add", pa.array(adds, table.schema.field("add").type)), path)

    assert "does not say of the files of version" in wrong(checked(lake))


TAGS = ('["login"]', '{"login":null}', '{"login":-1}', '{"login":true}', '{"login":1.0}', '"login"', "{")


def test_a_tag_that_is_none(tmp_path: Path) -> None:
    """Readers open a file whose tag is no object of names to whole numbers, and verify tells of such a tag."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "events.jsonl", [0]))
    version = lake.snapshot().version
    path = lake.layout.commit(version)
    lines = path.read_text().splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith('{"add":'))
    action = json.loads(lines[at])
    (name,) = type_names(lake.layout, version)
    for tag in TAGS:
        action["add"]["tags"] = {"auditlake.types": tag}
        lines[at] = json.dumps(action, separators=(",", ":"))
        path.write_text("\n".join(lines) + "\n")
        assert type_names(lake.layout, version) == file_types(lake.layout, version) == {}
        assert f"{name}: has a tag auditlake.types in the log that is no JSON object" in wrong(checked(lake))


FALSE = {
    "a type is left out": ("_tag", "events of type login, and the log says 0"),
    "a number is another one": ("_tag", "has 1 events of type login, and the log says 2"),
    "no event so early": ("_stats", "has an event of 2026-05-05T08:00:00+00:00, and the log says none before"),
    "no event so late": ("_stats", "has an event of 2026-05-05T08:00:00+00:00, and the log says none after"),
}


@pytest.mark.parametrize("claim", FALSE)
def test_a_false_claim_about_a_file(claim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that commits other types or times of a file than its rows have is found: readers would pass over it."""
    lake = made(tmp_path / "lake")
    name, told = FALSE[claim]
    real: Callable[..., Any] = getattr(commit, name)

    def tag(entry: Path, types: dict[str, Any]) -> None:
        count = [("login", 2)] if claim == "a number is another one" else [("logout", 1)]
        real(entry, dict.fromkeys(types, count))

    def stats(file: DataFile) -> str:
        days = timedelta(days=1 if claim == "no event so early" else -1)
        assert file.first is not None
        return str(real(replace(file, first=file.first + days, last=file.first + days)))

    with monkeypatch.context() as patch:
        patch.setattr(commit, name, {"_tag": tag, "_stats": stats}[name])
        event = {"event_id": "1", "event_type": "login", "timestamp": "2026-05-05T08:00:00Z", "user_id": "ann"}
        (tmp_path / "one.jsonl").write_text(json.dumps(event) + "\n")
        lake.ingest(tmp_path / "one.jsonl")

    assert told in wrong(checked(lake))
    assert checked(lake, full=False).ok


def test_a_file_renamed_to_another_day(lake: AuditLake) -> None:
    """A file that was moved to the folder of another day is found: the ledger knows it under its own."""
    file = lake.snapshot().files[0]
    named = part_day_and_digest(file.path)
    assert named is not None
    target = lake.layout.events / f"event_date=2026-05-05/part-{named[1]}.parquet"
    target.parent.mkdir()
    (lake.layout.events / file.path).rename(target)

    assert "is missing" in wrong(checked(lake))


PARTS = ("read_log", "read_tree", "read_takings", "hash_rows", "check_log_checkpoints")


@pytest.mark.parametrize("part", mostly(PARTS, always=["read_log", "hash_rows"]))
def test_whatever_is_thrown_is_told(part: str, lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a library panic on something that nobody thought of, that is told as wrong, and the rest is checked."""

    class Panic(BaseException):
        """What a Rust library throws: no Exception."""

    def panic(*_: object, **__: object) -> None:
        raise Panic("at the disco")

    monkeypatch.setattr(f"auditlake.verify.check.{part}", panic)

    assert "cannot be checked: Panic: at the disco" in wrong(checked(lake))


@pytest.mark.parametrize("line", [
    '{"add":{"path":"event_date=2026-13-99/part-' + "0" * 64 + '.parquet","size":1}}', "[]", "{", "[" * 50_000,
    '{"add":{"path":"a\\u0000b","size":1}}', '{"add":{"path":7,"size":1}}', '{"add":{"path":"x","size":"many"}}',
    '{"add":7}', '{"remove":{"path":null}}', '{"commitInfo":{"auditlake":{"quarantine":"\\u0000"}}}',
    '{"add":{"path":"../../lake.toml","size":1}}',
    '{"add":{"path":"' + "x" * 5000 + '","size":1}}', '{"commitInfo":[]}',
])  # fmt: skip
def test_hostile_log_entries(line: str, lake: AuditLake) -> None:
    """Whatever stands in a log entry is told as wrong, and stops nothing."""
    lake.layout.commit(lake.snapshot().version + 1).write_text(f"{line}\n")
    told = wrong(checked(lake))

    assert "is unknown to the ledger" in told
    assert "cannot be checked" not in told


@pytest.mark.parametrize("name", ["0000000001.0000000001.parquet", "3a0d65cd-4056-49b8-937b-95f9e3ee90e5.parquet"])
def test_other_checkpoints_of_the_log(name: str, lake: AuditLake) -> None:
    """Readers take files from a checkpoint in parts, or one with a UUID, which auditlake never writes."""
    version = lake.snapshot().version
    path = lake.layout.commit(version).with_suffix(f".checkpoint.{name}")
    path.write_bytes(b"")

    assert f"events/_delta_log/{path.name}: is no entry and no checkpoint of this log" in wrong(checked(lake))
