"""Where findings were seen: in the journal, in the kept reports, and in what was listed last.

A finding's id is the same in every run over the same period, so a known id was seen in some period. What was
listed is remembered in ``LAKE/findings/listed.json`` as periods alone: ids are made of names that may be erased.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import Layout
from auditlake.events.times import MICROSECOND, parse_instant, print_instant
from auditlake.findings.decisions import Acceptance
from auditlake.findings.journal import Line

_LISTINGS = 20
_LARGEST = 1 << 20
_MORE = re.compile(rb'"file": "(findings_[0-9a-f]{32}\.parquet)"')
PREFIX = re.compile(r"[0-9a-f]{1,16}")
"""How a finding's id may begin."""


@dataclass(frozen=True, slots=True)
class Place:
    """A period in which findings can be looked for again."""

    policies: tuple[str, ...]
    """Policies, and controls as ``pci-dss-4/10.4.1``; all policies if empty."""
    as_of: datetime
    until: datetime
    since: datetime | None = None
    """The policy's usual beginning if None."""
    snapshot: int | None = None
    """The version that was read, where the newest does not show the same."""

    @property
    def options(self) -> dict[str, Any]:
        """What a report is asked with, on the newest snapshot."""
        return {"as_of": self.as_of, "since": self.since, "until": self.until}


def recorded(layout: Layout, lines: Sequence[Line], prefix: str) -> dict[str, list[Place]]:
    """Return the places of every finding in the journal or a kept report whose id begins so; newest first."""
    places: dict[str, list[Place]] = defaultdict(list)
    for place, ids in sorted(_kept(layout, prefix), key=lambda each: each[0].as_of, reverse=True):
        for each in ids:
            places[each].append(place)
    for line in reversed(lines):
        if isinstance(line.entry, Acceptance) and line.entry.finding_id.startswith(prefix):
            places[line.entry.finding_id] += _around(line.entry)
    return dict(places)


def _kept(layout: Layout, prefix: str) -> Iterator[tuple[Place, set[str]]]:
    wanted = re.compile(rf'"id": ?"({prefix}[0-9a-f]*)"'.encode())
    yield from _kept_by_controls(layout, wanted)
    for path in layout.reports.glob("compliance_*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # its reader says what is wrong
            data = read_file(path, within=layout.root)
            ids = {match.decode() for match in wanted.findall(data)}
            more = _unlisted(layout, match[1].decode(), prefix) if (match := _MORE.search(data)) else set()
            if ids or more:
                report = json.loads(data)
                ids = ids & {each["id"] for each in report["violations"]} | more
                yield _place_of(report, report["policy_id"]), ids


def _kept_by_controls(layout: Layout, wanted: re.Pattern[bytes]) -> Iterator[tuple[Place, set[str]]]:
    """Yield the same of the reports of frameworks: what checks over records found is in no other."""
    for path in layout.reports.glob("framework_*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            data = read_file(path, within=layout.root)
            if ids := {match.decode() for match in wanted.findall(data)}:
                report = json.loads(data)
                for control in report["controls"]:
                    checks = (each for each in control["checks"] if each["policy"] is None)
                    found = ids & {each["id"] for check in checks for each in check["findings"]}
                    yield _place_of(report, f"{report['pack_id']}/{control['id']}"), found


def _place_of(report: dict[str, Any], name: str) -> Place:
    since, until = (datetime.fromisoformat(report["period"][name]) for name in ("since", "until"))
    return Place((name,), parse_instant(report["as_of"]), until, since, int(report["evidence"]["snapshot"]))


def _unlisted(layout: Layout, name: str, prefix: str) -> set[str]:
    """Return the ids of that beginning in the Parquet file of a report that finds more than it lists."""
    import pyarrow.parquet as pq

    with suppress(OSError, ValueError), open_file(layout.reports / name, within=layout.root) as file:
        ids = pq.ParquetFile(file).read(["id"]).column("id").to_pylist()
        return {each for each in ids if each.startswith(prefix)}
    return set()  # the report has gone elsewhere without it, or it is damaged: what the report lists is known still


def _around(entry: Acceptance) -> Iterator[Place]:
    """Yield where an accepted finding was: the journal has all of its period but the beginning.

    It began before the period, which then begins with it, or in the period: then any beginning before it will do.
    """
    place = Place((entry.subject.policy_id,), entry.as_of, entry.period_until)
    yield place
    for before in (timedelta(0), MICROSECOND):
        if entry.start is not None:
            yield replace(place, since=entry.start - before)


def remember(layout: Layout, places: Iterable[Place]) -> None:
    """Write down where was just looked, if the lake can be written to."""
    newest = list(dict.fromkeys(places))
    others = [[each for each in listing if each not in newest] for listing in listings(layout)]
    kept = [newest, *filter(None, others)][:_LISTINGS]
    data = json.dumps([[_printed(each) for each in listing] for listing in kept], separators=(",", ":")).encode()
    with suppress(OSError):
        path = _file(layout)
        make_folders(path.parent, below=layout.root)
        write_whole(path, data)


def listings(layout: Layout) -> list[list[Place]]:
    """Return the places of earlier listings, newest first; what cannot be read is forgotten."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        data = read_file(_file(layout), within=layout.root, limit=_LARGEST)
        return [[_place(each) for each in listing] for listing in json.loads(data)]
    return []


def _file(layout: Layout) -> Path:
    return layout.journal.with_name("listed.json")


def _printed(place: Place) -> dict[str, Any]:
    times = {name: print_instant(value) if value else None for name, value in place.options.items()}
    return {"policies": place.policies, **times, "snapshot": place.snapshot}


def _place(record: dict[str, Any]) -> Place:
    # A period may begin the microsecond before 1970, which is no time of an event.
    since, snapshot = record["since"], record["snapshot"]
    return Place(
        tuple(map(str, record["policies"])), parse_instant(record["as_of"]), parse_instant(record["until"]),
        datetime.fromisoformat(since) if since else None, None if snapshot is None else int(snapshot),
    )  # fmt: skip
