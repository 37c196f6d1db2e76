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

from auditlake.disk.durable import rename_synced, sync_file
from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import workspace
from auditlake.disk.rights import give
from auditlake.engine.paths import for_delta
from auditlake.errors import AuditLakeError, LakeFormatError
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
        version = int(json.loads(read_file(layout.delta_pointer, within=layout.root))["version"])
        if is_file(layout.delta_checkpoint(version), within=layout.root):
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
    for path in (made, pointer):
        give(path, path)
        sync_file(path)
    rename_synced([(made, layout.delta_checkpoint(version))])
    rename_synced([(pointer, layout.delta_pointer)])


def copied_log(layout: Layout, root: Path, version: int) -> Layout:
    """Copy the last checkpoint and the entries from there to a version, as the log of a lake at ``root``."""
    last, copy = last_checkpoint(layout), Layout(root)
    copy.log.mkdir(parents=True)
    if last:
        shutil.copyfile(layout.delta_checkpoint(last), copy.delta_checkpoint(last))
    for number in range(last, version + 1):
        shutil.copyfile(layout.commit(number), copy.commit(number))
    return copy


def _live(table: DeltaTable) -> tuple[int, pa.Table]:
    """Return the version and the files of a table."""
    import pyarrow as pa

    actions = pa.table(table.get_add_actions())
    return table.version(), actions.select(["path", "size_bytes", "num_records"]).sort_by("path")
