"""The sinks that lake.toml names, and how they are tried."""

from __future__ import annotations

from collections.abc import Iterator

from auditlake.alert_settings import AlertSettings, SinkSettings
from auditlake.alerts.chat import Slack, Teams
from auditlake.alerts.mail import Mail
from auditlake.alerts.model import Alert
from auditlake.alerts.outbox import FailedError, Outbox, RejectedError
from auditlake.alerts.secrets import Secret
from auditlake.alerts.sinks import Place
from auditlake.alerts.webhook import Webhook
from auditlake.disk.layout import Layout
from auditlake.events.times import micros
from auditlake.machine import Clock


def outboxes(settings: AlertSettings) -> Iterator[Outbox]:
    """Yield the sinks that send alerts somewhere, in the order of lake.toml."""
    if settings.webhook is not None:
        yield Webhook(settings.webhook)
    yield from map(outbox, settings.sinks)


def outbox(settings: SinkSettings) -> Outbox:
    """Return the sink of a table ``[[alerts.sinks]]``."""
    made: Outbox
    if settings.kind == "email":
        made = Mail(settings)
    elif settings.kind == "webhook":
        signed_with = None if settings.signed_with is None else Secret(settings.signed_with)
        made = Webhook(settings.url or Secret(str(settings.url_from)), signed_with=signed_with, digest=settings.digest)
    else:
        made = {"slack": Slack, "teams": Teams}[settings.kind](Secret(str(settings.url_from)), digest=settings.digest)
    made.called = settings.called
    return made


def tried(layout: Layout, settings: AlertSettings, clock: Clock) -> Iterator[tuple[str, str, str]]:
    """Send a test to each of them now, and yield what it is called, where it goes, and why that failed or nothing."""
    place, now = Place(layout.root, layout.alerts, clock), clock()
    test = Alert(
        id=f"test-{micros(now)}", kind="threshold_exceeded", policy_id="test", policy_name="A test of the alerts",
        severity="low", group={}, at=now, count=1, threshold=1, window="1s", late=False, raised_at=now,
        message="This is a test: nothing happened, and this place gets the alerts of the lake",
    )  # fmt: skip
    for each in outboxes(settings):
        each.place, problem = place, ""
        try:
            each.send(f"{test.id}-test", {**test.as_dict(), "kind": "test"})
        except (RejectedError, FailedError, ValueError, OSError) as error:
            problem = str(error) or type(error).__name__
        yield each.called or each.name, each.receiver, problem
