"""The standard library's logging as a way in: records with an ``audit`` extra become events.

>>> import logging
>>> log = logging.getLogger("shop")
>>> log.addHandler(AuditHandler(lake))                                                      # doctest: +SKIP
>>> log.info("signed in", extra={"audit": {"event_type": "login", "user_id": "alice"}})     # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from threading import local
from typing import TYPE_CHECKING, Any

from auditlake.errors import EventError
from auditlake.events.event import AuditEvent

if TYPE_CHECKING:
    from auditlake.lake import AuditLake
    from auditlake.landing.trail import Trail

_OURS = "auditlake"


class AuditHandler(logging.Handler):
    """Logs every record that has an ``audit`` extra as an event; other records are none of its business.

    The extra is an :class:`~auditlake.AuditEvent`, or a mapping of its fields, of which only ``event_type`` is needed:
    the time is the record's unless the mapping has one. The record's message and the name of its logger go into the
    event's ``metadata`` as ``message`` and ``logger``, unless it has these keys already.

    As with every handler of the standard library, what goes wrong never reaches the application: it is told through
    :meth:`logging.Handler.handleError`, which writes to standard error unless :data:`logging.raiseExceptions` is unset.
    Records of auditlake's own loggers, and what is logged while an event is being logged, are left out, so a handler
    at the root cannot feed itself. Threads do not wait for one another here: the trail lets them share a sync.

    Args:
        trail: Where events go: a lake, or a trail with settings of its own, which stays open when the handler closes.
        level: Records below it are left out.
    """

    def __init__(self, trail: AuditLake | Trail, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._trail = trail
        self._busy = local()

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass a record on to :meth:`emit` if the filters let it; without the lock that handlers usually hold."""
        passed: Any = self.filter(record)  # from Python 3.12 on, a filter may give another record instead
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record's event, if it has one."""
        said = getattr(record, "audit", None)
        if said is None or str(record.name).partition(".")[0] == _OURS or getattr(self._busy, "now", False):
            return
        self._busy.now = True
        try:
            self._trail.log(_event(said, record))
        except Exception:  # noqa: BLE001 - a handler's errors are never the application's
            self.handleError(record)
        finally:
            self._busy.now = False


def _event(said: object, record: logging.LogRecord) -> AuditEvent:
    """What the extra says, with the record's time, message and logger where it does not say them.

    Raises:
        EventError: It is no event, or lacks what an event needs.
    """
    about = {"logger": record.name, "message": record.getMessage()}
    if isinstance(said, AuditEvent):
        return replace(said, metadata={**about, **(said.metadata or {})})
    if not isinstance(said, Mapping):
        raise EventError(f"audit: expected an AuditEvent or a mapping of its fields, got {type(said).__name__}")
    fields: dict[str, Any] = {"timestamp": datetime.fromtimestamp(record.created, UTC), **said}
    metadata = fields.get("metadata")
    if metadata is None or isinstance(metadata, Mapping):
        fields["metadata"] = {**about, **(metadata or {})}
    try:
        return AuditEvent(**fields)
    except TypeError as error:
        raise EventError(f"audit: {error}", hint="the fields of auditlake.AuditEvent, event_type at least") from error
