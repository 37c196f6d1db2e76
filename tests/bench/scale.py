"""The constants of ``auditlake/docs/scale.md``: ``python -m tests.bench.scale`` measures them again.

Sizes are bytes of files; times are processor time of this process and its children, medians of some rounds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from auditlake import AuditLake
from tests.bench import data
from tests.bench.commits import crowded, one_ingest
from tests.bench.data import Place
from tests.lakes import create

_COMMITS = 32
"""How many commits of one event are measured: enough to put files together twice."""


def main() -> None:
    """Measure and print, one constant a line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description="the constants of scale.md")
    parser.add_argument("--events", type=int, default=500_000, help="how many events a lake has")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="auditlake-scale-") as name:
        place = Place(Path(name), options.events)
        with data.open_connection(place.events) as connection:
            data._write_lines(connection, place, place.events)
        rounds = [dict(constants(place, Path(name, f"round-{n}"))) for n in range(options.rounds)]
    for constant in rounds[0]:
        found = [each[constant] for each in rounds]
        print(f"{constant} | {median(found):,.3f} ({min(found):,.3f} – {max(found):,.3f})")


def constants(place: Place, scratch: Path) -> Iterable[tuple[str, float]]:
    """Yield what is measured, by the name that the page gives it."""
    scratch.mkdir()
    million, lake = place.events / 1_000_000, create(scratch / "lake")
    yield "raw bytes an event", place.lines.stat().st_size / place.events
    yield "ingest, s a million", _seconds(partial(lake.ingest, place.lines)) / million
    layout, rows = lake.layout, lake.snapshot().rows
    sizes = {"data": layout.events.glob("event_date=*/*.parquet"), "index of ids": layout.ids.iterdir(),
             "marks": (layout.ledger / "marks").iterdir()}  # fmt: skip
    for name, files in sizes.items():
        yield f"{name}, bytes an event", _size(files) / rows
    before = _sizes(lake)
    yield "commit of one event, s", _seconds(lambda: [one_ingest(lake, n) for n in range(_COMMITS)]) / _COMMITS
    for name, size in _sizes(lake).items():
        yield f"{name}, bytes a commit", (size - before[name]) / _COMMITS
    yield "verify --full, s a million", _seconds(partial(lake.ledger.verify, full=True)) / million
    whole = replace(place, root=scratch)
    for by_user in (False, True):
        for name, work in _counts(by_user=by_user).items():
            yield f"count {name}{', by user' if by_user else ''}, s a million", _seconds(
                partial(work, whole, scratch)
            ) / million  # fmt: skip
    yield from _of_many_files(Place(scratch, place.events))


def _counts(*, by_user: bool) -> Mapping[str, Callable[[Place, Path], Any]]:
    from tests.bench.slices import works

    return {name: work.run for name, work in works(by_user=by_user).items()}


def _of_many_files(place: Place) -> Iterable[tuple[str, float]]:
    """Yield what a file costs in a log that has many of them, written by one commit."""
    from deltalake import DeltaTable

    from auditlake.store.snapshot import read_snapshot

    lake = crowded(place)
    files, log = len(lake.snapshot().files), lake.layout.log
    yield "files", files
    yield "log, bytes a file", max(each.stat().st_size for each in log.glob("*.json")) / files
    copy = place.root / "copy"
    shutil.copytree(log, copy / "_delta_log")
    DeltaTable(str(copy)).create_checkpoint()
    yield "checkpoint of the log, bytes a file", _size((copy / "_delta_log").glob("*.checkpoint.parquet")) / files
    yield "ledger beside the entry, bytes a file", _size((lake.layout.ledger / "aside").iterdir()) / files
    yield "read a snapshot, s a million files", _seconds(partial(read_snapshot, lake.layout)) / files * 1_000_000


def _sizes(lake: AuditLake) -> dict[str, int]:
    ledger = lake.layout.ledger
    return {
        "log": _size(lake.layout.log.glob("*.json")),
        "entries of the ledger": _size(path for path in (ledger / "tile" / "entries").rglob("*") if path.is_file()),
        "beside the entries": _size((ledger / "aside").iterdir()),
    }


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _seconds(run: Callable[[], Any]) -> float:
    began = os.times()
    run()
    return sum(os.times()[:4]) - sum(began[:4])


if __name__ == "__main__":
    main()
