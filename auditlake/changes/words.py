"""What is different in each step, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from auditlake.changes.evaluate import Evaluation
from auditlake.changes.model import FindingChange, Point, Step, StepName
from auditlake.display.text import count, instant_name, moment, period_name
from auditlake.findings.decisions import (
    Acceptance,
    Applicability,
    Entry,
    Reopening,
    Resolution,
    Retraction,
    Review,
    Statement,
    Weakening,
)
from auditlake.frameworks.as_judged import Files

CAUSES = {
    "reported": "As reported", "deleted": "Events deleted", "late": "Events arrived late",
    "policy": "The policy changed", "decisions": "Decisions", "time": "Time passed",
}  # fmt: skip
"""What each step is called."""
WHAT = {"new": "new", "gone": "gone", "changed": "changed", "accepted": "accepted", "reopened": "no longer accepted"}
"""What became of a finding."""
_PLACES = {"new_events": ", of events after the earlier period", "left_period": ", before the later period"}
_MOST = 4
_LONGEST = 60


def why(
    name: StepName,
    first: Point,
    later: Point,
    last: Evaluation | None = None,
    now: Evaluation | None = None,
    *,
    subject: str = "",
    files: tuple[Files, Files] | None = None,
    entries: Sequence[Entry] = (),
) -> str:
    """Return what is different in a step.

    Args:
        name: The step.
        first: The earlier report.
        later: The later report.
        last: The evaluation before it.
        now: What it gave.
        subject: The policy, or the pack.
        files: What the two reports were judged by, of the step ``policy``.
        entries: The decisions between them, of the step ``decisions``.
    """
    if name == "reported" or last is None or now is None:
        return f"as of {instant_name(first.as_of)}, snapshot {first.snapshot}"
    events = now.numbers.events - last.numbers.events
    if name == "deleted":
        return f"{count(-events, 'event')} of the period went after snapshot {first.snapshot}"
    if name == "late":
        return f"{count(events, 'event')} of the period came after snapshot {first.snapshot}"
    if name == "policy":
        return _some([*_policies(*files, subject)] if files else [], "the text of the file alone")
    if name == "decisions":
        return _some([*map(_decision, entries)], "none that is about it")
    return f"{period_name(later.since, later.until)} instead of {period_name(first.since, first.until)}"


def change_in_words(each: FindingChange) -> str:
    """Return what became of a finding, in one line."""
    own, before, after = each.finding, each.before, each.after
    said = [own.message.rstrip(".")]
    if each.what == "changed" and before and after:
        for what, then, now in (("start", before.start, after.start), ("end", before.end, after.end)):
            if then != now:
                said.append(f"{what} {_moment(then)} became {_moment(now)}")
        if before.peak != after.peak:
            said.append(f"peak {before.peak} became {after.peak}")
    if each.what == "accepted" and after:
        said.append(f"{after.accepted_by} answers for it")
    return f"{WHAT[each.what]}: {'; '.join(said)}{_PLACES.get(each.place, '')}"


def _moment(when: datetime | None) -> str:
    """Return an instant to the second: what differs by less differs by its digits in the JSON."""
    return "open" if when is None else moment(when.replace(microsecond=0), zone=False)


def sum_in_words(steps: Sequence[Step]) -> str:
    """Return how the numbers of findings add up over the steps."""
    first, last = steps[0].numbers.findings, steps[-1].numbers.findings
    new, gone = (sum(step.count(what) for step in steps) for what in ("new", "gone"))
    return f"{count(first, 'finding')}, {new:,} new, {gone:,} gone: {last:,}"


def _policies(before: Files, after: Files, subject: str) -> Iterator[str]:
    packs, then = (each.packs.packs if each.packs else {} for each in (after, before))
    for name, pack in packs.items():
        if (old := then.get(name)) is not None:
            if old.revision != pack.revision:
                yield f"{name} {old.revision} became {pack.revision}"
            values = {**old.values, **pack.values}
            yield from (
                f"{name}: {key} {_value(old.values.get(key))} became {_value(pack.values.get(key))}"
                for key in values if old.values.get(key) != pack.values.get(key)
            )  # fmt: skip
    one, other = before.policies, after.policies
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name] and not (packs and "--" in name):
            yield from (f"{name}: {said}" if name != subject else said for said in _keys(one[name], other[name]))


def _keys(before: bytes, after: bytes) -> Iterator[str]:
    import yaml

    then, now = (yaml.safe_load(each) for each in (before, after))
    for key in dict.fromkeys((*then, *now)):
        if then.get(key) != now.get(key):
            yield f"{key} {_value(then.get(key))} became {_value(now.get(key))}"


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _decision(entry: Entry) -> str:
    match entry:
        case Acceptance():
            said = f"finding {entry.finding_id} accepted until {moment(entry.until)}, {entry.owner} answers for it"
        case Reopening():
            said = f"acceptance {entry.acceptance} taken back"
        case Review():
            said = f"reviewed by {entry.by}"
        case Resolution():
            said = f"finding {entry.finding_id} dealt with"
        case Statement():
            said = f"{entry.control} stated {entry.result.replace('_', ' ')} by {entry.by}"
        case Applicability():
            said = f"{entry.control} does not apply, {entry.owner} answers for it"
        case Weakening():
            said = f"{entry.parameter} weakened to {_value(entry.value)}, {entry.owner} answers for it"
        case Retraction():
            said = f"entry {entry.entry} taken back"
    return f"entry {entry.number}: {said}"


def _some(parts: Sequence[str], otherwise: str) -> str:
    if not parts:
        return otherwise
    more = f", and {count(len(parts) - _MOST, 'more')}" if len(parts) > _MOST else ""
    return "; ".join(parts[:_MOST]) + more
