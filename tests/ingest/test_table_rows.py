"""Rows of tables are the events that the same rows are one by one, whatever is in them.

What is compared with is the way of rows that are odd, which makes each to JSON by itself.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake import AuditLake
from auditlake.display.csv_lines import csv_line
from auditlake.events.schema import CANONICAL_FIELDS
from auditlake.sources import csv_table, tabular
from tests.engine.test_lines import ALPHABET
from tests.ingest.lakes import made

TEXT = (
    st.none() | st.text(ALPHABET + "[1", max_size=5) | st.sampled_from(["alice", "=1+1", "'-x", "{}", "[1]", '{"a":1}'])
)
JSON = st.none() | st.sampled_from([
    "{}", '{"a":1}', ' {"a":1}', '{"a": 1.50, "b": [1e5, -0]}', '{"a":NaN}', '{"a":1,}', "[1,2]", "[1", '"x"', "x", "",
    "5", "null", '{"a":"\\u00e9\\n"}', '{"a":1,"a":2}', '{"a":"\\ud800"}', '{"x":12345678901234567890.5}', "true", "{é",
    '{"_extra":1}', "\u2003{}", "nan", "[" * 600 + "]" * 600, '{"a":{"b":"c, 0.50]"}}', '{"a" : [ ] }',
    '{"k":"\x7f\\/"}',
])  # fmt: skip
TIME = st.sampled_from(
    ["2026-11-01T00:00:00Z", "2026-11-01 00:00:00", "yesterday", "", "2026-11-01T00:00:60+0100", None]
)
TYPE = st.sampled_from(["login", "logout", "logon", "", None, "[1]"])
ID = st.none() | st.sampled_from(["", "a", "b", "=c", "{"])
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "event_id": ID, "event_type": TYPE, "timestamp": TIME, "user_id": TEXT, "action": TEXT, "resource": TEXT,
    "status": TEXT, "details": JSON, "metadata": JSON, "session_id": TEXT, "ip_address": TEXT,
}  # fmt: skip
assert tuple(COLUMNS) == CANONICAL_FIELDS
SOURCE = st.sampled_from(["auditlake", "cloudtrail", "nobody", None, ""])
REQUIRED = ("event_type", "timestamp")


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Some columns of events, or all that a lake exports."""
    exported = draw(st.booleans())
    names = [name for name in COLUMNS if exported or name in REQUIRED or draw(st.booleans())]
    rows = draw(st.integers(1, 6))
    columns = {name: draw(st.lists(COLUMNS[name], min_size=rows, max_size=rows)) for name in names}
    if exported:
        columns["source"] = draw(st.lists(SOURCE, min_size=rows, max_size=rows))
        columns["ingested_at"] = ["2026-11-02T00:00:00Z"] * rows
    return columns


def found(lake: AuditLake, path: Path) -> Any:
    """What becomes of a file: events, and what is quarantined, whole."""
    summary = lake.ingest(path)
    kept = summary.quarantine.read_text() if summary.quarantine else ""
    every = lake.sql("select * exclude (ingested_at) from events order by all").fetchall()
    return summary.landed, summary.duplicates, dict(summary.reasons), sorted(kept.splitlines()), every


def both_ways(path: Path, folder: Path, one_by_one: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Ingest a file twice, in either way, into a lake of its own each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabular, "MANY", 1)
        together = found(made(folder / "together"), path)
    with pytest.MonkeyPatch.context() as patch:
        one_by_one(patch)
        assert found(made(folder / "apart"), path) == together


@given(columns=tables())
@settings(max_examples=2)
def test_parquet(columns: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """So it is with Parquet."""
    folder = tmp_path_factory.mktemp("parquet")
    pq.write_table(
        pa.table({name: pa.array(each, pa.string()) for name, each in columns.items()}), folder / "x.parquet"
    )
    both_ways(folder / "x.parquet", folder, lambda patch: patch.setattr(tabular, "fields_of", lambda *_: None))


@given(
    columns=tables(),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    odd=st.sampled_from(["", 'x,"y\n', "\n\r\n"]),
)
@settings(max_examples=2)
def test_csv(columns: dict[str, list[Any]], quoting: Any, odd: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """So it is with CSV, beside lines that are no row."""
    folder = tmp_path_factory.mktemp("csv")
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator="\r\n" if quoting else "\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        text.write(odd)
        if len(odd) > 3:
            text.write(csv_line(row, quote_empty=True))
        else:
            writer.writerow(row)
    (folder / "x.csv").write_text(text.getvalue(), newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_table, "LEAST", 1)
        both_ways(folder / "x.csv", folder, lambda inner: inner.setattr(csv_table, "LEAST", 1 << 30))
