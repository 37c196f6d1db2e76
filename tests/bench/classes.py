"""What it costs and brings that a day is one file for each retention class; the rival is the layout of before.

Ours and the rival are one program on the same events, and their answers are compared: only how files lie differs. What
was found of earlier days is not asked for, since a memory would leave nothing to read. Beside the rival of reports are
the same files with the readers of before, which opened all of them for each statement. Times are the processor's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.bench.data import AS_OF, Place, linked
from tests.bench.ingest import content_of
from tests.bench.report import POLICIES, numbers_of
from tests.bench.work import Work
from tests.lakes import create

ALONE = POLICIES[1]
"""A policy whose event types are a class of their own."""
_RIVAL = "one file a day"
WHOLE = "one file a day, read whole"
"""The layout of before with the readers of before."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How long it took, and what came of it."""

    seconds: float
    found: Any


def reports(*policies: str) -> dict[str, Work]:
    """Their JSON reports."""
    run = partial(_reports, policies)
    sides = {"ours": run, _RIVAL: partial(run, in_classes=False), WHOLE: partial(run, in_classes=False, whole=True)}
    return _works(sides, lambda timed: numbers_of(timed.found))


def ingest() -> dict[str, Work]:
    """An ingest of JSON lines."""
    sides = {"ours": partial(_ingest, in_classes=True), _RIVAL: partial(_ingest, in_classes=False)}
    return _works(sides, lambda timed: content_of(timed.found))


def _works(sides: Mapping[str, Any], answer: Any) -> dict[str, Work]:
    return {name: Work(run, answer, lambda timed: timed.seconds) for name, run in sides.items()}


def _reports(
    policies: tuple[str, ...], place: Place, scratch: Path, *, in_classes: bool = True, whole: bool = False
) -> Timed:
    import auditlake

    root = place.lake if in_classes else linked(_before_classes(place), scratch / "lake")
    lake = auditlake.open(root, clock=lambda: AS_OF)
    with _no_narrowing() if whole else nullcontext():
        began = time.process_time()
        found = [report.json() for report in lake.reports(*policies, as_of=AS_OF, pages=False, cache=False)]
        return Timed(time.process_time() - began, found)


def _ingest(place: Place, scratch: Path, *, in_classes: bool) -> Timed:
    with nullcontext() if in_classes else _no_classes():
        lake = create(scratch / "lake")
        began = time.process_time()
        lake.ingest(place.lines)
        return Timed(time.process_time() - began, lake.layout.events)


def _before_classes(place: Place) -> Path:
    """Return the same lake with one file a day; made where it is not there yet."""
    import auditlake

    target = place.root / "before-classes"
    if not target.exists():
        draft = linked(place.lake, place.root / "before-classes.draft")
        with _no_classes():
            auditlake.open(draft, clock=lambda: AS_OF).compact(grace_seconds=0, reclass=True)
        draft.rename(target)
    return target


def _no_classes() -> AbstractContextManager[Any]:
    return patch("auditlake.packs.classes.lake_classes", lambda *_: {})


def _no_narrowing() -> AbstractContextManager[Any]:
    from auditlake.engine.duck import EventsView

    narrow = EventsView.narrow
    return patch.object(EventsView, "narrow", lambda view, *_: narrow(view, None))
