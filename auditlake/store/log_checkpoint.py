"""Checkpoints of the Delta log, so that opening the table does not replay every entry since the beginning.

delta-rs writes a checkpoint under its final name and syncs nothing, and a torn one makes the table unreadable. So it
is written into a copy of the log in ``.staging``, compared with what the entries say, synced, and renamed into place;
only then ``_last_checkpoint`` names it. No log entry is ever removed: old snapshots are read as before.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import orjson

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import workspace
from auditlake.engine.paths import for_delta
from auditlake.errors import AuditLakeError, LakeFormatError, LedgerError
from auditlake.ledger.in_force import entry_about
from auditlake.storage.lake import storage_of
from auditlake.storage.model import found
from auditlake.store.deltalog import keep_summary

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

EVERY = 50
"""How many log entries a reader has to replay at most."""
_REMEMBERED = 64
"""How many checkpoints a process knows that it has looked at."""
LARGE = 4_000_000
"""Bytes of an entry that a reader need not replay at all: those of fewer files, about five thousand, it replays as
quickly as it reads a checkpoint."""


def keep_checkpoint(layout: Layout, version: int) -> None:
    """Write a checkpoint of a version if the last one lies far behind it, or if its entry is large.

    The caller holds the lake's lock, and the entries up to the version are durable. This is maintenance: if it fails,
    the lake is as it was, and the next commit tries again.
    """
    last = last_checkpoint(layout)
    if version - last < EVERY and layout.commit(version).stat().st_size < LARGE:
        return
    from deltalake.exceptions import DeltaError

    with suppress(OSError, DeltaError, AuditLakeError, ValueError), workspace(layout.staging) as folder:
        _write(layout, folder, version)
        keep_summary(layout, version)


def last_checkpoint(layout: Layout) -> int:
    """Return the version of the last checkpoint that is there in one file; 0 if there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        storage = storage_of(layout)
        version = int(json.loads(storage.read(layout.name(layout.delta_pointer)))["version"])
        storage.local([layout.name(layout.delta_checkpoint(version))])
        return version
    return 0


def _write(layout: Layout, folder: Path, version: int) -> None:
    from deltalake import DeltaTable

    copy = copied_log(layout, folder / "copy", version)
    replayed = DeltaTable(for_delta(copy.events))
    replayed.create_checkpoint()
    made, pointer = copy.delta_checkpoint(version), copy.delta_pointer
    if not _says(made, folder, version, replayed):
        raise LakeFormatError(f"the checkpoint of version {version} does not say what the log entries say")
    storage, name = storage_of(layout), layout.name(layout.delta_pointer)
    if storage.create({layout.name(layout.delta_checkpoint(version)): made}):
        return  # the pointer may name the one that is there, so that stays: a later version gets its own
    storage.swap(name, pointer.read_bytes(), found(storage, name))


def check_checkpoint(layout: Layout, entries: Mapping[str, int], version: int) -> None:
    """Refuse a checkpoint from which readers of a version take its files, and which says others than the entries do.

    One that the ledger recorded is known by its SHA-256; the log is replayed for another one, once in a process.

    Args:
        layout: The lake.
        entries: The names of the log's entries and checkpoints.
        version: The version.

    Raises:
        LakeFormatError: It does.
        OSError: It, or the log, cannot be read.
    """
    made = sorted(int(name[:20]) for name in entries if name.endswith(".parquet") and int(name[:20]) <= version)
    if not made:
        return
    path = layout.delta_checkpoint(made[-1])
    if not _is_known(layout, *[0, *made][-2:], path.stat().st_mtime_ns):
        message = f"the checkpoint {path} does not say of the lake's files what the log's entries say"
        raise LakeFormatError(message, hint="auditlake doctor --repair sets it aside: nothing is lost with it")


@lru_cache(_REMEMBERED)
def _is_known(layout: Layout, before: int, version: int, _: int) -> bool:
    """Return whether the checkpoint of a version is the one that the ledger recorded, or says what the entries say."""
    from deltalake import DeltaTable

    path = layout.delta_checkpoint(version)
    with suppress(LedgerError, OSError):
        entry, digest = entry_about(layout, version + 1), sha256(read_file(path, within=layout.root)).hexdigest()
        if entry is not None and entry.details.get("delta_checkpoint", {}).get(path.name) == digest:
            return True
    with suppress(OSError, ValueError, KeyError, TypeError):  # of another form: delta-rs knows them all
        if _says_plainly(layout, before, version):
            return True
    with TemporaryDirectory(prefix="auditlake-") as folder:
        copy = copied_log(layout, Path(folder, "copy"), version, before)
        return _says(path, Path(folder), version, DeltaTable(for_delta(copy.events)))


def _says_plainly(layout: Layout, before: int, version: int) -> bool:
    """Return whether a checkpoint has the files of the one before it and of the entries since, all in our own form.

    It takes a tenth of the time that delta-rs takes to replay a log.
    """
    files = dict(_files(layout.delta_checkpoint(before))) if before else {}
    for number in range(before + 1 if before else 0, version + 1):
        for line in read_file(layout.commit(number), within=layout.root).splitlines():
            action = orjson.loads(line)
            if "remove" in action:
                del files[action["remove"]["path"]]
            elif "add" in action:
                added = action["add"]
                files[added["path"]] = (added["size"], added["stats"])
    return sorted(files.items()) == sorted(_files(layout.delta_checkpoint(version)))


def _files(checkpoint: Path) -> list[tuple[str, tuple[int, str]]]:
    """Return the path of each file of a checkpoint, its bytes and its statistics."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(checkpoint) as file:
        rows = file.read(columns=["add.path", "add.size", "add.stats"])["add"]
    added = (
        each for chunk in rows.chunks for each in zip(*(part.to_pylist() for part in chunk.flatten()), strict=True)
    )
    # None in the rows of other actions.
    return [(path, (size, stats)) for path, size, stats in added if path is not None]


def _says(made: Path, folder: Path, version: int, replayed: DeltaTable) -> bool:
    """Return whether a checkpoint alone gives the same files as a table, with a folder for it."""
    from deltalake import DeltaTable

    alone = Layout(folder / "alone")
    alone.log.mkdir(parents=True)
    shutil.copyfile(made, alone.delta_checkpoint(version))
    return _live(DeltaTable(for_delta(alone.events))) == _live(replayed)


def copied_log(layout: Layout, root: Path, version: int, last: int | None = None) -> Layout:
    """Copy a checkpoint, the last one if None, and the entries from there to a version, as the log of a lake."""
    last, copy = last_checkpoint(layout) if last is None else last, Layout(root)
    copy.log.mkdir(parents=True)
    paths = [copy.commit(number) for number in range(last, version + 1)]
    paths += [copy.delta_checkpoint(last)] if last else []
    for path, there in zip(paths, storage_of(layout).local(list(map(copy.name, paths))), strict=True):
        shutil.copyfile(there, path)
    return copy


def _live(table: DeltaTable) -> tuple[int, pa.Table]:
    """Return the version and the files of a table."""
    import pyarrow as pa

    actions = pa.table(table.get_add_actions())
    return table.version(), actions.select(["path", "size_bytes", "num_records"]).sort_by("path")
