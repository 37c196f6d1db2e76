"""One law for all: a folder, stores in memory and in a folder, and servers behind one that spoils requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from obstore.store import LocalStore, MemoryStore

from auditlake.disk.layout import Layout
from auditlake.storage.disk import Disk
from auditlake.storage.mirror import Mirror
from auditlake.storage.model import Storage
from auditlake.storage.objects import ObjectStore
from tests.bench.bucket import Bucket, served
from tests.soak import mostly
from tests.storage.conftest import TRIES, Proxy, Time, object_store
from tests.storage.law import Law

Make = Callable[[Path], Storage | ObjectStore]


def in_folder(folder: Path) -> ObjectStore:
    (folder / "store").mkdir()
    return ObjectStore(LocalStore(folder / "store"), "file://", clock=(time := Time()), sleep=time.sleep)


def with_a_copy(folder: Path) -> Storage:
    (folder / "copy").mkdir()
    objects = ObjectStore(MemoryStore(), "memory://", clock=(time := Time()), sleep=time.sleep)
    return Mirror(Layout(folder / "copy"), objects)


def on_disk(folder: Path) -> Storage:
    (folder / "lake").mkdir()
    return Disk(folder / "lake")


def obey(make: Callable[[Path], Law], examples: int, steps: int) -> None:
    """Let a machine look for calls after which a storage says what the law does not allow."""
    folders = []

    def machine() -> Law:
        folders.append(TemporaryDirectory())
        return make(Path(folders[-1].name))

    try:
        run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps))
    finally:
        for folder in folders:
            folder.cleanup()


@pytest.mark.parametrize("examples", mostly([12, 1000], always=[12]))
@pytest.mark.parametrize("make", [on_disk, in_folder, with_a_copy])
def test_every_storage_obeys(make: Make, examples: int) -> None:
    """Every storage gives the same answers: nothing is made over another file, or replaced unseen, or lost."""
    obey(lambda folder: Law(make(folder), folder, can_swap=make is not in_folder), examples, 25)


@pytest.mark.parametrize("examples", mostly([6, 500], always=[6]))
def test_the_server_of_the_bench_obeys(monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    """The server of S3 by which hosts are measured answers as any other."""
    with served(Bucket()) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        obey(lambda folder: Law(object_store(Time(), f"s3://lakes/{folder.name}"), folder), examples, 25)


@pytest.mark.parametrize("examples", mostly([2, 500], always=[2]))
def test_lost_answers_change_nothing(proxy: Proxy, examples: int) -> None:
    """Whatever becomes of requests, each name holds what it held or what it was to hold, whole; and no call goes on
    for ever.
    """
    obey(lambda folder: spoilt_by(proxy, folder), examples, 12)


def spoilt_by(proxy: Proxy, folder: Path) -> Law:
    """A storage whose requests a server spoils and counts."""

    def spoil(faults: Sequence[str]) -> Callable[[int], None]:
        proxy.faults, proxy.requests = list(faults), []

        def check(names: int) -> None:
            proxy.faults = []
            assert len(proxy.requests) <= 2 * TRIES * max(names, 1)

        return check

    return Law(object_store(Time(), proxy), folder, spoil)


@pytest.mark.parametrize("faults", [["late"] * TRIES, ["late", "lost", "truncated"]])
def test_a_removal_that_comes_late(proxy: Proxy, faults: list[str], tmp_path: Path) -> None:
    """However often it was asked for, it comes before what is asked later, and takes nothing that is made anew."""
    law = spoilt_by(proxy, tmp_path)
    law.create({"log-a": b"a"}, as_files=False, faults=())
    law.remove({"log-a"}, faults)
    for data in (b"b", b"a"):
        law.create({"log-a": data}, as_files=False, faults=["truncated"])
    law.teardown()
