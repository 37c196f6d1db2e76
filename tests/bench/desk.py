"""An auditor's question against bare DuckDB: one that costs nothing, start to end, and one that reads everything."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.data import Place, small_place
from tests.bench.work import Work

_BARE = "import duckdb; print(duckdb.connect().execute('select 1').fetchall()[0][0])"
_QUESTION = """
select user_id, event_type, count(*) as events, min("timestamp") as first_event, max("timestamp") as last_event
from events
group by all
order by all
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows, and how long the question took, the opening left out."""

    rows: Any
    seconds: float


def command() -> dict[str, Work]:
    """The whole command, and the shortest program that asks DuckDB; both on the small lake, whatever the scale."""
    return {"ours": Work(_command, _number), "python -c": Work(_bare, _number)}


def group_by() -> dict[str, Work]:
    """A session's question, and the same of DuckDB on the same files."""
    seconds = lambda found: found.seconds  # noqa: E731 - as short as it can be said
    return {
        "ours": Work(_session, lambda found: found.rows, seconds=seconds),
        "DuckDB": Work(_duckdb, lambda found: found.rows, seconds=seconds),
    }


def _command(place: Place, _: Path) -> str:
    lake = small_place(place.root.parent).lake
    words = ["--lake", str(lake), "sql", "select 1 as one", "--format", "csv"]
    return subprocess.run(
        [sys.executable, "-m", "auditlake", *words], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _bare(_: Place, __: Path) -> str:
    return subprocess.run([sys.executable, "-c", _BARE], check=True, stdout=subprocess.PIPE, text=True).stdout


def _number(printed: str) -> int:
    return int(printed.rsplit(maxsplit=1)[-1])


def _session(place: Place, _: Path) -> Answered:
    import auditlake

    with auditlake.open(place.lake).audit_session(principal="bench") as session:
        session.sql("select 1")
        start = time.perf_counter()
        found = session.sql(_QUESTION).arrow()
        seconds = time.perf_counter() - start
    return Answered(_plain(found), seconds)


def _duckdb(place: Place, _: Path) -> Answered:
    import duckdb

    files = [str(path) for path in place.day_files]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"create view events as select * from read_parquet({files}, hive_partitioning = false)")
        connection.sql("select 1").fetchall()
        start = time.perf_counter()
        found = connection.sql(_QUESTION).to_arrow_table()
        seconds = time.perf_counter() - start
    return Answered(_plain(found), seconds)


def _plain(table: Any) -> Any:
    return sorted(zip(*(table[name].cast("string").to_pylist() for name in table.column_names), strict=True), key=str)
