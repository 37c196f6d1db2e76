"""What of an event is hashed, and the roots over the events of a batch.

An event's canonical bytes are those of its columns (:data:`COLUMNS`), one after the other:

- text: its length in bytes in decimal digits, a colon, and its UTF-8; a null is the colon alone, an empty text ``0:``;
- a blob: the same of its hexadecimal digits, in capitals;
- a time or a number: its decimal digits (a time's: microseconds since 1970), a semicolon; a null is that alone.

So they do not depend on Parquet, no two events have the same, and one call of ``concat`` makes them in DuckDB. The leaf
is the SHA-256 of a zero byte and these bytes.

A *part* is the events of one batch on one day, in the order of ``seq``; its root is that of RFC 6962 over their leaves.
A batch's root is that of RFC 6962 over its parts in the order of their days, the data of each being its day, its number
of events and its root: where the events of a day have gone, all others still verify.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from auditlake.engine.statements import statement
from auditlake.ledger.hashing import digests
from auditlake.ledger.merkle import HASH_SIZE, GrowingTree, leaf_hash, root

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

COLUMNS = (
    "event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "details", "metadata",
    "session_id", "ip_address", "source", "ingested_at", "batch", "seq", "salt",
)  # fmt: skip
"""The columns that are hashed, in this order: all but the day, which follows from the time."""
MARK = 2
"""How many bytes of each leaf are kept, so that a verification can say which row of a part is another one."""
_ROWS = 122_880
_PIECE = 8_192
"""How many events' bytes are hashed at a time."""
_NUMBERS = ("batch", "day", "seq")
"""What leaves are ordered by."""
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """The events of one batch on one day."""

    batch: int
    day: date
    rows: int
    root: bytes

    @property
    def data(self) -> bytes:
        """What the batch's tree has of it as a leaf."""
        return f"{self.day.isoformat()} {self.rows} ".encode() + self.root


def batch_root(parts: Iterable[Part]) -> bytes:
    """Return the root over the parts of one batch."""
    return root(b"".join(leaf_hash(part.data) for part in sorted(parts)))


def leaves(connection: duckdb.DuckDBPyConnection, *, hashed: bool = True) -> duckdb.DuckDBPyRelation:
    """Return the leaves of the view ``events`` of a connection, or what they are hashes of: batch, day, seq and
    leaf.
    """
    define_leaves(connection, hashed=hashed)
    return connection.sql(statement("ledger/leaves.sql", "leaves").text)


def define_leaves(connection: duckdb.DuckDBPyConnection, *, hashed: bool = True) -> None:
    """Make the macros that the statement ``leaves`` calls."""
    for macro in ("event_bytes", "hashed" if hashed else "unhashed"):
        connection.execute(statement("ledger/leaves.sql", macro).text)


def hash_events(connection: duckdb.DuckDBPyConnection, *, many: bool = False) -> Iterator[tuple[Part, bytes]]:
    """Yield the parts of the view ``events`` of a connection, by batch and day, each with the marks of its events.

    DuckDB hashes, and sorts 32 bytes and a few numbers of each event, and spills; beside that, memory does not grow
    with them.

    Args:
        connection: Where.
        many: Whether :func:`auditlake.ledger.hashing.expect` said that it is worth it to be quicker; some 60 bytes of
            each event must then find room in memory, and eight thousand events whole.
    """
    import numpy as np

    ordered = _many(connection) if many else leaves(connection).order(", ".join(_NUMBERS)).to_arrow_reader(_ROWS)
    stretches = (stretch for rows in ordered for stretch in _stretches(rows))
    for (batch, day), several in groupby(stretches, itemgetter(0, 1)):
        tree, marks = GrowingTree(), bytearray()
        for _, _, hashes in several:
            tree.extend(hashes)
            marks += np.frombuffer(hashes, np.uint8).reshape(-1, HASH_SIZE)[:, :MARK].tobytes()
        yield Part(batch, _EPOCH + timedelta(days=day), tree.size, tree.root()), bytes(marks)


def _many(connection: duckdb.DuckDBPyConnection) -> Iterable[pa.RecordBatch]:
    """Return the leaves by batch, day and seq, quicker than DuckDB makes them (:mod:`auditlake.ledger.hashing`)."""
    import numpy as np
    import pyarrow as pa

    pieces = []
    for piece in leaves(connection, hashed=False).to_arrow_reader(_PIECE):
        buffers = [None, pa.py_buffer(digests(piece["leaf"]))]
        hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(HASH_SIZE), len(piece), buffers)
        # Copies, for what DuckDB gives out is one piece of memory, the bytes that were hashed among it.
        numbers = [pa.array(piece[name].to_numpy().copy()) for name in _NUMBERS]
        pieces.append(pa.RecordBatch.from_arrays([*numbers, hashes], [*_NUMBERS, "leaf"]))
    if not pieces:
        return []
    table = pa.Table.from_batches(pieces)
    order = np.lexsort([table[name].to_numpy() for name in reversed(_NUMBERS)])
    ordered: list[pa.RecordBatch] = table.take(pa.array(order)).to_batches(max_chunksize=_ROWS)
    return ordered


def _stretches(rows: pa.RecordBatch) -> Iterator[tuple[int, int, bytes]]:
    """Batch, day and the leaves of every stretch of rows that have the same."""
    import numpy as np
    import pyarrow as pa

    if not rows.num_rows:
        return
    batches, days = (rows.column(name).to_numpy(zero_copy_only=False) for name in ("batch", "day"))
    fixed = rows.column("leaf").cast(pa.binary(HASH_SIZE))
    hashes = memoryview(fixed.buffers()[1])[fixed.offset * HASH_SIZE :]
    changes = np.flatnonzero((np.diff(batches) != 0) | (np.diff(days) != 0)) + 1
    for begin, end in pairwise([0, *changes.tolist(), len(batches)]):
        yield int(batches[begin]), int(days[begin]), bytes(hashes[begin * HASH_SIZE : end * HASH_SIZE])
