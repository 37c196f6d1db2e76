"""Whether the lake was verified, for each interval, and found to be as recorded."""

from __future__ import annotations

from datetime import datetime

from auditlake.events.times import MICROSECOND
from auditlake.frameworks.model import CheckResult, Slot, SlotState
from auditlake.frameworks.records.model import Case, Found, result
from auditlake.frameworks.records.slots import counted, in_words, intervals, is_due, state_of, stretches
from auditlake.packs.model import Control, RecordCheck
from auditlake.runs.model import Verification

_KINDS: dict[SlotState, str] = {"missed": "integrity_missed"}


def check_integrity(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge the intervals that ended in the period: a verification began within them, and found nothing."""
    assert check.every is not None
    every, there = check.every, [each for each in case.runs if isinstance(each, Verification)]
    if not there:
        return result(check, control, case, "no verification is on record", otherwise="not_evaluated")
    slots = [_slot(check, there, start, end, case.question.as_of) for start, end in intervals(every, case.question)]
    found = stretches(slots, _KINDS, lambda _, n: f"No verification in {n:,} of the intervals of {every}")
    broken = _broken(there)
    problems = [_problem(each) for each in broken]
    reason = "; ".join([*(each.message for each in problems), in_words(slots, every)])
    return result(
        check, control, case, reason, [*problems, *found], otherwise="pass" if is_due(slots) else "no_data",
        slots=slots, measures=counted(slots) | {"broken": len(broken)},
    )  # fmt: skip


def _slot(check: RecordCheck, there: list[Verification], start: datetime, end: datetime, as_of: datetime) -> Slot:
    """Return an interval; nothing can be made up for, so it is due with its own last microsecond."""
    clean = (each for each in there if each.ok and start <= each.at < end and _suffices(check, each))
    run = min(clean, key=lambda each: (each.at, each.number), default=None)
    if run is None:
        return Slot(start, end, end, state_of(None, end - MICROSECOND, as_of))
    return Slot(start, end, end, "met", run.at, run.number, run.user)


def _suffices(check: RecordCheck, run: Verification) -> bool:
    return (check.level != "full" or run.level == "full") and (run.kept or not check.kept)


def _broken(there: list[Verification]) -> list[Verification]:
    """Return the verifications that found something, and after which none that looked as closely was clean."""
    return [
        run for run in there
        if not run.ok and not any(
            later.ok and later.at > run.at and (later.level == "full" or run.level == "quick")
            and (later.kept or not run.kept)
            for later in there
        )
    ]  # fmt: skip


def _problem(run: Verification) -> Found:
    said = f"{run.problems:,} problem{'s' if run.problems > 1 else ''}"
    message = f"The {run.level} verification of {run.at:%Y-%m-%d %H:%M} UTC found {said}"
    return Found("integrity_broken", message, run.at, measures={"problems": run.problems, "entry": run.number})
