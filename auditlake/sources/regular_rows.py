"""Rows of CSV in which nothing is odd, many at a time: each is one line, with quotes only where they belong."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import compute, csv

from auditlake.sources.batches import BOM
from auditlake.sources.fields import fields_of, has_only_fields
from auditlake.sources.model import Batch, Ints
from auditlake.sources.rows import event

LEAST = 32
"""From how many neighbouring rows on they are read together."""
_RETURN = 0x0D
_GUARDED = "^'+[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""What display/formula_guard.py puts an apostrophe before, with it."""


class RegularRows:
    """What reads the regular rows of a table of events.

    Args:
        header: The names of the columns, each another.
        delimiter: What separates them.
        exported: Whether a lake wrote it: a text may be empty and not null, and be guarded by an apostrophe.
        max_record: The longest row in bytes.
    """

    def __init__(self, header: Sequence[str], delimiter: str, max_record: int, *, exported: bool) -> None:
        self._header = list(header)
        self._exported = exported
        self._max = max_record
        apart = re.escape(delimiter)
        plain, quoted = rf"[^{apart}\"\r\n\x00]*", r"\"(?:[^\"\r\x00]|\"\")*\""
        cell = f"(?:{plain}|{quoted})"
        self._pattern = f"(?s:^{cell}(?:{apart}{cell}){{{len(header) - 1}}}\\r?$)"
        self._parse = csv.ParseOptions(delimiter=delimiter)
        self._convert = csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), null_values=[""], strings_can_be_null=True,
            quoted_strings_can_be_null=not exported,
        )  # fmt: skip

    @staticmethod
    def fit(header: Sequence[str]) -> bool:
        """Return whether there may be such rows in a table."""
        return has_only_fields(header) and len(header) > 1

    def ends(self, piece: bytes, bounds: Ints) -> Ints:
        """Return for each line behind which one the run of regular rows ends that it is in; for an odd one, itself.

        Args:
            piece: The bytes.
            bounds: Where each line begins in them, and where the one behind the last would.
        """
        lengths = np.diff(bounds) - 1
        rows = _slices(piece, bounds[:-1], bounds[1:] - 1)
        regular = compute.match_substring_regex(rows, self._pattern)
        regular = compute.and_not(regular, compute.starts_with(rows, BOM)).to_numpy(zero_copy_only=False)
        regular &= (lengths > 1) & (lengths <= self._max)
        numbers, odd = np.arange(len(rows)), np.append(np.flatnonzero(~regular), len(rows))
        return np.where(regular, odd[np.searchsorted(odd, numbers)], numbers)

    def batch(self, piece: bytes, bounds: Ints, at: int, number: int, line: int, head: bytes) -> Batch | None:
        """Return a run of regular rows as a batch; None if they have to be looked at one by one.

        Args:
            piece: The bytes they lie in.
            bounds: Where each begins in them, and where the one behind the last would.
            at: The offset of the piece in the stream.
            number: The number of the first as a record.
            line: Its line.
            head: The header and its newline.
        """
        data, many = memoryview(piece)[bounds[0] : bounds[-1]], len(bounds) - 1
        read = csv.ReadOptions(column_names=self._header, use_threads=False, block_size=len(data) + 1)
        try:
            table = csv.read_csv(pa.BufferReader(data), read, self._parse, self._convert).combine_chunks()
        except pa.ArrowInvalid:  # as where it is not UTF-8
            return None
        columns = {name: table[name].chunk(0) for name in self._header}
        if self._exported:
            columns = {name: _unguarded(column) for name, column in columns.items()}
        # Of a row the bytes in the file have a limit, which was looked at.
        fields = fields_of(columns, len(table), sys.maxsize)
        if fields is None or len(table) != many:
            return None
        starts, ends = bounds[:-1], bounds[1:] - 1
        ends = ends - (np.frombuffer(piece, np.uint8)[ends - 1] == _RETURN)
        originals, texts = _slices(piece, starts, ends), partial(_texts_at, columns)
        numbers, lines = np.arange(number, number + many), np.arange(line, line + many)
        return Batch(numbers, lines, at + starts, ends - starts, texts, (), originals, head, fields=fields)


def _slices(piece: bytes, starts: Ints, ends: Ints) -> pa.LargeBinaryArray:
    """Return stretches of bytes as an array over these."""
    bounds = np.stack((starts, ends), axis=1).ravel()
    between = pa.Array.from_buffers(
        pa.large_binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(piece)]
    )
    return between.take(pa.array(np.arange(len(starts)) * 2))


def _unguarded(column: pa.StringArray) -> pa.StringArray:
    """Return the texts that were guarded, as display/formula_guard.py does of one."""
    if not compute.any(compute.starts_with(column, "'")).as_py():
        return column
    guarded = compute.match_substring_regex(column, _GUARDED)
    return compute.if_else(guarded, compute.utf8_slice_codeunits(column, 1), column)


def _texts_at(columns: Mapping[str, pa.StringArray], places: Sequence[int]) -> pa.LargeStringArray:
    """Return the JSON texts of some rows."""
    wanted = pa.array(places, pa.int64())
    rows = zip(*(column.take(wanted).to_pylist() for column in columns.values()), strict=True)
    texts = [orjson.dumps(event(dict(zip(columns, row, strict=True)))) for row in rows]
    return pa.array(texts, pa.large_binary()).cast(pa.large_string())
