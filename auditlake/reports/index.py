"""The list of the reports that lie in a folder: read from their JSON, put into words, written as ``index.html``."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from auditlake.disk import evidence_json
from auditlake.disk.durable import write_whole
from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.display.templates import file_name, render_bytes, style_digest
from auditlake.display.text import Text, count, instant_name, moment, period_name, shown, visible
from auditlake.errors import ReportError
from auditlake.events.times import parse_instant
from auditlake.reports.document import check_report
from auditlake.reports.last_verification import Verification, last_verification
from auditlake.reports.model import Status
from auditlake.reports.sentences import VERDICTS, nothing_met

_LARGE = 1 << 20
_LIST, _AFTER_LIST = b'\n  "violations": [', b',\n  "threshold": '
_HEAD, _TITLE = 4_096, b"<title>Compliance reports</title>"
"""How a list of reports begins, in every version."""
_KIND = re.compile(rb'\n      "kind": "([a-z_]{1,64})"')
_OTHERS: dict[Status, str] = {"error": "not judged", "no_data": "no data", "compliant": "compliant"}
_RANK = {"violation": 0, "error": 0, "no_data": 1, "compliant": 2, "critical": 0, "high": 1, "medium": 2, "low": 3}


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A report that lies in the folder, for the list of reports."""

    policy_id: str
    """Its policy."""
    policy_name: str
    """Its policy's name."""
    status: Status
    """How it came out."""
    severity: str
    """How bad a violation is; empty where the policy's file could not be read."""
    as_of: datetime
    """The instant it is judged at."""
    since: datetime
    """Where its period begins, exclusive."""
    until: datetime
    """Where its period ends, inclusive."""
    snapshot: int
    """The version of the lake it was read from."""
    findings: int
    """How many findings it has."""
    html_file: str | None
    """Its page, by name; None: there is none."""
    json_file: str | None
    """Its JSON, by name; None: there is none."""
    missing: int
    """Required types without an event."""
    episodes: int
    """Episodes at or above the threshold."""
    incomplete: int = 0
    """Fields that too many events of a type lack."""
    unmet_by: int | None = None
    """How many governed events there were of which none met the policy's condition; None if any did."""
    digest: str = ""
    """The first digits of its JSON's SHA-256: what tells reports apart whose list says the same of them."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A report in the list."""

    policy_id: str
    """Its policy."""
    policy_name: Text
    """Its policy's name."""
    status: Status
    """Which mark and colour."""
    word: str
    """The answer in a word or two."""
    severity: str
    """How bad a violation is."""
    period: str
    """Its period as people name it; empty where it has no such name."""
    since: str
    """Where its period begins."""
    until: str
    """Where its period ends."""
    findings: str
    """How many findings."""
    findings_words: str
    """Of which kinds; where there is none since no event met the condition, that."""
    html_file: str | None
    """Its page."""
    json_file: str | None
    """Its JSON."""


@dataclass(frozen=True, slots=True)
class IndexRun:
    """The reports of one snapshot and instant."""

    as_of: str
    """The instant, as people name it."""
    exactly: str
    """The instant to the microsecond."""
    snapshot: str
    """The snapshot."""
    words: str
    """How many reports, and how they came out."""
    rows: tuple[IndexRow, ...]
    """Violations first, then by severity, policy and period."""


@dataclass(frozen=True, slots=True)
class IndexPage:
    """The variables of the template ``index.html``."""

    template: ClassVar[str] = "index.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    words: str
    """How many reports in how many runs."""
    verified_words: str
    """When the lake was last verified, and with what result."""
    runs: tuple[IndexRun, ...]
    """The runs, newest first."""


def check_index(folder: Path) -> None:
    """Refuse a folder in which the list of reports would be written over a page that is something else.

    Raises:
        ReportError: Its ``index.html`` is no list of ours.
    """
    path, begins = folder / "index.html", b""
    with suppress(OSError), open_file(path) as file:
        begins = file.read(_HEAD)
    if os.path.lexists(path) and _TITLE not in begins:
        message = f"{path} is there already, and is no list of reports"
        raise ReportError(message, hint="name another folder with --out")


def write_index(folder: Path, layout: Layout | None = None) -> Path:
    """Write ``index.html`` over all reports that lie in a folder; what is no report of ours is left out.

    Args:
        folder: The folder.
        layout: The lake, whose last verification the page names; it names none if None.

    Raises:
        ReportError: It cannot be written.
    """
    path = folder / "index.html"
    entries = (_entry(file) for file in sorted(folder.glob("compliance_*_v*.json")))
    verified = last_verification(layout) if layout else None
    page = index_page((entry for entry in entries if entry is not None), verified)
    try:
        write_whole(path, render_bytes(page))
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def index_page(entries: Iterable[IndexEntry], verified: Verification | None = None) -> IndexPage:
    """Put the list of reports into words: runs newest first, in each the violations first.

    Args:
        entries: The reports.
        verified: The last verification of the lake; None if there was none.

    Raises:
        ReportError: A file's name is not a plain file name.
    """
    ordered = sorted(entries, key=lambda entry: (_RANK[entry.status], _RANK.get(entry.severity, 9), *_key(entry)))
    ordered.sort(key=lambda entry: (entry.as_of, entry.snapshot), reverse=True)
    runs = [_index_run(list(run)) for _, run in groupby(ordered, key=lambda entry: (entry.as_of, entry.snapshot))]
    words = f"{count(len(ordered), 'report')} in {count(len(runs), 'run')}, newest first."
    return IndexPage(
        style_digest=style_digest(),
        words=words if ordered else "No report yet.",
        verified_words=verified_words(verified),
        runs=tuple(runs),
    )


def verified_words(verified: Verification | None) -> str:
    """Say when a lake was last verified, and with what result."""
    if verified is None:
        return "No verification of this lake is on record: auditlake verify compares it with its ledger."
    how = "every row" if verified.full else "files and ledger only"
    result = "everything matches the ledger."
    if not verified.ok:
        result = f"{count(verified.problems, 'problem')}; auditlake verify lists them."
    return f"Last verified {moment(verified.at)}, {how}, up to snapshot {verified.version}: {result}"


def _entry(path: Path) -> IndexEntry | None:
    """Return what the list says about a file; None if it is no report: not JSON, not of our form, not of a plain name.

    The findings of a large report are not read: the second form counts them beside the list, and in the first each has
    a line of its own that names its kind.
    """
    page = path.with_suffix(".html")
    try:
        report, kinds, digest = _without_findings(path)
        threshold = report["threshold"]
        return IndexEntry(
            policy_id=report["policy_id"],
            policy_name=report["policy_name"],
            status=report["status"],
            severity=report["severity"] if report["events_by_type"] or report["status"] != "error" else "",
            as_of=parse_instant(report["as_of"]),
            since=datetime.fromisoformat(report["period"]["since"]),
            until=datetime.fromisoformat(report["period"]["until"]),
            snapshot=int(report["evidence"]["snapshot"]),
            findings=sum(kinds.values()),
            html_file=page.name if page.exists() else None,
            json_file=file_name(path.name),
            missing=kinds["missing_required_type"],
            incomplete=kinds["field_incomplete"],
            episodes=threshold["episodes"] if threshold else kinds["threshold_exceeded"],
            unmet_by=report["total_events"] if threshold and _nothing_met(threshold) else None,
            digest=digest[:12],
        )
    except (OSError, ValueError, RecursionError, ReportError):
        return None


def _nothing_met(threshold: Mapping[str, Any]) -> bool:
    numbers = (threshold[key] for key in ("recent_events", "ungrouped_events", "where_errors"))
    peaks = (day["peak"] for day in threshold["daily_peaks"])
    return nothing_met(threshold.get("measure", "count"), threshold["where"], *numbers, *peaks)


def _without_findings(path: Path) -> tuple[dict[str, Any], Counter[str], str]:
    """Return a report's JSON, of a large one without the list; its findings by kind; and its SHA-256."""
    with open_file(path, within=path.parent) as file:
        if os.fstat(file.fileno()).st_size < _LARGE:
            whole = file.read()
            report = evidence_json.parse(whole)
            check_report(report)
            kinds = Counter(finding["kind"] for finding in report["violations"])
            return report, Counter(report.get("findings_by_kind", kinds)), hashlib.sha256(whole).hexdigest()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start, end = data.find(_LIST), data.rfind(_AFTER_LIST)
            if not 0 <= start < end:
                raise ValueError("its keys are not where ours are")
            rest = b"%b%b[]%b" % (data[:start], _LIST[:-1], data[end:])
            report, digest = evidence_json.parse(rest), hashlib.sha256(data).hexdigest()
            check_report(report)
            if report["report_version"] > 1:
                return report, Counter(report["findings_by_kind"]), digest
            return report, Counter(match[1].decode() for match in _KIND.finditer(data, start, end)), digest


def _index_run(entries: Sequence[IndexEntry]) -> IndexRun:
    alike = Counter(map(_key, entries))
    number = Counter(entry.status for entry in entries)
    parts = [count(number["violation"], "violation")] if number["violation"] else []
    parts += [f"{number[status]:,} {words}" for status, words in _OTHERS.items() if number[status]]
    return IndexRun(
        as_of=instant_name(entries[0].as_of),
        exactly=moment(entries[0].as_of),
        snapshot=f"{entries[0].snapshot}",
        words=f"{count(len(entries), 'report')}: {', '.join(parts)}",
        rows=tuple(_index_row(entry, apart=alike[_key(entry)] > 1) for entry in entries),
    )


def _key(entry: IndexEntry) -> tuple[str, datetime, datetime]:
    """Return what a run's reports are told apart by."""
    return entry.policy_id, entry.since, entry.until


def _index_row(entry: IndexEntry, *, apart: bool) -> IndexRow:
    rest = entry.findings - entry.episodes - entry.missing - entry.incomplete
    kinds = [
        (entry.episodes, "episode"), (entry.missing, "missing type"), (rest, "gap"),
        (entry.incomplete, "incomplete field"),
    ]  # fmt: skip
    unmet = "" if entry.unmet_by is None else f"no event of {entry.unmet_by:,} matched"
    return IndexRow(
        policy_id=visible(entry.policy_id) + (f", {entry.digest}" if apart else ""),
        policy_name=shown(entry.policy_name),
        status=entry.status,
        word=VERDICTS[entry.status],
        severity=visible(entry.severity).capitalize(),
        period=period_name(entry.since, entry.until),
        since=moment(entry.since, zone=False),
        until=moment(entry.until, zone=False),
        findings=f"{entry.findings:,}" if entry.severity else "",
        findings_words=", ".join(count(number, noun) for number, noun in kinds if number > 0) or unmet,
        html_file=file_name(entry.html_file),
        json_file=file_name(entry.json_file),
    )
