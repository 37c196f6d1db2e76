"""Periods as people ask for them: ``(since, until]``, from two instants, a length back, or the name of a stretch."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from auditlake.errors import ReportError
from auditlake.events.durations import Duration, parse_duration
from auditlake.events.times import MICROSECOND, Instant, as_end, as_exclusive, as_instant, parse_bound
from auditlake.policies.model import Policy

_NAMED = re.compile(r"(?P<year>\d{4})(?:-(?:Q(?P<quarter>[1-4])|(?P<month>0[1-9]|1[0-2])))?")


BEFORE_ALL = datetime.fromisoformat("1969-12-31T23:59:59.999999+00:00")
"""The last instant that no event can have: the bounds that events are compared with are exclusive."""


@dataclass(frozen=True, slots=True)
class Question:
    """When a policy is asked: all instants aware, UTC, since < until <= as_of."""

    as_of: datetime
    since: datetime
    until: datetime

    @property
    def midnight(self) -> datetime:
        """00:00 UTC of the day of as_of."""
        return self.as_of.replace(hour=0, minute=0, second=0, microsecond=0)

    @property
    def days(self) -> tuple[date, ...]:
        """Every UTC day with an instant in (since, until]; instants are whole microseconds."""
        first = (self.since + MICROSECOND).date()
        return tuple(first + timedelta(days=i) for i in range((self.until.date() - first).days + 1))


@dataclass(frozen=True, slots=True)
class PeriodRequest:
    """What the caller said about the period: the options of :class:`auditlake.policies.request.PeriodOptions`.

    Of a day, ``since`` is the microsecond before it, and ``until`` its last one, as far as it has passed by as_of.
    """

    since: Instant | None = None
    until: Instant | None = None
    last: str | None = None
    period: str | None = None


def resolve(request: PeriodRequest, as_of: datetime, default_since: datetime) -> tuple[datetime, datetime]:
    """Return the period as two instants, since < until <= as_of.

    No period begins earlier than just before 1970, where no event can be. A calendar stretch begins with its first
    instant, so ``since`` is the microsecond before it, and ends with its last.

    Args:
        request: What was asked for.
        as_of: The instant that the report is as of.
        default_since: Where the period begins if nothing says so, given that it ends at as_of.

    Raises:
        ReportError: The parts contradict each other, or the period is empty or lies after as_of.
    """
    ways = [name for name in ("last", "period") if getattr(request, name) is not None]
    if len(ways) > 1 or (ways and request.since is not None) or (request.period and request.until is not None):
        raise ReportError("the period is given in more than one way", hint="give since and until, or last, or period")
    if request.period is not None:
        since, until = _named(request.period)
        until = min(until, as_of)
    else:
        until = as_of if request.until is None else _end(request.until, as_of)
        since = _beginning(request, until, default_since + (until - as_of))
    since = max(since, BEFORE_ALL)
    if not since < until <= as_of:
        got = f"({_iso(since)}, {_iso(until)}], as of {_iso(as_of)}"
        message = f"the period must end after it begins and not after as_of: {got}"
        raise ReportError(message, hint="check --since, --until and --as-of")
    return since, until


def question(policy: Policy, request: PeriodRequest, as_of: datetime, report_period: Duration) -> Question:
    """Return what a report of a policy asks about: by default, one retention period before as_of.

    Args:
        policy: The policy.
        request: What was asked for.
        as_of: The instant that the report is as of.
        report_period: How far back it goes by default where the policy has no retention period.

    Raises:
        ReportError: See :func:`resolve`.
    """
    return Question(as_of, *resolve(request, as_of, default_since(policy, as_of, report_period)))


def default_since(policy: Policy, until: datetime, report_period: Duration) -> datetime:
    """Return where a policy's period begins unless the caller says: one retention period before it ends.

    Args:
        policy: The policy.
        until: Where the period ends.
        report_period: The length of the period of a policy without a retention period.
    """
    return earlier(until, timedelta(microseconds=(policy.retention_period or report_period).microseconds))


def earlier(instant: datetime, length: timedelta) -> datetime:
    """Return ``instant - length``, at the earliest the instant ahead of 1970: no event is older."""
    return max(instant, BEFORE_ALL + length) - length


def _beginning(request: PeriodRequest, until: datetime, default: datetime) -> datetime:
    if request.since is not None:
        return as_exclusive(request.since)
    if request.last is None:
        return default
    try:
        return until - timedelta(microseconds=parse_duration(request.last, "retention_period").microseconds)
    except (ValueError, OverflowError) as error:
        raise ReportError(f"last: {error}", hint="a length such as 24h, 30d, 12w or 6mo") from error


def _end(asked: Instant, as_of: datetime) -> datetime:
    """Return where a period ends: at as_of on a day that has begun by then and is not over."""
    end = as_end(asked)
    return as_of if as_instant(asked) <= as_of < end else end


def _named(text: str) -> tuple[datetime, datetime]:
    with suppress(ValueError):
        if not isinstance(day := parse_bound(text), datetime):
            return as_exclusive(day), as_end(day)
    match = _NAMED.fullmatch(text)
    if match is None or not 1970 <= int(match["year"]) <= 9997:
        raise ReportError(f"period: expected e.g. 2026, 2026-Q3 or 2026-10, got {text!r}")
    year, first, months = int(match["year"]), 1, 12
    if match["quarter"]:
        first, months = 3 * int(match["quarter"]) - 2, 3
    elif match["month"]:
        first, months = int(match["month"]), 1
    start = datetime(year, first, 1, tzinfo=UTC)
    after = first - 1 + months
    end = datetime(year + after // 12, after % 12 + 1, 1, tzinfo=UTC)
    return start - MICROSECOND, end - MICROSECOND


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
