"""Power cuts in the middle of a deletion or an erasure: run again, it ends in the same state, and all verifies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from auditlake import AuditLake
from tests.landing.power import mounted, why_not
from tests.retention.lakes import Clock
from tests.retention.power import VERBS, build, state, work
from tests.retention.test_kills import check_certificates
from tests.soak import mostly
from tests.store.lakes import copied, data_files
from tests.waiting import processor_time, until

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no power to cut: {why_not()}")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake that is worked on."""
    root = tmp_path_factory.mktemp("power") / "lake"
    build(root)
    return root


def command(root: Path, verb: str, told: Path) -> list[str]:
    """Return the words that run the program."""
    return [sys.executable, "-m", "tests.retention.power", str(root), verb, str(told)]


def ticks(told: Path) -> list[int]:
    """Return the processor time of the program's lines so far."""
    return [int(line.split()[1]) for line in told.read_text().splitlines()] if told.exists() else []


@contextmanager
def working(root: Path, verb: str, told: Path, work_ticks: float) -> Iterator[None]:
    """Let the program work until it has used so much processor time, or is done; kill it after the context."""
    told.unlink(missing_ok=True)
    with subprocess.Popen(command(root, verb, told), stderr=subprocess.PIPE, text=True) as process:

        def is_far_enough() -> bool:
            if process.poll() is not None:
                assert process.returncode == 0, process.stderr and process.stderr.read()
                return True
            begun = ticks(told)
            return bool(begun) and processor_time(process.pid) >= begun[0] + work_ticks

        try:
            until(is_far_enough)
            yield
        finally:
            process.kill()


def ticks_of(root: Path, verb: str, told: Path) -> int:
    """Return the processor time of the whole work."""
    subprocess.run(command(root, verb, told), check=True)
    begun, done = ticks(told)
    return done - begun


def check_after_cut(root: Path, verb: str, before: dict[str, object], after: dict[str, object]) -> bool:
    """All of the events' changes are there, or none; the same again ends where it would have ended. Was it done?"""
    rows = state(root)["rows"]
    assert rows in (before["rows"], after["rows"])
    work(root, verb)
    assert state(root) == after
    lake = AuditLake(root, clock=Clock())
    assert data_files(lake) == {file.path for file in lake.snapshot().files}
    assert not list(lake.layout.staging.iterdir())
    check_certificates(lake)
    assert len(list(lake.layout.certificates.glob("*.json"))) == 2  # of the lake's making, and of this
    report = lake.ledger.verify()
    assert report.ok, report.problems
    return rows == after["rows"]


def cut_again_and_again(verb: str, cuts: int, seed: int, template: Path, tmp_path: Path) -> None:
    """One lake after the other that loses power on its way, at any moment of it."""
    before = state(template)
    done = copied(template, tmp_path / "done")
    usual = ticks_of(done, verb, told := tmp_path / "told")
    after = state(done)
    assert before["rows"] != after["rows"]
    seeded, finished = Random(seed), 0
    with mounted(tmp_path / "power") as disk:
        for cut in range(cuts):
            shutil.rmtree(disk.root / "lake", ignore_errors=True)
            copied(template, disk.root / "lake")
            disk.unmount()
            disk.mount()
            with working(disk.root / "lake", verb, told, usual * 1.2 * (cut + seeded.random()) / cuts):
                disk.cut()
            disk.unmount()
            disk.mount()
            finished += check_after_cut(disk.root / "lake", verb, before, after)
    print(f"{verb}: {finished} of {cuts} had been committed before the cut")


@pytest.mark.parametrize("verb", mostly(VERBS, always=["erase"]))
def test_power_cuts(verb: str, template: Path, tmp_path: Path) -> None:
    """After a power cut at any moment the lake opens, and running it again ends in the same state."""
    cut_again_and_again(verb, 1, 5, template, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("seed", range(4))
def test_many_power_cuts(seed: int, verb: str, template: Path, tmp_path: Path) -> None:
    """The same two hundred times."""
    cut_again_and_again(verb, 25, 100 + seed, template, tmp_path)
