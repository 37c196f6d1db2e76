"""Files of reports: each written whole or not at all, and never over other bytes of its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import open_file
from auditlake.errors import ReportError
from auditlake.forms.model import FormOptions, Judgement
from auditlake.forms.table import FORMS, rendered

FORMATS = ("json", "html")
"""The forms that are written unless others are asked for."""
_PIECE = 1 << 20
"""How many bytes of a file are compared at a time."""


class TakenError(ReportError):
    """There is a file of that name with other bytes."""


def write_once(path: Path, data: bytes) -> None:
    """Write a new file, whole or not at all; a file of that name with the same bytes is left as it is.

    Raises:
        TakenError: There is one with other bytes.
        ReportError: The folder cannot be written to.
    """
    _write(path, data, over=False)
    if not _has(path, data):
        message = f"{path} exists with other bytes, and a report is never overwritten"
        raise TakenError(message, hint="name another folder with --out")


def _write(path: Path, data: bytes, *, over: bool) -> None:
    try:
        make_folders(path.parent, below=Path(path.anchor))
    except FileExistsError as error:  # a file, or a link to nothing
        there = error.filename or path.parent
        raise ReportError(f"{there} is there and no folder", hint="name another with --out") from error
    except OSError as error:
        raise ReportError(f"the folder {path.parent} cannot be made: {error.strerror or error}") from error
    try:
        write_whole(path, data, over=over)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error


def write_over(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files into a folder by their names, each whole or not at all, over what has its name."""
    for name, data in files.items():
        _write(folder / name, data, over=True)
    return tuple(folder / name for name in files)


def write_files(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files into a folder, by their names."""
    for name, data in files.items():
        write_once(folder / name, data)
    return tuple(folder / name for name in files)


def is_free(folder: Path, files: Mapping[str, bytes], json: bytes, judgement: Judgement, options: FormOptions) -> bool:
    """Return whether a report's name is free in a folder, or its own, of which some files may be there already.

    Args:
        folder: The folder.
        files: What is to be written.
        json: The report's JSON, whether or not it is to be written: where it is there, the name is its own.
        judgement: The report as forms have it; its stem is the name.
        options: What forms are asked for.
    """
    stem = judgement.stem
    there = {f"{stem}.{form.ending}": form for form in FORMS if os.path.lexists(folder / f"{stem}.{form.ending}")}

    def is_same(name: str) -> bool:
        form, own = there[name], {f"{stem}.json": json, **files}
        if name not in own and form.file is not None:
            own[name] = rendered(form.name, judgement, options)
        return name in own and _has(folder / name, own[name])

    deciding = {f"{stem}.json"} & there.keys() or there.keys()
    return all(map(is_same, deciding | (there.keys() & files.keys())))


def _has(path: Path, data: bytes) -> bool:
    """Return whether a file has these bytes. It is read a piece at a time, since a list of all findings is large."""
    try:
        with open_file(path, within=path.parent) as file:
            return all(file.read(_PIECE) == data[at : at + _PIECE] for at in range(0, len(data) + 1, _PIECE))
    except OSError:
        return False
