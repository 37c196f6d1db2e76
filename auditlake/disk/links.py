"""Links in a lake are refused: one would lead reads and deletions to folders that are not the lake's."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditlake.disk.files import kind_of
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError

LINK = "this is a symbolic link, and nothing that a lake owns is one"
LOCK = "lock"
"""The file in a slot of the landing that its writer holds."""
SLOT = re.compile(r"(\d{2}|[1-9]\d{2,})\Z", re.ASCII)
"""The name of a slot's folder."""
SEGMENT = re.compile(r"(\d{10})\.jsonl\Z", re.ASCII)
"""The name of a segment's file."""
_MORE = ("findings", "alerts", "queries", "runs", "set-aside", "sources", "packs", ".ids", ".remembered",
         ".summaries")  # fmt: skip
"""Folders that are made when there is something for them."""


def links(layout: Layout) -> Iterator[Path]:
    """Give every folder of a lake that is a link, and every link within those that hold folders of their own.

    The lake's own folder may be one: its path is what the caller says. So may the private key, which lake.toml may
    keep anywhere.
    """
    folders = [*layout.folders, *(layout.root / name for name in _MORE)]
    yield from (folder for folder in folders if folder.is_symlink())
    for folder in (layout.events, layout.ledger):
        yield from (path for path in _links_below(folder) if path != layout.ledger / "key")


def refuse_links(layout: Layout) -> None:
    """Refuse a lake of which a folder is a link.

    Raises:
        LakeFormatError: One is.
    """
    if (link := next(links(layout), None)) is not None:
        message = f"{link}: {LINK}"
        hint = "put the folder itself there, or let the path of the whole lake be a link"
        raise LakeFormatError(message, hint=hint)


def strangers(layout: Layout) -> Iterator[tuple[Path, str]]:
    """Give what has the name of a slot, of a segment or of a slot's lock and is none, with what it is in words.

    Readers of the landing refuse it: an answer without what a link hides would leave events out in silence.
    """
    for folder in sorted(path for path in _entries(layout.landing) if SLOT.match(path.name)):
        if not stat.S_ISDIR(mode := folder.lstat().st_mode):
            yield folder, f"this is {kind_of(mode)}, expected a folder"
            continue
        for path in sorted(_entries(folder)):
            with suppress(FileNotFoundError):  # a flush has removed it
                is_own = path.name == LOCK or SEGMENT.match(path.name)
                if is_own and not stat.S_ISREG(mode := path.lstat().st_mode):
                    yield path, f"this is {kind_of(mode)}, expected a regular file"


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, PermissionError):
        yield from folder.iterdir()


def _links_below(folder: Path) -> Iterator[Path]:
    """Yield links among the folders below one; data files and log entries are checked when they are read."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in ordered:
        if entry.is_symlink():
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith(("event_date=", "_delta_log")):
            yield from _links_below(Path(entry.path))
