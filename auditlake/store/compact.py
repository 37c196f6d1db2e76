"""Compaction: many small files of a day become one for each retention class, and no answer changes.

Most of it is done on the way: the commit that adds one small file too many puts those together (:func:`merge_small`).

The rows are the same, in other files: snapshots before a compaction are read through their batch numbers once the
replaced files are gone (docs/reference/semantics.md, Snapshots). Those are unlinked only after a grace period, for
readers under way.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import duckdb

from auditlake.context import LakeContext
from auditlake.disk.durable import sync_folder
from auditlake.disk.files import is_file, remove_file
from auditlake.disk.layout import Layout, part_day_and_digest, partition_day
from auditlake.engine.duck import beside, connect, rows, view_events
from auditlake.engine.statements import statement
from auditlake.errors import AuditLakeError, LakeError, LakeFormatError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.storage.lake import data_files, mirror_of, remove
from auditlake.store.dayfile import put_in_place, replacing, write_day
from auditlake.store.deltalog import removal_times
from auditlake.store.failures import explained
from auditlake.store.file_types import types_in, with_types
from auditlake.store.model import DataFile, Snapshot
from auditlake.store.snapshot import lost_file, whole_files
from auditlake.store.turn import Turn, writer_turn

GRACE_SECONDS = 86_400.0
"""How long a replaced file stays for readers that began before, unless the caller says otherwise."""

_DRAFT_SECONDS = 3_600.0
"""No file that is being written is so old."""

_TOGETHER = 16
"""So many small files of a day and class, of about the same size, are put together by the commit that adds the last."""
_AT_ONCE = 64
"""At most so many: an earlier version may have left more."""
_SMALL_ROWS = 4_096
"""Rows from which on a file is left to compaction."""
_SMALL_BYTES = 2_000_000
"""Bytes from which on it is."""


@dataclass(frozen=True, slots=True)
class CompactSummary:
    """What a compaction did."""

    days: int
    """Days of which files became others."""
    files_before: int
    files_after: int
    unlinked: int
    """Files that no snapshot's reader needs any more, removed from the disk."""
    snapshot: int


def compact(context: LakeContext, *, grace_seconds: float | None = None, reclass: bool = False) -> CompactSummary:
    """Rewrite days that have several files of a retention class, in one commit; replaced files stay for the grace.

    Args:
        context: The lake.
        grace_seconds: How long replaced files stay.
        reclass: Rewrite also what does not lie in the classes of now: files of earlier versions, and those whose events
            are not kept equally long any more. Otherwise such files are rewritten where their day is.

    Raises:
        LakeError: The grace period is no length of time; nothing changed.
        CommitError: The commit was refused; nothing changed.
        LakeFormatError: A rewritten day would not hold the same rows; nothing changed.
    """
    grace = GRACE_SECONDS if grace_seconds is None else grace_seconds
    if not 0 <= grace < math.inf:
        raise LakeError(f"grace: expected a number of seconds, not negative, got {grace_seconds}")
    layout, now, classes = context.layout, context.now, context.classes()
    with explained(layout, "the compaction"), writer_turn(context) as turn:
        before = with_types(layout, turn.snapshot)
        days: dict[date, list[DataFile]] = defaultdict(list)
        for file in before.files:
            days[file.day].append(file)
        for day, files in days.items():
            if len(files) > 1 or reclass:  # a file may be what it would become, which the log does not learn
                days[day] = [replace(file, types=file.types or types_in(layout, file)) for file in files]
        chosen = {day: to_rewrite(files, classes, reclass=reclass) for day, files in sorted(days.items())}
        crowded = {day: files for day, files in chosen.items() if files}
        if crowded:
            _put_together(turn, crowded, classes, now)
        after = turn.snapshot
        unlinked = unlink_unused(layout, after, grace)
        _unlink_drafts(layout)
    return CompactSummary(len(crowded), len(before.files), len(after.files), unlinked, after.version)


def _put_together(
    turn: Turn,
    days: Mapping[date, Sequence[DataFile]],
    classes: Mapping[str, str],
    now: datetime,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> None:
    """Commit one file for each retention class in the place of some files of a day."""
    layout, spill = turn.layout, turn.folder / "spill"
    replaced = tuple(file for files in days.values() for file in files)
    if lost := lost_file(layout, Snapshot(turn.snapshot.version, replaced)):
        raise LakeFormatError(f"the lake lost a file: {lost}", hint="auditlake doctor says what else is wrong")
    spill.mkdir(exist_ok=True)
    pairs: list[tuple[Path, DataFile]] = []
    for day, files in days.items():
        with beside(connection) if connection is not None else connect(temp=spill, memory="700MB") as own:
            pairs += _rewrite(own, layout, turn.folder, day, files, classes)
    put_in_place(layout, pairs)
    change = replacing(replaced, (file for _, file in pairs), data_change=False)
    metadata = {"kind": "compact", "at": now.isoformat(), "days": len(days), "replaced": len(change.removes)}
    turn.commit(replace(change, metadata=metadata), connection)


def merge_small(
    turn: Turn,
    added: Sequence[DataFile],
    classes: Mapping[str, str],
    now: datetime,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Put small files together, in a commit of its own, where a commit has just added one too many.

    Files of about the same size become one of the next size. So a day has a few files of each size however many commits
    there were, and a commit rewrites no more than a bound. This is maintenance: if it fails, the lake is as it was, and
    the next commit on that day tries again.

    Args:
        turn: The turn of the writer, who has committed.
        added: The files that it added.
        classes: The retention class of each event type.
        now: The present.
        connection: The caller's DuckDB.
    """
    with suppress(OSError, AuditLakeError, duckdb.Error):
        while turn.leads and (days := _too_many(turn, added, classes)):
            before = turn.snapshot.table
            _put_together(turn, days, classes, now, connection)
            added = turn.snapshot.table.without(before.paths)  # of the next size there may be too many now


def _too_many(turn: Turn, added: Iterable[DataFile], classes: Mapping[str, str]) -> dict[date, list[DataFile]]:
    """Return by day the files that are to be put together: of a class and size of which one was added, too many."""
    sizes = {(file.day, _size(file)) for file in added if file.rows < _SMALL_ROWS}
    small = turn.snapshot.table.of_days({day for day, _ in sizes}).small(_SMALL_ROWS, _SMALL_BYTES)
    if len(small) < _TOGETHER:
        return {}
    alike: dict[tuple[date, int], list[DataFile]] = defaultdict(list)
    for file in small:
        alike[file.day, _size(file)].append(file)
    chosen: dict[date, list[DataFile]] = defaultdict(list)
    for day, size in sorted(sizes):
        if len(files := alike[day, size]) >= _TOGETHER:
            by_class: dict[frozenset[str], list[DataFile]] = defaultdict(list)
            for file in with_types(turn.layout, Snapshot(turn.snapshot.version, files)).files:
                by_class[frozenset(classes.get(name, "") for name, _ in file.types or ())].append(file)
            crowded = (some for names, some in by_class.items() if len(names) == 1 and len(some) >= _TOGETHER)
            chosen[day] += [file for some in crowded for file in some[:_AT_ONCE]]
    return {day: files for day, files in chosen.items() if files}


def _size(file: DataFile) -> int:
    """Return what size a file is of: 1 to 15 rows, 16 to 255, 256 to 4,095."""
    return (file.rows.bit_length() - 1) // 4


def to_rewrite(files: Sequence[DataFile], classes: Mapping[str, str], *, reclass: bool) -> list[DataFile]:
    """Return the files of a day that compaction makes into others: those of a class that has several.

    A file whose events are of several classes, or are not known, counts for each of them.
    """
    names = [frozenset(classes.get(name, "") for name, _ in file.types) if file.types else None for file in files]
    pure = Counter(name for each in names if each is not None and len(each) == 1 for name in each)
    mixed = [each for each in names if each is None or len(each) > 1]
    if not mixed and max(pure.values(), default=0) < 2:
        return []
    if mixed and len(files) == 1 and not reclass:
        return []
    scattered = {name for each in mixed for name in (each or pure.keys())}
    wanted = scattered | {name for name, number in pure.items() if number > 1}
    return [file for file, each in zip(files, names, strict=True) if each is None or len(each) > 1 or each & wanted]


def _rewrite(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    folder: Path,
    day: date,
    files: Sequence[DataFile],
    classes: Mapping[str, str],
) -> list[tuple[Path, DataFile]]:
    view_events(connection, whole_files(layout, files), columns=FILE_COLUMNS)
    merged_day = statement("ingest/compact.sql", "merged_day").text
    pairs = write_day(connection, merged_day, {}, day, folder, classes)
    view_events(connection, [draft for draft, _ in pairs], name="merged", columns=FILE_COLUMNS)
    ((differing,),) = rows(connection, statement("ingest/compact.sql", "differences").text)
    count = sum(file.rows for _, file in pairs)
    if differing or count != sum(file.rows for file in files):
        message = f"compacting {day} would change its rows: {differing} differ, {count} rows in the new files"
        raise LakeFormatError(message, hint="nothing was changed; check the files of that day")
    return pairs


def unlink_unused(
    layout: Layout, live: Snapshot, grace_seconds: float, *, only: Mapping[str, float] | None = None
) -> int:
    """Remove files that the newest snapshot does not have: replaced ones, and those of dead writers.

    The caller holds the lake's lock, so that no process is between renaming a file and committing it.

    Args:
        layout: The lake.
        live: Its newest snapshot.
        grace_seconds: How long they stay after they were removed.
        only: Only these, whichever program named them, by path with when they were removed in seconds since 1970; all
            that auditlake named if None.
    """
    live_paths = set(live.table.paths)
    folders = None if only is None else {f"events/{name.rpartition('/')[0]}" for name in only if name not in live_paths}
    stored = {name.removeprefix("events/"): at for name, at in data_files(layout, folders).items()}
    if only is None:
        days = [day for day in layout.events.glob("event_date=*") if not day.is_symlink()]
        names = (path.relative_to(layout.events).as_posix() for day in days for path in day.glob("part-*.parquet"))
        unused = [name for name in {*names, *stored} if part_day_and_digest(name) and name not in live_paths]
        removed = removal_times(layout) if unused else {}
        # What no version had may be what another host is about to commit.
        later = max(GRACE_SECONDS - grace_seconds, 0) if mirror_of(layout) else 0
        written = {name: stored.get(name) or (layout.events / name).lstat().st_mtime for name in unused}
        times = {name: removed.get(name, at + later) for name, at in written.items()}
    else:
        times = {name: at for name, at in only.items() if partition_day(name) and name not in live_paths}
    gone = []
    # The times are those of the machine, by which files and the log's removals are dated: the lake's clock has no say.
    present = time.time()
    for name in sorted(name for name, at in times.items() if present - at >= grace_seconds):
        path = layout.events / name
        # A link goes as the link that it is; below a linked day, nothing is the lake's.
        if only is None or name in stored or is_file(path, within=layout.root):
            gone.append(path)
    remove(layout, gone, synced=False)
    _sync_after_unlinks(layout, {path.parent for path in gone})
    return len(gone)


def _sync_after_unlinks(layout: Layout, folders: Collection[Path]) -> None:
    """Remove the folders that are empty now, and make all of it durable."""
    for folder in sorted(folders):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass  # it was in a bucket alone
        except OSError:
            sync_folder(folder)
    if folders:
        sync_folder(layout.events)


def _unlink_drafts(layout: Layout) -> None:
    """Remove the drafts of writers that were killed while they wrote a small file or a log entry."""
    folders = (layout.root, layout.policies, layout.packs, layout.reports, layout.holds, layout.certificates)
    drafts = [path for folder in folders for path in folder.glob(".*.draft")]
    for path in [*drafts, *layout.log.glob("*.json#*")]:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _DRAFT_SECONDS:
                remove_file(path, within=layout.root)
