"""Old pages of reports, removed where lake.toml says how long they are kept; their JSON stays.

Pages that were made together link to one another, so they stay or go together. They stay where

- they are not older than ``keep_pages`` of lake.toml, and the longest retention of an added pack;
- one of them is the newest of its policy or framework;
- a review or a decision about a finding names one of their reports, or an evidence pack on record has it;
- the JSON of one of them is not beside it.

What a template of the lake's own made is no page: it is never removed, and keeps none.

Nothing goes at all while a hold is active, since a hold names events, and no page can be matched with one; nor while it
cannot be told what is to stay. What goes is on record in the journal of runs before the first page does, and no index
links to it any more.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version

from auditlake.context import LakeContext
from auditlake.disk.files import remove_file
from auditlake.disk.layout import FRAMEWORK_FILE, REPORT_FILE, Layout, instant_in_name
from auditlake.errors import AuditLakeError
from auditlake.events.durations import Duration, length_of
from auditlake.events.times import parse_instant
from auditlake.findings.decisions import Acceptance, Entry, Resolution, Review
from auditlake.findings.journal import read as read_decisions
from auditlake.machine import login_name
from auditlake.packs.effective import LakePacks, lake_packs
from auditlake.policies.holds import load_holds
from auditlake.runs.journal import append, read
from auditlake.runs.model import PackedEvidence, Pruning
from auditlake.site.entries import Folder, Key, spelled
from auditlake.site.index import write_index

_LINE = 500
"""How many names a line of the journal has at most."""


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """Which pages go, and why others stay."""

    keep: str
    """How long pages are kept, as lake.toml or the retention of a pack says it; empty if for ever."""
    before: datetime | None
    """Only pages judged as of an earlier instant go; None where none does."""
    pages: tuple[str, ...] = ()
    """The names of those that go, in order."""
    size: int = 0
    """Their bytes."""
    kept: Mapping[str, int] = field(default_factory=dict)
    """How many older ones stay, by why."""
    obstacles: tuple[str, ...] = ()
    """Why nothing goes."""


def plan_pruning(context: LakeContext) -> PrunePlan:
    """Return which pages of the lake's own folder of reports are to go now."""
    setting = context.config.reports.keep_pages
    if setting is None:
        return PrunePlan("", None)
    packs = lake_packs(context.layout, context.config.event_types)
    longest = max([setting, *_retentions(packs)], key=length_of)
    before = context.now - timedelta(microseconds=longest.microseconds)
    if obstacles := tuple(_obstacles(context, packs)):
        return PrunePlan(f"{longest}", before, obstacles=obstacles)
    folder = Folder.at(context.layout.reports)
    try:
        stays = _Stays(context.layout, folder)
    except AuditLakeError as error:
        return PrunePlan(f"{longest}", before, obstacles=(f"{error}",))
    kept, pages = Counter[str](), list[str]()
    for key, names in sorted(stays.groups.items()):
        at = _instant(key)
        if at is None or at >= before:
            continue
        if why := stays.reason(key, names):
            kept[why] += len(names)
        else:
            pages += names
    size = sum((folder.path / name).stat().st_size for name in pages)
    return PrunePlan(f"{longest}", before, tuple(sorted(pages)), size, dict(kept))


def prune(context: LakeContext) -> PrunePlan:
    """Remove the pages that are to go now, and return which; the index is written again without them.

    Raises:
        LakeError: The journal of runs cannot be written; nothing was removed.
        OSError: The disk refused.
    """
    planned = plan_pruning(context)
    if planned.before is None or not planned.pages:
        return planned
    layout, folder = context.layout, context.layout.reports
    for start in range(0, len(planned.pages), _LINE):
        own = (version("auditlake"), login_name(), planned.keep, planned.before)
        append(layout, Pruning(0, context.now, *own, planned.pages[start : start + _LINE]))
    write_index(folder, layout, everything=True, without=planned.pages)
    for name in planned.pages:
        with suppress(FileNotFoundError):
            remove_file(folder / name, within=layout.root)
    return planned


def _retentions(packs: LakePacks) -> Iterator[Duration]:
    for pack in packs.packs.values():
        lengths = [each.retention_period for each in pack.policies.values()]
        lengths += [pack.retention.min] if pack.retention else []
        yield from (each for each in lengths if each is not None)


def _obstacles(context: LakeContext, packs: LakePacks) -> Iterator[str]:
    """Yield why nothing may go."""
    for name in packs.faults:
        yield f"{name or 'frameworks.yaml'} cannot be used, so what it keeps is not known"
    try:
        holds = load_holds(context.layout, context.config.event_types)
    except AuditLakeError as error:
        yield f"{error}"
        return
    for hold in holds:
        if hold.is_active(context.now):
            yield f"the hold {hold.id} is active"


class _Stays:
    """Which pages stay however old they are.

    Raises:
        LakeError, LakeFormatError: A journal cannot be read.
    """

    def __init__(self, layout: Layout, folder: Folder) -> None:
        self._folder = folder
        self.groups: dict[Key, list[str]] = defaultdict(list)
        """The pages of reports, by what they were made with."""
        self._instants: dict[str, list[tuple[str, int]]] = defaultdict(list)
        """Of each policy and pack, what its pages were judged as of, with the snapshots, in order."""
        for name in folder.files:
            head, is_report, tail = name.partition("Z_v")
            match = REPORT_FILE.match(name) or FRAMEWORK_FILE.match(name) if is_report else None
            if match is not None and match["form"] == ".html":  # not one that a template made
                key = (f"{head.rpartition('_')[2]}Z", tail.partition(".")[0].partition("_")[0])
                self.groups[key].append(name)
                self._instants[_about(name)].append((key[0], int(key[1])))
        for own in self._instants.values():
            own.sort()
        self._newest = {own[-1] for own in self._instants.values()}
        self._named = {each for line in read_decisions(layout) for each in self._named_by(line.entry)}
        packed = (each for each in read(layout) if isinstance(each, PackedEvidence))
        self._packed = {(about, instant_in_name(each.as_of), each.snapshot) for each in packed for about in each.about}

    def reason(self, key: Key, names: Sequence[str]) -> str:
        """Return why the pages that were made together stay; empty where nothing keeps them."""
        as_of, snapshot = key[0], int(key[1])
        about = {_about(name) for name in names}
        if (as_of, snapshot) in self._newest:
            return "the newest of a policy or framework"
        if any((each, as_of) in self._named for each in about):
            return "named by a review or a decision"
        if any((each, as_of, snapshot) in self._packed for each in about):
            return "in an evidence pack"
        return "" if all(_json_of(name) in self._folder.files for name in names) else "without their JSON"

    def _named_by(self, entry: Entry) -> Iterator[tuple[str, str]]:
        """Yield the policies and packs that an entry is about, each with what a page of it was judged as of.

        A page is named that the entry's report was made for, that ends where its period does, or that was the newest
        when the entry was written: it is what a person had before them.
        """
        if isinstance(entry, Review):
            about, instants = {entry.policy_id, *entry.policies, *([entry.pack] if entry.pack else [])}, [entry.as_of]
            instants += [entry.until] if entry.until else []
        elif isinstance(entry, Acceptance):
            about, instants = {entry.subject.policy_id}, [entry.as_of, entry.period_until]
        elif isinstance(entry, Resolution):
            about, instants = {entry.subject.policy_id}, [entry.until]
        else:
            return
        for each in (name.partition("/")[0] for name in about):  # a finding over records is of PACK/CONTROL
            yield from ((each, instant_in_name(instant)) for instant in instants)
            own = self._instants.get(each, [])
            if before := bisect_right(own, (instant_in_name(entry.at), sys.maxsize)):
                yield each, own[before - 1][0]


def _about(name: str) -> str:
    """Return the policy or pack that a page is about."""
    kind, _, rest = name.partition("_")
    if kind == "control":
        return rest.partition("_")[0]
    return rest.partition("Z_v")[0].rpartition("_")[0]


def _json_of(name: str) -> str:
    """Return the name of the JSON that a page shows: of the page of a control, that of its framework."""
    stem = name.removesuffix(".html")
    if not stem.startswith("control_"):
        return f"{stem}.json"
    head, _, tail = stem.partition("Z_v")
    return f"framework_{_about(name)}_{head.rpartition('_')[2]}Z_v{tail}.json"


def _instant(key: Key) -> datetime | None:
    with suppress(ValueError):
        return parse_instant(spelled(key[0]))
    return None
