"""What of an event is hashed, and the roots over the events of a batch.

An event's canonical bytes are those of its columns (:data:`COLUMNS`), one after the other:

- text: its length in bytes in decimal digits, a colon, and its UTF-8; a null is the colon alone, an empty text ``0:``;
- a blob: the same of its hexadecimal digits, in capitals;
- a time or a number: its decimal digits (a time's: microseconds since 1970), a semicolon; a null is that alone.

So they do not depend on Parquet, no two events have the same, and one call of ``concat`` makes them in DuckDB. The leaf
is the SHA-256 of a zero byte and these bytes.

A *part* is the events of one batch on one day that are kept equally long when they are appended: those of a retention
class, in the order of their type (as bytes) and ``seq``. So a type that goes is a stretch of leaves. The root of a part
is that of RFC 6962 over them. A batch's root is that of RFC 6962 over its parts in the order of their days and classes,
the data of each being its day, its class, its number of events and its root: where the events of a part have gone, all
others still verify. Earlier versions knew no classes: a part was all of a day, in the order of ``seq``, and its data
had no class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any

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
"""How many events are fetched at a time."""
_SORTED = 'batch, day, "rank", seq'
_EPOCH = date(1970, 1, 1)
_FILE = "ledger/leaves.sql"

Key = tuple[int, date, str]
"""A batch, a day and a retention class."""


@dataclass(frozen=True, slots=True)
class Part:
    """The events of one batch on one day that are of one retention class."""

    batch: int
    day: date
    rows: int
    root: bytes
    retention_class: str = ""
    """How long such events were kept when it was appended; empty for all of a day, in the order of ``seq``."""
    types: tuple[tuple[str, int], ...] = ()
    """The event types of a part that has a class, sorted, with how many events each has."""

    @property
    def key(self) -> Key:
        """What tells it from the other parts of a lake, and what they are sorted by."""
        return self.batch, self.day, self.retention_class

    @property
    def data(self) -> bytes:
        """What the batch's tree has of it as a leaf."""
        named = f"{self.retention_class} " if self.retention_class else ""
        return f"{self.day.isoformat()} {named}{self.rows} ".encode() + self.root


def batch_root(parts: Iterable[Part]) -> bytes:
    """Return the root over the parts of one batch."""
    return root(b"".join(leaf_hash(part.data) for part in sorted(parts, key=attrgetter("key"))))


@dataclass(frozen=True, slots=True)
class Order:
    """How the leaves of batches are ordered: by type, and then by ``seq``."""

    types: Sequence[str]
    """The types in their order; all others come first, in the order of ``seq`` alone."""
    since: int = -(2**63)
    """No batch of a lower number is ordered so; that says nothing of which is older."""
    plain: Sequence[int] = ()
    """All batches of higher numbers that are in the order of ``seq`` alone."""

    @property
    def settings(self) -> dict[str, object]:
        """What the macro reads, by the statement that sets it."""
        return {"ranked_types": list(self.types), "ranked_since": self.since, "unranked_batches": list(self.plain)}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Leaves that follow each other in the order of parts: of one batch, one day and one event type."""

    batch: int
    day: date
    rank: int
    """The type's place among those that leaves are ordered by, from 1; 0 where they are ordered by ``seq`` alone, and
    for types that are not among them."""
    leaves: bytes


def leaves(
    connection: duckdb.DuckDBPyConnection, order: Order | None = None, *, hashed: bool = True
) -> duckdb.DuckDBPyRelation:
    """Return the leaves of the view ``events`` of a connection, or what they are hashes of: batch, day, rank, seq and
    leaf; see :func:`define_leaves`.
    """
    define_leaves(connection, order, hashed=hashed)
    return connection.sql(statement(_FILE, "leaves").text)


def define_leaves(connection: duckdb.DuckDBPyConnection, order: Order | None = None, *, hashed: bool = True) -> None:
    """Make the macros that the statement ``leaves`` calls.

    Args:
        connection: Where.
        order: How leaves are ordered; by ``seq`` alone if None.
        hashed: Whether the leaves are given, or the bytes that they are hashes of.
    """
    for name, value in order.settings.items() if order else ():
        connection.execute(statement(_FILE, name).text, {"value": value})
    for macro in ("event_bytes", "hashed" if hashed else "unhashed", "ranked" if order else "unranked"):
        connection.execute(statement(_FILE, macro).text)


def hash_events(
    connection: duckdb.DuckDBPyConnection, classes: Mapping[str, str] | None = None, *, many: bool = False
) -> Iterator[tuple[Part, bytes]]:
    """Yield the parts of the view ``events`` of a connection, sorted, each with the marks of its events.

    Args:
        connection: Where.
        classes: The retention class of each event type that may come; without any, a part is all of a day.
        many: Whether :func:`auditlake.ledger.hashing.expect` said that it is worth it to be quicker; some 60 bytes of
            each event must then find room in memory, and eight thousand events whole.
    """
    known = classes or {}
    if many:
        hashed: Iterable[Stretch] = stretches_of(connection.table("events").to_arrow_reader(_PIECE), known)
    else:
        hashed = stretches(connection, order_of(known))
    yield from grown(hashed, known)


def order_of(classes: Mapping[str, str]) -> Order | None:
    """Return the order of leaves that are appended with these retention classes of event types."""
    return Order(_ranked(classes)) if classes else None


def _ranked(classes: Mapping[str, str]) -> list[str]:
    return sorted(classes, key=lambda name: (classes[name], name))


def grown(hashed: Iterable[Stretch], classes: Mapping[str, str]) -> Iterator[tuple[Part, bytes]]:
    """Yield the parts that leaves in their order make, each with the marks of its events.

    Args:
        hashed: The leaves, by batch, day and type.
        classes: The retention class of each event type.
    """
    import numpy as np

    types = _ranked(classes)
    names = {0: "", **{rank: classes[name] for rank, name in enumerate(types, 1)}}
    for (batch, day, name), several in groupby(hashed, lambda each: (each.batch, each.day, names[each.rank])):
        tree, marks, counts = GrowingTree(), bytearray(), Counter[int]()
        for each in several:
            tree.extend(each.leaves)
            counts[each.rank] += len(each.leaves) // HASH_SIZE
            marks += np.frombuffer(each.leaves, np.uint8).reshape(-1, HASH_SIZE)[:, :MARK].tobytes()
        of_types = tuple((types[rank - 1], number) for rank, number in counts.items() if rank)
        yield Part(batch, day, tree.size, tree.root(), name, of_types), bytes(marks)


def stretches(connection: duckdb.DuckDBPyConnection, order: Order | None = None) -> Iterator[Stretch]:
    """Yield the leaves of the view ``events`` of a connection by batch, day, type and ``seq``.

    DuckDB hashes, and sorts 32 bytes and a few numbers of each event, and spills; beside that, memory does not grow
    with them.

    Args:
        connection: Where.
        order: Which types leaves are ordered by; by ``seq`` alone if None.
    """
    import pyarrow as pa

    for rows in leaves(connection, order).order(_SORTED).to_arrow_reader(_ROWS):
        hashes = rows.column("leaf").cast(pa.binary(HASH_SIZE))
        batch, day, rank = (rows.column(name).to_numpy(zero_copy_only=False) for name in ("batch", "day", "rank"))
        yield from _cut(batch, day, rank, memoryview(hashes.buffers()[1])[hashes.offset * HASH_SIZE :])


def stretches_of(pieces: Iterable[pa.RecordBatch], classes: Mapping[str, str]) -> Iterator[Stretch]:
    """Yield the leaves of events in memory in the same order, quicker than DuckDB makes them.

    Args:
        pieces: The events; some 60 bytes of each are kept, and thousands whole.
        classes: The retention class of each event type; without any, leaves are ordered by ``seq`` alone.
    """
    import numpy as np

    from auditlake.ledger.event_bytes import event_bytes

    ranks = {name: rank for rank, name in enumerate(_ranked(classes), 1)}
    hashes, numbers = bytearray(), [np.empty((4, 0), np.int64)]
    for piece in pieces:
        if not piece.num_rows:
            continue
        for some in event_bytes(piece):
            hashes += digests(some)
        types = piece["event_type"].dictionary_encode("encode")
        rank = np.array([ranks.get(name, 0) for name in types.dictionary.to_pylist()])[types.indices.to_numpy()]
        day = piece["timestamp"].to_numpy(zero_copy_only=False).astype("M8[D]").astype(np.int64)
        # One array more, for what DuckDB gives out is one piece of memory, the bytes that were hashed among it.
        numbers.append(np.stack([piece["seq"].to_numpy(), rank, day, piece["batch"].to_numpy()]))
    keys = np.concatenate(numbers, axis=1)
    keys = keys[:, places := np.lexsort(keys)]
    leaves = np.frombuffer(hashes, f"V{HASH_SIZE}")[places]
    yield from _cut(keys[3], keys[2], keys[1], memoryview(leaves.tobytes()))


def _cut(batches: Any, days: Any, ranks: Any, hashes: memoryview) -> Iterator[Stretch]:
    """Yield the leaves of every stretch of rows that have the same batch, day and rank."""
    import numpy as np

    changes = np.flatnonzero((np.diff(batches) != 0) | (np.diff(days) != 0) | (np.diff(ranks) != 0)) + 1
    for begin, end in pairwise([0, *changes.tolist(), len(batches)]) if len(batches) else ():
        day = _EPOCH + timedelta(days=int(days[begin]))
        yield Stretch(int(batches[begin]), day, int(ranks[begin]), bytes(hashes[begin * HASH_SIZE : end * HASH_SIZE]))
