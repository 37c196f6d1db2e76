"""Several hosts and one bucket: who writes, what each has, and what damage and death leave on either side."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import obstore
import pytest
from click.testing import CliRunner
from obstore.store import MemoryStore

import auditlake
from auditlake.cli import cli
from auditlake.collect import lines as collected
from auditlake.collect import taken
from auditlake.disk.layout import Layout
from auditlake.errors import (
    CommitError,
    LakeBusyError,
    LakeError,
    LakeExistsError,
    LakeFormatError,
    LedgerError,
    StorageError,
)
from auditlake.policies.files import READY
from auditlake.storage import lease
from auditlake.storage import mirror as storage_mirror
from auditlake.storage.disk import Disk
from auditlake.storage.mirror import Mirror
from auditlake.storage.objects import ObjectStore
from auditlake.store import compact, turn
from tests.soak import mostly
from tests.storage.conftest import Proxy
from tests.storage.programme import Deadly, Killed
from tests.storage.test_lake import NOW, bucket, ids, lines, made, mirror, on_disk, opened, url

__all__ = ["url"]

Lake = auditlake.AuditLake


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Goes on as a host, whose folders are its own."""

    def on(name: str) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / name))

    on("one")
    return on


def clients(monkeypatch: pytest.MonkeyPatch, wrapped: Any) -> None:
    """Let the client of stores that are opened from now on be another one."""
    real = ObjectStore.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        self._client = wrapped(self._client)

    monkeypatch.setattr(ObjectStore, "__init__", init)


def test_an_init_where_there_is_no_bucket(proxy: Proxy, host: Any) -> None:
    """It says to make the bucket, and to do the same again."""
    with pytest.raises(LakeError, match="there is no such bucket") as refused:
        made(f"{proxy.scheme}://no-such-bucket/lake", policies="none", unsigned=True)
    assert refused.value.hint.endswith("make the bucket. Then run it again")


@pytest.mark.parametrize("requests", mostly([2, 4], always=[4]))
def test_an_init_that_died(url: str, host: Any, requests: int) -> None:
    """A lake that did not get whole into its bucket takes nothing, and the same init goes on; no other gets there."""
    with pytest.MonkeyPatch.context() as patch:
        clients(patch, lambda client: Deadly(client, requests, made=True))
        with pytest.raises(Killed):
            made(url, policies="none", unsigned=True)
    with pytest.raises(LakeFormatError, match="made whole") as refused:
        opened(url)
    host("two")
    with pytest.raises(LakeExistsError, match="something else"):
        made(url, policies="none", unsigned=True)
    host("one")

    assert "init" in refused.value.hint
    assert made(url, policies="none", unsigned=True).ledger.verify().ok
    with pytest.raises(LakeExistsError, match="a lake at"):
        made(url)


def test_two_commits_at_once(url: str, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two hosts that no lease keeps apart, one gets the version; a compaction is then refused, and done again."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "a.jsonl", "a"))
    lake.ingest(lines(tmp_path / "c.jsonl", "c"))
    host("two")
    other = opened(url)
    monkeypatch.setattr(lease, "leased", lambda *_, **__: nullcontext())
    settle, waiting = turn.settle_ledger, [lambda: other.ingest(lines(tmp_path / "b.jsonl", "b"))]

    def overtaken(layout: Any, **options: Any) -> Any:
        settled = settle(layout, **options)
        if layout == lake.layout and waiting:
            waiting.pop()()
        return settled

    monkeypatch.setattr(turn, "settle_ledger", overtaken)
    host("one")
    with pytest.raises(
        CommitError, match="another host has committed version 3 first: this one had lost its"
    ) as refused:
        lake.compact()

    assert refused.value.hint == "nothing was changed by this one; run it again"
    assert lake.compact().files_after == 1
    assert ids(lake) == ["a", "b", "c"]
    assert lake.ledger.verify().ok


def test_a_reader_amid_commits(url: str, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that reads a busy bucket for the first time gets a version that is whole."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "a.jsonl", "a"))
    writing: list[str] = []

    class Busy:
        def __init__(self, client: Any) -> None:
            self._client = client

        def __getattr__(self, name: str) -> Any:
            if name == "list" and not writing:
                writing.append("b")
                lake.ingest(lines(tmp_path / "b.jsonl", "b"))
            return getattr(self._client, name)

    host("two")
    clients(monkeypatch, Busy)
    reader = opened(url)

    assert ids(reader) == ["a", "b"]
    assert reader.ledger.verify(full=False).ok


@pytest.mark.parametrize(("seconds", "is_there"), [(60.0, True), (0.0, False)])
def test_a_reader_of_a_busy_ledger(
    url: str, host: Any, monkeypatch: pytest.MonkeyPatch, seconds: float, is_there: bool
) -> None:
    """A host looks again for a minute, however often the ledger has moved on, and then says so."""
    store = mirror(made(url, policies="none", unsigned=True)).objects
    there = store.read("ledger/checkpoint")
    moves = [there, there + b"\n"] * 8

    class Busy:
        def __init__(self, client: Any) -> None:
            self._client = client

        def __getattr__(self, name: str) -> Any:
            if name == "list_with_delimiter" and moves:
                obstore.put(store._store, "ledger/checkpoint", moves.pop())
            return getattr(self._client, name)

    monkeypatch.setattr(storage_mirror, "_SECONDS", seconds)
    host("two")
    clients(monkeypatch, Busy)
    with nullcontext() if is_there else pytest.raises(StorageError, match="moved on at each of 1 looks in 0 s"):
        assert opened(url).layout.commit(0).exists()
    assert moves == [] or not is_there


def test_damage_stays_there(url: str, host: Any, tmp_path: Path) -> None:
    """What was damaged or removed in the bucket replaces no copy and keeps no reader out; a verification tells it."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "a.jsonl", "a"))
    (name,) = (each for each in mirror(lake).objects.names("events") if each.endswith(".parquet"))
    store = mirror(lake).objects
    obstore.put(store._store, name, b"PAR1 of another")

    assert ids(opened(url)) == ["a"]
    assert [each.where for each in opened(url).ledger.verify().problems] == [name]
    host("two")
    with pytest.raises(LakeError, match="not those that its name says"):
        ids(opened(url))
    assert name in {each.where for each in opened(url).ledger.verify().problems}
    host("one")
    obstore.delete(store._store, name)
    assert ids(opened(url)) == ["a"]
    assert [each.where for each in opened(url).ledger.verify().problems] == [name]
    (lake.layout.root / name).write_bytes(b"PAR1 of a third")
    assert not opened(url).ledger.verify().ok


@pytest.fixture
def by_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no data file be so small that it is fetched to be read."""
    monkeypatch.setattr("auditlake.storage.ranges.PIECE", 0)


def answers(lake: Lake) -> list[Any]:
    """What a lake says, to the byte."""
    options: dict[str, Any] = {"as_of": "2026-05-10", "last": "10d"}
    statistics = lake.statistics(as_of="2026-05-10", cache=False)
    return [
        [each.json() for each in lake.reports(**options, cache=False)],
        (statistics.total_events, statistics.events_by_type, statistics.events_by_user),
        lake.sql("from events order by all").fetchall(),
        lake.events(user_id="ada").fetchall(),
    ]


def test_answers_of_ranges(url: str, host: Any, tmp_path: Path, by_ranges: None, proxy: Proxy) -> None:
    """A host that reads ranges alone, one that has fetched all files, and a lake on a disk say the same."""
    lake = made(url, policies="none", unsigned=True)
    lake.policies.add(READY / "failed_logins.yaml")
    for day in (1, 2, 3):
        lake.ingest(lines(tmp_path / "a.jsonl", *(f"{day}-{n}" for n in range(9)), day=day))
    lake.backup(tmp_path / "disk")
    expected = answers(auditlake.open(tmp_path / "disk", clock=lambda: NOW))
    host("two")
    reader = opened(url)
    proxy.faults = ["", "503 before", "", "truncated"]

    assert answers(reader) == expected
    assert not [*reader.layout.events.glob("event_date=*/*")]
    assert reader.ledger.verify().ok
    assert len([*reader.layout.events.glob("event_date=*/*")]) == 3
    proxy.requests = []
    assert answers(reader) == expected
    assert proxy.requests == []


def test_ranges_that_are_refused(url: str, host: Any, tmp_path: Path, by_ranges: None, proxy: Proxy) -> None:
    """What the store refuses is told as by any other verb, and an object that is not the log's is no answer."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "a.jsonl", "a", "b"))
    lake.ingest(lines(tmp_path / "b.jsonl", "c", day=2))
    store = mirror(lake).objects
    one, two = (each for each in store.names("events") if each.endswith(".parquet"))
    data = store.read(one)
    host("two")
    reader = opened(url)
    proxy.faults = ["403 before"] * 9
    with pytest.raises(StorageError, match="the store answered 403"):
        ids(reader)
    proxy.faults = []
    obstore.put(store._store, one, store.read(two))
    with pytest.raises(StorageError, match="not the object that the log says"):
        ids(reader)
    obstore.delete(store._store, one)
    with pytest.raises(StorageError, match="no such object"):
        ids(reader)
    obstore.put(store._store, one, data)
    assert ids(reader) == ["a", "b", "c"]
    obstore.put(store._store, one, data[:-8] + b"xxxxPAR1")
    host("three")
    with pytest.raises(LakeError, match="not those that its name says"):
        ids(opened(url))


@pytest.mark.soak
def test_a_cluster_reads_the_bucket(url: str, host: Any, tmp_path: Path) -> None:
    """Executors read the data files by the lake's address, and the report has the same bytes; this host gets none."""
    server = pytest.importorskip("pysail.spark", reason="pysail is not installed").SparkConnectServer("127.0.0.1", 0)
    lake = made(url, policies="none", unsigned=True)
    lake.policies.add(READY / "failed_logins.yaml")
    lake.ingest(lines(tmp_path / "a.jsonl", *map(str, range(9))))
    expected = [each.json() for each in lake.reports(as_of="2026-05-10", cache=False)]
    host("two")
    reader = opened(url)
    server.start(background=True)
    try:
        engine = f"sc://127.0.0.1:{server.listening_address[1]}"
        assert [each.json() for each in reader.reports(as_of="2026-05-10", cache=False, engine=engine)] == expected
    finally:
        server.stop()


class Readable:
    """The client of who must not write."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in {"put", "delete"}:
            raise obstore.exceptions.PermissionDeniedError("status code: 403 Forbidden")
        return getattr(self._client, name)


def test_who_may_only_read(url: str, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions, reports and verifications need no right to write; what changes the lake says that one is missing."""
    lake = made(url, policies="none", unsigned=True)
    lake.policies.add(READY / "failed_logins.yaml")
    lake.ingest(lines(tmp_path / "a.jsonl", "a"))
    host("two")
    clients(monkeypatch, Readable)
    reader = opened(url)

    for _ in range(2):
        with reader.audit_session(principal="eve") as session:
            assert session.sql("select event_id from events").fetchall() == [("a",)]
    assert [each.status for each in reader.reports(as_of="2026-05-10")] == ["compliant"]
    report = reader.ledger.verify()
    assert report.ok
    assert any("not on record" in str(each) for each in report.notices)
    with pytest.raises(LakeError, match="the store answered 403"):
        reader.ingest(lines(tmp_path / "b.jsonl", "b"))
    with pytest.raises(LakeError, match="the store answered 403"):
        reader.log(event_type="login")


def test_a_host_without_the_key(url: str, host: Any) -> None:
    """It is told when it begins to log, and not when what it logged is to be brought into the bucket."""
    made(url, policies="none").log(event_type="login")
    host("two")

    with pytest.raises(LedgerError, match=r"the ledger's key .* cannot be read"):
        opened(url).log(event_type="login")


def test_a_full_disk(url: str, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that the bucket has and the copy cannot take is not claimed, nor denied; it does not land twice."""
    lake = made(url, policies="none", unsigned=True)
    real = Disk.create

    def full(self: Disk, files: Mapping[str, bytes | Path]) -> Any:
        if any("_delta_log" in name for name in files):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Disk, "create", full)
        with pytest.raises(CommitError, match="No space left"):
            lake.ingest(lines(tmp_path / "a.jsonl", "a"))

    assert lake.ingest(lines(tmp_path / "a.jsonl", "a")).landed == 0
    assert ids(lake) == ["a"]
    assert lake.ledger.verify().ok


def test_each_host_logs(url: str, host: Any) -> None:
    """What is logged on one host stays to be flushed there, whatever another one logs and flushes in the meantime."""
    made(url, policies="none", unsigned=True)

    def log(on: str, *names: str) -> None:
        host(on)
        with opened(url).trail(alerts=False, flush_seconds=None) as trail:
            for name in names:
                trail.log(auditlake.AuditEvent("auth_failure", NOW, event_id=name))

    log("one", "a")
    log("two", "b", "c")
    assert opened(url).flush().landed == 2
    assert ids(opened(url)) == ["b", "c"]
    host("one")
    assert ids(opened(url)) == ["a", "b", "c"]
    assert opened(url).flush().landed == 1
    opened(url).layout.host.unlink()
    log("one", "d")
    assert opened(url).flush().landed == 1
    assert ids(opened(url)) == ["a", "b", "c", "d"]


@pytest.mark.soak
def test_a_verification_beside_a_writer(url: str, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process of the host has written and not committed yet stays, whenever the bucket was listed."""
    lake = made(url, policies="none", unsigned=True)
    for name in "ab":
        lake.ingest(lines(tmp_path / f"{name}.jsonl", name))
    put, listed = compact.put_in_place, Mirror.stored

    def put_meanwhile(*files: Any) -> None:
        def stored(own: Mirror, *folders: Any) -> Any:
            before = listed(own, *folders)
            monkeypatch.setattr(Mirror, "stored", listed)
            put(*files)
            return before

        monkeypatch.setattr(Mirror, "stored", stored)
        lake.ledger.verify(full=False)

    monkeypatch.setattr(compact, "put_in_place", put_meanwhile)
    assert lake.compact().files_after == 1


@pytest.mark.soak
def test_opened_at_once(url: str, host: Any, tmp_path: Path) -> None:
    """Processes of one host that all open the lake first get it."""
    made(url, policies="none", unsigned=True).ingest(lines(tmp_path / "a.jsonl", "a"))
    host("two")
    with ThreadPoolExecutor(3) as pool:
        assert [ids(each) for each in pool.map(auditlake.open, [url] * 3)] == [["a"]] * 3


@pytest.mark.soak
def test_edited_here_and_there(url: str, host: Any, tmp_path: Path) -> None:
    """A file that was edited on two hosts is that of the first that changed the lake; the other is kept and told."""
    lake = made(url, policies="none", unsigned=True)
    lake.policies.add(READY / "failed_logins.yaml")
    path = lake.layout.policy("failed_logins")
    host("two")
    other = opened(url)
    there = other.layout.policy("failed_logins")
    there.write_text(path.read_text() + "# theirs\n")
    other.ingest(lines(tmp_path / "a.jsonl", "a"))
    host("one")
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(LakeFormatError, match="changed here and by another host") as told:
        opened(url)

    assert ids(opened(url)) == ["a"]
    assert path.read_text().endswith("# theirs\n")
    assert Path(str(told.value).partition(" was ")[0]).read_text().endswith("# mine\n")


@pytest.mark.soak
def test_persons_leave_all_hosts(url: str, host: Any, tmp_path: Path) -> None:
    """What an erasure removes goes from the copies of other hosts when they open the lake next."""
    lake = made(url, policies="none", unsigned=True)
    lake.ingest(lines(tmp_path / "a.jsonl", "a", user="mallory"), lines(tmp_path / "b.jsonl", "b"))
    host("two")
    other = opened(url)
    assert ids(other) == ["a", "b"]
    before = set(other.layout.root.rglob("*.parquet"))
    host("one")
    lake = opened(url)
    lake.retention.erase("mallory", reason="r", ticket="t")
    lake.compact(grace_seconds=0)
    host("two")
    other = opened(url)
    assert ids(other) == ["a", "b"]
    after = set(other.layout.root.rglob("*.parquet"))

    assert before
    assert not before & after
    assert {each.name for each in after} == {each.name for each in lake.layout.root.rglob("*.parquet")}


def test_names_of_strangers(url: str, host: Any, tmp_path: Path) -> None:
    """Whatever else lies in the bucket, the lake opens and takes events, and the copy has none of it."""
    store = mirror(made(url, policies="none", unsigned=True)).objects._store
    names = ["events/x", "events/x/y", "certificates/d/e", "policies/" + "x" * 900, "packs/old",
             "policies/.#x.yaml", "policies/a\u202eb.yaml", "ledger/tile/0/000/x", "hosts/x",
             f"hosts/{1 << 40}", "inbox/x"]  # fmt: skip
    for name in [*names, "certificates/d"]:
        obstore.put(store, name, b"x")
    host("two")
    reader = opened(url)

    assert reader.ledger.verify().ok
    assert not any((reader.layout.root / name).is_file() for name in names if len(name) < 200)
    assert reader.ingest(lines(tmp_path / "a.jsonl", "a")).landed == 1
    assert reader.layout.host.read_bytes().startswith(b"1 1\n1 ")


@pytest.mark.soak
def test_where_only_format_2_lies(url: str, host: Any, tmp_path: Path) -> None:
    """A lake of format 1 gets into no bucket; the journals of one that does are an object a line there."""
    old = auditlake.create(tmp_path / "old", policies="none")
    with pytest.raises(LakeFormatError, match="format 1") as refused:
        old.backup(url)
    assert not (tmp_path / "one").exists()
    lake = on_disk(tmp_path / "disk")
    lake.ledger.verify()
    lake.backup(url)
    moved = opened(url)

    assert "upgrade" in refused.value.hint
    assert bucket(moved)["runs/journal/0000000001.json"] == lake.layout.run_journal.read_bytes()
    host("two")
    assert opened(url).layout.run_journal.read_bytes() == lake.layout.run_journal.read_bytes()


def test_on_the_command_line(url: str, host: Any) -> None:
    """``doctor`` takes an address; one of no bucket is refused in words, and what it may hide is not told."""
    made(url, policies="none", unsigned=True)
    run = CliRunner().invoke

    assert run(cli, ["--lake", url, "doctor"]).exit_code == 0
    for address in ("S3://x/y", "gcs://x", "https://me:hidden@x/y"):
        result = run(cli, ["--lake", address, "init"])
        assert "expected s3://" in result.output + str(result.exception)
        assert "hidden" not in result.output + str(result.exception)


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A store in memory, whose lease ends soon."""
    monkeypatch.setattr(lease, "SECONDS", 1.0)
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0.02)
    yield ObjectStore(MemoryStore(), "memory://")


def test_hosts_take_turns(objects: ObjectStore, tmp_path: Path) -> None:
    """A lease that is renewed is waited for, one that is not ends, and one of this folder's dead process is taken; not
    one of a clone's, whose folder has the same name.
    """
    one, two = Path("/one"), Path("/two")
    with lease.leased(objects, one, wait_seconds=0), pytest.raises(LakeBusyError, match="from /one"):  # noqa: SIM117
        with lease.leased(objects, two, wait_seconds=2.5):
            pass
    assert objects.read(lease.LEASE) == b""
    with suppress(Killed), lease.leased(objects, one, wait_seconds=0):
        objects.swap(lease.LEASE, b'{"host":"gone","folder":"/x"}', objects.read(lease.LEASE))
        raise Killed
    with lease.leased(objects, Path("/two"), wait_seconds=60), lease.leased(objects, Path("/two"), wait_seconds=0):
        pass
    layout = Layout(tmp_path)
    layout.bucket.touch()
    layout.host.write_bytes(b"1 0\n")
    assert lease.Lease(objects, tmp_path).take()
    layout.host.write_bytes(b"2 0\n")
    assert not lease.Lease(objects, tmp_path).take()


def test_what_one_host_has_collected(url: str, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No host takes again what another has taken, also by an earlier version; each lets go of its own files alone."""
    logs = tmp_path / "logs"
    logs.mkdir()
    monkeypatch.setattr(taken, "_LEAST", 0)
    monkeypatch.setattr(collected, "_MOST", 1)
    with made(url, policies="none", unsigned=True).layout.config.open("a") as config:
        config.write(f"\n[[collect]]\npath = {str(logs)!r}\n")

    def collect(name: str) -> tuple[int, int]:
        host(name)
        done = (lake := opened(url)).routine.collect()
        assert not lake.layout.collected.exists()
        return done.taken, done.known

    for name in "ab":
        lines(logs / f"{name}.jsonl", name)
    assert [collect("one"), collect("two")] == [(2, 0), (0, 2)]
    lines(logs / "c.jsonl", "c")
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(collected, "mirror_of", lambda _: None)
        collect("two")  # as an earlier version
    assert [collect("two"), collect("one")] == [(0, 3), (0, 3)]
    copied = opened(url).backup(tmp_path / "copy")
    assert copied.files == sum(path.is_file() for path in (tmp_path / "copy").rglob("*"))
    assert (tmp_path / "copy/collected.jsonl").read_bytes().count(b"\n") == 5

    for name in "abc":
        (logs / f"{name}.jsonl").unlink()
    for name, left in (("two", [1, 1, 0, 0, 0]), ("one", [0] * 5)):
        assert collect(name) == (0, 0)
        there = bucket(opened(url))
        assert [data.count(b"\n") for each, data in there.items() if each.startswith("collected/")] == left
