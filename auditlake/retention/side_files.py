"""Files outside of the table that hold events too: quarantine files and kept reports, and when they go.

A record in quarantine is no event, so no policy governs it: the file goes when the longest retention
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from auditlake.alerts.files import followed
from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import FINDINGS_FILE, FRAMEWORK_FILE, REPORT_FILE, Layout
from auditlake.display.text import count
from auditlake.events.durations import Duration, length_of
from auditlake.events.times import parse_instant, print_instant
from auditlake.landing.blank_segments import copied
from auditlake.retention.rules import RetentionRules, longest_of_all
from auditlake.store.deltalog import Commits, ingests_of

_QUARANTINE = re.compile(r"records-[0-9a-f]{64}\.jsonl\Z")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file outside of the table that goes or is replaced."""

    path: str
    """Below the lake."""
    kind: Literal["quarantine", "report", "alert"]
    size: int
    because: str
    """Why it goes, or what becomes of it."""
    becomes: str = ""
    """The name of the file that replaces it under another name; empty where none does."""


def quarantine_files(layout: Layout) -> list[Path]:
    """Return every quarantine file."""
    return sorted(path for path in layout.quarantine.glob("records-*.jsonl") if _QUARANTINE.match(path.name))


def report_files(layout: Layout) -> list[Path]:
    """Return every report in the lake's own folder, then the lists of all findings of those that find many."""
    reports = sorted(path for path in layout.reports.glob("compliance_*") if REPORT_FILE.match(path.name))
    of_packs = (*layout.reports.glob("framework_*"), *layout.reports.glob("control_*"))
    reports += sorted(path for path in of_packs if FRAMEWORK_FILE.match(path.name))
    return reports + sorted(path for path in layout.reports.glob("findings_*") if FINDINGS_FILE.match(path.name))


def due_leftovers(rules: RetentionRules, commits: Commits) -> Iterator[Leftover]:
    """Yield the files that go."""
    longest = longest_of_all(rules.policies, rules.default_retention)
    if rules.holds or longest is None:
        return
    quarantine = quarantine_files(commits.layout)
    brought = _brought(commits) if quarantine else {}
    for path in quarantine:
        at = brought.get(path.name)
        if at is not None and at < rules.before(longest):
            because = f"brought {print_instant(at)}, longer ago than anything is kept ({longest})"
            yield Leftover(f"quarantine/{path.name}", "quarantine", path.stat().st_size, because)
    yield from _due_reports(commits.layout, rules, longest)


def _due_reports(layout: Layout, rules: RetentionRules, longest: Duration) -> Iterator[Leftover]:
    named: dict[str, list[_Reach]] = defaultdict(list)
    for path in report_files(layout):
        if FINDINGS_FILE.match(path.name):
            reaches = named.get(path.name) or [_Reach(_newest_finding(path), longest)]
        else:
            reaches = [reach := _report(path, rules, longest)]
            named[reach.findings].append(reach)
        if all(each.length and each.until < rules.before(each.length) for each in reaches):
            last = max(reaches, key=lambda each: each.until)
            because = f"its period ended {print_instant(last.until)}, and all its events are due ({last.length})"
            yield Leftover(f"reports/{path.name}", "report", path.stat().st_size, because)


def _brought(commits: Commits) -> dict[str, datetime]:
    """Return when each quarantine file, or the one that it was made of, was last brought."""
    brought: dict[str, datetime] = {}
    for version in range(commits.newest + 1):
        own = commits.metadata(version) or {}
        for each in ingests_of(own):
            if each.get("quarantine") and each.get("at"):
                brought[each["quarantine"]] = datetime.fromisoformat(each["at"])
        for name, becomes in own.get("quarantine_after", {}).items():
            if becomes and name in brought:
                brought[becomes] = max(brought[name], brought.get(becomes, brought[name]))
    return brought


@dataclass(frozen=True, slots=True)
class _Reach:
    """Which events a report can speak of."""

    until: datetime
    """When its period ended."""
    length: Duration | None
    """The longest retention of the types it is about; None where one stays for ever."""
    findings: str = ""
    """The list of all its findings, where it has one."""


def _report(path: Path, rules: RetentionRules, longest: Duration) -> _Reach:
    """Return what a report can speak of.

    Without its JSON a form says no more than its name: then it is judged by its instant and the longest retention of
    all.
    """
    match = REPORT_FILE.match(path.name) or FRAMEWORK_FILE.match(path.name)
    assert match is not None
    with suppress(OSError, ValueError, KeyError, TypeError):
        report = json.loads(read_file(path.with_name(f"{match['stem']}.json"), within=path.parent))
        lengths = [rules.length(name) for name in report["events_by_type"]]
        until, more = parse_instant(report["period"]["until"]), report.get("more_findings") or {"file": ""}
        return _Reach(until, None if None in lengths else max(lengths, key=length_of), str(more["file"]))
    return _Reach(datetime.fromisoformat(match["as_of"]), longest)


def _newest_finding(path: Path) -> datetime:
    """Return the newest instant in a list of findings that no report names any more; an unreadable list stays."""
    from auditlake.reports.listing import newest_instant

    with suppress(OSError, ValueError), open_file(path, within=path.parent) as file:
        if newest := newest_instant(file):
            return newest
    return datetime.max.replace(tzinfo=UTC)


def left_everywhere(layout: Layout, grace_seconds: float, *, removes: bool) -> list[str]:
    """Return what neither an apply nor an erasure does, in sentences."""
    left = ["Copies outside of the lake, backups and reports that were written elsewhere, are not touched."]
    if grace_seconds and removes:
        left.append(
            "The removed files stay on the disk for the grace, and go with the next apply, erasure or compaction."
        )
    if behind := sum(each.blank_to < each.copied_to for each in copied(layout, followed(layout))):
        left.append(
            f"{count(behind, 'segment')} of the landing that a process still writes to keeps lines, which are in the "
            f"table too, since the evaluator of alerts has not written down that it has read them; the next apply or "
            f"erasure, or the flush after that process has begun another one, takes them."
        )
    return left
