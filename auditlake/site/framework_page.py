"""The page of a framework: its verdict, each control, what came when, what was due, and what people decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from auditlake.display.templates import file_name, style_digest
from auditlake.display.text import Fact, Text, count, instant_name, moment, period_name, shown, visible
from auditlake.findings.decisions import Acceptance
from auditlake.frameworks.document import FRAMEWORK_VERSION
from auditlake.frameworks.model import Asker, ControlResult, FrameworkReport, RetentionRow, Setting, Status
from auditlake.runs.model import Entry
from auditlake.site.matrix import Matrix, matrices_of
from auditlake.site.past import SHOWN, Past, months_of, past_of
from auditlake.site.strips import Strips, strips_of
from auditlake.site.words import NOTHING, SHOWS_WORDS, STATUS_WORDS, and_more, listed, plain, state_words

_SHOWN_FINDINGS = 40
_CHECKED = {
    "primary": "checked against the text itself", "copy": "checked against a copy", "secondary": "from what others say",
    "memory": "from memory, no text at hand",
}  # fmt: skip
_OF = {"operation": "of operation", "logging": "only logging", "nothing": "no log can show"}
_BASES = {"mandatory": "mandatory", "customary": "customary", "by_risk": "by risk", "default": "default"}
_DUTIES = ("review", "evaluation", "integrity")


@dataclass(frozen=True, slots=True)
class ControlRow:
    """A control in the table."""

    id: Text
    """As it is cited."""
    title: Text
    """Its title."""
    file: str | None
    """Its page beside this one; None: it has none."""
    is_part: bool
    """Whether it is a part of another control."""
    note: str
    """From when on it binds, or since when it does not; may be empty."""
    shows: str
    """How much a log can show of it."""
    shows_words: str
    """The same in words."""
    status: Status
    """Which mark and colour."""
    word: str
    """The status in a word or two."""
    why: Text
    """What decides."""
    past: tuple[Past, ...]
    """How it stood before."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where facts of the pack come from."""

    id: Text
    """What the pack calls it."""
    title: Text
    """What it is."""
    checked: str
    """How far it was checked, and when it was read."""


@dataclass(frozen=True, slots=True)
class LengthCell:
    """How long something may or must stay."""

    length: str
    """The length, or a dash."""
    clause: Text
    """What asks for it, and what the length is; may be empty."""


@dataclass(frozen=True, slots=True)
class RetentionLine:
    """Event types of which the same is asked."""

    types: Text
    """The types."""
    lengths: tuple[LengthCell, ...]
    """Kept at least, at hand, personal data at most, and the event at most where any type must be gone."""
    is_open: bool
    """Whether they contradict each other and that is not accepted."""
    together: Text
    """What follows."""


@dataclass(frozen=True, slots=True)
class FrameworkPage:
    """The variables of the template ``framework.html``."""

    template: ClassVar[str] = "framework.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    framework_version: int
    """The form of the report whose page it is."""
    title: str
    """For the window and the bookmark."""
    name: Text
    """The framework and its edition."""
    about: Text
    """What of it is in the pack."""
    index_file: str | None
    """The list of reports, beside this page."""
    json_file: str | None
    """The same report as JSON, beside this page."""
    status: Status
    """Which mark and colour."""
    verdict: str
    """The answer in words."""
    sentence: str
    """The numbers."""
    under: str
    """What is neither met nor failed, and why."""
    figures: tuple[Fact, ...]
    """Controls by status, each by how much a log can show."""
    facts: tuple[Fact, ...]
    """What was judged, on what, and what the lake sets."""
    months: tuple[str, ...]
    """The months before, of which the table of controls tells; empty where no run is on record."""
    controls: tuple[ControlRow, ...]
    """Every control, in the order of the framework."""
    matrices: tuple[Matrix, ...]
    """Which kinds of event came when."""
    strips: Strips | None
    """What was due, and whether it was there."""
    duties_words: str
    """That there is no duty, or that none was missed; else empty."""
    duties: tuple[tuple[Text, ...], ...]
    """What was missed or late: control, message, id of the finding."""
    retention_words: str
    """How many conflicts and contradictions there are."""
    has_ends: bool
    """Whether any type must be gone at some time."""
    retention: tuple[RetentionLine, ...]
    """Event types of which the same is asked."""
    decisions_words: str
    """That nothing was decided; else empty."""
    decisions: tuple[tuple[Text, ...], ...]
    """Control, kind, what was said, by whom, until when."""
    watch: tuple[Fact, ...]
    """What is coming: day and note."""
    sources: tuple[SourceLine, ...]
    """Where the facts of the pack come from."""


def framework_page(
    report: FrameworkReport, runs: Sequence[Entry], *, files: Mapping[str, str], json_file: str | None,
    index_file: str | None,
) -> FrameworkPage:  # fmt: skip
    """Put a framework report into words.

    Args:
        report: What was judged.
        runs: The runs on record that count.
        files: The pages of controls beside it, by control.
        json_file: The same report as JSON, by its name beside the page; no link if None.
        index_file: The list of reports, likewise.

    Raises:
        ReportError: A sibling's name is not a plain file name.
    """
    months = months_of(report, runs)[-SHOWN:]
    parts = {part for each in report.controls for part in each.parts}
    strips = strips_of(report)
    duties = tuple(_duties(report))
    decisions = tuple(_decisions(report))
    name = f"{report.framework} {report.edition}" if len(report.edition) <= 24 else report.framework
    return FrameworkPage(
        style_digest=style_digest(),
        framework_version=FRAMEWORK_VERSION,
        title=f"{visible(name)}: {report.verdict.lower()} as of {instant_name(report.as_of)}",
        name=shown(name),
        about=shown(report.about, limit=2000),
        index_file=file_name(index_file),
        json_file=file_name(json_file),
        status=report.status,
        verdict=report.verdict,
        sentence=report.sentence,
        under=_under(report),
        figures=tuple(_figures(report)),
        facts=tuple(_facts(report)),
        months=tuple(month for month, _ in months),
        controls=tuple(
            _control_row(each, each.id in parts, file_name(files.get(each.id)), past_of(report, each.id, months))
            for each in report.controls
        ),
        matrices=matrices_of(report),
        strips=strips,
        duties_words="" if duties else "Nothing was missed or late." if strips else "The period has no interval due.",
        duties=duties,
        retention_words=_conflict_words(report.retention),
        has_ends=any(each.gone for each in report.retention),
        retention=tuple(_retention_lines(report)),
        decisions_words="" if decisions else "Nothing has been stated, excepted or excluded.",
        decisions=decisions,
        watch=tuple(Fact(f"{each.on}", shown(each.note, limit=1000)) for each in report.watch),
        sources=tuple(
            SourceLine(
                shown(each.id), shown(each.title, limit=1000),
                _CHECKED[each.checked] + (f", read {each.read}" if each.read else ""),
            )
            for each in report.sources
        ),
    )  # fmt: skip


def _under(report: FrameworkReport) -> str:
    applying = [each for each in report.controls if each.status == "not_evaluated"]
    unstated = sum(each.shows == "nothing" for each in applying)
    number = {name: sum(each.status == name for each in report.controls) for name in STATUS_WORDS}
    parts = []
    if applying:
        parts = [f"{len(applying):,} {'is' if len(applying) == 1 else 'are'} not evaluated"]
        if unstated:
            parts[0] += f": {unstated:,} cannot be shown from logs and lack a statement"
            parts[0] += ", the others lack a record" if unstated < len(applying) else ""
    if number["no_data"]:
        parts.append(f"{number['no_data']:,} {'has' if number['no_data'] == 1 else 'have'} too little data")
    if number["exception"]:
        parts.append(f"{number['exception']:,} {'passes' if number['exception'] == 1 else 'pass'} by decisions only")
    return ". ".join([*parts, "No percentage is given: these are different things."])


def _figures(report: FrameworkReport) -> Iterator[Fact]:
    for status in ("pass", "fail", "no_data", "not_evaluated", "exception", "not_applicable"):
        numbers = report.counts[status]
        total = sum(numbers.values())
        words = {**_OF, "nothing": "as stated"} if status in {"pass", "fail", "exception"} else _OF
        note = ", ".join(f"{number:,} {words[shows]}" for shows, number in numbers.items() if number)
        yield Fact(STATUS_WORDS[status], Text(f"{total:,}"), note, alarm=status == "fail" and total > 0)


def _facts(report: FrameworkReport) -> Iterator[Fact]:
    bounds, how = f"{moment(report.since)} to {moment(report.until)}", "start exclusive, end inclusive"
    period = period_name(report.since, report.until)
    state = report.state
    yield Fact("Edition", shown(report.edition), visible(report.publisher))
    yield Fact("State", Text(state_words(state)), visible(state.note) if state else "")
    if report.next_state is not None:
        coming = Text(state_words(report.next_state, "from"))
        yield Fact("Next", coming, visible(report.next_state.note))
    due = "; its facts are due for a check" if report.is_recheck_due else f"; its facts hold until {report.recheck}"
    extends = f", extends {report.extends}" if report.extends else ""
    yield Fact("Pack", shown(f"{report.pack_id} {report.revision}"), visible(f"{report.digest[:23]}…{extends}{due}"))
    yield Fact("Period", Text(period or bounds), f"{bounds}, {how}" if period else how)
    name, exact = instant_name(report.as_of), moment(report.as_of)
    yield Fact("Judged as of", Text(name), "" if name == exact else exact)
    rows = count(report.evidence.rows, "event")
    yield Fact("Lake snapshot", Text(f"{report.evidence.snapshot}"), f"{rows} in the lake")
    yield from _settings(report.settings)


def _settings(settings: Sequence[Setting]) -> Iterator[Fact]:
    other = [each for each in settings if not each.is_default]
    free = [each.parameter for each in settings if each.is_default]
    if not other:
        yield Fact("Set by this lake", Text("nothing weaker than the clauses"), "every parameter has its default")
    for each in other:
        weaker = f", weaker than {listed(each.cites) or 'the clause'}" if each.is_weaker else ""
        who = f"; set by {each.set_by}" if each.set_by else ""
        decided = f" until {moment(each.decision.until)}: {each.decision.reason}" if each.decision else ""
        value = f"{each.parameter}: {_json(each.value)}"
        where = f"; {each.place}" if each.place else ""
        note = f"default {_json(each.default)}{weaker}{who}{decided}{where}"
        yield Fact("Set by this lake", shown(value), visible(note))
    if free:
        yield Fact("Left to the lake", shown(", ".join(free)), "free to set, and at their defaults")


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _control_row(control: ControlResult, is_part: bool, file: str | None, past: tuple[Past, ...]) -> ControlRow:
    note = f"binds from {control.in_force}" if control.in_force else ""
    if control.ended:
        note = f"ended {control.ended}"
        note += f", replaced by {visible(control.replaced_by)}" if control.replaced_by else ""
    return ControlRow(
        id=shown(control.id), title=shown(control.title), file=file, is_part=is_part, note=note, shows=control.shows,
        shows_words=SHOWS_WORDS[control.shows], status=control.status, word=STATUS_WORDS[control.status],
        why=shown(why(control)), past=past,
    )  # fmt: skip


def why(control: ControlResult) -> str:
    """Return what decides how a control stands, in short."""
    if control.parts and not control.checks and control.status != "not_applicable":
        bad = [reason.split(":", 1)[0] for reason in control.reasons]
        return f"the worst of its parts: {listed(bad)}" if control.status != "pass" else "each of its parts passes"
    if control.statement is not None and control.basis == "statement":
        said = control.statement
        return f"stated by {said.by} on {said.at:%Y-%m-%d}: {said.note}"
    return plain(and_more(control.reasons))


def _duties(report: FrameworkReport) -> Iterator[tuple[Text, ...]]:
    found = [
        (control, finding)
        for control in report.controls for check in control.checks if check.kind in _DUTIES
        for finding in check.findings
    ]  # fmt: skip
    for control, finding in found[:_SHOWN_FINDINGS]:
        own = finding.accepted
        said = plain(finding.message) + (f"; {own.owner} answers for it" if own else "")
        yield shown(control.id), shown(said), shown(finding.id)
    if (rest := len(found) - _SHOWN_FINDINGS) > 0:
        yield Text(""), Text(f"and {rest:,} more"), Text("in the JSON")


def _conflict_words(rows: Sequence[RetentionRow]) -> str:
    conflicts, opposed = sum(row.conflict for row in rows), [row.contradiction for row in rows if row.contradiction]
    if not conflicts and not opposed:
        return "No maximum is shorter than a minimum."
    words = [f"{count(conflicts, 'event type')} {'has' if conflicts == 1 else 'have'} a maximum that is shorter."]
    if opposed:
        left = sum(each.accepted is None for each in opposed)
        be, state = "is" if len(opposed) == 1 else "are", f"{left:,} of them open" if left else "accepted"
        words = words if conflicts else []
        words.append(f"{count(len(opposed), 'event type')} {be} kept although the event must be gone: {state}.")
    return " ".join(words)


def _retention_lines(report: FrameworkReport) -> Iterator[RetentionLine]:
    """Yield a line for the types of which the same is asked."""
    has_ends = any(each.gone for each in report.retention)
    alike: dict[tuple[Any, ...], list[str]] = {}
    for row in report.retention:
        asked = (row.keep, row.hot, row.cap, *([row.gone] if has_ends else []))
        found = row.contradiction
        key = (tuple(map(_length, asked)), found is not None and found.accepted is None, shown(_together(row)))
        alike.setdefault(key, []).append(row.event_type)
    yield from (RetentionLine(shown(", ".join(types), limit=1000), *asked) for asked, types in alike.items())


def _together(row: RetentionRow) -> str:
    words = []
    if row.conflict and row.cap and row.keep:
        words.append(f"pseudonyms after {row.cap.length}, kept {row.keep.length}")
    if row.contradiction and row.gone and row.keep:
        accepted = row.contradiction.accepted
        state = f"accepted by {accepted.owner} until {accepted.until:%Y-%m-%d}" if accepted else "open"
        words.append(f"contradiction, {state}: nothing is deleted before {row.keep.length}")
    return "; ".join(words) or "no conflict"


def _length(asker: Asker | None) -> LengthCell:
    if asker is None:
        return LengthCell(NOTHING, Text(""))
    said = [asker.clause or asker.policy, asker.basis and _BASES[asker.basis]]
    return LengthCell(asker.length, shown(", ".join(filter(None, said))))


def _decisions(report: FrameworkReport) -> Iterator[tuple[Text, ...]]:
    for control in report.controls:
        said = control.statement
        if said is not None:
            files = f" ({count(len(said.evidence), 'file')} as evidence)" if said.evidence else ""
            result = "Stated: met" if said.result == "met" else "Stated: not met"
            ended = "ended " if said.until < report.as_of else ""
            yield _decision(control, result, said.note + files, said.by, ended + moment(said.until, zone=False))
        if control.status != "not_applicable":
            yield from _exceptions(control)
        else:
            own = control.applicability
            reason, owner = (own.reason, own.owner) if own else (and_more(control.reasons), "")
            until = moment(own.until, zone=False) if own else ""
            yield _decision(control, "Not applicable", reason, owner, until)


def _exceptions(control: ControlResult) -> Iterator[tuple[Text, ...]]:
    """Yield what people let be: it makes an exception of the control, unless something else keeps it from passing."""
    is_exception = control.status == "exception"
    for each in control.weakenings:
        until, kind = moment(each.until, zone=False), "Exception" if is_exception else "Weaker"
        yield _decision(control, kind, f"{each.parameter} is weaker: {each.reason}", each.owner, until)
    covered: dict[int, tuple[Acceptance, list[str]]] = {}
    for finding in control.findings:
        if (own := finding.accepted) is not None:
            covered.setdefault(own.number, (own, []))[1].append(plain(finding.message))
    for own, messages in covered.values():
        until, kind = moment(own.until, zone=False), "Exception" if is_exception else "Accepted"
        said = f"{and_more(messages, 'more finding')}: {own.reason}"
        yield _decision(control, kind, said, own.owner, until)


def _decision(control: ControlResult, kind: str, what: str, who: str, until: str) -> tuple[Text, ...]:
    return shown(control.id), Text(kind), shown(plain(what), limit=1000), shown(who or NOTHING), Text(until or NOTHING)
