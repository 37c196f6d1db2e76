"""What the ledger is told of a commit: its files, and the roots of what it brought."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from auditlake.context import LakeContext
from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.disk.lock import undisturbed, workspace
from auditlake.errors import CommitError, LedgerError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger import book
from auditlake.ledger.entry import KINDS, EntryFile, Record
from auditlake.ledger.sidecars import keep
from auditlake.store.deltalog import sync_log
from auditlake.store.model import Change, DataFile, Snapshot
from auditlake.store.snapshot import read_snapshot, whole_files

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from auditlake.ledger.leaves import Part
    from auditlake.ledger.rules import Rules

_KINDS = {"ingest": "append", "compact": "rewrite", "retention": "delete"}
"""The ledger's words for kinds of commits, where they are others."""
_MEMORY = "256MB"
"""What DuckDB may hold of leaves before it spills; an ingest is in memory at the same time."""
_FEW = 10_000
"""Fewer rows than this are hashed by the caller's DuckDB: to open one takes longer than that."""
_HASHED = 200_000
"""From this many rows on, they are hashed by a statement of their own."""
_LONG = 4_000
"""From this many bytes a row on, DuckDB hashes them, which holds fewer of them at a time."""
_MARKS = 500_000
"""Bytes of marks from which on those of the next parts are a file of their own."""
_ROOM = 2_000_000
"""Up to this many rows, leaves are put in order in memory."""


def settle_ledger(
    layout: Layout, *, applications: Iterable[str] = (), begin: bool = False
) -> tuple[Snapshot, book.Head | None]:
    """Finish what a dead writer left: make the log durable, and settle the ledger. The caller holds the lake's lock.

    Args:
        layout: The lake.
        applications: Whose transactions to look up.
        begin: Whether to begin a ledger if there is none.

    Returns:
        The newest snapshot, and what the ledger counts; None if the lake has no ledger.

    Raises:
        LedgerError: The ledger is damaged, or is not the one of this log.
    """
    seen = read_snapshot(layout, applications=applications)
    sync_log(layout, seen.version)
    return seen, settled(layout, seen) if begin or book.has_ledger(layout) else None


def settled(layout: Layout, seen: Snapshot) -> book.Head:
    """Settle the ledger at a snapshot, beginning one if there is none, and return what it counts."""
    return book.settle(layout, seen.version, partial(existing, layout, seen))


def prepare_entry(
    layout: Layout,
    seen: Snapshot,
    change: Change,
    head: book.Head,
    rules: Rules | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> book.Prepared:
    """Make the ledger's entry of a commit on top of ``seen``, which is durable. The caller holds the lake's lock.

    Args:
        layout: The lake.
        seen: The newest snapshot.
        change: What is to be committed.
        head: What the ledger counts.
        rules: What is in force, where the commit is to hold the entry; None where the entry lies beside it.
        connection: The caller's DuckDB, which spares another one where little was brought.

    Raises:
        CommitError: The ledger has no word for such a commit.
        LedgerError: The ledger cannot take it; nothing was changed.
    """
    own_kind = change.metadata.get("kind")
    if (kind := _KINDS.get(str(own_kind), own_kind)) not in KINDS:
        raise CommitError(
            f"the ledger has no word for a commit of kind {own_kind!r}", hint="that is a mistake in auditlake"
        )
    # Every other commit leaves the roots as they are.
    parts, marks = _appended(layout, change, connection) if kind == "append" else ((), {})
    record = Record(
        kind, str(change.metadata.get("at", "")), parts,
        tuple(_file(file) for file in change.adds), tuple(sorted(file.path for file in change.removes)),
        change.taken, {**change.details, **new_checkpoint(layout, seen.version), **marks},
    )  # fmt: skip
    if rules is None:
        return book.prepare(layout, head, seen.version + 1, record)
    return book.inside(layout, head, seen.version + 1, record, rules)


def newest_checkpoint(context: LakeContext) -> bytes:
    """Return the ledger's checkpoint once what a dead writer left is finished; a lake without a ledger begins one.

    Where the lake cannot be written, it is the one that lies there.

    Raises:
        LedgerError: The ledger is damaged; or there is none, and none can be begun.
    """
    layout = context.layout
    with undisturbed(layout.lock, wait_seconds=context.wait_seconds) as is_writable:
        if is_writable:
            settle_ledger(layout, begin=True)
        if (note := book.read_note(layout)) is None:
            raise LedgerError(f"the lake at {layout.root} has no ledger, and cannot be written to begin one")
        return bytes(note)


def new_checkpoint(layout: Layout, version: int) -> dict[str, Any]:
    """Return the digests of the Delta log's checkpoint if the commit before made one: readers begin with it."""
    if not is_file(layout.delta_checkpoint(version), within=layout.root):
        return {}
    named = (layout.delta_checkpoint(version), layout.delta_pointer)
    paths = [path for path in named if is_file(path, within=layout.root)]
    return {"delta_checkpoint": {path.name: sha256(read_file(path, within=layout.root)).hexdigest() for path in paths}}


def existing(layout: Layout, seen: Snapshot) -> Record:
    """Return what a ledger says that begins with a snapshot. Files of other programs are not vouched for."""
    ours = [file for file in seen.files if part_day_and_digest(file.path)]
    parts, marks = parts_of(layout, ours)
    return Record("begin", "", parts, tuple(_file(file) for file in ours), details=marks)


def _appended(
    layout: Layout, change: Change, connection: duckdb.DuckDBPyConnection | None
) -> tuple[tuple[Part, ...], dict[str, Any]]:
    """Return the parts of what a commit appends: those that its writer hashed, and those of all other days."""
    return _recorded(layout, complete_parts(layout, change, connection))


def complete_parts(
    layout: Layout, change: Change, connection: duckdb.DuckDBPyConnection | None
) -> tuple[tuple[Part, bytes], ...]:
    """Return the parts of all that a change appends: those that its writer did not hash are made of files."""
    known = {part.day for part, _ in change.parts}
    files = [file for file in change.adds if file.day not in known]
    return (*change.parts, *_hash_files(layout, files, connection, change.classes))


def parts_of(layout: Layout, files: Sequence[DataFile]) -> tuple[tuple[Part, ...], dict[str, Any]]:
    """Return the parts of the rows of data files, and what an entry says of their marks, which are kept."""
    return _recorded(layout, _hash_files(layout, files))


def _recorded(layout: Layout, hashed: Iterable[tuple[Part, bytes]]) -> tuple[tuple[Part, ...], dict[str, Any]]:
    """Keep the marks of parts, and return the parts in order, and what an entry says of their marks."""
    pairs = sorted(hashed, key=lambda pair: pair[0].key)
    return tuple(part for part, _ in pairs), {"marks": _keep_marks(layout, pairs)} if pairs else {}


def _hash_files(
    layout: Layout,
    files: Sequence[DataFile],
    connection: duckdb.DuckDBPyConnection | None = None,
    classes: Mapping[str, str] | None = None,
) -> list[tuple[Part, bytes]]:
    """Return the parts of the rows of data files, each with its marks.

    Args:
        layout: The lake.
        files: The files.
        connection: The caller's DuckDB, which spares another one where they have few rows.
        classes: The retention class of each event type that may be in them; without any, a part is all of a day.
    """
    rows = sum(file.rows for file in files)
    if connection is not None and 0 < rows < _FEW:
        return _hash(connection, layout, many=False, classes=classes, files=files)
    return _hash_apart(layout, files, rows, classes) if files else []


def _keep_marks(layout: Layout, pairs: Sequence[tuple[Part, bytes]]) -> str | list[list[Any]]:
    """Keep the marks of parts, and return what an entry says of them.

    Returns:
        Of parts without a class, the file that has the marks of all. Of others, files of the marks of some parts of one
        class, in the order of classes and days, each as class, number of parts and name: they go when these have gone.
    """
    if not pairs[0][0].retention_class:
        return keep(layout, "marks", b"".join(marks for _, marks in pairs))
    kept: list[list[Any]] = []
    for name, of_class in groupby(sorted(pairs, key=lambda pair: pair[0].retention_class), _class_of):
        some: list[bytes] = []
        for _, marks in of_class:
            some.append(marks)
            if sum(map(len, some)) >= _MARKS:
                kept.append([name, len(some), keep(layout, "marks", b"".join(some))])
                some = []
        if some:
            kept.append([name, len(some), keep(layout, "marks", b"".join(some))])
    return kept


def _class_of(pair: tuple[Part, bytes]) -> str:
    return pair[0].retention_class


def _hash_apart(
    layout: Layout, files: Sequence[DataFile], rows: int, classes: Mapping[str, str] | None
) -> list[tuple[Part, bytes]]:
    """Return the parts of the rows of files, each with its marks, by a DuckDB of their own."""
    from auditlake.engine.duck import connect
    from auditlake.ledger import hashing

    many = hashing.expect(rows)
    with (
        workspace(layout.staging) as spill,
        connect(temp=spill, memory=_MEMORY, exact_try=False) as connection,
        ThreadPoolExecutor(2, "auditlake-hash") as pool,  # while one grows trees in Python, DuckDB reads for the other
    ):
        hashed = pool.map(partial(_hash, connection, layout, many, classes), _stretches(files))
        return [pair for some in hashed for pair in some]


def _stretches(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """Yield files of several days together, as many as are worth a statement; those of one day stay together."""
    stretch: list[DataFile] = []
    for _, day in groupby(sorted(files, key=attrgetter("day")), attrgetter("day")):
        stretch += day
        if sum(file.rows for file in stretch) >= _HASHED:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _hash(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    many: bool,
    classes: Mapping[str, str] | None,
    files: Sequence[DataFile],
) -> list[tuple[Part, bytes]]:
    """Return the parts of the rows of files, each with its marks."""
    from auditlake.engine.duck import beside, view_events
    from auditlake.ledger.leaves import hash_events

    paths = whole_files(layout, files)
    many = many and sum(file.rows for file in files) <= _ROOM and not are_long(paths)
    with beside(connection, exact_try=False) as own:
        view_events(own, paths, columns=FILE_COLUMNS)
        return list(hash_events(own, classes, many=many))


def are_long(paths: Sequence[Path]) -> bool:
    """Return whether the rows of files have more than a few kilobytes on average."""
    from pyarrow.parquet import read_metadata

    rows = size = 0
    for path in paths:
        about = read_metadata(path)
        rows += about.num_rows
        size += sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    return size > _LONG * rows


def _file(file: DataFile) -> EntryFile:
    return EntryFile(file.path, file.size, file.rows)
