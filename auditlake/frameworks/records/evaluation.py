"""Whether the policies were evaluated, for each interval, and in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from auditlake.events.durations import length_of
from auditlake.events.times import MICROSECOND
from auditlake.frameworks.model import CheckResult, Slot, SlotState
from auditlake.frameworks.records.model import Case, result
from auditlake.frameworks.records.slots import counted, in_words, intervals, is_due, state_of, stretches
from auditlake.packs.model import Control, RecordCheck
from auditlake.packs.settings import ALL
from auditlake.runs.model import FailedRun, Run

_KINDS: dict[SlotState, str] = {"missed": "evaluation_missed", "failed": "evaluation_failed", "late": "evaluation_late"}


def check_evaluation(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge the intervals that ended in the period: a run judged each policy over them, and began in time."""
    assert check.every is not None
    every, wanted = check.every, {*case.named(check.of)}
    if not any({ALL, case.pack.id} & {*each.evaluate} or wanted <= {*each.evaluate} for each in case.schedules):
        return result(check, control, case, "no schedule is declared", otherwise="not_evaluated")
    slots = [_slot(check, case, start, end) for start, end in intervals(every, case.question)]
    words: dict[SlotState, str] = {
        "missed": "No evaluation of",
        "failed": "Evaluations failed of",
        "late": "Evaluated late:",
    }
    found = stretches(slots, _KINDS, lambda state, n: f"{words[state]} {n:,} of the intervals of {every}")
    return result(
        check, control, case, in_words(slots, every), found, otherwise="pass" if is_due(slots) else "no_data",
        slots=slots, measures=counted(slots),
    )  # fmt: skip


def _slot(check: RecordCheck, case: Case, start: datetime, end: datetime) -> Slot:
    due = end + timedelta(microseconds=length_of(check.within))
    last, policies = end - MICROSECOND, case.named(check.of)
    whole = (
        run for run in case.runs
        if isinstance(run, Run) and policies and all(run.judged(each, start, last) for each in policies)
    )  # fmt: skip
    if (run := min(whole, key=lambda each: (each.at, each.number), default=None)) is not None:
        return Slot(start, end, due, state_of(run.at, due, case.question.as_of), run.at, run.number, run.user)
    state = state_of(None, due, case.question.as_of)
    if state == "missed" and any(_failed(run, policies) and end <= run.began <= due for run in case.runs):
        state = "failed"
    return Slot(start, end, due, state)


def _failed(run: object, policies: tuple[str, ...]) -> bool:
    """Return whether a run ended with an error, or one of the policies could not be judged in it."""
    if isinstance(run, Run):
        answers = (run.answers.get(each) for each in policies)
        return run.state == "error" or any(each is not None and each.status == "error" for each in answers)
    return isinstance(run, FailedRun)
