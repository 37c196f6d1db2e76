"""Rows as lines of text, made by the engine: each column a call of a macro of ``sql/engine/lines.sql``, many rows at a
time. What the bytes are is said there, and by :mod:`auditlake.display`, which does the same for single values.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from auditlake.engine.duck import connect
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statements

if TYPE_CHECKING:
    import pyarrow as pa

Item = TypeVar("Item")

_ROWS = 65_536
"""How many rows are made to lines at a time, so that both cores have some."""
_BYTES = 32_000_000
"""The same in bytes, but for one batch."""
_BATCH = 16_384
_SAMPLE = 2_000
"""How many rows of those tell whether a column has few values."""
_FEW = 4
"""A column has few values if each comes so often on average."""
_CHOICES = {"guarded": "unguarded", "quoted_at_edges": "quoted_inside", "nothing_for_empty": "quotes_for_empty"}
"""Macros that there are two of under one name, the usual one first."""


class Lines:
    """A form of lines, for rows of one schema: of text, booleans, whole numbers, floats, days and microseconds.

    Args:
        macros: Which macro makes a text of each column's values.
        line: What a line consists of: SQL for a text each, in which ``#1`` is the first column's.
        unusual: Of which macros to take the other one.
    """

    def __init__(self, macros: Sequence[str], line: Iterable[str], unusual: Collection[str] = ()) -> None:
        self._connection = connect(exact_try=False)
        left_out = {usual if usual in unusual else other for usual, other in _CHOICES.items()}
        for name, part in statements("engine/lines.sql").items():
            if name not in left_out:
                self._connection.execute(part.text)
        self._macros = macros
        self._line = f"concat({', '.join(line)}) as line"

    def of(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Any]:
        """Yield the lines of all rows, as buffers of UTF-8 with many lines each."""
        import pyarrow as pa

        names = [f"c{number}" for number in range(1, len(self._macros) + 1)]  # those of the rows may occur twice
        for some in one_ahead(_gathered(batches)):
            columns = pa.Table.from_batches(some).columns
            once = [*map(self._made_once, columns, self._macros)]
            texts = [
                f"{macro}({name})" if made is None else name
                for name, macro, made in zip(names, self._macros, once, strict=True)
            ]
            table = pa.table(
                [column if made is None else made for column, made in zip(columns, once, strict=True)], names
            )
            lines = self._connection.from_arrow(table).project(", ".join(texts)).project(self._line)
            for batch in lines.to_arrow_reader(_BATCH):
                yield _text_of(batch.column(0))

    def _made_once(self, column: pa.ChunkedArray, macro: str) -> pa.DictionaryArray | None:
        """Return the texts of a column that has few values, each of which is made once; None if it has many."""
        import pyarrow as pa

        if not _has_few(column.slice(0, _SAMPLE)):
            return None
        encoded = column.combine_chunks().dictionary_encode()
        if len(encoded.dictionary) * _FEW > len(encoded):
            return None
        values = self._connection.from_arrow(pa.table([encoded.dictionary], ["c1"]))
        texts = values.project(f"{macro}(#1) as c1").to_arrow_table().column(0).combine_chunks()
        return pa.DictionaryArray.from_arrays(encoded.indices, texts)


def csv_lines(
    schema: pa.Schema,
    *,
    raw: bool = False,
    quote_empty: bool = False,
    edges: bool = True,
    end: str = "\n",
    ready: Collection[str] = (),
) -> Lines:
    """Return the form of CSV that :func:`auditlake.display.csv_lines.csv_line` writes.

    Args:
        schema: The columns.
        raw: Leave text as it is where a spreadsheet would run it.
        quote_empty: Write an empty text as ``""``, so that it can be told from null.
        edges: Quote what begins or ends with white space.
        end: What ends a line.
        ready: Columns whose texts are cells already.
    """
    unusual = [name for name, on in zip(_CHOICES, (raw, not edges, quote_empty), strict=True) if on]
    macros = [_macro("csv", field, ready) for field in schema]
    cells = [f"#{number}" for number in range(1, len(macros) + 1)]
    if len(cells) == 1:  # an empty line would be no row
        cells = ["coalesce(nullif(#1, ''), '\"\"')"]
    line = [part for cell in cells for part in (cell, "','")][:-1]
    return Lines(macros, [*line, literal(end)], unusual)


def json_lines(schema: pa.Schema, *, own: Collection[str] = (), ready: Collection[str] = (), gap: str = "") -> Lines:
    """Return the form of an object a line, in ASCII but for what is JSON already.

    Args:
        schema: The columns, whose names are the keys.
        own: Columns that are JSON as it came: only what a reader does not see is escaped.
        ready: Columns that are JSON as it is to be.
        gap: What stands after a comma and after a colon.
    """
    macros = ["unseen_escaped" if field.name in own else _macro("json", field, ready) for field in schema]
    line = ["'{'"]
    for number, field in enumerate(schema, 1):
        comma = f",{gap}" if number > 1 else ""
        line += [literal(f"{comma}{json.dumps(field.name)}:{gap}"), f"coalesce(#{number}, 'null')"]
    return Lines(macros, [*line, "'}\n'"])


def _macro(form: str, field: pa.Field, ready: Collection[str]) -> str:
    """Return the name of the macro that makes a text of a column's value."""
    return f"{form}_{'plain' if field.name in ready else _kind(form, field.type)}"


def _kind(form: str, kind: pa.DataType) -> str:
    from pyarrow import types

    if types.is_boolean(kind):
        return "boolean"
    if types.is_timestamp(kind):
        return "instant" if kind.tz else "local"
    if types.is_date32(kind):
        return "word" if form == "json" else "plain"
    if types.is_floating(kind):
        return "real"
    return "plain" if types.is_integer(kind) else "text"


def _has_few(column: pa.ChunkedArray) -> bool:
    """Return whether values come again and again in a column, so that it pays to look at each once."""
    from pyarrow import compute

    return bool(compute.count_distinct(column, mode="all").as_py() * _FEW <= len(column))


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the same items; the next one is made, in a thread, while the caller works on the one before."""
    with ThreadPoolExecutor(1, "auditlake-ahead") as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = pool.submit(next, items, None)
            yield item


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield some batches at a time."""
    some: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        some.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _ROWS or size >= _BYTES:
            yield some
            some, rows, size = [], 0, 0
    if some:
        yield some


def _text_of(column: pa.StringArray) -> Any:
    """Return the texts of a column, one right after the other, as they lie in memory."""
    _, offsets, data = column.buffers()
    places = memoryview(offsets).cast("i")
    first, last = places[column.offset], places[column.offset + len(column)]
    return data[first:last] if last > first else b""
