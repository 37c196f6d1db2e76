"""The reports that lie in a folder: which there are, by their names alone, and what the newest say."""

from __future__ import annotations

import mmap
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import chain, islice
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
from auditlake.yaml_reader import digest_of

_LARGE = 1 << 20
_LIST, _AFTER_LIST = b'\n  "violations": [', b',\n  "threshold": '
_KIND = re.compile(rb'\n      "kind": "([a-z_]{1,64})"')
_NAME = re.compile(
    r"(?P<kind>compliance|framework)_(?P<about>[a-z0-9_-]+?)_(?P<as_of>\d{8}T\d{6}(?:\.\d{6})?Z)_v(?P<snapshot>\d{1,18})(?=[_.])"
)
Key = tuple[str, str]
"""What reports were judged as of, and the snapshot, as their names say it."""


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
                return cls(path, frozenset([each.name for each in found if each.is_file(follow_symlinks=False)]))
        except OSError:
            return cls(path)

    @cached_property
    def groups(self) -> Mapping[Key, list[str]]:
        """The names of files that may be reports, by what these were judged as of and the snapshot.

        Of a report that has both, the name of the JSON stands for the page. :meth:`reports` says which are reports.
        """
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[dict[Key, list[str]], dict[str, str]]:
        """The groups, and the newest instant of each policy and pack that has JSON: all names are gone through once.

        Of a report that has both, the name of the JSON stands for the page.
        """
        groups: dict[Key, list[str]] = {}
        newest: dict[str, str] = {}
        for name in self.files:
            is_page = name[-5:] == ".html"
            if not is_page and name[-5:] != ".json":
                continue
            if (is_page and f"{name[:-4]}json" in self.files) or name[:10] not in ("compliance", "framework_"):
                continue
            if (dot := name.rfind(".", 0, -5)) >= 0 and name[dot + 1].isalpha():
                continue  # another form, as .oscal.json, or what a template made
            head, is_report, tail = name.partition("Z_v")
            if is_report:
                subject, _, as_of = head.rpartition("_")
                snapshot, _, _ = tail.partition(".")
                key = (f"{as_of}Z", snapshot.partition("_")[0] if "_" in snapshot else snapshot)
                if (group := groups.get(key)) is None:
                    group = groups[key] = []
                group.append(name)
                if not is_page and key[0] > newest.get(subject, ""):
                    newest[subject] = key[0]
        return groups, newest

    def reports(self, key: Key) -> tuple[Name, ...]:
        """Return the reports of a key, by name; a page without its JSON counts."""
        return tuple(sorted(filter(None, map(name_of, self.groups.get(key, ()))), key=lambda each: each.stem))

    def counts(self, key: Key) -> tuple[int, int]:
        """Return how many reports of a key may be there, and how many have a page."""
        names = self.groups.get(key, ())
        return len(names), sum(f"{name[:-4]}html" in self.files for name in names)  # both endings have four letters

    def file(self, name: str) -> str | None:
        """Return a file's name if it is there."""
        return file_name(name) if name in self.files else None

    def page(self, stem: str) -> str | None:
        """Return the page of a report, or its JSON where it has none; None if neither is there."""
        return self.file(f"{stem}.html") or self.file(f"{stem}.json")

    def newest_policies(self, recorded: Collection[str] = ()) -> Iterator[IndexEntry]:
        """Yield the newest report of each policy that is one of ours, with the newest JSON of all that are read.

        Args:
            recorded: ``sha256:`` of the JSON of reports that are on record, which need not be checked again.
        """
        for own in self._by_subject("compliance"):
            yield from islice(filter(None, (_entry(self, name, recorded) for name in own)), 1)

    def newest_frameworks(self, recorded: Collection[str] = ()) -> Iterator[tuple[Name, Mapping[str, Any]]]:
        """Yield the newest report of each pack, as JSON values; the argument is that of :meth:`newest_policies`."""
        for own in self._by_subject("framework"):
            yield from islice(((name, made) for name in own if (made := _framework(self, name, recorded))), 1)

    @cached_property
    def _by_instant(self) -> Mapping[str, list[list[str]]]:
        """The groups by what they were judged as of, whatever the snapshot."""
        found: dict[str, list[list[str]]] = {}
        for (as_of, _), names in self.groups.items():
            found.setdefault(as_of, []).append(names)
        return found

    def _by_subject(self, kind: str) -> Iterator[Iterator[Name]]:
        """Yield the reports of each policy or pack: the newest first, of those the ones over the usual period."""
        for subject, as_of in sorted(self._read[1].items()):
            if subject.startswith(f"{kind}_"):
                yield self._newest_first(subject, as_of)

    def _newest_first(self, subject: str, newest: str) -> Iterator[Name]:
        """Yield the reports of one: nearly always the first is looked at alone."""
        for as_of in sorted((each for each in self._by_instant if each <= newest), reverse=True):
            there = chain.from_iterable(self._by_instant[as_of])
            names = (each for each in there if each.startswith(f"{subject}_{as_of}_v") and each.endswith(".json"))
            alike = filter(None, map(name_of, names))
            yield from sorted(alike, key=lambda name: (name.snapshot, -name.stem.count("Z")), reverse=True)


def name_of(file: str) -> Name | None:
    """Return what the name of a report's file says; None of any other file."""
    report = REPORT_FILE.match(file) or FRAMEWORK_FILE.match(file)
    match = _NAME.match(file) if report and report["form"] in {".json", ".html"} else None
    if match is None or not _is_instant(match["as_of"]):
        return None
    kind, about, as_of = match["kind"], match["about"], match["as_of"]
    return Name(kind, about, as_of, int(match["snapshot"]), file.rpartition(".")[0])  # type: ignore[arg-type]


def spelled(compact: str) -> str:
    """Return an instant of a file's name as ISO 8601."""
    day, _, rest = compact.partition("T")
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{rest[:2]}:{rest[2:4]}:{rest[4:]}"


@lru_cache(256)
def _is_instant(compact: str) -> bool:
    try:
        parse_instant(spelled(compact))
    except ValueError:
        return False
    return True


def _framework(folder: Folder, name: Name, recorded: Collection[str]) -> Mapping[str, Any] | None:
    """Return a framework's report; None if it is none of ours."""
    try:
        data = read_file(folder.path / f"{name.stem}.json", within=folder.path)
        values = evidence_json.parse(data)
        if digest_of(data) not in recorded:
            check_framework(values)
    except (OSError, ValueError, RecursionError, ReportError):
        return None
    made: Mapping[str, Any] = values
    return made if made["pack_id"] == name.about else None


def _entry(folder: Folder, name: Name, recorded: Collection[str]) -> IndexEntry | None:
    """Return what the list says about a report; None if it is none: not JSON, or not of our form.

    The findings of a large report are not read: the second form counts them beside the list, and in the first each has
    a line of its own that names its kind.
    """
    try:
        report, kinds = _without_findings(folder.path / f"{name.stem}.json", recorded)
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


def _without_findings(path: Path, recorded: Collection[str]) -> tuple[dict[str, Any], Counter[str]]:
    """Return a report's JSON, of a large one without the list; and its findings by kind."""
    with open_file(path, within=path.parent) as file:
        if os.fstat(file.fileno()).st_size < _LARGE:
            content = file.read()
            report = evidence_json.parse(content)
            if digest_of(content) not in recorded:
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
