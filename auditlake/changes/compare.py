"""What became of the findings of one evaluation in the next: matched by what they are about, and by when."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

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
    subjects: dict[tuple[str, ...], tuple[list[Found], list[Found]]] = {}
    for which, found in enumerate((before, after)):
        for each in sorted(found, key=_start):
            subjects.setdefault(each.subject, ([], []))[which].append(each)
    changes = (each for two in subjects.values() for one, other in _paired(*two) for each in _between(one, other))
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


def _paired(before: Sequence[Found], after: Sequence[Found]) -> Iterator[tuple[Found | None, Found | None]]:
    """Pair the findings of one subject, given in the order of their starts: each with the first that overlaps it.

    Starts only grow: one that has ended by a start has ended by the next, so each is passed over once.
    """
    left = dict(enumerate(after))
    same: defaultdict[datetime, deque[int]] = defaultdict(deque)
    for at, each in left.items():
        same[each.start or _EVER].append(at)
    first = 0
    for each in before:
        start, alike = each.start or _EVER, same[each.start or _EVER]
        while first < len(after) and (first not in left or (after[first].end or _NEVER) <= start):
            first += 1
        while alike and alike[0] not in left:
            alike.popleft()
        places = [*islice(alike, 1)]
        if first < len(after) and (after[first].start or _EVER) < (each.end or _NEVER):
            places.append(first)
        yield each, left.pop(min(places)) if places else None
    for each in left.values():
        yield None, each


def _between(before: Found | None, after: Found | None) -> Iterator[FindingChange]:
    if before is None or after is None:
        yield FindingChange("new" if before is None else "gone", before, after)
        return
    if (before.start, before.end, before.peak) != (after.start, after.end, after.peak):
        yield FindingChange("changed", before, after)
    if bool(before.accepted_by) is not bool(after.accepted_by):
        yield FindingChange("accepted" if after.accepted_by else "reopened", before, after)


def _start(found: Found) -> tuple[bool, datetime]:
    return found.start is not None, found.start or _NEVER
