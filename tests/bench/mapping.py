"""Vendors' logs: how fast the statement of a mapping is, and an ingest of CloudTrail.

The records are real ones, again and again, each with an id of its own. A statement is measured by the processor time of
one thread. Its rival is what no mapping can do without: one extraction of the same places, and the record's text.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.data import Place
from tests.bench.work import Work
from tests.lakes import create
from tests.sources.pieces import SHARED

if TYPE_CHECKING:
    import duckdb

REAL = SHARED / "data" / "real"
"""Where the real records are; rows that need them are left out where it is not there."""
IDS = {
    "cloudtrail": "eventID", "okta": "uuid", "k8s_audit": "auditID", "github_audit": "_document_id",
    "gcp_audit": "insertId", "entra": "id",
}  # fmt: skip
"""The measured sources, and the field of a record that has its id."""
LONGEST = 4_000
"""Characters; longer records are not measured."""
_A_FILE = 5_000
"""Records of a file of CloudTrail."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run by its own account."""

    seconds: float
    content: Any


def statement_works(source: str) -> dict[str, Work]:
    """Ours, and the bare extraction; what is the same on both sides is how many records, and their texts."""
    ways: Mapping[str, Callable[[str], str]] = {"ours": _mapping, "the bare extraction": _extraction}
    sides = {}
    for name, way in ways.items():
        run = partial(_stated, source=source, select=way)
        sides[name] = Work(run, lambda found: found.content, lambda found: found.seconds, _rate)
    return sides


def ingest_works() -> dict[str, Work]:
    """Ours, and two scripts: the mapping's own statement, and the plain fields of a record."""
    ways = {
        "ours": _ingested,
        "the mapping's statement, COPY": partial(_script, plain=False),
        "plain fields, COPY": _script,
    }
    return {
        name: Work(way, lambda found: found.content, lambda found: found.seconds, _rate) for name, way in ways.items()
    }


def _rate(found: Measured) -> float:
    return float(found.content[0] / found.seconds)


def _stated(place: Place, _: Path, *, source: str, select: Callable[[str], str]) -> Measured:
    with _ready() as connection:
        records = real_records(place, source)
        connection.execute(f"create temp table records as from read_parquet('{records}')")
        before = _processor()
        table = connection.sql(select(source)).to_arrow_table()
        seconds = _processor() - before
        connection.register("mapped", table)
        return Measured(seconds, connection.sql("select count(*), sum(hash(details)) from mapped").fetchall()[0])


def _mapping(source: str) -> str:
    from auditlake.sources.catalog import built_in

    return built_in()[source].sql


def _extraction(source: str) -> str:
    from auditlake.engine.sql_text import literal
    from auditlake.sources.catalog import built_in

    paths = ", ".join(map(literal, built_in()[source].mapping.paths))
    return f'select record, "text" as details, json_extract_string("text", [{paths}]) as places from records'


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _ready(threads: int | None = 1) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB with what a mapping's statement calls."""
    from auditlake.engine.duck import connect
    from auditlake.engine.statements import statement
    from auditlake.ingest.mapping import OF_MAPPINGS
    from auditlake.sources.mappings.statement import functions

    connection = connect(threads=threads)
    connection.execute(statement("ingest/numbers.sql", "inner_numbers_as_they_are").text)
    for function in functions():
        connection.execute(function)
    connection.execute(f"set disabled_optimizers = '{','.join(OF_MAPPINGS)}'")
    return connection


# Ingest


def _ingested(place: Place, scratch: Path) -> Measured:

    files, lake = _files(place), create(scratch / "lake")
    start = time.perf_counter()
    lake.ingest(files)
    return Measured(time.perf_counter() - start, _content(lake.layout.events))


_PLAIN = """
    select
      f[1] as event_id, coalesce(f[2], f[3]) as event_type, cast(f[4] as timestamptz) as "timestamp", f[5] as user_id,
      split_part(f[3], '.', 1) || ':' || f[6] as action, f[7] as resource,
      case when f[8] is null then 'success' else 'failure' end as status, details,
      json_object('region', f[9], 'user_agent', f[10], 'error_code', f[8]) as metadata, f[11] as session_id,
      f[12] as ip_address
    from (
      select "text" as details, json_extract_string("text", [
        '$.eventID', '$.eventType', '$.eventSource', '$.eventTime', '$.userIdentity.arn', '$.eventName',
        '$.resources[0].ARN', '$.errorCode', '$.awsRegion', '$.userAgent', '$.userIdentity.accessKeyId',
        '$.sourceIPAddress'
      ]) as f
      from records
    )"""


def _script(place: Place, scratch: Path, *, plain: bool = True) -> Measured:
    """Read the files and write the columns of an event; nothing is checked, de-duplicated, hashed or synced."""
    files = _files(place)
    connection = _ready(None)
    start = time.perf_counter()
    connection.execute(f"""
        create temp view records as
        select row_number() over () as record, cast(event as varchar) as "text"
        from (
          select unnest("Records") as event
          from read_json('{files}/*.json', columns = {{'Records': 'JSON[]'}})
        )""")
    mapped = f"""
        select * exclude (record, event_number, skipped, reason)
          replace (cast("timestamp" as timestamptz) as "timestamp")
        from ({_mapping("cloudtrail")})"""
    connection.execute(f"""
        copy (select *, cast("timestamp" as date) as event_date from ({_PLAIN if plain else mapped}))
        to '{scratch / "events"}' (format parquet, compression zstd, partition_by (event_date))""")
    seconds = time.perf_counter() - start
    connection.close()
    return Measured(seconds, _content(scratch / "events"))


def _content(folder: Path) -> Any:
    """How many events, and a hash over what needs no judgement."""
    with _ready() as connection:
        return connection.sql(f"""
            select count(*), sum(hash(event_id, "timestamp", details))
            from read_parquet('{folder}/**/*.parquet')""").fetchall()[0]


# Data


def _files(place: Place) -> Path:
    """Return a folder of log files of CloudTrail as S3 has them, which is made where it is not there yet."""
    folder = place.root / "cloudtrail"
    if not folder.exists():
        with _ready() as connection:
            rows = connection.sql(f"""
                select "text" from read_parquet('{real_records(place, "cloudtrail")}')
                where json_exists("text", '$.eventTime')""").fetchall()  # others are quarantined
        draft = Path(tempfile.mkdtemp(dir=place.root))
        for at in range(0, len(rows), _A_FILE):
            records = ",".join(text for (text,) in rows[at : at + _A_FILE])
            (draft / f"{at:09}.json").write_text(f'{{"Records":[{records}]}}', encoding="utf-8")
        draft.rename(folder)
    return folder


def real_records(place: Place, source: str) -> Path:
    """Return a file of ``record`` and ``text``, made where it is not there yet: 1 % as many as the lake has events."""
    import pyarrow as pa
    from pyarrow import parquet

    path = place.root / f"{source}.parquet"
    if not path.exists():
        real = _real(source)
        texts = []
        for i in range(max(1_000, place.events // 100)):
            record = {**real[i % len(real)], IDS[source]: f"{source}-{i:012}"}
            texts.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
        draft = path.with_suffix(".draft")
        parquet.write_table(pa.table({"record": range(len(texts)), "text": texts}), draft)
        draft.rename(path)
    return path


def _real(source: str) -> list[dict[str, Any]]:
    from auditlake.errors import AuditLakeError
    from auditlake.sources.catalog import built_in
    from auditlake.sources.reader import gather, open_records

    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for path in sorted((REAL / source).rglob("*json")):
            try:
                (origin,) = gather([path], Path(name))
                opened = open_records(origin, None, 1 << 24, Path(name), catalog=built_in())
            except AuditLakeError:  # labels, and parts of records
                continue
            texts = [text for batch in opened.batches for text in batch.text.to_pylist()]
            opened.stream.close()
            if opened.source == source:
                found += [
                    record for text in texts if len(text) <= LONGEST and _has_time(record := json.loads(text), source)
                ]
    return found


def _has_time(record: dict[str, Any], source: str) -> bool:
    """Return whether a record's time may be one: some samples have dots there, and would go into quarantine."""
    from auditlake.sources.catalog import built_in

    return str(record.get(built_in()[source].time_field, "2"))[0].isdigit()
