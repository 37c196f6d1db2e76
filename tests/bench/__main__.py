"""``python -m tests.bench``: see the package's docstring."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests.bench import commits_on_disk, kinds, mapping
from tests.bench.child import WORKS
from tests.bench.classes import TYPED
from tests.bench.commits import INGESTS, MANY_DAYS
from tests.bench.data import EVENTS, FILES, LARGE, LINES, small_place
from tests.bench.hosts import HOSTS
from tests.bench.landing import CROWDED, FOLLOWED, SYNCED, THREADS, UNSYNCED
from tests.bench.many import CONDITIONS, FEW, MANY, RULES, SCANNED
from tests.bench.measure import Asked, Bench, Row, table
from tests.bench.site import DAYS, POLICIES
from tests.bench.slices import GENERATED

_REAL = ("mapping-", "ingest-cloudtrail", "many-sigma")
"""How the names of the rows begin that need real records."""
KINDS = {"distinct": (1.14, 0.11), "distinct-of-all": (0.51, 0.07), "sum": (1.84, 0.14), "average": (1.84, 0.14),
         "together": (1.14, 0.11), "first-seen": (3.5, 0.33), "dormant": (0.52, 0.1), "sequence": (0.6, 0.07),
         "sequence-of-three": (0.85, 0.08), "baseline": (0.72, 0.14), "baseline-by-type": (1.35, 0.07)}  # fmt: skip
"""How much processor time the episodes of each kind may take, of a year and of its last 30 days: as long as its
statements took when it was specified; an average as long as a sum, steps together as long as different values."""
COMMANDS = ("auditlake --help", "auditlake stats", 'python -c "import duckdb"')


def rows_asked(scale: float) -> tuple[Asked, ...]:
    """Every row with a rival, and what it is to reach."""
    lines, events = f"{LINES * scale:,.0f} JSON lines", f"{EVENTS * scale:,.0f} events"
    return (
        Asked(
            "ingest-without-ledger",
            f"ingest of {lines} without the ledger",
            0.75,
            rate=True,
            memory_mb=1500,
            beside="plain",
        ),
        Asked("ingest", f"ingest of {lines}", 0.6, rate=True, memory_mb=1500, beside="plain"),
        Asked("ingest-without-ids", f"ingest of {lines} without ids", rate=True, beside="plain"),
        Asked("ingest-csv", f"ingest of {LINES * scale:,.0f} rows of CSV", 1, rate=True, memory_mb=1500),
        Asked("ingest-parquet", f"ingest of {LINES * scale:,.0f} rows of Parquet", 1.5, rate=True, memory_mb=1500),
        *(
            Asked(f"export-{form}", f"events to {form}, a fifth of {events}", 0.5, rate=True, memory_mb=500)
            for form in ("csv", "jsonl", "parquet")
        ),
        Asked("export-first", f"the first 1,000 of {events} to csv, the whole command", most_seconds=1),
        Asked("report", f"JSON report of three policies, {events}", 1.5),
        Asked(
            "classes-reports",
            f"JSON report of three policies in classes, nothing remembered, {events}, processor time",
            1.05,
            beside=TYPED,
        ),
        Asked(
            "classes-report",
            f"JSON report of a policy of one class, nothing remembered, {events}, processor time",
            0.6,
            beside=TYPED,
        ),
        Asked("classes-ingest", f"ingest of {lines} in classes, processor time", 0.95, rate=True),
        Asked(
            "episodes",
            f"JSON report of nearly as many episodes as {events}, processor time",
            2,
            memory_mb=2_000,
        ),
        Asked("nightly", f"thirteen reports, one new day, {events}, processor time", 0.1),
        Asked("nightly-cold", f"thirteen reports, nothing remembered, {events}, processor time", 1.05),
        *_cold_rows(events),
        Asked("breaches", f"breaches, ungrouped, {events}", 1.5),
        Asked("breaches-by-user", f"breaches by user, {events}", 1.5),
        Asked("everything", f"episodes and daily peaks, ungrouped, {events}", 2),
        Asked("everything-by-user", f"episodes and daily peaks by user, {events}", 2),
        Asked("slices", f"counts by slices, ungrouped, {events}", 2, memory_mb=600),
        Asked("slices-by-user", f"counts by parts of the users, {events}", 2.5, memory_mb=600),
        Asked("backtest", f"backtest of 50 thresholds, ungrouped, {events}", 3),
        Asked("backtest-by-user", f"backtest of 50 thresholds by user, {events}", 3),
        Asked("frameworks-facts", f"counts by type, source, day and filled columns, {events}", most_seconds=0.8),
        Asked("frameworks-alike", f"questions of the policies of two packs, {events}", 0.6),
        Asked("statistics", f"statistics, files counted before, {events}, processor time", most_seconds=1),
        Asked("frameworks", f"two packs beside their policies, {events}", most_seconds=1.5),
        Asked("frameworks-again", f"the same once counts are kept, {events}"),
        Asked(
            "site-index",
            f"index of {DAYS} days of runs of {POLICIES} policies, processor time",
            most_seconds=0.1,
            figure="KB",
            most=200,
        ),
        *_kinds_rows(scale),
        *_many_rows(scale),
        *_logging_rows(scale),
        *_commit_rows(events),
        *(
            Asked(f"commit-on-disk-{kind}", f"{words} on a disk, processor time", 1.05)
            for kind, words in (
                ("flush", "log and flush of one event"),
                ("ingest", "ingest of one event"),
                ("ingest-many", f"ingest of {commits_on_disk.MANY:,} events"),
            )
        ),
        Asked("commit-many", f"the last of {INGESTS * scale:,.0f} ingests of one event, processor time", 1.3),
        *(
            Asked(f"open-{name}", f"opening a lake of {many * scale:,.0f} {what}, processor time", most_seconds=1)
            for name, many, what in (("small-files", FILES, "small files of one day"), ("days", MANY_DAYS, "days"))
        ),
        Asked("sandbox-command", 'auditlake sql "select 1" from start to end', 3),
        Asked("sandbox-group-by", f"a group-by through the sandbox, {events}", 1.3),
        Asked(
            "sandbox-bombs",
            "resource bombs: the slowest beyond its deadline",
            most_seconds=1,
            figure="MB grown",
            most=50,
        ),
        *_deletion_rows(events),
        *_proof_rows(lines, events),
        *_mapping_rows(scale),
    )


def _logging_rows(scale: float) -> tuple[Asked, ...]:
    synced, unsynced, crowded, followed = (f"{n * scale:,.0f} events" for n in (SYNCED, UNSYNCED, CROWDED, FOLLOWED))
    per_second, per_sync = "events/s", "events a sync"
    threads = f"log, sync, {THREADS} threads, {crowded}"
    proposed = f"from a proposal to its commit, {HOSTS} hosts, a bucket in memory that answers 40 ms late"
    return (
        Asked("log-sync", f"log, sync, one thread, {synced}", 1.3, figure=per_second),
        Asked("log-interval", f"log, interval, one thread, {unsynced}", figure=per_second, least=100_000),
        Asked("log-os", f"log, os, one thread, {unsynced}", figure=per_second, least=100_000),
        Asked("log-threads", threads, rate=True, figure=per_sync, least=15),
        Asked("log-threads-slow-disk", f"{threads}, slow disk", 10, rate=True, figure=per_sync, least=15),
        Asked("log-full-lake", f"log, os, into a lake of {EVENTS * scale:,.0f} events", 1.1),
        Asked("log-predecessor", f"log, sync, the last of {followed}", rate=True, figure=per_second),
        Asked("hosts", f"{proposed}, half of them", most_seconds=1.5, figure="proposals/s", least=20),
        Asked("hosts-slowest", f"{proposed}, 95 of a hundred", figure="proposals/s", pairs=1),
    )


def large_rows_asked(scale: float) -> tuple[Asked, ...]:
    """Every row of a large place, and what it is to reach."""
    events = f"{LARGE * scale:,.0f} events"
    new, nothing = "one new day", "nothing remembered"
    return (
        Asked("nightly", f"thirteen reports, {new}, {events}, processor time", 0.05, memory_mb=2_000),
        Asked("nightly-growth", f"the same beside a lake of a hundredth of the events, {events}, processor time", 2),
        Asked("nightly-cold", f"thirteen reports, {nothing}, {events}, processor time", 1.05, memory_mb=2_000),
        *_cold_rows(events, memory_mb=2_000),
        *(
            Asked(f"large-{name}", f"the whole command {words}, {events}", most_seconds=1)
            for name, words in (
                ("stats", "stats"),
                ("retention-plan", "retention plan"),
                ("volume", "query run volume"),
                ("types", "query run types_without_policy"),
            )
        ),
        Asked("large-size", f"bytes of the lake, {events}", figure="x DuckDB's Parquet", most=1.15),
        Asked(
            "large-slices",
            f"counts by slices, ungrouped, {GENERATED * LARGE * scale:,.0f} events",
            memory_mb=4_000,
            pairs=1,
        ),
        *_commit_rows(events),
        Asked("export-first", f"the first 1,000 of {events} to csv, the whole command", most_seconds=1),
    )


def _cold_rows(events: str, memory_mb: float | None = None) -> tuple[Asked, ...]:
    rest = f"{events}, processor time"
    return (
        Asked("cold", f"three reports, nothing remembered or summarised, {rest}", 1.2, memory_mb=memory_mb),
        Asked("cold-summarised", f"the same, summaries there, {rest}", 0.8, memory_mb=memory_mb, like="cold"),
        Asked("cold-by-user", f"three reports by user, nothing kept, {rest}", 1.2, memory_mb=memory_mb),
        Asked(
            "cold-by-user-summarised",
            f"the same, summaries there, {rest}",
            1,
            memory_mb=memory_mb,
            like="cold-by-user",
        ),
    )


def _commit_rows(events: str) -> tuple[Asked, ...]:
    large = f"one event into {events} in many files, processor time"
    index = "B of index an event"
    return (
        Asked("commit-flush", f"log and flush of {large}", 1.3, figure=index, most=8),
        Asked("commit-ingest", f"ingest of {large}", 1.3, figure=index, most=8),
        Asked("commit-open", "opening the lake of many files, processor time", most_seconds=0.1),
    )


def _kinds_rows(scale: float) -> tuple[Asked, ...]:
    events = f"{kinds.ASKED_OF * scale:,.0f} events of a year, processor time"
    return tuple(
        Asked(
            f"kinds-{name}{days and '-30d'}",
            f"{name.replace('-', ' ')}, {days}{events}",
            most_seconds=most,
            memory_mb=1_000,
            figure="s the whole evaluation",
        )
        for name, bounds in KINDS.items()
        for days, most in zip(("", "the last 30 days of "), bounds, strict=True)
    )


def _many_rows(scale: float) -> tuple[Asked, ...]:
    events, many = f"{EVENTS * scale:,.0f} events", f"{MANY} policies to those of init"
    return (
        Asked("many-reports", f"JSON reports, {many}, {events}", 8),
        Asked("many-stats", f"statistics, {many}, {events}", 3),
        Asked("many-scan", f"one scan of {CONDITIONS} conditions, {SCANNED * scale:,.0f} events", 1.2),
        Asked("many-sigma", f"one scan of Sigma's rules of CloudTrail, {SCANNED * scale:,.0f} real events", 1.2),
        Asked("many-sigma-real", f"one scan of Sigma's rules of CloudTrail, {FEW:,} real events", most_seconds=0.1),
        Asked("many-alerts", f"alerts, {many}", figure="events/s", least=10_000),
        Asked(
            "many-alerts-any-source",
            f"alerts, {many}, conditions on any source",
            figure="events/s",
            least=10_000,
        ),
    )


def _proof_rows(lines: str, events: str) -> tuple[Asked, ...]:
    per_million = "s a million events"
    return (
        Asked("retention-drop", f"drop 270 of 365 days, {events}", most_seconds=1),
        Asked("retention-mixed", f"delete one type of one day, {events}"),
        Asked("ledger-ingest", f"ingest of {lines} with the ledger", 1.5),
        Asked("verify-full", f"verify --full, {events}", figure=per_million, most=3),
        Asked("verify-quick", f"verify --quick, {events}", figure=per_million, most=0.2),
        Asked("proof", f"check of a proof, {events}", figure="bytes"),
    )


def _deletion_rows(events: str) -> tuple[Asked, ...]:
    year = f"{events} of a year, three retention periods"
    singly = "bytes kept an event deleted"
    return (
        Asked("deletion-night", f"nightly apply, {year}", most_seconds=1, figure="files written or kept", most=0),
        Asked("deletion-mixed", f"apply to a lake before classes, {year}", 3, memory_mb=1000),
        Asked("deletion-size", f"two thirds deleted and the grace over, {year}", figure="x the size", most=1.05),
        # Proofs of the others need the root of each largest subtree that went whole. Where two of three go at random,
        # that is 0.39 hashes of 32 bytes for each event of the day, so 18.7 bytes for each that went. No order needs
        # less, and shorter hashes would prove less. The rest says where they belong. So the first row is missed; the
        # second says how much the ledger keeps in all.
        Asked("deletion-random", f"two thirds of a day deleted at random, {year}", figure=singly, most=14),
        Asked("deletion-random-of-day", f"the same, {year}", figure="bytes kept an event that the day had", most=14),
        Asked("deletion-type", f"one type of a day deleted, {year}", figure=singly, most=1),
    )


def _mapping_rows(scale: float) -> tuple[Asked, ...]:
    records = f"{EVENTS * scale / 100:,.0f} records"
    least = {source: 75_000 if source == "cloudtrail" else 100_000 for source in mapping.IDS}
    return (
        *(
            Asked(f"mapping-{source}", f"mapping of {source}, {records}", figure="rows/s and core", least=rows)
            for source, rows in least.items()
        ),
        Asked("ingest-cloudtrail", f"ingest of CloudTrail, {records}", 0.5, rate=True, figure="rows/s"),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="auditlake against its rivals")
    parser.add_argument("--pairs", type=int, default=5, help="how often ours and its rival take turns at most")
    parser.add_argument("--large", action="store_true", help=f"the rows of {LARGE:,} events in ten thousand files")
    parser.add_argument("--events", type=float, metavar="N", help="so many events: fewer for a quick trial")
    parser.add_argument("--only", action="append", metavar="NAME", choices=[*WORKS, "commands"], help="this row only")
    parser.add_argument(
        "--data", type=Path, help="where the events are kept; a folder that goes away at the end if none"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object after the table")
    options = parser.parse_args()
    whole = LARGE if options.large else EVENTS
    scale = (options.events or whole) / whole
    asked = large_rows_asked(scale) if options.large else rows_asked(scale)
    began = time.monotonic()
    only = options.only or [*WORKS, *([] if options.large else ["commands"])]
    with tempfile.TemporaryDirectory(prefix="auditlake-bench-") as name:
        folder = (options.data or Path(name)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, scale, options.pairs, _say, is_large=options.large)
        bench.make_data()
        found = list(_measured(bench, folder, asked, only))
    machine = {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in ("duckdb", "polars", "datafusion", "chdb") if find_spec(name)},
        "pairs": options.pairs,
        "events": round(whole * scale),
        "minutes": round((time.monotonic() - began) / 60),
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()), end="\n\n")
    print(table(found))
    if options.json:
        print("\n" + json.dumps({"machine": machine, "rows": [row.as_dict() for row in found]}))
    sys.exit(any(math.isnan(row.ours) for row in found))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _lacking(row: str) -> str:
    """Return what a row needs that is not here, if anything."""
    if row.startswith(_REAL) and not mapping.REAL.is_dir():
        return f"the real records are not here: {mapping.REAL}"
    if row.startswith("many-sigma") and not RULES:
        return "SIGMA_RULES names no folder of rules"
    if row.startswith("commit-on-disk") and not commits_on_disk.has_earlier_version():
        return "the repository is not here with its history"
    return ""


def _measured(bench: Bench, folder: Path, rows: Sequence[Asked], only: list[str]) -> Iterator[Row]:
    for asked in rows:
        if asked.name in only and (lacking := _lacking(asked.name)):
            print(f"{asked.name}: left out, {lacking}", file=sys.stderr)
        elif asked.name in only:
            try:
                yield from bench.rows(asked, list(WORKS[asked.name]()))
            except (AssertionError, subprocess.SubprocessError) as error:  # other rows are measured all the same
                yield Row(asked.name, asked.title, math.nan, met=False, failed=(f"the row itself: {error}"[:300],))
    if "commands" in only:
        program = [sys.executable, "-m", "auditlake"]
        yield bench.command(COMMANDS[0], [*program, "--help"])
        yield bench.command(COMMANDS[1], [*program, "--lake", str(small_place(folder).lake), "stats"])
        yield bench.command(COMMANDS[2], [sys.executable, "-c", "import duckdb"])


if __name__ == "__main__":
    main()
