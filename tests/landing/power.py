"""A disk whose power can be cut, and what writes to a lake on it: ``python -m tests.landing.power LAKE TOLD``.

The disk is an ext4 in an image, mounted through a loop device. The cut is ext4's own emergency exit, at whatever moment
and in the middle of whatever call: from then on nothing more gets to the image but what was on its way to it, not even
the journal. Mounted again, the disk has what it would have after a power cut: what was synced, and of all else whatever
happened to be written by then.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from auditlake.errors import AuditLakeError
from tests.landing.flushing import opened
from tests.landing.lakes import event, trail

_SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125
"""``EXT4_IOC_SHUTDOWN``, ``_IOR('X', 125, __u32)``."""
_NO_JOURNAL = 2
"""``EXT4_GOING_FLAGS_NOLOGFLUSH``: what is in the journal's memory is lost too."""
THREADS = 3


class Disk:
    """An ext4 of 64 MiB, for root only.

    Nothing is written by the way, or what was never synced could be there by luck: the journal is not committed by
    time, what is closed or renamed is not written for being so, and no cut is as late as the kernel writes old pages.

    Args:
        folder: Where its image lies and where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.root = folder / "disk"
        """Where it is mounted."""
        self._image = folder / "image"
        self.root.mkdir()
        with self._image.open("wb") as file:
            file.truncate(64 << 20)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self._image)

    def mount(self) -> None:
        """Put it in its place; after a cut the kernel replays the journal."""
        _run("mount", "-o", "loop,commit=3600,noauto_da_alloc", self._image, self.root)

    def cut(self) -> None:
        """Cut the power, now."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_JOURNAL))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        """Take it away; after a cut, with all that only the memory had."""
        _run("umount", self.root)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """An empty disk in its place; the test is skipped where there can be none."""
    made = Disk(folder)
    try:
        made.mount()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no power to cut: a disk cannot be mounted here: {error.stderr.strip()}")
    yield made
    with suppress(subprocess.CalledProcessError):
        made.unmount()


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)


def why_not() -> str:
    """Why there can be no such disk here; empty if there can."""
    if os.geteuid() != 0:
        return "only root may mount a disk"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices here"
    try:
        _run("mkfs.ext4", "-V")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"there is no mkfs.ext4 here: {error}"
    return ""


def work(lake_path: Path, told: Path) -> None:
    """Log from threads, flush and compact all the while; what is acknowledged or committed is told at once."""
    lake = opened(lake_path)
    lake.flush()  # what the last cut has left, and everything that is slow to import
    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    logged = trail(lake.layout, segment_bytes=4000)

    def log(thread: int) -> None:
        number = 0
        while True:
            number += 1
            several = [event(thread, session_id=str(number))] * (1 + number % 2)
            os.write(descriptor, "".join(f"{each}\n" for each in logged.log_many(several)).encode())
            time.sleep(0.01)  # or a flush would never be done with what has come

    def flush_and_compact() -> None:
        while True:
            for keep in (lake.flush, partial(lake.compact, grace_seconds=0)):
                os.write(descriptor, f"version {keep().snapshot}\n".encode())
            time.sleep(0.02)

    def until_refused(act: object, *words: int) -> None:
        try:
            act(*words)  # type: ignore[operator]
        except (AuditLakeError, OSError) as error:
            os.write(descriptor, f"refused {type(error).__name__}\n".encode())

    threads = [Thread(target=until_refused, args=(log, number)) for number in range(THREADS)]
    threads.append(Thread(target=until_refused, args=(flush_and_compact,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # no pool of threads can work in an interpreter that is about to end


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]))
