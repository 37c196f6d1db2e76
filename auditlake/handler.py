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
from auditlake.events.event import AuditEvent, as_event
from auditlake.landing.trail import keep_unfit

if TYPE_CHECKING:
    from auditlake.lake import AuditLake
    from auditlake.landing.trail import Trail

_OWN_LOGGER = "auditlake"


class AuditHandler(logging.Handler):
    """Logs every record that has an ``audit`` extra as an event, and skips all others.

    The extra is an :class:`~auditlake.AuditEvent`, or a mapping of its fields, of which only ``event_type`` is needed:
    the time is the record's unless the mapping has one. The record's message and the name of its logger go into the
    event's ``metadata`` as ``message`` and ``logger``, unless it has these keys already.

    An extra that cannot be logged, such as one of an unknown event type, is kept all the same: the next flush
    quarantines it with its reason, or makes an event of it where it would of a file's line; values that JSON cannot say
    are kept as Python shows them. As with every handler of the standard library, no error reaches the application: each
    goes to :meth:`logging.Handler.handleError`, which writes to standard error while :data:`logging.raiseExceptions`
    is set.

    Records of auditlake's own loggers are skipped, and so is what is logged while an event is being logged: a handler
    at the root cannot feed itself. Threads do not wait for one another here: the trail lets them share a sync.

    Args:
        trail: Where events go: a lake, or a trail with settings of its own, which stays open when the handler closes.
        level: Records below it are skipped.
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
        extra = getattr(record, "audit", None)
        own = str(record.name).partition(".")[0] == _OWN_LOGGER
        if extra is None or own or getattr(self._busy, "now", False):
            return
        self._busy.now = True
        try:
            self._log(extra, record)
        except Exception:  # noqa: BLE001 - a handler's errors are never the application's
            self.handleError(record)
        finally:
            self._busy.now = False

    def _log(self, extra: object, record: logging.LogRecord) -> None:
        """Log or keep an event, then raise what was wrong with it."""
        message, error = _message(record)
        event = _with_record(extra, record, message)
        try:
            self._trail.log(as_event(event, lambda: _time(record)))
        except EventError:
            keep_unfit(self._trail, event)
            raise
        if error is not None:
            raise error


def _message(record: logging.LogRecord) -> tuple[str, Exception | None]:
    """Return a record's message; where its arguments do not fit, the text without them, and the error."""
    try:
        return record.getMessage(), None
    except Exception as error:  # noqa: BLE001 - the arguments are the application's
        return str(record.msg), error


def _with_record(extra: object, record: logging.LogRecord, message: str) -> AuditEvent | dict[str, Any]:
    """Return the event or the fields of an extra, with the record's time, message and logger where it has none."""
    about = {"logger": record.name, "message": message}
    if isinstance(extra, AuditEvent):
        return replace(extra, metadata={**about, **(extra.metadata or {})})
    fields = dict(extra) if isinstance(extra, Mapping) else {"audit": extra}
    if fields.get("timestamp") is None:
        fields["timestamp"] = _time(record)
    metadata = fields.get("metadata")
    if metadata is None or isinstance(metadata, Mapping):
        fields["metadata"] = {**about, **(metadata or {})}
    return fields


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
