"""Rows of a table whose columns are the fields of an event: nothing of them has to be written as JSON and read again.

What a row would say as JSON is settled here only where columns tell it: texts that are UTF-8, and instants. All other
tables go another way, a row at a time, and so do rows that JSON would refuse.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import compute, types

from auditlake.engine.duck import connect
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statement
from auditlake.events.schema import CANONICAL_FIELDS
from auditlake.sources.model import FIELDS, MAX_DEPTH
from auditlake.sources.rows import ADDED, EXPORTED, JSON_COLUMNS, OWN
from auditlake.sources.values import plain_instants

_OF_LAKE = frozenset({"source", "ingested_at", "event_date"})
"""The columns of what a lake exported that are no field."""
_MACROS = {
    "ingest/numbers.sql": ("numbers", "suspects"),
    "sources/auditlake.sql": ("is_json", "json_of_row"),
    "engine/lines.sql": ("escaped_unit", "json_utf8"),
}
"""What spells a row."""
_ESCAPED = 6
"""How many bytes of JSON a byte of a text becomes at most."""
_DEEP = MAX_DEPTH - 1
"""How many brackets make JSON in a column too deep: the row itself is one more."""


def has_only_fields(columns: Collection[str]) -> bool:
    """Return whether a table has no other columns than those of events, or of events that a lake exported."""
    names = set(columns)
    return names - (ADDED if names >= OWN else set()) <= {*CANONICAL_FIELDS} | (
        _OF_LAKE if names >= EXPORTED else set()
    )


def fields_of(columns: Mapping[str, Any], rows: int, max_record: int) -> pa.RecordBatch | None:
    """Return the fields of each row; None if the columns do not tell what a row would say as JSON, or may be too long.

    Args:
        columns: Arrays by their names, none of them twice.
        rows: How many rows there are.
        max_record: The longest row, as JSON text, in bytes.
    """
    if not has_only_fields(columns):
        return None
    is_exported = columns.keys() >= EXPORTED
    texts = {name: _texts(column) for name, column in columns.items() if name not in ADDED}
    if any(each is None for each in texts.values()):
        return None
    longest = {name: compute.max(compute.binary_length(each)).as_py() or 0 for name, each in texts.items()}
    if sum(longest.values()) * _ESCAPED + sum(map(len, columns)) * 2 > max_record:
        return None
    if any(longest.get(name, 0) >= _DEEP and _is_deep(texts[name]) for name in JSON_COLUMNS):
        return None
    source = compute.fill_null(texts["source"], "") if is_exported else None
    found = [*map(texts.get, CANONICAL_FIELDS), source]
    arrays = [pa.nulls(rows, pa.string()) if each is None else each for each in found]
    return pa.RecordBatch.from_arrays(arrays, list(FIELDS))


def row_texts(columns: Mapping[str, Any]) -> Any:
    """Return what each row says as JSON, as a row by itself is written; null where the columns do not tell that.

    Args:
        columns: Columns of which :func:`fields_of` gives fields.
    """
    is_exported = str(columns.keys() >= EXPORTED).lower()
    internal = ADDED if columns.keys() >= OWN else frozenset()
    texts = {name: _texts(column) for name, column in columns.items() if name not in internal}
    parts, told = ["'{'"], ["true"]
    for number, name in enumerate(texts, 1):
        cell = f"json_utf8(#{number})"
        if name in JSON_COLUMNS:
            cell = f"if(is_json(#{number}), #{number}, {cell})"
            told.append(f"(#{number} is null or json_of_row(#{number}, {is_exported}) is not null)")
        parts += [literal(f"{',' * (number > 1)}{json.dumps(name)}:"), f"coalesce({cell}, 'null')"]
    line = f"case when {' and '.join(told)} then concat({', '.join(parts)}, '}}') end as text"
    with connect(exact_try=False) as connection:
        for file, names in _MACROS.items():
            for name in names:
                connection.execute(statement(file, name).text)
        made = connection.from_arrow(pa.table(texts)).project(line)
        return made.to_arrow_table()["text"].combine_chunks().cast(pa.large_string())


def _texts(column: Any) -> Any:
    """Return a column as texts; None if it has other values, or a text that is not UTF-8."""
    kind = column.type
    if types.is_dictionary(kind) and types.is_string(kind.value_type):
        column = column.dictionary_decode()
    elif types.is_timestamp(kind):
        column = plain_instants(column)
    elif types.is_null(kind) or types.is_large_string(kind):
        column = column.cast(pa.string())
    elif not types.is_string(kind):
        return None
    try:
        if column is not None:
            column.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return column


def _is_deep(column: Any) -> bool:
    """Return whether there may be JSON that is nested too deeply."""
    counts = (compute.count_substring(column, bracket) for bracket in "{[")
    return (compute.max(compute.add(*counts)).as_py() or 0) >= _DEEP
