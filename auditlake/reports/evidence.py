"""A report with everything that it takes to check it without auditlake, and the ZIP of an evidence pack.

A pack is a ZIP whose bytes follow from what is in it: entries by name, stored as they are, with the earliest date that
the format has. The Parquet in it is the same for the same versions of auditlake and its libraries, which it names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.metadata import version
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.durable import sync_folder
from auditlake.disk.rights import FILE_MODE, give
from auditlake.display.canonical_json import canonical, json_value
from auditlake.display.formula_guard import guarded
from auditlake.engine.duck import keep_rows, rows
from auditlake.engine.lines import Lines, csv_lines
from auditlake.engine.statements import statements
from auditlake.errors import ReportError
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.events.times import print_instant
from auditlake.policies.compile import filled
from auditlake.policies.kinds import measure_of
from auditlake.policies.kinds.threshold import group_values
from auditlake.policies.model import Policy
from auditlake.policies.question import Question

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from auditlake.findings.finding import Finding
    from auditlake.reports.compliance import ComplianceReport
    from auditlake.reports.model import Query

_ROWS = 50_000
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_LIBRARIES = ("auditlake", "duckdb", "pyarrow")
_MICROSECOND = timedelta(microseconds=1)


def write_report(
    folder: Path, made: ComplianceReport, policies: Sequence[Policy], connection: duckdb.DuckDBPyConnection
) -> Mapping[str, int]:
    """Write a report into a folder: as JSON and page, with its statements, findings, and the events behind these.

    Args:
        folder: The folder, which is there.
        made: The report, with its page; just made on ``connection``, whose temporary tables are still those of it.
        policies: Every policy that was judged by.
        connection: The engine, with the view ``events`` of the report's snapshot.

    Returns:
        Finding id to the number of events behind it.
    """
    report = made.report
    (policy,) = (each for each in policies if each.id == report.policy_id)
    policy = made.asked or policy
    question = Question(report.as_of, report.since, report.until)
    together = made.whole is not None
    events = dict(_events(folder, connection, policy, question, report.violations, together=together))
    for each, data in _texts(made, events):
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        (folder / each).write_bytes(data)
    return events


def _texts(made: ComplianceReport, events: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    report = made.report
    yield "report.json", made.json()
    if made.whole is not None:
        yield made.whole.file, made.whole.data
    yield "report.html", made.page(json_file="report.json")
    yield from query_files(report.evidence.queries)
    yield "findings.csv", _findings(report.violations, events)


def query_files(queries: Sequence[Query]) -> Iterator[tuple[str, bytes]]:
    """Yield statements in their order, each with the values that it binds."""
    for number, query in enumerate(queries, 1):
        yield f"sql/{number}_{query.name}.sql", f"{query.sql}\n".encode()
        yield f"sql/{number}_{query.name}.parameters.json", canonical(json_value(query.parameters))


def _findings(findings: Sequence[Finding], events: Mapping[str, int]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ("finding", "kind", "event_type", "group", "start", "end", "peak", "accepted_by", "events", "message")
    )
    for each in findings:
        group = json.dumps(dict(each.group), ensure_ascii=False) if each.group else None
        owner = each.accepted.owner if each.accepted else None
        row = (
            each.id, each.kind, each.event_type, group, each.start, each.end, each.peak, owner,
            events.get(each.id, 0), each.message,
        )  # fmt: skip
        writer.writerow([_cell(value) for value in row])
    return text.getvalue().encode("utf-8", "surrogatepass")


# The events


def _events(
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    policy: Policy,
    question: Question,
    findings: Sequence[Finding],
    *,
    together: bool,
) -> Iterator[tuple[str, int]]:
    """Write the events behind each finding; gives how many. A type that is missing has none.

    Each finding has files of its own; ``together``, as many thousand would, all of a kind are in one, which names them.
    """
    import pyarrow as pa

    ask: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
        measure_of(policy).finding_kinds[0].name: lambda: _behind_episodes(connection, policy, question, findings),
        "coverage_gap": lambda: _beside_gaps(connection, findings),
    }
    for kind, prepare in ask.items():
        if any(finding.kind == kind for finding in findings):
            sql, values = prepare()
            relation = connection.sql(sql, params=values or None)
            read = relation.to_arrow_reader(_ROWS)
            fields = [read.schema.field(name) for name in PUBLIC_COLUMNS if name in read.schema.names]
            if together:
                counts = Counter[str]()
                lines = _csv([pa.field("finding", pa.string()), *fields])
                _write_events(folder / "events", kind, _named_by_finding(iter(read), findings, counts), lines)
                yield from counts.items()
                continue
            lines = _csv(fields)
            for number, batches in _by_number(read):
                yield findings[number].id, _write_events(folder / "events", findings[number].id, batches, lines)


def _behind_episodes(
    connection: duckdb.DuckDBPyConnection, policy: Policy, question: Question, findings: Sequence[Finding]
) -> tuple[str, dict[str, Any]]:
    window = timedelta(microseconds=policy.window.microseconds)
    groups = rows(connection, statements("policies/behind.sql")["group_numbers"].text)
    numbers = {group_values(key): number for number, key in groups}
    asked = []
    for place, each in enumerate(findings):
        if each.peak_at is not None:
            start = each.start or question.since
            # What comes at the very moment at which the count has fallen is not part of it.
            until = question.until if each.end is None else each.end - _MICROSECOND
            asked.append((place, numbers[tuple((each.group or {}).values())], start - window, until))
    _keep_asked(connection, ("number", "g", "after", "until"), asked)
    part = statements("policies/behind.sql")["behind_episodes"]
    return filled(part, policy), {"types": list(policy.required_events)}


def _beside_gaps(connection: duckdb.DuckDBPyConnection, findings: Sequence[Finding]) -> tuple[str, dict[str, Any]]:
    asked = [
        (place, each.event_type, each.start, each.end)
        for place, each in enumerate(findings)
        if each.kind == "coverage_gap"
    ]
    _keep_asked(connection, ("number", "event_type", "after", "until"), asked)
    return statements("policies/behind.sql")["beside_gaps"].text, {}


def _keep_asked(connection: duckdb.DuckDBPyConnection, names: Sequence[str], asked: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    kinds = {"number": pa.int64(), "g": pa.int64(), "event_type": pa.string()}
    instant = pa.timestamp("us", tz="UTC")
    columns = zip(*asked, strict=True)
    arrays = [pa.array(column, kinds.get(name, instant)) for name, column in zip(names, columns, strict=True)]
    keep_rows(connection, "asked", pa.table(dict(zip(names, arrays, strict=True))))


def _by_number(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Iterator[pa.RecordBatch]]]:
    """Yield the stretches of equal ``number``, without that column; take each before the next."""
    from pyarrow import compute

    def pieces() -> Iterator[tuple[int, pa.RecordBatch]]:
        for batch in batches:
            runs = compute.run_end_encode(batch.column(0))
            rest = batch.select(batch.schema.names[1:])
            at = 0
            for number, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                yield number, rest.slice(at, end - at)
                at = end

    for number, run in groupby(pieces(), key=lambda piece: piece[0]):
        yield number, (batch for _, batch in run)


def _named_by_finding(
    batches: Iterator[pa.RecordBatch], findings: Sequence[Finding], counts: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the events of all findings, with each finding's id in place of its number; add up how many each has."""
    import pyarrow as pa

    ids = pa.array([each.id for each in findings], pa.string())
    for batch in batches:
        named = ids.take(batch.column(0))
        counts.update({each["values"]: each["counts"] for each in named.value_counts().to_pylist()})
        yield pa.RecordBatch.from_arrays([named, *batch.columns[1:]], ["finding", *batch.schema.names[1:]])


def _csv(fields: Sequence[pa.Field]) -> Lines:
    """Return the lines of CSV of events, as :func:`_findings` writes those of findings."""
    import pyarrow as pa

    return csv_lines(pa.schema(fields), edges=False, end="\r\n")


def _write_events(folder: Path, name: str, batches: Iterator[pa.RecordBatch], lines: Lines) -> int:
    """Write events of findings: every column as Parquet, what readers see as CSV."""
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    count, first = 0, next(batches)
    names = [column for column in ("finding", *PUBLIC_COLUMNS) if column in first.schema.names]
    with (
        pq.ParquetWriter(folder / f"{name}.parquet", first.schema, compression="zstd") as parquet,
        (folder / f"{name}.csv").open("wb") as text,
    ):

        def written() -> Iterator[pa.RecordBatch]:
            nonlocal count
            for batch in chain((first,), batches):
                parquet.write_batch(batch)
                count += batch.num_rows
                yield batch.select(names)

        text.write(f"{','.join(names)}\r\n".encode())
        for some in lines.of(written()):
            text.write(some)
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return print_instant(value)
    return guarded(value) if isinstance(value, str) else value


# The file


def zip_folder(
    folder: Path, out: Path, about: Mapping[str, Any], seal: Callable[[bytes], Iterable[tuple[str, bytes]]]
) -> tuple[str, int]:
    """List what is in a folder, for programs and for ``sha256sum -c``, and pack all of it into a new file.

    Args:
        folder: The folder.
        out: The file.
        about: What the list says ahead of the versions of libraries and the files.
        seal: Gives the files by which a key stands for the list of sums, which cannot list these itself.

    Returns:
        The SHA-256 of the file, and how many files are in it.

    Raises:
        ReportError: The file is there already, or cannot be written.
    """
    files = _listed(folder)
    manifest = {**about, "versions": {name: version(name) for name in _LIBRARIES}, "files": files}
    (folder / "MANIFEST.json").write_bytes(canonical(manifest))
    sums = "".join(f"{each['sha256']}  {name}\n" for name, each in files.items())
    own = hashlib.sha256((folder / "MANIFEST.json").read_bytes()).hexdigest()
    listed = f"{sums}{own}  MANIFEST.json\n".encode()
    (folder / "SHA256SUMS").write_bytes(listed)
    sealing = dict(seal(listed))
    for name, data in sealing.items():
        (folder / name).write_bytes(data)
    return _zip(folder, out), len(files) + 2 + len(sealing)


def _listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every file with its digest and size, by name."""
    files = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = {"sha256": digest, "size": path.stat().st_size}
    return files


def _zip(folder: Path, out: Path) -> str:
    """Pack a folder into a new file, durably; gives its SHA-256."""
    draft = out.with_name(f".{out.name}.{secrets.token_hex(6)}.draft")
    try:
        with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE), "w+b") as file:
            give(file.fileno(), out)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                    _add(archive, path, path.relative_to(folder).as_posix())
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.link(draft, out)
        sync_folder(out.parent)
    except FileExistsError as error:
        raise ReportError(f"{out} is there already", hint="a pack is never overwritten: name another file") from error
    except OSError as error:
        raise ReportError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return digest


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name, _EARLIEST)
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)
