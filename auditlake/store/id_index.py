"""Which data files may hold an id, so that the look for repeated ids is bounded by what comes in.

The index lies in ``LAKE/.ids`` and is made of the data files alone: hashes of sources and ids in segments of a month
each (:mod:`auditlake.store.id_segments`), by the paths of the files, which are made of their digests. It names files
that may have an id; what they have is compared there. A file that no segment names is searched as a whole. So the index
may be removed at any time, and the next writer makes it again.

What a commit brings becomes a segment, which takes in earlier ones that are no larger, up to a bound. So a commit reads
the ids that it brought, and a lake has few segments. Entries of files that the snapshot does not have are passed over,
and leave with the next merge. Where rows were deleted or changed they leave before the certificate: a hash confirms an
id to a person who guesses it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.disk.durable import sync_folder
from auditlake.disk.files import check_folder, remove_any
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.disk.rights import make_folder
from auditlake.engine.duck import beside, rows, view_events
from auditlake.engine.statements import statement
from auditlake.errors import LakeFormatError
from auditlake.store.files import Files
from auditlake.store.id_segments import (
    FILE_BITS,
    MOST_FILES,
    PATH_BYTES,
    DamagedSegmentError,
    Keys,
    Paths,
    Segment,
    file_numbers,
    read_segment,
    read_segments,
    write_segment,
)
from auditlake.store.model import DataFile, Snapshot
from auditlake.store.snapshot import file_paths

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

_FILE = "store/ids.sql"
_MERGED = 1 << 20
"""Entries that a commit merges at most, which takes a tenth of a second."""
_READ = 1 << 22
"""Rows whose ids are read at a time, if that is more than one file."""


class IdIndex:
    """The index as it lies there, for the files of a snapshot.

    Args:
        layout: The lake.
        snapshot: Whose files are asked for.
        connection: A DuckDB. What another DuckDB hashed in another way counts as damaged.
    """

    def __init__(self, layout: Layout, snapshot: Snapshot, connection: duckdb.DuckDBPyConnection) -> None:
        self._layout = layout
        ((self._hashing,),) = rows(connection, statement(_FILE, "hashing").text)
        self._segments, self._damaged = list[Segment](), list[Path]()
        with suppress(OSError):
            self._segments, self._damaged = read_segments(layout, self._hashing)
        self.follow(snapshot, connection)

    def follow(self, snapshot: Snapshot, connection: duckdb.DuckDBPyConnection) -> None:
        """Ask for the files of another snapshot from now on, with another connection."""
        self._connection = connection
        self._files = snapshot.table
        self.missing = self._files.without(_paths([each.files for each in self._segments]))
        """The files that no segment names: they are to be searched as a whole."""

    @property
    def with_keyed_ids(self) -> Files:
        """The files with ids that an erasure keyed."""
        return self._files.named(_paths([each.files[each.keyed > 0] for each in self._segments]))

    def may_hold(self, hashes: Keys) -> Files:
        """Return the files that may hold some ids, of those that a segment names. A damaged segment names none then.

        Args:
            hashes: Of what is looked for, as the statement ``sought_ids`` gives them, sorted.
        """
        found = list[Paths]()
        for segment in list(self._segments) if len(hashes) else ():
            try:
                found.append(segment.files[segment.find(hashes)])
            except DamagedSegmentError:
                self._distrust(segment)
        return self._files.named(_paths(found))

    def keep(self) -> None:
        """Bring in the files that are missing. The caller holds the lake's lock.

        This is maintenance: what it cannot do, the next writer does.
        """
        import duckdb

        with suppress(OSError, duckdb.Error, LakeFormatError):
            for path in self._damaged:
                remove_any(path, within=self._layout.root)
            self._damaged = []
            months: dict[str, list[DataFile]] = defaultdict(list)
            for file in self.missing:
                if part_day_and_digest(file.path):  # another program may give its name to other bytes
                    months[f"{file.day:%Y-%m}"].append(file)
            if months:
                check_folder(self._layout.ids, within=self._layout.root)
                make_folder(self._layout.ids)
            for month, files in sorted(months.items()):
                for some in _stretches(files):
                    self._add(month, some)
                    self.missing = self.missing.without([file.path for file in some])

    def _add(self, month: str, files: Sequence[DataFile]) -> None:
        """Write the entries of files of a month, together with those of segments that are no larger."""
        entries = _read(self._connection, self._layout, files)
        replaced: list[Segment] = []
        for segment in sorted((each for each in self._segments if each.month == month), key=lambda each: each.entries):
            both = len(entries.keys) + segment.entries, len(entries.files) + len(segment.files)
            if segment.entries <= len(entries.keys) and both[0] <= _MERGED and both[1] <= MOST_FILES:
                try:
                    entries = entries.and_also(_live(segment, self._files))
                except DamagedSegmentError:
                    self._distrust(segment)
                else:
                    replaced.append(segment)
        path = write_segment(self._layout, self._hashing, month, entries.files, entries.keyed, entries.keys)
        for segment in replaced:
            self._segments.remove(segment)
            if segment.path != path:
                remove_any(segment.path, within=self._layout.root)
        self._segments.append(read_segment(path, self._layout.root, self._hashing))

    def _distrust(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self._damaged.append(segment.path)
        self.missing = self.missing.and_also(self._files.named(_paths([segment.files])))


def forget_ids(layout: Layout, snapshot: Snapshot) -> None:
    """Remove every entry of a file that the newest snapshot does not have. The caller holds the lake's lock.

    Raises:
        OSError: The disk refused.
    """
    segments, damaged = read_segments(layout, None)
    damaged += layout.ids.glob(".*.draft")  # of a writer that died
    for segment in segments:
        if not _is_live(segment, snapshot.table).all():
            # Of a disk that is full the rest is made again.
            with suppress(DamagedSegmentError, OSError):
                left = _live(segment, snapshot.table)
                if len(left.files):
                    write_segment(layout, segment.hashing, segment.month, left.files, left.keyed, left.keys)
            damaged.append(segment.path)
    for path in damaged:
        remove_any(path, within=layout.root)
    if layout.ids.exists():  # what was removed without a sync before is gone then, too
        sync_folder(layout.ids)


@dataclass(frozen=True, slots=True, eq=False)
class _Entries:
    """Entries in memory, as a segment has them."""

    files: Paths
    keyed: NDArray[np.uint32]
    keys: Keys

    def and_also(self, others: _Entries) -> _Entries:
        """Return these entries and others."""
        moved = others.keys + np.uint64(len(self.files))
        return _Entries(
            np.concatenate([self.files, others.files]), np.concatenate([self.keyed, others.keyed]),
            np.sort(np.concatenate([self.keys, moved]), kind="stable"),  # which merges what is sorted already
        )  # fmt: skip


def _live(segment: Segment, files: Files) -> _Entries:
    """Return the entries of a segment that are of some files.

    Raises:
        DamagedSegmentError: It is damaged.
    """
    keys, live = segment.keys(), _is_live(segment, files)
    numbers = file_numbers(keys)
    becomes = np.cumsum(live) - 1
    kept = live[numbers]
    hashes = keys[kept] >> np.uint64(FILE_BITS) << np.uint64(FILE_BITS)
    return _Entries(segment.files[live], segment.keyed[live], hashes | becomes[numbers[kept]].astype(np.uint64))


def _is_live(segment: Segment, files: Files) -> NDArray[np.bool_]:
    """Return of each data file of a segment whether it is one of some files."""
    live = compute.is_in(_paths([segment.files]), files.table["path"].combine_chunks())
    return np.asarray(live.to_numpy(zero_copy_only=False), np.bool_)


def _read(connection: duckdb.DuckDBPyConnection, layout: Layout, files: Sequence[DataFile]) -> _Entries:
    """Read the ids of some files."""
    own = beside(connection, exact_try=False)
    view_events(own, file_paths(layout, files), columns=("source", "event_id", "file_index"))
    columns = own.sql(statement(_FILE, "ids").text).fetchnumpy()
    numbers = columns["file"].astype(np.uint64)
    keyed = np.bincount(numbers[columns["keyed"].astype(np.bool_)].astype(np.intp), minlength=len(files))
    return _Entries(
        np.array([file.path.encode() for file in files], f"S{PATH_BYTES}"), keyed.astype(np.uint32),
        np.sort(columns["hash"] << np.uint64(FILE_BITS) | numbers),
    )  # fmt: skip


def hashes_of(connection: duckdb.DuckDBPyConnection, layout: Layout, groups: Sequence[Sequence[str]]) -> list[Keys]:
    """Return, for each group of data files, the hashes of the sources and ids of their events.

    Raises:
        OSError, duckdb.Error, LakeFormatError: One cannot be read.
    """
    files = [DataFile(path, date.min, 0, 0, None, None) for paths in groups for path in paths]
    keys = _read(connection, layout, files).keys
    ends = np.cumsum([len(paths) for paths in groups])
    owners = np.searchsorted(ends, file_numbers(keys), side="right")
    return [keys[owners == group] >> np.uint64(FILE_BITS) for group in range(len(groups))]


def _stretches(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """Yield files, as many together as are read at a time."""
    some: list[DataFile] = []
    for file in files:
        if some and (sum(each.rows for each in some) + file.rows > _READ or len(some) == MOST_FILES // 2):
            yield some
            some = []
        some.append(file)
    yield some


def _paths(some: Sequence[Paths]) -> pa.Array:
    """Return paths as Arrow has them: lists of Python would take longer than the look for an id."""
    joined = np.concatenate([np.zeros(0, f"S{PATH_BYTES}"), *some])
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(PATH_BYTES), len(joined), [None, pa.py_buffer(joined)])
    return fixed.cast(pa.binary()).cast(pa.string())
