"""What all tests share: none fails because the machine is busy, or because it was started in the background."""

import gc
import os
import re
import signal
from collections.abc import Generator, Iterator
from dataclasses import fields
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from auditlake.alerts import watch
from auditlake.engine import duck
from auditlake.landing.trail import TrailOptions
from tests.waiting import HANG_SECONDS

settings.register_profile("auditlake", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("auditlake"), max_examples=200)
settings.load_profile("auditlake")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that is not interactive starts what it puts into the background so, and children inherit it: what a test
    # sends as Ctrl-C would be lost, here and in every process that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep modules and cases, which stay to the end, out of the garbage collector's way: a look through takes 0.4 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let what stayed to the end go as usual: libraries look for what was forgotten."""
    gc.unfreeze()


_NUMBERS = count()


@pytest.fixture(scope="module")
def folder_of_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests of a module have their folders."""
    return tmp_path_factory.mktemp("tests")


@pytest.fixture
def tmp_path(folder_of_module: Path, request: pytest.FixtureRequest) -> Path:
    """Make a folder for a test; pytest's own fixture looks through the folders of all tests before it for a number."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    (folder := folder_of_module / f"{name}{next(_NUMBERS)}").mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_waits_for_the_disk() -> Iterator[None]:
    """Look at a file that would be synced in this process: no test shows what a disk does after the call.

    Tests that show where the call is made, or that it fails, replace it too, or trace processes of their own.
    """

    def look(descriptor: int) -> None:
        os.fstat(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", look)
        yield


@pytest.fixture(scope="session", autouse=True)
def patient_evaluators() -> Iterator[None]:
    """Let who closes a trail wait until its alerts are raised: no test knows how busy the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "_CLOSE_SECONDS", HANG_SECONDS)
        patch.setattr(watch, "_END_SECONDS", HANG_SECONDS)
        yield


@pytest.fixture(scope="session", autouse=True)
def patient_flushes() -> Iterator[None]:
    """Flush what tests log when they say so: after a minute, which a busy machine takes, a trail does by itself."""
    names = [each.name for each in fields(TrailOptions)]
    values = TrailOptions.__init__.__defaults__ or ()
    patient = tuple(
        86_400 if name == "flush_seconds" else value for name, value in zip(names, values, strict=True)
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrailOptions.__init__, "__defaults__", patient)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_duckdb() -> Iterator[None]:
    """Keep the DuckDB that rows share from one question to the next: to open it takes as long as to answer a few."""
    held = duck.shared()
    yield
    del held
