"""A remap that is killed, or that the disk stops: nothing or all has changed, and it can be completed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from auditlake import AuditLake
from tests.retention.lakes import Clock
from tests.retention.test_kills import KILL, check_certificates, in_parallel
from tests.retention.test_remap import SECOND, first, put_mapping, rows
from tests.store import strace
from tests.store.lakes import cli, copied, data_files

WORDS = ("remap", "doors", "--yes")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose mapping has changed."""
    folder = tmp_path_factory.mktemp("kills")
    first(folder)
    put_mapping(AuditLake(folder / "lake"), SECOND)
    return folder / "lake"


@pytest.fixture(scope="module")
def log(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calls of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("trace")
    root = copied(template, folder / "lake")
    done = cli(root, *WORDS, prefix=strace.traced(folder / "log", (*strace.CALLS, "write")))
    assert done.returncode == 0, done.stderr
    return folder / "log"


def check_survived(template: Path, root: Path) -> None:
    """All events are as before or as after, and the same again ends where it would have ended."""
    lake = AuditLake(root, clock=Clock())
    told = lake.ledger.verify(full=False).problems
    assert not told or any("is not signed yet" in each.what for each in told), told
    before = rows(AuditLake(template, clock=Clock()))
    changed = [name for name, row in rows(lake).items() if row != before[name]]
    assert len(changed) in (0, 12)
    lake.sources.remap("doors")
    assert {row[3][:6] for row in rows(lake).values()} == {"doors/"}
    assert not list(lake.layout.staging.iterdir())
    assert data_files(lake) == {file.path for file in lake.snapshot().files}
    check_certificates(lake)
    report = lake.ledger.verify()
    assert report.ok, report.problems


def stop_at_calls(template: Path, log: Path, tmp_path: Path, how: str, most: int) -> None:
    points = strace.evenly(strace.places(log), most)

    def work(run: int) -> tuple[Path, int]:
        call, number = points[run]
        root = copied(template, tmp_path / f"lake{run}")
        done = cli(root, *WORDS, prefix=strace.spoilt(call, number, how))
        assert "Traceback" not in done.stderr
        return root, done.returncode

    stopped = 0
    for root, code in in_parallel(work, len(points)):
        stopped += code != 0
        check_survived(template, root)
    assert stopped


stop_killed = partial(stop_at_calls, how=KILL)
stop_refused = partial(stop_at_calls, how="error=EIO")


@strace.needed
def test_killed_at_chosen_calls(template: Path, log: Path, tmp_path: Path) -> None:
    """Killed at a sync, rename, link or unlink, it leaves a lake that is as before or as after."""
    stop_killed(template, log, tmp_path, most=1)


@strace.needed
@pytest.mark.soak
def test_killed_at_every_call(template: Path, log: Path, tmp_path: Path) -> None:
    """The same at every such call."""
    stop_killed(template, log, tmp_path, most=10_000)


@strace.needed
@pytest.mark.soak
def test_the_disk_refuses_every_call(template: Path, log: Path, tmp_path: Path) -> None:
    """Where the disk refuses a call there is one clear error, and the same holds."""
    stop_refused(template, log, tmp_path, most=10_000)
