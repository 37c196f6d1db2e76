"""Opening a session quickly: its child is started before all that the parent needs is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Unpack

from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.landing.segments import OWN, segments

if TYPE_CHECKING:
    from auditlake.sandbox.model import SessionOptions
    from auditlake.sandbox.session import AuditSession


_OWN_BYTES = 1 << 20
"""From so many bytes of its own events on a session flushes for their sake alone."""


def others_wait(layout: Layout) -> bool:
    """Whether a session on the newest snapshot flushes first."""
    waiting = segments(layout)
    own = sum(each.size for each in waiting if each.slot >= OWN)
    return own > _OWN_BYTES or any(each.size for each in waiting if each.slot < OWN)


def open_session(context: LakeContext, **options: Unpack[SessionOptions]) -> AuditSession:
    """Open a session with the options of :class:`auditlake.sandbox.session.AuditSession`."""
    from auditlake.sandbox.parent import Child

    child = Child()
    try:
        from auditlake.sandbox.session import AuditSession

        return AuditSession(context, child=child, **options)
    except BaseException:
        child.kill()
        raise


@contextmanager
def without_numpy(layout: Layout | None, *, own: bool = False) -> Iterator[None]:
    """Keep Arrow from importing numpy, which takes longer than a short query, where a session needs none.

    For a process that does nothing else: Arrow does without numpy for as long as the process lives.

    Args:
        layout: The lake of the session, which may flush first, and needs numpy for that; None for one at a desk.
        own: Whether what waits of auditlake's own events is read too, which needs numpy as well.
    """
    waits = layout is not None and (bool(segments(layout)) if own else others_wait(layout))
    if waits or {"numpy", "pyarrow"} & set(sys.modules):
        yield
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["numpy"]
