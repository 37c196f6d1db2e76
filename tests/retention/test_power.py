"""Power cuts in the middle of a deletion or an erasure: run again, it ends in the same state, and all verifies."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
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
from tests.store.lakes import copied, data_files

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no power to cut: {why_not()}")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake that is worked on."""
    root = tmp_path_factory.mktemp("power") / "lake"
    build(root)
    return root


@contextmanager
def working(root: Path, verb: str, told: Path) -> Iterator[None]:
    """Let the program work; it has just begun in the context, and is killed at its end."""
    told.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.retention.power", str(root), verb, str(told)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not told.exists():
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.001)
            yield
        finally:
            process.kill()


def time_of(root: Path, verb: str, told: Path) -> float:
    """How long the program takes from its beginning to its end."""
    with working(root, verb, told):
        began = time.monotonic()
        while told.read_text() != "done":
            assert time.monotonic() < began + 60
            time.sleep(0.001)
        return time.monotonic() - began


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
    usual = time_of(done, verb, told := tmp_path / "told")
    after = state(done)
    assert before["rows"] != after["rows"]
    seeded, finished = Random(seed), 0
    with mounted(tmp_path / "power") as disk:
        for cut in range(cuts):
            shutil.rmtree(disk.root / "lake", ignore_errors=True)
            copied(template, disk.root / "lake")
            disk.unmount()
            disk.mount()
            with working(disk.root / "lake", verb, told):
                time.sleep(usual * 1.4 * (cut + seeded.random()) / cuts)
                disk.cut()
            disk.unmount()
            disk.mount()
            finished += check_after_cut(disk.root / "lake", verb, before, after)
    print(f"{verb}: {finished} of {cuts} had been committed before the cut")


@pytest.mark.parametrize("verb", VERBS)
def test_power_cuts(verb: str, template: Path, tmp_path: Path) -> None:
    """After a power cut at any moment the lake opens, and running it again ends in the same state."""
    cut_again_and_again(verb, 2, 5, template, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("seed", range(4))
def test_many_power_cuts(seed: int, verb: str, template: Path, tmp_path: Path) -> None:
    """The same two hundred times."""
    cut_again_and_again(verb, 25, 100 + seed, template, tmp_path)
