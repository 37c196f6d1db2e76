"""What a report says in text for people. It shows what would be hidden, and cuts what is too long to read.

The command line imports :func:`visible` on every run, so nothing here may be slow to import.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from auditlake.policies.kinds.retention_due import RetentionAnswer
    from auditlake.policies.kinds.threshold import Threshold
    from auditlake.reports.model import Detail, Report, Status

UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""What a reader does not see but a terminal or a browser acts on: C0 and C1 controls, marks that turn the direction of
writing, characters without width, halves of surrogate pairs. A fixed list: bytes must not depend on the Python."""

SHOWN_CHARACTERS = 240
SHOWN_RANGES = 40
SHOWN_EPISODES = 200
"""How many episodes a page shows, with samples of their events, and how many accepted findings and gaps."""
VERDICTS: dict[Status, str] = {
    "compliant": "Compliant",
    "violation": "Violation",
    "no_data": "No data",
    "error": "Error",
}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNITS = {
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
    "H": "hour",
    "D": "day",
    "W": "week",
    "Y": "year",
}
_LENGTH = re.compile(r"([0-9]+)\s?(h|d|w|mo|y)|P([0-9]+)([DWY])|PT([0-9]+)(H)")
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_TICK, _MIDNIGHT = timedelta(microseconds=1), time(0)
_MONTHS = (
    "January February March April May June July August September October November December".split()  # in any locale
)


@dataclass(frozen=True, slots=True)
class Text:
    """A value that others wrote, fit to be looked at."""

    text: str
    """The value, hidden characters spelled out, cut where it is very long."""
    rest: str = ""
    """How long it really is, where it was cut."""
    kind: Literal["text", "empty", "none"] = "text"
    """Whether there is a value, an empty one, or none."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and what it stands for."""

    label: str
    """What is said."""
    value: Text
    """The value."""
    note: str = ""
    """What it means, where that is not plain."""
    code: bool = False
    """Whether the value is for machines: a digest, a condition, a name."""
    alarm: bool = False
    """Whether it is part of a violation."""


def counted_events(number: int) -> str:
    """``1 event`` or ``2 events``."""
    return f"{number} event{'' if number == 1 else 's'}"


def visible(text: str, *, keep: str = "") -> str:
    r"""Spells out what a reader would not see but a terminal or a browser would act on.

    Args:
        text: Any text, however hostile.
        keep: Hidden characters that may stay, e.g. the line breaks of SQL.

    Example:
        >>> print(visible("a\x1b[31m\u202eb"))
        a\u001b[31m\u202eb
    """
    return UNSEEN.sub(lambda match: match[0] if match[0] in keep else _SHORT.get(match[0], _code_point(match[0])), text)


def shown(value: str | None, *, limit: int = SHOWN_CHARACTERS, keep: str = "") -> Text:
    """Makes a value fit to be looked at; what is longer than ``limit`` is cut and its full length stated."""
    if value is None:
        return Text("", kind="none")
    if not value:
        return Text("", kind="empty")
    if len(value) <= limit:
        return Text(visible(value, keep=keep))
    return Text(visible(value[:limit], keep=keep), rest=f"cut: {len(value):,} characters in all")


def count(number: int, one: str, many: str = "") -> str:
    """A number and its noun.

    Example:
        >>> count(1, "episode"), count(1200, "day"), count(0, "entry", "entries")
        ('1 episode', '1,200 days', '0 entries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(when: datetime, *, zone: bool = True) -> str:
    """An instant for people: ``2026-11-24 08:00:00 UTC``, with its microseconds if there are any."""
    utc = when.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(" ", "microseconds" if utc.microsecond else "seconds") + (" UTC" if zone else "")


def instant_name(when: datetime) -> str:
    """An instant as people name it: the end of a day, or :func:`moment`.

    Example:
        >>> instant_name(datetime(2026, 9, 30, 23, 59, 59, 999999, tzinfo=UTC))
        'the end of 30 September 2026'
    """
    day = when.astimezone(UTC)
    if (day + _TICK).time() != _MIDNIGHT:
        return moment(when)
    return f"the end of {day.day} {_MONTHS[day.month - 1]} {day.year}"


def period_name(since: datetime, until: datetime) -> str:
    """A period of whole UTC days as people name it; empty where a bound is no day's edge.

    A bound counts as an edge at midnight and at the last microsecond of a day: the exact bounds stand beside the name.

    Example:
        >>> def day(text): return datetime.fromisoformat(text).replace(tzinfo=UTC)
        >>> period_name(day("2026-08-01"), day("2026-09-01")), period_name(day("2026-08-01"), day("2026-08-02"))
        ('August 2026', '1 August 2026')
        >>> period_name(day("2026-07-03"), day("2026-10-01")), period_name(day("2026-08-01T12:00"), day("2026-09-01"))
        ('3 July to 30 September 2026, 90 days', '')
    """
    bounds = (since.astimezone(UTC), until.astimezone(UTC))
    first, after = (bound.date() + _DAY * ((bound + _TICK).time() == _MIDNIGHT) for bound in bounds)
    if any(bound.time() != _MIDNIGHT and (bound + _TICK).time() != _MIDNIGHT for bound in bounds):
        return ""
    last = after - _DAY
    if last == first:
        return f"{first.day} {_MONTHS[first.month - 1]} {first.year}"
    if (first.day, after.day) == (1, 1):
        return _months(first, last)
    begin = f"{first.day} {_MONTHS[first.month - 1]}{f' {first.year}' if first.year != last.year else ''}"
    end = f"{last.day} {_MONTHS[last.month - 1]} {last.year}"
    return f"{begin} to {end}, {count((after - first).days, 'day')}"


def _months(first: date, last: date) -> str:
    """Whole months: one, a year, or several."""
    begin, end = (_MONTHS[day.month - 1] for day in (first, last))
    if first.year != last.year:
        return f"{begin} {first.year} to {end} {last.year}"
    if begin == end:
        return f"{begin} {first.year}"
    return f"{first.year}" if (first.month, last.month) == (1, 12) else f"{begin} to {end} {first.year}"


def length(stretch: timedelta) -> str:
    """A length of time in its two largest units, or in one where that says it all; hours up to two days.

    Example:
        >>> [length(timedelta(hours=hours)) for hours in (76, 48.25, 24.25, 24, 0.2)]
        ['3 d 4 h', '2 d 0 h', '24 h 15 min', '1 d', '12 min']
        >>> [length(timedelta(seconds=seconds)) for seconds in (725, 5.25, 0)]
        ['12 min 5 s', '5.25 s', '0 s']
    """
    if stretch >= 2 * _DAY or (stretch and not stretch % _DAY):
        return _two_units(stretch, _DAY, "d", _HOUR, "h")
    if stretch >= _HOUR:
        return _two_units(stretch, _HOUR, "h", _MINUTE, "min")
    if stretch >= _MINUTE:
        return _two_units(stretch, _MINUTE, "min", timedelta(seconds=1), "s")
    return f"{stretch.total_seconds():.6f}".rstrip("0").rstrip(".") + " s"


def spelled(duration: str) -> str:
    """A policy's duration in words: ``24h`` is ``24 hours``; what is not understood stays as it is."""
    match = _LENGTH.fullmatch(duration)
    if match is None:
        return shown(duration).text
    number, unit = (group for group in match.groups() if group is not None)
    return count(int(number), _UNITS[unit])


def subject(report: Report, number: int = 2) -> str:
    """What the threshold counts, as a noun that fits a number."""
    names = list(report.events_by_type)
    which = visible(names[0]) if len(names) == 1 else "governed"
    matching = report.threshold is not None and report.threshold.where is not None
    return f"{'matching' if matching else which} event{'' if number == 1 else 's'}"


def apart(report: Report) -> str:
    """What the count is kept apart by, to be put after :func:`subject`; empty where it is not."""
    columns = report.threshold.group_by if report.threshold else ()
    return f" with the same {_listed([visible(column) for column in columns])}" if columns else ""


def verdict_words(report: Report) -> str:
    """Why the status is what it is."""
    if report.is_unread:
        why = f"The policy's file could not be read: {visible(report.error or '')}."
        return f"{why} The policy could not be judged: neither its threshold nor coverage nor retention."
    if report.error is not None:
        rest = " What it asks beside its threshold is answered all the same." if report.events_by_type else ""
        return f"The policy could not be judged: {visible(report.error)}.{rest}"
    if report.status == "no_data":
        silence = "The lake holds no event of any type in this period. Silence is neither compliance nor a violation."
        return f"{silence} The policy's findings are listed below all the same." if report.violations else silence
    from auditlake.policies import kinds  # slow to import

    answer, found_kinds = report.threshold, [finding.kind for finding in report.violations]
    missing, gaps = found_kinds.count("missing_required_type"), found_kinds.count("coverage_gap")
    found = []
    if answer and answer.episodes:
        counted = f"{answer.alert_threshold:,} {subject(report, answer.alert_threshold)}{apart(report)}"
        found.append(f"{count(answer.episodes, 'episode')} of at least {counted} within {spelled(answer.window)}")
    if missing:
        found.append(f"{count(missing, 'required event type')} without a single event")
    if gaps:
        found.append(_gaps(report, gaps))
    found += filter(None, (kind.sentence(report.violations) for kind in kinds.KINDS if kind.name in report.measures))
    if not found:
        return _nothing_found(report, answer)
    return f"The policy found {_listed(found)}.{_accepted_words(report)}"


def _nothing_found(report: Report, answer: Threshold | None) -> str:
    whole = all(report.events_by_type.values())
    if answer:
        held = f"No window of {spelled(answer.window)} held {answer.alert_threshold:,} or more {subject(report)}"
        if whole:
            return f"{held}{apart(report)}, and no required event type is missing."
        return f"{held}{apart(report)}. The policy does not insist that every event type appears."
    said = ["No required event type is missing."] if whole else []
    if report.coverage.max_gap is not None:
        said.append(f"No gap in the events of a required type is longer than {spelled(report.coverage.max_gap)}.")
    if not whole:
        said.append("The policy does not insist that every event type appears.")
    return " ".join(said)


def _accepted_words(report: Report) -> str:
    if report.status == "compliant":
        return " Every finding has been accepted."
    accepted = sum(finding.accepted is not None for finding in report.violations)
    if not accepted:
        return ""
    have = "finding has" if accepted == 1 else "findings have"
    return f" {accepted:,} of the {len(report.violations):,} {have} been accepted."


def now_words(report: Report) -> str:
    """How things stand in the last window before ``as_of``; empty where there is no threshold to ask for."""
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
    groups = ", whatever their group" if answer.group_by else ""
    return f"As of {instant_name(report.as_of)} {state}. In the last {last}: {recent}{groups}."


def counted_words(report: Report) -> str:
    """What is counted, so that nobody reads more or less into a number."""
    answer = report.threshold
    if report.error is not None:
        return "" if report.is_unread else "How often the threshold was reached could not be judged."
    if answer is None:
        return "The policy sets no threshold: nothing is counted in a window."
    if answer.where is not None:
        return "Only governed events that match the policy's condition count."
    names = list(report.events_by_type)
    which = f"{visible(names[0])} event" if len(names) == 1 else f"event of the {len(names):,} required types"
    whole = f"Every {which} counts; no condition narrows the count."
    if not answer.ungrouped_events:
        return whole
    columns = " and ".join(visible(column) for column in answer.group_by)
    without = count(answer.ungrouped_events, "event")
    have = "has" if answer.ungrouped_events == 1 else "have"
    return f"{whole} But {without} of the period {have} no {columns}, so no group to count in."


def types_words(report: Report) -> str:
    """How many of the required types appeared."""
    total, absent = len(report.events_by_type), sum(not number for number in report.events_by_type.values())
    if total == 1:
        return f"The required event type {'did not appear' if absent else 'appeared'} in the period."
    if not absent:
        return f"All {total:,} required event types appeared in the period."
    return f"{absent:,} of {total:,} required event types did not appear in the period."


def gaps_words(report: Report, gaps: int) -> str:
    """How many gaps there are, or that the policy does not ask."""
    if report.coverage.max_gap is None:
        return "The policy sets no limit on gaps between events of a type."
    if not gaps:
        return f"No gap in the events of a required type is longer than {spelled(report.coverage.max_gap)}."
    return f"{_gaps(report, gaps)}."


def silent_words(report: Report, detail: Detail) -> str:
    """How many silent days there are."""
    silent, total = report.coverage.silent_days, len(detail.days)
    if not silent:
        each = f"each of the {total:,} days" if total > 1 else "the one day"
        return f"No silent day: {each} of the period has a governed event."
    first = detail.first_event_day
    before = sum(first is None or day < first for day in silent)
    which = "it lies" if len(silent) == 1 else f"{before:,} of them {'lies' if before == 1 else 'lie'}"
    note = f"; {which} before the lake's first event" if before else ""
    have = "has" if len(silent) == 1 else "have"
    return f"{len(silent):,} of {count(total, 'day')} {have} no governed event{note}."


def silent_ranges(days: Sequence[date]) -> tuple[str, ...]:
    """The silent days, neighbours together."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day.toordinal() == runs[-1][-1].toordinal() + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    ranges = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]} ({count(len(run), 'day')})" for run in runs]
    left = len(ranges) - SHOWN_RANGES
    more = [f"and {count(left, 'more stretch', 'more stretches')}, in the JSON report"] if left > 0 else []
    return (*ranges[:SHOWN_RANGES], *more)


def episodes_words(report: Report) -> str:
    """How many episodes there are, and how many of them the page shows; the others are in the JSON or beside it."""
    if report.threshold is None:
        return ""
    total = report.threshold.episodes
    if not total:
        return "No episode: the count never reached the threshold."
    if total <= SHOWN_EPISODES:
        return "1 episode." if total == 1 else f"{total:,} episodes, in order of time."
    left = total - SHOWN_EPISODES
    rest = "The other one is" if left == 1 else f"The other {left:,} are"
    return (
        f"The first {SHOWN_EPISODES:,} of {total:,} episodes, in order of time. {rest} in the JSON report or beside it."
    )


def beyond(total: int, what: str) -> str:
    """That a table does not show everything, where it does not."""
    return f"The first {SHOWN_EPISODES:,} of {count(total, what)}." if total > SHOWN_EPISODES else ""


def retention_words(answer: RetentionAnswer | None) -> str:
    """What is due, in a sentence."""
    if answer is None:
        return "The policy sets no retention period: it neither keeps events nor lets them go."
    kept = f"Governed events are kept for {spelled(answer.retention_period)}."
    older = answer.due + answer.kept_by_other_policies + answer.held
    if not older:
        return f"{kept} None is older than the cutoff, so nothing is due for deletion."
    return (
        f"{kept} {count(older, 'event is', 'events are')} older than the cutoff: {answer.due:,} due for deletion, "
        f"{answer.kept_by_other_policies:,} kept for other policies, {answer.held:,} under a legal hold."
    )


def _two_units(stretch: timedelta, large: timedelta, large_name: str, small: timedelta, small_name: str) -> str:
    whole, rest = divmod(stretch, large)
    return f"{whole:,} {large_name}" + (f" {rest // small} {small_name}" if rest else "")


def _gaps(report: Report, gaps: int) -> str:
    limit = spelled(report.coverage.max_gap or "")
    return f"{count(gaps, 'gap')} of more than {limit} in the events of a required type"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _code_point(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
