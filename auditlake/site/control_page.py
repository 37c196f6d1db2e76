"""The page of a control: what a pass says and does not say, the numbers, what was found, and how it stood before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from auditlake.display.templates import file_name, style_digest
from auditlake.display.text import Fact, Text, count, instant_name, moment, shown, visible
from auditlake.findings.decisions import Resolution, Seen, Subject
from auditlake.findings.finding import Finding, subject_of
from auditlake.frameworks.model import CheckResult, ControlResult, FrameworkReport, Status
from auditlake.reports.model import Detail, Report
from auditlake.reports.sections.episodes import SHOWN_SAMPLES, sample_row
from auditlake.reports.sections.evidence import QueryBlock, query_block
from auditlake.runs.model import Entry
from auditlake.site.past import Past, months_of, past_of
from auditlake.site.strips import slots_in_words
from auditlake.site.words import CHECK_WORDS, SHOWS_WORDS, STATUS_WORDS, listed, plain, state_words

SHOWN_FINDINGS = 50
_BAR = 60
"""The width of a bar, pixels."""
_QUERIES = {"arrival": "arrivals", "clock": "arrivals", "review": "looks", "retention": "older"}
"""The statements of a framework's own that a check over records rests on, beside the counts of events."""


@dataclass(frozen=True, slots=True)
class PageLink:
    """A name, and the page that it leads to."""

    name: Text
    """What it is called."""
    file: str | None
    """Beside this page; None: there is none."""


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check."""

    what: str
    """What it looks at."""
    policy: PageLink | None
    """The policy, of a check by one."""
    asks: str
    """What it asks."""
    status: Status
    """Which mark and colour."""
    word: str
    """The status in a word or two."""
    reason: Text
    """Why."""
    counted: str
    """What it counted."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many events of a type have a field."""

    bar: str
    """How much of the bar is filled, pixels."""
    is_whole: bool
    """Whether every event has it."""
    words: str
    """How many lack it, or ``all``."""


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One event type."""

    name: Text
    """The type."""
    events: str
    """Events in scope."""
    shares: tuple[Share | None, ...]
    """By field; None where the type is not asked for it, or has no event."""


@dataclass(frozen=True, slots=True)
class ShareTable:
    """The fields that a policy asks for."""

    caption: str
    """What is counted."""
    fields: tuple[Text, ...]
    """Their names."""
    rows: tuple[ShareRow, ...]
    """By event type."""
    words: str
    """What counts as a value."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A finding."""

    number: str
    """Its place."""
    id: str
    """The finding's id."""
    message: Text
    """What it says."""
    facts: tuple[Fact, ...]
    """Start, end, what was measured, and the acceptance."""
    samples: tuple[tuple[Text, ...], ...]
    """A few events behind it."""


@dataclass(frozen=True, slots=True)
class ControlPage:
    """The variables of the template ``control.html``."""

    template: ClassVar[str] = "control.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    title: str
    """For the window and the bookmark."""
    id: Text
    """As it is cited."""
    name: Text
    """Its title."""
    index_file: str | None
    """The list of reports, beside this page."""
    framework: PageLink
    """The framework."""
    shows: str
    """How much a log can show of it."""
    shows_words: str
    """The same in words."""
    status: Status
    """Which mark and colour."""
    verdict: str
    """The status in a word or two."""
    sentence: Text
    """The first reason."""
    under: tuple[Text, ...]
    """The other reasons."""
    says: Text
    """What a pass says; empty where the pack does not tell."""
    says_not: Text
    """What it does not say."""
    facts: tuple[Fact, ...]
    """What it rests on."""
    checks: tuple[CheckRow, ...]
    """Its checks."""
    parts: tuple[PageLink, ...]
    """The controls that are its parts."""
    related: tuple[PageLink, ...]
    """Policies that are shown beside it and do not count."""
    shares: tuple[ShareTable, ...]
    """How many events have each field that is asked for."""
    findings_words: str
    """How many there are, where not all are shown; or that there is none."""
    findings: tuple[FoundRow, ...]
    """What was found."""
    past_words: str
    """That no earlier run is on record; else empty."""
    past: tuple[Past, ...]
    """How it stood before."""
    queries: tuple[QueryBlock, ...]
    """The statements behind the numbers."""


def control_page(
    report: FrameworkReport, control: ControlResult, runs: Sequence[Entry], *,
    policies: Mapping[str, tuple[Report, Detail | None]], files: Mapping[str, str], policy_files: Mapping[str, str],
    framework_file: str | None, index_file: str | None,
) -> ControlPage:  # fmt: skip
    """Put a control into words.

    Args:
        report: The framework's report.
        control: The control.
        runs: The runs on record that count.
        policies: The reports that its checks rest on, by policy.
        files: The pages of controls beside this one, by control.
        policy_files: The pages of policies beside this one, by policy.
        framework_file: The framework's page, by its name beside this one; no link if None.
        index_file: The list of reports, likewise.

    Raises:
        ReportError: A sibling's name is not a plain file name.
    """
    past = past_of(report, control.id, months_of(report, runs))
    found, resolved = control.findings, _resolved(report, control)
    asked = [policies[each] for check in control.checks if (each := check.policy) and each in policies]
    samples = {key: events for _, detail in asked if detail for key, events in detail.samples.items()}
    first, *more = [plain(reason) for reason in control.reasons] or [""]
    return ControlPage(
        style_digest=style_digest(),
        title=f"{visible(report.framework)} {visible(control.id)}: {STATUS_WORDS[control.status].lower()}",
        id=shown(control.id),
        name=shown(control.title),
        index_file=file_name(index_file),
        framework=PageLink(shown(report.framework), file_name(framework_file)),
        shows=control.shows,
        shows_words=SHOWS_WORDS[control.shows],
        status=control.status,
        verdict=STATUS_WORDS[control.status],
        sentence=shown(f"{first[:1].upper()}{first[1:]}.", limit=1000),
        under=tuple(shown(f"{each[:1].upper()}{each[1:]}.", limit=1000) for each in more),
        says=shown(control.says, limit=1000),
        says_not=shown(control.says_not, limit=1000),
        facts=tuple(_facts(report, control)),
        checks=tuple(_check_row(check, policy_files) for check in control.checks),
        parts=tuple(PageLink(shown(each), file_name(files.get(each))) for each in control.parts),
        related=tuple(PageLink(shown(each), file_name(policy_files.get(each))) for each in control.related),
        shares=tuple(table for asked_of, _ in asked if (table := _share_table(asked_of)) is not None),
        findings_words=_findings_words(len(found)),
        findings=tuple(
            _found_row(number, finding, resolved.get(finding.id, ()), samples.get(finding.id, ()))
            for number, finding in enumerate(found[:SHOWN_FINDINGS], 1)
        ),
        past_words="" if past else "No earlier run of this framework is on record.",
        past=past,
        queries=tuple(query_block(each) for each in _queries(report, control, [each for each, _ in asked])),
    )  # fmt: skip


def _facts(report: FrameworkReport, control: ControlResult) -> Iterator[Fact]:
    yield Fact("Rests on", Text(control.basis or "nothing that was looked at"))
    yield Fact("Framework", Text(state_words(report.state)))
    yield Fact("Period", Text(f"{moment(report.since)} to {moment(report.until)}"))
    yield Fact("Judged as of", Text(instant_name(report.as_of)))
    if control.in_force:
        yield Fact("Binds from", Text(f"{control.in_force}"), "judged all the same")
    if control.ended:
        yield Fact("Ended", Text(f"{control.ended}"), f"replaced by {visible(control.replaced_by or 'nothing')}")
    if control.parameters:
        yield Fact("Set by parameters", shown(", ".join(control.parameters)))
    if (said := control.statement) is not None:
        result = "met" if said.result == "met" else "not met"
        files = [f"{each.name} (sha256:{each.sha256[:12]}…)" for each in said.evidence]
        note = f"{result} until {moment(said.until)}: {said.note}" + (f"; {listed(files)}" if files else "")
        yield Fact("Stated", shown(f"{moment(said.at)} by {said.by}"), visible(note))
    if (own := control.applicability) is not None:
        note = f"{own.owner} answers for it until {moment(own.until)}"
        yield Fact("Not applicable", shown(own.reason), visible(note))
    for weaker in control.weakenings:
        note = f"{weaker.owner} answers for it until {moment(weaker.until)}: {weaker.reason}"
        yield Fact("Weaker", shown(f"{weaker.parameter}: {_json(weaker.value)}"), visible(note))
    sources = {each.id: each.title for each in report.sources}
    if control.cites:
        yield Fact("Source", shown("; ".join(sources.get(each, each) for each in control.cites), limit=1000))


def _check_row(check: CheckResult, policy_files: Mapping[str, str]) -> CheckRow:
    asks = listed(check.asks) if check.policy else _named(check.asked)
    counted = slots_in_words(check.slots) if check.slots else _named(check.measures)
    return CheckRow(
        what=CHECK_WORDS.get(check.kind, check.kind),
        policy=PageLink(shown(check.policy), file_name(policy_files.get(check.policy))) if check.policy else None,
        asks=visible(asks), status=check.status, word=STATUS_WORDS[check.status], reason=shown(plain(check.reason)),
        counted=visible(counted),
    )  # fmt: skip


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {f'{value:,}' if isinstance(value, int) else _json(value)}"
        for name, value in values.items()
    )


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _share_table(report: Report) -> ShareTable | None:
    answer = report.coverage
    if not answer.fields:
        return None
    types = dict.fromkeys(name for field in answer.fields.values() for name in field["types"])
    rows = []
    for name in types:
        numbers = [field["types"].get(name) for field in answer.fields.values()]
        events = max((each["events"] for each in numbers if each), default=0)
        rows.append(ShareRow(shown(name), f"{events:,}", tuple(_share(each) for each in numbers)))
    words = "A field counts as there if one of its columns has a value. Pseudonyms count as values."
    if answer.placeholders:
        words += f" These words count as none: {', '.join(map(visible, answer.placeholders))}."
    return ShareTable(
        "Events that have each field, by event type", tuple(map(shown, answer.fields)), tuple(rows), words
    )


def _share(numbers: Mapping[str, int] | None) -> Share | None:
    if numbers is None or not numbers["events"]:
        return None
    events, missing = numbers["events"], numbers["missing"]
    return Share(f"{_BAR * (events - missing) / events:.1f}", not missing, f"{missing:,} missing" if missing else "all")


def _findings_words(number: int) -> str:
    if not number:
        return "Nothing was found."
    if number <= SHOWN_FINDINGS:
        return ""
    return f"The first {SHOWN_FINDINGS} of {count(number, 'finding')}; all of them are in the JSON of the framework."


def _resolved(report: FrameworkReport, control: ControlResult) -> dict[str, tuple[Resolution, ...]]:
    """Return, by finding, how people dealt with it, be it under the control's earlier id."""
    of_subject: dict[Subject, list[Resolution]] = {}
    for own in report.resolutions:
        of_subject.setdefault(own.subject, []).append(own)
    dealt: dict[str, tuple[Resolution, ...]] = {}
    ids = [f"{report.pack_id}/{each}" for each in (control.id, control.was) if each]
    for check in control.checks if of_subject else ():
        for each in check.findings:
            subjects = [subject_of(name, each) for name in ([check.policy] if check.policy else ids)]
            seen = (Seen(name, each.start, each.end, report.as_of, report.until, report.since) for name in subjects)
            dealt[each.id] = tuple(own for at in seen for own in of_subject.get(at.subject, ()) if own.deals_with(at))
    return dealt


def _found_row(
    number: int, finding: Finding, resolved: Sequence[Resolution], samples: Sequence[Any]
) -> FoundRow:  # fmt: skip
    facts = []
    if finding.start is not None:
        facts.append(Fact("Start", Text(moment(finding.start))))
    if finding.end is not None:
        facts.append(Fact("End", Text(moment(finding.end))))
    facts += [
        Fact(visible(name.replace("_", " ")).capitalize(), shown(plain(_measure(value))))
        for name, value in finding.measures.items() if value is not None
    ]  # fmt: skip
    if (own := finding.accepted) is not None:
        facts.append(Fact("Accepted", shown(own.reason), visible(f"{own.owner}, until {moment(own.until)}")))
    facts += [Fact("Dealt with", shown(each.note), visible(f"{each.by}, {moment(each.at)}")) for each in resolved]
    return FoundRow(
        f"{number}", finding.id, shown(plain(finding.message), limit=1000), tuple(facts),
        tuple(sample_row(event) for event in samples[:SHOWN_SAMPLES]),
    )  # fmt: skip


def _measure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_measure(each)}" for name, each in value.items())
    if isinstance(value, str):
        return value
    return moment(value.replace(microsecond=0), zone=False) if isinstance(value, datetime) else str(value)


def _queries(report: FrameworkReport, control: ControlResult, asked: Sequence[Report]) -> Iterator[Any]:
    own = {_QUERIES[check.kind] for check in control.checks if check.kind in _QUERIES}
    yield from (query for each in asked for query in each.evidence.queries if not query.name.startswith("retention"))
    yield from (query for query in report.evidence.queries if query.name in own)
