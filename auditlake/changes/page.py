"""The page of a change report: a line for each evaluation, with what differs from the line above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from auditlake.changes.model import Changes, Step
from auditlake.changes.words import CAUSES, change_in_words, sum_in_words
from auditlake.disk.layout import instant_in_name
from auditlake.display.templates import file_name, style_digest
from auditlake.display.text import Fact, Text, count, instant_name, period_name, shown, visible

SHOWN_CHANGES = 30
"""How many of a step's differences its line lists."""
_WORDS = {"no_data": "no data", "not_evaluated": "not evaluated", "not_applicable": "not applicable"}
_VERDICTS = {"violation": "in violation", "fail": "not met", "pass": "met", "exception": "met with exceptions"}


@dataclass(frozen=True, slots=True)
class StepRow:
    """One evaluation."""

    cause: str
    """What is different in it, in a word or three."""
    why: Text
    """The same, in numbers and names."""
    events: str
    """Governed events in the period."""
    findings: str
    """How many findings."""
    open: str
    """How many of these no acceptance covers."""
    status: str
    """Which mark and colour."""
    word: str
    """The status in a word or two."""
    changes: tuple[Text, ...]
    """What became of findings and controls."""
    more: str
    """How many more there are; empty where all are shown."""


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """The variables of the template ``changes.html``."""

    template: ClassVar[str] = "changes.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    title: str
    """For the window and the bookmark."""
    name: Text
    """The policy's or the framework's name."""
    index_file: str | None
    """The list of reports, beside this page."""
    lead: str
    """Which two reports."""
    status: str
    """Which mark and colour."""
    verdict: str
    """What became of the status."""
    sentence: Text
    """Which cause changed how much."""
    under: tuple[Text, ...]
    """What else a reader must know."""
    facts: tuple[Fact, ...]
    """The two reports."""
    caption: str
    """Of the table."""
    is_framework: bool
    """Whether controls are told beside findings."""
    steps: tuple[StepRow, ...]
    """The evaluations in order."""
    total: str
    """How the numbers add up."""


def stem_of(changes: Changes) -> str:
    """Return the name of a change report's files without their ending."""
    before, after = changes.before, changes.after
    points = (f"{instant_in_name(each.as_of)}_v{each.snapshot}_j{each.journal}" for each in (before, after))
    return f"changes_{changes.subject}_{'_'.join(points)}"


def changes_page(changes: Changes, *, index_file: str | None = None) -> ChangesPage:
    """Put a change report into words.

    Args:
        changes: What it says.
        index_file: The list of reports beside the page; no link if None.

    Raises:
        ReportError: The list's name is not a plain file name.
    """
    before, after = changes.before, changes.after
    notes = [*changes.notes]
    if not changes.stopped:
        notes.append("Each line differs from the one above it in one thing alone, so the differences add up.")
    return ChangesPage(
        style_digest=style_digest(),
        title=f"{visible(changes.name)}: what changed",
        name=shown(changes.name),
        index_file=file_name(index_file),
        lead=f"Between the report as of {instant_name(before.as_of)} and that as of {instant_name(after.as_of)}.",
        status=changes.last.status,
        verdict=_verdict(changes),
        sentence=shown(sentence(changes), limit=1000),
        under=tuple(shown(each, limit=1000) for each in notes),
        facts=tuple(_facts(changes)),
        caption="What each cause changed",
        is_framework=changes.is_framework,
        steps=tuple(map(_row, changes.steps)),
        total=f"{sum_in_words(changes.steps)}.",
    )


def sentence(changes: Changes) -> str:
    """Return what changed, and by which cause, in a sentence."""
    if changes.stopped:
        return f"The earlier report cannot be given again as it was, so nothing is compared with it: {changes.stopped}."
    parts = [_said(step) for step in changes.steps[1:] if step.changes or step.controls]
    return f"{'; '.join(parts)}." if parts else "No finding and no status differs."


def _said(step: Step) -> str:
    numbers = [(step.count("new"), "new"), (step.count("gone"), "gone"), (step.count("changed"), "changed"),
               (step.count("accepted"), "accepted"), (step.count("reopened"), "no longer accepted")]  # fmt: skip
    told = [f"{number:,} {what}" for number, what in numbers if number]
    if step.controls:
        told.append(f"{count(len(step.controls), 'control')} with another status")
    return f"{CAUSES[step.name]}: {', '.join(told)}"


def _verdict(changes: Changes) -> str:
    first, last = (
        _VERDICTS.get(each.status) or _WORDS.get(each.status, each.status) for each in (changes.first, changes.last)
    )
    if changes.stopped:
        return "Not compared"
    return f"Still {last}" if first == last else f"{first[:1].upper()}{first[1:]} became {last}"


def _facts(changes: Changes) -> Iterator[Fact]:
    for label, point in (("Earlier", changes.before), ("Later", changes.after)):
        run = f"run {point.run}" if point.run else "no run on record"
        about = f"{run}, snapshot {point.snapshot}, {count(point.journal, 'decision')} on record"
        yield Fact(f"{label} report", Text(period_name(point.since, point.until)), about)
        yield Fact(f"{label} digest", Text(point.report), code=True)


def _row(step: Step) -> StepRow:
    told = [*_controls(step), *map(change_in_words, step.changes)]
    word = _WORDS.get(step.numbers.status, step.numbers.status).capitalize()
    return StepRow(
        CAUSES[step.name], shown(step.why, limit=600), f"{step.numbers.events:,}", f"{step.numbers.findings:,}",
        f"{step.numbers.open:,}", step.numbers.status, word,
        tuple(shown(each) for each in told[:SHOWN_CHANGES]),
        f"and {len(told) - SHOWN_CHANGES:,} more, in the JSON" if len(told) > SHOWN_CHANGES else "",
    )  # fmt: skip


def _controls(step: Step) -> Sequence[str]:
    return [
        f"{each.control}: {_WORDS.get(each.before, each.before)} became {_WORDS.get(each.after, each.after)}"
        for each in step.controls
    ]
