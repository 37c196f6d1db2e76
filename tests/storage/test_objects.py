"""An object store when answers are lost, requests come late, and several write one name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock

import obstore
import pytest
from obstore.store import MemoryStore

from auditlake.errors import LakeError, StorageError
from auditlake.storage import client
from auditlake.storage.objects import AT_ONCE, ObjectStore, Patience, open_objects
from tests.storage.conftest import FAULTS, TRIES, Proxy, Time, object_store
from tests.waiting import HANG_SECONDS, until

AFTER = ["lost", "500 after"]
"""What becomes of a request that was carried out."""
BEFORE = [fault for fault in FAULTS if fault not in {*AFTER, "truncated"}]


@pytest.fixture
def time() -> Time:
    """The clock of the test."""
    return Time()


@pytest.fixture
def store(proxy: Proxy, tmp_path: Path, time: Time) -> Iterator[ObjectStore]:
    """An empty folder of the bucket, behind the proxy."""
    yield object_store(time, proxy)
    proxy.faults, proxy.meanwhile = [], lambda _: None


def other(store: ObjectStore, tmp_path: Path) -> ObjectStore:
    """The same folder as another writer has it."""
    return object_store(Time(), store._name)


@pytest.mark.parametrize("fault", AFTER)
def test_a_lost_answer_to_a_new_name(store: ObjectStore, proxy: Proxy, fault: str) -> None:
    """An object whose answer was lost is read back, and is the caller's own; it was put twice at most."""
    proxy.faults, proxy.requests = [fault], []

    assert not store.create({"entry": b"mine"})
    assert [line.split()[0] for line in proxy.requests] == ["PUT", "PUT", "GET"]
    assert store.read("entry") == b"mine"


@pytest.mark.parametrize("fault", BEFORE)
def test_another_is_first(store: ObjectStore, proxy: Proxy, tmp_path: Path, fault: str) -> None:
    """Where another writer takes the name before the request is made again, the name is taken."""
    rival = other(store, tmp_path)
    proxy.faults = [fault]

    def take(line: str) -> None:
        proxy.meanwhile = lambda _: None
        rival.create({"entry": b"theirs"})

    proxy.meanwhile = take

    assert store.create({"entry": b"mine"}) == {"entry"}
    assert store.read("entry") == b"theirs"


@pytest.mark.parametrize("fault", AFTER)
def test_a_lost_answer_to_a_replacement(store: ObjectStore, proxy: Proxy, fault: str) -> None:
    """A replacement whose answer was lost is read back, and not made twice."""
    store.create({"state": b"1"})
    proxy.faults, proxy.requests = ["", fault], []

    assert store.swap("state", b"2", b"1")
    assert [line.split()[0] for line in proxy.requests] == ["GET", "PUT", "GET"]


def test_a_replacement_that_cannot_be_told(store: ObjectStore, proxy: Proxy, tmp_path: Path) -> None:
    """Where the answer is lost and another has replaced what may have been there, the caller is told that it is not
    known, and not that it was refused.
    """
    rival = other(store, tmp_path)
    store.create({"state": b"1"})
    proxy.faults = ["", "lost"]

    asked: list[str] = []

    def overtake(line: str) -> None:
        asked.append(line)
        if len(asked) == 3:
            proxy.meanwhile = lambda _: None
            assert rival.swap("state", b"3", b"2")

    proxy.meanwhile = overtake

    with pytest.raises(StorageError, match="is not known"):
        store.swap("state", b"2", b"1")
    assert store.read("state") == b"3"


def test_a_request_that_comes_late(store: ObjectStore, proxy: Proxy, tmp_path: Path) -> None:
    """A request that the store carries out after it was made again changes nothing."""
    rival = other(store, tmp_path)
    store.create({"state": b"1"})
    pass_on = proxy.pass_on
    waiting: list[tuple[str, str, dict[str, str], bytes]] = []

    def keep(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, list[object], bytes]:
        if method == "PUT" and not waiting:
            waiting.append((method, path, headers, body))
            return 503, [], b""
        return pass_on(method, path, headers, body)

    proxy.pass_on = keep
    try:
        assert store.swap("state", b"2", b"1")
        assert rival.swap("state", b"3", b"2")
    finally:
        proxy.pass_on = pass_on
    status, _, _ = pass_on(*waiting[0])

    assert status == 412
    assert store.read("state") == b"3"


def test_one_of_many_writers_wins(store: ObjectStore) -> None:
    """Of several that make one name one wins, and of those that count in one object none is lost."""
    store.create({"count": b"0"})

    def work(number: int) -> bool:
        is_first = not store.create({"entry": b"%d" % number})
        for _ in range(4):
            while not store.swap("count", b"%d by %d" % (value(now := store.read("count")) + 1, number), now):
                pass
        return is_first

    def value(data: bytes) -> int:
        return int(data.split()[0])

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(work, range(4)))

    assert won.count(True) == 1
    assert store.read("entry") == b"%d" % won.index(True)
    assert value(store.read("count")) == 16


def test_patience_ends(store: ObjectStore, proxy: Proxy, time: Time) -> None:
    """A store that does not answer is asked so often and no longer, with pauses that grow; other errors are told at
    once.
    """
    proxy.faults, proxy.requests = ["503 before"] * 99, []
    with pytest.raises(StorageError, match="the store answered 503"):
        store.read("entry")
    assert len(proxy.requests) == TRIES
    assert time.pauses == [0.1, 0.2]

    store._patience = Patience(tries=99, seconds=5, pause_seconds=1)
    proxy.requests = []
    with pytest.raises(StorageError):
        store.read("entry")
    assert (len(proxy.requests), time.pauses[2:]) == (4, [1, 2, 4])

    proxy.faults, proxy.requests = ["403 before"], []
    with pytest.raises(StorageError, match="the store answered 403") as refused:
        store.create({"entry": b"x"})
    assert len(proxy.requests) == 1
    assert client.VARIABLES[proxy.scheme] in refused.value.hint


def test_a_client_that_waits_no_longer(
    store: ObjectStore, proxy: Proxy, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that is not answered in time is made again."""
    store.create({"entry": b"x"})  # the server may have to warm up for it
    for name in ("timeout", "read_timeout"):
        monkeypatch.setitem(client.CLIENT, name, "1s")
    impatient = object_store(time, store._name)
    asked: list[str] = []
    again = Event()

    def wait(line: str) -> None:
        asked.append(line)
        if len(asked) == 1:
            assert again.wait(HANG_SECONDS)
        again.set()

    proxy.meanwhile = wait

    assert impatient.read("entry") == b"x"
    assert len(asked) == 2


def test_what_is_large(store: ObjectStore, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named by its content goes and comes in pieces, each in time by itself; one that ends early is fetched
    again.
    """
    if proxy.scheme == "gs":
        pytest.skip("the server does not know Google's uploads in parts")
    monkeypatch.setattr("auditlake.storage.objects.PIECE", 5 << 20)
    data = bytes(range(256)) * (11 << 12)
    digest = sha256(data).hexdigest()
    draft = tmp_path / "draft"
    draft.write_bytes(data)
    proxy.requests = []

    assert not store.create({f"days/part-{digest}.parquet": draft})
    assert sum("partNumber=" in line or "comp=block&" in line for line in proxy.requests) == 3
    proxy.faults, proxy.requests = ["truncated"], []
    assert store.fetch(f"days/part-{digest}.parquet", tmp_path / "copy", len(data)) == digest
    assert (tmp_path / "copy").read_bytes() == data
    assert len(proxy.requests) == 4


def large_files(folder: Path, many: int) -> dict[str, Path]:
    """Files that objects named by their content are made of."""
    files = {}
    for number in range(many):
        (path := folder / f"{number}").write_bytes(b"%d" % number)
        files[f"events/part-{sha256(path.read_bytes()).hexdigest()}.parquet"] = path
    return files


def test_few_large_ones_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many objects are put, no more than two in pieces are under way: the pieces of each are in memory. None
    that is small waits for one of them.
    """
    monkeypatch.setattr("auditlake.storage.objects.PIECE", 0)
    memory = ObjectStore(MemoryStore(), "memory://")
    under_way, most, counting, small_is_put = 0, 0, Lock(), Event()

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(obstore, name)

        def put(self, store: MemoryStore, name: str, data: Path, **_: object) -> object:
            nonlocal under_way, most
            if name == "small":
                until(lambda: most >= 2)
                small_is_put.set()
                return obstore.put(store, name, data)
            with counting:
                under_way += 1
                most = max(most, under_way)
            assert small_is_put.wait(HANG_SECONDS)
            with counting:
                under_way -= 1
            return obstore.put(store, name, data)

    memory._client = Slow()

    assert not memory.make({**large_files(tmp_path, AT_ONCE + 4), "small": b"1"})
    assert most == 2


def test_a_large_one_whose_turn_is_late(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an object waits for others, its request is tried again as long as that may help."""
    monkeypatch.setattr("auditlake.storage.objects.PIECE", 0)
    monkeypatch.setattr("auditlake.storage.objects._LARGE_AT_ONCE", 1)
    memory = ObjectStore(MemoryStore(), "memory://", clock=time, sleep=time.sleep)
    puts: list[str] = []

    class Late:
        def __getattr__(self, name: str) -> object:
            return getattr(obstore, name)

        def put(self, store: MemoryStore, name: str, data: Path, **_: object) -> object:
            puts.append(name)
            if len(puts) == 1:
                Event().wait(0.1)  # so that the other would begin, if it did not wait
                time.sleep(3600)
            if len(puts) == 2:
                raise obstore.exceptions.GenericError("status code: 503")
            return obstore.put(store, name, data)

    memory._client = Late()
    files = large_files(tmp_path, 2)

    assert not memory.make(files)
    assert puts == [*files, [*files][1]]


@pytest.mark.parametrize("quote", ['"', ""])
def test_versions_of_other_stores(quote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google Cloud Storage compares versions, so they go with the tag; Azure's tags have quotes here and none there."""
    memory = ObjectStore(MemoryStore(), "memory://")
    modes: list[object] = []

    class Google:
        def __getattr__(self, name: str) -> object:
            return getattr(obstore, name)

        def get(self, store: MemoryStore, name: str, **options: object) -> object:
            result = obstore.get(store, name, **options)  # type: ignore[arg-type]
            tag = str(result.meta["e_tag"]).strip('"')
            meta = {**result.meta, "e_tag": f"{quote}{tag}{quote}", "version": "7"}
            return type("Result", (), {"bytes": result.bytes, "meta": meta})()

        def put(self, store: MemoryStore, name: str, data: bytes, *, mode: object, **_: object) -> object:
            modes.append(mode)
            return obstore.put(store, name, data)

    memory._client = Google()  # type: ignore[assignment]
    memory.create({"state": b"1"})

    assert memory.swap("state", b"2", b"1")
    assert modes == ["create", {"e_tag": f"{quote}0{quote}", "version": "7"}]
    assert memory.get("state")[1] == memory.listed()["state"].tag == memory.tags["state"]


def test_no_credential_is_told(store: ObjectStore, proxy: Proxy, tmp_path: Path, time: Time) -> None:
    """Errors say what was asked for and what the store answered, and are of the one tree and of the system's."""
    proxy.faults = ["403 before"]
    with pytest.raises(StorageError) as refused:
        store.swap("state", b"x", None)
    error = refused.value
    told = f"{error} {error!r} {error.hint} {error.__cause__} {error.__context__}"

    assert isinstance(error, LakeError)
    assert isinstance(error, OSError)
    assert (str(error), error.filename) == (f"{store._name}/state: the store answered 403", f"{store._name}/state")
    assert not any(secret in told for secret in proxy.secrets)
    gone = object_store(time, f"{proxy.scheme}://no-such-bucket/lake")
    with pytest.raises(StorageError, match="there is no such bucket"):
        gone.create({"entry": b"x"})


@pytest.mark.parametrize(("url", "name", "value"), [
    ("az://bucket/lake", "AZURE_STORAGE_ACCOUNT_KEY", "hidden!"),
    ("az://bucket/lake", "AZURE_STORAGE_SAS_KEY", "hidden"),
    ("gs://bucket/lake", "GOOGLE_SERVICE_ACCOUNT_KEY", "hidden"),
    ("gs://bucket/lake", "GOOGLE_APPLICATION_CREDENTIALS", "/hidden"),
])  # fmt: skip
def test_credentials_of_no_use(url: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment has and the client cannot read is told by the names of the variables, and not repeated."""
    for each in [each for each in os.environ if each.startswith(("AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(each)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv(name, value)

    with pytest.raises(StorageError, match="has no credentials") as refused:
        open_objects(url)
    error = refused.value
    assert error.hint == f"Set in the environment: {client.VARIABLES[url[:2]]}."
    assert "hidden" not in f"{error} {error!r} {error.__cause__}"


def test_a_forked_process(store: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was forked from one that has used the client makes no request, and says why."""
    store.create({"entry": b"x"})
    proxy.requests = []
    monkeypatch.setattr(client.os, "getpid", lambda: -1)

    with pytest.raises(StorageError, match="was forked"):
        store.read("entry")
    assert proxy.requests == []


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/x", "https://bucket/x?token=secret", "s3://b?secret", "b"])
def test_addresses(url: str, tmp_path: Path) -> None:
    """An address that is none of a bucket is refused, and not repeated, since it may have a secret."""
    with pytest.raises(StorageError, match="expected s3://") as refused:
        open_objects(url)

    assert "secret" not in str(refused.value)


def test_without_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the client is not installed, that is said, and what installs it."""
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)

    with pytest.raises(StorageError, match="not installed") as refused:
        open_objects("s3://bucket/lake")
    assert refused.value.hint == "pip install 'auditlake[cloud]'"
