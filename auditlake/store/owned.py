"""What a lake owns is no link: one would lead reads, and what is deleted, to folders that are somebody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from auditlake.errors import LakeFormatError
from auditlake.store.layout import Layout

LINK = "this is a symbolic link, and nothing that a lake owns is one"
_MORE = ("findings", "alerts", "queries", "set-aside")
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
    if (found := next(links(layout), None)) is not None:
        message = f"{found}: {LINK}"
        hint = "put the folder itself there, or let the path of the whole lake be a link"
        raise LakeFormatError(message, hint=hint)


def _links_below(folder: Path) -> Iterator[Path]:
    """Links among the folders below one; data files and log entries are looked at when they are read."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if entry.is_symlink():
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith(("event_date=", "_delta_log")):
            yield from _links_below(Path(entry.path))
