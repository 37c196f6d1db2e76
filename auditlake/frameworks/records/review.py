"""Whether a person looked, for each interval, and in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from auditlake.events.durations import length_of
from auditlake.events.times import MICROSECOND
from auditlake.findings.decisions import Review
from auditlake.frameworks.model import CheckResult, Slot, SlotState
from auditlake.frameworks.records.model import Case, result
from auditlake.frameworks.records.slots import counted, in_words, intervals, is_due, state_of, stretches
from auditlake.packs.model import Control, RecordCheck, qualified

_KINDS: dict[SlotState, str] = {"missed": "review_missed", "late": "review_late"}


def check_review(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge the intervals that ended in the period: a review of each policy covers them, and came in time."""
    assert check.every is not None
    every = check.every
    slots = [_slot(check, case, start, end) for start, end in intervals(every, case.question)]
    words: dict[SlotState, str] = {"missed": "No review of", "late": "Reviewed late:"}
    found = stretches(slots, _KINDS, lambda state, n: f"{words[state]} {n:,} of the intervals of {every}")
    return result(
        check, control, case, in_words(slots, every), found, otherwise="pass" if is_due(slots) else "no_data",
        slots=slots, measures=counted(slots),
    )  # fmt: skip


def reviews_of(check: RecordCheck, case: Case) -> list[tuple[str, list[Review]]]:
    """Return, for each policy that a check is about, the reviews that say which period they are of."""
    ids = [each for each in check.of if each not in case.pack.unready]
    there = [each for each in case.decisions.reviews if each.since is not None and each.until is not None]
    return [(name, [each for each in there if each.is_about(qualified(case.pack.id, name))]) for name in ids]


def _slot(check: RecordCheck, case: Case, start: datetime, end: datetime) -> Slot:
    due = end + timedelta(microseconds=length_of(check.within))
    looked: dict[str, Review] = {}
    wanted = reviews_of(check, case)
    for name, reviews in wanted:
        covering = [each for each in reviews if _covers(each, start, end)]
        if covering:
            looked[name] = min(covering, key=lambda each: (each.at, each.number))
    if len(looked) < len(wanted) or not wanted:
        return Slot(start, end, due, state_of(None, due, case.question.as_of))
    last = max(looked.values(), key=lambda each: (each.at, each.number))
    after: dict[str, int] = {}
    for name, review in looked.items():
        batch = case.facts.last_batches.get(review.snapshot, 0)
        for event_type in case.pack.policies[name].required_events:
            after[event_type] = max(after.get(event_type, 0), batch)
    since, users = case.facts.came_after(start, end, after)
    return Slot(
        start, end, due, state_of(last.at, due, case.question.as_of), last.at, last.number, last.by, since,
        any(each.by in users for each in looked.values()),
    )  # fmt: skip


def _covers(review: Review, start: datetime, end: datetime) -> bool:
    assert review.since is not None
    assert review.until is not None
    return review.since <= start and end <= review.until + MICROSECOND
