"""Whether a call succeeded or failed, as an event: a decorator, or a ``with`` block.

>>> @audited(lake, action="export", resource=lambda table: table, event_type="data_export")     # doctest: +SKIP
... def export(table): ...
>>> with audited(lake, action="rotate keys", user_id="root") as details:                        # doctest: +SKIP
...     details["keys"] = rotate()
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from auditlake.errors import EventError
from auditlake.events.event import AuditEvent
from auditlake.events.schema import EventType
from auditlake.landing.trail import keep_unfit
from auditlake.machine import Clock, system_clock

if TYPE_CHECKING:
    from types import TracebackType

    from auditlake.lake import AuditLake
    from auditlake.landing.trail import Trail

P = ParamSpec("P")
R = TypeVar("R")

Field = str | Callable[..., str | None] | None
"""A field of the event: a text, or a function of the call's arguments that gives one."""
Facts = Mapping[str, Any] | Callable[..., Mapping[str, Any] | None] | None
"""The same for what is no text but a mapping."""

_LOGGER = logging.getLogger(__name__)


def audited(
    lake: AuditLake | Trail,
    *,
    action: Field,
    event_type: str = EventType.API_CALL,
    resource: Field = None,
    user_id: Field = None,
    session_id: Field = None,
    ip_address: Field = None,
    details: Facts = None,
    metadata: Facts = None,
    clock: Clock = system_clock,
) -> Audited:
    """Log an event for each call of a function, or for each ``with`` block.

    Its ``status`` is ``success``, or ``failure`` if an exception left the call, which is raised again unchanged. Its
    ``timestamp`` is when the call ended. Its ``details`` have ``duration_ms``, and ``exception``, the name of the
    exception's type: neither its message nor any argument is recorded, unless a function given here returns it.

    A field given as a function is called with the call's arguments before the call (with none for a ``with`` block).
    What it raises, and a value that no event can have, is raised before the call. An event that the lake refuses
    afterwards, such as one of an unknown type, is kept: the next flush quarantines it with its reason, and the logger
    ``auditlake.audited`` is told. If the disk refuses the event of a successful call, that error is raised: nothing
    goes on unrecorded in silence. Of a failed call, the call's own exception is raised, with a note about the loss.

    Args:
        lake: Where events go: a lake, or a trail of one.
        action: What is done.
        event_type: One of :class:`~auditlake.EventType`, or a type that the lake declares.
        resource: What it is done to.
        user_id: Who does it.
        session_id: In which session.
        ip_address: From where.
        details: More about it, beside what is recorded anyway.
        metadata: As in :class:`~auditlake.AuditEvent`.
        clock: Where the present comes from.
    """
    fields = {"action": action, "resource": resource, "user_id": user_id, "session_id": session_id,
              "ip_address": ip_address, "metadata": metadata}  # fmt: skip
    return Audited(lake, event_type, fields, details, clock)


@dataclass(eq=False, repr=False)
class Audited:
    """A decorator for any number of calls, or a context manager for one ``with`` block; :func:`audited` makes it."""

    _lake: AuditLake | Trail
    _event_type: str
    _fields: Mapping[str, Any]
    _details: Facts
    _clock: Clock
    _entered: _Call | None = None

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the same function with its calls logged.

        Raises:
            EventError: It is a generator, whose call does nothing yet.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            message = f"{function.__qualname__} yields: expected a function that returns"
            raise EventError(message, hint="use `with audited(...)` inside of it")
        return self._awaited(function) if inspect.iscoroutinefunction(function) else self._called(function)

    def _called(self, function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            begun = self._begin(*args, **kwargs)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                begun.end(error)
                raise
            begun.end(None)
            return result

        return call

    def _awaited(self, function: Callable[P, Any]) -> Callable[P, Any]:
        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            begun = self._begin(*args, **kwargs)
            try:
                result = await function(*args, **kwargs)
            except GeneratorExit as error:
                begun.end(error)  # a coroutine that is thrown away may not wait for anything
                raise
            except BaseException as error:
                await _aside(begun, error)
                raise
            await _aside(begun, None)
            return result

        return call

    def __enter__(self) -> dict[str, Any]:
        """Begin, and return a mapping to fill: it becomes part of the event's details."""
        if self._entered is not None:
            raise EventError("this is entered already", hint="call audited(...) for each `with`")
        self._entered = self._begin()
        return self._entered.details

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        entered, self._entered = self._entered, None
        assert entered is not None
        entered.end(error)

    def _begin(self, *args: Any, **kwargs: Any) -> _Call:
        def of_call(value: Any) -> Any:
            return value(*args, **kwargs) if callable(value) else value

        fields = {"event_type": self._event_type} | {name: of_call(value) for name, value in self._fields.items()}
        details = of_call(self._details)
        AuditEvent(timestamp=self._clock(), details=details, **fields)  # raises what is wrong with it before the call
        return _Call(self._lake, fields, dict(details or {}), self._clock)


@dataclass(slots=True)
class _Call:
    """One call under way."""

    _lake: AuditLake | Trail
    _fields: Mapping[str, Any]
    details: dict[str, Any]
    _clock: Clock
    _began: float = field(default_factory=perf_counter)

    def end(self, error: BaseException | None) -> None:
        """Log how the call ended."""
        self.details["duration_ms"] = round((perf_counter() - self._began) * 1000, 3)
        if error is not None:
            self.details["exception"] = _name(type(error))
        status = "success" if error is None else "failure"
        try:
            self._log({"timestamp": self._clock(), "status": status, "details": self.details, **self._fields})
        except Exception as lost:
            if error is None:
                raise
            # The call's own exception is what its caller has to know first.
            error.add_note(f"auditlake could not record this failure: {lost}")
            _LOGGER.exception("a failed call could not be recorded")

    def _log(self, fields: dict[str, Any]) -> None:
        try:
            self._lake.log(AuditEvent(**fields))
        except EventError as refusal:
            keep_unfit(self._lake, fields)
            _LOGGER.warning("a call's event was refused, and kept for the next flush to quarantine: %s", refusal)


async def _aside(call: _Call, error: BaseException | None) -> None:
    """Log in a thread, so that the event loop does not wait for the disk; done even if the task is cancelled."""
    await asyncio.shield(asyncio.to_thread(call.end, error))


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
