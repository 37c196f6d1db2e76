"""The Delta log itself: what lies in it, and what a commit writes, statistics of files among it.

Only times have bounds. Readers such as Arrow's datasets take a column for which a file has no bounds as one of nulls
alone, so a filter on it finds nothing, unless the table says which columns have them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.files import check_folder, descriptor_of
from auditlake.disk.layout import Layout
from auditlake.engine.paths import for_delta
from auditlake.errors import LakeFormatError

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from auditlake.store.delta import Change, DataFile

ENTRY = re.compile(r"\d{20}\.(json|checkpoint\.parquet)\Z")
"""What entries and checkpoints of the log are called."""
STATISTICS = {"delta.dataSkippingStatsColumns": "timestamp"}
"""What a table says about the statistics of its files; one that is older does so from its next commit on."""
CONFIGURATION: dict[str, str | None] = {
    # History never expires on its own, and checkpoints are maintenance of ours.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650000 days",
    "delta.deletedFileRetentionDuration": "interval 3650000 days",
    "delta.checkpointInterval": "1000000000",
    **STATISTICS,
}
"""How a table is made."""


def says_columns(table: DeltaTable) -> bool:
    """Whether a table says of which columns its files have statistics."""
    return bool(STATISTICS.items() <= table.metadata().configuration.items())


def say_columns(log: Path, version: int) -> None:
    """Have the newest entry of a log say of which columns files have statistics.

    Args:
        log: A copy of the log, which nobody else reads; an entry that follows is made in it and taken away again.
        version: The newest entry.
    """
    from deltalake import DeltaTable

    DeltaTable(for_delta(log.parent)).alter.set_table_properties(STATISTICS)
    following = log / f"{version + 1:020d}.json"
    said = [line for line in following.read_bytes().splitlines(keepends=True) if line.startswith(b'{"metaData":')]
    following.unlink()
    entry = log / f"{version:020d}.json"
    lines = entry.read_bytes()
    entry.write_bytes(lines + (b"" if lines.endswith(b"\n") else b"\n") + b"".join(said))


def actions(change: Change) -> list[Any]:
    """What delta-rs is to write of a commit."""
    from deltalake.transaction import AddAction, RemoveAction

    now = int(datetime.now().timestamp() * 1000)  # noqa: DTZ005 - what Delta calls modification time, no answer uses it
    adds = [
        AddAction(file.path, file.size, {"event_date": file.day.isoformat()}, now, change.data_change, _stats(file))
        for file in change.adds
    ]
    removes = [
        RemoveAction(file.path, change.data_change, now, file.size, {"event_date": file.day.isoformat()})
        for file in change.removes
    ]
    return [*adds, *removes]


def _stats(file: DataFile) -> str:
    """Delta's file statistics: times have milliseconds, so the bounds are rounded outwards. Every event has a time."""
    stats: dict[str, Any] = {"numRecords": file.rows, "nullCount": {"timestamp": 0}}
    if file.first is not None and file.last is not None:
        stats["minValues"] = {"timestamp": _milliseconds(file.first)}
        stats["maxValues"] = {"timestamp": _milliseconds(file.last + timedelta(microseconds=999))}
    return json.dumps(stats)


def _milliseconds(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log_entries(layout: Layout) -> dict[str, int]:
    """The names of the log's entries and checkpoints, with their sizes; nothing else may have such a name.

    Raises:
        OSError: The log, or one of them, is a link, or something that delta-rs would wait for.
    """
    check_folder(layout.log, within=layout.root)
    with os.scandir(layout.log) as listed:
        named = [each for each in listed if ENTRY.match(each.name) or each.name == layout.delta_pointer.name]
        for each in named:
            if not each.is_file(follow_symlinks=False):
                os.close(descriptor_of(Path(each.path), within=layout.root))  # which says what it is
        return {each.name: each.stat(follow_symlinks=False).st_size for each in named if ENTRY.match(each.name)}


def refuse_empty_entries(layout: Layout, entries: Mapping[str, int], version: int) -> None:
    """A power cut can leave a foreign writer's log entry without bytes, and delta-rs would take it for no change.

    Entries before a checkpoint are not read, whatever is in them.
    """
    read_from = max((name[:20] for name in entries if _counts(name, entries[name], version)), default="")
    read = [name for name in sorted(entries) if name.endswith(".json") and read_from < name[:20]]
    for name in read:
        if int(name[:20]) <= version and not entries[name]:
            message = f"the log entry {layout.log / name} is empty"
            raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup")


def _counts(name: str, size: int, version: int) -> bool:
    """Whether it is a checkpoint that a version is read from."""
    return name.endswith(".parquet") and int(name[:20]) <= version and size > 0
