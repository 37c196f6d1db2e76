"""What lies beside the table and holds events too: quarantine files and kept reports, and when they go.

A record in quarantine is no event, so nobody can say which policy governs it: the file goes when the longest retention
of all has passed since the ingest that brought it. A report in ``LAKE/reports`` goes when everything that it can speak
of is due: the longest retention of its types has passed since its period ended, and none of them stays for ever. Holds
name events, and neither can be matched with one, so while any hold is active all of them stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from auditlake.events.times import parse_instant, print_instant
from auditlake.files import read_file
from auditlake.policies.compile import earlier, length_of
from auditlake.policies.model import Duration
from auditlake.retention.judge import Judge, longest_of_all
from auditlake.store.history import commit_metadata
from auditlake.store.layout import REPORT_FILE, Layout

_QUARANTINE = re.compile(r"records-[0-9a-f]{64}\.jsonl\Z")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file beside the table."""

    path: str
    """Below the lake."""
    kind: Literal["quarantine", "report", "alert"]
    size: int
    because: str
    """Why it goes, or what becomes of it."""
    becomes: str = ""
    """The name of what takes its place under another name; empty where nothing does."""


def quarantine_files(layout: Layout) -> list[Path]:
    """Every quarantine file."""
    return sorted(path for path in layout.quarantine.glob("records-*.jsonl") if _QUARANTINE.match(path.name))


def report_files(layout: Layout) -> list[Path]:
    """Every report in the lake's own folder."""
    return sorted(path for path in layout.reports.glob("compliance_*") if REPORT_FILE.match(path.name))


def due_leftovers(layout: Layout, judge: Judge, newest: int) -> Iterator[Leftover]:
    """The files that go."""
    longest = longest_of_all(judge.policies, judge.default_retention)
    if judge.holds or longest is None:
        return
    quarantine = quarantine_files(layout)
    brought = _brought(layout, newest) if quarantine else {}
    for path in quarantine:
        at = brought.get(path.name)
        if at is not None and at < _before(judge, longest):
            because = f"brought {print_instant(at)}, longer ago than anything is kept ({longest})"
            yield Leftover(f"quarantine/{path.name}", "quarantine", path.stat().st_size, because)
    for path in report_files(layout):
        until, length = _report(path, judge, longest)
        if length is not None and until < _before(judge, length):
            because = f"its period ended {print_instant(until)}, and all its events are due ({length})"
            yield Leftover(f"reports/{path.name}", "report", path.stat().st_size, because)


def _before(judge: Judge, length: Duration) -> datetime:
    return earlier(judge.midnight, timedelta(microseconds=length.microseconds))


def _brought(layout: Layout, newest: int) -> dict[str, datetime]:
    """When each quarantine file, or the one that it was made of, was last brought."""
    found: dict[str, datetime] = {}
    for version in range(newest + 1):
        own = commit_metadata(layout, version) or {}
        if own.get("quarantine") and own.get("at"):
            found[own["quarantine"]] = datetime.fromisoformat(own["at"])
        for name, becomes in own.get("quarantine_after", {}).items():
            if becomes and name in found:
                found[becomes] = max(found[name], found.get(becomes, found[name]))
    return found


def _report(path: Path, judge: Judge, longest: Duration) -> tuple[datetime, Duration | None]:
    """When a report's period ended, and the longest retention of the types it is about; None where one stays for ever.

    A page alone has no more to say than its name: then it is judged by its instant and the longest of all.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(read_file(path.with_suffix(".json"), within=path.parent))
        lengths = [judge.length(name) for name in said["events_by_type"]]
        until = parse_instant(said["period"]["until"])
        return until, None if None in lengths else max(lengths, key=length_of)
    match = REPORT_FILE.match(path.name)
    assert match is not None
    return datetime.fromisoformat(match["as_of"]), longest
