"""Opening a session quickly: its child is started before all that the parent needs is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditlake.clock import Clock
from auditlake.config import LakeConfig
from auditlake.desk.process import Child
from auditlake.store.layout import Layout
from auditlake.store.table import IngestOptions

if TYPE_CHECKING:
    from auditlake.desk.session import AuditSession


def open_session(
    layout: Layout, config: LakeConfig, clock: Clock, options: IngestOptions, **asked: Any
) -> AuditSession:
    """A session; what is asked for is as :class:`auditlake.desk.session.AuditSession` takes it."""
    child = Child()
    try:
        from auditlake.desk.session import AuditSession

        return AuditSession(layout, config, clock, options, child=child, **asked)
    except BaseException:
        child.kill()
        raise
