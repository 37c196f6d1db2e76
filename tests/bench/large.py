"""A hundred million events in ten thousand files: what a large lake costs to ask and to keep.

A command is timed from start to end, on a lake that was asked the same once before. The bytes of a lake are compared
with those of zstd files that DuckDB writes of the same events, one a day in the order of time, without the columns that
are the lake's own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.data import AS_OF, Place
from tests.bench.work import Work

COMMANDS = {
    "stats": ("stats",),
    "retention-plan": ("retention", "plan"),
    "volume": ("query", "run", "volume"),
    "types": ("query", "run", "types_without_policy"),
}
"""The commands that are timed: their words by the name of the row."""
_OWN = "ingested_at, batch, seq, salt"


@dataclass(frozen=True, slots=True)
class Size:
    """The bytes of a lake, and those of its events as DuckDB writes them."""

    events: int
    ratio: float


def command(name: str) -> dict[str, Work]:
    """One of the commands, the second time that it is asked."""
    return {"ours": Work(partial(_asked, COMMANDS[name]), lambda _: None, lambda seconds: seconds)}


def size() -> dict[str, Work]:
    """The lake with its ledger and summaries, without the index of ids."""
    return {"ours": Work(_sized, lambda found: found.events, figure=lambda found: found.ratio)}


def _asked(words: Sequence[str], place: Place, _: Path) -> float:
    asked = [sys.executable, "-m", "auditlake", "--lake", str(place.lake), *words]
    for _ in range(2):
        began = time.perf_counter()
        subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
    return seconds


def _sized(place: Place, _: Path) -> Size:
    import auditlake

    lake = auditlake.open(place.lake, clock=lambda: AS_OF)
    lake.statistics()  # makes the summaries
    files = [path for path in place.lake.rglob("*") if path.is_file() and lake.layout.ids not in path.parents]
    return Size(lake.snapshot().rows, sum(path.stat().st_size for path in files) / _bare_bytes(place))


def _bare_bytes(place: Place) -> int:
    """Return the bytes of the events as DuckDB writes them; counted once, day by day, and nothing of it is kept."""
    import duckdb

    counted = place.root / "bare-bytes"
    if not counted.exists():
        total = 0
        with tempfile.TemporaryDirectory(dir=place.root) as name, duckdb.connect() as connection:
            target = Path(name) / "day.parquet"
            for day in sorted({path.parent for path in place.day_files}):
                connection.execute(f"""
                    copy (
                      select * exclude ({_OWN}) from read_parquet('{day}/*.parquet', hive_partitioning = false)
                      order by "timestamp"
                    ) to '{target}' (format parquet, compression zstd)""")
                total += target.stat().st_size
        counted.write_text(str(total))
    return int(counted.read_text())
