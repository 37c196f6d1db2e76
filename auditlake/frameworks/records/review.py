"""Whether a person looked, for each interval, and in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from auditlake.events.durations import length_of
from auditlake.events.times import MICROSECOND
from auditlake.findings.decisions import Review
from auditlake.frameworks.model import CheckResult, Slot, SlotState
from auditlake.frameworks.records.model import Case, result
from auditlake.frameworks.records.slots import counted, in_words, intervals, is_due, state_of, stretches
from auditlake.packs.model import Control, RecordCheck, qualified
from auditlake.runs.model import UNATTENDED, FailedRun, Run

_KINDS: dict[SlotState, str] = {"missed": "review_missed", "late": "review_late"}


def check_review(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge the intervals that ended in the period: a review of each policy covers them, and came in time.

    Where a person must have given it, one that a program signed in its own name counts for nothing.
    """
    assert check.every is not None
    every, given = check.every, reviews_of(check, case)
    is_programs, who = (_programs(case), " by a person") if check.by == "person" else (lambda _: False, "")
    counting = [(name, [each for each in own if not is_programs(each)]) for name, own in given]
    slots = [_slot(counting, case, start, end, _due(check, end)) for start, end in intervals(every, case.question)]
    words: dict[SlotState, str] = {"missed": f"No review{who} of", "late": f"Reviewed{who} late:"}
    found = stretches(slots, _KINDS, lambda state, n: f"{words[state]} {n:,} of the intervals of {every}")
    aside = (each for _, own in given for each in own if is_programs(each))
    programs = sorted({each.by for each in aside if any(_covers(each, slot.start, slot.end) for slot in slots)})
    reason = in_words(slots, every) + (f"; what {', '.join(programs)} signed is by no person" if programs else "")
    return result(
        check, control, case, reason, found, otherwise="pass" if is_due(slots) else "no_data",
        slots=slots, measures=counted(slots),
    )  # fmt: skip


def _programs(case: Case) -> Callable[[Review], bool]:
    """Return what tells whether a program signed a review: an account that the lake's settings name as one.

    Where they do not say, it is one under which auditlake had run unattended before.
    """
    if case.programs is not None:
        names = frozenset(case.programs)
        return lambda review: review.by in names
    first: dict[str, datetime] = {}
    for run in case.runs:
        if isinstance(run, Run | FailedRun) and run.verb in UNATTENDED:
            first[run.user] = min(run.began, first.get(run.user, run.began))
    return lambda review: review.by in first and first[review.by] < review.at


def _due(check: RecordCheck, end: datetime) -> datetime:
    return end + timedelta(microseconds=length_of(check.within))


def reviews_of(check: RecordCheck, case: Case) -> list[tuple[str, list[Review]]]:
    """Return, for each policy that a check is about, the reviews that say which period they are of."""
    ids = [each for each in check.of if each not in case.pack.unready]
    there = [each for each in case.decisions.reviews if each.since is not None and each.until is not None]
    return [(name, [each for each in there if each.is_about(qualified(case.pack.id, name))]) for name in ids]


def _slot(
    wanted: Sequence[tuple[str, Sequence[Review]]], case: Case, start: datetime, end: datetime, due: datetime
) -> Slot:
    looked: dict[str, Review] = {}
    for name, reviews in wanted:
        covering = [each for each in reviews if _covers(each, start, end)]
        if covering:
            looked[name] = min(covering, key=lambda each: (each.at, each.number))
    if len(looked) < len(wanted) or not wanted:
        return Slot(start, end, due, state_of(None, due, case.question.as_of))
    last = max(looked.values(), key=lambda each: (each.at, each.number))
    after: dict[str, int] = {}
    for name, review in looked.items():
        for event_type in case.pack.policies[name].required_events:
            after[event_type] = max(after.get(event_type, 0), review.snapshot)
    since, users = case.facts.came_after(start, end, after)
    return Slot(
        start, end, due, state_of(last.at, due, case.question.as_of), last.at, last.number, last.by, since,
        any(each.by in users for each in looked.values()),
    )  # fmt: skip


def _covers(review: Review, start: datetime, end: datetime) -> bool:
    assert review.since is not None
    assert review.until is not None
    return review.since <= start and end <= review.until + MICROSECOND
