"""Rows of Parquet as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import Batch


def cut_parquet(stream: Any, max_record: int, _outline: Outline) -> Iterator[Batch]:
    """Read the rows of a Parquet file, whatever its columns are.

    Raises:
        SourceError: It names a column twice, or is compressed in a way that is not read.
    """
    from auditlake.sources.tabular import read_parquet

    return read_parquet(stream, max_record, required=())
