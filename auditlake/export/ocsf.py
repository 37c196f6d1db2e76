"""A lake's events as OCSF: what each becomes is said by ``sql/export/``, and written here in pieces of some days.

DuckDB streams what binds no values, so these are set as a variable first. A piece has whole days, as many as have
``PIECE`` events together and at least one; it is sorted by itself and spills beyond ``MEMORY``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Unpack

from auditlake.context import LakeContext
from auditlake.disk.durable import writing_whole
from auditlake.engine.duck import limit_memory
from auditlake.engine.lines import Lines
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statement
from auditlake.errors import LakeError, QueryError
from auditlake.events.times import as_end_or_none, as_instant_or_none
from auditlake.export.model import Exported, Filters
from auditlake.ledger.book import has_ledger
from auditlake.ledger.keys import read_public_key, read_settings
from auditlake.query.view import engine

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

VERSIONS = ("1.8.0", "1.9.0")
"""The versions of OCSF that can be written; the first is the default."""
PIECE = 50_000
"""How many events are sorted together, unless a day has more."""
MEMORY = 1 << 30
"""Bytes that DuckDB holds before it spills."""
_BATCH = 2_000
_TABLES = ("types", "classes", "activities", "verbs", "words", "products")
_NAMES = {
    "event_type": "types", "user_id": "users", "status": "statuses", "resource": "resources",
    "ip_address": "ip_addresses", "session_id": "sessions", "source": "sources",
}  # fmt: skip
_LINES = "lines"
_ROWS = "rows"

Pieces = Iterator["pa.RecordBatch"]


def export_ocsf(
    context: LakeContext,
    out: Path | IO[bytes],
    *,
    version: str,
    parquet: bool,
    snapshot: int | None,
    **filters: Unpack[Filters],
) -> Exported:
    """Write events as OCSF, in time order.

    Args:
        context: The lake.
        out: A file, which is there whole or not at all; or a stream.
        version: One of :data:`VERSIONS`.
        parquet: Whether as Parquet; as lines of JSON otherwise.
        snapshot: The version of the lake to read; everything that was ingested or logged if None.
        **filters: Which events.

    Raises:
        QueryError: There is no such version of OCSF.
        SnapshotError: There is no such snapshot, or it cannot be read exactly any more.
        LakeError: The disk refused.
    """
    if version not in VERSIONS:
        raise QueryError(f"OCSF {version[:20]!r} cannot be written", hint=f"there are: {', '.join(VERSIONS)}")
    with engine(context, snapshot) as (connection, seen):
        limit_memory(connection, MEMORY)
        _prepare(connection, _asked(context, version, filters))
        with _opened(out) as file:
            write = _write_parquet if parquet else _write_lines
            events = write(file, _pieces(connection, _ROWS if parquet else _LINES))
    return Exported(events, version, seen.version, out if isinstance(out, Path) else None)


def _asked(context: LakeContext, version: str, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the statement ``asked`` binds."""
    lists = {name: filters.get(key) for key, name in _NAMES.items()}
    values: dict[str, Any] = {name: [each] if isinstance(each, str) else each for name, each in lists.items()}
    values = {name: each and list(each) for name, each in values.items()}
    values |= {"start": as_instant_or_none(filters.get("since")), "end": as_end_or_none(filters.get("until"))}
    origin = read_settings(context.layout).origin if has_ledger(context.layout) else None
    key = read_public_key(context.layout)
    return values | {"version": version, "chain": origin, "authority": str(key) if key else origin}


def _prepare(connection: duckdb.DuckDBPyConnection, asked: Mapping[str, Any]) -> None:
    for name in _TABLES:
        connection.execute(statement("export/ocsf_tables.sql", name).text)
    for name in ("groups_of", "is_address"):
        connection.execute(statement("sources/functions.sql", name).text)
    connection.execute(statement("ledger/leaves.sql", "event_bytes").text)
    ask = statement("export/ocsf.sql", "asked")
    connection.execute(ask.text, ask.bind(dict(asked)))
    connection.execute(statement("export/ocsf.sql", "chosen").text)


def _pieces(connection: duckdb.DuckDBPyConnection, form: str) -> Pieces:
    """Yield the events as rows of Arrow; the first batch is empty, so that the columns are known without events."""
    from pyarrow import RecordBatch

    days = connection.execute(statement("export/ocsf.sql", "days").text).fetchall()
    for first, last in list(_stretches(days)) or [(date.max, date.max)]:
        connection.execute(statement("export/ocsf.sql", "stretch").text, {"first": first, "last": last})
        connection.execute(statement("export/ocsf.sql", "shaped").text)
        reader = connection.sql(statement("export/ocsf.sql", form).text).to_arrow_reader(_BATCH)
        yield RecordBatch.from_pylist([], reader.schema)
        yield from reader


def _stretches(days: list[tuple[date, int]]) -> Iterator[tuple[date, date]]:
    """Yield the first and the last day of each piece."""
    held: list[tuple[date, int]] = []
    for day, events in days:
        if held and sum(count for _, count in held) + events > PIECE:
            yield held[0][0], held[-1][0]
            held = []
        held.append((day, events))
    if held:
        yield held[0][0], held[-1][0]


def _opened(out: Path | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    if not isinstance(out, Path):
        return nullcontext(out)
    if not out.absolute().parent.is_dir():
        raise LakeError(f"there is no folder {out.parent}")
    return writing_whole(out.absolute())


def _write_lines(file: IO[bytes], pieces: Pieces) -> int:
    """Write lines of JSON. What a terminal would act on is escaped, as JSON does it."""
    events = 0

    def counted() -> Pieces:
        nonlocal events
        for piece in pieces:
            events += len(piece)
            yield piece

    for lines in Lines(["unseen_escaped"], ["#1", literal("\n")]).of(counted()):
        file.write(lines)
    return events


def _write_parquet(file: IO[bytes], pieces: Pieces) -> int:
    from pyarrow.parquet import ParquetWriter

    events = 0
    with ParquetWriter(file, next(pieces).schema, compression="zstd") as writer:
        for piece in pieces:
            events += len(piece)
            if len(piece):
                writer.write_batch(piece)
    return events
