"""Files of reports: each written whole or not at all, and never over other bytes of its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import read_file
from auditlake.errors import ReportError

FORMATS = ("json", "html")


class TakenError(ReportError):
    """There is a file of that name with other bytes."""


def write_once(path: Path, data: bytes) -> None:
    """Write a new file, whole or not at all; a file of that name with the same bytes is left as it is.

    Raises:
        TakenError: There is one with other bytes.
        ReportError: The folder cannot be written to.
    """
    try:
        make_folders(path.parent, below=Path(path.anchor))
    except FileExistsError as error:  # a file, or a link to nothing
        raise ReportError(f"{path.parent} is there and no folder", hint="name another with --out") from error
    except OSError as error:
        raise ReportError(f"the folder {path.parent} cannot be made: {error.strerror or error}") from error
    try:
        write_whole(path, data, over=False)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    if not _has(path, data):
        message = f"{path} exists with other bytes, and a report is never overwritten"
        raise TakenError(message, hint="name another folder with --out")


def write_files(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files into a folder, by their names."""
    for name, data in files.items():
        write_once(folder / name, data)
    return tuple(folder / name for name in files)


def is_free(folder: Path, stem: str, files: Mapping[str, bytes]) -> bool:
    """Return whether a name is free in a folder, or that of these files, of which some may be missing."""
    named = {name for name in files if name.startswith(f"{stem}.")}  # a list of all findings has a name of its own
    there = {name for name in (f"{stem}.{form}" for form in FORMATS) if os.path.lexists(folder / name)}
    ours = {name for name in there & named if _has(folder / name, files[name])}
    return not there or (f"{stem}.json" in ours and there & named == ours) or there == ours == named


def _has(path: Path, data: bytes) -> bool:
    try:
        return read_file(path, within=path.parent) == data
    except OSError:
        return False
