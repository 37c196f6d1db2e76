"""The runs of one side, in this process: ``python -m tests.bench.child ROW SIDE FOLDER KIND SCALE``.

The kind is ``large``, or any other word. Each line of the input asks for a run, and names the file for its answer or is
empty. A run prints its seconds, this process's peak memory so far and perhaps another figure as JSON. With no row, it
makes the data. Each run has copies of the lakes of its places, so that rows do not touch each other's: their files are
links, for nothing changes a file in place that is as large.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TextIO

from auditlake.__main__ import prepare
from tests.bench import (
    backtest,
    classes,
    cold,
    commits,
    commits_on_disk,
    deletion,
    episodes,
    frameworks,
    hosts,
    ingest,
    kinds,
    landing,
    large,
    ledger,
    many,
    mapping,
    nightly,
    report,
    retention,
    rolling,
    sandbox,
    site,
    slices,
    tables,
)
from tests.bench.data import Place, linked, make, place, small_place
from tests.bench.measure import RUN
from tests.bench.work import Work

WORKS: Mapping[str, Callable[[], dict[str, Work]]] = {
    "ingest": lambda: ingest.works(ids=True),
    "ingest-without-ledger": lambda: ingest.works(ids=True) | {"ours": ledger.writing()["without a ledger"]},
    "ingest-without-ids": lambda: ingest.works(ids=False),
    **{f"ingest-{form}": partial(tables.ingests, form) for form in ("csv", "parquet")},
    **{f"export-{form}": partial(tables.exports, form) for form in ("csv", "jsonl", "parquet")},
    "export-first": tables.first,
    "report": report.works,
    "classes-reports": lambda: classes.reports(*report.POLICIES),
    "classes-report": lambda: classes.reports(classes.ALONE),
    "classes-ingest": classes.ingest,
    "episodes": episodes.works,
    "nightly": nightly.works,
    "nightly-cold": nightly.cold,
    "nightly-growth": nightly.growth,
    "cold": lambda: cold.works(by_user=False, summarised=False),
    "cold-summarised": lambda: cold.works(by_user=False, summarised=True),
    "cold-by-user": lambda: cold.works(by_user=True, summarised=False),
    "cold-by-user-summarised": lambda: cold.works(by_user=True, summarised=True),
    **{f"kinds-{name}": partial(kinds.works, name) for name in kinds.ASKED},
    **{f"kinds-{name}-30d": partial(kinds.works, name, days=30) for name in kinds.ASKED},
    "many-reports": many.reports,
    "many-stats": many.stands,
    "many-scan": many.scans,
    "many-sigma": many.sigma_scans,
    "many-sigma-real": partial(many.sigma_scans, few=True),
    "many-alerts": lambda: many.alerts(source="cloudtrail"),
    "many-alerts-any-source": lambda: many.alerts(source=None),
    "frameworks-facts": frameworks.facts,
    "frameworks-alike": frameworks.alike,
    "frameworks": frameworks.judged,
    "frameworks-again": frameworks.judged_again,
    "statistics": frameworks.statistics,
    "site-index": site.works,
    "breaches": lambda: rolling.works(by_user=False, everything=False),
    "breaches-by-user": lambda: rolling.works(by_user=True, everything=False),
    "everything": lambda: rolling.works(by_user=False, everything=True),
    "everything-by-user": lambda: rolling.works(by_user=True, everything=True),
    "slices": lambda: slices.works(by_user=False),
    "slices-by-user": lambda: slices.works(by_user=True),
    "backtest": lambda: backtest.works(by_user=False),
    "backtest-by-user": lambda: backtest.works(by_user=True),
    "log-sync": lambda: landing.one_thread("sync"),
    "log-interval": lambda: landing.one_thread("interval"),
    "log-os": lambda: landing.one_thread("os"),
    "log-threads": lambda: landing.crowd(slow=False),
    "log-threads-slow-disk": lambda: landing.crowd(slow=True),
    "log-full-lake": landing.full_lake,
    "log-predecessor": landing.predecessor,
    "hosts": hosts.works,
    "hosts-slowest": hosts.slowest,
    "commit-flush": lambda: commits.one_event(live=True),
    "commit-ingest": lambda: commits.one_event(live=False),
    "commit-many": commits.many,
    **{f"commit-on-disk-{kind}": partial(commits_on_disk.works, kind) for kind in commits_on_disk.KINDS},
    "commit-open": lambda: commits.opening("crowded"),
    "open-small-files": lambda: commits.opening("day"),
    "open-days": lambda: commits.opening("days"),
    "large-size": large.size,
    "large-slices": slices.generated,
    **{f"large-{name}": partial(large.command, name) for name in large.COMMANDS},
    "sandbox-command": sandbox.command,
    "sandbox-group-by": sandbox.group_by,
    "sandbox-bombs": sandbox.bombs,
    "retention-drop": retention.drop,
    "retention-mixed": retention.mixed,
    "deletion-night": deletion.night,
    "deletion-mixed": deletion.mixed,
    "deletion-size": deletion.size,
    "deletion-random": lambda: deletion.kept("random"),
    "deletion-random-of-day": lambda: deletion.kept("random", of_day=True),
    "deletion-type": lambda: deletion.kept("type"),
    "ledger-ingest": ledger.writing,
    "verify-full": lambda: ledger.verifying(full=True),
    "verify-quick": lambda: ledger.verifying(full=False),
    "proof": ledger.proving,
    **{f"mapping-{source}": partial(mapping.statement_works, source) for source in mapping.IDS},
    "ingest-cloudtrail": mapping.ingest_works,
}
"""Every row that has a rival: its sides, ours first."""


def run(row: str, side: str, folder: Path, scale: float, *, is_large: bool) -> None:
    """Warm up on the small place, then run on the whole one as often as a line asks."""
    prepare()  # as the program does: Arrow imports pandas wherever it is installed
    work = WORKS[row]()[side]
    with tempfile.TemporaryDirectory(dir=folder, prefix=RUN) as name:
        work.run(*_own(small_place(folder), Path(name)))
    for line in _taken_input():
        with tempfile.TemporaryDirectory(dir=folder, prefix=RUN) as name:
            real = _own(place(folder, scale, is_large=is_large), Path(name))
            start = time.perf_counter()
            found = work.run(*real)
            seconds = time.perf_counter() - start if work.seconds is None else work.seconds(found)
            peak = _peak_mb()
            if answer := line.strip():
                Path(answer).write_bytes(pickle.dumps(work.answer(found)))
            figure = {} if work.figure is None else {"figure": work.figure(found)}
            del found
        print(json.dumps({"seconds": seconds, "peak_mb": peak, **figure}), flush=True)


def _taken_input() -> TextIO:
    """Return the input, which no program that a run starts shall read."""
    lines = os.fdopen(os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    return lines


def _peak_mb() -> float:
    """Return the peak of this program, or of the largest that it started.

    That of getrusage would begin at the peak of the process that started this one.
    """
    own = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert own
    return max(int(own[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def _own(shared: Place, folder: Path) -> tuple[Place, Path]:
    """Return a place with a copy of its lake, and an empty folder."""
    (scratch := folder / "scratch").mkdir(parents=True)
    return replace(shared, copy=linked(shared.lake, folder / "lake")), scratch


if __name__ == "__main__":
    *words, at, kind, size = sys.argv[1:6] if len(sys.argv) > 4 else sys.argv[1:]
    if not words:
        make(Path(at), float(size), is_large=kind == "large")
    else:
        run(*words, Path(at), float(size), is_large=kind == "large")
