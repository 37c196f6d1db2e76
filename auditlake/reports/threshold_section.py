"""What the page says of a policy's threshold, where it has one."""

from __future__ import annotations

from auditlake.display import text
from auditlake.display.text import Fact, Text, shown, spelled
from auditlake.policies.kinds.threshold import Threshold
from auditlake.reports.model import Report
from auditlake.reports.page_charts import PeakChart, peak_chart


def threshold_chart(report: Report, answer: Threshold) -> PeakChart:
    """The chart of the daily peaks."""
    return peak_chart(
        [(day.date, day.peak) for day in answer.daily_peaks],
        answer.alert_threshold,
        frozenset(report.coverage.silent_days),
        f"{text.subject(report)}{text.apart(report)} within {spelled(answer.window)}",
    )


def counted_figures(answer: Threshold) -> tuple[Fact, ...]:
    """The numbers that sum the count up."""
    peak = max((day.peak for day in answer.daily_peaks if day.peak is not None), default=None)
    return (
        Fact(
            "Episodes",
            Text(f"{answer.episodes:,}"),
            f"of {answer.alert_threshold:,} or more",
            alarm=answer.episodes > 0,
        ),
        Fact(
            "Highest count",
            shown(None if peak is None else f"{peak:,}"),
            f"threshold {answer.alert_threshold:,} in {spelled(answer.window)}",
            alarm=peak is not None and peak >= answer.alert_threshold,
        ),
    )


def question_facts(answer: Threshold) -> tuple[Fact, ...]:
    """What the threshold asks, and what it leaves out."""
    groups = ", whatever their group" if answer.group_by else ""
    left_out = [
        ("Without a group", answer.ungrouped_events, f"{' or '.join(answer.group_by)} has no value: part of no group"),
        ("Condition failed", answer.where_errors, "events on which it could not be evaluated: no match"),
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
            "Kept apart by",
            Text(", ".join(answer.group_by) or "nothing: one count for all"),
            code=bool(answer.group_by),
        ),
        Fact("Window", Text(spelled(answer.window)), "an event exactly that old no longer counts"),
        Fact("Threshold", Text(f"{answer.alert_threshold:,} or more")),
        Fact("Latest window", Text(f"{answer.recent_events:,}"), f"counted events{groups}"),
        *(Fact(label, Text(f"{number:,}"), note) for label, number, note in left_out if number),
    )
