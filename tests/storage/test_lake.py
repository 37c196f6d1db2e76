"""A lake in a bucket: every verb does there what it does on a disk, and no death of a writer loses or doubles."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs

import duckdb
import obstore
import pytest

import auditlake
from auditlake.errors import LakeError, LakeExistsError, LakeFormatError, LakeNotFoundError, LedgerError, StorageError
from auditlake.policies.files import READY
from auditlake.storage import lake as room
from auditlake.storage import mirror as storage_mirror
from auditlake.storage.lease import LEASE
from auditlake.storage.mirror import Mirror
from auditlake.storage.names import ASKED, has_longer, is_kept
from auditlake.storage.objects import ObjectStore
from auditlake.store.failures import failure
from auditlake.upkeep.doctor import repair
from tests import lakes
from tests.storage.conftest import Proxy

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
_FOLDERS = count()


@pytest.fixture
def url(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address with nothing there, for a host whose folders are the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "host"))
    yield proxy.address(f"kept-{next(_FOLDERS)}")
    room._mirror.cache_clear()
    proxy.faults = []


def made(url: str, **options: Any) -> auditlake.AuditLake:
    return auditlake.create(url, clock=lambda: NOW, **options)


def on_disk(folder: Path) -> auditlake.AuditLake:
    with lakes.entries_in_commits():
        return lakes.create(folder, clock=lambda: NOW)


def opened(url: str) -> auditlake.AuditLake:
    """The lake as another process opens it."""
    room._mirror.cache_clear()
    return auditlake.open(url, clock=lambda: NOW)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> Any:
    """Opens the lake on a host that had no folder of it."""

    def open_there() -> auditlake.AuditLake:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_DATA_HOME", str(tmp_path / f"host-{next(_FOLDERS)}"))
            return opened(url)

    return open_there


def bucket(lake: auditlake.AuditLake) -> dict[str, bytes]:
    """What lies in the bucket."""
    objects = mirror(lake).objects
    return {name: objects.read(name) for name in objects.names()}


def mirror(lake: auditlake.AuditLake) -> Mirror:
    found = room.mirror_of(lake.layout)
    assert found is not None
    return found


def lines(path: Path, *names: str, day: int = 1, user: str = "ada") -> Path:
    path.write_text("".join(
        json.dumps({"event_id": name, "timestamp": f"2026-05-{day:02d}T10:00:00Z", "event_type": "auth_failure",
                    "user_id": user}) + "\n"
        for name in names
    ))  # fmt: skip
    return path


def ids(lake: auditlake.AuditLake) -> list[str]:
    return [name for (name,) in lake.sql("select event_id from events order by event_id").fetchall()]


def test_there_and_back(url: str, tmp_path: Path, elsewhere: Any) -> None:
    """Events that were ingested and logged are in every answer, verified and proved, and the same on another host."""
    lake = made(url, policies="none")
    lake.policies.add(READY / "failed_logins.yaml")
    lake.ingest(lines(tmp_path / "in.jsonl", "a", "b", "c"))
    logged = lake.log(event_type="auth_failure", user_id="bea", timestamp="2026-05-04T00:00:00Z")
    lake.flush()
    reports = [each.json() for each in lake.reports(as_of="2026-05-10")]
    proof = lake.ledger.prove(logged)
    there = elsewhere()

    assert len(ids(lake)) == lake.statistics().total_events == 4
    assert lake.ledger.verify().ok
    assert there.layout.root != lake.layout.root
    assert ids(there) == ids(lake)
    assert there.ledger.prove(logged) == proof
    assert [each.json() for each in there.reports(as_of="2026-05-10")] == reports
    assert there.ledger.verify().ok


def test_what_the_bucket_has(url: str, proxy: Proxy, tmp_path: Path) -> None:
    """The bucket has the files of a lake on a disk, as the copy has them, a lease and who writes; no secret, and
    nothing of the host's own.
    """
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "in.jsonl", "a"))
    lake.log(event_type="auth_failure")
    there = {name: data for name, data in bucket(lake).items() if name not in {LEASE, "hosts/1"}}

    assert there == {name: (lake.layout.root / name).read_bytes() for name in there}
    assert {name.partition("/")[0] for name in there} == {"lake.toml", "events", "ledger"}
    assert not any(secret.encode() in data for data in there.values() for secret in proxy.secrets)


def here(lake: auditlake.AuditLake) -> list[str]:
    """The days of which a host has data files."""
    return sorted(path.parent.name[-2:] for path in lake.layout.events.glob("event_date=*/*"))


def test_data_files_come_when_asked_for(
    url: str, proxy: Proxy, tmp_path: Path, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A host that opens the lake gets no data file and asks for no list of them; a question fetches those that it
    needs, and a full verification all.
    """
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(*(lines(tmp_path / f"{day}.jsonl", str(day), day=day) for day in (1, 2, 3)))
    monkeypatch.setenv("XDG_DATA_HOME", str(elsewhere().layout.root.parents[1]))
    proxy.requests = []
    there = opened(url)
    queries = [parse_qs(line.partition("?")[2]) for line in proxy.requests]
    listed = [each["prefix"][0].rstrip("/") for each in queries if "prefix" in each and "delimiter" not in each]

    assert listed
    assert not any(each.endswith(("/events", url.rpartition("/")[2])) for each in listed)
    assert len(proxy.requests) < 20
    assert here(there) == []
    quick = there.ledger.verify(full=False)
    assert quick.ok
    assert any("3 files lie in the bucket alone" in each.what for each in quick.notices)
    query = "select event_id from events where timestamp < $until"
    assert there.sql(query, {"until": datetime(2026, 5, 2, tzinfo=UTC)}).fetchall() == [("1",)]
    assert here(there) == ["01"]
    assert there.ledger.verify().ok
    assert here(there) == ["01", "02", "03"]


def beside(lake: auditlake.AuditLake) -> dict[str, int]:
    """How many files a host has beside the entries of the ledger."""
    return {name: len([*(lake.layout.root / name).glob("*")]) for name in ASKED}


def test_what_lies_beside_entries_comes_when_asked_for(
    url: str, tmp_path: Path, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A host that opens the lake gets nothing of what lies beside the entries. A proof gets what it needs, though the
    host has no event; a quick verification compares the sizes of marks; a copy has all; what an erasure replaced goes.
    """
    lake = made(url, policies="none", unsigned=True)
    monkeypatch.setattr("auditlake.ledger.entry._SHORT", 300)
    lake.ingest(*(lines(tmp_path / f"{day}.jsonl", f"{day}", f"{day}e", day=day) for day in range(1, 6)))
    lake.ingest(lines(tmp_path / "eve.jsonl", "eve", user="eve"), lines(tmp_path / "bea.jsonl", "bea", user="bea"))
    lake.retention.erase("eve", reason="r", ticket="t")
    whole = beside(lake)
    there = elsewhere()
    monkeypatch.setenv("XDG_DATA_HOME", str(there.layout.root.parents[1]))

    assert min(whole.values()) > 0
    assert set(beside(there).values()) == {0}
    assert there.ledger.prove("3") == lake.ledger.prove("3")
    quick = there.ledger.verify(full=False)
    assert quick.ok
    assert {each.where: each.what.split()[0] for each in quick.notices}["ledger/marks"] == str(whole["ledger/marks"])
    assert beside(there) == whole | {"ledger/marks": 0}
    there.backup(tmp_path / "copy")
    assert beside(auditlake.open(tmp_path / "copy")) == whole
    (gone,) = {*(there.layout.ledger / "kept").iterdir()}
    lake.retention.erase("bea", reason="r", ticket="t")
    there = opened(url)
    assert not gone.exists()
    assert there.ledger.verify().ok
    assert beside(there) == beside(lake)


def test_a_copy_that_takes_nothing(
    url: str, tmp_path: Path, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A verification on a disk that became read-only before the copy had all that it takes says so in words."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "a.jsonl", "a", "b"), lines(tmp_path / "eve.jsonl", "eve", user="eve"))
    lake.retention.erase("eve", reason="r", ticket="t")
    there = elsewhere()

    def refused(folder: Path) -> Any:
        raise OSError(errno.EROFS, "Read-only file system", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(storage_mirror, "workspace", refused)
        for full in (False, True):
            with pytest.raises(LakeError, match="Read-only file system") as caught:
                there.ledger.verify(full=full)
            assert caught.value.hint
        with pytest.raises(StorageError, match=rf"ledger/kept/.*: the bucket has it, .*{there.layout.root} has not"):
            there.ledger.verify(full=False)
    assert there.ledger.verify(full=False).ok


@pytest.mark.parametrize(
    ("others", "is_there"),
    [(["000.p/12"], True), (["000"], True), (["000.p/2", "001.p/9"], False), (["000.p/x", "000.p/9/9"], False)],
)
def test_parts_of_tiles(others: list[str], is_there: bool) -> None:
    """The whole tile or a longer part has what a part had; what another program calls so has not."""
    assert has_longer("ledger/tile/0/000.p/3", [f"ledger/tile/0/{each}" for each in others]) is is_there


@pytest.mark.soak
def test_a_store_that_does_not_answer_is_no_damage(
    url: str, tmp_path: Path, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion that needs what lies beside the ledger's entries says that the bucket cannot be read."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "in.jsonl", "a", user="ada"), lines(tmp_path / "more.jsonl", "b", user="bea"))
    lake.retention.erase("ada", reason="r", ticket="t")
    there = elsewhere()
    monkeypatch.setenv("XDG_DATA_HOME", str(there.layout.root.parents[1]))
    there.layout.pseudonyms.write_bytes(lake.layout.pseudonyms.read_bytes())
    read = ObjectStore.read

    def unanswered(store: ObjectStore, name: str, *part: Any) -> bytes:
        if name.startswith("ledger/kept"):
            raise StorageError(name, "the store did not answer in time")
        return read(store, name, *part)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "read", unanswered)
        with pytest.raises(LakeError, match="did not answer"):
            there.retention.erase("bea", reason="r", ticket="t")
    there.retention.erase("bea", reason="r", ticket="t")
    assert there.ledger.verify().ok


def test_a_look_for_damage_without_an_answer(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bucket does not say whether a file is damaged, that is told, and nothing is to be restored."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "a.jsonl", "a"))
    refusal = StorageError("events", "the store did not answer in time", hint="try again")
    monkeypatch.setattr(Mirror, "local", Mock(side_effect=refusal))

    assert failure(lake.layout, "the question", duckdb.Error("no magic bytes")) is refusal


def test_two_hosts_write(url: str, tmp_path: Path, elsewhere: Any) -> None:
    """Any host that has the key writes; each sees what the other did, and its decisions and runs too."""
    lake = made(url, policies="none")
    lake.ingest(lines(tmp_path / "in.jsonl", "a"))
    other = elsewhere()
    with pytest.raises(LedgerError, match="key"):
        other.ingest(lines(tmp_path / "in.jsonl", "b"))
    shutil.copy(lake.layout.ledger / "key", other.layout.ledger / "key")
    other.ingest(lines(tmp_path / "in.jsonl", "b"))
    other.policies.add(READY / "failed_logins.yaml")
    lake.ingest(lines(tmp_path / "in.jsonl", "c", "b"))
    other.ledger.verify()

    assert ids(opened(url)) == ["a", "b", "c"]
    assert [each.id for each in lake.policies.all()] == ["failed_logins"]
    assert lake.ledger.verify().ok
    assert lake.layout.run_journal.read_bytes().count(b"\n") == 2
    assert elsewhere().ledger.verify().ok


def test_every_verb(url: str, tmp_path: Path, elsewhere: Any) -> None:
    """What verbs change is in the bucket, whole: another host has the same policies, holds, decisions and events, and
    what was deleted is nowhere. What no version has had stays, as another host may be about to commit it.
    """
    lake = made(url, policies="none", default_retention="10d")
    lake.ingest(lines(tmp_path / "old.jsonl", "old"), lines(tmp_path / "late.jsonl", "late", day=19))
    lake.ingest(
        lines(tmp_path / "in.jsonl", "a", "b", day=18), lines(tmp_path / "eve.jsonl", "c", day=18, user="mallory")
    )
    lake.policies.add(READY / "failed_logins.yaml")
    lake.policies.add(READY / "new_admin.yaml")
    lake.policies.remove("new_admin")
    lake.holds.add("case", reason="a case", owner="eve", ticket="T-1", user_ids=["nobody"])
    lake.retention.apply()
    lake.retention.erase("mallory", reason="asked for", ticket="T-2")
    lake.ledger.rotate_key()
    proposed = f"events/event_date=2026-05-18/part-{'e' * 64}.parquet"
    obstore.put(mirror(lake).objects._store, proposed, b"what another host may be about to commit")
    lake.compact(grace_seconds=0)
    before = bucket(lake)
    there = elsewhere()

    live = {f"events/{file.path}" for file in lake.snapshot().files}
    assert {name for name in before if name.endswith(".parquet")} - live == {proposed}
    assert ids(there) == ids(lake)
    assert ids(lake)[:2] == ["a", "b"]
    assert len(ids(lake)) == 4
    assert [each.id for each in there.policies.all()] == ["failed_logins"]
    assert [each.id for each in there.holds.all()] == ["case"]
    assert not any(b"mallory" in data for data in before.values())
    assert there.ledger.verify().ok


def test_no_key_gets_there(url: str, tmp_path: Path) -> None:
    """A file that has a private key anywhere in it stays on the host, in a new lake and in one that is changed."""
    lake = on_disk(tmp_path / "disk")
    secret = (lake.layout.ledger / "key").read_bytes()
    (lake.layout.root / "sources").mkdir(exist_ok=True)
    (lake.layout.root / "sources" / "key").write_bytes(secret)
    lake.backup(url)
    moved = opened(url)
    (moved.layout.policies / "key.bak").write_bytes(b"# kept\n" + secret)
    moved.ingest(lines(tmp_path / "in.jsonl", "a"))

    assert not any(secret.strip() in data for data in bucket(moved).values())


def test_a_large_file_moves_in_pieces(
    url: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Any
) -> None:  # fmt: skip
    """A lake gets into its bucket with no file in memory that is larger than a piece, and stays what it is on disk."""
    if proxy.scheme == "gs":
        pytest.skip("the server does not know Google's uploads in parts")
    monkeypatch.setattr("auditlake.storage.objects.PIECE", 5 << 20)
    lake = on_disk(tmp_path / "disk")
    data = bytes(range(256)) * (11 << 12)
    large = lake.layout.quarantine / f"records-{sha256(data).hexdigest()}.jsonl"
    large.write_bytes(data)
    proxy.requests = []
    lake.backup(url)

    assert sum("partNumber=" in line or "comp=block&" in line for line in proxy.requests) == 3
    assert large.read_bytes() == data
    assert (elsewhere().layout.quarantine / large.name).read_bytes() == data


@pytest.mark.soak
def test_what_people_edit(url: str, tmp_path: Path, elsewhere: Any) -> None:
    """Settings and policies that were edited in the copy are in the bucket with the next change, and recorded."""
    lake = made(url, policies="none")
    lake.policies.add(READY / "failed_logins.yaml")
    with lake.layout.config.open("a") as file:
        file.write("# edited\n")
    policy = lake.layout.policy("failed_logins")
    policy.write_text(policy.read_text() + "# edited\n")
    lake = opened(url)
    lake.ingest(lines(tmp_path / "in.jsonl", "a"))
    there = elsewhere()

    assert there.layout.config.read_text().endswith("# edited\n")
    assert there.layout.policy("failed_logins").read_bytes() == policy.read_bytes()
    assert there.ledger.verify().ok


def test_names_go_from_who_only_reads(
    url: str, tmp_path: Path, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """What another host counted and remembered of erased events goes when it opens the lake next."""
    monkeypatch.setattr("auditlake.summaries.lake.FEWEST", 0)
    monkeypatch.setattr("auditlake.remembered.memory.FEWEST", 0)
    lake = made(url, policies="none")
    lake.policies.add(READY / "failed_logins.yaml")
    lake.ingest(lines(tmp_path / "in.jsonl", "a", "b"))
    there = elsewhere()
    folders = (there.layout.summaries, there.layout.remembered)

    def kept() -> list[bool]:
        return [any(path.is_file() and path.name != ".lock" for path in folder.rglob("*")) for folder in folders]

    there.statistics()
    assert kept() == [True, True]
    lake.retention.erase("ada", reason="r", ticket="t")
    monkeypatch.setenv("XDG_DATA_HOME", str(there.layout.root.parents[1]))
    assert opened(url).layout.root == there.layout.root
    assert kept() == [False, False]
    there.statistics()
    assert kept() == [True, True]
    opened(url)
    assert kept() == [True, True], "once"


def test_what_is_there_already(url: str) -> None:
    """No lake is made where something is, none is opened where nothing is, and a copy outlasts its bucket."""
    with pytest.raises(LakeNotFoundError, match=f"no lake at {url}"):
        opened(url)
    lake = made(url, policies="none")
    with pytest.raises(LakeExistsError, match=url):
        made(url)
    with pytest.raises(LakeError, match="do not work on a lake in a bucket yet"):
        repair(lake.layout, (), now=NOW, wait_seconds=0)
    mirror(lake).objects.remove(bucket(lake))
    with pytest.raises(LakeFormatError, match="any more"):
        opened(url)
    assert lake.layout.commit(0).exists()


@pytest.mark.soak
def test_a_lake_that_moves(url: str, tmp_path: Path, elsewhere: Any) -> None:
    """A lake on a disk is copied into a bucket, and goes on there with the ledger that it had."""
    lake = on_disk(tmp_path / "disk")
    lake.ingest(lines(tmp_path / "in.jsonl", "a"))
    checkpoint = lake.ledger.checkpoint()
    lake.backup(url)
    moved = opened(url)
    moved.ingest(lines(tmp_path / "in.jsonl", "b"))

    assert ids(moved) == ["a", "b"]
    assert elsewhere().ledger.verify(checkpoint=checkpoint).ok
    assert not lake.layout.bucket.exists()
    back = moved.backup(tmp_path / "back")
    assert auditlake.open(back.path, clock=lambda: NOW).ledger.verify().ok
    assert not (tmp_path / "back" / ".bucket").exists()


def test_a_folder_of_a_stranger(url: str, proxy: Proxy, tmp_path: Path) -> None:
    """A folder that says it is a copy of a bucket is asked for no more where it is not this host's."""
    lake = made(url, policies="none")
    strange = tmp_path / "strange"
    shutil.copytree(lake.layout.root, strange)
    proxy.requests = []

    with pytest.raises(LakeFormatError, match="is not this host's"):
        opened(str(strange))
    assert proxy.requests == []


@pytest.mark.parametrize("name", [
    "events/../../x", "/etc/passwd", "ledger/key", "ledger/key.next", "ledger/other", "pseudonyms.key", "events",
    "landing/00/1.jsonl", "policies/", "policies//x", "runs/0123456789abcdef.started", ".bucket", "lake.toml/x",
    "findings/listed.json", "alerts/state.json", ".staging/x", "policies/\0",
])  # fmt: skip
def test_names_that_a_copy_does_not_take(name: str) -> None:
    """What a bucket names otherwise than a lake's own files is none of them, a host's keys least of all."""
    assert not is_kept(name)


@pytest.mark.soak
@pytest.mark.parametrize("where", ["bucket", "copy"])
def test_damage_is_found(url: str, tmp_path: Path, where: str) -> None:
    """A full verification reads the bucket: what was changed there is told, and what was changed in the copy alone is
    brought back.
    """
    lake = made(url)
    lake.ingest(lines(tmp_path / "in.jsonl", "a"))
    (name,) = (name for name in mirror(lake).objects.names("events") if name.endswith(".parquet"))
    if where == "bucket":
        objects = mirror(lake).objects
        assert objects.swap(name, b"PAR1 of another", objects.read(name))
    else:
        (lake.layout.root / name).write_bytes(b"PAR1 of another")
    report = opened(url).ledger.verify()

    assert report.ok == (where == "copy")
    assert report.ok or any(name.removeprefix("events/") in str(each) for each in report.problems)


_FAULTS = [["503 before", "500 after"] * 40, ["lost"] * 40, ["truncated", "429 before"] * 40]


@pytest.mark.soak
@pytest.mark.parametrize("faults", _FAULTS)
def test_answers_that_do_not_come(
    url: str, proxy: Proxy, tmp_path: Path, faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are made again for a while; then the caller is told what is not known, and may do it again."""
    lake = made(url)
    objects = mirror(lake).objects
    monkeypatch.setattr(objects, "_sleep", lambda _: None)
    proxy.faults = list(faults)
    with pytest.raises(LakeError):
        lake.ingest(lines(tmp_path / "in.jsonl", "a"))
    proxy.faults = []
    lake.ingest(lines(tmp_path / "in.jsonl", "a"))

    assert ids(lake) == ["a"]
    assert lake.ledger.verify().ok
