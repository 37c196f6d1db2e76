"""Runs the mapping of sql/sources/cloudtrail.yaml on records, and finds the real CloudTrail files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from auditlake.engine.statements import statement
from auditlake.events.schema import BUILT_IN_TYPES as TYPES
from auditlake.sources.catalog import built_in
from auditlake.sources.mappings.statement import functions

__all__ = ["REAL", "TYPES", "map_events", "map_texts", "real_files", "records"]

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "real" / "cloudtrail"
COLUMNS = (
    "record",
    "event_id",
    "event_type",
    "timestamp",
    "user_id",
    "action",
    "resource",
    "status",
    "details",
    "metadata",
    "session_id",
    "ip_address",
    "reason",
)


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One engine for all tests, set up as auditlake sets it up."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute("set threads = 2")
    con.execute(statement("ingest/numbers.sql", "inner_numbers_as_they_are").text)
    con.execute("set disabled_optimizers = 'filter_pushdown,common_subexpressions'")
    for macro in functions():
        con.execute(macro)
    con.execute("create table input (record bigint, text varchar)")
    con.execute("create temp view records as select record, text from input")
    con.execute(f"create temp view mapped as {built_in()['cloudtrail'].sql}")
    return con


def map_texts(texts: Sequence[str], values: str = "values_as_they_are") -> list[dict[str, Any]]:
    """What the statement makes of these texts, in their order, with this way to read their values."""
    con = connection()
    con.execute(statement("ingest/numbers.sql", values).text)
    con.execute("delete from input")
    con.execute("insert into input select unnest(range(len($1))), unnest($1)", [list(texts)])
    rows = con.execute(f"select {', '.join(COLUMNS)} from mapped order by record").fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def map_events(events: Iterable[Any]) -> list[dict[str, Any]]:
    """What the statement makes of these objects, in their order."""
    return map_texts([json.dumps(event) for event in events])


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file: one `Records` object, an array, or objects one after another."""
    decoder = json.JSONDecoder()
    text = path.read_text(encoding="utf-8").strip()
    while text:
        found, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        yield from found if isinstance(found, list) else found.get("Records", [found])


def real_files() -> list[Path]:
    """The real CloudTrail files at hand, none where the shared folder is absent."""
    return sorted(path for path in REAL.rglob("*.*json") if ".labels." not in path.name)
