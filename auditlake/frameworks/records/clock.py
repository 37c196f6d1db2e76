"""Whether an event is dated ahead of its arrival, as one by a clock that is wrong."""

from __future__ import annotations

from auditlake.events.durations import length_of
from auditlake.frameworks.model import CheckResult
from auditlake.frameworks.records.model import NOTHING_CAME, Case, Found, result
from auditlake.packs.model import Control, RecordCheck


def check_clock(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge whether an event of the period is dated further ahead of its arrival than a length."""
    ahead = case.facts.ahead.get(length_of(check.ahead), {})
    events = sum(case.facts.arrived.values())
    measures = {"events": events, "ahead": sum(ahead.values())}
    if not events:
        return result(check, control, case, NOTHING_CAME, otherwise="no_data", measures=measures)
    reason = f"{measures['ahead']:,} of {events:,} events are dated ahead of their arrival by more than {check.ahead}"
    found = [
        Found(
            "clock_ahead", f"{number:,} events of {name} are dated ahead of their arrival by more than {check.ahead}",
            group={"source": name}, measures={"ahead": number},
        )
        for name, number in sorted(ahead.items())
        if number
    ]  # fmt: skip
    return result(check, control, case, reason, found, measures=measures)
