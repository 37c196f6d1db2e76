"""Events mapped anew from what the lake keeps of their records, which is ``details``.

That is the whole record; where each element of a list gives an event, it is the record without the list, and the
element as ``item``. So such a record is put together again with one element in its list.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from auditlake.ingest.mapping import STAGED, map_records
from auditlake.ingest.record_buffer import RecordBuffer
from auditlake.sources.catalog import Catalog
from auditlake.sources.model import Batch

if TYPE_CHECKING:
    import duckdb

_ITEM = '"item":'


@dataclass(frozen=True, slots=True)
class MappedAgain:
    """What the present mapping makes of the details of some events."""

    rows: pa.Table
    """What it gives, as ``ingest/mapping.py`` has it: ``record`` is the place of the details among those given."""
    left: dict[int, str]
    """Why it makes no event of some, by their place."""


def map_again(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    name: str,
    details: Sequence[str | None],
    event_types: Collection[str],
) -> MappedAgain:
    """Map the details of events of one source by its present mapping.

    Args:
        connection: Where the statements run.
        catalog: The sources.
        name: The source.
        details: What the events have; of one whose details are null, nothing can be made.
        event_types: The types that the lake knows.

    Raises:
        MappingError: The mapping has mistakes.
    """
    source = catalog[name]
    steps = source.mapping.each if source.outline else ()
    left = {number: "it has no details" for number, text in enumerate(details) if text is None}
    whole = [(number, _with_list(text, steps)) for number, text in enumerate(details) if text is not None]
    if not whole:
        return MappedAgain(STAGED.empty_table(), left)
    numbers = np.array([number for number, _ in whole], np.int64)
    texts = pa.array([text for _, text in whole], pa.large_string())
    lengths = np.array([len(text.encode()) for _, text in whole], np.int64)
    zeros = np.zeros(len(whole), np.int64)
    buffer = RecordBuffer()
    buffer.add(0, Batch(numbers, zeros, zeros, lengths, texts), 0, name)
    mapped = map_records(connection, buffer, event_types, catalog=catalog)
    left |= {each.record: f"the mapping refuses it: {each.reason}" for each in mapped.refused}
    left |= {record: f"the mapping leaves it out: {why}" for record, why in mapped.skipped}
    return MappedAgain(mapped.rows, left)


def _with_list(text: str, steps: Sequence[str | int]) -> str:
    """Return a record with a list of the one element that stands behind it as ``item``; without one, as it is.

    Args:
        text: The record as JSON, in the one way in which details are written: ``item`` is its last key.
        steps: The steps to an element of the list.
    """
    if not steps or not text.endswith("}") or (item := _last_item(text)) is None:
        return text
    for step in reversed(steps[1:]):
        if isinstance(step, int):
            item = f"[{'null,' * step}{item}]"
        else:
            item = f"[{item}]" if step == "*" else f"{{{json.dumps(step)}:{item}}}"
    return f"{text[:-1]},{json.dumps(steps[0])}:{item}}}"


def _last_item(text: str) -> str | None:
    """Return the value of the key ``item`` where it is the last one of an object, every byte as it is."""
    at = text.find(_ITEM)
    while at >= 0:
        value = text[at + len(_ITEM) : -1]
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            at = text.find(_ITEM, at + 1)
        else:
            return value
    return None
