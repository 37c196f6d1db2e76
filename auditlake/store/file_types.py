"""Which event types the files of the table hold: tags in the log, which delta-rs keeps and does not give out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import orjson

from auditlake.disk.files import is_file, open_file, read_file
from auditlake.disk.layout import Layout
from auditlake.storage.lake import storage_of
from auditlake.store.model import DataFile, Snapshot

T = TypeVar("T")
_PLAIN = re.compile(r"[\w=/.-]+", re.ASCII)
TYPES_TAG = "auditlake.types"
"""The tag of a file's action: a JSON object of the event types in it with how many events each has."""


def with_types(layout: Layout, snapshot: Snapshot) -> Snapshot:
    """Return a snapshot whose files say which event types they hold, as far as the log does."""
    unknown = frozenset(file.path for file in snapshot.files if file.types is None)
    known = file_types(layout, snapshot.version, only=unknown) if unknown else {}
    files = tuple(
        file if file.types is not None else replace(file, types=known.get(file.path)) for file in snapshot.files
    )
    return replace(snapshot, files=files)


def types_in(layout: Layout, file: DataFile) -> tuple[tuple[str, int], ...] | None:
    """Return the event types in a file, sorted, with how many events each has, from the file itself.

    None where it cannot be read, or has an event without a type.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    with suppress(OSError, ArrowException, KeyError):
        (path,) = storage_of(layout).local([layout.name(layout.events / file.path)])
        with open_file(Path(path), within=layout.root) as data:
            column = ParquetFile(data).read(["event_type"], use_threads=False)["event_type"]
        if not column.null_count:
            return tuple(sorted((each["values"], each["counts"]) for each in column.value_counts().to_pylist()))
    return None


def file_types(
    layout: Layout, version: int, *, only: Collection[str] | None = None
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return the event types in files of a version, sorted, with how many events each has.

    Files that another program or an earlier version added are not in it; such that are gone may be. What cannot be read
    is left out: then more files are read than need be.

    Args:
        layout: The lake.
        version: The version.
        only: Only those of these files, by path; of all if None.
    """
    return _said(layout, version, lambda types: tuple(sorted(types.items())), only)


def type_names(layout: Layout, version: int) -> dict[str, frozenset[str]]:
    """Return the event types in files of a version, as :func:`file_types` does; files with the same share one set."""
    sets: dict[frozenset[str], frozenset[str]] = {}

    def names(types: Mapping[str, int]) -> frozenset[str]:
        found = frozenset(types)
        return sets.setdefault(found, found)

    return _said(layout, version, names)


def _said(
    layout: Layout, version: int, take: Callable[[Mapping[str, int]], T], only: Collection[str] | None = None
) -> dict[str, T]:
    """Return what is made of the tag of each file."""
    if only is not None and not all(map(_PLAIN.fullmatch, only)):
        only = None  # the log spells such names in another way
    checkpoint = _checkpoint_before(layout, version)
    found: dict[str, T] = {}
    for each in range(0 if checkpoint is None else checkpoint, version + 1):
        adds = _in_checkpoint(layout, each, only) if each == checkpoint else _in_entry(layout, each, only)
        for path, tags in adds:
            found.pop(path, None)
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                if (types := _types(dict(tags)[TYPES_TAG])) is not None:
                    found[path] = take(types)
    return found


def _types(tag: str) -> Mapping[str, int] | None:
    """Return what a tag says; None where that is no object of names to whole numbers: then the types are unknown."""
    types = orjson.loads(tag)
    is_one = isinstance(types, dict) and {*map(type, types.values())} <= {int} and min(types.values(), default=0) >= 0
    return types if is_one else None


def _checkpoint_before(layout: Layout, version: int) -> int | None:
    """Return the newest checkpoint of the log that is not later than a version."""
    ending = ".checkpoint.parquet"
    names = (path.name.removesuffix(ending) for path in layout.log.glob(f"*{ending}"))
    there = [int(name) for name in names if name.isdecimal() and int(name) <= version]
    usable = (
        each for each in sorted(there, reverse=True) if is_file(layout.delta_checkpoint(each), within=layout.root)
    )
    return next(usable, None)


def _in_checkpoint(layout: Layout, version: int, only: Collection[str] | None) -> list[tuple[str, Any]]:
    from pyarrow import ArrowException, array, compute, string
    from pyarrow.parquet import ParquetFile

    with (
        suppress(OSError, ArrowException, ValueError, KeyError),
        open_file(layout.delta_checkpoint(version), within=layout.root) as file,
    ):
        adds = ParquetFile(file).read(["add.path", "add.tags"], use_threads=False)["add"].combine_chunks()
        if only is not None:
            adds = adds.filter(compute.is_in(adds.field("path"), array([*only], string())))
        paths, tags = adds.field("path").to_pylist(), adds.field("tags").to_pylist()
        return [(unquote(path), own or ()) for path, own in zip(paths, tags, strict=True) if path]  # else no add
    return []


def _in_entry(layout: Layout, version: int, only: Collection[str] | None) -> list[tuple[str, Mapping[str, Any]]]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = read_file(layout.commit(version), within=layout.root)
        lines = (line for line in data.splitlines() if line.startswith(b'{"add":'))
        adds = [
            orjson.loads(line)["add"]
            for line in lines
            if only is None or unquote(line[16 : line.index(b'"', 16)].decode()) in only
        ]
        return [(unquote(add["path"]), add.get("tags") or {}) for add in adds]
    return []
