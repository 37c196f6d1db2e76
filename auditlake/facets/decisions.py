"""What people decide about controls, and taking decisions back: ``lake.decisions``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import file_digest
from pathlib import Path
from typing import Any, TypeVar

from auditlake.context import Facet, LakeContext
from auditlake.disk.files import open_file
from auditlake.errors import PackError, ReportError
from auditlake.events.times import Instant, as_end, judged_as_of
from auditlake.findings.decisions import (
    Acceptance,
    Applicability,
    Decisions,
    Entry,
    EvidenceFile,
    Retractable,
    Retraction,
    Statement,
    Weakening,
)  # fmt: skip
from auditlake.findings.journal import Line, append, decisions_as_of, read
from auditlake.machine import login_name
from auditlake.packs.effective import lake_packs
from auditlake.packs.model import Control, Pack
from auditlake.packs.parameters import as_text, needs_decision, value_of
from auditlake.store.turn import record_journal
from auditlake.yaml_reader import near

E = TypeVar("E", bound=Entry)
LONGEST_STATEMENT = timedelta(days=400)
"""A statement is to be made again at least once a year, with some days to do it in."""
_LONGEST = 4_000
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class _Writer:
    """Who writes an entry down, and when."""

    at: datetime
    by: str
    system_user: str


class DecisionRegister(Facet):
    """The journal of findings as a whole, and what of it is about controls. Made by :attr:`auditlake.AuditLake`.

    How a control stands follows from these entries and an instant alone; nothing else of the lake changes with them.
    """

    def all(self) -> tuple[Entry, ...]:
        """Return every entry of the journal in order: those about findings, reviews and controls."""
        return tuple(line.entry for line in read(self._context.layout))

    def as_of(self, instant: Instant | None = None) -> Decisions:
        """Return what people had decided as of an instant, without what they had taken back by then; now if None."""
        now = judged_as_of(instant, self._context.now)
        return decisions_as_of(read(self._context.layout), now)

    def state(
        self, pack: str, control: str, *, met: bool, note: str, until: Instant, evidence: Sequence[str | Path] = (),
        by: str | None = None,
    ) -> Statement:  # fmt: skip
        """State whether a control is met that logs cannot show, until an instant at most 400 days ahead.

        Args:
            pack: The pack's id, such as ``pci-dss-4``.
            control: The control's id in it, such as ``9.4.1``.
            met: Whether it is met.
            note: What was looked at.
            until: The last instant at which the statement counts; of a day, its end.
            evidence: Files that it rests on. Their names and SHA-256 are recorded; they are not kept.
            by: Who says so; the user of this process, who is on record beside them, if None.

        Raises:
            PackError: The lake is not judged by that pack, or the pack has no such control.
            ReportError: A log shows the control, something is missing or makes no sense, or a file cannot be read.
            LakeError: It could not be written down.
        """
        writer = self._writer(by, {"note": note})
        if control_of(known_pack(self._context, pack), control).shows != "nothing":
            message = f"a log shows {pack} {control}, so a statement about it counts for nothing"
            hint = f"auditlake finding list {pack}/{control} lists what was found: accept that instead"
            raise ReportError(message, hint=hint)
        limit = _end(until, writer.at)
        if (limit - writer.at).days > LONGEST_STATEMENT.days:
            message = f"a statement may end at most {LONGEST_STATEMENT.days} days ahead, got {limit.isoformat()}"
            raise ReportError(message, hint="state it again by then")
        files = tuple(_evidence(Path(each)) for each in evidence)
        return write_down(self._context, Statement(
            0, writer.at, pack, control, "met" if met else "not_met", note, limit, writer.by, writer.system_user, files
        ))  # fmt: skip

    def not_applicable(
        self, pack: str, control: str, *, reason: str, owner: str, until: Instant, by: str | None = None
    ) -> Applicability:
        """Say that a control does not apply to this lake, until an instant.

        Args:
            pack, control: As for :meth:`state`.
            reason: Why it does not.
            owner: Who answers for it.
            until: The last instant at which it counts; of a day, its end.
            by: As for :meth:`state`.

        Raises:
            PackError: The lake is not judged by that pack, or the pack has no such control.
            ReportError: Something is missing or makes no sense.
            LakeError: It could not be written down.
        """
        writer = self._writer(by, {"reason": reason, "owner": owner})
        control_of(known_pack(self._context, pack), control)
        return write_down(self._context, Applicability(
            0, writer.at, pack, control, reason, owner, _end(until, writer.at), writer.by, writer.system_user
        ))  # fmt: skip

    def weaken(
        self, pack: str, parameter: str, value: Any, *, reason: str, owner: str, until: Instant, by: str | None = None
    ) -> Weakening:
        """Say that a parameter of a pack may ask for less than the framework does, until an instant.

        Args:
            pack: As for :meth:`state`.
            parameter: The parameter's name.
            value: Its value, as JSON has it; ``frameworks.yaml`` may set it before or after.
            reason: Why.
            owner: Who answers for it.
            until: The last instant at which it counts; of a day, its end.
            by: As for :meth:`state`.

        Raises:
            PackError: The lake is not judged by that pack, or the pack has no such parameter.
            ReportError: The value is none of the parameter or no weaker one, or something is missing or makes no sense.
            LakeError: It could not be written down.
        """
        writer = self._writer(by, {"reason": reason, "owner": owner})
        shown = _json(value)
        _check_weaker(known_pack(self._context, pack), parameter, shown)
        return write_down(self._context, Weakening(
            0, writer.at, pack, parameter, shown, reason, owner, _end(until, writer.at), writer.by,
            writer.system_user,
        ))  # fmt: skip

    def retract(self, number: int, *, reason: str, by: str | None = None) -> Retraction:
        """Take an entry back: as of later instants it counts for nothing.

        Args:
            number: The entry's number in the journal.
            reason: Why.
            by: As for :meth:`state`.

        Raises:
            ReportError: There is no such entry, it was taken back already, or it is one that is not taken back so.
            LakeError: It could not be written down.
        """
        writer = self._writer(by, {"reason": reason})

        def check(lines: Sequence[Line]) -> None:
            _check_retractable([line.entry for line in lines], number)

        entry = Retraction(0, writer.at, number, reason, writer.by, writer.system_user)
        return write_down(self._context, entry, check)

    def _writer(self, by: str | None, texts: dict[str, str]) -> _Writer:
        """Check what a person gave, and return who gave it."""
        writer = _Writer(self._context.now, by or login_name(), login_name())
        for name, text in (texts | {"by": writer.by}).items():
            check_text(name, text)
        return writer


def write_down(context: LakeContext, entry: E, check: Callable[[Sequence[Line]], None] = lambda _: None) -> E:
    """Write an entry down, and have the ledger say so. One that a dead writer left out is covered by the next."""
    line = append(context.layout, entry, check)
    record_journal(context, line.entry.number, line.digest)
    assert isinstance(line.entry, type(entry))
    return line.entry


def known_pack(context: LakeContext, pack_id: str) -> Pack:
    """Return a pack by which the lake is judged.

    Raises:
        PackError: There is none of that id, or it cannot be used.
    """
    return lake_packs(context.layout, context.config.event_types).get(pack_id)


def control_of(pack: Pack, control_id: str) -> Control:
    """Return a control of a pack.

    Raises:
        PackError: The pack has none of that id: a decision about it would count for nothing.
    """
    if (control := pack.control(control_id)) is not None:
        return control
    renamed = next((each.id for each in pack.controls if each.was == control_id), None)
    hint = f"it is called {renamed} now" if renamed else near(control_id, (each.id for each in pack.controls))
    raise PackError(f"{pack.id} has no control {control_id[:_LONGEST_NAME]!r}", hint=hint)


def _check_weaker(pack: Pack, name: str, shown: Any) -> None:
    """Refuse what no decision is needed for."""
    if (parameter := pack.parameters.get(name)) is None:
        raise PackError(f"{pack.id} has no parameter {name[:_LONGEST_NAME]!r}", hint=near(name, pack.parameters))
    try:
        value = value_of(parameter, shown)
    except ValueError as error:
        raise ReportError(f"{pack.id}: {error}") from error
    if not needs_decision(parameter, value):
        asked = f"{as_text(parameter.default)} is what {', '.join(parameter.cites) or 'no control'} asks for"
        message = f"{name}: {as_text(value)} is not weaker than it may be: there is nothing to decide"
        raise ReportError(message, hint=f"{asked}; LAKE/frameworks.yaml sets the value")


def check_text(name: str, text: str, longest: int = _LONGEST) -> None:
    """Refuse a text that is missing or too long."""
    if not text.strip() or len(text) > longest:
        got = "nothing" if not text.strip() else f"{len(text):,} characters"
        raise ReportError(f"{name}: expected 1 to {longest:,} characters, got {got}")


def _end(until: Instant, now: datetime) -> datetime:
    limit = as_end(until)
    if limit <= now:
        raise ReportError(f"expected an end in the future, got {limit.isoformat()}", hint="look at it again by then")
    return limit


def _json(value: Any) -> Any:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ReportError(f"the value of a parameter must be one of JSON: {error}") from error
    check_text("value", text)
    return json.loads(text)


def _evidence(path: Path) -> EvidenceFile:
    try:
        with open_file(path) as file:
            return EvidenceFile(path.name, file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise ReportError(f"evidence {path}: {error.strerror or error}") from error


def _check_retractable(entries: Sequence[Entry], number: int) -> None:
    entry = next((each for each in entries if each.number == number), None)
    if entry is None:
        message = f"the journal of findings has {len(entries)} entries, and no entry {number}"
        raise ReportError(message, hint="auditlake decision list names them")
    if isinstance(entry, Acceptance):
        message, hint = f"entry {number} is an acceptance", f"auditlake finding reopen {entry.finding_id} takes it back"
        raise ReportError(message, hint=hint)
    if not isinstance(entry, Retractable):
        raise ReportError(f"entry {number} takes another one back", hint="decide that again instead")
    if (taken := _retraction(entries, number)) is not None:
        raise ReportError(f"entry {number} was taken back already, by entry {taken.number}")


def _retraction(entries: Iterable[Entry], number: int) -> Retraction | None:
    return next((each for each in entries if isinstance(each, Retraction) and each.entry == number), None)
