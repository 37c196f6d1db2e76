"""How other programs open a snapshot: a script that makes the view ``events``, and recipes for DuckDB, Polars, Spark.

The script names the snapshot's files, so it needs no extension of DuckDB and shows exactly that version, whatever is
committed later. Polars and Spark read the Delta table at that version themselves.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.engine.paths import has_pattern, no_pattern
from auditlake.engine.sql_text import Batches, select_events
from auditlake.errors import SnapshotError
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.landing.segments import segments
from auditlake.store.snapshot import read_snapshot, readable, whole_files

_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True, slots=True)
class Recipes:
    """How to open one snapshot. Every text runs as it stands."""

    snapshot: int
    view: str
    """SQL for any DuckDB: a view ``events`` of exactly this snapshot, without columns that are auditlake's own."""
    duckdb: str
    """For a shell: write ``view`` to events.sql, and open DuckDB's command line with it."""
    polars: str
    """Python that makes a lazy Polars frame ``events``."""
    spark: str | None
    """Python that makes a Spark frame ``events``, given a session ``spark`` with Delta Lake; None where the Delta table
    cannot be read at this version any more, since compaction has replaced its files."""
    unflushed: bool
    """Whether events were logged that are in no snapshot yet; ``auditlake flush`` brings them in."""


def recipes(layout: Layout, version: int | None) -> Recipes:
    """How to open a snapshot; the newest if None.

    Raises:
        SnapshotError: It does not exist or cannot be read exactly any more, or other programs could not spell its path.
    """
    snapshot = read_snapshot(layout, version)
    source, at = readable(layout, snapshot), snapshot.version
    files = [path.resolve() for path in whole_files(layout, source.files)]
    try:
        str(layout.root).encode()
    except UnicodeEncodeError as error:
        message = f"the lake's path is not UTF-8, which other programs need: {str(layout.root)!a}"
        raise SnapshotError(message, hint="rename the folder") from error
    if odd := next((file for file in files if has_pattern(str(file)) and "\\" in str(file)), None):
        message = f"DuckDB finds no file below a backslash and a pattern: {str(odd.parents[1])!r}"
        raise SnapshotError(message, hint="rename the folder")
    table, columns = json.dumps(str(layout.events), ensure_ascii=False), ", ".join(map(json.dumps, PUBLIC_COLUMNS))
    spark = f'events = spark.read.format("delta").option("versionAsOf", {at}).load({table}).select({columns})\n'
    whole = source.batches is None  # else compaction has replaced this version's files
    delta = whole and (not files or _PLAIN.fullmatch(str(layout.events)))
    scan = f"pl.scan_delta({table}, version={at})" if delta else _scan_files(files, source.batches)
    lake = shlex.quote(str(layout.root))
    return Recipes(
        snapshot=at,
        view=_script(select_events([*map(no_pattern, files)], PUBLIC_COLUMNS, source.batches), at),
        duckdb=f"auditlake --lake {lake} connect view --snapshot {at} > events.sql\nduckdb -init events.sql\n",
        polars=f"import polars as pl\n\nevents = {scan}.select({columns})\n",
        spark=spark if whole else None,
        unflushed=any(segment.size for segment in segments(layout)),
    )


def _scan_files(files: Sequence[Path], batches: Batches | None) -> str:
    """Polars over the files themselves, whose day is that of their events."""
    listed = "".join(f"    {json.dumps(str(file), ensure_ascii=False)},\n" for file in files)
    runs = " | ".join(f'pl.col("batch").is_between({first}, {last})' for first, last in batches or ())
    older = f".filter({runs or 'False'})" if batches is not None else ""
    day = '.with_columns(event_date=pl.col("timestamp").dt.date())'
    return f"pl.scan_parquet([\n{listed}], hive_partitioning=False, glob=False){older}{day}"


def _script(query: str, version: int) -> str:
    listed = query.replace("read_parquet([", "read_parquet([\n  ").replace(".parquet', ", ".parquet',\n  ")
    return f"-- The events of snapshot {version}.\nset TimeZone = 'UTC';\ncreate or replace view events as\n{listed};\n"
