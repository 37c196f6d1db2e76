"""What became of the findings of one evaluation in the next: matched by what they are about, and by when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from auditlake.changes.model import ControlChange, FindingChange, Found, Place, Point

_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
ABSENT = "absent"
"""What stands for the status of a control that a pack does not have."""


def compared(before: Sequence[Found], after: Sequence[Found]) -> tuple[FindingChange, ...]:
    """Return what became of findings, in the order of time.

    Two findings are the same where they have one subject and their stretches of time overlap; those without
    start and end always do. They are paired in the order of their starts, each once. What is left over is gone, or new.
    """
    later: dict[tuple[str, ...], list[Found]] = defaultdict(list)
    for each in sorted(after, key=_start):
        later[each.subject].append(each)
    changes: list[FindingChange] = []
    for each in sorted(before, key=_start):
        candidates = later[each.subject]
        found = next((other for other in candidates if _overlap(each, other)), None)
        if found is None:
            changes.append(FindingChange("gone", each, None))
        else:
            candidates.remove(found)
            changes.extend(_between(each, found))
    changes.extend(FindingChange("new", None, each) for left in later.values() for each in left)
    return tuple(sorted(changes, key=lambda each: (_start(each.finding), each.finding.subject, each.what)))


def placed(changes: Sequence[FindingChange], before: Point, after: Point) -> tuple[FindingChange, ...]:
    """Return the changes of the step ``time``, each with its place: new events, or a period that was left."""

    def place(each: FindingChange) -> Place:
        own = each.finding
        if each.what == "gone" and own.start is not None and (own.end or _NEVER) <= after.since:
            return "left_period"
        if each.what in ("new", "changed") and own.start is not None and (own.end or _NEVER) > before.until:
            return "new_events"
        return ""

    return tuple(FindingChange(each.what, each.before, each.after, place(each)) for each in changes)


def controls_changed(
    before: Mapping[str, str], after: Mapping[str, str], was: Mapping[str, str]
) -> tuple[ControlChange, ...]:
    """Return the controls whose status differs, in the order of the later pack, those that it lost at the end.

    Args:
        before: The status of each control.
        after: The same in the next evaluation.
        was: Controls of ``after`` that have another id in ``before``, with that id.
    """
    renamed = {old for new, old in was.items() if new in after and new not in before}
    names = dict.fromkeys((*after, *(each for each in before if each not in renamed)))
    pairs = (
        (name, before.get(name, before.get(was.get(name, name), ABSENT)), after.get(name, ABSENT)) for name in names
    )
    return tuple(ControlChange(name, then, now) for name, then, now in pairs if then != now)


def _between(before: Found, after: Found) -> Iterator[FindingChange]:
    if (before.start, before.end, before.peak) != (after.start, after.end, after.peak):
        yield FindingChange("changed", before, after)
    if bool(before.accepted_by) is not bool(after.accepted_by):
        yield FindingChange("accepted" if after.accepted_by else "reopened", before, after)


def _overlap(one: Found, other: Found) -> bool:
    if one.start is None and other.start is None and (one.end is None or other.end is None):
        return True
    start, its_start = (each.start or _EVER for each in (one, other))
    return start == its_start or (start < (other.end or _NEVER) and its_start < (one.end or _NEVER))


def _start(found: Found) -> tuple[bool, datetime]:
    return found.start is not None, found.start or _NEVER
