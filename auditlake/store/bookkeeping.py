"""What the ledger says of a commit: the roots of what it brought, read back from its files, and which these are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.disk.lock import exclusive, undisturbed, workspace
from auditlake.errors import CommitError, LedgerError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger import book
from auditlake.ledger.entry import KINDS, EntryFile
from auditlake.ledger.sidecars import keep_marks
from auditlake.store.deltalog import commit_leaf

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from auditlake.ledger.leaves import Part
    from auditlake.store.delta import Change, DataFile, Snapshot

_KINDS = {"ingest": "append", "compact": "rewrite", "retention": "delete"}
"""What the ledger calls kinds of commits, where it has a word of its own."""
_MEMORY = "256MB"
"""What DuckDB may hold of leaves before it spills, beside an ingest that is still there."""
_HASHED = 200_000
"""From how many rows on they are hashed by a statement of their own."""
_LONG = 4_000
"""From how many bytes a row on DuckDB hashes them, which holds fewer of them at a time."""
_ROOM = 2_000_000
"""Up to how many their leaves are put in order in memory."""


def prepare_entry(layout: Layout, seen: Snapshot, change: Change) -> book.Prepared:
    """Write the ledger's entry of a commit on top of ``seen``, which is durable; the lake's lock is held.

    Raises:
        CommitError: The ledger has no word for such a commit.
        LedgerError: The ledger is damaged, or is not the one of this log; nothing was changed.
    """
    said = change.metadata.get("kind")
    if (kind := _KINDS.get(str(said), said)) not in KINDS:
        raise CommitError(
            f"the ledger has no word for a commit of kind {said!r}", hint="that is a mistake in auditlake"
        )
    # What is appended is hashed as readers will find it. Every other commit leaves the roots as they are.
    parts, marks = parts_of(layout, change.adds) if kind == "append" else ((), {})
    record = book.Record(
        kind, str(change.metadata.get("at", "")), parts,
        tuple(_file(file) for file in change.adds), tuple(sorted(file.path for file in change.removes)),
        change.taken, {**change.details, **_new_checkpoint(layout, seen.version), **marks},
    )  # fmt: skip
    committed = partial(commit_leaf, layout)
    return book.prepare(layout, seen.version + 1, record, committed, lambda: existing(layout, seen))


@contextmanager
def recorded_policies(layout: Layout, *, now: datetime, wait_seconds: float) -> Iterator[None]:
    """Change policies within this, under the lake's lock; the ledger then says so.

    What somebody changed by hand before is recorded as such first. Should the writer die in between, the next commit
    notices. A lake without a ledger begins one with its next commit, which says what its policies are.
    """
    from auditlake.store import delta

    with exclusive(layout.lock, wait_seconds=wait_seconds):
        if not book.has_ledger(layout):
            yield
            return
        _notice(layout, delta.read_snapshot(layout), now, by="hand")
        yield
        _notice(layout, delta.read_snapshot(layout), now, by="auditlake")


def notice_changes(layout: Layout, seen: Snapshot, *, now: datetime) -> None:
    """Have the ledger say what somebody changed of policies and holds by hand; the lake's lock is held.

    Every commit does so by itself, but for the holds before one that is about a hold.
    """
    if book.has_ledger(layout):
        _notice(layout, seen, now, by="hand")


def _notice(layout: Layout, seen: Snapshot, now: datetime, *, by: str) -> None:
    from auditlake.store import delta

    delta.sync_log(layout, seen.version)
    known = partial(commit_leaf, layout), lambda: existing(layout, seen)
    book.notice(layout, seen.version, now.isoformat(), *known, by=by)


def record_journal(layout: Layout, lines: int, digest: str, *, now: datetime, wait_seconds: float) -> None:
    """Have the ledger say how far the journal of findings has come; a lake without a ledger has nothing to say it.

    Args:
        layout: The lake.
        lines: How many entries the journal has, which are durable.
        digest: ``sha256:`` over them; see :mod:`auditlake.findings.journal`.
        now: The present.
        wait_seconds: How long to wait while another process writes.
    """
    from auditlake.store import delta

    with exclusive(layout.lock, wait_seconds=wait_seconds):
        if not book.has_ledger(layout):
            return
        seen = delta.read_snapshot(layout)
        delta.sync_log(layout, seen.version)
        details = {"journal": digest.removeprefix("sha256:"), "lines": lines}
        said = book.Record("report", now.isoformat(), details=details)
        book.record(layout, seen.version, said, partial(commit_leaf, layout), lambda: existing(layout, seen))


def rotate_key(layout: Layout, *, now: datetime, wait_seconds: float) -> str:
    """Let a new key sign the ledger's checkpoints, and give its public half (``NAME+ID+BASE64``)."""
    from auditlake.store import delta

    with exclusive(layout.lock, wait_seconds=wait_seconds):
        seen = delta.read_snapshot(layout)
        delta.sync_log(layout, seen.version)
        known = partial(commit_leaf, layout), lambda: existing(layout, seen)
        return str(book.rotate(layout, seen.version, now.isoformat(), *known))


def newest_checkpoint(layout: Layout, *, wait_seconds: float) -> bytes:
    """The ledger's checkpoint, once what a dead writer left is finished; a lake without a ledger begins one.

    Where the lake cannot be written, it is the one that lies there.

    Raises:
        LedgerError: The ledger is damaged; or there is none, and none can be begun.
    """
    with undisturbed(layout.lock, wait_seconds=wait_seconds) as is_writable:
        if is_writable:
            settle_ledger(layout, begin=True)
        if (note := book.read_note(layout)) is None:
            raise LedgerError(f"the lake at {layout.root} has no ledger, and cannot be written to begin one")
        return bytes(note)


def settle_ledger(layout: Layout, *, begin: bool = False) -> Snapshot:
    """Finish what a dead writer left in the ledger, and give the newest snapshot; the lake's lock is held.

    Args:
        layout: The lake.
        begin: Begin a ledger if there is none.
    """
    from auditlake.store import delta

    seen = delta.read_snapshot(layout)
    delta.sync_log(layout, seen.version)
    committed = partial(commit_leaf, layout)
    if begin or book.has_ledger(layout):
        book.settle(layout, seen.version, committed, lambda: existing(layout, seen))
    return seen


def _new_checkpoint(layout: Layout, version: int) -> dict[str, Any]:
    """The digests of the checkpoint of the Delta log, where the commit before made one: readers begin with it."""
    paths = [layout.delta_checkpoint(version), layout.delta_pointer]
    if not all(is_file(path, within=layout.root) for path in paths):
        return {}
    return {"delta_checkpoint": {path.name: sha256(read_file(path, within=layout.root)).hexdigest() for path in paths}}


def existing(layout: Layout, seen: Snapshot) -> book.Record:
    """What a ledger says that begins with a snapshot. Files of other programs are not vouched for."""
    ours = [file for file in seen.files if part_day_and_digest(file.path)]
    parts, marks = parts_of(layout, ours)
    return book.Record("begin", "", parts, tuple(_file(file) for file in ours), details=marks)


def parts_of(layout: Layout, files: Sequence[DataFile]) -> tuple[tuple[Part, ...], dict[str, str]]:
    """The parts of the rows of data files, and what an entry says of their marks, which are kept."""
    if not files:
        return (), {}
    from auditlake.engine.duck import connect
    from auditlake.ledger import hashing

    many = hashing.expect(sum(file.rows for file in files))
    with (
        workspace(layout.staging) as spill,
        connect(temp=spill, memory=_MEMORY, exact_try=False) as connection,
        ThreadPoolExecutor(2, "auditlake-hash") as pool,  # while one grows trees in Python, DuckDB reads for the other
    ):
        hashed = pool.map(partial(_hash, connection, layout, many), _stretches(files))
        found = sorted(pair for pairs in hashed for pair in pairs)
    marks = b"".join(own for _, own in found)
    return tuple(part for part, _ in found), {"marks": keep_marks(layout, marks)} if marks else {}


def _stretches(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """Files of several days together, as many as are worth a statement; never those of one day apart."""
    stretch: list[DataFile] = []
    for _, day in groupby(sorted(files, key=attrgetter("day")), attrgetter("day")):
        stretch += day
        if sum(file.rows for file in stretch) >= _HASHED:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _hash(
    connection: duckdb.DuckDBPyConnection, layout: Layout, many: bool, files: Sequence[DataFile]
) -> list[tuple[Part, bytes]]:
    """The parts of the rows of files, each with its marks."""
    from auditlake.engine.duck import view_events
    from auditlake.ledger.leaves import hash_events
    from auditlake.store.delta import file_paths

    paths = file_paths(layout, files)
    many = many and sum(file.rows for file in files) <= _ROOM and not _are_long(paths)
    with connection.cursor() as cursor:
        view_events(cursor, paths, columns=FILE_COLUMNS)
        return hash_events(cursor, many=many)


def _are_long(paths: Sequence[Path]) -> bool:
    """Whether the rows of files have more than a few kilobytes on average."""
    from pyarrow.parquet import read_metadata

    rows = size = 0
    for path in paths:
        about = read_metadata(path)
        rows += about.num_rows
        size += sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    return size > _LONG * rows


def _file(file: DataFile) -> EntryFile:
    return EntryFile(file.path, file.size, file.rows)
