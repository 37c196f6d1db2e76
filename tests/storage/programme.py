"""A programme of users' verbs on two hosts of one bucket. Requests are spoilt, writers die, and after each step the
bucket must have what a plain account allows: the state after it, or one of those on the way to that if it failed.

Before a server of S3, each step is a process: forked by a server that has never used the client, and killed as one of
its requests arrives, which is carried out after it or never. In memory, a writer dies of a ``BaseException`` at a
request, after which it makes none; its files are closed and its workspace swept.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import obstore
import polars as pl
import pytest
from obstore.store import MemoryStore

import auditlake
from auditlake import AuditLake, testing
from auditlake.errors import AuditLakeError
from auditlake.storage import lake as room
from auditlake.storage import lease
from auditlake.storage.lake import folder_of
from auditlake.storage.objects import ObjectStore, digest_in
from auditlake.store import host_turn
from tests import lakes
from tests.storage.conftest import FAULTS, Proxy

NOW = "2026-05-20T12:00:00Z"
HOSTS = ("one", "two")
BRINGS = frozenset({"ingest", "flush", "apply", "erase"})
"""The verbs that bring events first, and commit what other hosts propose, also those that died since."""
HELD, PERSONS, OTHER = "hal", ("ada", "bea"), "cid"
"""Whose events a hold keeps, who is erased, and who is neither."""
OLD, NEW = "2026-05-01T10:00:00Z", "2026-05-18T10:00:00Z"
"""Times of events that are due, and that are not."""
_DEATHS = 96
"""No verb here makes half as many requests."""
_FEW = {
    "ingest": 160, "flush": 160, "apply": 160, "erase": 160, "hold": 40, "compact": 40, "verify": 30, "backup": 20,
    "move": 30,
}  # fmt: skip
_EACH = 4
"""Requests of a verb at most: some, one for each object, and so many more for each that was spoilt."""
_COMMIT = re.compile(r"events/_delta_log/\d{20}\.json\Z")

Rows = frozenset[tuple[str, str]]
"""The id and the user of each event; no user where a pseudonym stands for one."""


class Killed(BaseException):
    """The end of a process in the middle of a request."""


class Deadly:
    """The client, of which one request is the last: it is not made, or its answer does not come."""

    def __init__(self, client: Any, last: int, *, made: bool) -> None:
        self._client, self._last, self._made = client, last, made
        self.requests = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name not in {"put", "get", "list", "delete"}:
            return real

        def request(*args: Any, **options: Any) -> Any:
            number = self.requests = self.requests + 1  # several are made at once
            if 0 < self._last <= number and not (number == self._last and self._made):
                raise Killed
            answer = real(*args, **options)
            if number == self._last:
                raise Killed
            return answer

        return request

    @property
    def has_died(self) -> bool:
        return 0 < self._last <= self.requests


class Line(Protocol):
    """What lies between the hosts and the bucket."""

    faults: list[str]
    requests: list[str]

    def settle(self) -> None:
        """Carry out what was answered and is not carried out yet."""

    def objects(self, url: str) -> dict[str, bytes]:
        """Return what a folder of the bucket has, by name."""


@dataclass
class Memory:
    """Buckets in this process, in place of a server and of the one before it that spoils requests."""

    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    late: list[Callable[[], object]] = field(default_factory=list)
    stores: dict[str, MemoryStore] = field(default_factory=dict)

    def opened(self, url: str, **_: Any) -> MemoryStore:
        return self.stores.setdefault(url, MemoryStore())

    def settle(self) -> None:
        while self.late:
            with suppress(Exception):
                self.late.pop()()

    def objects(self, url: str) -> dict[str, bytes]:
        store = self.stores[url]
        return {each["path"]: bytes(obstore.get(store, each["path"]).bytes()) for each in obstore.list(store).collect()}

    def __getattr__(self, name: str) -> Any:
        real = getattr(obstore, name)
        return partial(self._answer, name, real) if name in {"put", "get", "list", "delete"} else real

    def _answer(self, name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.requests.append(name)
        fault = self.faults.pop(0) if self.faults else ""
        if self.late and not fault:
            with suppress(Exception):
                self.late.pop()()
        if fault == "late":
            self.late.append(partial(real, *args, **options))
        status, _, when = fault.partition(" ")
        answer = real(*args, **options) if when == "after" or fault in {"", "lost", "reset", "truncated"} else None
        if fault:
            raise obstore.exceptions.GenericError(f"status code: {status}" if when else "the connection was closed")
        return answer


class Still:
    """Time that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Unhurried(Event):
    """One for which waiting ends only once it is set: a lease is not renewed, however long a busy machine takes."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait()


@contextmanager
def process(home: str, client: Callable[[Any], Any]) -> Iterator[None]:
    """Be a process of a host within this, whose client is another one and which waits for nothing."""
    real = ObjectStore.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options | {"sleep": lambda _: None})
        self._client = client(self._client)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", home)
        patch.setattr(ObjectStore, "__init__", init)
        still = Still()
        for waiting in (lease, host_turn):
            patch.setattr(waiting, "time", still)
        patch.setattr(lease, "Event", Unhurried)
        patch.setattr(lease, "_POLL_SECONDS", lease.SECONDS / 2)
        room._mirror.cache_clear()
        yield
    room._mirror.cache_clear()


def opened(path: str | Path) -> AuditLake:
    return auditlake.open(path, clock=testing.Clock(NOW))


VERBS: dict[str, Callable[[AuditLake, str], object]] = {
    "ingest": lambda lake, path: lake.ingest(path),
    "flush": lambda lake, _: lake.flush(),
    "apply": lambda lake, _: lake.retention.apply(),
    "erase": lambda lake, user: lake.retention.erase(user, reason="asked for", ticket="T-2"),
    "hold": lambda lake, name: lake.holds.add(name, reason="a case", owner="eve", ticket="T-1", user_ids=[HELD]),
    "compact": lambda lake, _: lake.compact(grace_seconds=0),
    "verify": lambda lake, _: lake.ledger.verify(),
    "backup": lambda lake, place: lake.backup(place),
    "move": lambda lake, url: lake.backup(url),
}


def in_process(environment: dict[str, str], lake: str, verb: str, given: str) -> None:
    """Carry out a verb in a process of its own, which ends with 1 if it failed in words."""
    os.environ.update(environment)
    os.fsync = os.fstat  # type: ignore[assignment]
    with process(environment["XDG_DATA_HOME"], lambda client: client):
        try:
            VERBS[verb](opened(lake), given)
        except AuditLakeError:
            os._exit(1)
    os._exit(0)


def in_child(line: Proxy, home: Path, what: tuple[str, ...], last: int, fault: str) -> tuple[bool, bool]:
    """Carry out a verb in a child, which is killed at a request; return whether it ended well, and whether it died.

    Args:
        line: The server before that of the store.
        home: The folder of its host.
        what: The lake, the verb and what that is given.
        last: The request's number, or 0 for none.
        fault: What becomes of the request.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.storage.programme", "deltalake", "duckdb", "auditlake.ingest.bring"])
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def kill(_: str) -> None:
        if 0 < last <= len(line.requests):
            child.kill()

    if last:
        line.faults[last - 1 : last] = [fault]
    with line.server() as address:
        environment |= {"XDG_DATA_HOME": str(home), "AWS_ENDPOINT_URL": address}
        child = context.Process(target=in_process, args=(environment, *what))
        line.meanwhile = kill
        child.start()
        child.join()
        line.meanwhile = lambda _: None
    assert child.exitcode in {0, 1, -signal.SIGKILL}
    return child.exitcode == 0, child.exitcode == -signal.SIGKILL


def _with(there: Rows, rows: Rows) -> Rows:
    """Return rows with others, of which one whose id is there changes nothing."""
    names = dict(there)
    return there | {row for row in rows if row[0] not in names}


def as_rows(rows: Iterable[Sequence[Any]]) -> Rows:
    """Return what is known of events, each of which is there once."""
    known = [(name, user if user in {HELD, OTHER, *PERSONS} else "") for name, user in rows]
    assert len(known) == len(dict(known)), "twice"
    return frozenset(known)


class Programme:
    """Steps that a seed draws.

    Args:
        url: An address with nothing there.
        folder: An empty folder, for all hosts.
        line: Where requests are spoilt.
        seed: What decides.
        stride: How many points further a verb dies the next time; a request has two, before it and after it.
        often: After every so many steps the other host verifies the lake, and must see what the bucket has.
        deadly: How large a share of the steps is to die.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        line: Line,
        seed: int,
        *,
        stride: int = 1,
        often: int = 1,
        deadly: float = 0.7,
    ) -> None:
        self._url, self._folder, self._line = url, folder, line
        self._chance = random.Random(seed)
        self._stride, self._often, self._deadly = stride, often, deadly
        self._read: dict[str, Sequence[Sequence[Any]]] = {}
        self._next = {verb: self._chance.randrange(_DEATHS) for verb in VERBS}
        self._moved = 0
        self._files: list[tuple[str, Rows]] = []
        self._is_unfinished = False
        self._proposed: list[Rows] = []
        self.rows: Rows = frozenset()
        self.is_held = False
        self.logged: dict[str, Rows] = dict.fromkeys(HOSTS, frozenset())
        self.steps = self.deaths = self.failed = 0
        self.most, self.faults = dict.fromkeys(VERBS, -1000), Counter[str]()
        with self._on("one"):
            auditlake.create(url, clock=testing.Clock(NOW), policies="none", default_retention="10d")

    def step(self) -> None:
        """Let a verb be carried out on a host, with faults and perhaps a death, and check what is there after it."""
        self.steps += 1
        host, other = self._chance.sample(HOSTS, 2)
        self._share_keys(other, host)
        verb = self._chance.choice((*self._next, "ingest", "flush", "apply"))
        given, brought = self._drawn(verb, host)
        ways = [self._ways(verb, given, brought, each) for each in (self._bases() if verb in BRINGS else [self.rows])]
        point = self._next[verb]
        last, made = (point // 2 + 1, point % 2) if self._chance.random() < self._deadly else (0, 0)
        before, faults = len(self._line.objects(self._url)), self._faults()
        self._line.faults, self._line.requests = list(faults), []
        is_done, has_died = self._carried_out(host, verb, given, last, bool(made))
        requests, self._line.faults = len(self._line.requests), []
        self._line.settle()
        self.faults.update(filter(None, faults[:requests]))
        most = before + _EACH * sum(map(bool, faults[:requests]))
        self.most[verb] = max(self.most[verb], requests - most)
        assert requests <= _FEW[verb] + most, verb
        self.deaths += has_died
        self.failed += not (is_done or has_died)
        if verb not in {"verify", "backup", "move"}:  # what writes finishes what was left, unless it dies too
            self._is_unfinished = not is_done
        if last:
            self._next[verb] = (point + self._stride) % _DEATHS if has_died else self._chance.randrange(self._stride)
        if verb == "move":
            self._check_moved(host, other, given, is_done)
        else:
            self._check(other, [way for some in ways for way in (some[-1:] if is_done else some)])
        if verb in BRINGS and not is_done and brought - self.rows:
            self._proposed.append(brought - self.rows)
        is_any = any(name.startswith("inbox/") for name in self._line.objects(self._url))  # else nothing waits any more
        left = [some for some in self._proposed if not dict(some).keys() <= dict(self.rows).keys()]
        self._proposed = left if is_any else []
        if verb == "backup" and is_done:
            self._check_backup(host, given)

    def end(self) -> None:
        """Bring in all that was ever tried: nothing lands twice, and each host has and verifies all of it."""
        for host in HOSTS:
            with self._on(host):
                opened(self._url).flush()
            self.rows = _with(self.rows, self.logged[host])
            self.logged[host] = frozenset()
        with self._on("one"):
            opened(self._url).ingest(*(path for path, _ in self._files))
        self.rows = _with(self.rows, frozenset(row for _, rows in self._files for row in rows))
        for host in (*HOSTS, "three"):
            with self._on(host):
                lake = opened(self._url)
                assert self._seen(lake) == self.rows
                report = lake.ledger.verify()
                assert report.ok, report.problems

    # What is drawn

    def _faults(self) -> list[str]:
        faults = [self._chance.choice(FAULTS) if self._chance.random() < 0.05 else "" for _ in range(300)]
        if self._chance.random() < 0.15:  # the store is away for a while
            begin = self._chance.randrange(25)
            faults[begin : begin + self._chance.randrange(60)] = ["503 before"] * 60
        return faults

    def _drawn(self, verb: str, host: str) -> tuple[str, Rows]:
        """Return what a verb is given, and what it brings."""
        if verb == "ingest":
            return self._file()
        if verb == "flush":
            self._log(host)
        given = {
            "erase": self._chance.choice(PERSONS), "move": f"{self._url}-{self._moved}",
            "backup": str(self._folder / f"copy-{self.steps}"), "hold": f"case-{self.steps}",
        }  # fmt: skip
        return given.get(verb, ""), self.logged[host] if verb in BRINGS else frozenset()

    def _bases(self) -> list[Rows]:
        """Return what may be there once others' proposals are committed, those of who died before it among them."""
        bases = [self.rows]
        for some in self._proposed:
            bases += [_with(base, some) for base in bases]
        return list(dict.fromkeys(bases))

    def _ways(self, verb: str, given: str, brought: Rows, base: Rows) -> list[tuple[Rows, bool]]:
        """Return the states on the way from one to that after a verb, which is the last."""
        ways = [base, _with(base, brought)]
        if verb == "apply":
            ways.append(frozenset(row for row in ways[1] if not self._is_due(row)))
        elif verb == "erase":
            ways.append(frozenset((name, "" if user == given else user) for name, user in ways[1]))
        states = [(rows, self.is_held) for rows in ways]
        return [*states, (base, True)] if verb == "hold" else states

    def _file(self) -> tuple[str, Rows]:
        """Return a file of events: a new one, or one that may have been ingested before."""
        if self._files and self._chance.random() < 0.3:
            return self._chance.choice(self._files)
        path, rows = self._folder / f"{self.steps}.jsonl", dict[str, str]()
        for letter in "abc":
            user = self._chance.choice((HELD, *PERSONS, OTHER))
            is_old = user not in PERSONS and self._chance.random() < 0.6
            rows[f"{'old' if is_old else 'new'}{self.steps:04d}{letter}"] = user
        path.write_text("".join(
            f'{{"event_id":"{name}","timestamp":"{OLD if name.startswith("old") else NEW}","event_type":"auth_failure",'
            f'"user_id":"{user}"}}\n'
            for name, user in rows.items()
        ))  # fmt: skip
        self._files.append((str(path), frozenset(rows.items())))
        return self._files[-1]

    def _log(self, host: str) -> None:
        """Log an event, which needs no bucket."""
        name, user = f"new{self.steps:04d}", self._chance.choice(PERSONS)
        with self._on(host), opened(self._url).trail(alerts=False, flush_seconds=None) as trail:
            trail.log(auditlake.AuditEvent("auth_failure", testing.Clock(NEW)(), event_id=name, user_id=user))
        self.logged[host] |= {(name, user)}

    def _is_due(self, row: tuple[str, str]) -> bool:
        return row[0].startswith("old") and not (self.is_held and row[1] == HELD)

    # What is done

    def _carried_out(self, host: str, verb: str, given: str, last: int, made: bool) -> tuple[bool, bool]:
        """Return whether a verb was acknowledged, and whether its process has died."""
        lake = str(self._disk.layout.root) if verb == "move" else self._url
        if isinstance(self._line, Proxy):
            fault = "lost" if made else "unsent"
            return in_child(self._line, self._folder / host, (lake, verb, given), last, fault)
        client = Deadly(self._line, last, made=made)
        with process(str(self._folder / host), lambda _: client):
            try:
                VERBS[verb](opened(lake), given)
            except (AuditLakeError, Killed):
                return False, client.has_died
        return True, False

    def _wrapped(self, client: Any) -> Any:
        return self._line if isinstance(self._line, Memory) else client

    @contextmanager
    def _on(self, host: str) -> Iterator[None]:
        """Go on as a host on which nothing dies."""
        with process(str(self._folder / host), self._wrapped):
            yield

    def _share_keys(self, host: str, other: str) -> None:
        """Copy the keys that a writer needs from one host to another, as an operator does."""
        with self._on(host):
            there = folder_of(self._url)
        with self._on(other):
            here = folder_of(self._url)
            for name in ("ledger/key", "pseudonyms.key"):
                if (there / name).exists() and not (here / name).exists():
                    shutil.copy(there / name, opened(self._url).layout.root / name)

    @cached_property
    def _disk(self) -> AuditLake:
        """A lake on a disk that was made in format 1 and upgraded."""
        with lakes.lakes_of_format(1):
            lake = lakes.create(self._folder / "disk", clock=testing.Clock(NOW))
        lake.ingest(self._file()[0])
        lake.ledger.upgrade()
        return lake

    # What must hold

    def _there(self) -> tuple[Rows, bool]:
        """What the table in the bucket has by its log, and whether events are held; each object is whole."""
        objects = self._line.objects(self._url)
        live: dict[str, None] = {}
        for name, data in sorted(objects.items()):
            assert digest_in(name) in {None, sha256(data).hexdigest()}, f"{name} is there in part"
            for line in data.splitlines() if _COMMIT.match(name) else ():
                for what, action in json.loads(line).items():
                    if what == "add":
                        live[f"events/{action['path']}"] = None
                    elif what == "remove":
                        live.pop(f"events/{action['path']}")
        for name in live.keys() - self._read.keys():
            self._read[name] = pl.read_parquet(io.BytesIO(objects[name]), columns=["event_id", "user_id"]).rows()
        return as_rows(row for name in live for row in self._read[name]), any(n.startswith("holds/") for n in objects)

    def _seen(self, lake: AuditLake) -> Rows:
        """What the table has, without what a host has logged and not flushed."""
        rows = lake.sql("select event_id, user_id from events", snapshot=lake.snapshot().version).fetchall()
        return as_rows(rows)

    def _check(self, other: str, ways: Sequence[tuple[Rows, bool]]) -> None:
        """The bucket has the lake as one of these ways, and that is final; at times the other host must see it."""
        there = self._there()
        assert there in ways, sorted(there[0] ^ ways[-1][0])
        self.rows, self.is_held = there
        for host, rows in self.logged.items():
            self.logged[host] = frozenset(row for row in rows if row[0] not in dict(self.rows))
        if self.steps % self._often == 0:
            with self._on(other):
                lake = opened(self._url)
                assert (self._seen(lake), any(lake.layout.holds.iterdir())) == there
                problems = [each.what for each in lake.ledger.verify().problems]
                assert all(self._is_unfinished and "not signed yet: its writer died" in each for each in problems)

    def _check_backup(self, host: str, place: str) -> None:
        copy = opened(place)
        copy.flush()
        assert self._seen(copy) == self.rows | self.logged[host]
        assert copy.ledger.verify(full=False).ok
        shutil.rmtree(place)

    def _check_moved(self, host: str, other: str, url: str, is_done: bool) -> None:
        """A lake that moves is in its bucket, whole; or it cannot be opened there, and moves when told to again."""
        with self._on(other):
            try:
                lake = opened(url)
            except AuditLakeError:
                assert not is_done
                with self._on(host):
                    shutil.rmtree(folder_of(url), ignore_errors=True)  # as the message of the next try says
            else:
                assert self._seen(lake) == self._seen(self._disk)
                assert lake.ledger.verify().ok
                self._moved += 1
