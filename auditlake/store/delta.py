"""The Delta table under ``events/``: snapshots of it, and the one way to change it.

delta-rs neither syncs what it writes, before or after it has its name, nor checks such commits for conflicts, so both
are done here, under the lake's lock. Other Delta writers are not bound by the lock; a commit that is not ours is named,
never ignored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from auditlake.disk.durable import FILE_MODE, FOLDER_MODE, sync_file, sync_folder
from auditlake.disk.files import check_folder, descriptor_of, open_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import workspace
from auditlake.engine.paths import for_delta
from auditlake.errors import CommitError, LakeFormatError, SnapshotError
from auditlake.events.schema import COLUMNS
from auditlake.ledger.book import LEAF_KEY, Prepared, complete
from auditlake.ledger.entry import Taken
from auditlake.store.bookkeeping import prepare_entry
from auditlake.store.deltalog import METADATA_KEY, changed_rows, commit_metadata, last_batch
from auditlake.store.log_checkpoint import copied_log, keep_checkpoint
from auditlake.store.log_entry import (
    CONFIGURATION,
    ENTRY,
    actions,
    log_entries,
    refuse_empty_entries,
    say_columns,
    says_columns,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

_DELTA_TYPES = {
    "varchar": "string", "timestamptz": "timestamp", "bigint": "long", "blob": "binary", "date": "date",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of one UTC day that is part of a snapshot, or about to be."""

    path: str
    """Below ``events/``; its name is made of the SHA-256 of its bytes."""
    day: date
    size: int
    """Bytes."""
    rows: int
    first: datetime | None
    """The earliest timestamp in it."""
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the lake: exactly these files."""

    version: int
    files: tuple[DataFile, ...]
    """Sorted by path."""
    transactions: Mapping[str, int] = field(default_factory=dict)
    """How far the applications that were asked for have come; one that never committed is not in it."""

    @property
    def rows(self) -> int:
        """How many events it holds."""
        return sum(file.rows for file in self.files)

    @property
    def inputs_digest(self) -> str:
        """``sha256:`` over the sorted paths, each followed by a newline; names are made of content, so this is too."""
        listed = "".join(f"{file.path}\n" for file in self.files)
        return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()

    @property
    def evidence(self) -> dict[str, int | str]:
        """What a report says about it."""
        digest = self.inputs_digest
        return {"snapshot": self.version, "files": len(self.files), "rows": self.rows, "inputs_digest": digest}


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit does."""

    adds: tuple[DataFile, ...]
    removes: tuple[DataFile, ...]
    metadata: Mapping[str, Any]
    """What is recorded about it: its kind, batch, inputs, counts."""
    data_change: bool = True
    """False for compaction only: the same rows in other files."""
    transactions: Mapping[str, int] = field(default_factory=dict)
    """How far applications have come with it, each further than the snapshot that it is planned on says."""
    taken: tuple[Taken, ...] = ()
    """What of the batches before it deletes or changes, for the ledger."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else the ledger is to say of it; whole numbers only."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Applications that move on with a commit which brings what lies between."""

    since: Mapping[str, int]
    """How far they had come when that was chosen; one that never committed is not in it."""
    to: Mapping[str, int]
    """How far they come."""

    def check(self, snapshot: Snapshot) -> None:
        """Refuse to bring it to a snapshot that has it already.

        Raises:
            CommitError: An application has come to another place meanwhile.
        """
        for name in self.to:
            if (now := snapshot.transactions.get(name)) != (known := self.since.get(name)):
                message = f"{name} has come to {now} in version {snapshot.version}, not to {known} as was planned on"
                raise CommitError(message, hint="nothing was landed; run it again")


STAY = Advance({}, {})
"""Nobody moves on."""


def create_table(layout: Layout, metadata: Mapping[str, Any]) -> None:
    """Make the empty table as version 0, durably. The folder must exist and be empty.

    Raises:
        CommitError: delta-rs could not make it.
    """
    from deltalake import CommitProperties, DeltaTable, Field, Schema
    from deltalake.exceptions import DeltaError
    from deltalake.schema import PrimitiveType

    schema = Schema([Field(name, PrimitiveType(_DELTA_TYPES[kind])) for name, kind in COLUMNS.items()])
    properties = CommitProperties(custom_metadata={METADATA_KEY: dict(metadata)})
    try:
        layout.log.mkdir(mode=FOLDER_MODE)
        DeltaTable.create(
            for_delta(layout.events), schema, partition_by=["event_date"], configuration=CONFIGURATION,
            commit_properties=properties,
        )  # fmt: skip
    except DeltaError as error:
        raise CommitError(f"the events table cannot be made: {_one_line(error)}") from error
    layout.log.chmod(FOLDER_MODE)
    layout.commit(0).chmod(FILE_MODE)
    sync_file(layout.commit(0))
    sync_folder(layout.log)
    sync_folder(layout.events)


def read_snapshot(layout: Layout, version: int | None = None, *, applications: Iterable[str] = ()) -> Snapshot:
    """The newest snapshot, or the one of a version.

    Args:
        layout: The lake.
        version: Which one.
        applications: Whose transactions to look up.

    Raises:
        SnapshotError: There is no such version.
        LakeFormatError: The table cannot be read, or uses features auditlake does not.
    """
    table = _open(layout, version)
    actions = table.get_add_actions()
    columns = {name: actions.column(name).to_pylist() for name in ("path", "size_bytes", "num_records", "partition")}
    bounds = _time_bounds(actions)
    files = [
        DataFile(unquote(path), part["event_date"], size, _rows(layout, unquote(path), count), *bound)
        for path, size, count, part, bound in zip(
            columns["path"], columns["size_bytes"], columns["num_records"], columns["partition"], bounds, strict=True
        )
    ]
    asked = {name: table.transaction_version(name) for name in applications}
    transactions = {name: reached for name, reached in asked.items() if reached is not None}
    return Snapshot(table.version(), tuple(sorted(files, key=lambda file: file.path)), transactions)


def _rows(layout: Layout, path: str, recorded: int | None) -> int:
    """How many rows a file has; if its writer did not say so, as its footer says, and 0 where that cannot be read."""
    if recorded is not None:
        return recorded
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    with suppress(OSError, ArrowException), open_file(layout.events / path, within=layout.root) as file:
        return int(read_metadata(file).num_rows)
    return 0


def _time_bounds(actions: Any) -> list[tuple[datetime | None, datetime | None]]:
    names = actions.schema.names
    if actions.num_rows == 0 or "min" not in names or "max" not in names:
        return [(None, None)] * actions.num_rows
    pairs = zip(actions.column("min").to_pylist(), actions.column("max").to_pylist(), strict=True)
    return [((low or {}).get("timestamp"), (high or {}).get("timestamp")) for low, high in pairs]


def commit(layout: Layout, seen: Snapshot, change: Change) -> int:
    """Add and remove files in one durable commit on top of ``seen``, and give the new version.

    To be called with the lake's lock held and with every added file synced under its final name. ``seen`` has the
    transactions of the applications that move on.

    Raises:
        CommitError: The table is not at ``seen`` any more (plan again), a file is not there, or the disk refused.
    """
    from deltalake.exceptions import DeltaError

    table = _open(layout, None)
    _check(layout, table, seen, change)
    version = seen.version + 1
    sync_log(layout, seen.version)
    entry = prepare_entry(layout, seen, change)
    try:
        _write_entry(layout, version, change, entry)
    except (DeltaError, OSError) as error:
        # It may be there all the same, where only the tidying up failed.
        if commit_metadata(layout, version) != dict(change.metadata):
            message = f"the commit on top of version {seen.version} was refused: {_one_line(error)}"
            raise CommitError(message, hint="nothing was landed; run it again") from error
    _settle(layout, version, change.metadata)
    _count(layout, entry)
    keep_checkpoint(layout, version)
    return version


def _write_entry(layout: Layout, version: int, change: Change, recorded: Prepared) -> None:
    """Put the log entry of a version into its place, whole.

    delta-rs gives an entry its name before the bytes are on the disk. A power cut just then, after something else had
    the name written, would leave an entry without bytes and a table that cannot be read. So delta-rs commits to a copy
    of the log, and the entry gets its name here, once it is synced and if nobody else has taken the name.
    """
    from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction

    hooks = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
    properties = CommitProperties(
        custom_metadata={METADATA_KEY: dict(change.metadata), LEAF_KEY: recorded.leaf.hex()}, max_commit_retries=0,
        app_transactions=[Transaction(name, reached) for name, reached in sorted(change.transactions.items())],
    )  # fmt: skip
    with workspace(layout.staging) as folder:
        log = copied_log(layout, folder / "copy", version - 1)
        table = DeltaTable(for_delta(log.parent))
        table.create_write_transaction(
            actions(change), "append", table.schema(), partition_by=["event_date"],
            commit_properties=properties, post_commithook_properties=hooks,
        )  # fmt: skip
        if not says_columns(table):
            say_columns(log, version)
        entry = log / layout.commit(version).name
        entry.chmod(FILE_MODE)
        sync_file(entry)
        os.link(entry, layout.commit(version))


def says_statistics(layout: Layout) -> bool:
    """Whether other programs can tell of which columns files have statistics; they find nothing where they cannot.

    Raises:
        LakeFormatError: The table cannot be read.
    """
    return says_columns(_open(layout, None))


def _check(layout: Layout, table: DeltaTable, seen: Snapshot, change: Change) -> None:
    """Refuse a commit that delta-rs would take although it must not: it checks none of these."""
    if (needed := table.protocol().min_writer_version) > 2:
        message = f"the events table needs Delta writer version {needed}, auditlake writes 2"
        raise CommitError(message, hint="another program has changed the table; it can still be read")
    if table.version() != seen.version:
        message = f"the lake moved from version {seen.version} to {table.version()} while a commit was prepared"
        raise CommitError(message, hint="run it again")
    live = {file.path for file in seen.files}
    if gone := [file.path for file in change.removes if file.path not in live]:
        message = f"cannot remove {gone[0]}: it is not part of version {seen.version}"
        raise CommitError(message, hint="plan again on the newest snapshot")
    for name, reached in change.transactions.items():
        if (now := table.transaction_version(name)) != (known := seen.transactions.get(name)):
            message = f"{name} is at {now} in version {seen.version}, and the commit was planned on {known}"
            raise CommitError(message, hint="plan again on the newest snapshot")
        if now is not None and reached <= now:
            message = f"{name} cannot go from {now} to {reached}: what lies before it is committed already"
            raise CommitError(message, hint="plan again on the newest snapshot")
    for file in change.adds:
        path = layout.events / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            message = f"cannot add {file.path}: expected {file.size} bytes at {path}"
            raise CommitError(message, hint="run it again")


def newest_version(layout: Layout) -> int:
    """The newest version by the names in the log alone, without opening the table.

    Raises:
        LakeFormatError: There is none.
    """
    with suppress(FileNotFoundError), os.scandir(layout.log) as listed:
        matches = [match for entry in listed if (match := ENTRY.match(entry.name))]
        if versions := [int(match[0][:20]) for match in matches if match[1] == "json"]:
            return max(versions)
    message = f"the events table at {layout.events} cannot be read: it has no log"
    raise LakeFormatError(message, hint="restore its log entries from a backup")


def sync_log(layout: Layout, version: int) -> None:
    """Make the log durable up to a version.

    A torn entry would make the table unreadable for all that follow, and its writer may have died before it synced it.
    Each entry of ours was written after this was done for those before it, so older ones need no look.
    """
    for earlier in range(version, -1, -1):
        if layout.commit(earlier).exists():
            sync_file(layout.commit(earlier))
        if commit_metadata(layout, earlier) is not None:
            break
    sync_folder(layout.log)


def _settle(layout: Layout, version: int, metadata: Mapping[str, Any]) -> None:
    """Make sure that a version is ours, and durable."""
    if commit_metadata(layout, version) != dict(metadata):
        message = f"version {version} of the table was written by somebody else"
        raise CommitError(message, hint="run it again")
    try:
        sync_file(layout.commit(version))
        sync_folder(layout.log)
    except OSError as error:
        message = f"version {version} could not be made durable: {_one_line(error)}"
        raise CommitError(message, hint="nothing is claimed; see to the disk and run it again") from error


def _count(layout: Layout, entry: Prepared) -> None:
    """Count the entry of a durable commit in the ledger; if that fails, the next writer does it."""
    try:
        complete(layout, entry)
    except OSError as error:
        message = f"version {entry.version} could not be recorded in the ledger: {_one_line(error)}"
        raise CommitError(message, hint="nothing is claimed; see to the disk and run it again") from error


def _open(layout: Layout, version: int | None) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if version is not None and not layout.commit(version).exists():
        message = f"the lake has no snapshot {version}"
        raise SnapshotError(message, hint="auditlake stats names the newest one")
    try:
        entries = log_entries(layout)
        table = DeltaTable(for_delta(layout.events), version=version)
        refuse_empty_entries(layout, entries, table.version())
        protocol = table.protocol()
    except (DeltaError, OSError, ValueError) as error:
        message = f"the events table at {layout.events} cannot be read: {_one_line(error)}"
        raise LakeFormatError(message, hint="restore its newest log entries from a backup") from error
    if protocol.min_reader_version > 1:
        message = f"the events table needs Delta reader version {protocol.min_reader_version}, auditlake reads 1"
        raise LakeFormatError(message, hint="another program has changed the table; deletion vectors are not supported")
    return table


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


@dataclass(frozen=True, slots=True)
class Readable:
    """How to read a snapshot's rows from files that are there."""

    files: tuple[DataFile, ...]
    last_batch: int | None
    """Only rows of batches up to this one belong to it; None if every row of the files does."""


def readable(layout: Layout, snapshot: Snapshot) -> Readable:
    """The files to read a snapshot from: its own, or of days of which compaction has replaced those, the newest ones.

    Raises:
        SnapshotError: Files of it are gone, and not only through compaction.
    """
    lost = {file.day for file, _ in _wrong(layout, snapshot.files)}
    if not lost:
        return Readable(snapshot.files, None)
    newest = read_snapshot(layout)
    there = [file for file in newest.files if file.day in lost]
    if wrong := next((what for _, what in _wrong(layout, there)), None):
        message = f"the lake lost a file of version {newest.version}: {wrong}"
        raise SnapshotError(message, hint="restore it from a backup; its name is the SHA-256 of its bytes")
    if (version := changed_rows(layout, newest.version, since=snapshot.version, days=lost)) is not None:
        what = (commit_metadata(layout, version) or {}).get("said", "changed its rows")
        message = f"snapshot {snapshot.version} cannot be read exactly: version {version} {what}"
        raise SnapshotError(message, hint="read a newer snapshot")
    files = [*(file for file in snapshot.files if file.day not in lost), *there]
    return Readable(tuple(sorted(files, key=lambda file: file.path)), last_batch(layout, snapshot.version))


def _wrong(layout: Layout, files: Iterable[DataFile]) -> Iterator[tuple[DataFile, str]]:
    """The files that are not there whole, each with what is wrong with it. What is a link is not there."""
    for file, found in _looked_at(layout, files):
        if isinstance(found, OSError):
            yield file, f"{file.path}: {found.strerror}"
        elif found.st_size != file.size:
            yield file, f"{file.path}: {found.st_size} bytes instead of {file.size}"


def _looked_at(layout: Layout, files: Iterable[DataFile]) -> Iterator[tuple[DataFile, os.stat_result | OSError]]:
    """What the disk says of each file, or why it cannot be opened as a file of the lake."""
    folders: set[Path] = set()
    for file in files:
        path = layout.events / file.path
        try:
            if path.parent not in folders:
                check_folder(path.parent, within=layout.root)
                folders.add(path.parent)
            if not S_ISREG((found := path.lstat()).st_mode):
                os.close(descriptor_of(path, within=layout.root))  # which says what it is
        except OSError as error:
            yield file, error
        else:
            yield file, found


def lost_file(layout: Layout, snapshot: Snapshot) -> str | None:
    """What is wrong with the first file of a snapshot that is not there whole; None if all are."""
    return next((what for _, what in _wrong(layout, snapshot.files)), None)


def file_paths(layout: Layout, files: Sequence[DataFile]) -> list[Path]:
    """Where data files lie: DuckDB would follow a link out of the lake, and wait for ever for a pipe.

    Raises:
        LakeFormatError: What lies there is no file of the lake. Whether one is there at all is not asked.
    """
    for file, found in _looked_at(layout, files):
        if isinstance(found, OSError) and not isinstance(found, FileNotFoundError):
            message = f"the lake lost a file: {file.path}: {found.strerror}"
            raise LakeFormatError(message, hint="auditlake doctor says what else is wrong")
    return [layout.events / file.path for file in files]


def view_snapshot(
    connection: Any,
    layout: Layout,
    snapshot: Snapshot,
    *,
    columns: Sequence[str] = tuple(COLUMNS),
    beside: str | None = None,
) -> None:
    """Make the view ``events`` of one snapshot on a DuckDB connection.

    Args:
        connection: Where to make it.
        layout: The lake.
        snapshot: What it shows.
        columns: The columns that it shows.
        beside: A table with all columns whose rows it shows too.

    Raises:
        SnapshotError: It cannot be read exactly any more.
    """
    from auditlake.engine.duck import view_events

    source = readable(layout, snapshot)
    files = file_paths(layout, source.files)
    view_events(connection, files, columns=columns, last_batch=source.last_batch, beside=beside)
