"""What the operator must know of alerts: what waits, what was given up, and what can be read on its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from auditlake.alert_settings import AlertSettings
from auditlake.alerts.outbox import OLDEST_UNDELIVERED, waiting
from auditlake.disk.layout import Layout
from auditlake.display.text import count, moment

_WAITS_LONG = timedelta(days=1)
"""A message of the day waits for almost as long."""
_TOLD = timedelta(days=30)
"""For how long it is told that alerts were given up."""


def readable_on_the_way(settings: AlertSettings) -> Iterator[str]:
    """Yield the places whose alerts the network can read, in sentences."""
    for sink in settings.sinks:
        if sink.is_readable_on_the_way:
            yield f"{sink.called}: mail goes to {sink.host} in clear text, so it can be read and changed on its way"


def undelivered(layout: Layout, now: datetime) -> Iterator[str]:
    """Yield what has waited for long, and what was given up not long ago, in sentences."""
    for each in waiting(layout.alerts):
        if each.oldest is not None and now - each.oldest > _WAITS_LONG:
            until = moment((each.oldest + OLDEST_UNDELIVERED).replace(microsecond=0))
            yield f"{each.sink}: {count(each.alerts, 'alert')} not delivered yet; the first is given up at {until}"
        if each.given_up is not None and now - each.given_up.last < _TOLD:
            last = moment(each.given_up.last.replace(microsecond=0))
            yield f"{each.sink}: {count(each.given_up.alerts, 'alert')} given up so far, the last at {last}"
