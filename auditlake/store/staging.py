"""Records become rows: judged, mapped, their times read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.engine.duck import without
from auditlake.events.schema import CANONICAL, CANONICAL_FIELDS, SELF
from auditlake.sources.strictjson import why_not_an_object
from auditlake.sqlfiles import statement
from auditlake.store.load import Load

_FILE = "ingest/stage.sql"
_OWN = f"sources/{CANONICAL}.sql"
STAGED = pa.schema(
    [("seq", pa.int64())]
    + [(name, pa.timestamp("us", "UTC") if name == "timestamp" else pa.string()) for name in CANONICAL_FIELDS]
    + [("source", pa.string()), ("event_day", pa.int64())]
)
"""The columns of a record that was mapped; ``event_day`` is the day since 1970."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of the records of a load."""

    rows: pa.Table
    """Those that can become events, as :data:`STAGED` says."""
    refused: list[tuple[int, str, str]]
    """The others: seq, reason and detail of each."""


def stage(connection: duckdb.DuckDBPyConnection, load: Load, event_types: Collection[str]) -> Mapped:
    """Map and judge the records of a load.

    Args:
        connection: Where.
        load: Records of one source.
        event_types: The types that the lake knows.
    """
    mapped = CANONICAL if load.source == SELF else load.source
    own = mapped == CANONICAL
    connection.register("loaded", load.table())
    if own:
        connection.execute(statement(_OWN, "parsed").text)
    # Our own mapping finds repeated keys by itself, with the keys it reads anyway.
    connection.execute(statement(_OWN if own else _FILE, "keyed").text)
    for name in ("objects", "records" if own else "records_with_distinct_keys"):
        connection.execute(statement(_FILE, name).text)
    connection.execute(f"create or replace temp view mapped as {statement(f'sources/{mapped}.sql', mapped).text}")
    # A filter on the keys of a record that is pushed below them would read them twice.
    with without(connection, "filter_pushdown"):
        try:
            rows = _map(connection, load, event_types)
        except (duckdb.InvalidInputException, UnicodeDecodeError):
            # The latter where DuckDB's message quotes a text that it cut within a character.
            if not own:
                raise
            connection.execute(statement(_OWN, "parsed_or_null").text)
            rows = _map(connection, load, event_types)
        rows, refused = (rows, []) if len(rows) == len(load) else _judge(connection, load, event_types, rows)
    connection.unregister("loaded")
    return _parted(rows, refused)


def _map(connection: duckdb.DuckDBPyConnection, load: Load, event_types: Collection[str]) -> pa.Table:
    """The rows of the view ``records``, some with a reason why they are no event."""
    values = {
        "source": load.source,
        "event_types": sorted(event_types),
        "verbatim": load.source not in {CANONICAL, SELF},
    }
    part = statement(_FILE, "stage")
    return connection.sql(part.text, params=part.bind(values)).to_arrow_table()


def _judge(
    connection: duckdb.DuckDBPyConnection, load: Load, event_types: Collection[str], rows: pa.Table
) -> tuple[pa.Table, list[tuple[int, str, str]]]:
    """Judge strictly what DuckDB could not clear: refuse it, or map it after all."""
    refused, cleared = [], []
    for seq in np.setdiff1d(load.seqs(), rows["seq"].to_numpy(), assume_unique=True).tolist():
        _, batch, i = load.find(seq)
        if verdict := why_not_an_object(batch.raw(i)):
            refused.append((seq, *verdict))
        else:
            cleared.append(seq)
    if cleared:
        connection.register("loaded", load.table(cleared))
        connection.execute(statement(_FILE, "cleared_records").text)
        rows = pa.concat_tables([rows, _map(connection, load, event_types)])
    return rows, refused


def _parted(rows: pa.Table, refused: list[tuple[int, str, str]]) -> Mapped:
    """The rows that are events, and the others among what is refused."""
    reasons = rows["reason"]
    if reasons.null_count < len(rows):
        bad = rows.filter(compute.is_valid(reasons)).sort_by("seq")
        for seq, reason in zip(bad["seq"].to_pylist(), bad["reason"].to_pylist(), strict=True):
            phrase, _, detail = reason.partition(": ")
            refused.append((seq, phrase, detail))
        rows = rows.filter(compute.is_null(reasons))
    return Mapped(rows.drop_columns(["reason"]), refused)
