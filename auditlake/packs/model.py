"""A pack: one edition of a framework, as it is read from YAML and never changed afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from auditlake.events.durations import Duration
from auditlake.policies.model import Basis, Part, Policy

StateName = Literal["proposed", "adopted", "deferred", "in_force", "superseded", "rescinded"]
Checked = Literal["primary", "copy", "secondary", "memory"]
Shows = Literal["operation", "logging", "nothing"]
Type = Literal["duration", "number", "condition", "boolean", "one", "several"]
RecordKind = Literal["review", "evaluation", "response", "retention", "integrity", "arrival", "clock"]
Value = Duration | int | Decimal | bool | str | tuple[str, ...]
"""The value of a parameter: a length, a number, a truth value, a condition or a name, several names."""

PACK_ID = re.compile(r"^(?!.*--)[a-z0-9][a-z0-9-]{0,30}\Z")
"""What a pack's id, so its file name, looks like."""
QUESTIONS = ("coverage", "gaps", "fields", "threshold")
"""What a control may ask of a policy."""
USUAL_QUESTIONS = QUESTIONS[:3]
"""What a control asks of a policy that it only names."""


def qualified(pack_id: str, policy_id: str) -> str:
    """Return the id by which a lake knows a pack's policy."""
    return f"{pack_id}--{policy_id}"


@dataclass(frozen=True, slots=True)
class State:
    """What a framework is from a day on."""

    since: date
    """The key ``from``."""
    state: StateName
    cites: tuple[str, ...]
    note: str = ""
    when: Mapping[str, str] = field(default_factory=dict)
    """Parameters with the value that each must have for this to count."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Something that is coming: shown, never judged."""

    on: date
    note: str
    cites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact of a pack comes from."""

    id: str
    title: str
    checked: Checked
    """Against what the fact was checked."""
    url: str = ""
    read: date | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a lake may set."""

    name: str
    type: Type
    default: Value
    of: tuple[str, ...] = ()
    """The names to choose from, of a parameter of the type ``one`` or ``several``."""
    stricter: str = "free"
    """In which direction a lake may go without asking; ``free``: in any."""
    cites: tuple[str, ...] = ()
    """The controls that ask for the default: a weaker value then needs a recorded decision."""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the events of every policy of a pack are kept that does not say so itself."""

    basis: Basis
    min: Duration | None = None
    """Months count 31 days, years 366."""
    hot: Duration | None = None
    """How long events can be read without restoring anything; months count 31 days, years 366."""
    max: Duration | None = None
    """How long personal data stays, or the event; months count 30 days, years 365."""
    max_of: Part = "personal_data"
    cites: tuple[str, ...] = ()
    """The controls that ask for it."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """A policy that is a check of a control, with the questions that count."""

    policy: str
    """Its id within the pack."""
    asks: tuple[str, ...] = USUAL_QUESTIONS
    """Some of :data:`QUESTIONS`."""


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """A check of a control over auditlake's own records. Which of the values there are is up to its kind."""

    kind: RecordKind
    every: Duration | None = None
    """The length of the intervals that are judged: whole days, or 1, 6 or 12 hours."""
    of: tuple[str, ...] = ()
    """Ids of policies within the pack."""
    within: Duration | None = None
    by: str | None = None
    """Who must have given a review: ``person``, so that what a program signs is none; or None for anyone."""
    level: str | None = None
    """How deep a verification must go: ``quick`` or ``full``; None: either."""
    kept: bool = False
    """Whether a verification must use a checkpoint that was kept elsewhere."""
    share: Decimal | None = None
    """Which share of the events, from 0 to 1."""
    ahead: Duration | None = None
    min: Duration | None = None
    hot: Duration | None = None
    max: Duration | None = None
    max_of: Part = "personal_data"
    """What must be gone after ``max``."""
    parameters: frozenset[str] = frozenset()
    """The parameters whose values it has."""


@dataclass(frozen=True, slots=True)
class OnlyIf:
    """When a control applies: ``$flag``, ``'x' in $several`` or ``$one == 'x'``."""

    text: str
    parameter: str
    value: str | None = None
    """The name that the parameter must have or contain; None: the parameter is a truth value."""

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Return whether it is so with these values of the pack's parameters."""
        actual = values[self.parameter]
        if self.value is None:
            return actual is True
        return self.value in actual if isinstance(actual, tuple) else actual == self.value


@dataclass(frozen=True, slots=True)
class Control:
    """Something that a framework asks for."""

    id: str
    """As it is cited."""
    title: str
    shows: Shows
    """How much a log can show of it."""
    cites: tuple[str, ...]
    """Ids of the pack's sources."""
    says: str = ""
    says_not: str = ""
    policies: tuple[PolicyCheck, ...] = ()
    records: tuple[RecordCheck, ...] = ()
    all_of: tuple[str, ...] = ()
    """Ids of its parts: its status is the worst of theirs."""
    related: tuple[str, ...] = ()
    """Policies of the pack to show beside it, not counted."""
    only_if: OnlyIf | None = None
    in_force: date | None = None
    ended: date | None = None
    replaced_by: str | None = None
    was: str | None = None
    """Its id in the revision before, whose statements and acceptances it takes over."""
    parameters: frozenset[str] = frozenset()
    """The parameters that its checks, the policies among them, are made with; those of its parts are theirs."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack, with the values that a lake gives its parameters."""

    id: str
    framework: str
    edition: str
    publisher: str
    about: str
    revision: str
    """A date and a number: ``2026-11-30.1``; :func:`revision_key` puts them in order."""
    recheck: date
    """From which day its facts are due for a check."""
    states: tuple[State, ...]
    sources: tuple[Source, ...]
    controls: tuple[Control, ...]
    """In the order of the framework."""
    policies: Mapping[str, Policy]
    """The effective policies by their ids within the pack; each has its qualified id, and its text and digest are those
    of a policy file that says the same."""
    parameters: Mapping[str, Parameter]
    values: Mapping[str, Value]
    """The value of each parameter: the lake's, or the default."""
    watch: tuple[Watch, ...] = ()
    retention: Retention | None = None
    extends: str | None = None
    """The id of the pack whose policies and controls it takes over."""
    needs_types: tuple[str, ...] = ()
    """Event types that are not built in: a lake declares them in lake.toml."""
    unready: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids within the pack of policies that the lake cannot judge, with the event types that it does not declare."""
    digest: str = ""
    """``sha256:`` and the hex digest of the pack file's bytes."""
    text: str = ""
    """The pack file as it was read."""

    def state_on(self, day: date) -> State | None:
        """Return what the framework is on a day (UTC); None before its first state."""
        return next((each for each in reversed(self.states) if each.since <= day and self._counts(each)), None)

    def _counts(self, state: State) -> bool:
        return all(OnlyIf("", name, value).holds(self.values) for name, value in state.when.items())

    def control(self, control_id: str) -> Control | None:
        """Return the control of an id."""
        return next((each for each in self.controls if each.id == control_id), None)

    def controls_with(self, parameter: str) -> tuple[Control, ...]:
        """Return the controls that a parameter bears on: whose checks are made with it, or which ask for its value."""
        return tuple(each for each in self.controls if self.bears_on(parameter, each))

    def bears_on(self, parameter: str, control: Control) -> bool:
        """Return whether a control's checks are made with a parameter, or it asks for its value."""
        return parameter in control.parameters or control.id in self.parameters[parameter].cites


def revision_key(revision: str) -> tuple[str, int]:
    """Return what revisions are ordered by.

    Example:
        >>> revision_key("2026-11-30.2") < revision_key("2026-11-30.10")
        True
    """
    day, _, number = revision.partition(".")
    return day, int(number)
