"""Many hosts of one bucket: ours is what each proposes, committed together; of the rival, each commits for itself.

Each host is a process, and each request is answered 40 ms late. What a host brings is in its files before the time is
taken; what it acknowledges is in the log. The copy of a host that does not commit is not brought up to date meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

from tests.bench.data import EVENTS, Place
from tests.bench.measure import ROOT
from tests.bench.work import Work

HOSTS, EACH = 32, 8
"""How many hosts there are at the full scale, and how often each proposes."""
DELAY_SECONDS = 0.04


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the hosts have done."""

    events: int
    """That are there afterwards, in a lake that verifies."""
    seconds: float
    each: tuple[float, ...]
    """How long each commit took from its proposal on, in seconds."""


def works() -> dict[str, Work]:
    """The seconds are the median of what a host waits, the figure is how many proposals are acknowledged a second."""
    return {side: _work(partial(_run, side)) for side in ("ours", "delta-rs")}


def slowest() -> dict[str, Work]:
    """The same, with the time within which 95 of a hundred are acknowledged."""
    return {side: replace(work, seconds=_p95) for side, work in works().items()}


def _work(run: Callable[[Place, Path], Acknowledged]) -> Work:
    return Work(
        run, answer=lambda done: done.events, seconds=lambda done: median(done.each),
        figure=lambda done: len(done.each) / done.seconds,
    )  # fmt: skip


def _p95(done: Acknowledged) -> float:
    return sorted(done.each)[int(len(done.each) * 0.95)]


def _run(side: str, place: Place, folder: Path) -> Acknowledged:
    hosts = max(2, min(HOSTS, round(HOSTS * place.events / EVENTS)))
    from tests.storage.servers import BUCKET

    url = f"s3://{BUCKET}/{folder.name}"
    with _bucket() as environment:
        os.environ.update(environment)
        _made(side, url, folder)
        command = [sys.executable, "-m", "tests.bench.hosts", side, url, f"{EACH}"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
        own = [environment | {"XDG_DATA_HOME": str(folder / f"{number}")} for number in range(hosts)]
        started = [
            subprocess.Popen([*command, str(number)], env=os.environ | each, **pipes) for number, each in enumerate(own)
        ]
        for process in started:
            assert process.stdout.readline() == "ready\n"
        begun = time.perf_counter()
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        each = [seconds for process in started for seconds in json.loads(process.communicate()[0])]
        taken = time.perf_counter() - begun
        return Acknowledged(_there(side, url), taken, tuple(each))


@contextmanager
def _bucket() -> Iterator[dict[str, str]]:
    """Give the environment that leads to a bucket which answers late."""
    from tests.storage.conftest import Handler, Proxy
    from tests.storage.servers import s3

    with s3() as store:
        proxy = Proxy(store.scheme, store.secrets, store.forward, meanwhile=lambda _: time.sleep(DELAY_SECONDS))
        late = type("Late", (ThreadingHTTPServer,), {"request_queue_size": 256, "daemon_threads": True})
        server = late(("127.0.0.1", 0), type("LateHandler", (Handler,), {"proxy": proxy}))
        Thread(target=server.serve_forever, daemon=True).start()
        yield store.environment(f"http://127.0.0.1:{server.server_address[1]}") | {"AWS_CHECKSUM_ALGORITHM": "SHA256"}
        server.shutdown()
        server.server_close()


def _made(side: str, url: str, folder: Path) -> None:
    os.environ["XDG_DATA_HOME"] = str(folder / "maker")
    if side == "ours":
        import auditlake

        auditlake.create(url, policies="none", unsigned=True)
        return
    from deltalake import DeltaTable

    DeltaTable.create(url, _row("none", 0).schema, mode="overwrite")


def _there(side: str, url: str) -> int:
    if side == "ours":
        import auditlake
        from auditlake.storage.lake import _mirror

        _mirror.cache_clear()
        lake = auditlake.open(url)
        assert lake.ledger.verify().ok
        return int(lake.sql("select count(distinct event_id) from events").fetchall()[0][0])
    from deltalake import DeltaTable

    return len({*DeltaTable(url).to_pyarrow_table()["event_id"].to_pylist()})


def _row(host: str, number: int) -> Any:
    import pyarrow as pa

    return pa.table({"event_id": [f"{host} {number}"], "event_type": ["data_access"]})


def _append(url: str, each: int, host: str) -> Iterator[Callable[[], object]]:
    """Yield what delta-rs appends, which tries again where another host was quicker."""
    from deltalake import CommitProperties, write_deltalake

    properties = CommitProperties(max_commit_retries=1_000)
    for number in range(each):
        yield partial(write_deltalake, url, _row(host, number), mode="append", commit_properties=properties)


def _propose(url: str, each: int, host: str) -> Iterator[Callable[[], object]]:
    """Yield what proposes changes that are prepared, and has them committed."""
    import auditlake
    from auditlake.sources.in_memory import MemoryLines  # noqa: F401 - loaded before the time is taken
    from auditlake.store.host_turn import HostTurn
    from auditlake.store.model import Change, Snapshot

    lake, prepared = auditlake.open(url), list[tuple[Snapshot, Change]]()

    class Prepared(Exception):
        pass

    def prepare(turn: HostTurn, change: Change, _: object = None) -> int:
        prepared.append((turn.snapshot, change))
        raise Prepared

    real, HostTurn.commit = HostTurn.commit, prepare  # type: ignore[method-assign]
    for number in range(each):
        path = Path(os.environ["XDG_DATA_HOME"]) / f"{number}.jsonl"
        event = {"event_id": f"{host} {number}", "event_type": "data_access", "timestamp": "2026-11-30T12:00:00Z"}
        path.write_text(json.dumps(event) + "\n")
        with suppress(Prepared):
            lake.ingest(path)
    HostTurn.commit = real  # type: ignore[method-assign]
    known = [0]
    for snapshot, change in prepared:
        yield partial(_committed, lake, snapshot, change, known)


def _committed(lake: Any, seen: Any, change: Any, known: list[int]) -> None:
    from auditlake.disk.lock import workspace
    from auditlake.engine.duck import connect
    from auditlake.storage.lake import mirror_of
    from auditlake.store.host_turn import HostTurn

    class Done(Exception):
        pass

    class Turn(HostTurn):
        def _committed_at(self, *given: Any) -> int | None:
            if (version := super()._committed_at(*given)) is None:
                return None
            known.append(version)
            raise Done

    ((name, number),) = [each for each in change.transactions.items() if "batches" in each[0] and each[1]]
    moved = {name: number - 1} if number > 1 else {}
    with ExitStack() as stack, suppress(Done):
        folder = stack.enter_context(workspace(lake.layout.staging))
        connection = stack.enter_context(connect(exact_try=False))
        turn = Turn(lake._context, mirror_of(lake.layout), folder, (), stack)
        turn.snapshot = replace(seen, version=max(seen.version, known[-1]), transactions=moved)
        known.append(turn.commit(change, connection))


def _main(side: str, url: str, each: str, host: str) -> None:
    steps = list({"ours": _propose, "delta-rs": _append}[side](url, int(each), host))
    print("ready", flush=True)
    sys.stdin.readline()
    taken = []
    for step in steps:
        begun = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begun)
    print(json.dumps(taken))


if __name__ == "__main__":
    _main(*sys.argv[1:])
