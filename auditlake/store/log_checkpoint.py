"""Checkpoints of the Delta log, so that opening the table does not replay every entry since the beginning.

delta-rs writes a checkpoint under its final name and syncs nothing, and a torn one makes the table unreadable. So it
is written into a copy of the log in ``.staging``, compared with what the entries say, synced, and renamed into place;
only then ``_last_checkpoint`` names it. No log entry is ever removed: old snapshots are read as before.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.disk.lock import workspace
from auditlake.engine.paths import for_delta
from auditlake.errors import AuditLakeError, LakeFormatError
from auditlake.storage.lake import storage_of
from auditlake.storage.model import found
from auditlake.store.deltalog import keep_summary

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

EVERY = 50
"""How many log entries a reader has to replay at most."""
LARGE = 1_000_000
"""Bytes of an entry that a reader need not replay at all: two thousand files take as long as all else of a commit."""


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

    copy, alone = copied_log(layout, folder / "copy", version), Layout(folder / "alone")
    replayed = DeltaTable(for_delta(copy.events))
    replayed.create_checkpoint()
    made, pointer = copy.delta_checkpoint(version), copy.delta_pointer
    alone.log.mkdir(parents=True)
    shutil.copyfile(made, alone.delta_checkpoint(version))
    if _live(DeltaTable(for_delta(alone.events))) != _live(replayed):
        raise LakeFormatError(f"the checkpoint of version {version} does not say what the log entries say")
    storage, name = storage_of(layout), layout.name(layout.delta_pointer)
    if storage.create({layout.name(layout.delta_checkpoint(version)): made}):
        return  # the pointer may name the one that is there, so that stays: a later version gets its own
    storage.swap(name, pointer.read_bytes(), found(storage, name))


def copied_log(layout: Layout, root: Path, version: int) -> Layout:
    """Copy the last checkpoint and the entries from there to a version, as the log of a lake at ``root``."""
    last, copy = last_checkpoint(layout), Layout(root)
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
