"""A trail, and beside it, where that is asked for, the evaluation of what is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from auditlake.alerts.watch import Watch
from auditlake.context import LakeContext
from auditlake.landing.trail import Terms, Trail, TrailOptions

if TYPE_CHECKING:
    from auditlake.alerts.watch import Alerts


def open_trail(
    context: LakeContext, flush: Callable[[], object], alerts: Alerts | bool, options: TrailOptions
) -> Trail:
    """Open a trail on a lake.

    Args:
        context: The lake.
        flush: Brings what has landed into the table.
        alerts: Whether this process evaluates the policies while no other one does, from the first event until the
            trail is closed. If None, it does where lake.toml says where alerts go (``[alerts]``). A callable, a sink or
            several of these are told besides ``logging`` and what lake.toml names.
        options: How the trail is kept.
    """
    config = context.config
    if alerts is None:
        alerts = config.alerts.webhook is not None or config.alerts.jsonl is not None
    watch = None
    if alerts is not False:
        watch = Watch(context.layout, config, context.clock, None if alerts is True else alerts)
    terms = Terms(config.event_types, config.max_record)
    return Trail(context.layout, terms, options, flush=flush, beside=watch)
