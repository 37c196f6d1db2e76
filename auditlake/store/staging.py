"""Records become rows of the table ``staged`` of a DuckDB: judged, mapped, their times read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from auditlake.engine.duck import rows, without
from auditlake.events.schema import CANONICAL, SELF
from auditlake.sources.strictjson import why_not_an_object
from auditlake.sqlfiles import statement
from auditlake.store.load import Load

if TYPE_CHECKING:
    import duckdb

_FILE = "ingest/stage.sql"


def stage(
    connection: duckdb.DuckDBPyConnection, load: Load, event_types: Collection[str]
) -> Sequence[tuple[int, str, str]]:
    """Add the records of a load to ``staged``, which must be there; some get a ``reason`` instead of an event.

    Args:
        connection: Where.
        load: Records of one source.
        event_types: The types that the lake knows.

    Returns:
        The records that are not strictly JSON objects, and so are not staged: seq, reason and detail of each.
    """
    mapped = CANONICAL if load.source == SELF else load.source
    mapping = statement(f"sources/{mapped}.sql", mapped)
    connection.register("loaded", load.table())
    _run(connection, "objects")
    # Our own mapping finds repeated keys by itself, with the keys it reads anyway.
    _run(connection, "records" if mapped == CANONICAL else "records_with_distinct_keys")
    connection.execute(f"create or replace temp view mapped as {mapping.text}")
    # A filter on the keys of a record that is pushed below them would read them twice.
    with without(connection, "filter_pushdown"):
        refused = _judge(connection, load, event_types) if _map(connection, load, event_types) < len(load) else []
    connection.unregister("loaded")
    return refused


def _map(connection: duckdb.DuckDBPyConnection, load: Load, event_types: Collection[str]) -> int:
    """Stage the events of the view ``records``, and say how many there were."""
    values = {
        "source": load.source,
        "event_types": sorted(event_types),
        "verbatim": load.source not in {CANONICAL, SELF},
    }
    part = statement(_FILE, "stage")
    ((count,),) = connection.execute(part.text, part.bind(values)).fetchall()
    return int(count)


def _judge(
    connection: duckdb.DuckDBPyConnection, load: Load, event_types: Collection[str]
) -> list[tuple[int, str, str]]:
    """Judge strictly what DuckDB could not clear: refuse it, or stage it after all."""
    refused, cleared = [], []
    part = statement(_FILE, "unstaged")
    for (seq,) in rows(connection, part.text, part.bind({"first": load.first})):
        _, batch, i = load.find(seq)
        if verdict := why_not_an_object(batch.raw(i)):
            refused.append((seq, *verdict))
        else:
            cleared.append(seq)
    if cleared:
        connection.register("loaded", load.table(cleared))
        _run(connection, "cleared_records")
        _map(connection, load, event_types)
    return refused


def _run(connection: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, object] | None = None) -> None:
    part = statement(_FILE, name)
    connection.execute(part.text, part.bind(dict(values or {})) or None)
