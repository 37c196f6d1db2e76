"""Records on their way into DuckDB: batches of one source, gathered until a round of statements is worth it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

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
        self._bytes += batch.text.nbytes

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

    def table(self, only: Sequence[int] | Ints | None = None) -> Any:
        """Return ``record`` (its number) and ``text``, in small slices so that DuckDB's threads share the work.

        Args:
            only: The numbers of the records that are wanted; all if None.
        """
        records = self.records()
        texts = pa.chunked_array([batch.text for batch in self.batches], pa.large_string())
        table = pa.table({"record": records, "text": texts})
        if only is not None:
            table = table.filter(pa.array(np.isin(records, only)))
        return _sliced(table)

    def raws(self) -> Any:
        """Return ``record``, ``text`` that begins with the bytes an id is made from, and ``byte_length`` of these."""
        texts, lengths = [], []
        for batch in self.batches:
            made = batch.text if batch.originals is None else pa.array(
                [(batch.header + each).decode() for each in batch.originals], pa.large_string()
            )  # fmt: skip
            texts.append(made)
            lengths.append(batch.lengths + len(batch.header))
        columns = {"record": self.records(), "text": pa.chunked_array(texts, pa.large_string())}
        return _sliced(pa.table({**columns, "byte_length": np.concatenate(lengths)}))

    def earlier_raws(self) -> Any:
        """Return the same with the bytes of which an earlier version made the id; None if there are none."""
        earlier = self._earlier()
        for batch, base in zip(self.batches, self._bases, strict=True):
            if batch.header and batch.originals is not None:
                earlier |= zip((batch.records + base).tolist(), batch.originals, strict=True)
        return _table_of(earlier)

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


def _table_of(earlier: dict[int, bytes]) -> Any:
    if not earlier:
        return None
    texts = pa.array(list(earlier.values()), pa.large_binary()).cast(pa.large_string())
    lengths = np.fromiter(map(len, earlier.values()), np.int64, len(earlier))
    return _sliced(pa.table({"record": np.array(list(earlier), np.int64), "text": texts, "byte_length": lengths}))
