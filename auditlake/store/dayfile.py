"""A day's Parquet file: how it is written, and what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.durable import make_folders, rename_synced, sync_file
from auditlake.disk.layout import Layout, part_path
from auditlake.disk.rights import give
from auditlake.store.model import Change, DataFile

if TYPE_CHECKING:
    import duckdb
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
_BOUNDED = ["event_id", "event_type", "timestamp", "user_id", "source", "batch", "seq"]
"""Columns whose least and greatest values readers may pass over row groups by."""


def write_parquet(
    connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, object], target: Path
) -> None:
    """Write the rows of a query, which has the columns of a file, as a day's file; see :func:`write_rows`."""
    import duckdb

    relation = connection.sql(query, params=dict(values) or None)
    reader = relation.to_arrow_reader(_BATCH)
    try:
        write_rows(_grouped(reader), reader.schema, target)
    except OSError as error:
        if error.errno is None:  # not the disk: what DuckDB says in the middle of a stream comes as this
            raise duckdb.Error(str(error)) from error
        raise


def write_rows(tables: Iterable[pa.Table], schema: pa.Schema, target: Path) -> None:
    """Write rows as a zstd Parquet file, synced, with the rights of its lake.

    Args:
        tables: The rows; each table gets row groups of its own.
        schema: The columns of a file, in order.
        target: Where; it should not be there yet.
    """
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
    with ParquetWriter(target, schema, **options) as writer:
        for table in tables:
            writer.write_table(table, _ROW_GROUP)
    give(target, target)
    sync_file(target)


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
    """Give written and synced files their final names, durably."""
    moves = [(draft, layout.events / file.path) for draft, file in written]
    for _, target in moves:
        make_folders(target.parent, below=layout.events)
    rename_synced(moves)


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
