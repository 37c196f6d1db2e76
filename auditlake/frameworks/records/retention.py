"""Whether events are kept long enough, can be read, and are gone or show no names after their time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta

from auditlake.events.durations import Duration, length_of
from auditlake.frameworks.kept import Opposed, opposing
from auditlake.frameworks.model import CheckResult, Status
from auditlake.frameworks.records.model import Case, Found, result
from auditlake.packs.model import Control, RecordCheck
from auditlake.policies.model import longest_retention

_DAY = timedelta(days=1)


def check_retention(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge what was kept: the rules, the certificates of deletions, what is old, the names in it, and the beginning.

    That the lake is younger than what must be kept is no failure, and no pass either. All that is in the snapshot can
    be read: without that there is no report.
    """
    types = sorted(case.governed([each for each in case.pack.policies if each not in case.pack.unready]))
    of_events = check.max is not None and check.max_of == "event"
    own = case.pack.policies.values()
    opposed = {name: each for name in types if of_events and (each := opposing(name, case, own))}
    found = [*_rules(check, case, types), *_taken(check, case, types)]
    found += [*_opposed(opposed), *_old(check, case, types, opposed)] if of_events else _names(check, case, types)
    status, reason = _beginning(check, case)
    if aside := [each.finding.message for each in opposed.values() if not each.is_binding]:
        reason += f"; {aside[0]}" + (f", and {len(aside) - 1} more" if aside[1:] else "")
    if found:
        reason = "; ".join(each.message for each in found[:1]) + (f", and {len(found) - 1} more" if found[1:] else "")
    first = case.facts.first_event
    return result(check, control, case, reason, found, otherwise=status, measures={
        "types": len(types), "begins": first and f"{first:%Y-%m-%d}",
    })  # fmt: skip


def _rules(check: RecordCheck, case: Case, types: list[str]) -> Iterator[Found]:
    """Yield the types that the rules let go too early."""
    for name in types if check.min else ():
        keeper = longest_retention(name, case.policies)
        if length_of(keeper.retention_period if keeper else None) < length_of(check.min):
            kept = f"{keeper.retention_period} by {keeper.id}" if keeper else "not at all"
            yield Found("kept_too_short", f"{name} must be kept {check.min} and is kept {kept}", event_type=name)


def _taken(check: RecordCheck, case: Case, types: list[str]) -> Iterator[Found]:
    """Yield the days of which a certificate may have taken events younger than the minimum.

    What another policy let go of other types on these days is none of them: the certificate's rules say how long each
    type was kept.
    """
    for deletion in case.facts.deletions if check.min else ():
        least = length_of(check.min)
        which = [name for name in types if deletion.keeps(name) < least]
        young = (deletion.at - timedelta(microseconds=least)).date()
        if days := sorted(day for day in deletion.days_of(which) if day >= young):
            events = sum(deletion.days[day] for day in days)
            message = (
                f"The certificate of {deletion.at:%Y-%m-%d} took {events:,} events younger than {check.min}, "
                f"from {days[0]} to {days[-1]}"
            )
            yield Found("taken_too_early", message, deletion.at, measures={"events": events, "days": len(days)})


def _names(check: RecordCheck, case: Case, types: list[str]) -> Iterator[Found]:
    """Yield the types with events that name a person for longer than they may."""
    named = case.facts.named.get(length_of(check.max), {}) if check.max else {}
    for name in types:
        if number := named.get(name):
            message = f"{number:,} events of {name} are older than {check.max} and name somebody"
            yield Found("kept_too_long", message, event_type=name, measures={"events": number})


def _opposed(opposed: Mapping[str, Opposed]) -> Iterator[Found]:
    """Yield the types that must be gone before they may, where neither length is common practice or a default."""
    for name, each in opposed.items():
        if each.is_binding:
            finding = each.finding
            yield Found(
                finding.kind, finding.message, event_type=name, group=finding.group,
                measures={"finding": finding.id, **finding.measures}, accepted=finding.accepted,
            )  # fmt: skip


def _old(check: RecordCheck, case: Case, types: list[str], opposed: Mapping[str, Opposed]) -> Iterator[Found]:
    """Yield the types with events that are there for longer than they may, those aside that a policy keeps."""
    older = case.facts.older.get(length_of(check.max), {})
    for name in types:
        if (number := older.get(name)) and name not in opposed:
            message = f"{number:,} events of {name} are older than {check.max}"
            yield Found("kept_too_long", message, event_type=name, measures={"events": number})


def _beginning(check: RecordCheck, case: Case) -> tuple[Status, str]:
    """Return how it stands where nothing is wrong: whether the lake reaches as far back as must be kept."""
    if case.facts.first_event is None:
        return "no_data", "the lake holds no event"
    parts = [f"events are kept {check.min} or longer, and none was deleted too early"] if check.min else []
    parts += [f"the last {check.hot} were read"] if check.hot else []
    says = "is there that nothing keeps" if check.max_of == "event" else "names anybody"
    parts += [f"no event older than {check.max} {says}"] if check.max else []
    taken = (datetime.combine(day, time.min, UTC) for each in case.facts.deletions for day in each.days)
    if check.min and (short := _short(check.min, min([case.facts.first_event, *taken]), case.question.until)):
        return "no_data", short
    return "pass", "; ".join(parts)


def _short(least: Duration, first: datetime, until: datetime) -> str | None:
    """Return how many days are missing; None if none is."""
    if first <= until - timedelta(microseconds=least.microseconds):
        return None
    asked = least.microseconds // (_DAY // timedelta(microseconds=1))
    there = min((until.date() - first.date()).days + 1, asked)
    return f"the lake begins on {first:%Y-%m-%d}, so {there:,} of {asked:,} days can be shown"
