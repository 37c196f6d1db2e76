"""Constants of ``auditlake/docs/scale.md``: ``python -m tests.bench.scale`` measures them again.

Sizes are bytes of files; times are processor time of this process and its children, medians of some rounds. What counts
cost for each event is seen only of many: rows of ``make bench`` measure that.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from auditlake import AuditLake
from tests.bench import data
from tests.bench.commits import one_ingest
from tests.bench.data import Place
from tests.lakes import create

_COMMITS = 32
"""How many commits of one event are measured: enough to put files together twice."""
_FILES = 100_000
"""How many files a log has of which a file's share is measured."""


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
    yield (
        "ledger beside the entry, bytes a file",
        _size((layout.ledger / "aside").iterdir()) / len(lake.snapshot().files),
    )
    yield from _of_many_files(lake, scratch / "many")
    before = _sizes(lake)
    yield "commit of one event, s", _seconds(lambda: [one_ingest(lake, n) for n in range(_COMMITS)]) / _COMMITS
    for name, size in _sizes(lake).items():
        yield f"{name}, bytes a commit", (size - before[name]) / _COMMITS
    yield "verify --full, s a million", _seconds(partial(lake.ledger.verify, full=True)) / million


def _of_many_files(lake: AuditLake, root: Path) -> Iterable[tuple[str, float]]:
    """Yield what a file costs in a log of very many: the actions of a lake's files again and again, by other names."""
    from deltalake import DeltaTable

    from auditlake.disk.layout import Layout
    from auditlake.store.snapshot import read_snapshot

    layout = Layout(root)
    shutil.copytree(lake.layout.root, root, ignore=shutil.ignore_patterns("*.parquet"))
    lines = layout.commit(1).read_text().splitlines()
    adds = [line for line in lines if line.startswith('{"add"')]
    others = [line for line in lines if line not in adds]
    assert adds
    many = [re.sub(r"part-[0-9a-f]{64}", f"part-{n:064x}", adds[n % len(adds)]) for n in range(_FILES)]
    for entry in layout.log.glob("*"):
        if entry.name > layout.commit(1).name:
            entry.unlink()
    layout.commit(1).write_text("\n".join([*many, *others, ""]))
    yield "log, bytes a file", layout.commit(1).stat().st_size / _FILES
    DeltaTable(str(layout.events)).create_checkpoint()
    yield "checkpoint of the log, bytes a file", _size(layout.log.glob("*.checkpoint.parquet")) / _FILES
    yield "read a snapshot, s a million files", _seconds(partial(read_snapshot, layout)) / _FILES * 1_000_000


def _sizes(lake: AuditLake) -> dict[str, int]:
    ledger = lake.layout.ledger
    return {
        "log": _size(lake.layout.log.glob("*.json")),
        "entries of the ledger": _size(path for path in (ledger / "tile" / "entries").rglob("*") if path.is_file()),
    }


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _seconds(run: Callable[[], Any]) -> float:
    def spent() -> float:
        children = os.times()  # their clock ticks a hundred times a second
        return time.process_time() + children.children_user + children.children_system

    began = spent()
    run()
    return spent() - began


if __name__ == "__main__":
    main()
