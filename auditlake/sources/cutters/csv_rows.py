"""Rows of CSV under the columns of a header, or of the mapping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditlake.sources.cutters.plain import as_utf8
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import Batch


def cut_csv(stream: Any, max_record: int, outline: Outline) -> Iterator[Batch]:
    """Cut a stream into rows of CSV; an empty field is null, and a dotted column is a field of a field.

    Raises:
        SourceError: The header cannot be read, or names a column twice.
    """
    from auditlake.sources.csv_table import TableForm, split_csv

    keys = outline.keys
    form = TableForm(tuple(keys.get("columns", ())), keys.get("delimiter", ""), int(keys.get("preamble", 0)))
    return split_csv(as_utf8(stream, outline), max_record, form)
