"""Section "Counts": how often the threshold was reached, day by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from auditlake.display.canonical_json import json_value
from auditlake.display.text import Fact, Text, count, shown, spelled, visible
from auditlake.policies import kinds
from auditlake.policies.kinds.threshold import Threshold
from auditlake.policies.kinds.words import Words
from auditlake.reports.model import Detail, Report
from auditlake.reports.page_charts import PeakChart, peak_chart
from auditlake.reports.sections.model import Section, Term
from auditlake.reports.sentences import counted_words, unusual_days, words_of

_NEWER = ("measure", "asked", "valueless_events", "unjudged")
"""What the first form does not know."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The variables of the fragment ``counts.html``."""

    template: ClassVar[str] = "sections/counts.html"
    asked: str
    """The heading of what the threshold asks."""
    chart: PeakChart | None
    """Daily peaks; None where the threshold could not be judged."""
    question: tuple[Fact, ...]
    """What the threshold asks."""
    counted_words: str
    """Why there is no chart."""


def _body(report: Report, _: Detail) -> Counts | None:
    if report.threshold is not None:
        answer, words = report.threshold, words_of(report, report.threshold)
        asked = "What is counted" if answer.measure == "count" else "What is measured"
        return Counts(asked, _chart(report, answer, words), _question(answer, words), "")
    return None if report.error is None or report.is_unread else Counts("", None, (), counted_words(report))


def _entitled(report: Report) -> tuple[str, str]:
    """Return the section's title and heading, which the measure decides."""
    if report.threshold is None:
        return "Counts", "Counts in a rolling window"
    words = words_of(report, report.threshold)
    return words.title, words.heading


def _chart(report: Report, answer: Threshold, words: Words) -> PeakChart:
    """Return the chart of the daily peaks."""
    return peak_chart(
        [(day.date, day.peak) for day in answer.daily_peaks],
        answer.alert_threshold,
        frozenset(report.coverage.silent_days),
        words,
        over=unusual_days(report),
        unknown="no number, or before first event" if answer.measure == "average" else "before first event",
    )


def _figures(report: Report, _: Detail) -> tuple[Fact, ...]:
    answer = report.threshold
    if answer is None:
        return ()
    peak = max((day.peak for day in answer.daily_peaks if day.peak is not None), default=None)
    words, least = words_of(report, answer), answer.alert_threshold
    episodes = Fact("Episodes", Text(f"{answer.episodes:,}"), words.limit, alarm=answer.episodes > 0)
    if words.highest is None:
        return (episodes,)
    note = f"{words.line} {least:,} in {spelled(answer.window)}"
    is_reached = peak is not None and peak >= least
    alarm = answer.episodes > 0 if kinds.measure_named(answer.measure).floor else is_reached
    return (
        episodes,
        Fact(f"Highest {words.highest}", shown(None if peak is None else f"{peak:,}"), note, alarm=alarm),
    )


_FAILED = {
    "count": "it could not be evaluated: these events are not counted",
    **dict.fromkeys(
        ("together", "sequence"), "it could not be evaluated: these events are of no step whose condition failed"
    ),
}
"""What is said of events on which a condition fails, by measure."""


def _question(answer: Threshold, words: Words) -> tuple[Fact, ...]:
    """Return what the threshold asks, and what it leaves out."""
    groups = " in all groups" if answer.group_by else ""
    left_out = [
        ("Without a group", answer.ungrouped_events, f"no {' or '.join(answer.group_by)}: not counted in any group"),
        ("Without a value", answer.valueless_events, "in a group, with nothing to measure"),
        ("Too little past", answer.unjudged, "stretches of time that cannot be compared yet"),
        ("Condition failed", answer.where_errors, _FAILED.get(answer.measure, _FAILED["count"])),
        (
            "Dated in the future",
            answer.future_events,
            "governed events after the instant judged at: not in this report",
        ),
    ]
    return (
        Fact(
            "Counted" if answer.measure == "count" else "Events",
            shown(answer.where, limit=2000, keep="\n") if answer.where else Text("every governed event"),
            code=bool(answer.where),
        ),
        Fact(
            "Grouped by",
            Text(", ".join(answer.group_by) or "nothing: one count for all"),
            code=bool(answer.group_by),
        ),
        *_asked(answer, words),
        _length(answer),
        *_least(answer, words),
        Fact("Latest window", Text(f"{answer.recent_events:,}"), f"counted events{groups}"),
        *(Fact(label, Text(f"{number:,}"), note) for label, number, note in left_out if number),
    )


def _least(answer: Threshold, words: Words) -> tuple[Fact, ...]:
    """Return the threshold; nothing where it is there or not."""
    if words.highest is None and words.line is not None:
        return ()
    label, note = (words.line or "floor").capitalize(), kinds.measure_named(answer.measure).floor
    return (Fact(label, Text(f"{answer.alert_threshold:,} or more"), note),)


def _asked(answer: Threshold, words: Words) -> tuple[Fact, ...]:
    """Return what is measured, where that is not the count."""
    if answer.measure == "count":
        return ()
    asked = answer.asked
    steps = [each for name in ("together", "sequence") for each in asked.get(name, ())]
    others = [(name.capitalize(), asked[name]) for name in ("condition", "until", "sum", "average") if name in asked]
    return (
        Fact("Measured", Text(words.measured)),
        *(Fact(visible(f"Step {step['name']}"), *_step(step), code=True) for step in steps),
        *(Fact(label, shown(text, limit=2000), code=True) for label, text in others),
    )


def _length(answer: Threshold) -> Fact:
    """Return how long a window is, or what is compared with what."""
    if (own := answer.asked.get("baseline")) is None:
        return Fact("Window", Text(spelled(answer.window)), "an event exactly that old no longer counts")
    seasons = f"{count(own['seasons'], 'season')} of {spelled(own['season'])}"
    least = f"at least {own['at_least']}, counted from midnight at {own['offset']}"
    return Fact("Bucket", Text(spelled(answer.window)), visible(f"compared with the same of {seasons} before, {least}"))


def _step(step: Mapping[str, Any]) -> tuple[Text, str]:
    """Return which events a step takes, and how many."""
    types = f"event_type in ({', '.join(step['types'])})" if "types" in step else None
    number, window = step.get("count", 1), step.get("window")
    within = f" within {spelled(window)}" if window else ""
    taken = " and ".join(filter(None, (types, step.get("where"))))
    return shown(taken, limit=2000, keep="\n"), f"{number:,} events{within}" if number > 1 else ""


def _terms(report: Report) -> tuple[Term, ...]:
    if report.threshold is None:
        return ()
    words = words_of(report, report.threshold)
    return (
        Term("Rolling count" if report.threshold.measure == "count" else "Measure", words.meaning),
        Term("Episode", f"{words.stretch} One episode is one finding, however many events it contains."),
    )


def _json(report: Report, form: int) -> dict[str, Any]:
    answer = report.threshold and json_value(report.threshold)
    if answer and form == 1:
        answer = {name: value for name, value in answer.items() if name not in _NEWER}
    return {"threshold": answer}


SECTION = Section(
    anchor="counts",
    title="Counts",
    entitled=_entitled,
    body=_body,
    figures=_figures,
    terms=_terms,
    json=_json,
)
