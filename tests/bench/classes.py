"""What it costs and brings that a day is one file for each retention class; the rival is the layout of before.

The layout of before is one file a day, and a log that says nothing of the event types in a file, as lakes of earlier
versions have it. The same files with types in the log stand beside it: they show what classes alone bring. All sides
are one program on the same events, and their answers are compared: only how files lie, and what the log says of them,
differs. What was found of earlier days is not asked for, since a memory would leave nothing to read. Times are the
processor's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from auditlake.disk.layout import Layout
from auditlake.store.file_types import file_types
from tests.bench.data import AS_OF, Place, linked, once, open_connection, write_lake
from tests.bench.ingest import content_of
from tests.bench.report import POLICIES, numbers_of
from tests.bench.work import Work
from tests.lakes import before_classes, create

ALONE = POLICIES[1]
"""A policy whose event types are a class of their own."""
BEFORE = "one file a day, no types in the log"
"""The layout of before."""
TYPED = "one file a day, types in the log"
"""The layout of before with what the log says of files today."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How long it took, and what came of it."""

    seconds: float
    found: Any


def reports(*policies: str) -> dict[str, Work]:
    """Their JSON reports."""
    sides = {"ours": _in_classes, BEFORE: _before_classes, TYPED: partial(_before_classes, is_typed=True)}
    return _works(
        {name: partial(_reports, policies, lake) for name, lake in sides.items()},
        lambda timed: numbers_of(timed.found),
    )


def ingest() -> dict[str, Work]:
    """An ingest of JSON lines."""
    sides = {"ours": partial(_ingest, in_classes=True), "one file a day": partial(_ingest, in_classes=False)}
    return _works(sides, lambda timed: content_of(timed.found))


def _works(sides: Mapping[str, Any], answer: Any) -> dict[str, Work]:
    return {name: Work(run, answer, lambda timed: timed.seconds) for name, run in sides.items()}


def _reports(policies: tuple[str, ...], lake_of: Callable[[Place, Path], Path], place: Place, scratch: Path) -> Timed:
    import auditlake

    lake = auditlake.open(lake_of(place, scratch / "lake"), clock=lambda: AS_OF)
    began = time.process_time()
    found = [report.json() for report in lake.reports(*policies, as_of=AS_OF, pages=False, cache=False)]
    return Timed(time.process_time() - began, found)


def _ingest(place: Place, scratch: Path, *, in_classes: bool) -> Timed:
    with nullcontext() if in_classes else before_classes():
        lake = create(scratch / "lake")
        began = time.process_time()
        lake.ingest(place.lines)
        return Timed(time.process_time() - began, lake.layout.events)


def lake_before_classes(place: Place) -> Path:
    """Return a lake of the same events with one file and one part a day, and types in the log."""

    def make(draft: Path) -> None:  # in a process of its own, so that this one stays small
        command = [sys.executable, "-m", "tests.bench.classes", str(draft), str(place.events)]
        subprocess.run(command, check=True)

    return once(place.root / "before-classes", make)


def _in_classes(place: Place, _: Path) -> Path:
    return place.lake


def _before_classes(place: Place, target: Path, *, is_typed: bool = False) -> Path:
    linked(lake_before_classes(place), target)
    if not is_typed:
        _forget_types(Layout(target))
    return target


def _forget_types(layout: Layout) -> None:
    """Take what the log says of the event types in files out of it."""
    for checkpoint in (*layout.log.glob("*.parquet"), *layout.log.glob("_last_checkpoint")):
        checkpoint.unlink()  # it says them too; no entry is lost
    for entry in layout.log.glob("*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        for action in actions:
            action.get("add", {}).pop("tags", None)
        entry.unlink()  # a large one is a link
        entry.write_text("".join(f"{json.dumps(action)}\n" for action in actions))
    assert not file_types(layout, len([*layout.log.glob("*.json")]) - 1)


if __name__ == "__main__":
    with open_connection(events := int(sys.argv[2])) as made:
        write_lake(made, Path(sys.argv[1]), events, in_classes=False)
