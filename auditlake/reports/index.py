"""The list of the reports that lie in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from auditlake.display.text import VERDICTS, Text, count, instant_name, moment, period_name, shown, visible
from auditlake.reports.last_verification import Verification
from auditlake.reports.model import Status
from auditlake.reports.page import file_name, style_digest

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
    """Of which kinds."""
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

    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    words: str
    """How many reports in how many runs."""
    verified_words: str
    """When the lake was last verified, and with what result."""
    runs: tuple[IndexRun, ...]
    """The runs, newest first."""


def index_page(entries: Iterable[IndexEntry], verified: Verification | None = None) -> IndexPage:
    """Put the list of reports into words: runs newest first, in each the violations first.

    Args:
        entries: The reports.
        verified: The last verification of the lake; None if there was none.

    Raises:
        ReportError: A file's name is not a plain file name.
    """
    ordered = sorted(
        entries,
        key=lambda entry: (
            _RANK[entry.status],
            _RANK.get(entry.severity, 9),
            entry.policy_id,
            entry.since,
            entry.until,
        ),
    )
    ordered.sort(key=lambda entry: (entry.as_of, entry.snapshot), reverse=True)
    runs = [_index_run(list(run)) for _, run in groupby(ordered, key=lambda entry: (entry.as_of, entry.snapshot))]
    said = (
        f"{count(len(ordered), 'report')} in {count(len(runs), 'run')}, newest first." if ordered else "No report yet."
    )
    return IndexPage(style_digest=style_digest(), words=said, verified_words=verified_words(verified), runs=tuple(runs))


def verified_words(verified: Verification | None) -> str:
    """When a lake was last verified, and with what result."""
    if verified is None:
        return "No verification of this lake is on record: auditlake verify compares it with its ledger."
    how = "every row" if verified.full else "files and ledger only"
    found = "all was as recorded."
    if not verified.ok:
        found = f"{count(verified.problems, 'thing')} wrong; auditlake verify says what."
    return f"Last verified {moment(verified.at)}, {how}, up to snapshot {verified.version}: {found}"


def _index_run(entries: Sequence[IndexEntry]) -> IndexRun:
    alike = Counter(map(_said, entries))
    statuses = [entry.status for entry in entries]
    bad, lost, none, good = (statuses.count(status) for status in ("violation", "error", "no_data", "compliant"))
    parts = (
        [count(bad, "violation")] * (bad > 0)
        + [f"{lost:,} not judged"] * (lost > 0)
        + [f"{none:,} no data"] * (none > 0)
        + [f"{good:,} compliant"] * (good > 0)
    )
    return IndexRun(
        as_of=instant_name(entries[0].as_of),
        exactly=moment(entries[0].as_of),
        snapshot=f"{entries[0].snapshot}",
        words=f"{count(len(entries), 'report')}: {', '.join(parts)}",
        rows=tuple(_index_row(entry, apart=alike[_said(entry)] > 1) for entry in entries),
    )


def _said(entry: IndexEntry) -> tuple[object, ...]:
    """What a run's reports are told apart by."""
    return entry.policy_id, entry.since, entry.until


def _index_row(entry: IndexEntry, *, apart: bool) -> IndexRow:
    rest = entry.findings - entry.episodes - entry.missing
    kinds = [(entry.episodes, "episode"), (entry.missing, "missing type"), (rest, "gap")]
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
        findings_words=", ".join(count(number, noun) for number, noun in kinds if number > 0),
        html_file=file_name(entry.html_file),
        json_file=file_name(entry.json_file),
    )
