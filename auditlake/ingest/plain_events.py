"""Events in our own form that need no judgement, as most programs write them: told by a few looks at whole columns.

What is left goes through the statements of the mapping, which make the same of these events, in twice the time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.engine.statements import statement
from auditlake.events.schema import CANONICAL_FIELDS, SELF
from auditlake.sources.rows import JSON_COLUMNS

if TYPE_CHECKING:
    import duckdb

    from auditlake.ingest.record_buffer import RecordBuffer

_FILE = "sources/auditlake.sql"
_SAMPLE = 1_000
"""Lines of a program are much alike: where most of so many are not plain, the others are not tried."""
_SHORTEST, _LONGEST = len("1970-01-01T00:00:00Z"), len("1970-01-01T00:00:00.000000Z")
_INSTANT = pa.timestamp("us", "UTC")
_END = 253_370_764_800_000_000
"""The first microsecond since 1970 that no event has: the year 9999 begins with it."""
_DAY = 86_400_000_000
_BEFORE_NUMBER = np.isin(np.arange(256), list(b":[,-"))


def plain_events(
    connection: duckdb.DuckDBPyConnection, buffer: RecordBuffer, event_types: Collection[str], sources: Collection[str]
) -> pa.Table:
    """Return the plain events of a buffer: the number of each one's record, its fields, its source and its day.

    Args:
        connection: Has the macros that the statements call.
        buffer: Records in our own form.
        event_types: The types that the lake knows.
        sources: What an event may say that it was exported from.

    Raises:
        duckdb.InvalidInputException: A text is no JSON.
    """
    tables = []
    if len(texts := buffer.texts()):
        rows = _of_lines(connection, texts.slice(0, _SAMPLE))
        if len(texts) > _SAMPLE < 2 * len(rows):
            rows = _of_lines(connection, texts)
        tables.append(rows.append_column("source", pa.repeat(buffer.source, len(rows))))
    if buffer.has_fields:
        rows = buffer.fields()
        connection.register("loaded_fields", rows)
        are_plain = connection.sql(statement(_FILE, "plain_fields").text).to_arrow_table()["are_plain"]
        known = pa.array([None, *sorted({*sources} - {SELF})], pa.string())
        rows = _only(rows, compute.and_(are_plain, compute.is_in(rows["exported_from"], known)))
        named = compute.if_else(compute.equal(rows["event_id"], ""), None, rows["event_id"])
        rows = rows.set_column(rows.schema.get_field_index("event_id"), "event_id", named)
        of_source = compute.fill_null(rows["exported_from"], buffer.source)
        tables.append(rows.select(["record", *CANONICAL_FIELDS]).append_column("source", of_source))
    rows = pa.concat_tables(tables)
    return _timed(_only(rows, _are_plain(rows, event_types)))


def _of_lines(connection: duckdb.DuckDBPyConnection, texts: pa.Table) -> pa.Table:
    connection.register("loaded", texts)
    return connection.sql(statement(_FILE, "plain").text).to_arrow_table()


def _are_plain(rows: pa.Table, event_types: Collection[str]) -> Any:
    """Return of which rows the type is known, the time perhaps in UTC, and every number in JSON one."""
    texts = rows["timestamp"]
    lengths = compute.binary_length(texts)
    sized = compute.and_(compute.greater_equal(lengths, _SHORTEST), compute.less_equal(lengths, _LONGEST))
    plain = compute.and_(compute.and_(sized, compute.ends_with(texts, "Z")), _among(rows["event_type"], event_types))
    for name in JSON_COLUMNS:
        plain = compute.and_not(plain, pa.chunked_array([_infinite(each) for each in rows[name].chunks], pa.bool_()))
    return plain


def _among(texts: pa.ChunkedArray, known: Collection[str]) -> Any:
    return compute.is_in(texts, pa.array([*known], pa.string()))


def _infinite(texts: pa.StringArray) -> pa.BooleanArray:
    """Return which texts of JSON may have a NaN or an Infinity, which DuckDB takes for numbers."""
    found = np.zeros(len(texts), np.bool_)
    _, places, data = texts.buffers()
    if len(texts) and data is not None:
        bounds = np.frombuffer(places, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        said = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
        bounds = bounds - bounds[0]
        small = said | 0x20
        first, second = small[:-1], small[1:]
        begun = ((first == ord("n")) & (second == ord("a"))) | ((first == ord("i")) & (second == ord("n")))
        at = np.flatnonzero(begun)
        rows = np.searchsorted(bounds, at, "right") - 1
        found[rows[(bounds[rows] == at) | _BEFORE_NUMBER[said[at - 1]]]] = True
    return pa.array(found)


def _timed(rows: pa.Table) -> pa.Table:
    """Return rows with their times read and their days; none if there may be a time that is no instant."""
    try:
        instants = rows["timestamp"].cast(_INSTANT)
    except pa.ArrowInvalid:
        rows = rows.slice(0, 0)
        instants = rows["timestamp"].cast(_INSTANT)
    numbers = instants.cast(pa.int64())
    rows = rows.set_column(rows.schema.get_field_index("timestamp"), "timestamp", instants)
    rows = rows.append_column("event_day", pa.array(numbers.to_numpy() // _DAY))
    return _only(rows, compute.and_(compute.greater_equal(numbers, 0), compute.less(numbers, _END)))


def _only(rows: pa.Table, chosen: Any) -> pa.Table:
    """Return some of the rows; where that is all of them, without a copy."""
    return rows if compute.all(chosen, skip_nulls=False).as_py() else rows.filter(chosen)
