"""Records on their way into DuckDB: batches of one source, gathered until a round of statements is worth it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.sources.model import Batch, Ints

_ROWS_A_SLICE = 8_192
"""Small slices, so that DuckDB's threads share the work evenly."""
_FULL_RECORDS = 300_000
"""DuckDB appends more than two row groups at once far quicker than a fraction of one."""
_FULL_BYTES = 80 * 1024 * 1024


class RecordBuffer:
    """Records of one source that are mapped together, from one input or from many small ones."""

    def __init__(self) -> None:
        self.source = ""
        self.may_be_exported = False
        """Whether a record may be what a lake exported of another source: one of a file, never one just logged."""
        self.batches: list[Batch] = []
        self._indexes: list[int] = []
        self._bases: list[int] = []
        self._starts: list[int] = []
        self._records = 0
        self._bytes = 0

    def add(self, index: int, batch: Batch, base: int, source: str, *, may_be_exported: bool = False) -> None:
        """Take a batch of the input ``index`` whose record 0 has the number ``base`` in the ingest."""
        self.source, self.may_be_exported = source, may_be_exported
        self.batches.append(batch)
        self._indexes.append(index)
        self._bases.append(base)
        self._starts.append(base + int(batch.records[0]))
        self._records += len(batch)
        self._bytes += batch.size

    @property
    def full(self) -> bool:
        """Whether it is worth a round of statements."""
        return self._records >= _FULL_RECORDS or self._bytes >= _FULL_BYTES

    def find(self, record: int) -> tuple[int, Batch, int]:
        """Return the index of a record's input, its batch, and its place in that."""
        at = bisect_right(self._starts, record) - 1
        batch = self.batches[at]
        return self._indexes[at], batch, int(np.searchsorted(batch.records, record - self._bases[at]))

    def count_by_input(self, records: Ints) -> Iterator[tuple[int, int]]:
        """Yield the index of each input that has some of these records, and how often it has one."""
        batches = np.searchsorted(self._starts, records, "right") - 1
        for index, number in enumerate(np.bincount(np.array(self._indexes)[batches]).tolist()):
            if number:
                yield index, number

    def records(self) -> Any:
        """Return the number of every record, ascending."""
        return np.concatenate([batch.records + base for batch, base in zip(self.batches, self._bases, strict=True)])

    def __len__(self) -> int:
        return self._records

    def table(self, only: Ints | Sequence[int]) -> Any:
        """Return ``record`` (its number) and ``text`` of some records, by their numbers."""
        return self._chosen(only, [True] * len(self.batches))

    def texts(self, only: Ints | None = None) -> Any:
        """Return the same of those that came as JSON; of all of them if None."""
        return self._chosen(only, [batch.fields is None for batch in self.batches])

    def _chosen(self, only: Ints | Sequence[int] | None, wanted: Sequence[bool]) -> Any:
        records, texts = [np.empty(0, np.int64)], []
        for batch, base in compress(zip(self.batches, self._bases, strict=True), wanted):
            if only is None:
                records.append(batch.records + base)
                texts.append(batch.text)
            elif len(places := np.flatnonzero(np.isin(batch.records + base, only))):
                records.append(batch.records[places] + base)
                texts.append(batch.text_of(places))
        return _sliced(
            pa.table({"record": np.concatenate(records), "text": pa.chunked_array(texts, pa.large_string())})
        )

    @property
    def has_fields(self) -> bool:
        """Whether some of the records came as rows of a table of events."""
        return any(batch.fields is not None for batch in self.batches)

    def fields(self, only: Ints | None = None) -> Any:
        """Return ``record`` and the fields of those that came as such a row; of all of them if None."""
        tables = [
            pa.Table.from_batches([batch.fields]).add_column(0, "record", pa.array(batch.records + base))
            for batch, base in zip(self.batches, self._bases, strict=True)
            if batch.fields is not None
        ]
        rows = pa.concat_tables(tables)
        return _sliced(rows if only is None else rows.filter(pa.array(np.isin(rows["record"].to_numpy(), only))))

    def raws(self) -> Any:
        """Return ``record``, ``text`` that begins with the bytes an id is made from, and ``byte_length`` of these."""
        texts, lengths = [], []
        for batch in self.batches:
            made = batch.text if batch.originals is None else _joined(batch.header, batch.originals)
            texts.append(made)
            in_place = batch.fields is None or batch.originals is not None
            lengths.append(batch.lengths + len(batch.header) if in_place else compute.binary_length(made).to_numpy())
        columns = {"record": self.records(), "text": pa.chunked_array(texts, pa.large_string())}
        return _sliced(pa.table({**columns, "byte_length": np.concatenate(lengths)}))

    def earlier_raws(self) -> Any:
        """Return the same with the bytes of which an earlier version made the id; None if there are none."""
        tables = [] if (earlier := _table_of(self._earlier())) is None else [earlier]
        for batch, base in zip(self.batches, self._bases, strict=True):
            if batch.header and batch.originals is not None:
                columns = {"record": batch.records + base, "text": _joined(b"", batch.originals)}
                tables.append(_sliced(pa.table({**columns, "byte_length": batch.lengths})))
        return pa.concat_tables(tables) if tables else None

    def earlier_texts(self) -> Any:
        """Return the same with the JSON that an earlier version made of it; None if it made that of all."""
        return _table_of(self._earlier())

    def _earlier(self) -> dict[int, bytes]:
        return {
            int(batch.records[i]) + base: text
            for batch, base in zip(self.batches, self._bases, strict=True)
            for i, text in batch.earlier.items()
        }

    def places(self) -> Any:
        """Return where each record stands in its input."""
        columns = {"record": self.records()}
        for name in ("lines", "offsets", "lengths"):
            columns[name] = np.concatenate([getattr(batch, name) for batch in self.batches])
        return pa.table(columns)


def _sliced(table: Any) -> Any:
    return pa.Table.from_batches(table.to_batches(max_chunksize=_ROWS_A_SLICE), schema=table.schema)


def _joined(header: bytes, originals: Any) -> Any:
    """Return raw bytes, all of which are UTF-8, as texts with a header before each."""
    raws = originals if isinstance(originals, pa.Array) else pa.array(originals, pa.large_binary())
    nothing, head = pa.scalar(b"", pa.large_binary()), pa.scalar(header, pa.large_binary())
    return compute.binary_join_element_wise(head, raws, nothing).cast(pa.large_string())


def _table_of(earlier: dict[int, bytes]) -> Any:
    if not earlier:
        return None
    texts = pa.array(list(earlier.values()), pa.large_binary()).cast(pa.large_string())
    lengths = np.fromiter(map(len, earlier.values()), np.int64, len(earlier))
    return _sliced(pa.table({"record": np.array(list(earlier), np.int64), "text": texts, "byte_length": lengths}))
