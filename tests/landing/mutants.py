"""Writers that leave out one sync each: ``python -m tests.landing.mutants MUTANT VERB LAKE DURABILITY ARGUMENT...``.

The words after the mutant are those of ``tests.landing.worker``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

from auditlake.disk import durable
from auditlake.landing import slot
from auditlake.landing.trail import Trail
from tests.landing import worker


def sync_everything() -> None:
    """Change nothing."""


def sync_no_event() -> None:
    """Acknowledge events whose bytes may still be in memory only."""
    Trail.__init__ = partialmethod(Trail.__init__, sync=lambda _: None)  # type: ignore[assignment, method-assign]


def sync_no_folder() -> None:
    """Make files and folders whose names may still be in memory only."""
    _sync_folders_where(lambda _: False)


def sync_no_folder_but_the_slot() -> None:
    """Sync the names of segments, and not those of the folders above them."""
    _sync_folders_where(lambda folder: folder.name == "00")


def sync_no_folder_after_the_first_segment() -> None:
    """Sync the name of a slot's first segment, and not those of the next ones."""
    real = slot.Slot.begin

    def begin(room: slot.Slot, *arguments: object) -> object:
        if room._last:
            _sync_folders_where(lambda _: False)
        return real(room, *arguments)  # type: ignore[arg-type]

    slot.Slot.begin = begin  # type: ignore[method-assign]


def _sync_folders_where(wanted: Callable[[Path], bool]) -> None:
    real = durable.sync_folder

    def sync_folder(folder: Path) -> None:
        if wanted(folder):
            real(folder)

    durable.sync_folder = slot.sync_folder = sync_folder


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    worker.main(sys.argv[2:])
