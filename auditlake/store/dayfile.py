"""A day's Parquet file: how it is written, and what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.store.delta import DataFile
from auditlake.store.durable import sync_file
from auditlake.store.layout import part_path

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ROW_GROUP = 122_880
"""Rows: what DuckDB reads at a time."""
_FEW = ["event_type", "user_id", "action", "status", "metadata", "source", "ingested_at", "batch"]
"""Columns whose values come again and again, and get a dictionary: to try one for the others costs time and bytes."""


def write_parquet(
    connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, object], target: Path
) -> None:
    """Write the rows of a query, which has the columns of a file, as a day's file; see :func:`write_rows`."""
    relation = connection.sql(query, params=dict(values) or None)
    write_rows(relation.to_arrow_reader(_ROW_GROUP), target)


def write_rows(rows: pa.Table | pa.RecordBatchReader, target: Path) -> None:
    """Write rows as a zstd Parquet file, synced, private to the owner.

    Args:
        rows: With the columns of a file, in order.
        target: Where; it should not be there yet.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    # Level 1 is a fifth quicker than the usual 3, and day files sorted by time come out no larger.
    options: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "store_schema": False}
    with ParquetWriter(target, rows.schema, use_dictionary=_FEW, **options) as writer:
        if isinstance(rows, pa.Table):
            writer.write_table(rows, _ROW_GROUP)
        else:
            for batch in rows:
                writer.write_batch(batch, _ROW_GROUP)
    target.chmod(0o600)
    sync_file(target)


def data_file(draft: Path, day: date, count: int, first: datetime | None, last: datetime | None) -> DataFile:
    """Describe a written file: its final name is made of the SHA-256 of its bytes."""
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataFile(part_path(day, digest), day, draft.stat().st_size, count, first, last)
