"""What a framework report says, before anybody renders it. All instants are aware, in UTC, to the microsecond.

No text in it is fit for a page yet: titles are those of packs, and reasons, notes and names may be hostile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from auditlake.findings.decisions import Applicability, Resolution, Statement, Weakening
from auditlake.findings.finding import Finding
from auditlake.packs.model import Shows, Source, State, Watch
from auditlake.policies.model import Basis as PolicyBasis
from auditlake.reports.model import Query

Status = Literal["fail", "not_evaluated", "no_data", "exception", "pass", "not_applicable"]
STATUSES: tuple[Status, ...] = ("fail", "not_evaluated", "no_data", "exception", "pass", "not_applicable")
"""Every status: the one that goes before the others first, and ``not_applicable`` outside of them."""
SHOWS: tuple[Shows, ...] = ("operation", "logging", "nothing")
"""How much a log can show of a control, the most first."""
Basis = Literal["log", "records", "log and records", "statement"]
"""What a status rests on: events, auditlake's own records, both, or the word of a person."""
SlotState = Literal["met", "late", "missed", "failed", "open"]
"""``open``: not due yet. ``failed``: an evaluation ended with an error, and none came after it in time."""
CellState = Literal["none", "source_silent", "before", "after", "taken", "unknown"]
"""Why a day has no events: others of the source came; none came, earlier and later ones did; the source had not begun;
it had ended; a certificate took events of that type and day; the day is later than as_of."""


def worst(statuses: list[Status] | tuple[Status, ...]) -> Status:
    """Return the status that goes before the others; ``not_applicable`` only where there is no other."""
    return min(statuses, key=STATUSES.index, default="not_applicable")


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the intervals that a duty recurs in, on a grid from Monday, 1970-01-05."""

    start: datetime
    end: datetime
    """The first instant after it."""
    due: datetime
    state: SlotState
    at: datetime | None = None
    """When it was met, or met too late."""
    entry: int | None = None
    """The entry that met it: of the journal of findings for a review, else of the journal of runs."""
    by: str | None = None
    """Who gave the review, or ran what met it."""
    events_since: int | None = None
    """Of a review: governed events of the interval that came after the snapshot that was looked at."""
    own_actions: bool | None = None
    """Of a review: whether who gave it is a user among those events. It is shown, and fails nothing."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of a control: a policy, or a check over auditlake's own records."""

    kind: str
    """``policy``, or the kind of a record check: ``review``, ``evaluation``, ``response`` and so on."""
    status: Status
    reason: str
    """In words, without a full stop."""
    policy: str | None = None
    """Of a policy: its qualified id, or that of a policy of the lake's own that names the control."""
    asks: tuple[str, ...] = ()
    """Of a policy: which of its questions count."""
    findings: tuple[Finding, ...] = ()
    """What decides, and what was accepted of it. Findings of policies have the ids that they have in its report."""
    slots: tuple[Slot, ...] = ()
    """Of reviews, evaluations and verifications: the intervals that ended in the period, in order of time."""
    of: tuple[str, ...] = ()
    """Of a record check: the qualified ids of the policies that it is about."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What a record check asks, as JSON values: ``every``, ``within`` and so on."""
    measures: Mapping[str, Any] = field(default_factory=dict)
    """What it counted, by name, as JSON values: events, late, slots by state."""


@dataclass(frozen=True, slots=True)
class ControlResult:
    """How one control stands."""

    id: str
    title: str
    shows: Shows
    """How much a log can show of it: to be named wherever the status is."""
    says: str
    """What a pass says."""
    says_not: str
    """What it does not say."""
    status: Status
    basis: Basis | None
    """None where nothing was looked at."""
    reasons: tuple[str, ...]
    """Those of the checks that decide, in order; never empty."""
    checks: tuple[CheckResult, ...] = ()
    parts: tuple[str, ...] = ()
    """The controls whose worst status this one has."""
    related: tuple[str, ...] = ()
    """Qualified ids of policies to show beside it, not counted."""
    cites: tuple[str, ...] = ()
    """Ids of sources."""
    in_force: date | None = None
    """From when on it binds, where that is later than the period: it is judged all the same."""
    ended: date | None = None
    replaced_by: str | None = None
    was: str | None = None
    """Its id in the revision before."""
    parameters: tuple[str, ...] = ()
    """The parameters that its checks are made with, sorted."""
    statement: Statement | None = None
    """The newest statement about it, whether or not it has ended."""
    applicability: Applicability | None = None
    """The decision by which it does not apply."""
    weakenings: tuple[Weakening, ...] = ()
    """The decisions in force that let its parameters ask for less than the framework."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all its checks, each once, in order."""
        return tuple({each.id: each for check in self.checks for each in check.findings}.values())


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter of the pack to which the lake gives another value than the default, or which is free to set."""

    parameter: str
    value: Any
    """A JSON value."""
    default: Any
    """A JSON value."""
    is_default: bool
    is_free: bool
    """Whether the pack leaves the value to the lake."""
    is_weaker: bool
    """Whether it asks for less than the control that cites the default."""
    cites: tuple[str, ...]
    """The controls that ask for the default."""
    place: str | None
    """Where ``frameworks.yaml`` sets it, as file:line:column; None where it does not."""
    set_by: str | None = None
    """Who set it, as far as a recorded decision says."""
    decision: Weakening | None = None
    """The decision that lets it be weaker, as long as that is in force."""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """The days of one event type from one source."""

    event_type: str
    source: str | None
    """None: the type did not come in the period from any source, and the row is about all of them."""
    events: int
    """In the period."""
    first: datetime | None
    """The first event of the type, from this source, up to as_of; None: never seen."""
    last: datetime | None
    filled: Mapping[str, int]
    """How many of the events have a value in each of :attr:`Coverage.columns`."""
    cells: tuple[int | CellState, ...]
    """For each day its events, or why there are none."""


@dataclass(frozen=True, slots=True)
class SourceLife:
    """From when to when a source sent events, up to as_of."""

    source: str
    events: int
    """In the period."""
    first: datetime
    last: datetime
    days: frozenset[date]
    """The days of the period on which it sent any."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which events came on which day: controls name policies, policies name types, and rows are by type and source."""

    days: tuple[date, ...]
    """Every UTC day with an instant in the period, in order."""
    columns: tuple[str, ...]
    """The event columns that policies of the pack ask to be filled."""
    rows: tuple[CoverageRow, ...]
    """By event type and source."""
    sources: tuple[SourceLife, ...]
    """Those that sent anything, by name, what auditlake writes about itself aside."""
    types_of: Mapping[str, tuple[str, ...]]
    """Control id to the event types that its policies govern, of each control that has any."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a length of retention."""

    policy: str
    """Qualified id, or that of a policy of the lake's own."""
    length: str
    """As it was written."""
    microseconds: int
    """What it counts for."""
    clause: str | None
    """What asks for it."""
    basis: PolicyBasis | None
    """What the length is, as far as the policy says."""


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """How long events of one type are kept, over all packs and policies."""

    event_type: str
    keep: Asker | None
    """The longest ``retention_period``."""
    hot: Asker | None
    """The longest time at hand."""
    cap: Asker | None
    """The shortest ``max_retention``: how long personal data may stay."""
    gone: Asker | None
    """The shortest ``max_retention`` of the whole event."""
    conflict: bool
    """Whether the cap is shorter than what must be kept: the event stays, and its personal data becomes pseudonyms."""
    contradiction: Finding | None
    """What is found where the event must be gone before it may: it stays, until keep, whoever accepts that."""


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What a policy's own report says, in short."""

    policy: str
    """Its qualified id."""
    name: str
    description: str
    severity: str
    status: str
    """As in a policy's report: ``compliant``, ``violation``, ``no_data``, ``error``; ``not_evaluated`` without one."""
    error: str | None
    """Why it could not be judged."""
    events: int
    """Governed events in the period."""
    findings: int
    open: int
    controls: tuple[str, ...]
    """The controls that it is a check of, or is shown beside."""
    digest: str
    """``sha256:`` of the policy."""
    report: str | None
    """``sha256:`` of the report's canonical JSON."""
    stem: str | None
    """The report's file name without its ending."""
    own: bool = False
    """Whether it is a policy of the lake's own that names a control of the framework."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a journal counted."""

    entries: int
    """The number of the last entry that counted; 0 if none did."""
    digest: str
    """``sha256:`` over all entries up to that one; empty where there is none."""


@dataclass(frozen=True, slots=True)
class HoldThen:
    """A legal hold that counted. Such a report is only the same again while the holds are."""

    id: str
    digest: str
    """``sha256:`` over what it names, and not over its file: that it was released since changes nothing of it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the numbers come from."""

    lake_id: str
    snapshot: int
    files: int
    rows: int
    """Events in the snapshot."""
    inputs_digest: str
    """``sha256:`` over the names of the snapshot's files, which are made of their own digests."""
    pack_digest: str
    """``sha256:`` of the pack file."""
    base_digest: str | None
    """``sha256:`` of the file of the pack that it extends."""
    settings_digest: str | None
    """``sha256:`` of ``frameworks.yaml``."""
    journal: Extent
    """The journal of findings."""
    runs: Extent
    """The journal of runs."""
    certificates: Extent
    """How many certificates of deletions counted, and ``sha256:`` over their names and digests."""
    holds: tuple[HoldThen, ...]
    """The legal holds that counted, by id."""
    places_digest: str | None
    """``sha256:`` over where lake.toml and the mappings say that personal data lies; None where no check asks it."""
    queries: tuple[Query, ...]
    """The statements beside those of the policies, with the values that they bind."""


@dataclass(frozen=True, slots=True)
class FrameworkReport:
    """One pack, judged on one snapshot as of one instant over the period (since, until]."""

    pack_id: str
    framework: str
    edition: str
    publisher: str
    about: str
    revision: str
    digest: str
    """``sha256:`` of the pack file."""
    extends: str | None
    recheck: date
    """From which day the pack's facts are due for a check."""
    is_recheck_due: bool
    """Whether that day has come as of as_of."""
    state: State | None
    """What the framework is as of as_of; None before its first state."""
    next_state: State | None
    """What it becomes next, as far as the pack knows."""
    watch: tuple[Watch, ...]
    """What is coming, or came: shown, never judged."""
    as_of: datetime
    since: datetime
    until: datetime
    generated_at: datetime
    status: Status
    verdict: str
    """The status in words that go with the state: "Not met, were it in force"."""
    sentence: str
    """The numbers in a sentence, and no percentage."""
    counts: Mapping[Status, Mapping[Shows, int]]
    """How many controls have each status, by how much a log can show of them; zero included."""
    applicable: int
    """Controls that apply."""
    failing: int
    """Of these, those that fail."""
    showable: int
    """Controls that apply and of which a log can show anything."""
    passing: int
    """Of these, those that pass."""
    passing_only_logging: int
    """Of these, those of which a log shows only that logging exists."""
    settings: tuple[Setting, ...]
    """Values that are not the default, and those that are free to set, by parameter."""
    controls: tuple[ControlResult, ...]
    """Every control of the pack, in the order of the framework."""
    coverage: Coverage
    retention: tuple[RetentionRow, ...]
    """By event type, of those that policies of the pack govern."""
    policies: tuple[PolicyAnswer, ...]
    """Those of the pack, then the lake's own that name a control of it, each by id."""
    sources: tuple[Source, ...]
    """Where the facts of the pack come from, and how far each was checked."""
    evidence: Evidence
    resolutions: tuple[Resolution, ...] = ()
    """What people marked as dealt with of what the policies and the controls of the pack found."""

    def control(self, control_id: str) -> ControlResult:
        """Return a control.

        Raises:
            KeyError: The pack has none of that id.
        """
        return {each.id: each for each in self.controls}[control_id]

    @property
    def statements(self) -> tuple[ControlResult, ...]:
        """The controls about which a person made a statement."""
        return tuple(each for each in self.controls if each.statement is not None)

    @property
    def exceptions(self) -> tuple[ControlResult, ...]:
        """The controls that pass only by decisions of people."""
        return tuple(each for each in self.controls if each.status == "exception")

    @property
    def not_applicable(self) -> tuple[ControlResult, ...]:
        """The controls that do not apply, each with its reason."""
        return tuple(each for each in self.controls if each.status == "not_applicable")
