"""Many hosts that bring events to one bucket: each event once, whoever commits it, and whatever dies meanwhile."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partial
from itertools import count, product
from pathlib import Path
from threading import Event, Thread
from typing import Any
from unittest.mock import Mock

import pytest

import auditlake
from auditlake.errors import CommitError, StorageError
from auditlake.landing import flush
from auditlake.policies.files import READY
from auditlake.storage import lake as room
from auditlake.storage import lease
from auditlake.storage import objects as objects_room
from auditlake.storage.inbox import Inbox
from auditlake.storage.lease import LEASE, Lease
from auditlake.storage.mirror import Mirror
from auditlake.storage.objects import ObjectStore
from auditlake.store import host_turn, log_checkpoint
from auditlake.store.batches import OF_HOSTS
from auditlake.store.deltalog import EXACT, commit_metadata, ingests_of, newest_version, transactions_at
from auditlake.store.host_turn import HostTurn
from auditlake.tail.follow import tail
from tests.lakes import FOUR, before_classes
from tests.soak import mostly
from tests.storage.conftest import Proxy
from tests.storage.programme import Deadly, Killed, Memory
from tests.storage.test_hosts import host
from tests.storage.test_lake import NOW, bucket, ids, lines, made, mirror, opened, url
from tests.tail.test_mapped import FIXTURES
from tests.waiting import HANG_SECONDS, until

__all__ = ["host", "url"]

Lake = auditlake.AuditLake


@pytest.fixture
def hosts(url: str, host: Any) -> Any:
    """Opens a new lake on so many hosts, which write from threads of one process."""

    def lakes(number: int, **options: Any) -> list[Lake]:
        own = [made(url, policies="none", unsigned=True, **options)]
        for name in range(2, number + 1):
            host(f"host {name}")
            own.append(opened(url))
        return own

    return lakes


def held(lake: Lake) -> Any:
    """Lets another host have the lease; what is returned gives it back."""
    objects = mirror(lake).objects
    assert Lease(objects, Path("/another")).take()
    return lambda: objects.swap(LEASE, b"", objects.found(LEASE))


def waits(lake: Lake, number: int) -> None:
    """Return once so many proposals wait in the inbox."""
    until(lambda: sum(name.endswith(".json") for name in mirror(lake).objects.names("inbox")) >= number)


def test_hosts_that_log(url: str, host: Any, tmp_path: Path) -> None:
    """What hosts have logged is in each one's own landing, and a flush of one says nothing of the others'."""
    lake = made(url, policies="none", unsigned=True)
    host("two")
    other = opened(url)
    lines(tmp_path / "first.jsonl", "first")
    other.ingest(tmp_path / "first.jsonl")  # a host that writes has a number
    mine = [lake.log(event_type="auth_failure", user_id="ada", action="x" * 1000) for _ in range(3)]
    theirs = [other.log(event_type="auth_failure", user_id="bea")]
    host("one")
    lake.flush()
    host("two")
    other.flush()
    theirs += [other.log(event_type="auth_failure")]
    other.flush()
    host("one")
    mine += [lake.log(event_type="auth_failure")]
    lake.flush()

    assert ids(opened(url)) == sorted([*mine, *theirs, "first"])


@pytest.mark.soak
def test_snapshots_of_before_a_compaction(url: str, host: Any, tmp_path: Path) -> None:
    """A snapshot has the batches that hosts had committed by then, in whichever order these are numbered."""
    lake = made(url, policies="none", unsigned=True)
    host("two")
    other = opened(url)
    snapshots, batches = list[tuple[int, list[str]]](), list[int | None]()
    for number, (name, each) in enumerate([("two", other), ("one", lake), ("two", other), ("one", lake)]):
        host(name)
        done = each.ingest(lines(tmp_path / f"{number}.jsonl", f"{number}"))
        batches.append(done.batch)
        snapshots.append((done.snapshot, [f"{made}" for made in range(number + 1)]))
    lake.compact(grace_seconds=0)

    assert batches == [1 << 40 | 1, 2 << 40 | 1, 1 << 40 | 2, 2 << 40 | 2]
    for version, there in snapshots:
        query = "select event_id from events order by event_id"
        assert [each for (each,) in lake.sql(query, snapshot=version).fetchall()] == there


@pytest.mark.soak
def test_without_any_lease(hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that nothing keeps apart land each event once, also those that several of them bring."""
    lakes = hosts(3)
    monkeypatch.setattr(Lease, "take", lambda _: True)
    monkeypatch.setattr(Lease, "renewed", lambda _: nullcontext())

    def write(number: int) -> int:
        landed = 0
        for turn in range(2):
            path = lines(tmp_path / f"{number}-{turn}.jsonl", f"{number} {turn}", f"all {turn}")
            landed += lakes[number].ingest(path).landed
        return landed

    with ThreadPoolExecutor(len(lakes)) as pool:
        landed = list(pool.map(write, range(len(lakes))))
    lake = opened(mirror(lakes[0]).objects.url)

    assert ids(lake) == sorted([*(f"{number} {turn}" for number in range(3) for turn in range(2)), "all 0", "all 1"])
    assert sum(landed) == 8
    assert lake.ledger.verify().ok


def test_committed_together(hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hosts propose while another has the lease is one commit, with an entry of all; a repeat is made again."""
    monkeypatch.setattr(host_turn, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(host_turn, "_WAIT_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(lease, "SECONDS", HANG_SECONDS)  # that of the other host, which nobody renews
    lakes = hosts(3)
    give_back = held(lakes[0])
    names = [["a", "same"], ["b", "same"], ["c", "d"]]
    paths = [lines(tmp_path / f"{n}.jsonl", *some) for n, some in enumerate(names)]
    with ThreadPoolExecutor(len(lakes)) as pool:
        done = [pool.submit(lake.ingest, path) for lake, path in zip(lakes, paths, strict=True)]
        waits(lakes[0], 3)
        give_back()
        summaries = [each.result() for each in done]
    lake = opened(mirror(lakes[0]).objects.url)
    commits = [ingests_of(commit_metadata(lake.layout, each)) for each in range(newest_version(lake.layout) + 1)]

    assert ids(lake) == ["a", "b", "c", "d", "same"]
    assert sorted((each.landed, each.duplicates) for each in summaries) == [(1, 1), (2, 0), (2, 0)]
    assert sorted(map(len, filter(None, commits))) == [1, 2]
    assert {each.batch for each in summaries} == {own["batch"] for some in commits for own in some}
    assert not [name for name in bucket(lake) if name.startswith("inbox")]
    assert lake.ledger.verify().ok
    assert lake.sql("select count(*) from events", snapshot=summaries[2].snapshot).fetchall()[0][0] >= 4


def test_a_followed_log_that_another_host_commits(hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of a mapped log that a host follows, and has proposed when it dies, are committed by another host."""
    one, two = hosts(2)
    give_back = held(one)
    with monkeypatch.context() as patch:
        patch.setattr(HostTurn, "_committed_at", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            tail(two, FIXTURES / "okta.jsonl", source="okta", once=True)
    give_back()
    one.ingest(lines(tmp_path / "a.jsonl", "a"))

    assert one.sql("select count(*) from events where source = 'okta'").fetchall()[0][0] > 0
    assert not [name for name in bucket(one) if name.startswith("inbox")]


def test_a_flush_that_another_host_was_quicker_with(
    hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A flush goes on where another host commits what a dead process of this one has proposed of the same events."""
    one, two = hosts(2)
    first = two.log(event_type="auth_failure")
    give_back = held(one)
    with monkeypatch.context() as patch:
        patch.setattr(HostTurn, "_committed_at", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            two.flush()
    give_back()
    second = two.log(event_type="auth_failure")
    choose = flush._choose

    def later(*asked: Any) -> Any:
        monkeypatch.setattr(flush, "_choose", choose)
        one.ingest(lines(tmp_path / "a.jsonl", "a"))
        return choose(*asked)

    monkeypatch.setattr(flush, "_choose", later)
    assert two.flush().landed == 1
    assert ids(two) == sorted([first, second, "a"])


def test_requests_of_a_commit(hosts: Any, tmp_path: Path, proxy: Proxy) -> None:
    """A commit asks the bucket as often, however many versions there are since the last checkpoint of the log."""
    (lake,), asked = hosts(1), list[int]()
    for number in range(3):
        proxy.requests.clear()
        lake.ingest(lines(tmp_path / f"{number}.jsonl", f"{number}"))
        asked.append(len(proxy.requests))

    assert asked[1] == asked[2] < 25


def test_a_proposal_that_waits_too_long(hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host says who has the lease when its proposal is not committed; what it brings lands once."""
    monkeypatch.setattr(host_turn, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(host_turn, "_WAIT_SECONDS", 0.2)
    (lake,) = hosts(1)
    path = lines(tmp_path / "a.jsonl", "a")
    give_back = held(lake)
    with pytest.raises(CommitError, match=r"was not committed for 0\.2 s") as told:
        lake.ingest(path)
    give_back()

    assert "does not land twice" in told.value.hint
    assert lake.ingest(path).landed == 1
    assert not [name for name in bucket(lake) if name.startswith("inbox")]
    assert lake.ledger.verify().ok


@pytest.mark.soak
def test_a_proposal_that_cannot_be_removed(hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed is told as committed though its proposal stays, which who looks next removes."""
    (lake,) = hosts(1)
    give_back = held(lake)

    def put(inbox: Inbox, *proposal: Any) -> None:
        real(inbox, *proposal)
        give_back()

    with pytest.MonkeyPatch.context() as patch:
        real = Inbox.put
        patch.setattr(Inbox, "put", put)
        patch.setattr(Inbox, "remove", Mock(side_effect=StorageError("inbox", "the store answered 503")))
        assert lake.ingest(lines(tmp_path / "a.jsonl", "a")).landed == 1
    assert [name for name in bucket(lake) if name.startswith("inbox")]
    assert lake.ingest(lines(tmp_path / "b.jsonl", "b")).landed == 1

    assert not [name for name in bucket(lake) if name.startswith("inbox")]
    assert ids(lake) == ["a", "b"]


def test_a_checkpoint_of_before_what_the_copy_has(hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose copy got entries of the log while it waited gets the checkpoint of the log that lies behind them."""
    monkeypatch.setattr(log_checkpoint, "EVERY", 2)
    one, two = hosts(2)
    for name in "abc":
        one.ingest(lines(tmp_path / f"{name}.jsonl", name))
    for version in range(1, 4):
        entry = one.layout.commit(version)
        mirror(two).keep_entry(two.layout.commit(version), entry.read_bytes())
    assert [each.name for each in one.layout.log.glob("*.parquet")]
    mirror(two).update()

    assert {each.name for each in two.layout.log.iterdir()} == {each.name for each in one.layout.log.iterdir()}
    assert ids(two) == ["a", "b", "c"]


@pytest.mark.soak
def test_a_verification_beside_other_hosts(hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another host commits while one compares the bucket with its copy, which has the version before, is none."""
    one, two = hosts(2)
    for name in "ab":
        one.ingest(lines(tmp_path / f"{name}.jsonl", name))
    listed = ObjectStore.listed

    def listed_later(objects: ObjectStore, folder: str = "", after: str = "") -> Any:
        if not folder:
            monkeypatch.setattr(ObjectStore, "listed", listed)
            two.ingest(lines(tmp_path / "c.jsonl", "c"))
        return listed(objects, folder, after)

    monkeypatch.setattr(ObjectStore, "listed", listed_later)
    report = one.ledger.verify()

    assert (report.problems, report.version) == ((), 2)
    assert opened(mirror(one).objects.url).ledger.verify().version == 3

    def compared(*how: Any, **more: Any) -> Any:
        monkeypatch.setattr(room, "compared", real)
        found = real(*how, **more)
        two.ingest(lines(tmp_path / "d.jsonl", "d"))
        mirror(one).update()
        return found

    real = room.compared
    monkeypatch.setattr(room, "compared", compared)
    report = one.ledger.verify()
    assert (report.problems, report.version, report.ok) == ((), 4, True)


@pytest.mark.parametrize(
    ("listing", "full"),
    mostly([((ObjectStore, "listed"), True), ((Mirror, "stored"), False)], always=[((Mirror, "stored"), False)]),
)
def test_a_verification_beside_a_compaction(
    hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listing: tuple[type, str], full: bool
) -> None:
    """A file that another host has replaced and removed while one verifies is not missing."""
    one, two = hosts(2)
    for name in "ab":
        one.ingest(lines(tmp_path / f"{name}.jsonl", name))
    mirror(two).update()
    listed = getattr(*listing)

    def listed_later(own: Any, *folders: Any) -> Any:
        if not any(folders):
            monkeypatch.setattr(*listing, listed)
            one.compact(grace_seconds=0)
        return listed(own, *folders)

    monkeypatch.setattr(*listing, listed_later)
    report = two.ledger.verify(full=full)

    assert getattr(*listing) is listed
    assert (report.problems, report.version, report.rows) == ((), 3, 2)


@pytest.mark.parametrize("is_held", mostly([False, True], always=[True]))
def test_copies_of_the_folder_of_a_host(
    hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """Of two hosts with one number, as after a copy of a machine, none takes the other's commit for its own."""
    monkeypatch.setattr(host_turn, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    one, two = hosts(2)
    one.ingest(lines(tmp_path / "a.jsonl", "a"))
    two.layout.host.write_bytes(one.layout.host.read_bytes())
    commit = HostTurn.commit

    def overtaken(turn: HostTurn, *how: Any) -> int:
        monkeypatch.setattr(HostTurn, "commit", commit)
        one.ingest(lines(tmp_path / "b.jsonl", "b"))
        if is_held:
            held(one)
        return turn.commit(*how)

    monkeypatch.setattr(HostTurn, "commit", overtaken)
    assert two.ingest(lines(tmp_path / "c.jsonl", "c")).landed == 1

    assert ids(opened(mirror(one).objects.url)) == ["a", "b", "c"]
    assert one.ledger.verify().ok


@pytest.mark.soak
def test_one_host_does_what_is_done_for_all(hosts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two nights at the same time, one compacts and deletes; the other names its host, and does all else."""
    monkeypatch.setattr(lease, "SECONDS", 0.2)
    one, two = hosts(2)
    objects = mirror(one).objects
    objects.swap(lease.UPKEEP, b'{"host": "alpha", "folder": "/f"}', None)
    stop, numbers = Event(), count()

    def renew() -> None:
        while not stop.wait(0.02):
            seen = objects.found(lease.UPKEEP)
            objects.swap(lease.UPKEEP, json.dumps({"host": "alpha", "folder": "/f", "n": next(numbers)}).encode(), seen)

    renewing = Thread(target=renew)
    renewing.start()
    night = two.routine.nightly()
    stop.set()
    renewing.join()

    said = "the host alpha does it for all; nothing has to be run again"
    assert {each.name for each in night.steps if (each.outcome, each.said) == ("skipped", said)} == {
        "compact", "retention",
    }  # fmt: skip
    assert night["flush"].outcome == "done"
    assert one.routine.nightly()["compact"].outcome == "done"


@pytest.mark.soak
def test_numbers_say_nothing_of_age(hosts: Any, tmp_path: Path) -> None:
    """Batches of hosts whose numbers interleave are known again and verified, whichever order of leaves each has."""
    one, two = hosts(2)
    (tmp_path / "failed_logins.yaml").write_text(FOUR["failed_logins"])
    one.policies.add(tmp_path / "failed_logins.yaml")
    with before_classes():  # their leaves are in the order of seq alone
        one.ingest(lines(tmp_path / "a.jsonl", "a"))
        path = lines(tmp_path / "b.jsonl", "b", "c")
        first, second = path.read_text().splitlines(keepends=True)
        path.write_text(first + second.replace("auth_failure", "login"))
        two.ingest(path)
    for number, lake in enumerate([one, two, one]):  # the second host's first number is above these, and older
        assert lake.ingest(lines(tmp_path / f"{number}.jsonl", f"{number}", "a")).landed == 1
    lake = opened(mirror(one).objects.url)

    assert ids(lake) == ["0", "1", "2", "a", "b", "c"]
    assert transactions_at(lake.layout, newest_version(lake.layout), [EXACT])[EXACT] == OF_HOSTS
    assert lake.ledger.verify(full=True).ok


@pytest.mark.soak
@pytest.mark.parametrize("skew", [timedelta(minutes=-9), timedelta(minutes=9)])
def test_clocks_that_are_wrong(url: str, host: Any, tmp_path: Path, skew: timedelta) -> None:
    """Minutes between the clocks of hosts change no answer."""
    made(url, policies="none", unsigned=True).policies.add(READY / "failed_logins.yaml")
    lakes = []
    for number, clock in enumerate([NOW, NOW + skew]):
        host(f"host {number}")
        lakes.append(auditlake.open(url, clock=partial(min, clock, clock)))
    for number in range(6):
        host(f"host {number % 2}")
        names = [f"{number} {each}" for each in range(30)]
        lakes[number % 2].ingest(lines(tmp_path / f"{number}.jsonl", *names, "all", day=number + 1))
        lakes[number % 2].log(event_type="auth_failure", event_id=f"logged {number}", timestamp=NOW - timedelta(days=1))
        nights = [lakes[number % 2].routine.nightly()] if number > 3 else [lakes[number % 2].flush()]
    skewed = [each.json() for each in opened(url).reports(as_of="2026-05-10")]
    host("host 0")
    findings = [
        [(each.start, each.peak) for each in report.findings] for report in opened(url).reports(as_of="2026-05-10")
    ]

    assert len(ids(lakes[0])) == 187
    assert [each.outcome for each in nights[0].steps if each.name in {"flush", "verify", "compact"}] == ["done"] * 3
    assert all(findings)
    assert [each.json() for each in opened(url).reports(as_of="2026-05-10")] == skewed
    assert opened(url).ledger.verify().ok


@pytest.mark.soak
@pytest.mark.parametrize(("request_", "is_made"), list(product(range(2, 40), [True, False])))
def test_a_host_that_dies_while_it_commits_for_others(
    hosts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: int, is_made: bool
) -> None:
    """Whatever request is the last of a host that commits what others propose, each event is there once."""
    monkeypatch.setattr(objects_room, "opened", Memory().opened)
    one, two, three = hosts(3)
    give_back = held(one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_turn.HostTurn, "_committed_at", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            two.ingest(lines(tmp_path / "b.jsonl", "b", "same"))
    give_back()
    objects = mirror(one).objects
    real = objects._client
    objects._client = Deadly(real, request_, made=is_made)
    with suppress(Killed):
        one.ingest(lines(tmp_path / "a.jsonl", "a"))
    objects._client = real
    monkeypatch.setattr(lease, "SECONDS", 0.2)
    three.ingest(lines(tmp_path / "c.jsonl", "c", "same"))
    two.ingest(tmp_path / "b.jsonl")
    one.ingest(tmp_path / "a.jsonl")
    lake = opened(objects.url)

    assert ids(lake) == ["a", "b", "c", "same"]
    assert lake.ledger.verify().ok
