"""Section "Episodes": each stretch of time at or above the threshold, with a few of the events behind its peak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import ClassVar

from auditlake.display.text import Fact, Text, count, length, moment, shown, visible
from auditlake.events.durations import parse_duration
from auditlake.findings.finding import Finding
from auditlake.policies import kinds
from auditlake.policies.model import Number
from auditlake.reports.comparison import ComparisonChart, comparison_chart
from auditlake.reports.model import Detail, Report, SampleEvent
from auditlake.reports.sections.model import Section
from auditlake.reports.sentences import SHOWN_EPISODES, words_of
from auditlake.reports.timeline import Timeline, timeline

SHOWN_SAMPLES = 5
_OPEN_EPISODES = 10


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of time with the count at or above the threshold."""

    id: str
    """The finding's id."""
    number: str
    """Its place among the episodes of the report."""
    group: tuple[Fact, ...]
    """The group; empty where the policy does not group."""
    facts: tuple[Fact, ...]
    """Start, end, length and peak."""
    timeline: Timeline | None
    """What was seen; None of a count."""
    comparison: ComparisonChart | None
    """What the peak is compared with; None of a measure that compares nothing."""
    samples: tuple[tuple[Text, ...], ...]
    """Events behind the peak, newest first: time, type, user, action, resource, status, address, source, id."""
    samples_words: str
    """What they are."""
    open: bool
    """Whether they are shown at once."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """The variables of the fragment ``episodes.html``."""

    template: ClassVar[str] = "sections/episodes.html"
    episodes_words: str
    """How many episodes, and how many of them are shown."""
    episodes: tuple[Episode, ...]
    """The episodes shown, in order of time."""


def _body(report: Report, detail: Detail) -> Episodes | None:
    if report.threshold is None:
        return None
    words = episodes_words(report.threshold.episodes, measure=report.threshold.measure)
    return Episodes(words, _listed(report, detail))


def episodes_words(total: int, *, measure: str = "count") -> str:
    """Say how many episodes there are, and how many the page shows; the others are in the JSON or beside it."""
    if not total:
        return "No episode: the count never reached the threshold." if measure == "count" else "No episode."
    if total <= SHOWN_EPISODES:
        return "1 episode." if total == 1 else f"{total:,} episodes, in order of time."
    left = total - SHOWN_EPISODES
    rest = "The other one is" if left == 1 else f"The other {left:,} are"
    first = f"The first {SHOWN_EPISODES:,} of {total:,} episodes, in order of time."
    return f"{first} {rest} in the JSON report or the Parquet file beside it."


def _listed(report: Report, detail: Detail) -> tuple[Episode, ...]:
    measured = (finding for finding in report.violations if finding.peak_at is not None)
    episodes = list(islice(measured, SHOWN_EPISODES))
    return tuple(
        _episode(report, detail.samples.get(finding.id, ()), finding, place) for place, finding in enumerate(episodes)
    )


def _episode(report: Report, samples: Sequence[SampleEvent], finding: Finding, place: int) -> Episode:
    start, peak = finding.start or report.since, finding.peak or 0
    began = "already reached at the start of the period" if finding.measures["started_before_period"] else ""
    few = samples[:SHOWN_SAMPLES]
    counted = report.threshold is None or report.threshold.measure == "count"
    every = f"The {peak:,} events" if peak > 1 else "The event"
    some = f"{len(few):,} of the {peak:,} events" if len(few) < peak else every
    return Episode(
        id=visible(finding.id),
        number=f"{place + 1:,}",
        group=tuple(Fact(visible(column), shown(value)) for column, value in (finding.group or {}).items()),
        facts=(
            Fact("Start (UTC)", Text(moment(start, zone=False)), began),
            Fact("End (UTC)", Text("ongoing" if finding.end is None else moment(finding.end, zone=False))),
            Fact(
                "Length", Text(length((finding.end or report.until) - start)), "so far" if finding.end is None else ""
            ),
            *_peak(report, finding, peak),
        ),
        timeline=_timeline(report, finding),
        comparison=_compared(report, finding),
        samples=tuple(sample_row(event) for event in few),
        samples_words=f"{some} behind the peak, newest first"
        if counted
        else "The newest matching events behind the peak",
        open=place < _OPEN_EPISODES,
    )


def _timeline(report: Report, finding: Finding) -> Timeline | None:
    """Return the picture of what is behind an episode."""
    if report.threshold is None or not finding.evidence or finding.peak_at is None:
        return None
    kind = kinds.measure_named(report.threshold.measure)
    begins = finding.peak_at - timedelta(microseconds=parse_duration(report.threshold.window, "window").microseconds)
    traces = kind.traces(finding.evidence)
    cut = f", the first {len(traces)} of {finding.peak:,}" if len(traces) < (finding.peak or 0) else ""
    return timeline(f"{kind.drawn}{cut}", traces, begins, linked=kind.is_linked)


def _compared(report: Report, finding: Finding) -> ComparisonChart | None:
    """Return the picture of what is usual and what was."""
    if report.threshold is None or not finding.evidence or finding.peak is None:
        return None
    compared = kinds.measure_named(report.threshold.measure).comparison(finding.evidence, finding.peak)
    return comparison_chart(compared) if compared else None


def _peak(report: Report, finding: Finding, peak: Number) -> Iterator[Fact]:
    """Yield the peak, and since when there is history where that is too short."""
    evidence, at = finding.evidence, f"at {moment(finding.measures['peak_at'], zone=False)}"
    words = None if report.threshold is None else words_of(report, report.threshold)
    if completions := evidence.get("completions"):
        yield Fact("Completed", Text(count(completions, "time")), "in the period")
    elif numbers := evidence.get("numbers"):
        yield Fact("Peak", Text(f"{peak:,} of {count(numbers, 'number')}"), at)
    elif words is None or words.highest is not None:
        yield Fact("Peak", Text(f"{peak:,}"), at)
    elif "usual" in evidence:
        yield Fact("Lowest", Text(f"{peak:,}"), at)
    if since := evidence.get("history_since"):
        yield Fact("History", Text(f"since {moment(since, zone=False)}"), "shorter than what is looked back at")


def sample_row(event: SampleEvent) -> tuple[Text, ...]:
    """Return the cells of an event, as the table of samples has them."""
    values = (
        event.event_type,
        event.user_id,
        event.action,
        event.resource,
        event.status,
        event.ip_address,
        event.source,
    )
    return (Text(moment(event.timestamp, zone=False)), *(shown(value) for value in (*values, event.event_id)))


SECTION = Section(anchor="episodes", title="Episodes", body=_body)
