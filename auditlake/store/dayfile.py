"""A day's Parquet file: how it is written, and what it is called."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.layout import Layout, part_path
from auditlake.events.schema import TEXT_COLUMNS
from auditlake.storage.lake import storage_of
from auditlake.storage.model import put
from auditlake.store.model import Change, DataFile

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

_ROW_GROUP = 122_880
"""Rows: what DuckDB reads at a time."""
_BATCH = 2_048
"""Rows that are fetched at a time: a few, since they may be long."""
_GROUP_BYTES = 64_000_000
"""A row group is no larger in memory, but for one batch."""
_VALUES = 16_384
"""How many values are encoded at a time."""
_FEW = ["event_type", "user_id", "action", "status", "metadata", "source", "ingested_at", "batch"]
"""Columns whose values come again and again, and get a dictionary: to try one for the others costs time and bytes."""
_RISING = ["timestamp", "seq"]
"""Columns of which differences are written: that takes fewer bytes, and half the time to read."""
_BOUNDED = ["event_id", "event_type", "timestamp", *TEXT_COLUMNS, "source", "batch", "seq"]
"""Columns whose least and greatest values readers may pass over row groups by."""


def write_day(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    values: Mapping[str, object],
    day: date,
    folder: Path,
    classes: Mapping[str, str],
) -> list[tuple[Path, DataFile]]:
    """Write the rows of a query, which has the columns of a file, as a day's files; see :func:`write_classes`."""
    reader = connection.sql(query, params=dict(values) or None).to_arrow_reader(_BATCH)
    with told_by_duckdb():
        return write_classes(_grouped(reader), reader.schema, day, folder, classes)


def write_days(
    batches: Iterable[pa.RecordBatch], folder: Path, classes: Mapping[str, str]
) -> dict[date, list[tuple[Path, DataFile]]]:
    """Write rows by day and time, whose last column is the day, as files of these days; see :func:`write_classes`."""
    with told_by_duckdb():
        return {
            day: write_classes(_grouped(some for _, some in of_day), schema, day, folder, classes)
            for (day, schema), of_day in groupby(_by_day(batches), lambda pair: (pair[0], pair[1].schema))
        }


def _by_day(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[date, pa.RecordBatch]]:
    for batch in batches:
        *columns, days = batch.columns
        rows = type(batch).from_arrays(columns, batch.schema.names[:-1])
        numbers = days.cast("int32").to_numpy()
        for begin, end in equal_stretches(numbers):
            yield days[begin].as_py(), rows.slice(begin, end - begin)


def equal_stretches(numbers: np.ndarray) -> list[tuple[int, int]]:
    """Return where each stretch of equal numbers begins and ends."""
    import numpy as np

    changes = np.flatnonzero(np.diff(numbers)) + 1
    return [(begin, end) for begin, end in pairwise([0, *changes.tolist(), len(numbers)]) if end > begin]


@contextmanager
def told_by_duckdb() -> Iterator[None]:
    """Raise what DuckDB says in the middle of a stream as its error, within this."""
    import duckdb

    try:
        yield
    except OSError as error:
        if error.errno is None:  # not the disk
            raise duckdb.Error(str(error)) from error
        raise


def write_classes(
    tables: Iterable[pa.Table], schema: pa.Schema, day: date, folder: Path, classes: Mapping[str, str], stem: str = ""
) -> list[tuple[Path, DataFile]]:
    """Write rows of a day as one file for each retention class that they have, so that what leaves together is files.

    Args:
        tables: The rows, those of each class in the order of time.
        schema: The columns of a file, in order.
        day: The day.
        folder: For the drafts.
        classes: The class of each event type; types without one are together.
        stem: What the drafts are called; after the day if empty.

    Returns:
        The drafts, and what they will be.
    """
    with ExitStack() as stack:
        drafts: dict[str, _Draft] = {}
        for table in tables:
            for name, rows in _by_class(table, classes):
                if name not in drafts:
                    path = folder / f"{stem or f'day-{day}'}-{len(drafts)}.parquet"
                    drafts[name] = _Draft(path, stack.enter_context(_writer(path, schema)))
                drafts[name].add(rows)
        for draft in drafts.values():
            draft.finish()
    return [(draft.path, draft.file(day)) for _, draft in sorted(drafts.items())]


def _by_class(table: pa.Table, classes: Mapping[str, str]) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of each retention class; without a copy where those of a class follow each other."""
    import numpy as np
    import pyarrow as pa

    names, numbers = class_numbers(table, classes)
    if len(names) < 2:
        yield from [(name, table) for name in names]
    elif np.all(numbers[1:] >= numbers[:-1]):
        ends = np.searchsorted(numbers, np.arange(len(names) + 1))
        yield from ((name, table.slice(ends[at], ends[at + 1] - ends[at])) for at, name in enumerate(names))
    else:
        yield from ((name, table.filter(pa.array(numbers == at))) for at, name in enumerate(names))


def class_numbers(table: pa.Table, classes: Mapping[str, str]) -> tuple[list[str], np.ndarray]:
    """Return the retention classes of rows, sorted, and the place of each row's class among them.

    Args:
        table: The rows.
        classes: The class of each event type; types without one are together.
    """
    import numpy as np

    types = table["event_type"].combine_chunks().dictionary_encode("encode")
    of_types = [classes.get(name, "") for name in types.dictionary.to_pylist()]
    names = sorted({*of_types})
    return names, np.array([names.index(name) for name in of_types], np.int16)[types.indices.to_numpy()]


class _Draft:
    """A file on its way.

    Args:
        path: Where.
        writer: What writes it.
    """

    def __init__(self, path: Path, writer: Any) -> None:
        self.path = path
        self._writer = writer
        self._waiting: list[pa.Table] = []
        self._types: Counter[str | None] = Counter()
        self._bounds: list[datetime] = []

    def add(self, rows: pa.Table) -> None:
        """Take more rows."""
        from pyarrow import compute

        for each in compute.value_counts(rows["event_type"].combine_chunks()).to_pylist():
            self._types[each["values"]] += each["counts"]
        bounds = compute.min_max(rows["timestamp"]).as_py()
        self._bounds += [each for each in bounds.values() if each is not None]
        self._waiting.append(rows)
        many = sum(map(len, self._waiting)) >= _ROW_GROUP
        if many or sum(each.nbytes for each in self._waiting) >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), _ROW_GROUP)
            self._waiting = []

    def finish(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def file(self, day: date) -> DataFile:
        """Return what it will be."""
        types = tuple(sorted((name, rows) for name, rows in self._types.items() if name is not None))
        rows, known = self._types.total(), None not in self._types
        first, last = (min(self._bounds), max(self._bounds)) if self._bounds else (None, None)
        return replace(data_file(self.path, day, rows, first, last), types=types if known else None)


def _writer(target: Path, schema: pa.Schema) -> Any:
    """Return what writes tables as a zstd Parquet file; each gets row groups of its own."""
    from pyarrow.parquet import ParquetWriter

    options: dict[str, Any] = {
        # Level 1 is a fifth quicker than the usual 3, and day files sorted by time come out no larger.
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": _FEW,
        "column_encoding": dict.fromkeys(_RISING, "DELTA_BINARY_PACKED"),
        "write_statistics": _BOUNDED,
        "write_batch_size": _VALUES,
        "store_schema": False,
    }
    return ParquetWriter(target, schema, **options)


def _grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield batches gathered to row groups, smaller ones where rows are long."""
    import pyarrow as pa

    some: list[pa.RecordBatch] = []
    for batch in batches:
        some.append(batch)
        if sum(map(len, some)) >= _ROW_GROUP or sum(each.nbytes for each in some) >= _GROUP_BYTES:
            yield pa.Table.from_batches(some)
            some = []
    if some:
        yield pa.Table.from_batches(some)


def put_in_place(layout: Layout, written: Iterable[tuple[Path, DataFile]]) -> None:
    """Give written files their final names, durably."""
    put(storage_of(layout), {layout.name(layout.events / file.path): draft for draft, file in written})


def replacing(had: Iterable[DataFile], new: Iterable[DataFile], **more: Any) -> Change:
    """Return the change by which days get new files in the place of those that they had, without its metadata.

    Names are made of content: where other files had no rows, or lost all, a day's new file may be one that it had.
    """
    before, after = {file.path: file for file in had}, {file.path: file for file in new}
    adds = tuple(file for path, file in after.items() if path not in before)
    removes = tuple(file for path, file in before.items() if path not in after)
    return Change(adds, removes, {}, **more)


def data_file(draft: Path, day: date, count: int, first: datetime | None, last: datetime | None) -> DataFile:
    """Describe a written file: its final name is made of the SHA-256 of its bytes."""
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataFile(part_path(day, digest), day, draft.stat().st_size, count, first, last)
