"""A disk that refuses: one clear error, nothing claimed, and the same again works once the disk does."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random

import pytest

from auditlake import AuditLakeError
from tests.soak import mostly
from tests.store import strace
from tests.store.lakes import (
    BEFORE,
    BOTH,
    check,
    check_orphans_go,
    cli,
    copied,
    expected,
    ids,
    made,
    opened,
    words,
    write_events,
)  # fmt: skip


def check_told(done: subprocess.CompletedProcess[str]) -> None:
    """Check that it says what failed in one line and perhaps a hint, after any lines of progress, and exits with 3."""
    assert done.returncode == 3, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    message = done.stderr[done.stderr.index("auditlake: ") :]
    assert len(message.splitlines()) <= 2


@pytest.fixture(scope="module")
def trace(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """For a verb, the calls of a run that nothing disturbs."""

    @cache
    def traced(verb: str) -> Path:
        folder = tmp_path_factory.mktemp("trace")
        counted = copied(files / "lake", folder / "counted")
        done = cli(counted, *words(verb, files), prefix=strace.traced(folder / "trace", strace.CALLS))
        assert done.returncode == 0, done.stderr
        return folder / "trace"

    return traced


def fail_at_calls(verb: str, calls: tuple[str, ...], files: Path, log: Path, tmp_path: Path, most: int) -> None:
    points = strace.evenly(strace.places(log, calls), most)

    def work(run: int) -> tuple[Path, subprocess.CompletedProcess[str]]:
        call, number = points[run]
        root = copied(files / "lake", tmp_path / f"lake{run}")
        return root, cli(root, *words(verb, files), prefix=strace.spoilt(call, number, "error=EIO"))

    with ThreadPoolExecutor(2) as pool:
        for root, done in pool.map(work, range(len(points))):
            if done.returncode:
                check_told(done)
            else:  # a draft that cannot be tidied away is no failure
                assert check(opened(root)) == expected(BOTH if verb == "ingest" else BEFORE)
            lake = opened(root)
            assert check(lake) in (expected(BEFORE), expected(BOTH))
            lake.ingest(files / "new.jsonl")
            assert check(lake) == expected(BOTH)
            check_orphans_go(lake)
            assert check(lake) == expected(BOTH)


@strace.needed
@pytest.mark.parametrize(("verb", "most"), mostly([("ingest", 1), ("compact", 1)], always=[("ingest", 1)]))
def test_failing_sync(verb: str, most: int, files: Path, trace: Callable[[str], Path], tmp_path: Path) -> None:
    """Where a sync fails, the verb says so, claims nothing, and the same again completes it exactly once."""
    fail_at_calls(verb, ("fsync",), files, trace(verb), tmp_path, most)


@strace.needed
def test_failing_call(files: Path, trace: Callable[[str], Path], tmp_path: Path) -> None:
    """The same where a rename, link, unlink or new folder fails."""
    others = tuple(call for call in strace.CALLS if call != "fsync")

    fail_at_calls("ingest", others, files, trace("ingest"), tmp_path, 1)


@strace.needed
@pytest.mark.soak
@pytest.mark.parametrize("verb", ["ingest", "compact"])
def test_failing_at_every_call(verb: str, files: Path, trace: Callable[[str], Path], tmp_path: Path) -> None:
    """The same for each single call."""
    fail_at_calls(verb, strace.CALLS, files, trace(verb), tmp_path, 10_000)


@strace.needed
def test_every_sync_fails_after_the_commit(files: Path, tmp_path: Path) -> None:
    """A log entry that has its name but whose name cannot be synced is not claimed; the events are there once."""
    root = copied(files / "lake", tmp_path / "lake")
    log = root / "events" / "_delta_log"

    # The first sync of the folder is that of what was there before.
    done = cli(root, *words("ingest", files), prefix=[*strace.spoilt("fsync", "2+", "error=EIO"), "-P", str(log)])

    check_told(done)
    assert "could not be made durable" in done.stderr
    assert check(opened(root)) == expected(BOTH)
    assert opened(root).ingest(files / "new.jsonl").landed == 0


# --- A full disk ---

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield folder
    gc.collect()  # what an ingest mapped into memory is closed with the object
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk but for so many bytes."""
    filler = folder / "filler"
    stat = os.statvfs(folder)
    filler.write_bytes(b"x" * max(0, stat.f_bavail * stat.f_frsize - leave))
    return filler


def big_events(path: Path) -> Path:
    """Events of one day that cannot be compressed to less than about a megabyte."""
    noise = Random(5)
    path.write_text("".join(
        f'{{"event_id": "x{n}", "event_type": "login", "timestamp": "2026-03-01T00:00:00Z", '
        f'"details": {{"noise": "{noise.randbytes(700).hex()}"}}}}\n'
        for n in range(1500)
    ))  # fmt: skip
    return path


def test_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """On a full disk an ingest fails with one clear error; the lake can be read, and works again when there is room."""
    lake = made(small_disk / "lake")
    lake.ingest(write_events(tmp_path / "first.jsonl", BEFORE))
    big = big_events(tmp_path / "big.jsonl")

    for leave in (0, MIB // 4, MIB):
        filler = fill(small_disk, leave)
        with pytest.raises(AuditLakeError, match=r"No space left|not enough space|full"):
            lake.ingest(big)
        assert check(opened(lake.layout.root)) == expected(BEFORE)
        filler.unlink()

    filler = fill(small_disk, MIB // 4)
    check_told(cli(lake.layout.root, "ingest", big))
    filler.unlink()
    assert lake.ingest(big).landed == 1500
    assert len(ids(lake)) == 1506


def test_full_disk_for_a_compaction(small_disk: Path, tmp_path: Path) -> None:
    """On a full disk a compaction fails with one clear error and changes nothing."""
    lake = made(small_disk / "lake")
    lake.ingest(big_events(tmp_path / "big.jsonl"))
    lake.ingest(write_events(tmp_path / "more.jsonl", range(4)))
    filler = fill(small_disk, MIB // 2)

    with pytest.raises(AuditLakeError, match=r"No space left|not enough space|full"):
        lake.compact(grace_seconds=0)
    assert len(check(opened(lake.layout.root))) == 1504
    assert lake.snapshot().version == 2

    filler.unlink()
    assert lake.compact(grace_seconds=0).days == 1
    assert len(check(opened(lake.layout.root))) == 1504
