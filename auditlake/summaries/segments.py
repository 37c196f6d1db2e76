"""Where summaries lie: for each statement a folder ``LAKE/.summaries/DIGEST``, with segments named by their SHA-256.

A segment is a Parquet file with the rows that the statement gave of some data files. Its metadata lists the paths of
these, which are made of their digests; ``file_index`` numbers them. So a row is never out of date: its file is part of
a snapshot, or the row is passed over. A segment that is not what its name says is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import compute

from auditlake.disk.durable import sync_folder, write_whole
from auditlake.disk.files import check_folder, entered, open_file, read_file, remove_any, remove_tree
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.disk.lock import LOCK_SECONDS, exclusive
from auditlake.disk.rights import make_folder
from auditlake.errors import LakeBusyError
from auditlake.store.deltalog import is_newest
from auditlake.store.files import Files
from auditlake.store.model import Snapshot

FEWEST = 200_000
"""From how many events on to look summaries up is quicker than to count the events."""
NUMBER = "file_index"
"""The column with the number of the data file."""
_FILES = b"auditlake.files"
"""The key of the metadata that lists the data files."""
_SUFFIX = ".parquet"
_DIGEST = re.compile("[0-9a-f]{64}")
"""The name of a folder."""
_ODD = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, pa.ArrowException)
"""What comes of a file into which another program wrote anything."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows that a statement gave of some data files."""

    files: pa.Array
    """The paths of the data files, by their numbers."""
    rows: pa.Table
    """The rows; the first column is the number. Without it they are those of all these files added up."""
    path: Path | None = None
    """Where it lies; None if it was made here."""

    @property
    def size(self) -> int:
        """How much work it is to write: rows and files."""
        return len(self.rows) + len(self.files)

    def is_within(self, files: pa.Array) -> bool:
        """Return whether all of its files are among some."""
        return bool(compute.all(compute.is_in(self.files, files)).as_py())

    def has_any(self, files: pa.Array) -> bool:
        """Return whether any of its files is among some."""
        return bool(compute.any(compute.is_in(self.files, files)).as_py())


def has_own_names(snapshot: Snapshot) -> bool:
    """Return whether each file of a snapshot has a name of its day and content."""
    return all(part_day_and_digest(path) is not None for path in snapshot.table.paths)


def of_files(segments: Iterable[Segment], files: Files) -> Segment:
    """Return the rows of some data files, each file once; what lies in several segments is the same in each."""
    parts = list(_parts(segments, files))
    paths = [each.files for each in parts]
    return Segment(
        pa.concat_arrays(paths) if paths else pa.array([], pa.string()), pa.concat_tables([each.rows for each in parts])
    )


def _parts(segments: Iterable[Segment], files: Files) -> Iterator[Segment]:
    first, left = 0, files.table["path"].combine_chunks()
    for each in segments:
        meant = each.files.filter(compute.is_in(each.files, left))
        becomes = compute.add(compute.index_in(each.files, meant), pa.scalar(first, pa.int32()))
        number = becomes.cast(pa.uint32()).take(each.rows[NUMBER].combine_chunks())
        rows = each.rows.set_column(0, NUMBER, number)
        yield Segment(meant, rows if len(meant) == len(each.files) else rows.filter(compute.is_valid(number)))
        left = left.filter(compute.invert(compute.is_in(left, meant)))
        first += len(meant)


def read_segments(layout: Layout, digest: str, schema: pa.Schema, known: Sequence[Segment] = ()) -> list[Segment]:
    """Return the segments of a statement, the largest first; one that is damaged or has other columns is none.

    Args:
        layout: The lake.
        digest: Of the statement.
        schema: Of its rows.
        known: Segments that need not be read again.
    """
    read = {each.path: each for each in known if each.path}
    there = (read.get(path) or _read(layout, path) for path in _paths(layout.summaries / digest))
    own = (each for each in there if each is not None and each.rows.schema.equals(schema))
    return sorted(own, key=lambda each: each.size, reverse=True)


def _read(layout: Layout, path: Path) -> Segment | None:
    from pyarrow import parquet

    with suppress(*_ODD):
        data = read_file(path, within=layout.root)
        if hashlib.sha256(data).hexdigest() == path.stem:
            file = parquet.ParquetFile(pa.BufferReader(data))
            rows = file.read(use_threads=False).combine_chunks()
            files = pa.array(json.loads(file.metadata.metadata[_FILES]), pa.string())
            if NUMBER not in rows.column_names:
                return Segment(files, rows, path) if len(files) else None
            number = rows[NUMBER]
            if rows.column_names[0] == NUMBER and pa.types.is_integer(number.type) and not number.null_count:
                ends = compute.min_max(number).as_py()
                if not len(rows) or 0 <= ends["min"] <= ends["max"] < len(files):
                    return Segment(files, rows, path)
    return None


def _written(layout: Layout, digest: str, segment: Segment) -> tuple[Path, bytes]:
    """Return a segment as a file."""
    from pyarrow import parquet

    numbers = [each.name for each in segment.rows.schema if pa.types.is_integer(each.type)]
    texts = [name for name in segment.rows.column_names if name not in numbers]
    sink = pa.BufferOutputStream()
    with parquet.ParquetWriter(
        sink, segment.rows.schema, compression="zstd", store_schema=False, use_dictionary=texts,
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    ) as writer:  # fmt: skip
        writer.write_table(segment.rows)
        writer.add_key_value_metadata({_FILES: json.dumps(segment.files.to_pylist())})
    data = sink.getvalue().to_pybytes()
    return layout.summaries / digest / f"{hashlib.sha256(data).hexdigest()}{_SUFFIX}", data


def keep(layout: Layout, digest: str, new: Segment, known: Sequence[Segment], snapshot: Snapshot, most: int) -> None:
    """Write the rows of data files that were missing, together with those of segments that are no larger.

    It is no fault if nothing can be written, and nothing is if the lake has changed: a deletion commits first, and then
    takes the lock to forget.

    Args:
        layout: The lake.
        digest: Of the statement.
        new: What the statement gave of data files that no segment had.
        known: The segments that were read before.
        snapshot: Whose data files they are.
        most: How many bytes all summaries may have: those of the statements go whose last use is the longest ago.
    """
    with suppress(OSError, LakeBusyError), _turn(layout, snapshot) as is_newest:
        if not is_newest:
            return
        there = read_segments(layout, digest, new.rows.schema, known)
        taken, stay = [new], list[Segment]()
        for each in reversed(there):
            (taken if each.size <= sum(part.size for part in taken) else stay).append(each)
        left = snapshot.table
        for each in stay:  # another process may have counted the same meanwhile
            left = left.without(each.files)
        _write(layout, digest, [of_files(taken, left)], stay, most)


def keep_sums(
    layout: Layout, digest: str, new: Sequence[Segment], known: Sequence[Segment], snapshot: Snapshot, most: int
) -> None:  # fmt: skip
    """Write rows that are added up over data files, in the place of those that they take in; see :func:`keep`."""
    with suppress(OSError, LakeBusyError), _turn(layout, snapshot) as is_newest:
        if is_newest:
            # Another process may have kept more meanwhile; what has files that are gone is of no use any more.
            there = read_segments(layout, digest, new[0].rows.schema, known)
            present = [each for each in there if each.is_within(snapshot.table.table["path"].combine_chunks())]
            stay = [each for each in present if not any(each.is_within(other.files) for other in new)]
            _write(layout, digest, new, stay, most)


@contextmanager
def _turn(layout: Layout, snapshot: Snapshot) -> Iterator[bool]:
    """Take the lock of summaries for as long as this lasts, and tell whether the snapshot is still the newest."""
    if not layout.summaries.exists():
        make_folder(layout.summaries)
    check_folder(layout.summaries, within=layout.root)
    with exclusive(layout.summaries_lock, wait_seconds=0):
        yield is_newest(layout, snapshot.version)


def _write(layout: Layout, digest: str, new: Sequence[Segment], stay: Sequence[Segment], most: int) -> None:
    """Write segments of a statement, and remove all of its others but those that stay, where there is room."""
    folder, staying = layout.summaries / digest, {each.path for each in stay if each.path}
    written = dict(_written(layout, digest, each) for each in new)
    if _make_room(layout, folder, sum(map(len, written.values())) + _size(staying), most):
        make_folder(folder)
        check_folder(folder, within=layout.root)
        for path, data in written.items():
            write_whole(path, data, synced=False)
        for old in set(_paths(folder)) - staying - written.keys():  # taken in, or damaged
            remove_any(old, within=layout.root)


def _make_room(layout: Layout, own: Path, size: int, most: int) -> bool:
    """Remove summaries that were not used for the longest time until there is room for others; False if never."""
    others = sorted((each for each in _folders(layout) if each != own), key=lambda each: each.stat().st_mtime_ns)
    sizes = [_size(_paths(each)) for each in others]
    for at, each in enumerate(others):
        if size > most or size + sum(sizes[at:]) <= most:
            break
        remove_tree(each, within=layout.root)
    return size <= most


def use(layout: Layout, digest: str) -> None:
    """Write down that the summaries of a statement were used now, where the lake can be written."""
    with suppress(OSError), entered(layout.summaries, within=layout.root) as here:
        os.utime(digest, dir_fd=here, follow_symlinks=False)


def forget_summaries(layout: Layout, snapshot: Snapshot) -> None:
    """Remove the rows of data files that are not part of the newest snapshot: they counted what was to go.

    Whatever lies beside the folders of statements goes, too; links are removed, and never followed.

    Args:
        layout: The lake.
        snapshot: The newest snapshot.

    Raises:
        LakeBusyError: Another process held the lock for too long.
    """
    if not layout.summaries.exists():
        return
    check_folder(layout.summaries, within=layout.root)
    with exclusive(layout.summaries_lock, wait_seconds=LOCK_SECONDS):
        for other in {*layout.summaries.iterdir()} - {layout.summaries_lock, *_folders(layout)}:
            remove_any(other, within=layout.root)
        for folder in _folders(layout):
            for path in (*_paths(folder), *folder.glob(".*.draft")):  # the latter of a writer that died
                _forget_in(layout, path, snapshot.table)
            sync_folder(folder)  # what others removed without a sync is gone then, too
        sync_folder(layout.summaries)


def _forget_in(layout: Layout, path: Path, files: Files) -> None:
    # What a disk that is full has no room for is counted again; what cannot be read is to go before a certificate, too.
    with suppress(*_ODD):
        if (segment := _read(layout, path)) is not None:
            if segment.is_within(files.table["path"].combine_chunks()):
                with open_file(path, within=layout.root) as file:  # a report may have written it without a sync
                    os.fsync(file.fileno())
                return
            if len((left := of_files([segment], files)).files):
                write_whole(*_written(layout, path.parent.name, left))
    remove_any(path, within=layout.root)


def _folders(layout: Layout) -> list[Path]:
    """Return the folders of statements."""
    with suppress(FileNotFoundError):
        named = (path for path in layout.summaries.iterdir() if _DIGEST.fullmatch(path.name))
        return sorted(path for path in named if path.is_dir() and not path.is_symlink())
    return []


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"[0-9a-f]*{_SUFFIX}"))


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
