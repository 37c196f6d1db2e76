"""What the journal of runs says: evaluations of reports, verifications, runs that did not finish, and which were due.

All instants are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NamedTuple

from auditlake.events.durations import Duration

State = Literal["ok", "error"]
Level = Literal["full", "quick"]
UNATTENDED = frozenset({"nightly", "schedule"})
"""The verbs that are run by cron and its like."""


class Found(NamedTuple):
    """A finding, as far as it takes to know it again: where it is cut by another period, its id is another one."""

    subject: str | None = None
    """The id that it would have without its start, so that findings of one policy, kind, group and type share; None
    where that is its id."""
    start: datetime | None = None
    end: datetime | None = None
    """None where it runs on, or has no start either."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Evaluations that are due."""

    name: str
    every: Duration
    """Whole days, or 1, 6 or 12 hours."""
    at: str
    """When within an interval, as ``HH:MM``, UTC."""
    evaluate: tuple[str, ...]
    """Ids of packs and policies, or ``all``."""
    within: Duration
    """How late a run may be."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a run is made that a schedule asks for."""

    schedule: str
    """Its name."""
    due: datetime | None = None
    """The instant at which the run was due; None where no instant is declared."""
    catch_up: bool = False
    """Whether it makes up for a run that was missed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run says of one policy."""

    policy: str
    """``sha256:`` of the policy's file."""
    since: datetime
    """The period of the report is (since, until]."""
    until: datetime
    status: str
    """Of the report: ``compliant``, ``violation``, ``no_data``, or ``error`` where the policy could not be judged."""
    findings: int
    open: int
    """How many of the findings no acceptance covered."""
    governed: int
    """Governed events in the period."""
    report: str
    """``sha256:`` of the report's canonical JSON, whether or not it was written to a file."""
    found: Mapping[str, Found] | None = None
    """By id, the findings that no earlier run had found over all of their time; None in a line that names none: one of
    before, or where they would be more than :data:`auditlake.runs.known.MOST`."""


@dataclass(frozen=True, slots=True)
class PackAnswer:
    """What a run says of one pack."""

    pack: str
    """``sha256:`` of the pack's file."""
    status: str
    controls: Mapping[str, str]
    """The status of each control, by its id."""
    report: str
    """``sha256:`` of the report's canonical JSON, whether or not it was written to a file."""


@dataclass(frozen=True, slots=True)
class Run:
    """An evaluation of reports that was asked for, to its end. What it had not come to is None."""

    number: int
    """The journal's entry, from 1."""
    id: str
    """The run's own, 16 hex digits: a run that has a line was finished."""
    at: datetime
    """When it began."""
    finished: datetime
    verb: str
    """Who asked: ``report``, ``nightly``, ``schedule``, or ``python``."""
    version: str
    """Of auditlake."""
    user: str
    """Who ran it, as the system knows them."""
    as_of: datetime | None
    """What the reports were judged as of."""
    generated_at: datetime | None
    """What the reports say about when they were made."""
    snapshot: int | None
    rows: int | None
    """Events in the snapshot."""
    journal: int | None
    """How many of the first entries of the journal of findings counted."""
    settings: str | None
    """``sha256:`` of lake.toml."""
    state: State
    """``error`` where it ended with an error; a policy that could not be judged says so in its answer."""
    error: str | None
    """The error, in words."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By policy."""
    packs: Mapping[str, PackAnswer] = field(default_factory=dict)
    """By pack."""
    schedule: str | None = None
    """Which schedule asked for it; None where a person did. Lines of before schedules lack this and the next two."""
    due: datetime | None = None
    """When it was due; None where no instant was declared."""
    catch_up: bool = False
    """Whether it makes up for a run that was missed."""
    engine: str = "duckdb"
    """What answered the policies, without the address of a server. Reports do not say it, since they are the same."""

    @property
    def began(self) -> datetime:
        """When it began."""
        return self.at

    @property
    def policies(self) -> frozenset[str]:
        """What it judged."""
        return frozenset(self.answers)

    def judged(self, policy_id: str, since: datetime, until: datetime) -> bool:
        """Return whether it judged a policy over all of the period (since, until]."""
        answer = self.answers.get(policy_id)
        if self.state != "ok" or answer is None or answer.status == "error":
            return False
        return answer.since <= since and until <= answer.until


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification of the lake against its ledger."""

    number: int
    at: datetime
    """When it began."""
    finished: datetime
    version: str
    """Of auditlake."""
    user: str
    """Who ran it, as the system knows them."""
    level: Level
    """``full`` where every row was hashed, ``quick`` where files and tree were."""
    kept: bool
    """Whether the lake was compared with a checkpoint that was kept elsewhere."""
    snapshot: int
    """The newest snapshot that it covered."""
    entries: int
    """How many entries of the ledger it covered."""
    problems: int
    """How many it found."""
    read: int | None = None
    """Of how many entries every row was read, by it or by those before it; None where it read no row. Lines of full
    verifications lack it: they read all, and earlier versions know no such key."""
    damaged: tuple[date, ...] | None = None
    """Of one that read rows and found something wrong: the UTC days whose rows are to be read again, since they were
    not as recorded; none where something else was wrong, and None where that is not known."""

    @property
    def began(self) -> datetime:
        """When it began."""
        return self.at

    @property
    def policies(self) -> frozenset[str]:
        """None: it is about no policy."""
        return frozenset()

    @property
    def ok(self) -> bool:
        """Whether all was as recorded."""
        return self.problems == 0


@dataclass(frozen=True, slots=True)
class RowsRead:
    """Which rows verifications have read, and found as recorded."""

    entries: int = 0
    """Those that came with so many first entries of the ledger."""
    damaged: tuple[date, ...] = ()
    """Not those of these UTC days."""


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that began, and whose process ended without finishing it; the next run wrote this."""

    number: int
    id: str
    """The run's own, 16 hex digits."""
    at: datetime
    """When this was written."""
    started: datetime
    """When the run began."""
    verb: str
    """As in :class:`Run`."""
    version: str
    """Of the auditlake that began it."""
    user: str
    """Who began it, as the system knows them."""
    schedule: str | None = None
    """As in :class:`Run`, like the next two."""
    due: datetime | None = None
    catch_up: bool = False

    @property
    def began(self) -> datetime:
        """When it began."""
        return self.started

    @property
    def policies(self) -> frozenset[str]:
        """None: what it was to judge is not known."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Declaration:
    """The schedules of the lake from an instant on: the next run wrote this after ``frameworks.yaml`` had changed."""

    number: int
    at: datetime
    """From when on they are in force."""
    version: str
    """Of auditlake."""
    user: str
    """Who ran it, as the system knows them."""
    schedules: Mapping[str, Schedule]
    """All of them, by name."""

    @property
    def began(self) -> datetime:
        """From when on they are in force."""
        return self.at

    @property
    def policies(self) -> frozenset[str]:
        """None: it is about no policy."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class PackedEvidence:
    """An evidence pack was written: it may be with an auditor, so the pages of its report are not pruned."""

    number: int
    at: datetime
    version: str
    """Of auditlake."""
    user: str
    """Who ran it, as the system knows them."""
    about: tuple[str, ...]
    """The policies and packs whose reports are in it."""
    as_of: datetime
    """What the reports were judged as of."""
    snapshot: int
    sha256: str
    """Hex digits, over the bytes of its file."""

    @property
    def began(self) -> datetime:
        """When it was written."""
        return self.at

    @property
    def policies(self) -> frozenset[str]:
        """None: nothing was judged for the record."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Pruning:
    """Old pages of reports were about to be removed. Their JSON stays, from which each can be made again."""

    number: int
    at: datetime
    version: str
    """Of auditlake."""
    user: str
    """Who ran it, as the system knows them."""
    keep: str
    """How long pages are kept."""
    before: datetime
    """Only pages judged as of an earlier instant went."""
    pages: tuple[str, ...]
    """Their names below ``LAKE/reports``."""

    @property
    def began(self) -> datetime:
        """When this was written, before the first of them went."""
        return self.at

    @property
    def policies(self) -> frozenset[str]:
        """None: nothing was judged."""
        return frozenset()


def asked_by(entry: Run | FailedRun) -> str:
    """Return who asked for a run, in words: the verb, or the schedule, and whether it makes up for a missed one."""
    who = f"schedule {entry.schedule}" if entry.schedule else entry.verb
    return f"{who}, made up" if entry.catch_up else who


Entry = Run | Verification | FailedRun | Declaration | PackedEvidence | Pruning
