"""What lies beside the table and holds events too: quarantine files and kept reports, and when they go.

A record in quarantine is no event, so nobody can say which policy governs it: the file goes when the longest retention
of all has passed since the ingest that brought it. A report in ``LAKE/reports`` goes when everything that it can speak
of is due: the longest retention of its types has passed since its period ended, and none of them stays for ever. A list
of all findings goes with the last report that names it. Holds name events, and none of these files can be matched with
one, so while any hold is active all of them stay.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import FINDINGS_FILE, REPORT_FILE, Layout
from auditlake.events.durations import Duration, length_of
from auditlake.events.times import parse_instant, print_instant
from auditlake.policies.question import earlier
from auditlake.reports.listing import newest_instant
from auditlake.retention.rules import Judge, longest_of_all
from auditlake.store.deltalog import commit_metadata

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
    """Every report in the lake's own folder, and after them the lists of all findings of those that find many."""
    found = sorted(path for path in layout.reports.glob("compliance_*") if REPORT_FILE.match(path.name))
    return found + sorted(path for path in layout.reports.glob("findings_*") if FINDINGS_FILE.match(path.name))


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
    yield from _due_reports(layout, judge, longest)


def _due_reports(layout: Layout, judge: Judge, longest: Duration) -> Iterator[Leftover]:
    named: dict[str, list[_Reach]] = defaultdict(list)
    for path in report_files(layout):
        if FINDINGS_FILE.match(path.name):
            reaches = named.get(path.name) or [_Reach(_newest_finding(path), longest)]
        else:
            reaches = [reach := _report(path, judge, longest)]
            named[reach.findings].append(reach)
        if all(each.length and each.until < _before(judge, each.length) for each in reaches):
            last = max(reaches, key=lambda each: each.until)
            because = f"its period ended {print_instant(last.until)}, and all its events are due ({last.length})"
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


@dataclass(frozen=True, slots=True)
class _Reach:
    """Which events a report can speak of."""

    until: datetime
    """When its period ended."""
    length: Duration | None
    """The longest retention of the types it is about; None where one stays for ever."""
    findings: str = ""
    """The list of all its findings, where it has one."""


def _report(path: Path, judge: Judge, longest: Duration) -> _Reach:
    """What a report can speak of.

    A page alone has no more to say than its name: then it is judged by its instant and the longest of all.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(read_file(path.with_suffix(".json"), within=path.parent))
        lengths = [judge.length(name) for name in said["events_by_type"]]
        until, findings = parse_instant(said["period"]["until"]), (said.get("more_findings") or {"file": ""})["file"]
        return _Reach(until, None if None in lengths else max(lengths, key=length_of), str(findings))
    match = REPORT_FILE.match(path.name)
    assert match is not None
    return _Reach(datetime.fromisoformat(match["as_of"]), longest)


def _newest_finding(path: Path) -> datetime:
    """The newest instant in a list of findings that no report names any more; one that cannot be read stays."""
    with suppress(OSError, ValueError), open_file(path, within=path.parent) as file:
        if newest := newest_instant(file):
            return newest
    return datetime.max.replace(tzinfo=UTC)
