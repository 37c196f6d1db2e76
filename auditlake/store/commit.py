"""The one way to change the Delta table under ``events/``.

delta-rs neither syncs what it writes, before or after it has its name, nor checks such commits for conflicts, so both
are done here, under the lake's lock. Other Delta writers are not bound by the lock; a commit that is not ours is named,
never ignored.

Only times and event types have statistics. Readers such as Arrow's datasets take a column for which a file has no
bounds as one of nulls alone, so a filter on it finds nothing, unless the table says which columns have them. So the
table says that event types have them only where each of its files does: those that earlier versions wrote do not.

Which types a file holds is a tag of its action. delta-rs keeps such tags in checkpoints, and cannot write any: that is
done here, in the log of its own that it commits to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from auditlake.disk.durable import sync_file, sync_folder
from auditlake.disk.layout import Layout
from auditlake.disk.rights import give, make_folder
from auditlake.engine.paths import for_delta
from auditlake.errors import CommitError, StorageError
from auditlake.events.schema import COLUMNS
from auditlake.ledger.book import Head, Prepared, complete, integrate
from auditlake.ledger.held import LEAF_KEY
from auditlake.storage.lake import mirror_of, storage_of
from auditlake.store.bookkeeping import prepare_entry
from auditlake.store.deltalog import (
    METADATA_KEY,
    RECORD,
    commit_metadata,
    newest_version,
    table_terms,
    transaction_versions,
)
from auditlake.store.file_types import TYPES_TAG, file_types
from auditlake.store.log_checkpoint import keep_checkpoint
from auditlake.store.model import Change, DataFile, Snapshot
from auditlake.store.snapshot import one_line

if TYPE_CHECKING:
    import duckdb
    from deltalake import DeltaTable

    from auditlake.ledger.rules import Rules

_DELTA_TYPES = {
    "varchar": "string", "timestamptz": "timestamp", "bigint": "long", "blob": "binary", "date": "date",
}  # fmt: skip
_OF = "delta.dataSkippingStatsColumns"
_TIMES = {_OF: "timestamp"}
STATISTICS = {_OF: "timestamp,event_type"}
"""What a table says about the statistics of its files; an older one says it once each of its files has them."""
CONFIGURATION: dict[str, str | None] = {
    # History never expires on its own, and checkpoints are maintenance of ours.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650000 days",
    "delta.deletedFileRetentionDuration": "interval 3650000 days",
    "delta.checkpointInterval": "1000000000",
    **STATISTICS,
}
"""The properties of a new table."""


def create_table(layout: Layout, metadata: Mapping[str, Any], held: Mapping[str, str] | None = None) -> None:
    """Create the empty table as version 0, durably. The folder must exist and be empty.

    Args:
        layout: The lake.
        metadata: What auditlake says about the commit.
        held: What the commit is to hold of the ledger, where entries lie inside commits.

    Raises:
        CommitError: delta-rs could not make it.
    """
    from deltalake import CommitProperties, DeltaTable, Field, Schema
    from deltalake.exceptions import DeltaError
    from deltalake.schema import PrimitiveType

    schema = Schema([Field(name, PrimitiveType(_DELTA_TYPES[kind])) for name, kind in COLUMNS.items()])
    properties = CommitProperties(custom_metadata={METADATA_KEY: dict(metadata), **(held or {})})
    try:
        make_folder(layout.log)
        DeltaTable.create(
            for_delta(layout.events), schema, partition_by=["event_date"], configuration=CONFIGURATION,
            commit_properties=properties,
        )  # fmt: skip
    except DeltaError as error:
        raise CommitError(f"the events table cannot be made: {one_line(error)}") from error
    give(layout.commit(0), layout.commit(0))
    sync_file(layout.commit(0))
    sync_folder(layout.log)
    sync_folder(layout.events)


def commit(
    layout: Layout,
    folder: Path,
    seen: Snapshot,
    change: Change,
    head: Head,
    rules: Rules | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> Head:
    """Add and remove files in one durable commit on top of ``seen``, and return the ledger's head after it.

    The caller holds the lake's lock, the log is durable up to ``seen``, and every added file is synced under its final
    name. Use :meth:`auditlake.store.turn.Turn.commit`, which sees to this.

    Args:
        layout: The lake.
        folder: A workspace.
        seen: The newest snapshot, with the transactions of the applications that move on.
        change: What to commit.
        head: What the ledger counts.
        rules: What is in force, where the commit is to hold the ledger's entry; None where that lies beside it.
        connection: The caller's DuckDB, if it has one.

    Raises:
        CommitError: The table is not at ``seen`` any more (plan again), a file is not there, or the disk refused.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if (newest := newest_version(layout)) != seen.version:
        message = f"the lake moved from version {seen.version} to {newest} while a commit was prepared"
        raise CommitError(message, hint="run it again")
    version = seen.version + 1
    try:
        copy = _empty_copy(layout, folder / f"log-{version}", seen.version)
        table = DeltaTable(for_delta(copy.events))
    except (DeltaError, OSError) as error:
        raise _refused(seen, error) from error
    _check(layout, table, seen, change)
    entry = prepare_entry(layout, seen, change, head, rules, connection)
    said = {LEAF_KEY: entry.leaf.hex()} if rules is None else entry.held
    try:
        draft = _write_entry(layout, table, copy, seen, change, said)
    except (DeltaError, OSError) as error:
        raise _refused(seen, error) from error
    _settle(layout, seen, change.metadata, draft)
    return _count(layout, entry, head, is_inside=rules is not None)


def commit_entry_alone(layout: Layout, seen: Snapshot, entry: Prepared, at: str, head: Head) -> Head:
    """Make a durable commit without files on top of ``seen`` that holds an entry of the ledger; return its new head.

    Args:
        layout: The lake.
        seen: The newest snapshot.
        entry: The entry.
        at: When, RFC 3339.
        head: What the ledger counts.

    Raises:
        CommitError: Another program has committed meanwhile, or the disk refused.
    """
    metadata = {"kind": RECORD, "at": at}
    info = {"timestamp": _now(), "operation": "WRITE", METADATA_KEY: metadata, **entry.held}
    _settle(layout, seen, metadata, json.dumps({"commitInfo": info}).encode() + b"\n")
    return _count(layout, entry, head)


def _now() -> int:
    """Return what Delta calls a time, which no answer uses: milliseconds since 1970."""
    return int(datetime.now().timestamp() * 1000)  # noqa: DTZ005


def _count(layout: Layout, entry: Prepared, head: Head, *, is_inside: bool = True) -> Head:
    """Let the ledger count the entry of a durable commit, and return its new head; if that fails, the next writer does.

    Args:
        layout: The lake.
        entry: The entry.
        head: What the ledger counts.
        is_inside: Whether the commit holds the entry.
    """
    try:
        head = integrate(layout, head, entry.version) if is_inside else complete(layout, entry)
    except OSError as error:
        message = f"version {entry.version} could not be recorded in the ledger: {one_line(error)}"
        raise CommitError(message, hint="nothing is claimed; see to the disk and run it again") from error
    keep_checkpoint(layout, entry.version)
    return head


def _empty_copy(layout: Layout, root: Path, version: int) -> Layout:
    """Make the log of a table that is like this one at a version, and has no files: delta-rs needs none to add some."""
    copy = Layout(root)
    copy.log.mkdir(parents=True)
    copy.commit(0).write_bytes(table_terms(layout, version))
    return copy


def _refused(seen: Snapshot, error: Exception) -> CommitError:
    message = f"the commit on top of version {seen.version} was refused: {one_line(error)}"
    return CommitError(message, hint="nothing was landed; run it again")


def _check(layout: Layout, table: DeltaTable, seen: Snapshot, change: Change) -> None:
    """Refuse a commit that delta-rs would take although it must not: it checks none of these."""
    if (needed := table.protocol().min_writer_version) > 2:
        message = f"the events table needs Delta writer version {needed}, auditlake writes 2"
        raise CommitError(message, hint="another program has changed the table; it can still be read")
    removed = [file.path for file in change.removes]
    live = set(seen.table.named(removed).paths) if removed else set()
    if gone := [path for path in removed if path not in live]:
        message = f"cannot remove {gone[0]}: it is not part of version {seen.version}"
        raise CommitError(message, hint="plan again on the newest snapshot")
    come = transaction_versions(layout, change.transactions)
    for name, reached in change.transactions.items():
        if (now := come.get(name)) != (known := seen.transactions.get(name)):
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


def _write_entry(
    layout: Layout, table: DeltaTable, copy: Layout, seen: Snapshot, change: Change, said: Mapping[str, str]
) -> Path:
    """Let delta-rs write the log entry of a version to a log of its own, and return where.

    delta-rs gives an entry its name before the bytes are on the disk. A power cut just then, after something else had
    the name written, would leave an entry without bytes and a table that cannot be read.
    """
    from deltalake import CommitProperties, PostCommitHookProperties, Transaction

    hooks = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
    properties = CommitProperties(
        custom_metadata={METADATA_KEY: dict(change.metadata), **said}, max_commit_retries=0,
        app_transactions=[Transaction(name, reached) for name, reached in sorted(change.transactions.items())],
    )  # fmt: skip
    table.create_write_transaction(
        actions(change), "append", table.schema(), partition_by=["event_date"],
        commit_properties=properties, post_commithook_properties=hooks,
    )  # fmt: skip
    entry = copy.commit(1)
    if any(file.types is not None for file in change.adds):
        _tag(entry, {file.path: file.types for file in change.adds if file.types is not None})
    if (wanted := _wanted_statistics(layout, table, seen, change)) is not None:
        say_columns(copy, wanted)
    return entry


def actions(change: Change) -> list[Any]:
    """Return the actions of a commit as delta-rs takes them."""
    from deltalake.transaction import AddAction, RemoveAction

    now = _now()
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
    """Return Delta's file statistics. Times have milliseconds, so bounds are rounded outwards; every event has one."""
    least: dict[str, str] = {}
    greatest: dict[str, str] = {}
    nulls = {"timestamp": 0}
    if file.first is not None and file.last is not None:
        least["timestamp"] = _milliseconds(file.first)
        greatest["timestamp"] = _milliseconds(file.last + timedelta(microseconds=999))
    if file.types:
        least["event_type"], greatest["event_type"] = file.types[0][0], file.types[-1][0]
        nulls["event_type"] = 0
    stats: dict[str, Any] = {"numRecords": file.rows, "nullCount": nulls}
    return json.dumps(stats | ({"minValues": least, "maxValues": greatest} if least else {}))


def _tag(entry: Path, types: Mapping[str, Sequence[tuple[str, int]]]) -> None:
    """Let the actions of a log entry say which event types the files that they add hold."""
    lines = []
    for line in entry.read_bytes().splitlines():
        if line.startswith(b'{"add":'):
            action = json.loads(line)
            if (own := types.get(unquote(action["add"]["path"]))) is not None:
                action["add"]["tags"] = {TYPES_TAG: json.dumps(dict(own), separators=(",", ":"))}
                line = json.dumps(action, separators=(",", ":"), ensure_ascii=False).encode()
        lines.append(line)
    entry.write_bytes(b"\n".join(lines) + b"\n")


def _milliseconds(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def says_columns(table: DeltaTable) -> bool:
    """Return whether a table says of which columns its files have statistics; other programs find too little if not."""
    return table.metadata().configuration.get(_OF) in (_TIMES[_OF], STATISTICS[_OF])


def _wanted_statistics(layout: Layout, table: DeltaTable, seen: Snapshot, change: Change) -> dict[str, str] | None:
    """Return what a table has to say of its statistics with a commit; None where it says that already."""
    said = {name: value for name, value in table.metadata().configuration.items() if name == _OF}
    if all(file.types for file in change.adds):
        if said == STATISTICS:
            return None
        # What is left of an older table is looked at where files go: nothing else lets all of them have types.
        if not said or change.removes:
            others = seen.table.without([file.path for file in change.removes]).paths
            if file_types(layout, seen.version).keys() >= set(others):
                return STATISTICS
    return None if said == _TIMES else _TIMES


def say_columns(copy: Layout, statistics: Mapping[str, str] = STATISTICS) -> None:
    """Let the entry of a commit say of which columns files have statistics.

    Args:
        copy: Where delta-rs made it, as version 1; one that follows is made there and removed again.
        statistics: What it is to say.
    """
    from deltalake import DeltaTable

    DeltaTable(for_delta(copy.events)).alter.set_table_properties(dict(statistics))
    following = copy.commit(2)
    metadata = [line for line in following.read_bytes().splitlines(keepends=True) if line.startswith(b'{"metaData":')]
    following.unlink()
    entry = copy.commit(1)
    lines = entry.read_bytes()
    entry.write_bytes(lines + (b"" if lines.endswith(b"\n") else b"\n") + b"".join(metadata))


def _settle(layout: Layout, seen: Snapshot, metadata: Mapping[str, Any], entry: bytes | Path) -> None:
    """Give the log entry of the next version its name, durably, unless another writer has taken it."""
    version = seen.version + 1
    try:
        taken = storage_of(layout).create({layout.name(layout.commit(version)): entry})
    except StorageError as error:
        message = f"whether version {version} was committed is not known: {one_line(error)}"
        raise CommitError(message, hint="run it again: what has landed does not land twice") from error
    except OSError as error:
        if commit_metadata(layout, version) != dict(metadata):
            raise _refused(seen, error) from error
        message = f"version {version} could not be made durable: {one_line(error)}"
        raise CommitError(message, hint="nothing is claimed; see to the disk and run it again") from error
    if taken and mirror_of(layout) is not None:
        message = f"another host has committed version {version} first: this one had lost its turn to write"
        raise CommitError(message, hint="nothing was changed by this one; run it again")
    if taken:
        raise _refused(seen, FileExistsError(f"another program has committed version {version} meanwhile"))
