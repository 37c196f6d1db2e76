"""The reports that lie in a folder: which there are, by their names alone, and what the newest say."""

from __future__ import annotations

import mmap
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from auditlake.disk import evidence_json
from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import FRAMEWORK_FILE, REPORT_FILE
from auditlake.display.templates import file_name
from auditlake.errors import ReportError
from auditlake.events.times import parse_instant
from auditlake.frameworks.document import check_framework
from auditlake.reports.document import check_report
from auditlake.reports.model import Status
from auditlake.reports.sentences import nothing_met

_LARGE = 1 << 20
_LIST, _AFTER_LIST = b'\n  "violations": [', b',\n  "threshold": '
_KIND = re.compile(rb'\n      "kind": "([a-z_]{1,64})"')
_NAME = re.compile(
    r"(?P<kind>compliance|framework)_(?P<about>[a-z0-9_-]+?)_(?P<as_of>\d{8}T\d{6}(?:\.\d{6})?Z)_v(?P<snapshot>\d{1,18})(?=[_.])"
)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A report of a policy, for the list of reports."""

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
    peaks: tuple[int | Decimal | None, ...] = ()
    """The highest measure of each day of the period; None where there is none."""
    threshold: int | Decimal | None = None
    """What is a finding from."""


@dataclass(frozen=True, slots=True)
class Name:
    """What the name of a report's files says."""

    kind: Literal["compliance", "framework"]
    about: str
    """The policy or the pack."""
    as_of: str
    """As it is in the name."""
    snapshot: int
    stem: str


@dataclass(frozen=True)
class Folder:
    """A folder of reports. Its names are read once, and no report until it is asked for."""

    path: Path
    files: frozenset[str] = field(default_factory=frozenset)
    """The names of all its files."""

    @classmethod
    def at(cls, path: Path) -> Folder:
        """Return a folder, read now; one that is not there is empty. Links in it do not count."""
        try:
            with os.scandir(path) as found:
                return cls(path, frozenset(each.name for each in found if each.is_file(follow_symlinks=False)))
        except OSError:
            return cls(path)

    @cached_property
    def names(self) -> tuple[Name, ...]:
        """The reports, the newest first; a page without its JSON counts."""
        stems = {
            file["stem"]: match
            for each in self.files
            if (file := REPORT_FILE.match(each) or FRAMEWORK_FILE.match(each))
            and file["form"] in {".json", ".html"}
            and (match := _NAME.match(each))
            and _is_instant(match["as_of"])
        }
        names = [
            Name(match["kind"], match["about"], match["as_of"], int(match["snapshot"]), stem)  # type: ignore[arg-type]
            for stem, match in stems.items()
        ]
        return tuple(sorted(names, key=lambda each: (each.as_of, each.snapshot, each.stem), reverse=True))

    def file(self, name: str) -> str | None:
        """Return a file's name if it is there."""
        return file_name(name) if name in self.files else None

    def page(self, stem: str) -> str | None:
        """Return the page of a report, or its JSON where it has none; None if neither is there."""
        return self.file(f"{stem}.html") or self.file(f"{stem}.json")

    def newest_policies(self) -> Iterator[IndexEntry]:
        """Yield the newest report of each policy that is one of ours, with the newest JSON of all that are read."""
        for own in self._by_subject("compliance"):
            yield from islice(filter(None, (_entry(self, name) for name in own)), 1)

    def newest_frameworks(self) -> Iterator[tuple[Name, Mapping[str, Any]]]:
        """Yield the newest report of each pack, as JSON values."""
        for own in self._by_subject("framework"):
            yield from islice(((name, made) for name in own if (made := _framework(self, name))), 1)

    def _by_subject(self, kind: str) -> Sequence[list[Name]]:
        """Return the reports of each policy or pack: the newest first, of those the ones over the usual period."""
        subjects: dict[str, list[Name]] = {}
        for name in self.names:
            if name.kind == kind and f"{name.stem}.json" in self.files:
                subjects.setdefault(name.about, []).append(name)
        for own in subjects.values():
            own.sort(key=lambda name: (name.as_of, name.snapshot, -name.stem.count("Z")), reverse=True)
        return list(subjects.values())


def spelled(compact: str) -> str:
    """Return an instant of a file's name as ISO 8601."""
    day, _, rest = compact.partition("T")
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{rest[:2]}:{rest[2:4]}:{rest[4:]}"


def _is_instant(compact: str) -> bool:
    try:
        parse_instant(spelled(compact))
    except ValueError:
        return False
    return True


def _framework(folder: Folder, name: Name) -> Mapping[str, Any] | None:
    """Return a framework's report; None if it is none of ours."""
    try:
        values = evidence_json.parse(read_file(folder.path / f"{name.stem}.json", within=folder.path))
        check_framework(values)
    except (OSError, ValueError, RecursionError, ReportError):
        return None
    made: Mapping[str, Any] = values
    return made if made["pack_id"] == name.about else None


def _entry(folder: Folder, name: Name) -> IndexEntry | None:
    """Return what the list says about a report; None if it is none: not JSON, or not of our form.

    The findings of a large report are not read: the second form counts them beside the list, and in the first each has
    a line of its own that names its kind.
    """
    try:
        report, kinds = _without_findings(folder.path / f"{name.stem}.json")
        threshold = report["threshold"]
        if report["policy_id"] != name.about:
            return None
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
            html_file=folder.file(f"{name.stem}.html"),
            json_file=folder.file(f"{name.stem}.json"),
            missing=kinds["missing_required_type"],
            incomplete=kinds["field_incomplete"],
            episodes=threshold["episodes"] if threshold else kinds["threshold_exceeded"],
            unmet_by=report["total_events"] if threshold and _nothing_met(threshold) else None,
            peaks=tuple(day["peak"] for day in threshold["daily_peaks"]) if threshold else (),
            threshold=threshold["alert_threshold"] if threshold else None,
        )
    except (OSError, ValueError, RecursionError, ReportError):
        return None


def _nothing_met(threshold: Mapping[str, Any]) -> bool:
    numbers = (threshold[key] for key in ("recent_events", "ungrouped_events", "where_errors"))
    peaks = (day["peak"] for day in threshold["daily_peaks"])
    return nothing_met(threshold.get("measure", "count"), threshold["where"], *numbers, *peaks)


def _without_findings(path: Path) -> tuple[dict[str, Any], Counter[str]]:
    """Return a report's JSON, of a large one without the list; and its findings by kind."""
    with open_file(path, within=path.parent) as file:
        if os.fstat(file.fileno()).st_size < _LARGE:
            report = evidence_json.parse(file.read())
            check_report(report)
            kinds = Counter(finding["kind"] for finding in report["violations"])
            return report, Counter(report.get("findings_by_kind", kinds))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start, end = data.find(_LIST), data.rfind(_AFTER_LIST)
            if not 0 <= start < end:
                raise ValueError("its keys are not where ours are")
            report = evidence_json.parse(b"%b%b[]%b" % (data[:start], _LIST[:-1], data[end:]))
            check_report(report)
            if report["report_version"] > 1:
                return report, Counter(report["findings_by_kind"])
            return report, Counter(match[1].decode() for match in _KIND.finditer(data, start, end))
