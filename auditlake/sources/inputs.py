"""The inputs that the caller's paths stand for: each entry of a folder is one, or is left out and named."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from auditlake.errors import SourceError
from auditlake.sources.model import InputFile

HIDDEN = "its name begins with a dot"
A_LAKE = "a lake, which is never an input"
OF_A_LAKE = "it belongs to a lake, which is never an input"
MARKER = "a table's own note, which holds no records"
NO_FILE = "neither a file nor a folder"

LAKE = "lake.toml"
"""What makes a folder a lake."""
OWN = frozenset(
    ("alerts", "certificates", "events", "findings", "holds", "landing", "ledger", "packs", "policies", "quarantine",
     "queries", "reports", "runs", "set-aside", "collected.jsonl", "frameworks.yaml", "pseudonyms.key", "auditor.yaml",
     LAKE)
)  # fmt: skip
"""What a lake has in its folder, hidden entries apart; other folders in it may hold logs."""
MARKERS = re.compile(r"_SUCCESS|_metadata|_common_metadata|_delta_log|_(?:started|committed|corrupt)_\w+")
"""The notes that Spark and its relatives write to the folder of a table."""
OF_A_LAKES_OWN = re.compile(
    r"(?:^|/)(?:event_date=[^/]+/part-[0-9a-f]{64}\.parquet|quarantine/records-[0-9a-f]{64}\.jsonl|"
    r"landing/\d+/\d{10,}\.jsonl|lake\.toml|pseudonyms\.key)\Z"
)
"""How a path in an archive ends that a lake gives to its own files."""


class _Entry(NamedTuple):
    """Something that an argument stands for."""

    path: Path
    why: str
    """Why it is left out, or an empty text."""
    linked: bool = False
    """Whether a link led to it."""


def expand_inputs(args: Sequence[str | Path]) -> list[InputFile]:
    """Return the files that paths, folders, patterns and ``-`` stand for, in that order; each once.

    A folder stands for every file in it and below, sorted. What is not to be read there is in the list too, with the
    reason: hidden files and folders, links that lead nowhere or to what is read already, what is no file, the notes
    that lie with tables, and lakes with all that is theirs. Of a file and links to it, the one that was named itself
    is read, else the file. A pattern is only one where no file of that very name exists.

    Raises:
        SourceError: Something does not exist or cannot be read.
    """
    _lake_above.cache_clear()
    inputs: dict[str, InputFile] = {}
    links: set[str] = set()
    for arg in args:
        if str(arg) == "-":
            inputs.setdefault("-", InputFile("-", None))
            continue
        path = Path(arg)
        if os.path.lexists(path):
            paths = [path]
        elif glob.has_magic(str(arg)):
            paths = sorted(Path(match) for match in glob.glob(str(arg), recursive=True))
            if not paths:
                raise SourceError(f"no file matches {printable(path)}", hint="Check the pattern.")
        else:
            raise SourceError(f"{printable(path)} does not exist", hint="Give a file, a folder, a pattern, or - .")
        within = "" if paths == [path] and not path.is_dir() else printable(path)
        for each, why, linked in (entry for one in paths for entry in _entries(one, named=not within)):
            known = inputs.get(key := str(each.absolute()))
            if known is None or (known.within and not within):
                inputs[key] = InputFile(printable(each), each, within, why)
                links |= {key} if linked else set()
    return _each_once(inputs, links)


def _each_once(inputs: Mapping[str, InputFile], links: Collection[str]) -> list[InputFile]:
    """Return the same inputs, by their absolute paths; of those that are one file all but one are left out."""
    same: dict[str, list[str]] = {}
    for key, each in inputs.items():
        if each.path is not None and not each.left_out:
            same.setdefault(os.path.realpath(key), []).append(key)
    once = dict(inputs)
    for keys in same.values():
        read, *others = sorted(keys, key=lambda key: (bool(inputs[key].within), key in links))
        for key in others:
            once[key] = replace(inputs[key], left_out=f"the same file as {inputs[read].name}")
    return list(once.values())


def printable(path: Path) -> str:
    """Return a path as text that can always be printed and stored: odd bytes of a name as ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _entries(path: Path, *, named: bool) -> Iterator[_Entry]:
    """Yield the file itself, or what is in the folder."""
    try:
        if not named and not path.exists():
            yield _Entry(path, _leads_nowhere(path))
        elif path.is_dir():
            yield from [_Entry(path, why)] if (why := _of_a_lake(path)) else _walk(path)
        else:
            yield _Entry(path, _file(path, named=named), path.is_symlink())
    except OSError as error:
        raise unreadable(printable(path), error) from error


def _file(path: Path, *, named: bool) -> str:
    """Return why a file is left out, or an empty text.

    Raises:
        OSError: It cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise OSError(_leads_nowhere(path)) from error
    if why := _of_a_lake(path):
        return why
    if MARKERS.fullmatch(path.name):
        return MARKER
    if not (stat.S_ISREG(mode) or (named and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)))):
        if named:
            raise OSError("neither a file nor a pipe")
        return NO_FILE
    if not os.access(path, os.R_OK):
        raise PermissionError("permission denied")
    return ""


def _leads_nowhere(path: Path) -> str:
    return f"a link to {printable(path.readlink())}, which is not there" if path.is_symlink() else "it is gone"


def _walk(folder: Path) -> Iterator[_Entry]:
    """Yield what is in a folder and below. Links to folders come last: they may lead to a folder in here."""
    seen: dict[tuple[int, int], Path] = {}
    waiting, links = [(folder, folder.is_symlink())], deque[Path]()
    while waiting or links:
        at, linked = waiting.pop() if waiting else (links.popleft(), True)
        status = at.stat()
        # A link to a folder above would go round for ever.
        if (first := seen.setdefault((status.st_dev, status.st_ino), at)) is not at:
            yield _Entry(at, f"the same folder as {printable(first)}")
            continue
        paths = sorted(at.iterdir())
        folders = dict.fromkeys(path for path in paths if path.is_dir())
        left_out = {path: why for path in folders if (why := _left_out_folder(path))}
        yield from (_Entry(path, why) for path, why in left_out.items())
        inner = [path for path in folders if path not in left_out]
        links += [path for path in inner if path.is_symlink()]
        waiting += [(path, linked) for path in reversed(inner) if not path.is_symlink()]
        yield from (_of_folder(path, linked=linked) for path in paths if path not in folders)


def _of_folder(path: Path, *, linked: bool) -> _Entry:
    """Return a file of a folder as an entry; a link may have led to the folder."""
    if path.name.startswith("."):
        return _Entry(path, HIDDEN)
    if not path.exists():
        return _Entry(path, _leads_nowhere(path))
    return _Entry(path, _file(path, named=False), linked or path.is_symlink())


def _left_out_folder(path: Path) -> str:
    """Return why a folder in a folder is left out, or an empty text."""
    if path.name.startswith("."):
        return HIDDEN
    if MARKERS.fullmatch(path.name):
        return MARKER
    # Only a link can lead into a lake other than through its own folder.
    return _of_a_lake(path) if path.is_symlink() or os.path.lexists(path / LAKE) else ""


def _of_a_lake(path: Path) -> str:
    """Return why a path of a lake is not read, or an empty text; links do not hide that."""
    real = Path(os.path.realpath(path))
    if os.path.lexists(real / LAKE):
        return A_LAKE
    lake = _lake_above(real.parent)
    if lake is None:
        return ""
    first = real.relative_to(lake).parts[0]
    return OF_A_LAKE if first in OWN or first.startswith(".") else ""


@lru_cache(maxsize=4096)
def _lake_above(folder: Path) -> Path | None:
    """Return the innermost lake that a folder is or lies in."""
    if os.path.lexists(folder / LAKE):
        return folder
    return None if folder == folder.parent else _lake_above(folder.parent)


def unreadable(name: str, error: Exception) -> SourceError:
    """Return the error about an input that the system refuses."""
    why = getattr(error, "strerror", None) or str(error)
    return SourceError(f"{name} cannot be read: {why}", hint="Check that it is there and that you may read it.")
