"""The brute-force oracle: docs/reference/semantics.md in plain Python.

It counts at every instant where a count can change.

Where docs/reference/semantics.md leaves a choice, the most literal reading is taken:

1. An instant is a whole number of microseconds. The days of a period are those from the day of `since` + 1 µs to the
   day of `until`; `daily_peaks` and `silent_days` use the same days.
2. `since` is outside the period, but its count is carried over into it: `c_g(since)` takes part in an episode's peak
   and in the daily peak of the day that `since` is on, if that day is listed. It is not handed on to the next day:
   with `since` on the last microsecond of a day, the next day begins with `c_g(midnight)`.
3. `c_g(since) >= k` always gives an episode, even one that began at `since` itself or that is over 1 µs later.
4. An episode that starts at `until` is found (ongoing); one that falls below k exactly at `until` ends there.
5. `since` and `until` bound what is judged; `recent_events` and `status_now` look at T alone, also where T > `until`.
6. A lake without any event up to T has only null days. The lake's first event counts whatever its source, also
   'auditlake.self'.
7. A day is silent if no governed event lies in that day's part of the period, so an event of the same day but before
   `since` or after `until` does not help. Days before the lake's first event are silent too ("always given").
8. `coverage: optional` switches off missing_required_type only; `max_gap` still finds gaps.
9. A gap has its true end, which may lie after `until`; `end` is null only where the stretch runs to T because no
   occurrence ends it. An occurrence exactly at T ends it.
10. A finding has the keys of its kind only. threshold_exceeded always has `group`, null without `group_by`.
11. `where_errors` and `ungrouped_events` count governed events of the period, not those of the look-back.
12. An event is older than the cutoff iff `timestamp < cutoff`, which is the same as expired under this policy alone.
    The policy itself always takes part in the maximum over all policies, also if the caller leaves it out of them.
13. Conflicts of a report are those that its policy takes part in, on either side, one for each common event type. A
    policy never conflicts with itself (compared by id), nor do equal lengths.
14. A part of a hold that is None or empty is not given, so matches everything; only active holds are passed in.
15. With no acceptances passed in, every finding counts for the status.
16. A policy without a threshold has neither episodes nor a status of now, and one without a retention period says
    nothing of retention; the answers to those questions are None. Coverage is answered always.
17. `status_now` is `no_data` only if no group is at the threshold.
18. An event is out of scope only where the scope is false. Out of scope it is governed for retention alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from auditlake.policies.model import Policy

Where = Callable[["Ev"], "bool | None"]
Groups = dict[tuple[str, ...], list[int]]
"""The values of each group and the instants of its events."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = 86_400_000_000
SELF = "auditlake.self"


@dataclass(frozen=True)
class Ev:
    """An event of the lake, as far as a policy can see it."""

    event_type: str
    timestamp: datetime
    event_id: str
    user_id: str | None = None
    action: str | None = None
    resource: str | None = None
    status: str | None = None
    session_id: str | None = None
    ip_address: str | None = None
    source: str | None = "auditlake"

    @property
    def at(self) -> int:
        """Its instant in microseconds since 1970."""
        return micros(self.timestamp)


@dataclass(frozen=True)
class Hold:
    """An active legal hold; what is None or empty is not given and matches everything."""

    event_types: tuple[str, ...] | None = None
    user_ids: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None


def judge(
    events: Sequence[Ev],
    policy: Policy,
    policies: Sequence[Policy],
    *,
    as_of: datetime,
    since: datetime,
    until: datetime,
    where: Where | None = None,
    scope: Where | None = None,
    taken: Mapping[str, str] | None = None,
    holds: Sequence[Hold] = (),
) -> dict[str, Any]:
    """The numbers of the JSON report of `policy` as of `as_of` over `(since, until]`."""
    if not since < until <= as_of:
        raise ValueError("a period needs since < until <= as_of")
    now, first, last = micros(as_of), micros(since), micros(until)
    known = [e for e in events if e.at <= now]
    everything = [e for e in known if e.event_type in policy.required_events]
    governed = [e for e in everything if verdict(scope, e) is not False]
    in_period = [e for e in governed if first < e.at <= last]
    by_type = {name: sum(1 for e in in_period if e.event_type == name) for name in sorted(policy.required_events)}
    groups = grouped([e for e in governed if matches(where, e)], policy.group_by)
    breaches = exceeded(policy, groups, first, last)
    seen = by_type if policy.coverage != "proven" else ever(policy, governed, last, taken or {})
    findings = breaches + missing(policy, seen) + gaps(policy, governed, first, last, now)
    findings += incomplete(policy, in_period)
    heard = any(first < e.at <= last and e.source != SELF for e in known)
    return {
        "status": "no_data" if not heard else "violation" if findings else "compliant",
        "status_now": status_now(policy, groups, known, now),
        "total_events": sum(by_type.values()),
        "events_by_type": by_type,
        "last_seen": {name: text(max(of_type(governed, name), default=None)) for name in by_type},
        "violations": sorted(findings, key=sort_key),
        "threshold": None
        if policy.alert_threshold is None
        else {
            "where_errors": sum(1 for e in in_period if verdict(where, e) == "error"),
            "recent_events": sum(
                1 for e in governed if matches(where, e) and now - policy.window.microseconds < e.at <= now
            ),
            "ungrouped_events": sum(1 for e in in_period if matches(where, e) and group_of(e, policy.group_by) is None),
            "future_events": sum(
                1
                for e in events
                if e.at > now and e.event_type in policy.required_events and verdict(scope, e) is not False
            ),
            "episodes": len(breaches),
            "daily_peaks": daily_peaks(policy, groups, known, first, last),
        },
        "coverage": {
            "silent_days": silent_days(in_period, first, last),
            **(
                {}
                if scope is None
                else {
                    "scope_unknown": sum(
                        first < e.at <= last and verdict(scope, e) in {None, "error"} for e in everything
                    )
                }
            ),
            "fields": {
                name: {
                    "any_of": list(rule.any_of),
                    "at_least": float(rule.at_least),
                    "types": {
                        each: {"events": by_type[each], "missing": len(without(policy, name, each, in_period))}
                        for each in by_type
                    },
                }
                for name, rule in policy.fields.items()
            },
        },
        "retention": policy.retention_period and retention(policy, [policy, *policies], everything, now, holds),
    }


def status_now(policy: Policy, groups: Groups, known: Sequence[Ev], now: int) -> str | None:
    """How the last window stands: None without a threshold."""
    window, k = policy.window.microseconds, policy.alert_threshold
    if k is None:
        return None
    if any(count(times, now, window) >= k for times in groups.values()):
        return "violation"
    return "compliant" if any(now - window < e.at <= now and e.source != SELF for e in known) else "no_data"


# --- Time ---


def micros(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - EPOCH) // MICROSECOND


def text(at: int | None) -> str | None:
    """An instant as the report writes it."""
    if at is None:
        return None
    return (EPOCH + at * MICROSECOND).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def date(at: int) -> str:
    """The UTC day of an instant as the report writes it."""
    return (EPOCH + at * MICROSECOND).date().isoformat()


def midnight(at: int) -> int:
    """00:00 UTC of an instant's day."""
    return at - at % DAY


def days(since: int, until: int) -> range:
    """The midnights of the days that have an instant in `(since, until]`."""
    return range(midnight(since + 1), midnight(until) + 1, DAY)


# --- Which events ---


def verdict(where: Where | None, event: Ev) -> bool | str | None:
    """What the policy's condition says of an event: True, False, None or 'error'."""
    if where is None:
        return True
    try:
        return where(event)
    except Exception:
        return "error"


def matches(where: Where | None, event: Ev) -> bool:
    """Whether the condition is true; neither NULL nor an error is."""
    return verdict(where, event) is True


def of_type(events: Iterable[Ev], name: str) -> list[int]:
    """The instants of one event type in order."""
    return sorted(e.at for e in events if e.event_type == name)


def group_of(event: Ev, columns: Sequence[str]) -> tuple[str, ...] | None:
    """The values of an event's group, or None where one of them is NULL."""
    values = tuple(getattr(event, column) for column in columns)
    return None if None in values else values


def grouped(events: Iterable[Ev], columns: Sequence[str]) -> Groups:
    """The instants of every group's events; without columns there is one group."""
    groups: Groups = {}
    for event in events:
        values = group_of(event, columns)
        if values is not None:
            groups.setdefault(values, []).append(event.at)
    return groups


# --- 1. Counts in a rolling window ---


def count(times: Sequence[int], t: int, window: int) -> int:
    """c(t): how many of `times` lie in `(t - window, t]`."""
    return sum(1 for x in times if t - window < x <= t)


def changes(times: Sequence[int], window: int, start: int, end: int) -> list[int]:
    """`start`, and every instant from `start` to `end` at which the count may change, in order."""
    return sorted({start} | {t for x in times for t in (x, x + window) if start <= t <= end})


def episodes(times: Sequence[int], k: int, window: int, since: int, until: int) -> list[dict[str, Any]]:
    """The maximal stretches with `c(t) >= k`, clipped to the period."""
    found: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    for t in changes(times, window, since, until):
        n = count(times, t, window)
        if n < k:
            if current is not None:
                current["end"] = t
            current = None
        elif current is None:
            current = {"start": t, "end": None, "peak": n, "peak_at": t}
            found.append(current)
        elif n > current["peak"]:
            current["peak"], current["peak_at"] = n, t
    return found


def exceeded(policy: Policy, groups: Groups, since: int, until: int) -> list[dict[str, Any]]:
    """One threshold_exceeded finding for each episode of each group."""
    window, k = policy.window.microseconds, policy.alert_threshold
    found: list[dict[str, Any]] = []
    if k is None:
        return found
    for values, times in groups.items():
        for episode in episodes(times, k, window, since, until):
            found.append(
                {
                    **identity(policy, "threshold_exceeded", group=values, start=episode["start"]),
                    "group": dict(zip(policy.group_by, values, strict=True)) if policy.group_by else None,
                    "start": text(episode["start"]),
                    "end": text(episode["end"]),
                    "ongoing": episode["end"] is None,
                    "started_before_period": episode["start"] == since,
                    "peak": episode["peak"],
                    "peak_at": text(episode["peak_at"]),
                }
            )
    return found


def daily_peaks(policy: Policy, groups: Groups, known: Sequence[Ev], since: int, until: int) -> list[dict[str, Any]]:
    """For each day of the period the largest count of any group, null before the lake's first event."""
    first_event = min((e.at for e in known), default=None)
    found = []
    for day in days(since, until):
        unknown = first_event is None or day < midnight(first_event)
        found.append({"date": date(day), "peak": None if unknown else day_peak(policy, groups, day, since, until)})
    return found


def day_peak(policy: Policy, groups: Groups, day: int, since: int, until: int) -> int:
    """The largest count of any group at any moment of a day from `since` to `until`, carried-over counts included."""
    window = policy.window.microseconds
    start, end = max(day, since), min(day + DAY - 1, until)
    counts = [count(times, t, window) for times in groups.values() for t in changes(times, window, start, end)]
    return max(counts, default=0)


# --- 2. Missing required types ---


def missing(policy: Policy, by_type: Mapping[str, int]) -> list[dict[str, Any]]:
    """One missing_required_type finding for each required type without an event in the period."""
    if policy.coverage == "optional":
        return []
    return [
        {**identity(policy, "missing_required_type", event_type=name), "event_type": name}
        for name, n in by_type.items()
        if n == 0
    ]


def ever(policy: Policy, governed: Sequence[Ev], until: int, taken: Mapping[str, str]) -> dict[str, int]:
    """How often each required type came up to `until`; 1 where a certificate took some of a day that was over then."""
    seen = {name: sum(1 for e in governed if e.event_type == name and e.at <= until) for name in policy.required_events}
    over = {name for name, day in taken.items() if micros(datetime.fromisoformat(f"{day}T00:00Z")) + DAY <= until + 1}
    return {name: number or int(name in over) for name, number in seen.items()}


def is_filled(value: str | None, placeholders: Sequence[str]) -> bool:
    """Whether a text says anything."""
    if value is None:
        return False
    white, lowered = " \t\n\v\f\r", value.translate({n: n + 32 for n in range(65, 91)})
    words = {word.strip(white).translate({n: n + 32 for n in range(65, 91)}) for word in placeholders}
    return lowered.strip(white) not in words | {""}


def without(policy: Policy, name: str, event_type: str, in_period: Sequence[Ev]) -> list[Ev]:
    """The events of a type that lack a field."""
    return [
        e for e in in_period
        if e.event_type == event_type
        and not any(is_filled(getattr(e, column), policy.placeholders) for column in policy.fields[name].any_of)
    ]  # fmt: skip


def incomplete(policy: Policy, in_period: Sequence[Ev]) -> list[dict[str, Any]]:
    """One field_incomplete finding for each field that too many events of a type lack."""
    found = []
    for name, rule in policy.fields.items():
        for event_type in policy.required_events:
            lacking = without(policy, name, event_type, in_period)
            n, m = sum(1 for e in in_period if e.event_type == event_type), len(lacking)
            if n and Fraction(n - m, n) < Fraction(rule.at_least):
                group = {"field": name}
                digest = hashlib.sha256(
                    compact([policy.id, "field_incomplete", compact(group), event_type, ""]).encode()
                )
                found.append({
                    "id": digest.hexdigest()[:16], "kind": "field_incomplete", "event_type": event_type,
                    "group": group, "start": None, "end": None,
                    "measures": {
                        "events": n, "missing": m, "first": text(min(e.at for e in lacking)),
                        "last": text(max(e.at for e in lacking)),
                        "by_source": dict(sorted(Counter(e.source for e in lacking).items())),
                    },
                })  # fmt: skip
    return found


def gaps(policy: Policy, governed: Sequence[Ev], since: int, until: int, now: int) -> list[dict[str, Any]]:
    """One coverage_gap finding for each stretch longer than `max_gap` that overlaps the period."""
    if policy.max_gap is None:
        return []
    limits = {name: rule.longest.microseconds for name, rule in policy.gap_rules.items()}
    found = []
    for name, limit in limits.items():
        times = of_type(governed, name)
        for n, start in enumerate(times):
            end = times[n + 1] if n + 1 < len(times) else None
            reach = now if end is None else end
            if reach - start > limit and start < until and reach > since:
                found.append(
                    {
                        **identity(policy, "coverage_gap", event_type=name, start=start),
                        "event_type": name,
                        "start": text(start),
                        "end": text(end),
                    }
                )
    return found


def silent_days(in_period: Sequence[Ev], since: int, until: int) -> list[str]:
    """The days of the period without a governed event."""
    return [date(day) for day in days(since, until) if not any(midnight(e.at) == day for e in in_period)]


# --- 3. Retention ---


def retention(
    policy: Policy, policies: Sequence[Policy], governed: Sequence[Ev], now: int, holds: Sequence[Hold]
) -> dict[str, Any]:
    """What retention says of the policy's governed events up to T."""
    assert policy.retention_period is not None
    cutoff = midnight(now) - policy.retention_period.microseconds
    old = [e for e in governed if e.at < cutoff]
    held = [e for e in old if any(holds_event(hold, e) for hold in holds)]
    kept = [e for e in old if e not in held and not expired(e, policies, now)]
    return {
        "cutoff": text(cutoff),
        "due": sum(1 for e in old if e not in held and e not in kept),
        "kept_by_other_policies": len(kept),
        "held": len(held),
        "oldest_event": text(min((e.at for e in governed), default=None)),
        "conflicts": len(conflicts(policy, policies)),
    }


def expired(event: Ev, policies: Sequence[Policy], now: int) -> bool:
    """Whether no policy needs the event on T's day any more."""
    keepers = [p.retention_period for p in policies if event.event_type in p.required_events]
    longest = max(length.microseconds for length in keepers if length is not None)
    return event.at + longest < midnight(now)


def holds_event(hold: Hold, event: Ev) -> bool:
    """Whether an event matches everything that a hold gives."""
    return (
        (not hold.event_types or event.event_type in hold.event_types)
        and (not hold.user_ids or event.user_id in hold.user_ids)
        and (not hold.resources or event.resource in hold.resources)
        and (hold.since is None or micros(hold.since) <= event.at)
        and (hold.until is None or event.at <= micros(hold.until))
    )


def conflicts(policy: Policy, policies: Sequence[Policy]) -> set[tuple[str, str, str]]:
    """(event type, keeping policy, limiting policy) where this policy keeps longer than another may, or the reverse."""
    return {
        (name, keep.id, limit.id)
        for keep in policies
        for limit in policies
        if keep.id != limit.id
        and policy.id in (keep.id, limit.id)
        and limit.max_retention is not None
        and keep.retention_period is not None
        and limit.max_retention.microseconds < keep.retention_period.microseconds
        for name in set(keep.required_events) & set(limit.required_events)
    }


# --- Findings ---


def compact(value: Any) -> str:
    """JSON text without white space or escapes that are not needed."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def canonical(group: Mapping[str, str] | None) -> str:
    """A group as the text that findings are named and sorted by; "" for none."""
    return compact(group) if group else ""


def identity(
    policy: Policy, kind: str, *, group: tuple[str, ...] = (), event_type: str = "", start: int | None = None
) -> dict[str, Any]:
    """The `id` and `kind` of a finding."""
    name = canonical(dict(zip(policy.group_by, group, strict=False)))
    digest = hashlib.sha256(compact([policy.id, kind, name, event_type, text(start) or ""]).encode())
    return {"id": digest.hexdigest()[:16], "kind": kind}


def sort_key(finding: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Where a finding stands among the others."""
    return (
        finding["kind"],
        finding.get("start") or "",
        canonical(finding.get("group")),
        finding.get("event_type") or "",
    )
