"""Whether events reached the lake in time."""

from __future__ import annotations

from decimal import Decimal

from auditlake.events.durations import length_of
from auditlake.frameworks.model import CheckResult
from auditlake.frameworks.records.model import NOTHING_CAME, Case, Found, result
from auditlake.packs.model import Control, RecordCheck


def check_arrival(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge how many of the period's events arrived in time; loads that were marked as history are left out."""
    length = length_of(check.within)
    late, aside_of = case.facts.late.get(length, {}), case.facts.history.get(length, {})
    sources = {name: total - aside_of.get(name, 0) for name, total in sorted(case.facts.arrived.items())}
    events, lates, history = sum(sources.values()), sum(late.values()), sum(aside_of.values())
    measures = {"events": events, "late": lates, "history": history}
    aside = f"; {history:,} came as history and are left out" if history else ""
    if not events:
        reason = f"the period has no event that did not come as history{aside}" if history else NOTHING_CAME
        return result(check, control, case, reason, otherwise="no_data", measures=measures)
    reason = f"{events - lates:,} of {events:,} events arrived within {check.within}{aside}"
    found = [
        Found(
            "arrival_late", f"{late[name]:,} of {total:,} events of {name} arrived later than {check.within}",
            group={"source": name}, measures={"events": total, "late": late[name]},
        )
        for name, total in sources.items()
        if late.get(name)
    ]  # fmt: skip
    enough = events - lates >= (Decimal(1) if check.share is None else check.share) * events
    return result(check, control, case, reason, [] if enough else found, measures=measures)
