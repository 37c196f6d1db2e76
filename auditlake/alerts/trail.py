"""A trail, and beside it, where that is asked for, the evaluation of what is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from auditlake.alerts.watch import Watch, all_sinks
from auditlake.config import LakeConfig
from auditlake.disk.layout import Layout
from auditlake.landing.trail import Terms, Trail, TrailOptions
from auditlake.machine import Clock

if TYPE_CHECKING:
    from auditlake.alerts.watch import Alerts


def open_trail(
    layout: Layout, config: LakeConfig, clock: Clock, flush: Callable[[], object], alerts: Alerts | bool, **options: Any
) -> Trail:
    """A trail on a lake.

    Args:
        layout: The lake.
        config: Its settings.
        clock: Where the present comes from.
        flush: Brings what has landed into the table.
        alerts: Whether this process evaluates the policies while no other one does, from the first event until the
            trail is closed. If None, it does where lake.toml says where alerts go (``[alerts]``). A callable, a sink or
            several of these are told besides ``logging`` and what lake.toml names.
        **options: Those of :class:`TrailOptions`.
    """
    if alerts is None:
        alerts = config.alerts.webhook is not None or config.alerts.jsonl is not None
    watch = None
    if alerts is not False:
        watch = Watch(layout, config, clock, all_sinks(config, None if alerts is True else alerts))
    terms = Terms(config.event_types, config.max_record)
    return Trail(layout, terms, TrailOptions(**options), flush=flush, beside=watch)
