"""One run of one side, in this process: ``python -m tests.bench.child ROW SIDE FOLDER SCALE [ANSWER_FILE]``.

Prints its seconds, this process's peak memory and perhaps another figure as JSON. With no row, it makes the data.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.bench import (
    backtest,
    bounds,
    classes,
    commits,
    deletion,
    episodes,
    frameworks,
    ingest,
    kinds,
    landing,
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
from tests.bench.data import make, place, small_place
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
    "bounds": lambda: bounds.works(by_user=False, summarised=True),
    "bounds-cold": lambda: bounds.works(by_user=False, summarised=False),
    "bounds-by-user": lambda: bounds.works(by_user=True, summarised=True),
    **{f"kinds-{name}": partial(kinds.works, name) for name in kinds.ASKED},
    "many-reports": many.reports,
    "many-stats": many.stands,
    "many-scan": many.scans,
    "many-sigma": many.sigma_scans,
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
    "commit-flush": lambda: commits.one_event(live=True),
    "commit-ingest": lambda: commits.one_event(live=False),
    "commit-many": commits.many,
    "commit-open": commits.opening,
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


def run(row: str, side: str, folder: Path, scale: float, answer: Path | None) -> None:
    """Warm up on the small place, then run once on the large one."""
    work = WORKS[row]()[side]
    with tempfile.TemporaryDirectory(dir=folder, prefix="run-") as name:
        warm, real = Path(name) / "warm", Path(name) / "real"
        warm.mkdir()
        real.mkdir()
        work.run(small_place(folder), warm)
        start = time.perf_counter()
        found = work.run(place(folder, scale), real)
        seconds = time.perf_counter() - start if work.seconds is None else work.seconds(found)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if answer is not None:
            answer.write_bytes(pickle.dumps(work.answer(found)))
        figure = {} if work.figure is None else {"figure": work.figure(found)}
    print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, **figure}))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        make(Path(sys.argv[1]), float(sys.argv[2]))
    else:
        run(
            sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]) if sys.argv[5:] else None
        )
