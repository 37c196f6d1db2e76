"""Reading a version of the Delta table under ``events/``: which files it has, and what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from auditlake.disk.files import check_folder, descriptor_of
from auditlake.disk.layout import Layout
from auditlake.engine.paths import for_delta
from auditlake.engine.sql_text import Batches
from auditlake.errors import LakeFormatError, SnapshotError
from auditlake.events.schema import COLUMNS
from auditlake.storage.lake import mirror_of, storage_of
from auditlake.store.batches import batches_of
from auditlake.store.deltalog import changed_rows, commit_metadata, is_newest, log_entries, refuse_empty_entries
from auditlake.store.files import Files, schema
from auditlake.store.last_seen import asked_before, last_seen, narrowed, read_log, remember
from auditlake.store.log_checkpoint import check_checkpoint
from auditlake.store.model import DataFile, Snapshot
from auditlake.store.narrowed import Chooser

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from auditlake.engine.duck import EventsView
    from auditlake.engine.narrowing import Asked


def read_snapshot(layout: Layout, version: int | None = None, *, applications: Iterable[str] = ()) -> Snapshot:
    """Read the newest snapshot, or the one of a version.

    Args:
        layout: The lake.
        version: Which one.
        applications: Whose transactions to look up.

    Raises:
        SnapshotError: There is no such version.
        LakeFormatError: The table cannot be read, or uses features auditlake does not.
    """
    asked = frozenset(applications)
    if version is not None:
        return _read(layout, version, asked)
    log = None
    with suppress(OSError, LakeFormatError):  # which opening the table tells in its words
        log = read_log(layout)
        if (last := last_seen(layout, log, asked)) is not None:
            return last
    names = asked | asked_before(layout)
    snapshot = _read(layout, None, names)
    if log is not None:
        remember(layout, snapshot, names, log)
    return narrowed(snapshot, asked)


def _read(layout: Layout, version: int | None, applications: frozenset[str]) -> Snapshot:
    table = open_table(layout, version)
    asked = {name: table.transaction_version(name) for name in sorted(applications)}
    transactions = {name: reached for name, reached in asked.items() if reached is not None}
    return Snapshot(table.version(), _files(layout, table), transactions)


def _files(layout: Layout, table: DeltaTable) -> Files:
    """Return the files of a table. What Python would make of 300,000 takes 7 s and 0.8 GB; as columns it is nothing."""
    import pyarrow as pa
    from pyarrow import compute

    # Not pa.table(), which imports pandas where it is installed.
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions()).read_all()
    paths = actions["path"]
    if compute.any(compute.match_substring(paths, "%")).as_py():
        paths = pa.array([unquote(path) for path in paths.to_pylist()], pa.string())
    rows = actions["num_records"]
    if rows.null_count:
        pairs = zip(paths.to_pylist(), rows.to_pylist(), strict=True)
        rows = pa.array([_rows(layout, path) if known is None else known for path, known in pairs], pa.int64())
    nothing = pa.nulls(len(actions))
    bounds = [_field(actions, name, "timestamp", nothing) for name in ("min", "max")]
    days = _field(actions, "partition", "event_date", nothing)
    columns = [paths, days, actions["size_bytes"], rows, *bounds, nothing]
    casts = (column.cast(field.type) for column, field in zip(columns, schema(), strict=True))
    return Files(pa.table(list(casts), schema=schema()).combine_chunks())


def _field(actions: pa.Table, column: str, name: str, absent: pa.Array) -> pa.ChunkedArray | pa.Array:
    """Return a field of a column of structs, if there are both; a struct that is null has none."""
    from pyarrow import compute

    if column not in actions.column_names or actions.schema.field(column).type.get_field_index(name) < 0:
        return absent
    return compute.struct_field(actions[column], name)


def _rows(layout: Layout, path: str) -> int:
    """Return the rows of a file as its footer says, else 0: its writer did not record them."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    with suppress(OSError, ArrowException):
        return int(read_metadata(*storage_of(layout).local([layout.name(layout.events / path)])).num_rows)
    return 0


def open_table(layout: Layout, version: int | None) -> DeltaTable:
    """Open the table at a version, or at the newest one.

    Raises:
        SnapshotError: There is no such version.
        LakeFormatError: It cannot be read, or uses features that auditlake does not read.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if version is not None and not layout.commit(version).exists():
        message = f"the lake has no snapshot {version}"
        raise SnapshotError(message, hint="auditlake stats names the newest one")
    try:
        entries = log_entries(layout)
        table = DeltaTable(for_delta(layout.events), version=version)
        refuse_empty_entries(layout, entries, table.version())
        check_checkpoint(layout, entries, table.version())
        protocol = table.protocol()
    except (DeltaError, OSError, ValueError) as error:
        message = f"the events table at {layout.events} cannot be read: {one_line(error)}"
        raise LakeFormatError(message, hint="restore its newest log entries from a backup") from error
    if protocol.min_reader_version > 1:
        message = f"the events table needs Delta reader version {protocol.min_reader_version}, auditlake reads 1"
        raise LakeFormatError(message, hint="another program has changed the table; deletion vectors are not supported")
    return table


def one_line(error: BaseException) -> str:
    """Return the message of an error of delta-rs or the disk, shortened to one line."""
    return " ".join(str(error).split())[:300]


@dataclass(frozen=True, slots=True)
class Readable:
    """The files to read a snapshot's rows from."""

    files: Files
    batches: Batches | None
    """Only rows of these belong to it; None if every row of the files does."""


def readable(layout: Layout, snapshot: Snapshot, *, arrived_by: int | None = None) -> Readable:
    """Return the files to read a snapshot from: its own, or the newest ones of days that compaction has rewritten.

    Args:
        layout: The lake.
        snapshot: The snapshot.
        arrived_by: Only the events that this version or an earlier one brought; all of the snapshot if None.

    Raises:
        SnapshotError: Files of it are gone, and not only through compaction.
    """
    files = snapshot.table
    wrong = [path for path, _ in _wrong(layout, files, snapshot.version)]
    arrived = None if arrived_by is None else batches_of(layout, min(arrived_by, snapshot.version))
    if not wrong:
        return Readable(files, arrived)
    lost = {file.day for file in files.named(wrong)}
    newest = read_snapshot(layout)
    there = newest.table.of_days(lost)
    if what := next((what for _, what in _wrong(layout, there, newest.version)), None):
        message = f"the lake lost a file of version {newest.version}: {what}"
        raise SnapshotError(message, hint="restore it from a backup; its name is the SHA-256 of its bytes")
    if (version := changed_rows(layout, newest.version, since=snapshot.version, days=lost)) is not None:
        what = (commit_metadata(layout, version) or {}).get("said", "changed its rows")
        message = f"snapshot {snapshot.version} cannot be read exactly: version {version} {what}"
        raise SnapshotError(message, hint="read a newer snapshot")
    files = files.without(files.of_days(lost).paths).and_also(there)
    return Readable(files, batches_of(layout, snapshot.version) if arrived is None else arrived)


def _wrong(layout: Layout, files: Files, version: int) -> Iterator[tuple[str, str]]:
    """Yield the paths of files that are not there whole, each with what is wrong. A link counts as missing.

    A file that this host has no copy of is taken to be in the bucket if the newest version has it: it is asked for when
    it is read.
    """
    elsewhere: frozenset[str] | None = None if mirror_of(layout) else frozenset()
    for (path, status), size in zip(_stats(layout, files.paths), files.table["size"].to_pylist(), strict=True):
        if isinstance(status, FileNotFoundError) and elsewhere is None:
            newest = files if is_newest(layout, version) else read_snapshot(layout).table
            elsewhere = frozenset(newest.paths)
            _expect(layout, files)
        if isinstance(status, OSError):
            if elsewhere and isinstance(status, FileNotFoundError) and path in elsewhere:
                continue
            yield path, f"{path}: {status.strerror}"
        elif status.st_size != size:
            yield path, f"{path}: {status.st_size} bytes instead of {size}"


def _stats(layout: Layout, paths: Iterable[str]) -> Iterator[tuple[str, os.stat_result | OSError]]:
    """Yield the ``stat`` of each file, or why it cannot be opened as a file of the lake."""
    folders: set[str] = set()
    events = str(layout.events)
    for path in paths:
        # A Path for each would take ten times longer.
        place = os.path.join(events, path)  # noqa: PTH118
        try:
            if (name := path.rpartition("/")[0]) not in folders:
                folder = os.path.dirname(place)  # noqa: PTH120
                if not (folders and _is_day_folder(folder, events)):
                    check_folder(Path(folder), within=layout.root)
                folders.add(name)
            if not S_ISREG((status := os.lstat(place)).st_mode):
                os.close(descriptor_of(Path(place), within=layout.root))  # which says what it is
        except OSError as error:
            yield path, error
        else:
            yield path, status


def _is_day_folder(folder: str, events: str) -> bool:
    """Return whether a folder lies right in that of all days, known to be reached without links, and is no link."""
    parent, name = os.path.split(folder)
    return parent == events and name != ".." and S_ISDIR(os.lstat(folder).st_mode)


def lost_file(layout: Layout, snapshot: Snapshot) -> str | None:
    """Return what is wrong with the first file of a snapshot that is not there whole; None if all are."""
    return next((what for _, what in _wrong(layout, snapshot.table, snapshot.version)), None)


def file_paths(layout: Layout, files: Sequence[DataFile]) -> list[Path]:
    """Return the paths of data files, none a link or a pipe: DuckDB would follow the one and wait for the other.

    Of a lake in a bucket they may not be there: :func:`auditlake.engine.duck.view_events` has them read where they are.

    Raises:
        LakeFormatError: What lies there is no file of the lake. Whether one is there at all is not asked.
    """
    paths, is_away = files.paths if isinstance(files, Files) else [file.path for file in files], False
    for path, status in _stats(layout, paths):
        if isinstance(status, OSError) and not isinstance(status, FileNotFoundError):
            message = f"the lake lost a file: {path}: {status.strerror}"
            raise LakeFormatError(message, hint="auditlake doctor says what else is wrong")
        is_away = is_away or isinstance(status, OSError)
    if is_away:
        _expect(layout, Files.of(files))
    return [*map(layout.events.__truediv__, paths)]


def _expect(layout: Layout, files: Files) -> None:
    """Let who reads files of a bucket know what the log says of them."""
    if (mirror := mirror_of(layout)) is not None:
        table = files.table.select(["path", "size", "rows"]).to_pydict()
        known = zip(table["path"], table["size"], table["rows"], strict=True)
        mirror.bucket.expected |= {f"events/{path}": (size, rows) for path, size, rows in known}


def whole_files(layout: Layout, files: Sequence[DataFile]) -> list[Path]:
    """Return the paths of data files as :func:`file_paths` does; those of a lake in a bucket are fetched, and checked.

    What is written anew, hashed, or read by another program is read whole.

    Raises:
        LakeFormatError: As for that function.
        OSError: One is not there, or not what its name says.
    """
    paths = file_paths(layout, files)
    if mirror_of(layout):
        storage_of(layout).local([*map(layout.name, paths)])
    return paths


def view_snapshot(
    connection: Any,
    layout: Layout,
    snapshot: Snapshot,
    *,
    columns: Sequence[str] = tuple(COLUMNS),
    beside: str | None = None,
    arrived_by: int | None = None,
    asked: Sequence[Asked] | None = None,
) -> EventsView:
    """Make the view ``events`` of one snapshot on a DuckDB connection.

    Args:
        connection: Where to make it.
        layout: The lake.
        snapshot: What it shows.
        columns: The columns that it shows.
        beside: A table with all columns whose rows it shows too.
        arrived_by: Only the events that this version or an earlier one brought; all of the snapshot if None.
        asked: At first, leave out files that cannot matter to this.

    Raises:
        SnapshotError: It cannot be read exactly any more.
    """
    from auditlake.engine.duck import EventsView, view_events

    source = readable(layout, snapshot, arrived_by=arrived_by)
    show = partial(view_events, connection, columns=columns, batches=source.batches, beside=beside)
    is_whole = source.batches is None
    chosen = Chooser(layout, snapshot.version, source.files, is_whole=is_whole)
    has_only = chosen.has_only if beside is None else None
    counted = chosen.counted if beside is None and is_whole else None
    return EventsView(chosen, show, asked, beside, is_whole=is_whole, has_only=has_only, counted=counted)
