"""How a report's values are spelled: as JSON (semantics.md, The JSON report), and as text for people.

The JSON says everything and exactly. Text for people shows what would be hidden, and cuts what is too long to read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, assert_never
from uuid import UUID

from auditlake.errors import ReportError
from auditlake.reports.model import (
    Detail,
    Evidence,
    Finding,
    Query,
    Report,
    RetentionAnswer,
    RetentionConflict,
    Threshold,
)

REPORT_VERSION = 1

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


def report_dict(report: Report) -> dict[str, Any]:
    """Turns a report into JSON values, keys in the order of semantics.md.

    Findings, types and queries keep the order they have in ``report``.

    Args:
        report: What to say.

    Returns:
        The whole document, of nothing but dicts, lists, strings, numbers, booleans and None.

    Raises:
        ReportError: A value has no JSON form (an instant without a zone, a number that is not finite).
    """
    return {
        "report_version": REPORT_VERSION,
        "policy_id": report.policy_id,
        "policy_name": report.policy_name,
        "description": report.description,
        "severity": report.severity,
        "controls": {framework: list(ids) for framework, ids in report.controls.items()},
        "generated_at": instant(report.generated_at),
        "as_of": instant(report.as_of),
        "period": {"since": instant(report.since), "until": instant(report.until)},
        "status": report.status,
        "status_now": report.status_now,
        "total_events": report.total_events,
        "events_by_type": dict(report.events_by_type),
        "last_seen": {event_type: _instant_or_none(seen) for event_type, seen in report.last_seen.items()},
        "violations": [finding_dict(finding) for finding in report.violations],
        "threshold": _threshold(report.threshold),
        "coverage": {
            "max_gap": report.coverage.max_gap,
            "silent_days": [day.isoformat() for day in report.coverage.silent_days],
        },
        "retention": _retention(report.retention),
        "evidence": _evidence(report.evidence),
    }


def finding_dict(finding: Finding) -> dict[str, Any]:
    """Turns a finding into JSON values: the keys of its kind and no others."""
    head: dict[str, Any] = {"id": finding.id, "kind": finding.kind}
    match finding.kind:
        case "missing_required_type":
            return head | {"event_type": finding.event_type, "message": finding.message}
        case "coverage_gap":
            return head | {
                "event_type": finding.event_type,
                "start": _instant_or_none(finding.start),
                "end": _instant_or_none(finding.end),
                "message": finding.message,
            }
        case "threshold_exceeded":
            return head | {
                "group": dict(finding.group or {}),
                "start": _instant_or_none(finding.start),
                "end": _instant_or_none(finding.end),
                "ongoing": finding.ongoing,
                "started_before_period": finding.started_before_period,
                "peak": finding.peak,
                "peak_at": _instant_or_none(finding.peak_at),
                "message": finding.message,
            }
        case _:
            assert_never(finding.kind)


def instant(moment: datetime) -> str:
    """Writes an instant as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``.

    Example:
        >>> instant(datetime(2026, 11, 24, 8, 0, tzinfo=UTC))
        '2026-11-24T08:00:00.000000Z'

    Raises:
        ReportError: The instant has no zone, so nobody knows when it is.
    """
    if moment.tzinfo is None:
        message = f"a report needs instants with a zone, got {moment.isoformat()}"
        raise ReportError(message)
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def json_value(value: Any) -> Any:
    """Turns a query's parameter into a JSON value; a length of time becomes text that DuckDB casts to INTERVAL.

    Raises:
        ReportError: The value is of a type that no query binds.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return instant(value)
        case date():
            return value.isoformat()
        case timedelta():
            return f"{value // timedelta(microseconds=1)} microseconds"
        case Decimal() | UUID():
            return str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case _:
            message = f"a parameter of type {type(value).__name__} has no JSON form"
            raise ReportError(message)


def _instant_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def _threshold(answer: Threshold) -> dict[str, Any]:
    return {
        "window": answer.window,
        "alert_threshold": answer.alert_threshold,
        "group_by": list(answer.group_by),
        "where": answer.where,
        "where_errors": answer.where_errors,
        "recent_events": answer.recent_events,
        "ungrouped_events": answer.ungrouped_events,
        "future_events": answer.future_events,
        "episodes": answer.episodes,
        "daily_peaks": [{"date": day.date.isoformat(), "peak": day.peak} for day in answer.daily_peaks],
    }


def _retention(answer: RetentionAnswer) -> dict[str, Any]:
    return {
        "retention_period": answer.retention_period,
        "cutoff": instant(answer.cutoff),
        "due": answer.due,
        "kept_by_other_policies": answer.kept_by_other_policies,
        "held": answer.held,
        "oldest_event": _instant_or_none(answer.oldest_event),
        "conflicts": [_conflict(conflict) for conflict in answer.conflicts],
    }


def _conflict(conflict: RetentionConflict) -> dict[str, Any]:
    return {
        "event_type": conflict.event_type,
        "keep_policy": conflict.keep_policy,
        "retention_period": conflict.retention_period,
        "limit_policy": conflict.limit_policy,
        "max_retention": conflict.max_retention,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "lake_id": evidence.lake_id,
        "snapshot": evidence.snapshot,
        "policy_digest": evidence.policy_digest,
        "files": evidence.files,
        "rows": evidence.rows,
        "inputs_digest": evidence.inputs_digest,
        "queries": [_query(query) for query in evidence.queries],
    }


def _query(query: Query) -> dict[str, Any]:
    return {"name": query.name, "sql": query.sql, "parameters": json_value(query.parameters), "rows": query.rows}


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


def length(stretch: timedelta) -> str:
    """A length of time in its two largest units: ``3 d 4 h``, ``12 min``, ``0.25 s``."""
    seconds = stretch // timedelta(seconds=1)
    parts = [f"{seconds // 86400:,} d", f"{seconds // 3600 % 24} h", f"{seconds // 60 % 60} min", f"{seconds % 60} s"]
    first = next((index for index, part in enumerate(parts) if not part.startswith("0 ")), None)
    if first is None:
        return f"{stretch.microseconds / 1_000_000:.6f}".rstrip("0").rstrip(".") + " s"
    return " ".join(part for part in parts[first : first + 2] if not part.startswith("0 "))


def spelled(duration: str) -> str:
    """A policy's duration in words: ``24h`` is ``24 hours``; what is not understood stays as it is."""
    match = _LENGTH.fullmatch(duration)
    if match is None:
        return shown(duration).text
    number, unit = (group for group in match.groups() if group is not None)
    return count(int(number), _UNITS[unit])


def subject(report: Report) -> str:
    """What the threshold counts, as a noun."""
    if report.threshold.where is not None:
        return "matching events"
    names = list(report.events_by_type)
    return f"{visible(names[0])} events" if len(names) == 1 else "governed events"


def apart(report: Report) -> str:
    """What the count is kept apart by, to be put after :func:`subject`; empty where it is not."""
    columns = report.threshold.group_by
    return f" of one {' and '.join(visible(column) for column in columns)}" if columns else ""


def verdict_words(report: Report) -> str:
    """Why the status is what it is."""
    listed = len(report.violations)
    if report.status == "no_data":
        silence = "Nothing was received in this period. Silence is neither compliance nor a violation."
        return f"{silence} What the policy found all the same is listed below." if listed else silence
    answer, kinds = report.threshold, [finding.kind for finding in report.violations]
    missing, gaps = kinds.count("missing_required_type"), kinds.count("coverage_gap")
    window, counted = spelled(answer.window), f"{subject(report)}{apart(report)}"
    found = []
    if answer.episodes:
        found.append(
            f"{count(answer.episodes, 'episode')} with at least {answer.alert_threshold:,} {counted} within {window}"
        )
    if missing:
        found.append(f"{count(missing, 'required event type')} without a single event")
    if gaps:
        found.append(
            f"{count(gaps, 'gap')} of more than {spelled(report.coverage.max_gap or '')} in a required event type"
        )
    if not found:
        held = f"At no time did {window} hold {answer.alert_threshold:,} or more {counted}"
        return f"{held}, and no required event type is missing."
    listed_words = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    accepted = " Every finding has been accepted." if report.status == "compliant" else ""
    return f"The policy found {listed_words}.{accepted}"


def now_words(report: Report) -> str:
    """How things stand at ``as_of``."""
    answer = report.threshold
    state = "is reached" if report.status_now == "violation" else "is not reached"
    where = (
        "" if not answer.group_by else " by at least one group" if report.status_now == "violation" else " by any group"
    )
    recent = f"{answer.recent_events:,} {subject(report)}{', groups aside' if answer.group_by else ''}"
    return f"As of {moment(report.as_of)} the threshold {state}{where}. In the last {spelled(answer.window)}: {recent}."


def counted_words(report: Report) -> str:
    """What is counted, so that nobody reads more or less into a number."""
    if report.threshold.where is not None:
        return "Counted are the governed events that match the policy's condition, and no others."
    types = count(len(report.events_by_type), "required event type")
    return f"Counted is every event of the {types}. No condition narrows the count, so ordinary activity counts too."


def types_words(report: Report) -> str:
    """How many of the required types appeared."""
    absent = [name for name, number in report.events_by_type.items() if not number]
    total = count(len(report.events_by_type), "required event type")
    if not absent:
        return f"Every one of {total} appeared." if len(report.events_by_type) > 1 else f"The {total[2:]} appeared."
    return f"{len(absent):,} of {total} did not appear in the period."


def gaps_words(report: Report, gaps: int) -> str:
    """How many gaps there are, or that the policy does not ask."""
    if report.coverage.max_gap is None:
        return "The policy sets no longest gap between events of a type."
    limit = spelled(report.coverage.max_gap)
    if not gaps:
        return f"No required type was silent for longer than {limit} between two of its events."
    return f"{count(gaps, 'stretch', 'stretches')} of more than {limit} without an event of a required type."


def silent_words(report: Report, detail: Detail) -> str:
    """How many silent days there are."""
    days = report.coverage.silent_days
    if not days:
        return f"No silent day: each of the {len(detail.days):,} days has at least one governed event."
    first = detail.first_event_day
    before = sum(first is None or day < first for day in days)
    note = f" {before:,} of them lie before the lake's first event." if before else ""
    return f"{count(len(days), 'day')} of {len(detail.days):,} without any governed event.{note}"


def silent_ranges(days: Sequence[date]) -> tuple[str, ...]:
    """The silent days, neighbours together."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day.toordinal() == runs[-1][-1].toordinal() + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    ranges = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]} ({count(len(run), 'day')})" for run in runs]
    more = (
        [f"and {len(ranges) - SHOWN_RANGES:,} more stretches, in the JSON report"] if len(ranges) > SHOWN_RANGES else []
    )
    return (*ranges[:SHOWN_RANGES], *more)


def episodes_words(report: Report) -> str:
    """How many episodes there are, and how many of them the page shows."""
    total = report.threshold.episodes
    if not total:
        return "No episode: the count never reached the threshold."
    if total <= SHOWN_EPISODES:
        return f"{count(total, 'episode')}, in order of time."
    rest = f"The other {total - SHOWN_EPISODES:,} are in the JSON report."
    return f"The first {SHOWN_EPISODES:,} of {total:,} episodes, in order of time. {rest}"


def retention_words(answer: RetentionAnswer) -> str:
    """What is due, in a sentence."""
    kept = f"Governed events are kept for {spelled(answer.retention_period)}."
    older = answer.due + answer.kept_by_other_policies + answer.held
    if not older:
        return f"{kept} None is older than the cutoff, so nothing is due for deletion."
    return (
        f"{kept} {count(older, 'event is', 'events are')} older than the cutoff: {answer.due:,} due for deletion, "
        f"{answer.kept_by_other_policies:,} kept because another policy needs them, {answer.held:,} under a legal hold."
    )


def _code_point(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
