"""Section "Counts": how often the threshold was reached, day by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from auditlake.display.canonical_json import json_value
from auditlake.display.text import Fact, Text, count, shown, spelled, visible
from auditlake.policies import kinds
from auditlake.policies.kinds.threshold import Threshold
from auditlake.reports.model import Detail, Report
from auditlake.reports.page_charts import PeakChart, peak_chart
from auditlake.reports.sections.model import Section, Term
from auditlake.reports.sentences import charted, counted_words

_NEWER = ("measure", "asked", "valueless_events", "unjudged")
"""What the first form does not know."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The variables of the fragment ``counts.html``."""

    template: ClassVar[str] = "sections/counts.html"
    chart: PeakChart | None
    """Daily peaks; None where the threshold could not be judged."""
    question: tuple[Fact, ...]
    """What the threshold asks."""
    counted_words: str
    """Why there is no chart."""


def _body(report: Report, _: Detail) -> Counts | None:
    if report.threshold is not None:
        return Counts(_chart(report, report.threshold), _question(report.threshold), "")
    return None if report.error is None or report.is_unread else Counts(None, (), counted_words(report))


def _chart(report: Report, answer: Threshold) -> PeakChart:
    """Return the chart of the daily peaks."""
    return peak_chart(
        [(day.date, day.peak) for day in answer.daily_peaks],
        answer.alert_threshold,
        frozenset(report.coverage.silent_days),
        charted(report, answer),
        unknown="no number, or before first event" if answer.measure == "average" else "before first event",
    )


def _figures(report: Report, _: Detail) -> tuple[Fact, ...]:
    answer = report.threshold
    if answer is None:
        return ()
    peak = max((day.peak for day in answer.daily_peaks if day.peak is not None), default=None)
    return (
        Fact(
            "Episodes",
            Text(f"{answer.episodes:,}"),
            f"of {answer.alert_threshold:,} or more",
            alarm=answer.episodes > 0,
        ),
        Fact(
            "Highest count" if answer.measure == "count" else "Highest measure",
            shown(None if peak is None else f"{peak:,}"),
            f"threshold {answer.alert_threshold:,} in {spelled(answer.window)}",
            alarm=peak is not None and peak >= answer.alert_threshold,
        ),
    )


_FAILED = {
    "count": "it could not be evaluated: these events are not counted",
    **dict.fromkeys(
        ("together", "sequence"), "it could not be evaluated: these events are of no step whose condition failed"
    ),
}
"""What is said of events on which a condition fails, by measure."""


def _question(answer: Threshold) -> tuple[Fact, ...]:
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
            "Counted",
            shown(answer.where, limit=2000, keep="\n") if answer.where else Text("every governed event"),
            code=bool(answer.where),
        ),
        Fact(
            "Grouped by",
            Text(", ".join(answer.group_by) or "nothing: one count for all"),
            code=bool(answer.group_by),
        ),
        *_asked(answer),
        _length(answer),
        Fact("Threshold", Text(f"{answer.alert_threshold:,} or more"), kinds.measure_named(answer.measure).floor),
        Fact("Latest window", Text(f"{answer.recent_events:,}"), f"counted events{groups}"),
        *(Fact(label, Text(f"{number:,}"), note) for label, number, note in left_out if number),
    )


def _asked(answer: Threshold) -> tuple[Fact, ...]:
    """Return what is measured, where that is not the count."""
    if answer.measure == "count":
        return ()
    noun = kinds.measure_named(answer.measure).measured(answer, 2)
    asked = answer.asked
    steps = [each for name in ("together", "sequence") for each in asked.get(name, ())]
    others = [(name.capitalize(), asked[name]) for name in ("condition", "until", "sum", "average") if name in asked]
    return (
        Fact("Measured", shown(noun.removeprefix("as ").removesuffix(","), limit=2000)),
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
    return (
        Term(
            "Rolling count",
            "The number of counted events in the window that ends at an instant. An event exactly one window old no "
            "longer counts.",
        ),
        Term(
            "Episode",
            "The longest stretch of time on which the rolling count of one group is at or above the threshold. One "
            "episode is one finding, however many events it contains.",
        ),
    )


def _json(report: Report, form: int) -> dict[str, Any]:
    answer = report.threshold and json_value(asdict(report.threshold))
    if answer and form == 1:
        answer = {name: value for name, value in answer.items() if name not in _NEWER}
    return {"threshold": answer}


SECTION = Section(
    anchor="counts",
    title="Counts",
    heading="Counts in a rolling window",
    body=_body,
    figures=_figures,
    terms=_terms,
    json=_json,
)
