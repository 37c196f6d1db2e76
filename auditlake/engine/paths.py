"""Spell the folders and files of a lake for programs that read some characters of a path as something else.

DuckDB takes ``[``, ``*`` and ``?`` for a pattern, which no spelling undoes in every case. delta-rs takes ``%41`` for
``A`` and a backslash for a separator, and refuses control characters. Such a path is reached by a link that lies in the
folder for temporary files, as long as this process lives.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

from auditlake.errors import LakeError
from auditlake.storage.ranges import BUCKETS

_PATTERN = re.compile(r"[\[*?]")
"""What DuckDB takes for a pattern."""
_NOT_FOR_DELTA = re.compile(r"[\\\x00-\x1f\x7f]|%[0-9a-fA-F]{2}")
"""What delta-rs reads as something else in a path, or not at all."""
_NO_PATTERN = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})

_links: dict[tuple[int, Path], Path] = {}
"""The links of each process to folders."""


def check_path(path: Path) -> None:
    """Refuse a path that cannot be text.

    Raises:
        LakeError: Its bytes are no UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        message = f"a lake cannot lie at {str(path)!r}: the path's bytes are no UTF-8"
        raise LakeError(message, hint="choose another folder, or reach it by a symbolic link") from error


def has_pattern(path: str) -> bool:
    """Return whether DuckDB would take a path for a pattern."""
    return _PATTERN.search(path) is not None


def no_pattern(path: Path) -> str:
    """Return a path spelled for a DuckDB elsewhere, so that it is no pattern.

    Here :func:`for_duckdb` is better: with a backslash in the path too, DuckDB finds nothing by this spelling.
    """
    return str(path).translate(_NO_PATTERN)


def all_for_duckdb(files: Sequence[Path | str]) -> list[str]:
    """Return paths by which the DuckDB of this process reads exactly these data files, which are of one lake.

    Those of a lake in a bucket that this host has no copy of are fetched, or read by ranges where they are.

    Raises:
        OSError: One is not there, or not what its name says.
    """
    bucket = BUCKETS.get(Path(*Path(files[0]).parts[:-3])) if files else None
    plain = [*map(str, files)]
    if bucket is None and not has_pattern("\0".join(plain)):
        return plain  # a Path for each would take ten times longer
    paths = [*map(Path, files)]
    addresses = bucket.addresses(paths) if bucket else {}
    return [addresses.get(path) or for_duckdb(path) for path in paths]


def for_duckdb(file: Path) -> str:
    """Return a path by which the DuckDB of this process reads exactly this file."""
    if not has_pattern(str(file)):
        return str(file)
    return no_pattern(_link(file.parents[1], "folder") / file.parent.name / file.name)


def for_delta(table: Path) -> str:
    """Return a path by which delta-rs finds exactly this Delta table's log, which must be there.

    Raises:
        LakeError: The path is not for delta-rs, and neither is that of the folder for temporary files.
    """
    real = os.path.realpath(table)  # delta-rs follows links before it reads the path
    if not _NOT_FOR_DELTA.search(real):
        return str(table)
    place = os.path.realpath(_link(Path(real, "_delta_log"), "_delta_log").parent)
    if wrong := _NOT_FOR_DELTA.search(place):
        message = f"the Delta table at {real!r} cannot be opened: delta-rs cannot address {wrong.group()!r} in a path"
        raise LakeError(message, hint="let TMPDIR name a folder with a plain path")
    return place


def _link(folder: Path, name: str) -> Path:
    """Return a link of a name to a folder; its own folder holds nothing else."""
    key = (os.getpid(), folder / name)
    link = _links.get(key)
    if link is None or not link.exists():
        _sweep()
        if not _links:
            atexit.register(_sweep, every=True)
        link = Path(mkdtemp(prefix="auditlake-"), name)
        link.symlink_to(folder.absolute())
        _links[key] = link
    return link


def _sweep(*, every: bool = False) -> None:
    """Remove this process's links whose folders are gone, or all of them."""
    for key, link in list(_links.items()):
        if key[0] == os.getpid() and (every or not link.exists()):
            shutil.rmtree(link.parent, ignore_errors=True)
            _links.pop(key, None)
