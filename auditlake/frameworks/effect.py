"""What another revision of a pack would change: both judged on the same events, control by control."""

from __future__ import annotations

from collections.abc import Iterator

from auditlake.frameworks.model import ControlResult, FrameworkReport
from auditlake.packs.diff import ControlEffect


def effect_of(old: FrameworkReport, new: FrameworkReport) -> tuple[ControlEffect, ...]:
    """Return the controls that stand otherwise by one revision than by the other, in the order of the framework.

    Args:
        old, new: The reports of both revisions on one snapshot, over one period. A control that ``was`` another is
            compared with that one.
    """
    return tuple(_effects(old, new))


def _effects(old: FrameworkReport, new: FrameworkReport) -> Iterator[ControlEffect]:
    before = {each.id: each for each in old.controls}
    there = {each.id for each in new.controls}
    for control in new.controls:
        name = control.id if control.was in there or control.was not in before else control.was
        was = before.pop(name or control.id, None)
        if was is None or was.status != control.status:
            yield _effect(control, was, control)
    yield from (_effect(each, each, None) for each in before.values())


def _effect(shown: ControlResult, was: ControlResult | None, now: ControlResult | None) -> ControlEffect:
    before, after = (None if each is None else each.status for each in (was, now))
    more = f", and {len(shown.reasons) - 1:,} more" if shown.reasons[1:] else ""
    return ControlEffect(shown.id, shown.title, was.id if was else None, before, after, shown.reasons[0] + more)
