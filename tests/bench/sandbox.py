"""An auditor's question against bare DuckDB: one that costs nothing, start to end, and one that reads everything."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.data import SMALL, Place, linked, small_place
from tests.bench.work import Work
from tests.sandbox.attacks import BOMBS

_DEADLINE = 2
"""Seconds that a resource bomb has."""
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


def bombs() -> dict[str, Work]:
    """How much longer than allowed the slowest of the resource bombs took, and how far the parent grew over them."""
    seconds, figure = (lambda found: found.beyond), (lambda found: found.grown_mb)
    return {
        "ours": Work(_stopped_bombs, lambda found: found.many, seconds, figure),
        "a killed python -c": Work(_killed_bombs, lambda found: found.many, seconds, figure),
    }


@dataclass(frozen=True, slots=True)
class Bombed:
    """What came of statements that never end, or need more than there is."""

    many: int
    beyond: float
    """Seconds beyond the deadline, of the slowest; at least a millisecond."""
    grown_mb: float


def _bombed(place: Place, ask: Callable[[str], object]) -> Bombed:
    statements = BOMBS[:1] if place.events == SMALL else BOMBS
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for statement in statements:
        start = time.perf_counter()
        ask(statement)
        slowest = max(slowest, time.perf_counter() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Bombed(len(statements), max(slowest - _DEADLINE, 0.001), grown / 1024)


def _stopped_bombs(place: Place, _: Path) -> Bombed:
    import auditlake
    from tests.sandbox.lakes import session

    with session(auditlake.open(place.lake), seconds=_DEADLINE, memory_mb=512) as opened:
        opened.sql("select 1")

        def ask(statement: str) -> None:
            with suppress(auditlake.AuditLakeError):
                opened.sql(statement)

        return _bombed(place, ask)


def _killed_bombs(place: Place, _: Path) -> Bombed:
    def ask(statement: str) -> None:
        script = f"import duckdb; duckdb.connect(config={{'memory_limit': '512MB'}}).execute({statement!r}).fetchall()"
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([sys.executable, "-c", script], timeout=_DEADLINE, check=False, stderr=subprocess.DEVNULL)

    return _bombed(place, ask)


def _command(place: Place, scratch: Path) -> str:
    lake = linked(small_place(place.root.parent).lake, scratch / "lake")  # questions go on record
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
