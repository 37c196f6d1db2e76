"""Machines that were cloned or rolled back: several folders have one number, and all that was logged there lands."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import auditlake
from auditlake import AuditLake, testing
from auditlake.disk.layout import Layout
from auditlake.errors import AuditLakeError
from auditlake.ingest.ingest import ingest
from auditlake.landing.trail import Trail
from auditlake.storage import objects
from auditlake.storage.hosts import give_up, host_number, read_as_host
from auditlake.storage.lease import LEASE
from auditlake.storage.mirror import Mirror
from auditlake.storage.names import LOG
from auditlake.store.host_turn import HostTurn
from auditlake.tail import destination
from auditlake.tail.follow import tail
from tests.soak import mostly
from tests.storage.programme import NOW, Deadly, Killed, Memory, opened, process
from tests.storage.test_lake import lines, mirror
from tests.tail.test_mapped import FIXTURES

URL = "s3://lakes/cloned"
NAMES = ("one", "two", "three")


class Machines:
    """Machines that write to a lake in a bucket in memory. Each has a folder, which may be copied.

    Args:
        folder: For all that they have.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = 0
        self.logged: dict[str, frozenset[str]] = {}
        """What was logged on each machine and is in its folder, or was flushed from there."""

    @contextmanager
    def on(self, name: str, last: int = 0, *, made: bool = False) -> Iterator[AuditLake]:
        """Give the lake as a process of a machine opens it, which dies at one of its requests if told so."""
        with process(str(self._folder / name), lambda client: Deadly(client, last, made=made)):
            yield opened(URL)

    def begin(self, name: str) -> None:
        """Make the lake, on a machine that logs and has flushed."""
        with process(str(self._folder / name), lambda client: client):
            auditlake.create(URL, clock=testing.Clock(NOW), policies="none", unsigned=True)
        self.log(name)
        self.flush(name)

    def log(self, name: str, trail: Trail | None = None) -> None:
        """Log an event, which is acknowledged."""
        self._numbers += 1
        event = auditlake.AuditEvent("auth_failure", testing.Clock(NOW)(), event_id=f"{self._numbers:03d}")
        with ExitStack() as stack:
            lake = stack.enter_context(self.on(name)) if trail is None else None
            own = trail or stack.enter_context(lake.trail(alerts=False, flush_seconds=None))
            self.logged[name] = self.logged.get(name, frozenset()) | {own.log(event)}

    def flush(self, name: str) -> None:
        """Flush, after which all that was logged there is in the table."""
        with self.on(name) as lake:
            lake.flush()
        assert self.logged[name] <= {*self.table()}

    def propose(self, name: str) -> None:
        """Let a process that flushes die while what it proposes waits for the host that has the lease."""
        with self.on(name) as lake, pytest.MonkeyPatch.context() as patch:
            store = mirror(lake).objects
            store.swap(LEASE, b'{"host":"another","folder":"/x"}', store.found(LEASE))
            patch.setattr(HostTurn, "_committed_at", Mock(side_effect=Killed))
            with suppress(Killed):
                lake.flush()
            store.swap(LEASE, b"", store.found(LEASE))

    def die(self, name: str, chance: random.Random) -> None:
        """Let a process that flushes die at one of its requests, or perhaps after all of them."""
        with (
            suppress(AuditLakeError, Killed),
            self.on(name, chance.randrange(2, 40), made=chance.random() < 0.5) as lake,
        ):
            lake.flush()

    def ingest(self, name: str) -> None:
        """Ingest a file of one event."""
        self._numbers += 1
        path = lines(self._folder / f"{self._numbers}.jsonl", f"{self._numbers:03d}")
        with self.on(name) as lake:
            lake.ingest(path)
        assert path.stem.zfill(3) in self.table()

    def copy(self, name: str, to: str) -> None:
        """Copy the folder of a machine over that of another one, or of none."""
        shutil.rmtree(self._folder / to, ignore_errors=True)
        shutil.copytree(self._folder / name, self._folder / to)
        self.logged[to] = self.logged[name]

    def return_in_place(self, name: str, to: str) -> None:
        """Let the folder of a machine be as an earlier copy of it, under processes that go on."""
        files = {path.relative_to(self._folder / name) for path in (self._folder / name).rglob("*") if path.is_file()}
        for path in [*(self._folder / to).rglob("*")]:
            if path.is_file() and path.relative_to(self._folder / to) not in files:
                path.unlink()
        for each in files:
            (self._folder / to / each).write_bytes((self._folder / name / each).read_bytes())
        self.logged[to] = self.logged[name]

    def table(self) -> list[str]:
        """Return the ids in the table, as a machine reads them that logs nothing."""
        with self.on("reader") as lake:
            found = [name for (name,) in lake.sql("select event_id from events order by event_id").fetchall()]
        assert len(found) == len({*found})
        return found

    def seen(self, name: str) -> set[str]:
        """Return the ids that a machine sees, which are those of the table and of what is logged there."""
        with self.on(name) as lake:
            found = [name for (name,) in lake.sql("select event_id from events").fetchall()]
        assert len(found) == len({*found})
        return {*found}

    def end(self) -> None:
        """Flush everywhere: all that was logged is there, once."""
        for name in self.logged.keys() & {*NAMES}:
            self.flush(name)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """A machine ``one`` that has flushed and has logged since, and its clone ``two``."""
    monkeypatch.setattr(objects, "opened", Memory().opened)
    own = Machines(tmp_path)
    own.begin("one")
    own.log("one")
    own.copy("one", "two")
    return own


ORDERS = ["one two", "two one", "+three two one", "+one two one"]
"""Who flushes; with a plus, who ingests."""


@pytest.mark.soak
@pytest.mark.parametrize("is_waiting", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_clones_flush(machines: Machines, order: str, is_waiting: bool) -> None:
    """Whoever flushes first, and whoever commits what waited as the machine was cloned: all that both logged lands."""
    if is_waiting:
        machines.propose("one")
        machines.copy("one", "two")
    for name in ("one", "two"):
        machines.log(name)
    for name in order.split():
        machines.ingest(name[1:]) if name[0] == "+" else machines.flush(name)
        assert machines.seen("one") >= machines.logged["one"]
        assert machines.seen("two") >= machines.logged["two"]
    machines.end()


@pytest.mark.soak
def test_both_propose(machines: Machines) -> None:
    """Of two clones that propose the same number, the second one takes another host's, and each event lands once."""
    for name in ("one", "two"):
        machines.log(name)
        machines.propose(name)
    machines.ingest("three")
    with machines.on("two") as lake:
        number = host_number(lake.layout)

    assert number not in {None, 1}
    assert machines.logged["one"] <= {*machines.table()}  # the other one's has an event of it, and is made again
    machines.end()


def test_a_machine_that_was_rolled_back(machines: Machines) -> None:
    """A process that goes on in a segment as it was is not taken for the one that has flushed other lines of it."""
    with machines.on("one") as lake:
        trail = lake.trail(alerts=False, flush_seconds=None)
    machines.log("one", trail)
    machines.copy("one", "before")
    machines.log("one", trail)
    machines.flush("one")
    lost = machines.logged["one"]
    machines.return_in_place("before", "one")
    machines.log("one", trail)
    trail.close()

    assert machines.seen("one") == lost | machines.logged["one"]
    machines.end()
    assert {*machines.table()} == lost | machines.logged["one"]


def test_hosts_keep_their_numbers(machines: Machines) -> None:
    """The first of two clones to commit keeps its number, also where it died after it; the other gets one for good."""
    machines.log("one")
    copy = Mirror._copy

    def dying(own: Mirror, files: Mapping[str, bytes | Path]) -> None:
        if any(name.startswith(LOG) for name in files):
            raise Killed
        copy(own, files)

    with machines.on("one") as lake, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mirror, "_copy", dying)
        with pytest.raises(Killed):
            lake.flush()
    machines.log("one")
    for _ in range(2):  # the first of them is committed, and the other one refused
        machines.propose("one")
    machines.ingest("three")
    for _ in range(2):
        machines.flush("one")
        machines.log("two")
        machines.flush("two")

        with machines.on("one") as one:
            assert host_number(one.layout) == 1
        with machines.on("two") as two:
            assert host_number(two.layout) == 3


def test_a_clone_that_flushes_as_another_commits(machines: Machines) -> None:
    """What it was about to commit by the number that both have is committed by one of its own, and hides nothing."""
    for name in ("one", "two"):
        machines.log(name)
    with machines.on("two") as lake:
        machines.ingest("one")
        assert lake.flush().landed == 2

    assert machines.seen("one") >= machines.logged["one"]
    machines.end()


def test_a_number_that_is_given_up_while_the_log_is_read(tmp_path: Path) -> None:
    """What was read with it is read again, since it may be another host's."""
    layout = Layout(tmp_path)
    layout.bucket.touch()
    layout.host.write_bytes(b"3 1\n")

    def read(host: int | None) -> int | None:
        give_up(layout)
        return host

    assert read_as_host(layout, read) is None


def test_clones_follow_a_log(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines whose commit a process died before, or is about to make, are not taken for those that a clone committed."""
    first, second, third, fourth, fifth = (FIXTURES / "okta.jsonl").read_bytes().splitlines(keepends=True)[:5]
    path = tmp_path / "okta.jsonl"

    def follow(name: str, data: bytes) -> None:
        path.write_bytes(data)
        with machines.on(name) as lake:
            tail(lake, path, source="okta", once=True)

    follow("one", first)
    machines.copy("one", "two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HostTurn, "commit", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            follow("two", first + second)
    follow("one", first + third)

    def overtaken(*how: Any, **more: Any) -> Any:
        monkeypatch.setattr(destination, "ingest", ingest)
        machines.copy("one", "four")
        follow("four", first + third + fourth)
        path.write_bytes(first + third + fifth)
        return ingest(*how, **more)

    follow("two", first + second)
    monkeypatch.setattr(destination, "ingest", overtaken)
    follow("one", first + third + fifth)

    with machines.on("reader") as lake:
        assert lake.sql("select count(*) from events where source = 'okta'").fetchall() == [(5,)]


VERBS = ("log", "log", "log", "flush", "die", "propose", "ingest", "clone", "keep", "return")
SEEDS, ALWAYS = range(300), [4]


@pytest.mark.parametrize("seed", mostly(SEEDS, always=ALWAYS))
def test_histories(seed: int, machines: Machines) -> None:
    """Machines log, flush, die, are cloned and rolled back in any order, with trails that stay open all the while."""
    chance, trails, kept = random.Random(seed), dict[str, Trail](), list[str]()

    def copy(name: str, to: str) -> None:
        if to in trails:
            trails.pop(to).close()
        if name != to:
            machines.copy(name, to)

    for step in range(12 if seed in ALWAYS else 40):
        name = chance.choice(NAMES)
        verb = chance.choice(VERBS) if name in machines.logged else "log"
        if verb == "log":
            if name not in trails:
                with machines.on(name) as lake:
                    trails[name] = lake.trail(alerts=False, flush_seconds=None)
            machines.log(name, trails[name])
        elif verb == "clone":
            copy(name, chance.choice(NAMES))
        elif verb == "keep":
            kept.append(f"kept {step}")
            machines.copy(name, kept[-1])
        elif verb == "return":
            copy(chance.choice(kept or [name]), name)
        else:
            getattr(machines, verb)(name, *([chance] if verb == "die" else []))
    for trail in trails.values():
        trail.close()
    machines.end()
    with machines.on("reader") as lake:
        assert lake.ledger.verify().ok
