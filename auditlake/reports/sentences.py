"""What a report says in sentences about itself; each section has its own sentences in its own file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

from auditlake.display.text import count, instant_name, spelled, visible
from auditlake.findings.many import accepted_ones, numbers_by_kind
from auditlake.policies.kinds.threshold import Threshold
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number
from auditlake.reports.model import Report, Status

SHOWN_EPISODES = 200
"""How many episodes a page shows, with samples of their events, and how many accepted findings and gaps."""
_TICK = timedelta(microseconds=1)
VERDICTS: dict[Status, str] = {
    "compliant": "Compliant",
    "violation": "Violation",
    "no_data": "No data",
    "error": "Error",
}


def words_of(report: Report, answer: Threshold) -> Words:
    """Return how a page speaks of what is held against the threshold."""
    from auditlake.policies import kinds  # slow to import

    kind = kinds.measure_named(answer.measure)
    of_count = kind.name == "count"
    noun = partial(subject, report) if of_count else partial(kind.measured, answer.asked, said=spelled)
    return kind.words(answer, apart(report), noun).visible()


def unusual_days(report: Report) -> frozenset[date] | None:
    """Return the days with an episode of a measure whose threshold decides nothing by itself; None of any other."""
    from auditlake.policies import kinds  # slow to import

    if report.threshold is None or not kinds.measure_named(report.threshold.measure).floor:
        return None
    episodes = [each for each in report.violations if each.start is not None and each.peak_at is not None]
    spans = ((each.start or report.since, each.end - _TICK if each.end else report.until) for each in episodes)
    return frozenset(
        date.fromordinal(number)
        for first, last in spans
        for number in range(first.toordinal(), max(first, last).toordinal() + 1)
    )


def subject(report: Report, number: Number = 2) -> str:
    """Return which events are looked at, as a noun that fits a number."""
    names = list(report.events_by_type)
    which = visible(names[0]) if len(names) == 1 else "governed"
    matching = report.threshold is not None and report.threshold.where is not None
    return f"{'matching' if matching else which} event{'' if number == 1 else 's'}"


def apart(report: Report) -> str:
    """Return what the count is grouped by, to be put after :func:`subject`; empty where it is not grouped."""
    columns = report.threshold.group_by if report.threshold else ()
    return f" with the same {_listed([visible(column) for column in columns])}" if columns else ""


def verdict_words(report: Report) -> str:
    """Say why the status is what it is."""
    if report.is_unread:
        why = f"The policy's file could not be read: {visible(report.error or '')}."
        return f"{why} Its threshold, coverage and retention could not be judged."
    if report.error is not None:
        rest = " Its other questions are still answered." if report.events_by_type else ""
        return f"The policy could not be judged: {visible(report.error)}.{rest}"
    if report.status == "no_data":
        silence = "The lake holds no event of any type in this period. Silence is neither compliance nor a violation."
        return f"{silence} The policy's findings are still listed below." if report.violations else silence
    answer, numbers = report.threshold, numbers_by_kind(report.violations)
    missing, gaps = numbers["missing_required_type"], numbers["coverage_gap"]
    incomplete = numbers["field_incomplete"]
    parts = []
    if answer and answer.episodes:
        parts.append(f"{count(answer.episodes, 'episode')} of {words_of(report, answer).found}")
    if missing:
        parts.append(f"{count(missing, 'required event type')} without a single event")
    if gaps:
        parts.append(gaps_found(report, gaps))
    if incomplete:
        parts.append(count(incomplete, "incomplete field"))
    from auditlake.policies import kinds  # slow to import

    parts += filter(None, (kind.sentence(report.violations) for kind in kinds.KINDS if kind.name in report.measures))
    if not parts:
        return _nothing_found(report, answer)
    return f"The policy found {_listed(parts)}.{_accepted_words(report)}"


def _nothing_found(report: Report, answer: Threshold | None) -> str:
    whole = all(report.events_by_type.values())
    fewer = "The policy does not require every event type to appear."
    if report.coverage.is_proven:
        fewer = "Not every required event type appeared in the period, but each did at some time, as the policy asks."
    fields = " No field of a type is filled too seldom." if report.coverage.fields else ""
    if answer:
        below = words_of(report, answer).none
        if whole:
            return f"{below}, and no required event type is missing.{fields}"
        return f"{below}. {fewer}{fields}"
    sentences = ["No required event type is missing."] if whole else []
    if report.coverage.max_gap is not None:
        sentences.append(f"No gap in the events of a required type is longer than {gap_limit(report)}.")
    if not whole:
        sentences.append(fewer)
    return " ".join(sentences) + fields


def _accepted_words(report: Report) -> str:
    if report.status == "compliant":
        return " Every finding has been accepted."
    accepted = len(accepted_ones(report.violations))
    if not accepted:
        return ""
    have = "finding has" if accepted == 1 else "findings have"
    return f" {accepted:,} of the {len(report.violations):,} {have} been accepted."


def now_words(report: Report) -> str:
    """Say how the last window before ``as_of`` stands; nothing where the policy has no threshold."""
    answer = report.threshold
    if answer is None:
        return ""
    last = spelled(answer.window).removeprefix("1 ")
    if report.status_now == "no_data":
        return f"In the last {last} before {instant_name(report.as_of)} the lake received no event of any type."
    reached = report.status_now == "violation"
    where = "" if not answer.group_by else " by at least one group" if reached else " by any group"
    state = f"the threshold is {'' if reached else 'not '}reached{where}"
    recent = f"{answer.recent_events:,} {subject(report, answer.recent_events)}"
    groups = " in all groups" if answer.group_by else ""
    return f"As of {instant_name(report.as_of)} {state}. In the last {last}: {recent}{groups}."


def counted_words(report: Report) -> str:
    """Say what is counted, so that a reader takes a number for what it is."""
    answer = report.threshold
    if report.error is not None:
        return "" if report.is_unread else "How often the threshold was reached could not be determined."
    if answer is None:
        return "The policy sets no threshold: nothing is counted in a window."
    if answer.where is not None:
        return "Only governed events that match the policy's condition count."
    names = list(report.events_by_type)
    which = f"{visible(names[0])} event" if len(names) == 1 else f"event of the {len(names):,} required types"
    from auditlake.policies import kinds  # slow to import

    if answer.measure == "count":
        whole = f"Every {which} counts; no condition narrows the count."
    elif kinds.measure_named(answer.measure).has_steps:
        whole = f"Every {which} is looked at, and counts where it belongs to a step."
    else:
        whole = f"Every {which} is looked at; no condition narrows what is measured."
    if not answer.ungrouped_events:
        return whole
    columns = " or ".join(visible(column) for column in answer.group_by)
    without = count(answer.ungrouped_events, "event")
    lack = "has no" if answer.ungrouped_events == 1 else "have no"
    counted = "is not counted" if answer.ungrouped_events == 1 else "are not counted"
    return f"{whole} {without} of the period {lack} {columns} and {counted} in any group."


def nothing_met(measure: str, where: str | None, *numbers: Number | None) -> bool:
    """Return whether a condition was met by no event, and failed on none.

    Args:
        measure: What is held against the threshold; only a count has a peak wherever an event matches.
        where: The condition; None if there is none.
        numbers: The policy's counts of matching events and of errors; None where nothing is known of a day.
    """
    return measure == "count" and where is not None and not any(numbers)


def beyond(total: int, what: str) -> str:
    """Say that a table shows the first rows only, where it does."""
    return f"The first {SHOWN_EPISODES:,} of {count(total, what)}." if total > SHOWN_EPISODES else ""


def gaps_found(report: Report, gaps: int) -> str:
    """Say how many gaps there are, and of what length."""
    return f"{count(gaps, 'gap')} of more than {gap_limit(report)} in the events of a required type"


def gap_limit(report: Report) -> str:
    """Return how long events of a type may stay away."""
    rules = report.coverage.gap_rules
    if not rules:
        return spelled(report.coverage.max_gap or "")
    return "its type may stay away" if len(rules) > 1 else visible(*map(str, rules.values()))


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
