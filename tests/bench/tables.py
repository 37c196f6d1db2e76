"""Tables in and events out: rows of tables against the same lines of JSON, exports against DuckDB's ``COPY``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.bench.data import SMALL, Place
from tests.bench.work import Work
from tests.lakes import create

SHARE = 0.2
"""Which part of a lake's events is exported: those of the first days."""
FIRST = 1_000
"""How many the first ones are."""
_TEXTS = ("event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "session_id", "ip_address")
_JSON = ("details", "metadata")
_COLUMNS = "* exclude (batch, seq, salt)"


def ingests(form: str) -> dict[str, Work]:
    """The same events with ids, as a table and as JSON lines; the table is made beforehand."""
    return {"ours": Work(partial(_table, form), _landed), "JSON lines": Work(_lines, _landed)}


def _table(form: str, place: Place, scratch: Path) -> Any:
    return create(scratch / "lake").ingest(table_of(place, form))


def _lines(place: Place, scratch: Path) -> Any:
    return create(scratch / "lake").ingest(place.lines)


def _landed(summary: Any) -> int:
    landed: int = summary.landed
    return landed


def table_of(place: Place, form: str) -> Path:
    """The lines of a place as a table, made by the first run that needs it: the one that is not timed."""
    import duckdb

    if not (path := place.root / f"lines.{form}").exists():
        types = dict.fromkeys(_TEXTS, "varchar") | {"details": "json", "metadata": "json"}
        draft = path.with_name(f"draft-{path.name}")
        with duckdb.connect() as connection:
            lines = connection.read_json(str(place.lines), format="newline_delimited", columns=types)
            as_text = lines.project(", ".join([*_TEXTS, *(f"cast({name} as varchar) as {name}" for name in _JSON)]))
            as_text.write_csv(str(draft)) if form == "csv" else as_text.write_parquet(str(draft), compression="zstd")
        draft.rename(path)
    return path


def exports(form: str) -> dict[str, Work]:
    """A fifth of the events into a file; the rival's are in the order of files, and guard no spreadsheet."""
    return {"ours": Work(partial(_export, form), _rows(form)), "DuckDB COPY": Work(partial(_copy, form), _rows(form))}


def first() -> dict[str, Work]:
    """The first events as CSV, the whole command; and the shortest program that asks DuckDB for as many."""
    return {"ours": Work(_first, _lines_in), "python -c": Work(_first_copied, _lines_in)}


def _first(place: Place, scratch: Path) -> bytes:
    words = ["-m", "auditlake", "--lake", str(place.lake), "events", "--limit", str(FIRST), "--format", "csv"]
    return subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE).stdout


def _first_copied(place: Place, scratch: Path) -> bytes:
    files = _first_files(place)
    copy = (
        f"copy (select {_COLUMNS} from read_parquet({files}) order by all limit {FIRST}) to '/dev/stdout' (format csv)"
    )
    script = f"import duckdb; duckdb.execute({copy!r})"
    return subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE).stdout


def _first_files(place: Place) -> list[str]:
    """Return the files of the first days that have enough events."""
    from pyarrow.parquet import read_metadata

    files: list[str] = []
    events = 0
    for _, of_day in groupby(place.day_files, lambda path: path.parent):
        if events < FIRST:
            more = [*map(str, of_day)]
            events += sum(read_metadata(path).num_rows for path in more)
            files += more
    return files


def _lines_in(printed: bytes) -> int:
    return printed.count(b"\n")


def _last(place: Place) -> str:
    """The last day that is exported; of the small lake all are."""
    days = sorted({path.parent.name.removeprefix("event_date=") for path in place.day_files})
    return days[-1 if place.events == SMALL else round(len(days) * SHARE) - 1]


def _export(form: str, place: Place, scratch: Path) -> Path:
    from auditlake.cli import cli

    out = scratch / f"events.{form}"
    words = ["--lake", str(place.lake), "events", "--end", _last(place), "--out", str(out)]
    cli.main(words, standalone_mode=False)
    return out


def _copy(form: str, place: Place, scratch: Path) -> Path:
    import duckdb

    out = scratch / f"events.{form}"
    kind = {"csv": "csv", "jsonl": "json", "parquet": "parquet, compression zstd"}[form]
    last = f"event_date={_last(place)}"
    files = [str(path) for path in place.day_files if path.parent.name <= last]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"copy (select {_COLUMNS} from read_parquet({files})) to '{out}' (format {kind})")
    return out


def _rows(form: str) -> Callable[[Path], int]:
    def count(out: Path) -> int:
        import duckdb

        with duckdb.connect() as connection:
            read = {"csv": "read_csv", "jsonl": "read_json", "parquet": "read_parquet"}[form]
            ((rows,),) = connection.execute(f"select count(*) from {read}('{out}')").fetchall()
            return int(rows)

    return count
