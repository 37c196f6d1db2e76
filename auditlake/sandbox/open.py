"""Opening a session quickly: its child is started before all that the parent needs is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditlake.config import LakeConfig
from auditlake.disk.layout import Layout
from auditlake.landing.segments import OWN, segments
from auditlake.machine import Clock
from auditlake.sandbox.parent import Child
from auditlake.store.table import IngestOptions

if TYPE_CHECKING:
    from auditlake.sandbox.session import AuditSession


_OWN_BYTES = 1 << 20
"""From so many bytes of its own events on a session flushes for their sake alone."""


def others_wait(layout: Layout) -> bool:
    """Whether a session on the newest snapshot flushes first."""
    found = segments(layout)
    own = sum(each.size for each in found if each.slot >= OWN)
    return own > _OWN_BYTES or any(each.size for each in found if each.slot < OWN)


def open_session(
    layout: Layout, config: LakeConfig, clock: Clock, options: IngestOptions, **asked: Any
) -> AuditSession:
    """A session; what is asked for is as :class:`auditlake.sandbox.session.AuditSession` takes it."""
    child = Child()
    try:
        from auditlake.sandbox.session import AuditSession

        return AuditSession(layout, config, clock, options, child=child, **asked)
    except BaseException:
        child.kill()
        raise
