"""A laptop's lake gets into a bucket: by an upgrade, and by a copy whose writer may die at any of its requests. It is
there whole, or cannot be opened; whoever goes on ends it, or is refused in words.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditLake, testing
from auditlake.errors import AuditLakeError, LakeError, LakeExistsError, LakeFormatError
from auditlake.storage import objects
from auditlake.storage.lake import folder_of
from auditlake.verify.prove import verify_proof
from tests import lakes
from tests.soak import mostly
from tests.storage.conftest import Proxy
from tests.storage.programme import NEW, NOW, OLD, Deadly, Killed, Memory, in_child, opened, process
from tests.storage.test_lake import ids, lines

_NUMBERS = count()


@dataclass(frozen=True)
class Laptop:
    """A lake on a disk that was of format 1, and what its owner kept of that time."""

    lake: AuditLake
    checkpoint: bytes
    proof: bytes
    key: str
    rows: list[tuple[str, str]]


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A lake with all that verbs leave: certificates, holds, journals, kept rows, quarantine, logged events."""
    folder = tmp_path_factory.mktemp("laptop")
    with lakes.lakes_of_format(1):
        lake = lakes.create(folder / "lake", default_retention="10d", clock=testing.Clock(NOW))
    events = lines(folder / "a.jsonl", "a", "b", day=18)
    more = lines(folder / "c.jsonl", "c", day=18, user="bea")
    with events.open("a") as file:
        file.write(f'{{"event_id":"due","timestamp":"{OLD}","event_type":"export","user_id":"ada"}}\nno event\n')
    lake.ingest(events, more)
    lake.holds.add("case", reason="a case", owner="eve", ticket="T-1", user_ids=["nobody"])
    lake.retention.apply()
    lake.retention.erase("ada", reason="asked for", ticket="T-2")
    lake.ledger.rotate_key()
    lake.findings.review("failed_logins", note="seen", as_of=NOW)
    assert lake.ledger.verify().ok
    checkpoint, proof = lake.ledger.checkpoint(), lake.ledger.prove("c")
    key = (lake.layout.ledger / "key.pub").read_text()
    lake.ledger.upgrade()
    with lake.trail(alerts=False, flush_seconds=None) as trail:
        trail.log(auditlake.AuditEvent("auth_failure", testing.Clock(NEW)(), event_id="logged", user_id="bea"))
    return Laptop(lake, checkpoint, proof, key, rows(lake))


def rows(lake: AuditLake) -> list[tuple[str, str]]:
    """What the table has."""
    query = "select event_id, user_id from events order by all"
    return lake.sql(query, snapshot=lake.snapshot().version).fetchall()


def files(lake: AuditLake, *folders: str) -> dict[str, bytes]:
    """What lies in some folders of a lake, by name."""
    paths = [path for folder in folders for path in (lake.layout.root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(lake.layout.root)): path.read_bytes() for path in paths}


def check_is(laptop: Laptop, there: AuditLake) -> None:
    """The lake in the bucket is the laptop's: what was kept of before still holds of it."""
    same = ("certificates", "holds", "policies", "quarantine", "findings/journal.jsonl", "runs/journal.jsonl")
    assert rows(there) == laptop.rows
    report = there.ledger.verify(checkpoint=laptop.checkpoint, public_key=laptop.key)
    assert report.ok, report.problems
    assert verify_proof(there.ledger.prove("c"), laptop.key).event == verify_proof(laptop.proof, laptop.key).event
    assert files(there, *same[:-1]) == files(laptop.lake, *same[:-1])
    own = laptop.lake.layout.run_journal.read_bytes()
    assert there.layout.run_journal.read_bytes().startswith(own)
    for certificate in there.layout.certificates.glob("*.json"):
        assert certificate.stem == sha256(certificate.read_bytes()).hexdigest()


class Moving:
    """The laptop's lake on its way into a bucket, from the disk of host ``one``.

    Args:
        laptop: The lake.
        line: What lies between the hosts and the bucket.
        url: An address with nothing there.
        folder: An empty folder, for all hosts.
    """

    def __init__(self, laptop: Laptop, line: Memory | Proxy, url: str, folder: Path) -> None:
        self.laptop, self.line, self.url, self._folder = laptop, line, url, folder

    def on(self, host: str) -> AbstractContextManager[None]:
        """Go on as a host on which nothing dies."""
        return process(str(self._folder / host), lambda own: self.line if isinstance(self.line, Memory) else own)

    def copy(self, last: int, fault: str) -> bool:
        """Copy the lake into the bucket; return whether the process died at a request, which is spoilt so."""
        self.line.requests.clear()
        if isinstance(self.line, Proxy):
            self.line.faults[:] = [""] * last
            what = (str(self.laptop.lake.layout.root), "move", self.url)
            has_died = in_child(self.line, self._folder / "one", what, last, fault)[1]
            self.line.faults.clear()
            return has_died
        client = Deadly(self.line, last, made=fault == "lost")
        with process(str(self._folder / "one"), lambda _: client), suppress(Killed):
            self.laptop.lake.backup(self.url)
            return False
        return True

    def check_hidden(self) -> None:
        """Another host sees the whole lake or none."""
        with self.on(f"other-{next(_NUMBERS)}"):
            try:
                lake = opened(self.url)
            except AuditLakeError as error:
                assert "no lake at" in str(error)
            else:
                check_is(self.laptop, lake)

    def end(self, way: str) -> None:
        """Let it get there, if it is not there yet, by a verb that is run again."""
        with self.on("one"):
            mine = folder_of(self.url)
            is_begun = (mine / "lake.toml").exists()
            if is_begun:
                with pytest.raises(LakeError, match=r"did not get to|there is a lake at"):
                    self.laptop.lake.backup(self.url)
            if way == "again":
                shutil.rmtree(mine, ignore_errors=True)
        with self.on("two" if way == "elsewhere" else "one"), suppress(LakeExistsError):
            if way == "init" and is_begun:
                auditlake.create(self.url, clock=testing.Clock(NOW))
            else:
                self.laptop.lake.backup(self.url)
        for host in ("three", "one", "two"):
            with self.on(host):
                check_is(self.laptop, opened(self.url))

    def check_goes_on(self) -> None:
        """What was logged on the laptop lands once, whichever hosts have a copy of it."""
        for host in ("one", "two"):
            with self.on(host):
                shutil.copy(self.laptop.lake.layout.ledger / "key", opened(self.url).layout.ledger / "key")
                opened(self.url).flush()
        with self.on("three"):
            assert ids(opened(self.url)) == sorted([*(name for name, _ in self.laptop.rows), "logged"])
            assert opened(self.url).ledger.verify().ok


WAYS = ("init", "again", "elsewhere")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Buckets in this process."""
    line = Memory()
    monkeypatch.setattr(objects, "opened", line.opened)
    return line


def killed_at(moving: Moving, last: int, fault: str, way: str) -> bool:
    """Let its writer die at a request, and another go on; return whether it died."""
    has_died = moving.copy(last, fault)
    moving.check_hidden()
    moving.end(way)
    return has_died


@pytest.mark.parametrize("way", mostly(WAYS, always=["elsewhere"]))
def test_a_writer_that_dies(way: str, laptop: Laptop, memory: Memory, tmp_path: Path) -> None:
    """It is not there, and gets there in any way; what was logged on the laptop lands once."""
    moving = Moving(laptop, memory, "s3://lakes/moved", tmp_path)

    assert killed_at(moving, 20, "lost", way)
    moving.check_goes_on()


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["unsent", "lost", "late"])
def test_killed_at_every_request(fault: str, laptop: Laptop, proxy: Proxy, tmp_path: Path) -> None:
    """Whenever its process is killed, before a server of S3: the request is not carried out, or is, or is when another
    has gone on.
    """
    if proxy.scheme != "s3":
        pytest.skip("a child gets the addresses of S3")
    number = next(_NUMBERS)
    for last in count(1):
        moving = Moving(laptop, proxy, proxy.address(f"moving-{number}-{last}"), tmp_path / str(last))
        if not killed_at(moving, last, fault, WAYS[last % len(WAYS)]):
            break
    assert last > 20


@pytest.mark.parametrize("is_first", mostly([False, True], always=[True]))
def test_a_copy_of_another_lake(is_first: bool, memory: Memory, tmp_path: Path) -> None:
    """A host with a copy that did not get to an address, where another lake is, opens neither and says what to do."""

    def on(host: str, last: int = 0) -> AbstractContextManager[None]:
        client = Deadly(memory, last, made=False)
        return process(str(tmp_path / f"host-{host}"), lambda _: client)

    def made(name: str) -> AuditLake:
        with lakes.entries_in_commits():
            lake = lakes.create(tmp_path / name, unsigned=True, clock=testing.Clock(NOW))
        lake.ingest(lines(tmp_path / f"{name}.jsonl", name))
        return lake

    one, two, url = made("one"), made("two"), "s3://lakes/taken"
    if is_first:
        with on("two", last=2), pytest.raises(Killed):
            two.backup(url)
    with on("one", last=4), pytest.raises(Killed):
        one.backup(url)
    if not is_first:
        with on("two"), pytest.raises(LakeExistsError, match="something else"):
            two.backup(url)
    with on("one"):
        auditlake.create(url)
    with on("two"):
        for _ in range(2):
            with pytest.raises(LakeFormatError, match="another one than that of") as refused:
                opened(url)
        assert "move the folder away" in refused.value.hint
        shutil.rmtree(folder_of(url))
        assert ids(opened(url)) == ["one"]
